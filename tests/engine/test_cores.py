"""Matrix products get the cores that nobody else uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from txexplain.engine import cores
from txexplain.engine.cores import FIXED, Cores, blas, busy_others
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import surprisal


class Library:
    """What stands for BLAS."""

    def __init__(self) -> None:
        self.num_threads = 4
        self.set: list[int] = []

    def set_num_threads(self, threads: int) -> None:
        self.set.append(threads)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    for name in FIXED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cores, "blas", lambda: library)
    monkeypatch.setattr(cores, "EVERY", 0.0)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    return library


def test_a_product_gets_the_cores_that_are_free(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Cores()
    for others in (0, 1, 3, 4, 99, 0):
        monkeypatch.setattr(cores, "busy_others", lambda others=others: others)
        own.share()
    assert library.set == [4, 3, 1, 1, 1, 4]
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    own.share()
    assert library.set[-1] == 4, "never more than BLAS began with"


def test_what_is_chosen_or_unknown_is_left_alone(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "busy_others", lambda: None)
    unknown = Cores()
    unknown.share()
    monkeypatch.setattr(cores, "busy_others", lambda: 3)
    unknown.share()
    kept = Cores()
    kept.keep()
    kept.share()
    monkeypatch.setattr(cores, "blas", lambda: None)
    Cores().share()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    Cores().share()
    assert library.set == []


def test_it_looks_now_and_then(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(cores, "busy_others", lambda: len(looks) if not looks.append(1) else 0)
    monkeypatch.setattr(cores, "EVERY", 3600.0)
    own = Cores()
    for _ in range(5):
        own.share()
    assert len(looks) == 1


def test_those_who_run_are_counted_without_one_self(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "PROC", tmp_path)
    assert busy_others() is None
    (tmp_path / "loadavg").write_text("0.20 0.18 0.12 5/80 11206\n")
    for number, stat in enumerate(("1 (python) R 0", "2 (a) R) S 0", "3 (R ) R 7", "4 (x) D 1")):
        task = tmp_path / "self" / "task" / str(number)
        task.mkdir(parents=True)
        (task / "stat").write_text(stat)
    (tmp_path / "self" / "task" / "gone").mkdir()
    assert busy_others() == 3
    (tmp_path / "loadavg").write_text("0.20 0.18 0.12 1/80 11206\n")
    assert busy_others() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says who runs")
def test_another_program_that_computes_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        found = busy_others()
        other.kill()
    assert found is not None
    assert found >= 1


def test_every_block_of_a_pass_looks_and_surprisal_does(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("txexplain.engine.run.CORES.share", lambda: looks.append(1))
    trace = storyteller.forward([5, 17, 3])
    assert len(looks) == storyteller.config.n_layer
    assert trace is not None
    surprisal(trace, storyteller.unembedding)
    assert len(looks) == storyteller.config.n_layer + 1


def test_numpys_own_library_is_found() -> None:
    found = blas()
    if found is None:
        pytest.skip("NumPy's BLAS isn't one that threadpoolctl knows")
    before = found.num_threads
    try:
        found.set_num_threads(1)
        assert found.num_threads == 1
    finally:
        found.set_num_threads(before)
    assert found.num_threads == before
