"""What is written, and what isn't: the one writer, and that there is no other. Folders here are shared with people who plant things."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import txexplain
from txexplain import files
from txexplain.cli import cli
from txexplain.cli.output import write_picture
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.errors import TraceError
from txexplain.explorer.lesson import load
from txexplain.explorer.reading import record
from txexplain.files import HELD, Place, followed, link_of, make_folder, open_kept, put_link, read_whole, write_whole
from txexplain.front.config import config_path, remember_theme
from txexplain.ui.deeds import keep
from txexplain.ui.save import SaveScreen
from txexplain.ui.terminal.rescue import crash_report
from txexplain.viz.palette import Palette
from txexplain.viz.svg import escaped

ROOT = Path(__file__).parents[1]
PACKAGE = Path(txexplain.__file__).parent
SAVED = ROOT / "tests" / "golden" / "saved" / "one"
STRANGER = 54321  # a user whom no machine has


@pytest.fixture
def bashrc(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody means to write; it is as it was in the end."""
    home = tmp_path / "home"
    home.mkdir()
    path = home / "bashrc"
    path.write_text("# mine\n")
    yield path
    assert path.read_text() == "# mine\n"
    assert [each.name for each in home.iterdir()] == ["bashrc"]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def of_a_stranger(link: Path, patch: pytest.MonkeyPatch) -> None:
    """Let a link belong to another user: root gives it away, everybody else becomes another one."""
    if os.geteuid() == 0:
        os.lchown(link, STRANGER, STRANGER)
    else:
        patch.setattr(os, "geteuid", lambda: STRANGER)


# The callers: answers, pictures, f8, the theme, each to a file of their own


def keep_answers(path: Path) -> str:
    return keep(path, record(load("attention"), {}))


def save_picture(path: Path) -> str:
    screen = SaveScreen(Palette(), path.name, "<svg/>", lambda: None)
    screen.warned = str(path)  # Enter was pressed once already
    return screen.save(str(path))


def write_theme(path: Path) -> str:
    assert path == config_path()
    remember_theme("light")
    return ""


def write_svg(path: Path) -> str:
    write_picture(path, "<svg/>")
    return ""


def save_trace(path: Path) -> str:
    Trace((1,), {}).save(path)
    return ""


def own(path: Path) -> str:
    write_whole(path, b"x")
    return ""


CALLERS: dict[Callable[[Path], str], str] = {
    keep_answers: "answers.json", save_picture: "a.svg", write_theme: "config.toml", write_svg: "b.svg", save_trace: "c.safetensors",
    own: "d",
}  # fmt: skip
callers = pytest.mark.parametrize("write", CALLERS, ids=lambda write: write.__name__)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each of them writes: the folder of the config file will do for all."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "txexplain"
    path.mkdir()
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@callers
def test_links_planted_beside_a_file_are_not_written_through(write: Callable[[Path], str], folder: Path, bashrc: Path) -> None:
    """The names that the first edition wrote to, which a stranger could foresee: one for all, or one for each process."""
    path = folder / CALLERS[write]
    planted = [folder / f".{path.name}.part", folder / f".{path.name}.{os.getpid()}"]
    for link in planted:
        link.symlink_to(bashrc)
    assert write(path) == ""
    assert path.is_file()
    assert not path.is_symlink()
    assert names(folder) == sorted([path.name, *(link.name for link in planted)])


@callers
def test_a_folder_or_a_pipe_beside_a_file_is_nothing_to_it(write: Callable[[Path], str], folder: Path) -> None:
    path = folder / CALLERS[write]
    (folder / f".{path.name}.part").mkdir()
    os.mkfifo(folder / f".{path.name}.{os.getpid()}")
    assert write(path) == ""
    assert path.is_file()


@callers
def test_permissions_are_kept(write: Callable[[Path], str], folder: Path) -> None:
    path = folder / CALLERS[write]
    path.touch()
    for mode in (0o600, 0o640, 0o644, 0o400):
        path.chmod(mode)
        before = path.stat().st_ino
        assert write(path) == ""
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_ino != before


@callers
def test_a_new_file_has_what_the_umask_gives(write: Callable[[Path], str], folder: Path) -> None:
    path = folder / CALLERS[write]
    for umask in (0o022, 0o077, 0o002):
        path.unlink(missing_ok=True)
        old = os.umask(umask)
        try:
            assert write(path) == ""
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@callers
def test_a_link_of_the_reader_s_own_is_followed(write: Callable[[Path], str], folder: Path, tmp_path: Path) -> None:
    path, real = folder / CALLERS[write], tmp_path / "elsewhere.svg"
    real.write_text("")
    path.symlink_to(tmp_path / "again")
    (tmp_path / "again").symlink_to("elsewhere.svg")
    assert write(path) == ""
    assert path.is_symlink()
    assert real.stat().st_size


