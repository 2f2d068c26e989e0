"""What a shell is told when its Tab key is pressed, and the script that teaches it to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from txexplain.text import one_line

if TYPE_CHECKING:
    from txexplain.cli import Program

COMPLETE_VAR = "_TXEXPLAIN_COMPLETE"


def answer(program: Program, asked: str) -> int:
    """Answer a shell that asks what may come next, as the script of `txexplain completion` does; the exit code."""
    known = get_completion_class(asked.partition("_")[0])
    if known is None or not asked.endswith("_complete"):
        return 1
    shell = known

    class Completer(shell):  # type: ignore[misc, valid-type]
        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
            name, rest = program.route(args)
            begun = shell(program.named(name), {}, "txexplain", COMPLETE_VAR)
            found: list[CompletionItem] = begun.get_completions(rest, incomplete)
            if not args:
                commands = [CompletionItem(each, help=command.get_short_help_str()) for each, command in program.commands.items()]
                found = [item for item in commands if item.value.startswith(incomplete)] + found
            # A line each is what the shell's script reads: another line would be a completion that nobody offered.
            return [item for item in found if one_line(item.value) == item.value]

    try:
        click.echo(Completer(program, {}, "txexplain", COMPLETE_VAR).complete())
    except (KeyError, ValueError):  # who asks isn't that script
        return 1
    return 0


def script(shell: str) -> None:
    found = get_completion_class(shell)
    assert found is not None  # click knows the three
    click.echo(found(click.Command("txexplain"), {}, "txexplain", COMPLETE_VAR).source(), nl=False)
