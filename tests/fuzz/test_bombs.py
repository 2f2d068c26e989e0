"""Some bombs of each kind, and that the fuzzer sees what it is there to see. Long runs are `python -m tests.fuzz.bombs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bombs import CANARY, KINDS, fault_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")


def bombs(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.fuzz.bombs", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@linux
def test_a_bomb_of_each_kind_ends_in_order() -> None:
    count = len(KINDS)
    assert bombs("--count", str(count)).startswith(f"{count} cases: ")


@linux
@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_many_bombs_end_in_order(kind: str) -> None:
    said = bombs("--kind", kind, "--seed", "7", "--count", "120")
    assert said.startswith("120 cases: ")


@pytest.mark.parametrize(
    ("code", "said", "wrong"),
    [
        (0, "", ""),
        (2, "txexplain: The file x is too long.\n", ""),
        (1, "", "exit code 1"),
        (2, "Traceback (most recent call last):\n", "exit code 2"),
        (2, "one\ntwo\n", "not one sentence"),
        (2, "x" * 1000 + "\n", "not one sentence"),
        (2, "txexplain: \x1b[31m\n", "not one sentence"),
        (2, "txexplain: No such option '-x'.\n", "the case itself is wrong"),
        (-9, "", "SIGKILL"),
        (-24, "", "SIGXCPU after"),
    ],
)
def test_what_a_fault_is(tmp_path: Path, code: int, said: str, wrong: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text(CANARY)
    assert fault_of(code, said, outside).startswith(wrong)
    assert bool(fault_of(code, said, outside)) == bool(wrong)
    outside.write_text("")
    assert fault_of(code, said, outside) == "something outside was written"
