"""The reader's own file, optional: a theme, whether the cursor is seen, and keys.

Read when the app starts, written only when a theme is chosen in it.

# ~/.config/txexplain/config.toml
theme = "light"         # or dark, contrast; auto, as without the line, follows the terminal's ground
glyphs = "half"         # what pictures are made of where the font lacks eighths or quadrants of blocks; or edge, ascii
picture = "glyphs"      # never in pixels; or kitty, sixel, iterm; auto, as without the line, asks the terminal
cursor = true           # the terminal's cursor is seen; it stands at what is selected

[keys]                  # actions by their ids; `txexplain keys` lists them
draw = "d"
residual = "D f11"
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from txexplain.bounded import load_toml
from txexplain.errors import ExplainError, reason
from txexplain.files import make_folder, own_folder, read_whole, write_whole
from txexplain.front.actions import ACTIONS, key_of
from txexplain.front.medium import PICTURES
from txexplain.text import shown
from txexplain.viz.palette import AUTO, BLOCKS, THEMES

THEME_LINE = re.compile(r"""^[ \t]*(?:theme|"theme"|'theme')[ \t]*=.*$""", re.MULTILINE)
GLYPHS = (*BLOCKS, "ascii")  # of pictures
LARGEST = 20_000  # bytes; a table of all keys takes a few thousand, and a key of many dots the square of its length in time


class ConfigError(ExplainError):
    """The config file can't be used."""


@dataclass(frozen=True)
class Config:
    """theme: a theme's name, "auto", or None. cursor: whether the terminal's is seen. glyphs: one of GLYPHS, or None.
    picture: one of PICTURES, or None. keys: an action's id -> its keys, by Textual's names."""

    theme: str | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cursor: bool = False
    glyphs: str | None = None
    picture: str | None = None


def config_path() -> Path:
    """Where the file is, or would be. Raises FileNotFoundError where the user has no home."""
    return own_folder("XDG_CONFIG_HOME", "~/.config") / "config.toml"


def read_config() -> Config:
    """What the file says; nothing where there is none. Raises ConfigError."""
    try:
        path = config_path()
        told = load_toml(read_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except OSError as error:
        raise ConfigError(f"{shown(str(path), 300)} can't be read: {reason(error)}.") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of thousands of digits, or nested too deeply
        raise ConfigError(f"{shown(str(path), 300)} isn't TOML: {shown(str(error))}. Mend it or take it away.") from None
    unknown = sorted(set(told) - {"theme", "cursor", "glyphs", "picture", "keys"})
    if unknown:
        raise ConfigError(
            f"{shown(str(path), 300)}: {shown(unknown[0])} is none of its settings, which are theme, cursor, glyphs, picture and [keys]."
        )
    theme, cursor, keys = told.get("theme"), told.get("cursor", False), told.get("keys", {})
    if theme is not None and not (isinstance(theme, str) and theme in (AUTO, *THEMES)):
        raise ConfigError(f"{shown(str(path), 300)}: theme is {shown(repr(theme))}; it is one of {', '.join((AUTO, *THEMES))}.")
    if not isinstance(cursor, bool):
        raise ConfigError(f"{shown(str(path), 300)}: cursor is {shown(repr(cursor))}; it is true or false.")
    for name, known in (("glyphs", GLYPHS), ("picture", PICTURES)):
        if name in told and told[name] not in known:
            raise ConfigError(f"{shown(str(path), 300)}: {name} is {shown(repr(told[name]))}; it is one of {', '.join(known)}.")
    if not isinstance(keys, dict):
        raise ConfigError(f'{shown(str(path), 300)}: keys is a table, [keys], of lines like draw = "d".')
    return Config(theme, keys_of(path, keys), cursor, told.get("glyphs"), told.get("picture"))


def keys_of(path: Path, told: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The table of keys, checked. Raises ConfigError for an action or key that there isn't, and for a key with two actions."""
    ids, owner, found = {action.id for action in ACTIONS}, dict[str, str](), dict[str, tuple[str, ...]]()
    for name, text in told.items():
        if name not in ids:
            raise ConfigError(f"{shown(str(path), 300)}: no action is called {shown(name)}; txexplain keys lists them.")
        if not isinstance(text, str) or not text.split():
            raise ConfigError(f'{shown(str(path), 300)}: {name} needs one key or several, like {name} = "x f11".')
        keys = []
        for word in text.split():
            key = key_of(word)
            if key is None:
                raise ConfigError(
                    f"{shown(str(path), 300)}: {name} = {shown(word)} is no key, as x, [, f5, ctrl+x, shift+left and space are."
                )
            if owner.setdefault(key, name) != name:
                raise ConfigError(f"{shown(str(path), 300)}: {shown(word)} is both {owner[key]} and {name}; a key does one thing.")
            keys.append(key)
        found[name] = tuple(keys)
    return found


def read_text(path: Path) -> str:
    """The file's text, without the mark that some editors put before it. Raises OSError, UnicodeDecodeError."""
    return read_whole(path, LARGEST).decode("utf-8-sig")


def remember_theme(theme: str) -> Path:
    """Write a theme into the file, whose other lines stay as they are. Raises OSError."""
    path = config_path()
    try:
        old = read_text(path)
    except FileNotFoundError:
        old = ""
    except UnicodeDecodeError:
        raise OSError(errno.EINVAL, "it isn't UTF-8") from None
    make_folder(path.parent)
    write_whole(path, with_theme(old, theme).encode("utf-8"))
    return path


def with_theme(old: str, theme: str) -> str:
    """A file's text with another theme and all else as it was. Raises OSError where no line can be changed so.

    A line that begins with theme may be a key of [keys], or part of a text; so what comes of it is read again.
    """
    line = f'theme = "{theme}"'
    try:
        wanted = {**load_toml(old), "theme": theme}
        for start, end in (*((found.start(), found.end()) for found in THEME_LINE.finditer(old)), (0, 0)):
            new = old[:start] + line + ("\n" if start == end else "\r" if old[start:end].endswith("\r") else "") + old[end:]
            with suppress(ValueError):
                if load_toml(new) == wanted:
                    return new
    except (ValueError, RecursionError):
        pass
    raise OSError(errno.EINVAL, "no line of it can be changed for that")
