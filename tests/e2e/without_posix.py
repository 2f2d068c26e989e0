"""A Python that lacks what Windows lacks, as far as a Linux can be made to: test_without_posix runs it in a process of its own.

Libraries are loaded first, since on Windows they are other files; then modules, functions and signals go, and the product comes.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import ctypes
import importlib
import io
import os
import pkgutil
import shutil
import signal
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
from typing import Any

import click.shell_completion  # noqa: F401
import huggingface_hub  # noqa: F401
import numpy  # noqa: F401
import textual.app
import textual.command
import textual.drivers.headless_driver  # noqa: F401
import threadpoolctl  # noqa: F401
import tiktoken  # noqa: F401

MODULES = ("termios", "fcntl", "pty", "tty", "resource", "pwd", "grp", "syslog", "curses", "readline", "posix")
FUNCTIONS = """
    fork forkpty openpty getpgrp getpgid setpgid getsid setsid setpgrp killpg tcgetpgrp tcsetpgrp getuid geteuid getgid getegid getgroups
    setuid setgid chown lchown fchown fchmod mkfifo mknod nice getpriority setpriority uname getloadavg sched_getaffinity
    sched_setaffinity statvfs
    fstatvfs sysconf posix_fadvise posix_fallocate pread preadv pwrite wait3 wait4 WIFSIGNALED WNOHANG ctermid chroot sendfile
    copy_file_range memfd_create O_NOFOLLOW O_NOCTTY O_NONBLOCK O_DIRECTORY O_CLOEXEC O_SYNC O_PATH
"""
SIGNALS = [*(name for name in dir(signal) if name.startswith("SIG") and name.isalnum()), "pthread_kill", "setitimer", "alarm", "pause"]
COMMANDS = """
    --help
    --version
    predict Once_upon --json
    generate Once_upon --tokens 2
    tokens Once_upon
    attention Once_upon --at L3H5
    head-stats Once_upon
    describe Once_upon --at L3
    explain Once_upon --at L3
    keys
    lessons
    lessons check rest
    models
    models info storyteller
    models verify storyteller
    models cache
    completion bash
    render Once_upon -o a.svg
    poster Once_upon -o b.svg
    trace Once_upon -o c.safetensors
    predict --trace c.safetensors
"""
KEPT = ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM")  # those of Windows; it also has SIGBREAK
NAMES = {"os": FUNCTIONS.split(), "signal": [name for name in SIGNALS if name not in KEPT]}


def take_away() -> None:
    """From here on this Python lacks them: for the product, and for what it calls with what it was given."""
    load = builtins.__import__

    def import_(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if level == 0 and name in MODULES and ours(globals):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, globals, locals, fromlist, level)

    builtins.__import__ = import_
    usage = shutil.disk_usage(os.curdir)
    shutil.disk_usage = lambda _: usage  # Windows's asks its own system
    for module in (os, signal):
        for name in NAMES[module.__name__]:
            with contextlib.suppress(AttributeError):
                delattr(module, name)

    def library(name: Any, *rest: Any, **options: Any) -> Any:
        if name is None:
            raise TypeError("LoadLibrary() argument 1 must be str, not None")
        return ctypes_cdll(name, *rest, **options)

    ctypes_cdll = ctypes.CDLL
    ctypes.CDLL = library  # type: ignore[assignment, misc]
    asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = unheard  # type: ignore[method-assign, attr-defined]


def ours(globals: Any) -> bool:
    """Whether it is the product that imports."""
    return str((globals or {}).get("__name__", "")).partition(".")[0] == "txexplain"


def unheard(*_: object) -> None:
    raise NotImplementedError


def command(*words: str) -> tuple[int, str, str]:
    """One command line, in this process: its exit code and what it said."""
    from txexplain.cli import cli

    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(list(words))
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    out.flush()
    return code, out.buffer.getvalue().decode(), err.getvalue()  # type: ignore[attr-defined]


def app() -> str:
    """The app from its first screen through a few keys to its end; what the stage then showed."""
    from txexplain.explorer.state import ExplorerState
    from txexplain.front.options import UiOptions
    from txexplain.models import load_model
    from txexplain.ui.app import ExplorerApp

    async def go() -> str:
        explorer = ExplorerApp(ExplorerState(), UiOptions(color="truecolor"), lambda progress: load_model("storyteller"))
        async with explorer.run_test(size=(100, 30)) as pilot:
            while explorer.result is None:
                await pilot.pause()
            await pilot.press("enter", "enter", "ctrl+z", "bracketleft", "i", "escape", "question_mark", "escape")
            place = str(explorer.state.location)
            explorer.exit()
        return place

    return asyncio.run(go())


def main() -> None:
    os.chdir(sys.argv[1])
    take_away()
    import txexplain

    for module in pkgutil.walk_packages(txexplain.__path__, "txexplain."):
        if module.name != "txexplain.__main__":
            importlib.import_module(module.name)
    for line in COMMANDS.strip().splitlines():
        words = [word.replace("_", " ") for word in line.split()]
        code, out, err = command(*words)
        assert (code, err) == (0, ""), (words, code, err)
        assert out.strip() or "-o" in words, words
    code, _, err = command()  # no terminal: one sentence
    assert code == 2, err
    assert err.count("\n") == 1, err
    sys.stdout.write(app())


if __name__ == "__main__":
    main()
