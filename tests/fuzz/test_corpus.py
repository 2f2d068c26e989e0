"""Short runs of every target, the cases of the corpus again, and that the fuzzer sees what it is there to see.

The long runs are `python -m tests.fuzz`.
"""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.fuzz import harness
from tests.fuzz.cases import Case, Odd, from_json, to_json
from tests.fuzz.checkpoints import Checkpoints, plain_logits
from tests.fuzz.harness import Outcome, Target, execute
from tests.fuzz.mutate import packed, unpacked
from tests.fuzz.targets import TARGETS, cuts
from tests.fuzz.vocabularies import Plain
from txexplain.errors import CheckpointError
from txexplain.models import load_model

CORPUS = Path(__file__).parent / "corpus"
GOLDEN = Path(__file__).parents[1] / "golden"
SHM = Path("/dev/shm")
RUNS = {"checkpoints": 250, "traces": 250, "lessons": 300, "tokenizers": 200, "configs": 400, "toml": 300, "places": 600, "hubs": 120}
MOST_MEMORY = 32 << 20  # bytes: far above what these small files take, far below what their lies ask for


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def targets() -> dict[str, Target]:
    return {name: make() for name, make in TARGETS.items()}


def told(outcome: Outcome, case: Case) -> str:
    return f"{outcome.site}\n{outcome.sentence}\n{json.dumps(to_json(case))[:2000]}"


