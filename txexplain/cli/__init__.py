"""The commands: which one is asked for, and how each ends.

What a command takes stands in commands.py; what it does, in a module of its own that is imported when it runs. So --help and a shell's
Tab key wait for neither NumPy nor Textual.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from txexplain.cli.commands import COMMANDS, HELP, app
from txexplain.cli.completion import COMPLETE_VAR, answer
from txexplain.cli.streams import brings_keys, hold_closed_streams, other_screen
from txexplain.errors import NO_MEMORY, ExplainError, reason
from txexplain.text import clean

# What libraries read when they are imported, unless the reader set it.
USUAL = {
    "ESCDELAY": "25",  # ms that a terminal may take to send the rest of a key after Escape
    "TEXTUAL_FPS": "120",  # a key is painted within 8 ms instead of 17
    "OPENBLAS_THREAD_TIMEOUT": "22",  # 2^22 cycles: idle threads of a product sleep after 1.5 ms, not 25; others share the machine
}
# What Textual takes of a variable: over other values it ends, or never rests.
HEEDED = {
    "TEXTUAL_FPS": r"[1-9][0-9]{0,2}",
    "TEXTUAL_PRESS": r"(?s)(?!(?:.*,)?wait:(?![0-9]{1,6}(?:,|\Z))).*",
}
COLOR_SYSTEMS = ("standard", "256", "truecolor")


class Program(click.Group):
    """The commands by name; anything else is a prompt, and opens the app."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> Any:
        """Run the command line and exit: 0, 2 after one sentence to stderr, 130 where interrupted."""
        argv = list(sys.argv[1:] if args is None else args)
        if args is None and (asked := os.environ.get(COMPLETE_VAR)):
            sys.exit(answer(self, asked))
        hold_closed_streams()
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a token that the locale's encoding lacks is no reason to end
        name, rest = self.route(argv)
        try:
            command = self.named(name)
            with command.make_context(f"txexplain {name}".rstrip(), rest) as context:
                command.invoke(context)
            sys.stdout.flush()
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)
        except KeyboardInterrupt:
            sys.exit(130)
        except click.ClickException as error:
            refuse(error.format_message())
        except ExplainError as error:
            refuse(str(error))
        except MemoryError:
            refuse(NO_MEMORY)
        except OSError as error:
            # What is still buffered would fail once again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                sys.exit(1)
            refuse(f"{error.filename or 'The output'} can't be used: {reason(error).lower()}.")
        sys.exit(0)

    def named(self, name: str) -> click.Command:
        """A command by its name, the app by none."""
        return self.commands[name] if name else app

    def route(self, argv: list[str]) -> tuple[str, list[str]]:
        """The command that the first word names ("" is the app), and the arguments without that word."""
        options = [p for command in (app, *self.commands.values()) for p in command.params if isinstance(p, click.Option)]
        takes_value = {name for option in options if not option.is_flag for name in option.opts}
        i = 0
        while i < len(argv):
            word = argv[i]
            if word == "--" or word in HELP:
                break
            if not word.startswith("-") or word == "-":
                return (word, argv[:i] + argv[i + 1 :]) if word in self.commands else ("", argv)
            i += 2 if word in takes_value else 1
        return "", argv


cli = Program(commands=COMMANDS, help="Look inside GPT-2 from your terminal.")


def refuse(sentence: str) -> NoReturn:
    """One sentence to stderr, and to the browser where the app would be in one; exit code 2."""
    said = f"txexplain: {clean(' '.join(sentence.split()))}"
    click.echo(said, err=True)
    if other_screen() and brings_keys():
        with suppress(ImportError, AttributeError, ValueError, RuntimeError):  # that screen may be what is wrong
            from txexplain.ui.page import Page

            Page(said).run()
    sys.exit(2)


def main() -> None:
    """The console script."""
    for name, fits in HEEDED.items():
        if not re.fullmatch(fits, os.environ.get(name, "")):
            os.environ.pop(name, None)
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)
    system = os.environ.pop("TEXTUAL_COLOR_SYSTEM", "").lower()
    if system in COLOR_SYSTEMS:  # Textual ends over a value that it doesn't know
        os.environ["TEXTUAL_COLOR_SYSTEM"] = system
    cli.main()
