"""Nothing is asked of the network, and nothing is written but what the reader named: the interpreter's own audit tells.

One thing is: the widened copy of a model's weights, once, in the cache. It holds weights and where they come from, no word of a reader.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.covering import few

# Runs a command line and says on standard error's last line what it opened for writing, made, moved, removed, or called.
WATCHED = """
import os, sys
did = set()
ACTS = "os.mkdir os.rename os.remove os.rmdir os.symlink os.link shutil.move subprocess.Popen os.system".split()
def hear(event, given):
    if event == "open" and isinstance(given[0], (str, bytes)):
        mode, flags = given[1] or "", given[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC):
            name = os.fsdecode(given[0])
            if name not in ("/dev/null", "/dev/tty"):
                did.add(f"write {name}")
    elif event.split(".")[0] in ("socket", "urllib", "http") or event in ACTS:
        if event != "socket.__new__" or given[1] != 1:  # asyncio's own pair of Unix sockets
            did.add(f"{event} {given[:1]}")
sys.addaudithook(hear)
"""
COMMAND = (
    WATCHED
    + """
sys.argv = ["txexplain", *sys.argv[1:]]
from txexplain.cli import main
try:
    main()
finally:
    print("DID", sorted(did), file=sys.stderr)
"""
)
APP = (
    WATCHED
    + """
from tests.ui.harness import drive, press
from txexplain.models import load_model
async def test(app, pilot):
    await press(app, pilot, "enter", "enter", "i", "right_square_bracket", "space", "a", "question_mark", "escape", "e", "escape", "y")
    await press(app, pilot, "m", "escape", "t", "escape", "slash", "x", "escape")
    did.add(f"at {app.state.location}")
drive(test, load_model("storyteller"))
print("DID", sorted(did), file=sys.stderr)
"""
)
ONCE = "Once upon a time"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that already holds the copy of the bundled weights."""
    folder = tmp_path_factory.mktemp("cache")
    first = did(folder / "home", folder, "predict", ONCE)
    assert first, "the copy is made"
    for what in first:  # a folder is held open while one writes in it: then only the name within it is told
        assert str(folder / "txexplain") in what or "/" not in what, what
    assert sorted(path.name for path in folder.iterdir()) == ["home", "txexplain"]
    assert list((folder / "home").iterdir()) == []
    yield folder
    shutil.rmtree(folder)


def test_the_copy_of_the_weights_tells_nothing_of_the_reader(cache: Path) -> None:
    (copy,) = (cache / "txexplain" / "weights").glob("*.safetensors")
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted([".lock", copy.name])
    assert ONCE.encode() not in copy.read_bytes()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def did(home: Path, cache: Path, *args: str, program: str = COMMAND) -> list[str]:
    """What a command did beyond reading and printing."""
    home.mkdir(exist_ok=True)
    own = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "HF_", "TXEXPLAIN"))}
    own |= {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, timeout=100, check=False, cwd=home, env=own
    )
    assert done.returncode == 0, done.stderr
    return eval(done.stderr.rsplit("DID ", 1)[1])


@pytest.mark.parametrize(
    ("command", "more"),
    few(
        [
            ("predict", (ONCE,)),
            ("describe", (ONCE, "--at", "L1H1")),
            ("models", ()),
            ("lessons", ("check", "attention")),
        ],
        lambda command, _: command in ("predict", "describe"),
    ),
)
def test_a_command_writes_nothing_and_calls_nobody(tmp_path: Path, cache: Path, command: str, more: tuple[str, ...]) -> None:
    assert did(tmp_path, cache, command, *more) == []
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_the_only_file_written(tmp_path: Path, cache: Path) -> None:
    for what in did(tmp_path, cache, "render", ONCE, "-o", "view.svg"):
        assert what.split()[0] in ("write", "os.rename"), what
        part = Path(what.split(" ", 1)[1].strip("(),'"))
        assert (part.parent in (tmp_path, Path()) and part.suffix == ".part") or part.name == "view.svg", what
    assert [path.name for path in tmp_path.iterdir()] == ["view.svg"]


def test_what_is_written_or_called_would_be_seen(tmp_path: Path, cache: Path) -> None:
    told = did(tmp_path, cache, "trace", ONCE, "-o", "a.safetensors", "--only", "embed")
    assert any(what.startswith("os.rename") for what in told)
    call = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    told = did(tmp_path, cache, program=f'{WATCHED}\n{call}\nprint("DID", sorted(did), file=sys.stderr)')
    assert [what.split()[0] for what in told] == ["socket.__new__", "socket.connect"]


@pytest.mark.long
def test_the_app_writes_nothing_and_calls_nobody(tmp_path: Path, cache: Path) -> None:
    assert did(tmp_path, cache, program=APP) == ["at heads"]
    assert list(tmp_path.iterdir()) == []
