"""What a guest's process can't do, tried in one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TRIES = {
    "read": "open('/etc/passwd').read()",
    "read by handle": "os.open('/etc/passwd', os.O_RDONLY)",
    "through a link": "open('/proc/self/root/etc/passwd').read()",
    "by dots": "open(os.path.dirname(txexplain.__file__) + '/../../../../../../../etc/passwd').read()",
    "environment": "open('/proc/self/environ', 'rb').read()",
    "parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "write": "open(HERE + '/guest-was-here', 'w')",
    "write into the program": "open(txexplain.__file__, 'a')",
    "write by handle": "os.open(txexplain.__file__, os.O_WRONLY)",
    "list": "os.listdir('/')",
    "scan": "list(os.scandir('/home'))",
    "walk": "list(Path('/').iterdir())",
    "folder": "os.mkdir(HERE + '/guest-was-here')",
    "remove": "os.remove(HERE + '/nothing-there')",
    "rename": "os.rename(HERE + '/a', HERE + '/b')",
    "link": "os.symlink('/etc/passwd', HERE + '/guest-link')",
    "connect": "socket.create_connection(('127.0.0.1', 9), 1)",
    "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "name": "socket.getaddrinfo('localhost', 80)",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "abstract": "socket.socket(socket.AF_UNIX).connect('\\0x')",
    "process": "subprocess.run(['true'])",
    "shell": "os.system('true')",
    "exec": "os.execv('/bin/true', ['true'])",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "fork": "os.fork()",
    "signal": "os.kill(os.getppid(), 0)",
    "library": "ctypes.CDLL('libc.so.6')",
    "temporary": "tempfile.TemporaryFile()",
}
CODE = """
import ctypes, json, os, socket, subprocess, sys, tempfile
from pathlib import Path
import txexplain
from txexplain.serve.guest import close_doors, limit
limit()
close_doors()
HERE = sys.argv[1]
found = {}
for name, code in json.loads(sys.stdin.read()).items():
    try:
        exec(code)
        found[name] = "done"
    except BaseException as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    needed = {"read own source": "open(txexplain.__file__).read()", "import": "import fractions", "memory": "bytearray(2_000_000_000)"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE, str(tmp_path_factory.mktemp("outside"))],
        input=json.dumps(TRIES | needed),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd="/",
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", TRIES)
def test_a_guest_is_refused(found: dict[str, str], name: str) -> None:
    assert found[name] in ("PermissionError", "OSError", "FileNotFoundError")  # the last two where a library says it in its own way


def test_the_app_has_what_it_needs(found: dict[str, str]) -> None:
    assert (found["read own source"], found["import"], found["memory"]) == ("done", "done", "MemoryError")
