"""Nothing outside guarded places needs what only POSIX has: the commands and the app run where it was taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("without_posix.py")


@pytest.mark.long
def test_commands_and_app_run_without_what_windows_lacks(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout) == (0, "L0"), done.stderr[-3000:]
