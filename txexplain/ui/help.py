"""Help: what the present view shows, with the keys by group; and on a second page the words that stand on the screen, and the colours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from txexplain.explorer.places import PLACES
from txexplain.front.actions import ACTIONS, Action, key_name
from txexplain.front.shown import key_of
from txexplain.ui.over import OverScreen
from txexplain.viz.canvas import plain, rich_style
from txexplain.viz.palette import Palette
from txexplain.viz.views.caption import swatch
from txexplain.words.colours import COLOURS
from txexplain.words.glossary import WORDS, Word, words_in

PROMPT = (
    "While the prompt is edited, letters are text: only Enter, Escape and Tab leave it, ctrl+j starts a new line. "
    "A dotted line ({drawn}) stands before each token that was drawn or chosen here."
)


FURTHER = "{} once more: the words and the colours of this screen."
WIDE, KEYS = 70, 23  # cells of a line; of its keys


class HelpScreen(OverScreen[None]):
    """Two pages over the screen: the key that brought the first brings the second, and then closes it, as the others do at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "further", "words", show=False),
        Binding("escape,q,enter,backspace", "dismiss", "close", show=False),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 76; max-width: 96%; height: auto; max-height: 92%; padding: 1 2; background: $panel; }
    HelpScreen Static { width: 1fr; height: auto; }
    """

    def __init__(self, kind: str, tones: Palette, actions: Sequence[Action] = ACTIONS, seen: str = "") -> None:
        """seen: what stands on the screen, whose words come first on the second page."""
        super().__init__()
        self.kind, self.tones, self.actions, self.seen = kind, tones, actions, seen
        self.words = False

    @property
    def wide(self) -> int:
        return min(WIDE, self.app.size.width * 96 // 100 - 6)

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self.page(self.wide), markup=False)

    def action_further(self) -> None:
        if self.words:
            self.dismiss()
            return
        self.words = True
        self.query_one(Static).update(self.second(self.wide))
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def on_mount(self) -> None:
        if self.tones.ascii:
            self.query_one(VerticalScroll).styles.scrollbar_size_vertical = 0  # Textual draws it with blocks
        self.query_one(VerticalScroll).focus()

    def page(self, width: int = WIDE) -> Text:
        """What the view shows, and its keys, each with its sentence beside it."""
        text = Text()
        text.append(PLACES[self.kind].about + "\n")
        text.append(FURTHER.format(key_of("help", self.tones, self.actions)) + "\n", "dim")
        group = ""
        for action in self.actions:
            if not action.keys or (action.places and self.kind not in action.places):
                continue
            if action.group != group:
                group = action.group
                text.append(f"\n{group}\n", "bold")
            keys = " ".join(key_name(key, ascii=self.tones.ascii) for key in action.keys)
            text.append(f"  {keys:<20} ", "bold")
            text.append(f"\n{' ' * KEYS}".join(textwrap.wrap(action.help, max(20, width - KEYS))) + "\n")
        text.append(f"\n{PROMPT.format(drawn=self.tones.glyphs.drawn)}\n", "dim")
        return text

    def second(self, width: int = WIDE) -> Text:
        """The words that stand on this screen, the colours, and then all other words."""
        text, tones, here = Text(), self.tones, words_in(self.seen)
        text.append("Words on this screen\n", "bold")
        self.explain(text, here, width)
        if tones.depth != "none":
            text.append("\nColours\n", "bold")
        for role, meaning in COLOURS if tones.depth != "none" else ():
            text.append(f"  {swatch(tones)} ", rich_style(tones.rgb(role), tones.rgb("panel"), 0, tones.depth, tones.theme))
            text.append(f"{meaning}\n")
        text.append("\nOther words\n", "bold")
        self.explain(text, [each for each in WORDS if each not in here], width)
        return text

    def explain(self, text: Text, words: Sequence[Word], width: int) -> None:
        """Add each word with its meaning."""
        for each in words:
            said = plain(f"{each.names[0]}: {each.meaning}", self.tones)
            lines = "\n".join(textwrap.wrap(said, max(20, width), initial_indent="  ", subsequent_indent="    "))
            text.append(lines[: 2 + len(each.names[0])], "bold")
            text.append(lines[2 + len(each.names[0]) :] + "\n")