REFUSED = "another user"


@callers
def test_a_link_of_another_user_is_refused(
    write: Callable[[Path], str], folder: Path, bashrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / CALLERS[write]
    path.symlink_to(bashrc.parent / "not there yet")
    of_a_stranger(path, monkeypatch)
    try:
        said = write(path)
    except (OSError, TraceError, Exception) as error:
        said = str(error)
    assert REFUSED in said
    assert names(folder) == [path.name]


def test_nor_is_a_folder_reached_through_one(shared: Path, bashrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shared / "results").symlink_to(bashrc.parent)
    (shared / "up").symlink_to(".")
    assert followed(shared / "results" / ".." / "x") == bashrc.parent.parent / "x", "as the system reads it"
    assert followed(shared / "up" / "up" / "x") == shared / "x"
    with pytest.raises(FileNotFoundError):
        followed(shared / "new" / ".." / "x")
    of_a_stranger(shared / "results", monkeypatch)
    for path in (shared / "results" / "a", shared / "up" / "results" / "a", shared / "results" / ".." / "home" / "a"):
        with pytest.raises(PermissionError, match=REFUSED):
            write_whole(path, b"x")
    with pytest.raises(PermissionError, match=REFUSED):
        write_whole(shared / "results" / "a", b"x", private=True)


def test_links_in_a_circle_end(shared: Path) -> None:
    (shared / "a").symlink_to("b")
    (shared / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(shared / "a", b"x")


def test_the_fresh_name_itself_is_not_followed(shared: Path, bashrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one who foresaw it gains nothing."""
    monkeypatch.setattr(os, "urandom", lambda n: b"\1" * n)
    planted = shared / f".{'01' * 8}.part"
    planted.symlink_to(bashrc)
    with pytest.raises(FileExistsError):
        write_whole(shared / "a", b"x")
    assert planted.is_symlink(), "it is another's"
    assert names(shared) == [planted.name]


def link_into_cache(path: Path) -> str:
    put_link(path, "nowhere")
    return ""


def lock(path: Path) -> str:
    os.close(open_kept(path))
    return ""


@pytest.mark.skipif(not HELD, reason="folders can't be held open here")
@pytest.mark.parametrize("write", [*CALLERS, link_into_cache], ids=lambda write: write.__name__)
def test_a_folder_that_is_swapped_for_a_link_meanwhile_gets_nothing_elsewhere(
    write: Callable[[Path], str], tmp_path: Path, bashrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner waits until the way was looked at, and then lets the folder's name lead to another's home."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder, aside = tmp_path / "txexplain", tmp_path / "aside"
    folder.mkdir()
    real = os.urandom

    def swapped(n: int) -> bytes:  # a fresh name is made once it is known where to
        if not aside.exists():
            folder.rename(aside)
            folder.symlink_to(bashrc.parent)
        return real(n)

    monkeypatch.setattr(os, "urandom", swapped)
    name = CALLERS.get(write, "config.json")
    assert write(folder / name) == ""
    assert names(aside) == [name]


@pytest.mark.skipif(not HELD, reason="folders can't be held open here")
@pytest.mark.parametrize("write", [own, lock, link_into_cache, make_folder], ids=lambda write: write.__name__)
def test_nor_one_that_is_swapped_while_it_is_looked_at(
    write: Callable[[Path], object], shared: Path, bashrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / "results").mkdir()

    def looked_at(place: Place) -> Path | None:
        found = link_of(place)
        if place.path.name == "results":
            (shared / "results").rmdir()
            (shared / "results").symlink_to(bashrc.parent)
        return found

    monkeypatch.setattr(files, "link_of", looked_at)
    with pytest.raises(NotADirectoryError):
        write(shared / "results" / "a")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="it takes two users")
@pytest.mark.parametrize("held", [True, False] if HELD else [False])
def test_a_stranger_s_links_in_a_shared_folder_lead_nowhere(
    held: bool, bashrc: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by another user, and met by one who isn't root either."""
    monkeypatch.setattr(files, "HELD", held)
    shared.chmod(0o777)
    for link, to in (("a.svg", bashrc), ("results", bashrc.parent), ("far", Path("results"))):
        (shared / link).symlink_to(to)
        os.lchown(shared / link, STRANGER, STRANGER)
    (shared / "mine").symlink_to("far")
    for path in ("a.svg", "results/new", "far/new", "mine/new", "results/../home/new", "mine/../results/bashrc"):
        for attempt in (
            lambda path: write_whole(path, b"x"),
            lambda path: make_folder(path / "more"),
            lambda path: put_link(path / "x", "y"),
        ):
            with pytest.raises(PermissionError, match=REFUSED):
                attempt(shared / path)
    write_whole(shared / "a.svg", b"x", private=True)
    assert not (shared / "a.svg").is_symlink(), "the program's own file takes the link's place"


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        make_folder(tmp_path / "a" / "b" / "c")
        make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "a")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put there between the look at it and its opening."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    whole = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: whole)
    assert read_whole(tmp_path / "file", 1) == b"x"
    with pytest.raises(OSError, match="Not a regular file"):
        read_whole(tmp_path / "pipe", 10)
    with pytest.raises(OSError, match="It has 1 bytes, more than 0"):
        read_whole(tmp_path / "file", 0)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["folder", "pipe"])
@pytest.mark.parametrize("private", [False, True])
def test_what_is_no_file_is_not_replaced(shared: Path, make: Callable[[Path], None], private: bool) -> None:
    make(shared / "a")
    with pytest.raises(OSError, match=r"(?i)is a directory|not a regular file"):
        write_whole(shared / "a", b"x", private=private)
    assert names(shared) == ["a"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError, OSError])
