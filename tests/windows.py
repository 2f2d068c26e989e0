"""Terminals in windows that nobody sees (Xvfb), and what stands on their screens, pixel by pixel."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.front.render import scene_for
from txexplain.viz.palette import Palette
from txexplain.viz.pixels import edged
from txexplain.viz.screen import paint_screen

FOX = "The little fox lost her red ball. She looked everywhere for her red"
SIZE = (1500, 1000)
WINDOWS = {
    "kitty": ("kitty", ["-o", "remember_window_size=no", "-o", "initial_window_width=120c", "-o", "initial_window_height=40c", "-o",
                        "update_check_interval=0"], 0),
    "sixel": ("xterm", ["-ti", "vt340", "-geometry", "120x40+0+0", "-e"], 2),
}  # fmt: skip
PATIENCE = 120.0


class Window:
    """A program in a terminal's window on a screen of its own."""

    def __init__(self, home: Path, words: Sequence[str]) -> None:
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24"], pass_fds=[write], stderr=subprocess.DEVNULL
        )
        os.close(write)
        with os.fdopen(read) as told:
            self.display = ":" + told.readline().strip()
        alone = {name: value for name, value in os.environ.items() if name not in ("TMUX", "STY", "SSH_TTY", "SSH_CONNECTION", "NO_COLOR")}
        self.env = alone | {
            "DISPLAY": self.display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "XDG_CONFIG_HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
        }
        self.terminal = subprocess.Popen(words, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def picture(self, path: Path) -> None:
        """The screen as a picture, without what is black around the window, once it stays as it is."""
        before = None
        while before is None or not np.array_equal(before, self.seen()):
            before = self.seen()
        subprocess.check_call(
            ["import", "-window", "root", "-trim", "+repage", "-strip", "+dither", "-colors", "255", f"png8:{path}"], env=self.env
        )

    def seen(self) -> np.ndarray:
        """The whole screen. Shapes: -> [h · w] of 0xRRGGBB."""
        data = subprocess.check_output(["import", "-window", "root", "-depth", "8", "rgb:-"], env=self.env)
        return np.frombuffer(data, dtype=np.uint8).reshape(-1, 3).astype(np.int64) @ (1 << 16, 1 << 8, 1)

    def until(self, so: Callable[[np.ndarray], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not so(self.seen()):
            assert time.monotonic() < end
            assert self.terminal.poll() is None

    def press(self, key: str) -> None:
        """Without a manager of windows, the keys go where the pointer is."""
        subprocess.check_call(["xdotool", "mousemove", "200", "200", "key", key], env=self.env)

    def close(self) -> None:
        for process in (self.terminal, self.server):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def app(*arguments: str) -> list[str]:
    """What a terminal runs: the app, and then something that waits."""
    return ["bash", "-c", shlex.join([sys.executable, "-m", "txexplain", *arguments]) + "; read -r _"]


def between(at: str, theme: str) -> np.ndarray:
    """The colours of smooth edges in a view, which no cell has. Shapes: -> [n, 3]."""
    canvas = paint_screen(scene_for(ExplorerState(prompt=FOX, location=parse(at)), UiOptions(color="truecolor", theme=theme), 120, 40))
    blocks = np.concatenate([edged(placed.picture, Palette(theme), (9, 18), steps=2)[1].ravel() for placed in canvas.pictures])
    return channels(np.setdiff1d(blocks, np.concatenate([canvas.bg.ravel(), canvas.fg.ravel()])))


def channels(colours: np.ndarray) -> np.ndarray:
    """Shapes: [n] -> [n, 3]."""
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)


def there(seen: np.ndarray, colours: np.ndarray, off: int) -> int:
    """How many of some colours are to be seen, each in some pixels."""
    distinct, counts = np.unique(seen, return_counts=True)
    found = [(counts[(np.abs(channels(distinct) - colour) <= off).all(axis=1)]).sum() for colour in colours]
    return sum(count >= 4 for count in found)
