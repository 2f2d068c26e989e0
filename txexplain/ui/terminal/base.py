"""An app on a real terminal: its keys and what is pasted, its colours, the signals that end it, the last words of a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from textual import events
from textual.driver import Driver
from textual.filter import ANSIToTruecolor, LineFilter, Monochrome, NoColor
from textual.geometry import Size
from textual.widgets import TextArea

from txexplain.errors import ExplainError, reason
from txexplain.ui.inks import Inks, theme_of
from txexplain.ui.terminal.asking import courteous
from txexplain.ui.terminal.fixes import MendedApp
from txexplain.ui.terminal.keyboard import with_keyboard
from txexplain.ui.terminal.media import Medium
from txexplain.ui.terminal.rescue import crash_report, on_end
from txexplain.ui.terminal.visible import OnlyText
from txexplain.ui.terminal.wire import Wire, thrifty
from txexplain.viz.palette import Palette

ONLY_TEXT = OnlyText()
LARGEST_SIDE = 1000  # cells of what is drawn, as of a picture
PASTED = 1000  # characters of what is pasted into a field of one line, which would work for minutes on megabytes


class TerminalApp(MendedApp):
    """An app in the colours of a palette."""

    def __init__(self, tones: Palette) -> None:
        self.tones = tones
        super().__init__(ansi_color=False)  # Textual draws in the theme's 24-bit colours; Inks turns them into those that there are
        self.dress()

    ending_keys: tuple[str, ...] = ()
    medium: Medium | None = None  # how the terminal is shown pixels, where it can be

    def command_line(self) -> str:
        """The command that brings the reader back here, for the last words."""
        raise NotImplementedError

    @property
    def size(self) -> Size:
        """The terminal's, as far as it is drawn on."""
        return at_most(super().size)

    def get_driver_class(self) -> type[Driver]:
        try:
            driver = super().get_driver_class()
        except (ImportError, AttributeError, ValueError, RuntimeError) as error:
            raise ExplainError(f"TEXTUAL_DRIVER is none of Textual's drivers: {reason(error)}. Take it out of the environment.") from None
        return thrifty(courteous(with_keyboard(driver)))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste) and not isinstance(self.focused, TextArea):
            event.text = event.text[:PASTED]
        if isinstance(event, events.Resize):
            event.size = at_most(event.size)
        if isinstance(event, events.Key) and self.leaves(event):
            self.exit()
            return
        await super().on_event(event)

    def leaves(self, key: events.Key) -> bool:
        """Whether a key ends the app over a dialog, too: no letter, which may be typed there, and none that the dialog has a use for."""
        if len(self.screen_stack) < 2 or key.key not in self.ending_keys:
            return False
        return not key.is_printable and key.key not in self.screen.active_bindings

    def get_line_filters(self) -> Sequence[LineFilter]:
        few = self.tones.depth in ("16", "none")  # where dim is the terminal's own, not a mixed colour
        others = (Monochrome, NoColor, ANSIToTruecolor) if few else (Monochrome, NoColor)
        found = [each for each in super().get_line_filters() if not isinstance(each, others)]
        return [*found, *([] if self.tones.depth == "truecolor" else [Inks(self.tones)]), ONLY_TEXT]

    def dress(self) -> None:
        """Give Textual's own parts, as toasts, lists and scroll bars, the colours of the theme."""
        self.colour_at(self.tones.depth)
        theme = theme_of(self.tones)
        self.register_theme(theme)
        self.theme = theme.name
        self.set_class(not self.tones.pixels, "few", update=False)
        self.set_class(self.tones.depth != "truecolor", "indexed", update=False)

    def listen(self) -> None:
        """Let the signals that end a program end this one in order."""
        self.app_resume_signal.subscribe(self, lambda _: self.repaint())  # back from ctrl+z: what the terminal showed is gone
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()

        def ended(number: int) -> None:
            with suppress(RuntimeError):  # the loop has ended: so does the program
                loop.call_soon_threadsafe(partial(self.exit, return_code=128 + number))

        on_end(ended)

    def last_words(self, error: BaseException) -> str:
        return crash_report(error, self.command_line())

    def repaint(self) -> None:
        """Whatever else wrote on the terminal goes."""
        if self.driver is not None and isinstance(wire := getattr(self.driver, "wire", None), Wire):
            wire.forget()
        self.refresh(layout=True)

    def show_by(self, medium: Medium | None) -> None:
        """Show pictures another way, or at another size of the terminal's cells; None: in cells."""
        if (medium and medium.kind) != (self.medium and self.medium.kind):
            self.medium = medium
            if self.driver is not None and isinstance(wire := getattr(self.driver, "wire", None), Wire):
                wire.show_by(self.medium)
            self.repaint()

    def copy_to_clipboard(self, text: str) -> None:
        """To the terminal's clipboard, which takes UTF-8: half of a character, as an argument may hold, becomes `?`."""
        super().copy_to_clipboard(text.encode("utf-8", "replace").decode("utf-8"))


def at_most(size: Size) -> Size:
    """A size that can be drawn: a terminal may say any."""
    return Size(min(size.width, LARGEST_SIDE), min(size.height, LARGEST_SIDE))