@pytest.mark.parametrize("name", TARGETS)
def test_what_nobody_changed_opens(name: str, targets: dict[str, Target], root: Path) -> None:
    for case in targets[name].bases:
        outcome = execute(targets[name], case, root)
        assert outcome.kind == "opened", told(outcome, case)


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run(name: str, targets: dict[str, Target], root: Path) -> None:
    kinds: Counter[str] = Counter()
    for number in range(RUNS[name]):
        case = targets[name].make(Random(f"suite:{name}:{number}"))
        outcome = execute(targets[name], case, root)
        assert not outcome.is_fault, told(outcome, case)
        kinds[outcome.kind] += 1
    assert min(kinds["opened"], kinds["refused"]) > RUNS[name] // 50, "all of one kind shows nothing"


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name: str, targets: dict[str, Target], root: Path) -> None:
    """What once was a fault, and each refusal that the long runs reached, comes out as it did; and takes little memory."""
    entries = [json.loads(line) for line in (CORPUS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert entries
    tracemalloc.start()
    try:
        for entry in entries:
            case = from_json(entry)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            outcome = execute(targets[name], case, root)
            assert outcome.kind in (entry["outcome"].split()[0], "skipped"), f"{entry['outcome']}, now {told(outcome, case)}"
            assert tracemalloc.get_traced_memory()[1] - before < MOST_MEMORY, told(outcome, case)
    finally:
        tracemalloc.stop()


def test_the_corpus_stays_small() -> None:
    assert sum(file.stat().st_size for file in CORPUS.iterdir()) < 300_000


@pytest.mark.parametrize(("name", "number"), [("checkpoints", 4), ("traces", 3)])
def test_a_file_cut_at_every_byte_of_its_header_is_refused(name: str, number: int, targets: dict[str, Target], root: Path) -> None:
    case = targets[name].bases[number]
    file = next(file for file in case.files if file.endswith(".safetensors"))
    data = case.files[file]
    assert isinstance(data, bytes)
    for end in range(8 + int.from_bytes(data[:8], "little") + 1):
        cut = case.with_file(file, data[:end])
        outcome = execute(targets[name], cut, root)
        assert outcome.kind == "refused", told(outcome, cut)


@pytest.mark.parametrize("name", ["configs", "toml", "lessons"])
def test_a_text_cut_at_any_byte_is_right_or_refused(name: str, targets: dict[str, Target], root: Path) -> None:
    base = targets[name].bases[0]
    for cut in cuts(Case(base.files, base.options | {"checked": False})):
        outcome = execute(targets[name], cut, root)
        assert outcome.kind in ("opened", "refused"), told(outcome, cut)


# The fuzzer itself


def test_a_case_follows_from_its_seed_and_survives_the_corpus(targets: dict[str, Target]) -> None:
    for name, target in targets.items():
        for number in range(30):
            case = target.make(Random(f"{name}:{number}"))
            assert target.make(Random(f"{name}:{number}")) == case
            again = from_json(json.loads(json.dumps(to_json(case))))
            assert again.files == case.files
            assert json.dumps(again.options) == json.dumps(case.options)


def test_the_plain_readers_agree_with_transformers() -> None:
    """What the product is held to is itself held to transformers' own results."""
    model = load_model(str(GOLDEN / "saved" / "one"))
    expected = json.loads((GOLDEN / "saved" / "expected.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(plain_logits(model, expected["ids"]), expected["logits"], atol=1e-4)
    folder = GOLDEN / "tokenizer" / "json"
    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    plain = Plain(told["vocab"], [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in told["merges"]])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for case in cases["cases"] if isinstance(cases, dict) else cases:
        assert plain.encode(case["text"]) == case["ids"], case["text"]


def raising(error: BaseException) -> Any:
    def raise_it(*args: Any, **more: Any) -> Any:
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("x"), "ValueError"),
        (MemoryError(), "MemoryError"),
        (CheckpointError("no name in it"), "names no file"),
        (CheckpointError("case: " + "x" * 5000), "has 5006 characters"),
        (CheckpointError("case: <class 'int'>"), "speaks Python"),
    ],
)
def test_anything_but_one_clear_sentence_is_a_fault(
    error: BaseException, said: str, targets: dict[str, Target], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.checkpoints.load_model", raising(error))
    outcome = execute(targets["checkpoints"], targets["checkpoints"].bases[0], root)
    assert outcome.is_fault
    assert said in outcome.site + outcome.sentence


def test_a_wrong_number_is_a_fault(targets: dict[str, Target], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from txexplain.engine import safetensors

    right = safetensors.as_array
    monkeypatch.setattr(safetensors, "as_array", lambda data, entry: right(data, entry) + np.float32(1e-7))
    outcome = execute(targets["checkpoints"], targets["checkpoints"].bases[0], root)
    assert outcome.is_fault
    assert "differs from the library's" in outcome.sentence


def test_what_never_ends_is_a_fault(targets: dict[str, Target], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "PATIENCE", 0.05)
    monkeypatch.setattr("tests.fuzz.checkpoints.load_model", lambda path: (Path(path) / "pipe").read_bytes())
    outcome = execute(targets["checkpoints"], Checkpoints().bases[0].with_file("pipe", Odd("pipe")), root)
    assert outcome.site.startswith("Hangs")


def test_a_file_replaced_while_it_is_open_keeps_its_numbers(targets: dict[str, Target], root: Path) -> None:
    for name in ("checkpoints", "traces"):
        case = targets[name].bases[0]
        outcome = execute(targets[name], Case(case.files, case.options | {"replaced": True, "drawn": True, "size": [80, 24]}), root)
        assert outcome.kind == "opened", told(outcome, case)


def test_an_unreadable_file_is_refused_even_to_root(targets: dict[str, Target], root: Path) -> None:
    case = targets["configs"].bases[0]
    data = case.files["config.json"]
    assert isinstance(data, bytes)
    outcome = execute(targets["configs"], case.with_file("config.json", Odd("locked", data)), root)
    if outcome.kind == "skipped":
        pytest.skip("root can read all here, and can't become somebody else")
    assert outcome.kind == "refused"
    assert "Permission denied" in outcome.sentence
    assert os.geteuid() == os.getuid()


def test_packing_a_file_gives_the_file(targets: dict[str, Target]) -> None:
    data = targets["checkpoints"].bases[0].files["model.safetensors"]
    assert isinstance(data, bytes)
    tensors, metadata = unpacked(data)
    assert packed(tensors, metadata) == data
