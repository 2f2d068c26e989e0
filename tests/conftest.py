"""What tests share: a home of their own, the bundled model, a tiny one that transformers saved, and which of them are `fast`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from textual import _wait, constants

from tests.examples import FEW
from txexplain.engine.cores import CORES, blas
from txexplain.engine.model import GPT2
from txexplain.models import load_model

GOLDEN = Path(__file__).parent / "golden"
FAST = ("viz", "engine", "explorer")  # folders of what needs neither an app nor a terminal
SLOW = ("serve", "e2e", "ui")

# Whoever runs the tests has a home and wishes of their own: none are read, and nothing is left there, by child processes neither.
HOME = tempfile.TemporaryDirectory(prefix="txexplain-tests-", ignore_cleanup_errors=True)
FOLDERS = {"HOME": "", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data"}
os.environ |= {name: str(Path(HOME.name) / folder) for name, folder in FOLDERS.items()}
# Their terminal is none of ours either, nor is the size that xdist tells its workers.
WISHES = ("NO_COLOR", "FORCE_COLOR", "COLORFGBG", "TMUX", "STY", "COLUMNS", "LINES")
for name in list(os.environ):
    if name.startswith(("HF_", "TXEXPLAIN_", "TEXTUAL_")) or name in WISHES:
        del os.environ[name]

# One thread for matrix products, whoever else is busy: the last bits of a result depend on how many there are.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
CORES.keep()
if (library := blas()) is not None:
    library.set_num_threads(1)

# A key of Textual's pilot waits twice until the process did hardly anything for longer than a frame takes, 20 ms. With more frames a
# second, a quarter of that tells as much.
constants.MAX_FPS = 500  # type: ignore[misc]  # read as Textual's screens are imported
_wait.SLEEP_GRANULARITY, _wait.SLEEP_IDLE = 0.005, 0.00025

# A busy machine is no defect of the code, hence no deadlines. `--hypothesis-profile=thorough` looks at many more examples, always the same
# ones, so that what passes here passes elsewhere; `new` looks at as many that nobody has seen.
settings.register_profile("few", max_examples=FEW, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=200, derandomize=True, deadline=None)
settings.register_profile("new", max_examples=200, print_blob=True, deadline=None)
settings.load_profile("few")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that all cores end together: those with terminals, then those with an app, then the fast ones."""
    for item in items:
        if folder_of(item) in FAST and item.get_closest_marker("long") is None:
            item.add_marker("fast")
    items.sort(key=lambda item: (*SLOW, "", *FAST).index(folder_of(item) if folder_of(item) in (*SLOW, *FAST) else ""))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two a core, as apps and programs wait now and then; the fast ones only compute. Each costs seconds until it knows all tests."""
    cores = os.cpu_count() or 1
    return min(8, cores if config.option.markexpr == "fast" else 2 * cores)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m fast` needs nothing of the other folders, nor what they import."""
    other = collection_path.is_dir() and collection_path.parent == Path(__file__).parent and collection_path.name not in FAST
    return True if other and config.option.markexpr == "fast" else None


def folder_of(item: pytest.Item) -> str:
    return item.path.parent.name


def pytest_unconfigure() -> None:
    HOME.cleanup()


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where no bytecode may be written, each program that a test starts would compile the package anew: they share a temporary folder."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        own = tmp_path_factory.getbasetemp()
        os.environ["PYTHONPYCACHEPREFIX"] = str((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "bytecode")


@pytest.fixture(scope="session")
def storyteller() -> GPT2:
    return load_model("storyteller")


@pytest.fixture(scope="session")
def tiny() -> GPT2:
    """Two blocks, three heads, d 24, a vocabulary of 61 and room for 16 tokens; no tokenizer of its own."""
    return load_model(str(GOLDEN / "parity" / "default"))
