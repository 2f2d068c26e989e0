"""Over a real SSH connection: an sshd of our own on loopback, with a throw-away key."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
SIZE = (120, 40)
PATIENCE = 60.0
KIB = 1024
PROMPT = "Once upon a time there was a little girl"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None,
        reason="openssh-server and -client are not installed",
    ),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The ssh command that reaches it."""
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    folder.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nPidFile {folder}/pid\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    daemon = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=(folder / "log").open("wb"))
    command = [
        "ssh", "-tt", "-F", "/dev/null", "-p", str(port), "-i", str(folder / "user"), "-o", "StrictHostKeyChecking=no",
        "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", f"{getpass.getuser()}@127.0.0.1",
    ]  # fmt: skip
    end = time.monotonic() + PATIENCE
    while subprocess.run([*command, "true"], capture_output=True).returncode:
        if daemon.poll() is not None or time.monotonic() > end:
            pytest.skip(f"sshd doesn't serve here: {(folder / 'log').read_text()[-200:]}")
        time.sleep(0.1)
    yield command
    daemon.terminate()
    daemon.wait()


class Far:
    """The app at the other end."""

    def __init__(self, server: list[str], *arguments: str) -> None:
        env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        env |= {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith("XDG_")}
        words = [*(f"{key}={value}" for key, value in env.items()), sys.executable, "-m", "txexplain", *arguments]
        remote = f"cd {shlex.quote(str(Path.cwd()))} && exec env {' '.join(map(shlex.quote, words))}"
        self.child = pexpect.spawn(server[0], [*server[1:], remote], dimensions=SIZE[::-1], timeout=PATIENCE)
        self.screen = pyte.Screen(*SIZE)
        self.stream = pyte.ByteStream(self.screen)
        self.count = 0

    def text(self) -> str:
        return "\n".join(self.screen.display)

    def read(self, seconds: float) -> bool:
        with suppress(pexpect.TIMEOUT):
            data = self.child.read_nonblocking(65536, seconds)
            self.count += len(data)
            self.stream.feed(data.replace(b"\x1b[<u", b"").replace(b"\x1b[>1u", b"").replace(b"\x1b[?2026$p", b""))
            return True
        return False

    def until(self, so: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < end, self.text()
            self.read(0.05)

    def press(self, key: str, so: Callable[[], Any]) -> int:
        """A key, until it shows and nothing more comes; its bytes."""
        self.count = 0
        self.child.send(key)
        self.until(so)
        while self.read(0.3):
            pass
        return self.count


def test_the_app_over_ssh(server: list[str]) -> None:
    """A walk, its bytes a key, and an orderly end."""
    far = Far(server, PROMPT)
    far.until(lambda: "L5" in far.text() and "others" in far.text())
    while far.read(0.3):
        pass
    assert far.press("]", lambda: "T 1.10" in far.text()) <= 260 * SIZE[1] + KIB
    for place in ("L0", "L0.attn", "L0H0", "L0H0["):
        assert far.press("\r", lambda place=place: f"› {place}" in far.screen.display[0]) <= 128 * KIB  # type: ignore[misc]
    far.press("\x7f", lambda: far.screen.display[0].rstrip().split("  ")[0] and "› L0H0 " in far.screen.display[0])
    for key, shown in (("l", "K1"), ("l", "K2"), ("h", "K1")):  # from the strongest key, the first token
        assert far.press(key, lambda shown=shown: f"→ {shown}" in far.text()) <= KIB  # type: ignore[misc]
    far.press(" ", lambda: "drew" in far.text())
    far.child.send("q")
    far.child.expect(pexpect.EOF)
    far.child.close()
    assert far.child.exitstatus == 0


def test_a_connection_that_drops_leaves_no_process(server: list[str], tmp_path: Path) -> None:
    mark = str(tmp_path / "dropped")
    far = Far(server, "--prompt", mark)
    far.until(lambda: "others" in far.text())

    def alive() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if mark.encode() in line and b"txexplain" in line and entry.name != str(far.child.pid):
                    found.append(entry.name)
        return found

    assert alive()
    far.child.kill(9)
    end = time.monotonic() + PATIENCE
    while alive():
        assert time.monotonic() < end, alive()
        time.sleep(0.05)
    far.child.close(force=True)