def test_what_ends_half_way_leaves_nothing(shared: Path, end: type[BaseException]) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise end

    (shared / "a").write_bytes(b"before")
    with pytest.raises(end):
        write_whole(shared / "a", pieces())
    assert names(shared) == ["a"]
    assert (shared / "a").read_bytes() == b"before"


def test_a_name_may_be_as_long_as_the_disk_allows(shared: Path) -> None:
    write_whole(shared / ("x" * 255), b"x")
    assert names(shared) == ["x" * 255]


def test_a_stranger_s_file_opens_nothing(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted where a picture is expected and open to all, it would show the prompt; closed, it is a wish to be kept."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    old = os.umask(0o077)
    try:
        for mode, kept in ((0o666, 0o600), (0o400, 0o400)):
            (shared / "a").unlink(missing_ok=True)
            (shared / "a").touch()
            (shared / "a").chmod(mode)
            write_whole(shared / "a", b"x")
            assert stat.S_IMODE((shared / "a").stat().st_mode) == kept
    finally:
        os.umask(old)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files to groups that it isn't in")
def test_a_group_keeps_its_file(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared / "a"
    path.touch()
    os.chown(path, -1, STRANGER)
    path.chmod(0o664)
    write_whole(path, b"x")
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (STRANGER, 0o664)

    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refused)
    write_whole(path, b"x")
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (os.getegid(), 0o644), "another group gets no more than all"


def test_a_crash_report_is_for_one_pair_of_eyes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bashrc: Path) -> None:
    """Two within a second are two, and what was planted under a name that the clock tells isn't written to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(time, "strftime", lambda _: "crash-20260101-120000")
    folder = tmp_path / "txexplain"
    folder.mkdir(mode=0o777)
    (folder / "crash-20260101-120000.log").symlink_to(bashrc)
    for _ in range(2):
        assert f"Details: {folder}" in crash_report(ValueError("x"), "txexplain")
    logs = [path for path in folder.iterdir() if not path.is_symlink()]
    assert len(logs) == 2
    assert all(re.fullmatch(r"crash-20260101-120000-[0-9a-f]{6}\.log", path.name) for path in logs)
    assert {stat.S_IMODE(path.stat().st_mode) for path in logs} == {0o600}


# The commands


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, list(words), env={"TXEXPLAIN_MODEL": ""})
    assert done.exit_code in (0, 2), done.exception
    return done.exit_code, done.output


OUT = {"render": "a.svg", "poster": "b.svg", "trace": "c.safetensors"}


@pytest.mark.parametrize("command", OUT)
def test_commands_keep_permissions_and_refuse_strangers_links(
    command: str, shared: Path, bashrc: Path, monkeypatch: pytest.MonkeyPatch, storyteller: GPT2
) -> None:
    path = shared / OUT[command]
    path.touch(mode=0o600)
    assert run(command, "x", "-o", str(path))[0] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    path.symlink_to(bashrc)
    of_a_stranger(path, monkeypatch)
    code, said = run(command, "x", "-o", str(path))
    assert (code, REFUSED in said, said.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("name", [b"bad\xff", b"esc\x1b[31m\x01", b"new\nline\ttab", "￾<script>&".encode()], ids=ascii)
def test_a_model_s_folder_may_have_any_name(shared: Path, name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are well-formed and traces can be opened."""
    try:
        folder = Path(os.fsdecode(os.path.join(os.fsencode(shared), name)))  # noqa: PTH118
        shutil.copytree(SAVED, folder)
    except OSError:
        pytest.skip("this disk has no such names")
    for command, file in OUT.items():
        code, said = run(command, "x", "--model", str(folder), "-o", str(shared / file))
        assert code == 0, said
    for picture in ("a.svg", "b.svg"):
        drawn = ElementTree.fromstring((shared / picture).read_text("utf-8"))
        assert [each for each in drawn.iter() if each.tag.endswith("script")] == []
    assert Trace.load(shared / "c.safetensors").model
    assert names(shared) == sorted([*OUT.values(), folder.name])


