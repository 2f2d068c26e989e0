"""The targets by their names, and the sweep over a target's base files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.fuzz.cases import Case
from tests.fuzz.checkpoints import Checkpoints
from tests.fuzz.harness import Target
from tests.fuzz.hubs import Hubs
from tests.fuzz.texts import Lessons, Places, Toml
from tests.fuzz.traces import Traces
from tests.fuzz.vocabularies import Configs, Tokenizers

TARGETS: dict[str, Callable[[], Target]] = {
    each.name: each for each in (Checkpoints, Traces, Lessons, Tokenizers, Configs, Toml, Places, Hubs)
}


def cuts(case: Case) -> Iterator[Case]:
    """Each file of a case cut at each byte."""
    for name, data in case.files.items():
        if isinstance(data, bytes):
            for end in range(len(data)):
                yield case.with_file(name, data[:end])


def flips(case: Case) -> Iterator[Case]:
    """Each bit of each file's head flipped: of a safetensors file's header, of another's first 4000 bytes."""
    for name, data in case.files.items():
        if isinstance(data, bytes):
            head = 8 + int.from_bytes(data[:8], "little") if name.endswith(".safetensors") else 4000
            for at in range(min(len(data), head)):
                for bit in range(8):
                    yield case.with_file(name, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])


def sweep(target: Target) -> Iterator[Case]:
    """Each base file of a target cut at each byte, then each bit of its head flipped."""
    for case in target.bases:
        yield from cuts(case)
    for case in target.bases:
        yield from flips(case)
