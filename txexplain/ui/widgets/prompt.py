"""The prompt being edited: ordinary text, with the model's token boundaries shown as one types."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult, Selection

from txexplain.errors import TokenizerError
from txexplain.viz.canvas import rich_style

if TYPE_CHECKING:
    from txexplain.engine.tokenizer import Tokenizer
    from txexplain.viz.palette import Palette

SHOWN = 4000  # characters; a longer text is shown without boundaries
LONGEST = 16_000  # characters that the field holds, more than a context takes; what follows is kept beside it, and every key stays quick
MARKS = 16  # characters without a cell on one that has it; all of them are written anew with each blink of the cursor
# What Python takes for an end of line and a prompt doesn't: the field would make newlines of these, so it holds other characters.
ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
HELD = {ord(char): 0xF0000 + ord(char) for char in ENDS}
GIVEN = {held: char for char, held in HELD.items()}


class PromptEditor(TextArea):
    """A text area whose tokens are told apart by their ground. Enter and Escape return to the stage, Tab leaves; text is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+j,shift+enter,alt+enter", "newline", "new line", show=False)]

    class Edited(Message):
        """The text changed by hand."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The reader is done here; `step` says which pane comes next: 0 the stage, else the next or previous."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, tones: Palette, *, id: str) -> None:
        super().__init__(
            "", id=id, soft_wrap=True, tab_behavior="focus", show_line_numbers=False, highlight_cursor_line=False, compact=True
        )
        self.tones = tones
        self.tokenizer: Tokenizer | None = None
        self.boundaries: list[int] = []
        self.quiet = False
        self.rest = ""  # what follows the text in the field

    @property
    def text(self) -> str:
        """What the field holds."""
        return super().text.translate(GIVEN)

    @text.setter
    def text(self, value: str) -> None:
        self.fill(value)

    @property
    def whole(self) -> str:
        """The prompt: what the field holds and what follows."""
        return self.text + self.rest

    def fill(self, text: str) -> None:
        """Put a text there that nobody typed."""
        self.quiet = self.whole != text
        if self.quiet:
            self.rest = text[LONGEST:]
            self.load_text(text[:LONGEST].translate(HELD))
            self.find_boundaries()
        self.move_cursor(self.document.end)

    async def _on_paste(self, event: events.Paste) -> None:
        """As if typed, at the cursor; of a text too long for the field the end is kept beside it."""
        event.prevent_default()
        pasted = event.text.replace("\r\n", "\n").replace("\r", "\n")
        room = max(0, LONGEST - len(super().text) + len(self.selected_text))
        if len(pasted) > room:
            start, end = sorted(self.selection)
            after = self.get_text_range(end, self.document.end).translate(GIVEN)
            self.rest = pasted[room:] + after + self.rest
            self.selection = Selection(start, self.document.end)
            pasted = pasted[:room]
        result = self.replace(pasted.translate(HELD), *self.selection)
        self.move_cursor(result.end_location)
        if self.rest:
            self.post_message(self.Edited(self.whole))

    def edit(self, edit: Edit) -> EditResult:
        """However text comes here or goes, by hand or paste: few marks stand on one cell, those behind the edit among them."""
        start, end = sorted((edit.from_location, edit.to_location))
        before = self.document.get_line(start[0])[: start[1]]
        line = self.document.get_line(end[0]) if end[0] < self.document.line_count else ""  # ctrl+x names the one after the last
        after = line[end[1] :][:MARKS]
        text = with_few_marks(before, edit.text)
        much = len(after) - len(with_few_marks(before + text, after))
        if text != edit.text or much:
            self.notify(f"Of the marks on one letter {MARKS} are kept.", markup=False)
        return super().edit(
            replace(edit, text=text, from_location=start, to_location=(end[0], end[1] + much)) if much else replace(edit, text=text)
        )

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Taking edits back, Textual scrolls before it moves the cursor, which may lie beyond what is left of the text."""
        row, column = self.cursor_location
        if row >= self.document.line_count or column > len(self.document.get_line(row)):
            return Offset()
        return super().scroll_cursor_visible(center, animate)

    def find_boundaries(self) -> None:
        """Where tokens begin, in characters of the whole text; a token inside a character belongs to that character."""
        self.boundaries = []
        if self.tokenizer is None or len(self.text) > SHOWN:
            return
        try:
            self.boundaries = self.tokenizer.ends(self.text)
        except (ValueError, TokenizerError):  # a model may bring no tokenizer: the forward pass says so
            return

    def get_line(self, line_index: int) -> Text:
        """A line as it is shown: control characters visible, every other token on a ground of its own."""
        line = self.document.get_line(line_index).translate(GIVEN)
        text = Text("".join(char if char.isprintable() or char == "\t" else picture(char) for char in line), end="", no_wrap=True)
        start = sum(len(self.document.get_line(i)) + 1 for i in range(line_index)) if self.boundaries else 0
        edges = [0, *(b for b in self.boundaries)]
        ground = self.token_style()
        for number, (a, b) in enumerate(pairwise(edges)):
            if number % 2 and a < start + len(line) and b > start:
                text.stylize(ground, max(0, a - start), min(len(line), b - start))
        return text

    def token_style(self) -> Style:
        if self.tones.depth in ("16", "none"):
            return Style(underline=True)
        return rich_style(self.tones.rgb("text"), self.tones.mix("background", "accent", 0.22), 0, self.tones.depth, self.tones.theme)

    def on_text_area_changed(self) -> None:
        if self.quiet:
            self.quiet = False
            return
        if not self.text:
            self.rest = ""  # all that is seen was taken away
        self.find_boundaries()
        self.post_message(self.Edited(self.whole))

    async def _on_key(self, event: events.Key) -> None:
        leave = {"enter": 0, "escape": 0, "tab": 1, "shift+tab": -1}.get(event.key)
        if leave is None:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Left(leave))

    def action_newline(self) -> None:
        self.insert("\n")


def with_few_marks(before: str, text: str) -> str:
    """A text as it may follow another, without the marks that are too many on one cell."""
    kept, count = [], 0
    for place, char in enumerate(before[-MARKS:] + text, -min(MARKS, len(before))):
        count = count + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if place >= 0 and count <= MARKS:
            kept.append(char)
    return "".join(kept)


def picture(char: str) -> str:
    """One printable character in place of one that isn't."""
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"