def test_any_character_may_stand_in_a_picture() -> None:
    for start in range(0, 0x110000, 0x1000):
        text = "".join(map(chr, range(start, start + 0x1000)))
        root = ElementTree.fromstring(f"<text>{escaped(text)}</text>".encode("utf-8", "strict"))
        assert len(root.text or "") == len(text), hex(start)


# And nothing else writes


WRITES = {"write_text", "write_bytes", "touch", "mkdir", "makedirs", "rename", "renames", "symlink_to", "hardlink_to", "link_to", "link"}
WRITES |= {"symlink", "chmod", "chown", "truncate", "mkstemp", "mkdtemp", "save_file", "savez", "savez_compressed", "tofile"}
WRITES |= {"NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory", "copyfile", "copy2", "copytree", "mkfifo", "umask", "dump"}
OF_MODULES = {"shutil": {"copy", "move"}, "np": {"save"}, "os": {"replace"}}


def writing(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The calls of a module by which something could come to be on a disk."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        words = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
        if isinstance(node.func, ast.Name):
            name, whose = node.func.id, ""
        elif isinstance(node.func, ast.Attribute):
            name = node.func.attr
            whose = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        else:
            continue
        if name == "open" and whose == "os":  # of what is on no disk, or to read
            told = ast.dump(node)
            found = not ("'devnull'" in told or "/dev/tty" in words or re.search("O_RDONLY|id='flags'", told))
        elif name in ("open", "fdopen"):
            at = 0 if name == "open" and isinstance(node.func, ast.Attribute) and whose not in ("io", "codecs") else 1
            given = [node.args[at]] if len(node.args) > at else [each.value for each in node.keywords if each.arg == "mode"]
            modes = [each.value if isinstance(each, ast.Constant) else "w" for each in given]
            found = any(set(str(mode)) & set("wax+") for mode in modes) and not any(each.arg == "closefd" for each in node.keywords)
        else:  # a text's replace takes two arguments, dataclasses.replace keywords
            moved = name == "replace" and isinstance(node.func, ast.Attribute) and len(node.args) == 1 and not node.keywords
            found = name in WRITES or name in OF_MODULES.get(whose, ()) or moved
        if found:
            yield node.lineno, name


def test_nothing_but_the_writer_writes() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 80
    found = {path.relative_to(PACKAGE).as_posix(): sorted(writing(ast.parse(path.read_text("utf-8")))) for path in modules}
    assert {name for _, name in found.pop("files.py")} >= {"fdopen", "replace", "mkdir", "symlink"}
    assert {file: calls for file, calls in found.items() if calls} == {}


FOUND = """
open(p, 'w') | open(p, mode='ab') | open(p, kind) | path.open('x') | path.write_text(s) | os.open(p, os.O_CREAT)
path.replace(other) | part.rename(other) | os.replace(a, b) | tempfile.mkstemp() | shutil.copy(a, b) | np.save(p, a) | os.fdopen(h, 'wb')
"""
NOT_FOUND = """
open(p) | path.open('rb') | open(p, 'rb', opener=own) | text.replace('a', 'b') | replace(state, at=3) | os.open('/dev/tty', os.O_RDWR)
os.open(p, flags + more)
"""  # the last is an opener, which open() gives its flags: that call's mode is seen


def test_the_search_finds_what_writes_and_that_alone() -> None:
    for lines, there in ((FOUND, True), (NOT_FOUND, False)):
        for line in lines.strip().replace("\n", " | ").split(" | "):
            assert bool(list(writing(ast.parse(line)))) == there, line


def test_what_is_kept_of_answers_is_whole(shared: Path) -> None:
    keep_answers(shared / "answers.json")
    assert json.loads((shared / "answers.json").read_text())["format"] == "txexplain-answers/1"


def test_a_user_without_a_home_misses_nothing_but_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that the system has no name for, as containers give."""

    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    code, said = run("keys")
    assert (code, "quit" in said, "config.toml" in said) == (0, True, False)
    with pytest.raises(OSError, match="This user has no home"):
        remember_theme("light")
    assert "can't be kept in ~/.local/state/txexplain: This user has no home" in crash_report(ValueError("x"), "txexplain")
    code, said = run("models", "cache")
    assert (code, "no home" in said) == (2, True)
