"""The commands. What is heavy (NumPy, Rich, Textual) is imported by the command that needs it, so that --help is instant."""

from __future__ import annotations

import codecs
import csv
import fnmatch
import functools
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from txexplain import __version__
from txexplain.errors import NO_MEMORY, ExplainError, NotRecorded, PromptError, TraceError
from txexplain.files import followed, megabytes, write_whole
from txexplain.text import clean

if TYPE_CHECKING:
    from txexplain.engine.derive import Lens
    from txexplain.engine.model import GPT2
    from txexplain.engine.sampling import Distribution, Draw
    from txexplain.engine.tokenizer import Tokenizer
    from txexplain.engine.trace import Trace
    from txexplain.explorer.lesson import Lesson
    from txexplain.explorer.state import ExplorerState
    from txexplain.front.options import UiOptions
    from txexplain.front.scenes import Recorded
    from txexplain.models.hub import Progress
    from txexplain.ui.reader import Reads

    Names = Tokenizer | Recorded

COLORS = ("auto", "truecolor", "256", "16", "none")
FLOWS = ("norms", "rollout")  # explorer.state's, not imported for --help
THEMES = ("dark", "light", "contrast")
AUTO = "auto"
HELP = ("-h", "--help")
# What libraries read when they are imported, unless the reader set it.
USUAL = {
    "ESCDELAY": "25",  # ms that a terminal may take to send the rest of a key after Escape
    "TEXTUAL_FPS": "120",  # a key is painted within 8 ms instead of 17
    "OPENBLAS_THREAD_TIMEOUT": "22",  # 2^22 cycles: idle threads of a product sleep after 1.5 ms, not 25; others share the machine
}
SHELLS = ("bash", "zsh", "fish")
COMPLETE_VAR = "_TXEXPLAIN_COMPLETE"
STAGE_NAMES = ("qk", "scaled", "masked", "softmax", "values")  # explorer.location's, as FLOWS
PAGE_NAMES = ("ln1", "qkv", "attn", "proj", "ln2", "mlp")
LARGEST_SIDE = 1000  # cells
LARGEST_PROMPT = 64_000_000  # bytes: a device may never end
PATIENCE = 1.0  # seconds until it is said what the prompt is waited for from
BAR = 20  # cells
LONGEST_LINE = 1 << 20  # cells of a table's row


def was_given(name: str) -> bool:
    """Whether the current command's parameter stands on its command line."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


# What a flag's group of values becomes: one object, handed to the command under one name.


@dataclass(frozen=True)
class Source:
    """The model and the prompt asked for, or a trace of one."""

    prompt: tuple[str, ...]
    prompt_text: str | None
    file: str | None
    ids: tuple[int, ...] | None
    model: str
    revision: str | None
    trace: str | None = None

    @classmethod
    def of(cls, trace: str | None, **rest: Any) -> Source:
        """Raises UsageError for a trace beside what the trace brings itself."""
        if trace is not None:
            for name in rest:
                if was_given(name) and rest[name] != ():
                    flag = "a prompt" if name == "prompt" else "--" + name.removesuffix("_text")
                    raise click.UsageError(f"A trace has its own prompt and model: give --trace without {flag}.")
            return cls.recorded(trace)
        return cls(**rest)

    @classmethod
    def recorded(cls, trace: str) -> Source:
        return cls((), None, None, None, "storyteller", None, trace)

    def text(self) -> str | None:
        """The prompt, None where there is none or where ids replace it. Raises UsageError, PromptError."""
        if self.ids is not None:
            return None
        if len(self.prompt) > 1:
            from txexplain.explorer.shell import quoted

            raise click.UsageError(f"The prompt is one argument; put it in quotes: {quoted(' '.join(self.prompt))}")
        given = [text for text in (*self.prompt, self.prompt_text, self.file) if text is not None]
        if len(given) > 1:
            raise click.UsageError("Give the prompt once: as PROMPT, as --prompt TEXT or as --file PATH.")
        text = read_prompt(self.file) if self.file is not None else given[0] if given else None
        if text is not None and any("\ud800" <= c <= "\udfff" for c in text):
            raise PromptError("The prompt isn't valid UTF-8; save or type it as UTF-8.")
        return text

    def required_text(self) -> str | None:
        """As text(), where one of PROMPT and --ids must be given."""
        text = self.text()
        if text is None and self.ids is None and self.trace is None:
            raise click.UsageError('A prompt is needed: put it in quotes ("" is allowed), or give --file PATH, or --file - to read a pipe.')
        return text

    def load(self) -> GPT2:
        from txexplain.models import load_model

        with terminal_progress(self.model) as progress:
            return load_model(self.model, revision=self.revision, progress=progress)

    def token_ids(self, model: GPT2, text: str | None) -> list[int]:
        return list(self.ids) if self.ids is not None else model.prompt_ids(text or "")


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; greedy is temperature 0."""

    temperature: float
    top_k: int | None
    top_p: float | None

    @classmethod
    def of(cls, temperature: float, top_k: int | None, top_p: float | None, greedy: bool) -> Sampling:
        """Raises UsageError for settings that contradict each other or have no meaning."""
        from txexplain.engine.sampling import check_settings

        given = [name for name, on in (("--greedy", greedy), ("--top-k", top_k is not None), ("--top-p", top_p is not None)) if on]
        if len(given) > 1:
            raise click.UsageError(f"{given[0]} and {given[1]} are two ways to choose the next token: give one of them.")
        try:
            check_settings(temperature, top_k, top_p)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return cls(0.0 if greedy else abs(temperature), top_k, top_p)  # −0 is 0, too

    def distribution(self, trace: Trace) -> Distribution:
        from txexplain.engine.sampling import distribution

        return distribution(trace.last_logits, self.temperature, top_k=self.top_k, top_p=self.top_p)


def other_charset() -> bool:
    """Whether the locale names a character set that isn't UTF-8. C and POSIX name none: terminals show UTF-8 there too."""
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := os.environ.get(name))), "")
    charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "").replace("_", "")
    return charset not in ("", "utf8")


@dataclass(frozen=True)
class View:
    """The app's first view: where, with which seed, and how it looks."""

    at: str | None
    seed: int
    flow: str
    theme: str | None
    ascii: bool
    color: str

    def options(self) -> UiOptions:
        from txexplain.front.options import UiOptions

        return UiOptions(self.theme, self.ascii or other_charset(), self.color)


