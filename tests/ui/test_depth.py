"""What a terminal's name, environment and answers say about its colours and its ground."""

from __future__ import annotations

import pytest

from txexplain.front.depth import depth_of, theme_of

NAMES = {
    "truecolor": (
        "foot foot-extra foot-direct alacritty alacritty-direct xterm-kitty xterm-ghostty ghostty wezterm st st-256color mlterm"
        " mlterm-256color contour konsole-256color vte-256color mintty rio ms-terminal xterm-direct tmux-direct"
    ),
    "256": "xterm xterm-256color xterm-new tmux tmux-256color screen-256color screen.xterm-256color rxvt-unicode-256color putty gnome Xterm",
    "16": "screen linux ansi cygwin rxvt rxvt-unicode xterm-16color xterm-color xterm-88color screen-16color sterm konsole-16color eterm",
    "none": "vt100 vt220 vt102 dumb unknown xterm-mono",
}


@pytest.mark.parametrize(("depth", "term"), [(depth, term) for depth, terms in NAMES.items() for term in terms.split()])
def test_a_terminals_name_tells_its_colours(depth: str, term: str) -> None:
    assert depth_of({"TERM": term}) == depth


@pytest.mark.parametrize(
    ("environ", "answered", "depth"),
    [
        ({}, None, "none"),
        ({"OS": "Windows_NT"}, None, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, None, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, None, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "yes"}, None, "256"),
        ({"TERM": "xterm-256color"}, "truecolor", "truecolor"),
        ({"TERM": "foot"}, "256", "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "truecolor", "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, None, "256"),
        ({"TEXTUAL_COLOR_SYSTEM": "truecolor"}, None, "truecolor"),  # textual-serve
        ({"TERM": "xterm", "TEXTUAL_COLOR_SYSTEM": "256", "COLORTERM": "truecolor"}, "truecolor", "256"),
        ({"TERM": "foot", "TEXTUAL_COLOR_SYSTEM": "standard"}, None, "16"),
        ({"TERM": "foot", "TEXTUAL_COLOR_SYSTEM": "auto"}, None, "truecolor"),
        ({"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0"}, None, "256"),
        ({"TERM": "screen-256color", "TMUX": "/tmp/tmux-0/default,1,0", "COLORTERM": "truecolor"}, None, "truecolor"),
        ({"TERM": "screen.xterm-256color", "STY": "1.pts", "COLORTERM": "truecolor"}, None, "256"),
        ({"TERM": "screen", "STY": "1.pts", "COLORTERM": "truecolor"}, None, "16"),
    ],
)
def test_what_counts_beside_the_name(environ: dict[str, str], answered: str | None, depth: str) -> None:
    assert depth_of(environ, answered) == depth


@pytest.mark.parametrize(
    ("ground", "colorfgbg", "theme"),
    [
        (None, "", "dark"),
        ((255, 255, 255), "", "light"),
        ((0xFD, 0xF6, 0xE3), "15;0", "light"),  # Solarized; the answer counts for more than the variable
        ((0, 0, 0), "0;15", "dark"),
        ((0, 0x2B, 0x36), "", "dark"),
        ((0x28, 0x2C, 0x34), "", "dark"),
        (None, "0;15", "light"),
        (None, "0;7", "light"),
        (None, "0;default;15", "light"),
        (None, "15;0", "dark"),
        (None, "7;8", "dark"),
        (None, "default;default", "dark"),
        (None, "15;-1", "dark"),
        (None, "15;²", "dark"),
    ],
)
def test_the_ground_tells_the_theme(ground: tuple[int, int, int] | None, colorfgbg: str, theme: str) -> None:
    assert theme_of(ground, {"COLORFGBG": colorfgbg}) == theme
