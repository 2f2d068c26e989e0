"""What commands may be given: the kinds of values, the flags, and how a shell completes them. Nothing heavy: --help needs no more."""

from __future__ import annotations

import csv
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from txexplain.bounded import load_json
from txexplain.errors import reason
from txexplain.models.bundled import NAME
from txexplain.models.known import KNOWN

COLORS = ("auto", "truecolor", "256", "16", "none")
FLOWS = ("norms", "rollout")  # explorer.state's, not imported for --help
THEMES = ("dark", "light", "contrast")
GLYPHS = ("edge", "half", "ascii")
PICTURES = ("auto", "glyphs", "kitty", "sixel", "iterm")  # front.medium's, as FLOWS
AUTO = "auto"
SHELLS = ("bash", "zsh", "fish")
CLASS_KEY = "TXEXPLAIN_CLASS_KEY"  # in the environment
STAGE_NAMES = ("qk", "scaled", "masked", "softmax", "values")  # explorer.location's, as FLOWS
PAGE_NAMES = ("ln1", "qkv", "attn", "proj", "ln2", "mlp")
LARGEST_SIDE = 1000  # cells
LARGEST_IDS = 64_000_000  # bytes of a file of token ids
MOST_VALUES = 10_000_000  # of such a file in JSON
LARGEST_SEED = (1 << 64) - 1


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
    """Token ids, separated by commas; or @FILE, or - for a pipe: there white space may separate them, too, or they are the column `id`
    of a CSV, a JSON list, or the tokens of a document that a command printed."""

    name = "1,2,3"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in value.split(",")]
        if value == "-" or value.startswith("@"):
            parts = ids_in(self.read(value, param, ctx))
        if not parts or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            forms = "" if value != "-" and not value.startswith("@") else ", a CSV with a column id, a JSON list or a document with tokens"
            self.fail(f"{value!r} is not a list of token ids like 1,2,3{forms}.", param, ctx)
        return tuple(int(part) for part in parts)

    def read(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """What a file or a pipe holds, of which the beginning is enough to be refused. Raises BadParameter."""
        try:
            if value == "-":
                return sys.stdin.buffer.read(LARGEST_IDS).decode("utf-8", "replace")
            with Path(value[1:]).open("rb") as file:
                return file.read(LARGEST_IDS).decode("utf-8", "replace")
        except OSError as error:
            self.fail(f"token ids can't be read from {value.removeprefix('@')}: {reason(error).lower()}.", param, ctx)


def ids_in(text: str) -> list[str]:
    """The ids that a text holds, as they stand there: a column of a CSV, JSON, or numbers one behind the other."""
    text = text.removeprefix("\ufeff").strip()
    if text[:1] in ("[", "{"):
        with suppress(ValueError, RecursionError, AttributeError, TypeError, KeyError):
            told = load_json(text.encode(), MOST_VALUES)
            listed = told["tokens"] if isinstance(told, dict) else told
            return [str(each["id"] if isinstance(each, dict) else each) for each in listed]
        return []
    if text[:1].isdigit():
        return text.replace(",", " ").split()
    rows = csv.reader(text.splitlines())
    with suppress(ValueError, IndexError, csv.Error):
        column = next(rows, []).index("id")
        return [row[column].strip() for row in rows if row]
    return []


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


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def complete_model(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The known names; else a folder or file."""
    return [CompletionItem(name) for name in (NAME, *KNOWN) if name.startswith(incomplete)] or complete_file(context, param, incomplete)


def complete_place(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The places of the model, and the parts of the block or head that is begun."""
    begun = re.match(r"(L\d+)(?:(\.)|H\d+(:)?)?", incomplete)
    if begun is None:
        places = ["model", "embed", "heads", "final", "output", "L0"]
    elif begun[3]:
        places = [begun[0] + stage for stage in STAGE_NAMES]
    else:
        places = [f"{begun[1]}.{page}" for page in PAGE_NAMES] + [f"{begun[1]}H0"]
    return [CompletionItem(place) for place in places if place.startswith(incomplete)]


class InOrder(click.Option):
    """A flag whose place among others of its kind counts: `given_in_order` says in which order they stood on the command line."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        if ORDER not in ctx.meta:
            ctx.meta[ORDER], parse = [], parser.parse_args

            def parse_args(args: list[str]) -> Any:
                found = parse(args)
                ctx.meta[ORDER][:] = [param for param in found[2] if isinstance(param, InOrder)]  # one for each time that it was given
                return found

            parser.parse_args = parse_args


ORDER = "txexplain.order"


def given_in_order(**values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Flags and their values, given under the parameters' names, as they stood on the command line."""
    left = {name: list(texts) for name, texts in values.items()}
    given = [param for param in click.get_current_context().meta.get(ORDER, ()) if left.get(param.name or "")]
    return [(param.opts[0], left[str(param.name)].pop(0)) for param in given]


def flag(*names: str, **settings: Any) -> click.Option:
    return click.Option(names, **settings)


@dataclass(frozen=True)
class Group:
    """Flags whose values become one object: the command gets it as `name`, and `made_by` (module:function) makes it of them."""

    name: str
    made_by: str
    params: tuple[click.Parameter, ...]


SOURCE = (
    click.Argument(["prompt"], nargs=-1, metavar="[PROMPT]"),
    flag("--prompt", "prompt_text", metavar="TEXT", help="The prompt, whatever it looks like."),
    flag("--file", metavar="PATH|-", shell_complete=complete_file, help="The prompt from a file, or - for a pipe."),
    flag("--ids", type=Ids(), help="Token ids in place of the prompt."),
    flag(
        "--model",
        metavar="NAME",
        envvar="TXEXPLAIN_MODEL",
        default="storyteller",
        shell_complete=complete_model,
        help="Name, folder or repo id [storyteller].",
    ),
    flag("--revision", metavar="REV", hidden=True, help="The repo's revision."),
    flag("--tokenizer", metavar="NAME", shell_complete=complete_model, hidden=True, help="Another tokenizer: gpt2, folder, repo id."),
    flag("--specials", type=click.Choice(("token", "text")), hidden=True, help="What a typed <|special|> token is."),
)
TRACE = flag("--trace", metavar="FILE", shell_complete=complete_file, help="A recorded run in place of model and prompt.")
SEED = flag("--seed", type=Whole(min=0, max=LARGEST_SEED), metavar="N", default=0, help="Seed of the draws [0].")

PROMPTS = flag("--prompts", metavar="FILE|-", shell_complete=complete_file, help="A prompt a line; a JSON document a line comes out.")

source_flags = Group("source", "asked:Source", SOURCE)
prompts_flags = Group("source", "asked:Source", (*SOURCE, PROMPTS))
run_flags = Group("source", "asked:Source.of", (*SOURCE, TRACE))
runs_flags = Group("source", "asked:Source.of", (*SOURCE, TRACE, PROMPTS))


def change_group(*, hidden: bool) -> Group:
    """What is changed in the run; hidden where a command's help has no room for it: the program's own names it."""
    kinds = (
        ("--ablate", "WHAT", "Set to its mean over tales, or =zero: L5H1, L3.mlp."),
        ("--cut", "EDGE", "Query and key: L5H1[7,3], [7,3], [*,3]."),
        ("--patch", "WHAT", "From the run of --from TEXT: L4H3, L4.resid@5."),
    )
    edits = (InOrder([name], multiple=True, metavar=metavar, help=help, hidden=hidden) for name, metavar, help in kinds)
    other = flag("--from", "other", metavar="TEXT", hidden=True), flag("--from-ids", "other_ids", type=Ids(), hidden=True)
    return Group("changes", "asked:Changes.of", (*edits, *other))


change_flags, unsaid_change_flags = change_group(hidden=False), change_group(hidden=True)
sampling_flags = Group(
    "sampling",
    "asked:Sampling.of",
    (
        flag("--temperature", type=float, metavar="T", default=1.0, help="0, or --greedy: the most likely token [1.0]."),
        flag("--top-k", type=int, metavar="K", help="Only the K most likely tokens."),
        flag("--top-p", type=float, metavar="P", help="Only the most likely tokens that together reach P."),
        flag("--greedy", is_flag=True, hidden=True, help="Always the most likely token."),
    ),
)
view_flags = Group(
    "view",
    "views:View",
    (
        flag("--answer", metavar="TOKEN", hidden=True),  # the two whose difference is looked at
        flag("--against", metavar="TOKEN", hidden=True),
        flag("--at", metavar="PLACE", shell_complete=complete_place, help="Where to look: model, L5, L5H1[7,3], output ..."),
        SEED,
        flag("--flow", type=click.Choice(FLOWS), metavar="HOW", default=FLOWS[0], help="What the ribbons show: norms or rollout [norms]."),
        flag("--theme", type=click.Choice((AUTO, *THEMES)), metavar="NAME", help="auto, dark, light or contrast [auto]."),
        flag("--ascii", is_flag=True, hidden=True),
        flag("--glyphs", type=click.Choice(GLYPHS), metavar="SET", help="Of pictures: edge, half or ascii (--ascii) [edge]."),
        flag("--color", type=click.Choice(COLORS), metavar="WHEN", default="auto", help="auto, truecolor, 256, 16 or none [auto]."),
    ),
)
lesson_flags = Group(
    "opened",
    "views:Opened.of",
    (
        flag("--lesson", metavar="NAME --page N", help="A lesson's page; --fetch gets its model."),
        flag("--page", type=Whole(min=1), metavar="N", hidden=True),
        flag("--fetch", is_flag=True, hidden=True),
    ),
)
csv_flag = flag("--csv", "as_csv", is_flag=True, help="A line for each token.")
windows_flags = Group(
    "windows",
    "loss:Windows",
    (
        flag("--window", type=Whole(min=1), metavar="N", help="Tokens read at once [the model's context]."),
        flag("--stride", type=Whole(min=1), metavar="N", help="Tokens from one window to the next [half a window]."),
    ),
)
pair_flags = Group(
    "pair",
    "causes:Pair",
    (
        flag("--answer", metavar="TOKEN", help='The token that is asked about, as " Tom" or #464 [the likeliest].'),
        flag("--against", metavar="TOKEN", help="And the one that it is compared with [the second]."),
    ),
)
instead_flags = Group(
    "instead",
    "causes:Instead.of",
    (
        flag("--to", metavar="HOW", help="mean over a text, zero, a number; of edges cut or raw [mean, cut]."),
        flag("--from", "other", metavar="TEXT", help="Or patched from another prompt's run."),
    ),
)
plain_change_flags = Group(
    "changes",
    "asked:Changes.without_patches",
    tuple(InOrder([name], multiple=True, metavar="WHAT", hidden=True) for name in ("--ablate", "--cut")),
)
top_flag = flag("--top", type=Whole(min=1), metavar="N", default=10, help="How many of the strongest [10].")
screen_flags = Group(
    "wishes",
    "views:Wishes",
    (
        flag("--cursor", is_flag=True, help="Show the terminal's cursor, which stands at what is selected."),
        flag("--picture", type=click.Choice(PICTURES), metavar="HOW", help="auto, glyphs, or pixels: kitty, sixel, iterm [auto]."),
    ),
)
stage_flag = flag(
    "--stage", type=click.Choice(STAGE_NAMES), metavar="STAGE", help="Of many heads: qk, scaled, masked, softmax, values [softmax]."
)
json_flag = flag("--json", "as_json", is_flag=True, help="One JSON document.")
revision_flag = flag("--revision", metavar="REV", help="The repo's revision.")