@dataclass(frozen=True)
class Opened:
    """The lesson to open, and at which page; a page says itself what is shown."""

    lesson: str | None
    page: int
    fetch: bool = False

    @classmethod
    def of(cls, lesson: str | None, page: int | None, fetch: bool) -> Opened:
        """Raises UsageError for flags that say what a page says."""
        if lesson is None:
            if page is not None or fetch:
                raise click.UsageError(f"--{'fetch' if fetch else 'page'} is a lesson's: give --lesson NAME with it.")
            return cls(None, 1)
        for name in ("prompt", "prompt_text", "file", "ids", "trace", "at", "temperature", "top_k", "top_p", "greedy", "seed"):
            if was_given(name):
                flag = "a prompt" if name == "prompt" else "--" + name.removesuffix("_text").replace("_", "-")
                raise click.UsageError(f"A lesson's page says what is shown: give --lesson without {flag}.")
        return cls(lesson, page or 1, fetch)

    def load(self) -> Lesson:
        from txexplain.explorer.lesson import load

        assert self.lesson is not None
        return load(self.lesson)

    def model(self, source: Source) -> str:
        """The model that the page's run needs: the one it names, or the one that was asked for. Raises LessonError."""
        from txexplain.front.lessons import page_of

        wanted = page_of(self.load(), self.page).model
        if wanted is not None and was_given("model") and source.model != wanted:
            raise click.UsageError(f"This page is written for {wanted}: leave --model out.")
        return wanted or source.model

    def may_fetch(self, source: Source) -> bool:
        """Whether the model may be fetched: one that a page names only where the reader says so. Raises LessonError."""
        from txexplain.front.lessons import may_fetch, page_of

        return self.lesson is None or self.fetch or may_fetch(page_of(self.load(), self.page), source.model)


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class OutFile(click.Path):
    """Where a file is to be written."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and (not value or value.endswith("/")):
            self.fail(f"{value!r} is not the name of a file; give one.", param, ctx)
        return super().convert(value, param, ctx)


class Ids(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """Token ids, separated by commas."""

    name = "1,2,3"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in value.split(",")]
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            self.fail(f"{value!r} is not a list of token ids like 1,2,3.", param, ctx)
        return tuple(int(part) for part in parts)


class Size(click.ParamType):  # type: ignore[type-arg]
    """Columns by rows."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        sides = value.lower().split("x")
        if len(sides) != 2 or not all(s.isascii() and s.isdigit() and 1 <= int(s[:5]) <= LARGEST_SIDE for s in sides):
            self.fail(f"{value!r} is not a size like 120x36, columns by rows, each at most {LARGEST_SIDE}.", param, ctx)
        return int(sides[0]), int(sides[1])


