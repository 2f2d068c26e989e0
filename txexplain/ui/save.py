"""The field in which a picture gets its name: nothing is written that the reader didn't name."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from txexplain.errors import reason
from txexplain.explorer.location import Location
from txexplain.files import write_whole
from txexplain.text import shown
from txexplain.ui.ask import AskScreen, Stage
from txexplain.viz.palette import Palette

KIND = ".svg"


def free_name(place: Location) -> str:
    """A name for a picture of a place that no file of the present folder has."""
    stem = "txexplain-" + re.sub(r"[^\w.@]+", "-", str(place)).strip("-")
    return next(name for n in count(1) if not Path(name := f"{stem}{KIND}" if n == 1 else f"{stem}-{n}{KIND}").exists())


class SaveScreen(AskScreen):
    """Enter writes the text to the file named; a file that is there only after a second Enter. The answer is where it was written."""

    def __init__(self, tones: Palette, name: str, content: str, stage: Stage) -> None:
        super().__init__(tones, "save as", "a .svg file of this folder, or a path   ⏎ save   esc back", self.save, stage, name)
        self.content = content
        self.warned = ""  # the name whose file Enter replaces

    def save(self, name: str) -> str:
        """Write the file; the sentence that says why it wasn't."""
        try:
            path = Path(name.strip()).expanduser()
            if path.suffix.lower() != KIND:
                return f"The picture is written as {KIND}; end its name so."
            if path.is_dir():
                return f"{shown(str(path))} is a folder; name a file."
            if path.exists() and self.warned != name:
                self.warned = name
                return f"{shown(str(path))} is there already; enter again replaces it, another name keeps it."
            write_whole(path, self.content.encode("utf-8"))
        except (OSError, ValueError, RuntimeError) as error:  # no such user's home, a name that no file can have
            return f"The picture can't be saved there: {reason(error)}."
        return ""