def gather(name: str, make: Callable[..., Any], *params: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator that adds the params to a command and hands it what `make` builds of their values, as `name`."""

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def collected(**values: Any) -> Any:
            own = {key: values.pop(key) for key in keys}
            return command(**values, **{name: make(**own)})

        before = len(getattr(collected, "__click_params__", ()))
        for param in reversed(params):
            param(collected)
        keys = [str(param.name) for param in getattr(collected, "__click_params__")[before:]]  # noqa: B009
        return collected

    return decorate


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_model(context: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The known names; else a folder or file."""
    from click.shell_completion import CompletionItem

    from txexplain.models.bundled import NAME
    from txexplain.models.known import KNOWN

    return [CompletionItem(name) for name in (NAME, *KNOWN) if name.startswith(incomplete)] or complete_file(context, param, incomplete)


def complete_place(_: click.Context, __: click.Parameter, incomplete: str) -> list[Any]:
    """The places of the model, and the parts of the block or head that is begun."""
    from click.shell_completion import CompletionItem

    begun = re.match(r"(L\d+)(?:(\.)|H\d+(:)?)?", incomplete)
    if begun is None:
        places = ["model", "embed", "heads", "final", "output", "L0"]
    elif begun[3]:
        places = [begun[0] + stage for stage in STAGE_NAMES]
    else:
        places = [f"{begun[1]}.{page}" for page in PAGE_NAMES] + [f"{begun[1]}H0"]
    return [CompletionItem(place) for place in places if place.startswith(incomplete)]


source_params = (
    click.argument("prompt", nargs=-1, metavar="[PROMPT]"),
    click.option("--prompt", "prompt_text", metavar="TEXT", help="The prompt, whatever it looks like."),
    click.option("--file", metavar="PATH|-", shell_complete=complete_file, help="The prompt from a file, or - for a pipe."),
    click.option("--ids", type=Ids(), help="Token ids in place of the prompt."),
    click.option(
        "--model",
        metavar="NAME",
        envvar="TXEXPLAIN_MODEL",
        default="storyteller",
        shell_complete=complete_model,
        help="Name, folder or repo id [storyteller].",
    ),
    click.option("--revision", metavar="REV", hidden=True, help="The repo's revision."),
)
source_flags = gather("source", Source, *source_params)
run_flags = gather(
    "source",
    Source.of,
    *source_params,
    click.option("--trace", metavar="FILE", shell_complete=complete_file, help="A recorded run in place of model and prompt."),
)
sampling_flags = gather(
    "sampling",
    Sampling.of,
    click.option("--temperature", type=float, metavar="T", default=1.0, help="0, or --greedy: the most likely token [1.0]."),
    click.option("--top-k", type=int, metavar="K", help="Only the K most likely tokens."),
    click.option("--top-p", type=float, metavar="P", help="Only the most likely tokens that together reach P."),
    click.option("--greedy", is_flag=True, hidden=True, help="Always the most likely token."),
)
view_flags = gather(
    "view",
    View,
    click.option("--at", metavar="PLACE", shell_complete=complete_place, help="Where to look: model, L5, L5H1[7,3], output ..."),
    click.option("--seed", type=Whole(min=0), metavar="N", default=0, help="Seed of the draws [0]."),
    click.option(
        "--flow", type=click.Choice(FLOWS), metavar="HOW", default=FLOWS[0], help="What the ribbons show: norms or rollout [norms]."
    ),
    click.option("--theme", type=click.Choice((AUTO, *THEMES)), metavar="NAME", help="auto, dark, light or contrast [auto]."),
    click.option("--ascii", is_flag=True, help="No Unicode blocks."),
    click.option("--color", type=click.Choice(COLORS), metavar="WHEN", default="auto", help="auto, truecolor, 256, 16 or none [auto]."),
)
lesson_flags = gather(
    "opened",
    Opened.of,
    click.option("--lesson", metavar="NAME --page N", help="A lesson's page; --fetch gets its model."),
    click.option("--page", type=Whole(min=1), metavar="N", hidden=True),
    click.option("--fetch", is_flag=True, hidden=True),
)
cursor_flag = click.option("--cursor", is_flag=True, help="Show the terminal's cursor, which stands at what is selected.")
json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON document.")

APP_HELP = """\
Usage: txexplain [FLAGS] [PROMPT]          explore GPT-2 at work on your prompt
       txexplain COMMAND [FLAGS] [PROMPT]  the same figures without the app
Example: txexplain "Once upon a time there was a" --at L3H5 --temperature 0.8

Commands (txexplain COMMAND --help says more):
  predict, generate, tokens       what may come next, more of it, text as tokens
  render, poster, trace, open     pictures of a run; a run recorded and replayed
  describe, explain, keys         a view in words; a place's formula; the keys
  attention, head-stats           one head's grid; what every head does
  lessons, models, completion     the textbook; models here; a shell's Tab key

Flags:
  --prompt TEXT, --file PATH|-, -- PROMPT  a prompt whatever it looks like
  --ids 1,2,3, --trace FILE                ids or a recorded run instead
  --model NAME, --revision REV, --fetch    name, folder, repo id [storyteller]
  --at PLACE                               model, L5, L5H1, L5H1[7,3], output
  --temperature T                          0 is greedy [1.0]
  --top-k K, --top-p P, --greedy           which tokens may be drawn [all]
  --seed N                                 seed of the draws [0]
  --flow HOW                               ribbons: norms or rollout [norms]
  --theme NAME, --ascii, --color WHEN      auto, truecolor, 256, 16 or none
  --lesson NAME, --page N, --record FILE   a lesson; keep its answers [no]
  --lecture, --pace SECONDS, --clock       a script that plays its own keys
  --cursor, --version, -h, --help          the cursor seen where it is [no]
"""


class AppCommand(click.Command):
    """The app, whose help is that of the whole program."""

    def get_help(self, ctx: click.Context) -> str:
        return APP_HELP.rstrip()


class Program(click.Group):
    """The commands by name; anything else is a prompt, and opens the app."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> Any:
        """Run the command line and exit: 0, 2 after one sentence to stderr, 130 where interrupted."""
        argv = list(sys.argv[1:] if args is None else args)
        if args is None and (asked := os.environ.get(COMPLETE_VAR)):
            sys.exit(self.complete(asked))
        hold_closed_streams()
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a token that the locale's encoding lacks is no reason to end
        name, rest = self.route(argv)
        command = self.commands[name] if name else app
        try:
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
            refuse(f"{error.filename or 'The output'} can't be used: {reason(error)}.")
        sys.exit(0)

    def complete(self, asked: str) -> int:
        """Answer a shell that asks what may come next, as the script of `txexplain completion` does."""
        from click.shell_completion import CompletionItem, get_completion_class

        from txexplain.text import one_line

        program, known = self, get_completion_class(asked.partition("_")[0])
        if known is None or not asked.endswith("_complete"):
            return 1
        shell = known

        class Completer(shell):  # type: ignore[misc, valid-type]
            def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
                name, rest = program.route(args)
                found: list[CompletionItem] = shell(program.commands[name] if name else app, {}, "txexplain", COMPLETE_VAR).get_completions(
                    rest, incomplete
                )
                if not args:
                    commands = [CompletionItem(each, help=command.get_short_help_str()) for each, command in program.commands.items()]
                    found = [item for item in commands if item.value.startswith(incomplete)] + found
                # A line each is what the shell's script reads: another line would be a completion that nobody offered.
                return [item for item in found if one_line(item.value) == item.value]

        click.echo(Completer(self, {}, "txexplain", COMPLETE_VAR).complete())
        return 0

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


def hold_closed_streams() -> None:
    """Take the numbers of streams that the shell closed (`>&-`): no file gets them, and who uses such a stream meets an OSError."""
    for number, name, mode, wrong_way in ((0, "stdin", "r", os.O_WRONLY), (1, "stdout", "w", os.O_RDONLY), (2, "stderr", "w", os.O_RDWR)):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, wrong_way)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def refuse(sentence: str) -> NoReturn:
    """One sentence to stderr, and to the browser where the app would be in one; exit code 2."""
    said = f"txexplain: {clean(' '.join(sentence.split()))}"
    click.echo(said, err=True)
    if other_screen():
        from txexplain.ui.page import Page

        with suppress(ImportError, AttributeError, ValueError, RuntimeError):  # that screen may be what is wrong
            Page(said).run()
    sys.exit(2)


settings = {"help_option_names": list(HELP), "max_content_width": 80}


@click.group(cls=Program, context_settings=settings)
def cli() -> None:
    """Look inside GPT-2 from your terminal."""


@click.command(cls=AppCommand, context_settings=settings)
@run_flags
@sampling_flags
@view_flags
@lesson_flags
@click.option("--lecture", is_flag=True, help="Large and calm; the script's keys are played, the mouse is off.")
@click.option("--pace", type=click.FloatRange(min=0.01, max=600), metavar="SECONDS", help="Between two keys of a script [1.0].")
@click.option("--clock", is_flag=True, help="A stopwatch beside the page's number.")
@click.option("--record", type=OutFile(), metavar="FILE.json", help="Keep the answers in a file.")
@cursor_flag
@click.version_option(__version__, prog_name="txexplain", message="%(prog)s %(version)s")
def app(
    source: Source, sampling: Sampling, view: View, opened: Opened,
    lecture: bool, pace: float | None, clock: bool, record: Path | None, cursor: bool,
) -> None:  # fmt: skip
    for flag, given in (("--lecture", lecture), ("--pace", pace), ("--clock", clock), ("--record", record)):
        if given and opened.lesson is None:
            raise click.UsageError(f"{flag} is a lesson's: give --lesson NAME with it.")
    check_terminal(source.file)
    state, lesson = first_view(source, sampling, view, opened)
    from txexplain.ui.reader import Reads

    pace = Reads.pace if pace is None else pace
    reads = Reads(lesson, opened.page, lecture, pace, clock, None if record is None else writable(record), source.model, opened.fetch)
    start(source, state, view, reads if lesson is not None else None, cursor=cursor)


@cli.command(name="open", context_settings=settings)
@click.argument("trace", metavar="FILE.safetensors", shell_complete=complete_file)
@sampling_flags
@view_flags
@cursor_flag
def open_file(trace: str, sampling: Sampling, view: View, cursor: bool) -> None:
    """A recorded run in the app, without its model. Example: txexplain open once.safetensors --at L3H5"""
    check_terminal(None, "use txexplain describe, explain or render.")
    source = Source.recorded(trace)
    start(source, first_state(source, sampling, view), view, cursor=cursor)


def start(source: Source, state: ExplorerState, view: View, reads: Reads | None = None, *, cursor: bool = False) -> NoReturn:
    """The app, from its first state on. What is wrong with the trace or the place is said before the screen is taken."""
    lens = None
    if state.trace is not None:
        from txexplain.front.render import open_trace

        lens = open_trace(state)
    elif view.at is not None:
        require_place(source, state)
    from txexplain.front.config import read_config

    config, options = read_config(), view.options()
    theme = options.theme or config.theme
    options = replace(options, theme=None if theme == AUTO else theme, keys=config.keys, cursor=cursor or config.cursor)
    sys.exit(elsewhere(state, options, lens, reads) if other_screen() else on_terminal(source, state, options, lens, reads))


def elsewhere(state: ExplorerState, options: UiOptions, lens: Lens | None, reads: Reads | None) -> int:
    """The app where Textual is told to show it; the exit code."""
    from txexplain.ui.app import run_app

    return run_app(state, options, lens, reads)


def on_terminal(source: Source, state: ExplorerState, options: UiOptions, lens: Lens | None, reads: Reads | None) -> int:
    """The app on this terminal, which is asked what it can show, and is as it was after whatever end; the exit code."""
    if not is_terminal(sys.__stderr__):
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]  # what Textual draws on
    if not unicode_out(sys.__stderr__):  # what it can't encode would come as \u2500
        options = replace(options, ascii=True)
    take_keyboard(source.file)
    from txexplain.ui.terminal.asking import asking_of
    from txexplain.ui.terminal.rescue import guard

    goodbye, asking = guard(), asking_of(options)
    try:
        if asking is not None:
            asking.begin()  # it answers while Textual is loaded
        from txexplain.ui.app import run_app

        code = run_app(state, options, lens, reads, asking)
    finally:
        if asking is not None:
            asking.close()
        goodbye()
    return code


@cli.command(context_settings=settings)
@run_flags
@sampling_flags
@click.option("--top", type=Whole(min=1), metavar="N", default=10, help="How many candidates [10].")
@json_flag
def predict(source: Source, sampling: Sampling, top: int, as_json: bool) -> None:
    """The next token's probabilities.

    Example: txexplain predict "Once upon a time" --temperature 0.8 --top-k 40
    """
    text = source.required_text()
    name, lens, names = answered(source, text)
    trace = lens.trace
    if "logits" not in trace:
        raise TraceError(f"The trace {source.trace} has no logits, which the probabilities come from; record it with them.")
    dist = sampling.distribution(trace)
    candidates = dist.order[:top].tolist()
    if as_json:
        prompt = trace.prompt if text is None else text
        tokens = [token_fields(names, i) for i in trace.ids]
        following = [candidate_fields(names, dist, i) for i in candidates]
        print_json(
            {
                "model": name,
                "prompt": prompt,
                "tokens": tokens,
                "temperature": dist.temperature,
                "sampling": sampling_fields(dist),
                "next": following,
            }
        )
    else:
        print_candidates(name, names, dist, candidates)


@cli.command(context_settings=settings)
@source_flags
@sampling_flags
@click.option("--tokens", "count", type=Whole(min=0), metavar="N", default=40, help="How many tokens at most [40].")
@click.option("--seed", type=Whole(min=0), metavar="N", default=0, help="Seed of the draws [0].")
@json_flag
def generate(source: Source, sampling: Sampling, count: int, seed: int, as_json: bool) -> None:
    """Continue the prompt; what is printed is the continuation only.

    Example: txexplain generate "Once upon a time" --tokens 60 --top-p 0.9 --seed 7
    """
    text = source.required_text()
    model = source.load()
    ids = model.checked(source.token_ids(model, text))
    draws = draw_tokens(model, ids, sampling, seed, count)
    if as_json:
        drawn = list(draws)
        prompt = model.tokenizer.decode(ids) if text is None else text
        tokens = [token_fields(model.tokenizer, d.id) | draw_fields(d) for d in drawn]
        print_json({"model": model.name, "prompt": prompt, "seed": seed, "tokens": tokens})
    else:
        drawn = stream(model, draws)
    if len(drawn) < count and not (drawn and drawn[-1].id in model.config.eos_token_ids):
        click.echo(clean(f"txexplain: {model.name} reads at most {model.config.n_positions} tokens: the text ends here."), err=True)


@cli.command(context_settings=settings)
@source_flags
@json_flag
def tokens(source: Source, as_json: bool) -> None:
    """How text becomes tokens: their ids, their text and their bytes.

    Example: txexplain tokens "Once upon a time"
    """
    text = source.required_text()
    tokenizer = source.load().tokenizer
    ids = list(source.ids) if source.ids is not None else tokenizer.encode(text or "")
    if outside := [i for i in ids if i >= tokenizer.n_vocab]:
        last = tokenizer.n_vocab - 1
        raise PromptError(f"Token id {outside[0]} is not in the vocabulary of {source.model}; its ids go from 0 to {last}.")
    if as_json:
        print_json([token_fields(tokenizer, i) | {"bytes": tokenizer.token_bytes(i).hex()} for i in ids])
    else:
        rows = [(str(i), tokenizer.display(i, ascii=not unicode_out()), tokenizer.token_bytes(i).hex(" ")) for i in ids]
        print_table(("id", "token", "bytes"), rows, right=(0,))


@cli.command(context_settings=settings)
@source_flags
@click.option("-o", "--output", "path", type=OutFile(), metavar="FILE.safetensors", required=True, help="Where to write.")
@click.option("--only", multiple=True, metavar="NAMES", help="Only tensors of these names, as 'blocks.5.*'; may be repeated.")
@click.option("--all-logits", is_flag=True, help="The logits of every position, not of the last alone.")
def trace(source: Source, path: Path, only: tuple[str, ...], all_logits: bool) -> None:
    """Every activation of the model on a prompt, written to a safetensors file.

    Example: txexplain trace "Once upon a time" -o once.safetensors
    """
    text = source.required_text()
    target = writable(path)
    model = source.load()
    names = chosen_names(only, model)
    recorded = model.forward(source.token_ids(model, text), all_logits=all_logits)
    recorded.save(target, only=names)
    from txexplain.viz.numbers import several

    told = f"{several(len(names), 'tensor')} of {several(len(recorded.ids), 'token')}, {target.stat().st_size / 1e6:.1f} MB"
    click.echo(clean(f"{path}: {told}"))


@cli.command(context_settings=settings)
@run_flags
@click.option(
    "--at",
    metavar="PLACE",
    required=True,
    shell_complete=complete_place,
    help="A head at a stage: L5H1 (softmax), L5H1:qk, :scaled, :masked, :values.",
)
@json_flag
@click.option("--csv", "as_csv", is_flag=True, help="A line for each query and key.")
def attention(source: Source, at: str, as_json: bool, as_csv: bool) -> None:
    """One head's grid in numbers: a row for each query, a column for each key.

    Example: txexplain attention "Once upon a time" --at L5H1:scaled --csv
    """
    from txexplain.explorer.location import Level, check, parse
    from txexplain.facts.head import grid
    from txexplain.front.scenes import dims_of

    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them.")
    text, place = source.required_text(), parse(at)
    if place.level is not Level.HEAD:
        raise click.UsageError(f"--at {place} isn't a head's grid; name a head and a stage, as L5H1:scaled.")
    name, lens, names = answered(source, text)
    check(place, dims_of(lens))
    try:
        values = grid(lens, place.block, place.head, place.stage).astype("float32")  # [T, T]
    except NotRecorded as missing:
        raise TraceError(f"The trace {source.trace} has no {missing.what}, which this takes; record it with that.") from None
    n, after_mask = len(values), place.stage not in ("qk", "scaled")
    cells = [[None if after_mask and j > i else float(str(values[i, j])) for j in range(n)] for i in range(n)]  # float32's own figures
    ids = lens.trace.ids
    if as_json:
        head = {"block": place.block, "head": place.head, "stage": place.stage}
        print_json({"model": name, "tokens": [token_fields(names, i) for i in ids], **head, "values": cells})
    elif as_csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(("query", "key", "query_token", "key_token", place.stage))
        shown = [names.display(i) for i in ids]
        lines.writerows((i, j, shown[i], shown[j], cell) for i, row in enumerate(cells) for j, cell in enumerate(row) if cell is not None)
    else:
        print_grid(cells, [names.display(i, ascii=not unicode_out()) for i in ids])


@cli.command(context_settings=settings)
@run_flags
@sampling_flags
@view_flags
@lesson_flags
@click.option("--size", type=Size(), default=(120, 36), help="Columns by rows [120x36].")
@click.option("--explain", "explained", is_flag=True, help="Explain what is selected; 100 columns.")
@click.option("-o", "--output", "path", type=OutFile(), metavar="FILE", required=True, help="A .svg or a .txt file.")
def render(source: Source, sampling: Sampling, view: View, opened: Opened, size: tuple[int, int], explained: bool, path: Path) -> None:
    """The app's screen as a file. Example: txexplain render "Once" -o head.svg"""
    kind = path.suffix.lower()
    if kind not in (".svg", ".txt"):
        raise click.UsageError(f"The screen is written as .svg or .txt; {path.name} is neither.")
    path = writable(path)
    state, lesson = first_view(source, sampling, view, opened)
    from txexplain.front.render import render_screen

    side = "explain" if explained else ""
    may_fetch, fmt = opened.may_fetch(source), kind.removeprefix(".")
    write_picture(path, render_screen(state, view.options(), *size, fmt, side, lesson, opened.page, may_fetch=may_fetch))


@cli.command(context_settings=settings)
@run_flags
@sampling_flags
@view_flags
@lesson_flags
def describe(source: Source, sampling: Sampling, view: View, opened: Opened) -> None:
    """The app's view in words. Example: txexplain describe "Once upon a time" --at L3H5"""
    state, lesson = first_view(source, sampling, view, opened)
    from txexplain.front.render import describe_screen

    click.echo(clean(describe_screen(state, view.options(), lesson, opened.page, may_fetch=opened.may_fetch(source))), nl=False)


@cli.command(context_settings=settings)
@source_flags
@sampling_flags
@click.option("--flow", type=click.Choice(FLOWS), metavar="HOW", default=FLOWS[0], help="What the bands show: norms or rollout [norms].")
@click.option("--theme", type=click.Choice(THEMES), metavar="NAME", default="light", help="dark, light or contrast [light].")
@click.option("-o", "--output", "path", type=OutFile(), metavar="FILE.svg", required=True, help="Where to write.")
def poster(source: Source, sampling: Sampling, flow: str, theme: str, path: Path) -> None:
    """One large picture of the whole run, for a slide or a wall.

    Example: txexplain poster "Once upon a time there was a" -o poster.svg
    """
    source.required_text()
    if path.suffix.lower() != ".svg":
        raise click.UsageError(f"A poster is written as .svg; {path.name} is none.")
    path = writable(path)
    state = first_state(source, sampling, View(None, 0, flow, theme, False, "truecolor"))
    from txexplain.front.render import render_poster

    write_picture(path, render_poster(state, theme))


@cli.group(context_settings=settings, invoke_without_command=True)
@json_flag
@click.pass_context
def lessons(context: click.Context, as_json: bool) -> None:
    """The lessons that come with txexplain. Open one with txexplain --lesson NAME.

    Example: txexplain lessons check my_lecture.md
    """
    if goes_on(context, as_json):
        return
    from txexplain.explorer.lesson import load, shipped

    found = [load(str(path)) for path in shipped()]
    if as_json:
        print_json([{"name": lesson.name, "title": lesson.title, "pages": len(lesson.pages)} for lesson in found])
    else:
        rows = [(lesson.name, str(len(lesson.pages)), lesson.title) for lesson in found]
        print_table(("name", "pages", "title"), rows, right=(1,))


@lessons.command(name="check", context_settings=settings)
@click.argument("lesson", metavar="FILE")
@click.option("--model", metavar="NAME", envvar="TXEXPLAIN_MODEL", default="storyteller", help="Where a page names none [storyteller].")
@click.option("--fetch", is_flag=True, help="Fetch the models that its pages name.")
def check_file(lesson: str, model: str, fetch: bool) -> None:
    """Whether a lesson holds: every page is run, every value computed, every place looked for."""
    from txexplain.explorer.lesson import load
    from txexplain.front.lessons import check_lesson
    from txexplain.models import load_model
    from txexplain.viz.numbers import several
    from txexplain.viz.palette import Palette

    found = load(lesson)
    check_lesson(found, model, lambda wanted: load_model(wanted, may_fetch=fetch or wanted == model), Palette())
    questions = sum(bool(page.question) for page in found.pages)
    click.echo(clean(f"{found.title}: {several(len(found.pages), 'page')}, {several(questions, 'question')}, no faults"))


@lessons.command(name="report", context_settings=settings)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ANSWERS.json ...")
@json_flag
def report_answers(files: tuple[Path, ...], as_json: bool) -> None:
    """What a class answered: files that --record wrote, counted by question."""
    from txexplain.front.lessons import report

    found = report(files)
    if as_json:
        print_json([each | {"answers": {str(n): count for n, count in each["answers"].items()}} for each in found])
    else:
        rows = [
            (each["lesson"], str(each["page"]), f"{each['right']} of {each['answered']}",
             " ".join(f"{n}: {count}" for n, count in each["answers"].items()), each["question"])
            for each in found
        ]  # fmt: skip
        print_table(("lesson", "page", "right", "answers", "question"), rows, right=(1, 2))


@cli.command(context_settings=settings)
@source_flags
@sampling_flags
@view_flags
def explain(source: Source, sampling: Sampling, view: View) -> None:
    """What a place computes, in numbers and code. Example: txexplain explain "Once upon" --at L3H5"""
    state = first_state(source, sampling, view)
    from txexplain.front.render import explain_screen

    click.echo(clean(explain_screen(state, view.options())), nl=False)


@cli.group(context_settings=settings, invoke_without_command=True)
@json_flag
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """The models: bundled, in the Hugging Face cache, or to download.

    Example: txexplain models pull gpt2
    """
    if goes_on(context, as_json):
        return
    from txexplain.models.report import known_models

    found = known_models()
    if as_json:
        print_json([entry.to_dict() for entry in found])
        return
    unknown = "?"
    rows = [
        (entry.name, entry.state, f"{entry.parameters:,}" if entry.parameters else unknown, megabytes(entry.bytes or 0)) for entry in found
    ]
    print_table(("name", "state", "parameters", "size"), rows, right=(2, 3))


revision_flag = click.option("--revision", metavar="REV", help="The repo's revision.")


@models.command(name="info", context_settings=settings)
@click.argument("name", metavar="NAME|DIR", shell_complete=complete_model)
@revision_flag
@json_flag
def models_info(name: str, revision: str | None, as_json: bool) -> None:
    """What a model on this machine is made of. Example: txexplain models info gpt2"""
    from txexplain.models.report import info

    found = info(name, revision)
    if as_json:
        print_json(found)
        return
    sizes = found["architecture"]
    lines = [
        f"{found['name']}: {sizes['n_layer']} blocks of {sizes['n_head']} heads, d {sizes['n_embd']}, MLP {sizes['n_inner']}, "
        f"context {sizes['n_positions']}, {sizes['vocab_size']:,} tokens",
        f"activation  {sizes['activation_function']}",
        f"parameters  {found['parameters']:,}",
        *(f"  {part:<20}{count:>15,}" for part, count in found["parameters_by_part"].items()),
        f"dtype       {found['dtype']}",
        f"licence     {found['licence']}",
        *([f"commit      {found['commit']}"] if found["commit"] else []),
        f"folder      {found['folder']}",
        *(f"  {file['name']}  {megabytes(file['bytes'])}" for file in found["files"]),
    ]
    click.echo(clean("\n".join(lines)))


@models.command(name="verify", context_settings=settings)
@click.argument("name", metavar="NAME|DIR", shell_complete=complete_model)
@revision_flag
@json_flag
def models_verify(name: str, revision: str | None, as_json: bool) -> None:
    """Whether a model is whole: its shapes, every number, its tokenizer, a run.

    Example: txexplain models verify gpt2
    """
    from txexplain.models.report import verify

    good: dict[str, str] = {}
    try:
        for what, finding in verify(name, revision):
            good[what] = finding
            if not as_json:
                click.echo(clean(f"ok  {what}: {finding}"))
    except ExplainError as error:
        if as_json:
            print_json({"name": name, "ok": False, "checks": good, "error": str(error)})
        raise
    if as_json:
        print_json({"name": name, "ok": True, "checks": good, "error": None})


@models.command(name="pull", context_settings=settings)
@click.argument("name", metavar="NAME", shell_complete=complete_model)
@revision_flag
def models_pull(name: str, revision: str | None) -> None:
    """Fetch a model into the Hugging Face cache: its newest commit, and anew what is damaged.

    Example: txexplain models pull gpt2
    """
    from txexplain.models import pull

    with terminal_progress(name) as progress:
        folder, note = pull(name, revision=revision, progress=progress)
    click.echo(clean(f"{name}: {folder}"))
    if note:
        click.echo(clean(f"txexplain: {note}"), err=True)


@models.command(name="cache", context_settings=settings)
@click.option("--clear", is_flag=True, help="Remove the copies.")
@json_flag
def models_cache(clear: bool, as_json: bool) -> None:
    """Copies in float32 of weights stored in half precision, which sessions share.

    Example: txexplain models cache --clear
    """
    from txexplain.models import widened

    folder, found = widened.listed()
    if clear:
        widened.clear(found)
    total = sum(copy.bytes for copy in found)
    if as_json:
        rows = [{"of": copy.of, "file": copy.path.name, "bytes": copy.bytes} for copy in found]
        print_json({"folder": str(folder), "bytes": total, "most": widened.MOST, "removed": clear, "copies": rows})
        return
    if found and not clear:
        print_table(("copy of", "size"), [(copy.of, megabytes(copy.bytes)) for copy in found], right=(1,))
    said = f"{megabytes(total)} removed" if clear else f"{megabytes(total)}, at most {megabytes(widened.MOST)} are kept"
    click.echo(clean(f"{folder}: {said}"))


@cli.command(context_settings=settings)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """The script that teaches a shell to complete txexplain's commands and flags.

    Example: txexplain completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # click knows the three
    click.echo(found(cli, {}, "txexplain", COMPLETE_VAR).source(), nl=False)


@cli.command(name="keys", context_settings=settings)
@json_flag
def show_keys(as_json: bool) -> None:
    """The app's actions with their keys: the usual ones, or those of your config file.

    Example: txexplain keys
    """
    from txexplain.front.actions import ACTIONS, key_name, rebound
    from txexplain.front.config import config_path, read_config
    from txexplain.viz.tables import plain_table

    actions = rebound(ACTIONS, read_config().keys)
    if as_json:
        print_json([{"id": action.id, "keys": list(action.keys), "help": action.help} for action in actions])
        return
    ascii = not unicode_out()
    rows = [(action.id, " ".join(key_name(key, ascii=ascii) for key in action.keys) or "none", action.help) for action in actions]
    click.echo(plain_table([("action", "keys", "what"), *rows]))
    with suppress(FileNotFoundError):  # this user has no home
        path = config_path()
        click.echo(f"\n{clean(str(path))} {'changes them' if path.exists() else 'may change them; it is not there yet'}.")


def goes_on(group: click.Context, as_json: bool) -> bool:
    """Whether a group's own command follows. Raises UsageError for a flag of that command before its name."""
    name = group.invoked_subcommand
    if name is not None and as_json:
        raise click.UsageError(f"--json stands behind a command's name: {group.info_name} {name} --json.")
    return name is not None


def answered(source: Source, text: str | None) -> tuple[str, Lens, Names]:
    """The run asked for, or the recorded one: its model's name, the run, and what tokens are called. Raises TraceError."""
    from txexplain.engine.derive import Lens

    if source.trace is None:
        model = source.load()
        return model.name, Lens(model.forward(source.token_ids(model, text)), model), model.tokenizer
    from txexplain.engine.trace import Trace
    from txexplain.front.scenes import recorded_names

    lens = Lens(Trace.load(source.trace), None)
    return lens.trace.model or "trace", lens, recorded_names(lens)


@cli.command("head-stats", context_settings=settings)
@source_flags
@json_flag
def head_stats(source: Source, as_json: bool) -> None:
    """What every head does on a prompt, measured from its attention.

    Shares to the token itself, the one before, the first, and the one after an
    earlier copy (induction), and the entropy in bits: means over all queries
    but the first.

    Example: txexplain head-stats "one two one two" --json
    """
    text = source.required_text()
    model = source.load()
    recorded = model.forward(source.token_ids(model, text))
    from txexplain.engine.measures import head_measures
    from txexplain.explorer.location import MEASURES

    config = model.config
    measures = head_measures(recorded, config.n_layer, config.n_head)
    heads = [(i, j) for i in range(config.n_layer) for j in range(config.n_head)]
    if as_json:
        tokens = [token_fields(model.tokenizer, i) for i in recorded.ids]
        prompt = recorded.prompt if text is None else text
        found = [{"head": f"L{i}H{j}"} | {name: float(measures.of(name)[i, j]) for name in MEASURES} for i, j in heads]
        print_json({"model": model.name, "prompt": prompt, "tokens": tokens, "heads": found})
        return
    from txexplain.viz.views.atlas import figures

    ascii = not unicode_out()
    told = [(f"L{i}H{j}", *figures(measures, i, j, ascii=ascii).values()) for i, j in heads]
    print_table(("head", *MEASURES), told, right=range(1, 1 + len(MEASURES)))


def chosen_names(only: Sequence[str], model: GPT2) -> list[str]:
    """The tensors that patterns like blocks.5.* name, of those that a run of the model makes. Raises UsageError."""
    from txexplain.engine.trace import activation_names

    names = activation_names(model.config.n_layer)
    for pattern in only:
        if not fnmatch.filter(names, pattern):
            raise click.UsageError(
                f"--only {pattern or repr(pattern)}: no tensor has such a name; they are called {names[0]}, blocks.0.attn.pattern, logits."
            )
    return [name for name in names if not only or any(fnmatch.fnmatchcase(name, pattern) for pattern in only)]


def first_state(source: Source, sampling: Sampling, view: View) -> ExplorerState:
    """The app's first state. Raises LocationError, PromptError, UsageError."""
    from txexplain.explorer.state import from_flags

    text = source.text()
    return from_flags(
        model=source.model,
        revision=source.revision,
        prompt=text,
        ids=source.ids,
        at=view.at,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=view.seed,
        flow=view.flow,
        trace=source.trace,
    )


def first_view(source: Source, sampling: Sampling, view: View, opened: Opened) -> tuple[ExplorerState, Lesson | None]:
    """The first state, and the lesson that is open in it. Raises LessonError too."""
    if opened.lesson is None:
        return first_state(source, sampling, view), None
    from txexplain.explorer.lesson import state_of
    from txexplain.explorer.state import ExplorerState
    from txexplain.front.lessons import page_of

    lesson = opened.load()
    state = ExplorerState(model=opened.model(source), revision=source.revision, flow=view.flow)
    return state_of(page_of(lesson, opened.page), state), lesson


def require_place(source: Source, state: ExplorerState) -> None:
    """Raise LocationError, before the screen is taken, for a first place that this model or prompt lacks."""
    from txexplain.explorer.location import Dims, check

    model = source.load()
    ids = model.checked(source.token_ids(model, state.prompt))
    check(state.location, Dims.of(model.config, len(ids), model.name))


# What is read and where it may be written


def read_prompt(path: str) -> str:
    """A file's text, or standard input's where path is `-`, without its last newline. Raises UsageError, PromptError."""
    if not path:
        raise click.UsageError("--file needs the name of a file, or - for a pipe.")
    where = "standard input" if path == "-" else path
    try:
        with waited_for(where, path), nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as file:
            data = file.read(LARGEST_PROMPT + 1)
        if len(data) > LARGEST_PROMPT:
            raise PromptError(f"The prompt in {where} has more than {LARGEST_PROMPT // 1_000_000} MB; shorten it.")
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PromptError(f"The prompt in {where} isn't UTF-8 (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise click.UsageError(f"The prompt can't be read from {where}: {reason(error)}.") from None
    return text.removesuffix("\n").removesuffix("\r")


@contextmanager
def waited_for(where: str, path: str) -> Iterator[None]:
    """Say on the terminal what is waited for, where a pipe or a keyboard brings the prompt and takes its time: it may never end."""
    if not is_terminal(sys.stderr) or (path != "-" and Path(path).is_file()):
        yield
        return
    import threading

    told = clean(f"txexplain: reading the prompt from {where} until that ends; ctrl+c gives up.")
    timer = threading.Timer(PATIENCE, lambda: click.echo(told, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def writable(path: Path) -> Path:
    """Where a file is really to be written, looked at before any work is done. Raises UsageError."""
    try:
        path = followed(path)
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {reason(error)}.") from None
    if not path.parent.is_dir():
        raise click.UsageError(f"There is no folder {path.parent} to write {path.name} to.")
    if path.exists() and not path.is_file():
        raise click.UsageError(f"{path} is not a file that can be replaced; name another one.")
    return path


def write_picture(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError."""
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {reason(error)}.") from None


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def check_terminal(file: str | None, instead: str = "to read the prompt from a pipe give --file -") -> None:
    """Raises UsageError where the app has no keyboard or no screen."""
    if other_screen():
        if file == "-":
            raise click.UsageError("Under TEXTUAL_DRIVER standard input brings the keys; give the prompt as --file PATH.")
        return
    if not is_terminal(sys.stdin) and file != "-":
        raise click.UsageError(f"Standard input is not a terminal, so the app has no keyboard; {instead}")
    if not is_terminal(sys.stdout):
        raise click.UsageError("Standard output is not a terminal, so the app has no screen; use txexplain predict, describe or render.")
    if os.environ.get("TERM") == "dumb":
        raise click.UsageError("This terminal can't place text (TERM=dumb); use txexplain describe, predict or render.")


def other_screen() -> bool:
    """Whether Textual is told to show the app elsewhere than on a terminal, as textual-serve does in a browser."""
    return bool(os.environ.get("TEXTUAL_DRIVER"))


def is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()  # None: closed by the shell


def take_keyboard(file: str | None) -> None:
    """After a prompt from a pipe, read keys from the terminal itself. Raises UsageError."""
    if file != "-" or is_terminal(sys.stdin):
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        raise click.UsageError("There is no terminal to read keys from; give the prompt as --file PATH, or use predict.") from None
    os.dup2(terminal, 0)
    os.close(terminal)


@contextmanager
def terminal_progress(name: str) -> Iterator[Progress | None]:
    """What tells how far a download is, on one line of standard error that is gone in the end; None where that is no terminal."""
    if not is_terminal(sys.stderr):
        yield None
        return
    shown = ""

    def tell(done: int, total: int) -> None:
        nonlocal shown
        if not total:
            return
        text = clean(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        if text != shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            shown = text

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# Generation


def draw_tokens(model: GPT2, ids: Sequence[int], sampling: Sampling, seed: int, count: int) -> Iterator[Draw]:
    """Up to count tokens, each drawn with the number of the position that it takes; ends after end of text or with the context."""
    from txexplain.engine.sampling import uniform

    text, trace = list(ids), None
    while count > 0 and len(text) < model.config.n_positions:
        trace = model.forward(text, prefix=trace)
        drawn = sampling.distribution(trace).draw(uniform(seed, len(text)))
        yield drawn
        if drawn.id in model.config.eos_token_ids:
            return
        text.append(drawn.id)
        count -= 1


def stream(model: GPT2, draws: Iterator[Draw]) -> list[Draw]:
    """Print the tokens' text as it comes, in complete characters only: a token may end in the middle of one."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    to_terminal = sys.stdout.isatty()
    drawn, end = [], "\n"

    def show(text: str) -> str:
        if text:
            sys.stdout.write(clean(text) if to_terminal else text)
            sys.stdout.flush()
        return text[-1:] or end

    for d in draws:
        drawn.append(d)
        if d.id not in model.config.eos_token_ids:
            end = show(decoder.decode(model.tokenizer.token_bytes(d.id) or f"#{d.id}".encode()))
    end = show(decoder.decode(b"", final=True))
    if end != "\n":
        sys.stdout.write("\n")
    return drawn


# What the commands print


def token_fields(tokenizer: Names, id: int) -> dict[str, Any]:
    return {"id": id, "text": tokenizer.decode([id])}


def draw_fields(draw: Draw) -> dict[str, Any]:
    """Greedy too has its number: it is the position's, though any number would fall on the same token."""
    return {"probability": draw.probability, "full_probability": draw.full_probability, "uniform": draw.uniform}


def sampling_fields(dist: Distribution) -> dict[str, Any]:
    setting = {"k": dist.k} if dist.mode == "top-k" else {"p": dist.p} if dist.mode == "top-p" else {}
    return {"mode": dist.mode, **setting, "kept": dist.kept_count}


def candidate_fields(tokenizer: Names, dist: Distribution, id: int) -> dict[str, Any]:
    rank = dist.rank_of(id)
    return {
        "rank": rank + 1,
        **token_fields(tokenizer, id),
        "logit": float(dist.logits[id]),
        "scaled_logit": float(dist.scaled[id]),
        "probability": float(dist.probability[id]),
        "full_probability": float(dist.full_probability[id]),
        "cumulative": float(dist.cumulative[rank]),
        "kept": bool(dist.kept[id]),
    }


def print_json(document: Any) -> None:
    """One strict JSON document in ASCII, so that no terminal, pipe or locale can be hurt by a token; what isn't finite is null."""
    sys.stdout.write(json.dumps(strict(document), allow_nan=False) + "\n")


def strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_candidates(name: str, names: Names, dist: Distribution, candidates: Sequence[int]) -> None:
    """The candidates as a table with bars; the bar is the probability after the filter."""
    from txexplain.viz.numbers import percent

    ascii = not unicode_out()
    largest = float(dist.probability.max())
    filtered = dist.mode != "full"
    rows = []
    for rank, id in enumerate(candidates, 1):
        probability = float(dist.probability[id])
        shares = [percent(probability, ascii=ascii) if dist.kept[id] else "cut"]
        if filtered:
            shares.append(percent(float(dist.full_probability[id]), ascii=ascii))
        shares.append(percent(float(dist.cumulative[rank - 1]), ascii=ascii))
        token = names.display(id, ascii=ascii)
        rows.append((str(rank), token, bar(probability / largest, ascii), *shares, f"{dist.logits[id]:.2f}"))
    kept = {"full": "", "greedy": ", greedy", "top-k": f", top-k {dist.k}", "top-p": f", top-p {dist.p}"}[dist.mode]
    click.echo(clean(f"{name}, T {dist.temperature:g}{kept}: {dist.kept_count} of {len(dist.order)} tokens, {dist.entropy_bits:.2f} bits"))
    heads = ("rank", "token", "", "probability", *(("of all",) if filtered else ()), "cumulative", "logit")
    print_table(heads, rows, right=(0, *range(3, len(heads))))


def print_grid(cells: Sequence[Sequence[float | None]], tokens: Sequence[str]) -> None:
    """A row a query, a column a key; a dot where the key comes after the query. Never cut, however long the lines."""
    from txexplain.viz.numbers import number
    from txexplain.viz.tables import plain_table

    ascii = not unicode_out()
    blank = "." if ascii else "·"
    rows = [(f"{i} {tokens[i]}", *(blank if cell is None else number(cell, ascii=ascii) for cell in row)) for i, row in enumerate(cells)]
    click.echo(clean(plain_table([("query", *(f"{j} {token}" for j, token in enumerate(tokens))), *rows])))


def bar(share: float, ascii: bool) -> str:
    """A bar of up to BAR cells, to an eighth of a cell; whole cells of # in ASCII."""
    if ascii:
        return "#" * round(share * BAR)
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    """Rows of text under heads; the column without a head holds bars. No colour where the output is no terminal."""
    from rich.console import Console
    from rich.text import Text

    from txexplain.viz.tables import GAP, aligned

    console = Console(highlight=False, width=LONGEST_LINE)  # never cut: a terminal wraps long lines
    for n, row in enumerate(aligned([heads, *([clean(cell) for cell in row] for row in rows)], right)):
        looks = ["dim" if n == 0 else "" if head else "magenta" for head in heads]
        line = Text(GAP).join(Text(cell, look) for cell, look in zip(row, looks, strict=True))
        line.rstrip()
        console.print(line, soft_wrap=True)


COLOR_SYSTEMS = ("standard", "256", "truecolor")


def unicode_out(stream: TextIO | None = None) -> bool:
    return codecs.lookup((stream or sys.stdout).encoding or "ascii").name == "utf-8"


def main() -> None:
    """The console script."""
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)
    system = os.environ.pop("TEXTUAL_COLOR_SYSTEM", "").lower()
    if system in COLOR_SYSTEMS:  # Textual ends over a value that it doesn't know
        os.environ["TEXTUAL_COLOR_SYSTEM"] = system
    cli.main()
