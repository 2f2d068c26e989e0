"""Every command: its name, its flags, its help, and the function that answers it, whose module is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

from txexplain import __version__
from txexplain.cli.flags import (
    CLASS_KEY,
    FLOWS,
    SEED,
    SHELLS,
    THEMES,
    Group,
    OutFile,
    Size,
    Whole,
    change_flags,
    complete_file,
    complete_model,
    complete_place,
    csv_flag,
    flag,
    instead_flags,
    json_flag,
    lesson_flags,
    pair_flags,
    plain_change_flags,
    prompts_flags,
    revision_flag,
    run_flags,
    runs_flags,
    sampling_flags,
    screen_flags,
    source_flags,
    stage_flag,
    top_flag,
    unsaid_change_flags,
    view_flags,
    windows_flags,
)

HELP = ("-h", "--help")
SETTINGS: dict[str, Any] = {"help_option_names": list(HELP), "max_content_width": 80}

APP_HELP = """\
Usage: txexplain [FLAGS] [PROMPT]          explore GPT-2 at work on your prompt
       txexplain COMMAND [FLAGS] [PROMPT]  the same figures without the app
Example: txexplain "Once upon a time there was a" --at L3H5 --temperature 0.8

Commands (txexplain COMMAND --help says more):
  numbers:   predict, generate, tokens, loss, attention, head-stats
  causes:    lens, direct, effects, scan, compare; runs: trace, open
  pictures:  render, poster; words: describe, explain
  more:      lessons, models, convert, serve, keys, completion

Flags:
  --prompt TEXT, --file PATH|-, -- PROMPT  a prompt whatever it looks like
  --ids 1,2,3, --trace FILE                ids or a recorded run instead
  --model NAME, --revision REV, --fetch    name, folder, repo id [storyteller]
  --tokenizer NAME, --specials token|text  another's; what typed <|x|> are
  --at PLACE                               model, L5, L5H1, L5H1[7,3], output
  --ablate, --cut, --patch WHAT, --from TEXT, --from-ids 1,2,3   change the run
  --answer TOKEN, --against TOKEN          the two compared [the likeliest]
  --temperature T, --greedy, --top-k K, --top-p P   how tokens are drawn [1.0]
  --seed N, --flow HOW                     draws [0]; norms or rollout [norms]
  --theme NAME, --ascii, --color WHEN      auto, truecolor, 256, 16 or none
  --glyphs SET, --picture HOW              edge, half, ascii; pixels [auto]
  --lesson NAME, --page N, --record FILE   --lecture, --pace, --clock, --target
  --cursor, --version, -h, --help          the cursor seen where it is [no]
"""


class AppCommand(click.Command):
    """The app, whose help is that of the whole program."""

    def get_help(self, ctx: click.Context) -> str:
        return APP_HELP.rstrip()


def found(where: str) -> Callable[..., Any]:
    """A function of a module below this package, as `module:function`."""
    module, _, name = where.partition(":")
    function: Callable[..., Any] = attrgetter(name)(import_module(f"txexplain.cli.{module}"))
    return function


@dataclass(frozen=True)
class Answer:
    """What click calls: a function, imported now, with its flags' values, those of each group as one object."""

    where: str
    groups: tuple[Group, ...]

    def __call__(self, **values: Any) -> Any:
        made = {group.name: found(group.made_by)(**{str(p.name): values.pop(str(p.name)) for p in group.params}) for group in self.groups}
        return found(self.where)(**values, **made)


def answered_by(where: str, flags: tuple[Group | click.Parameter, ...]) -> dict[str, Any]:
    """What a click command takes of these flags, to be answered by a function of another module."""
    groups = tuple(each for each in flags if isinstance(each, Group))
    params = [param for each in flags for param in (each.params if isinstance(each, Group) else (each,))]
    return {"callback": Answer(where, groups), "params": params, "context_settings": SETTINGS}


def command(name: str, where: str, *flags: Group | click.Parameter, help: str) -> click.Command:
    return click.Command(name, help=help, **answered_by(where, flags))


def group(name: str, where: str, *flags: Group | click.Parameter, help: str, commands: list[click.Command]) -> click.Group:
    return click.Group(name, commands, help=help, invoke_without_command=True, **answered_by(where, flags))


def goes_on(as_json: bool) -> bool:
    """Whether a command of the present group follows. Raises UsageError for a flag of that command before its name."""
    here = click.get_current_context()
    name = here.invoked_subcommand
    if name is not None and as_json:
        raise click.UsageError(f"--json stands behind a command's name: {here.info_name} {name} --json.")
    return name is not None


def written(kind: str, help: str) -> click.Option:
    return flag("-o", "--output", "path", type=OutFile(), metavar=kind, required=True, help=help)


app = AppCommand(
    None,
    **answered_by(
        "start:app",
        (
            run_flags,
            unsaid_change_flags,
            sampling_flags,
            view_flags,
            lesson_flags,
            flag("--lecture", is_flag=True, help="Large and calm; the script's keys are played, the mouse is off."),
            flag("--pace", type=click.FloatRange(min=0.01, max=600), metavar="SECONDS", help="Between two keys of a script [1.0]."),
            flag("--clock", is_flag=True, help="A stopwatch beside the page's number."),
            flag("--target", type=click.FloatRange(min=1, max=1000), metavar="MINUTES", help="What the clock aims at."),
            flag("--record", type=OutFile(), metavar="FILE.json", help="Keep the answers in a file."),
            screen_flags,
        ),
    ),
)
click.version_option(__version__, prog_name="txexplain", message="%(prog)s %(version)s")(app)

predict = command(
    "predict",
    "numbers:predict",
    runs_flags,
    change_flags,
    sampling_flags,
    flag("--top", type=Whole(min=1), metavar="N", default=10, help="How many candidates [10]."),
    json_flag,
    help="""The next token's probabilities.

    Example: txexplain predict "Once upon a time" --temperature 0.8 --top-k 40
    """,
)
generate = command(
    "generate",
    "numbers:generate",
    prompts_flags,
    change_flags,
    sampling_flags,
    flag("--tokens", "count", type=Whole(min=0), metavar="N", default=40, help="How many tokens at most [40]."),
    SEED,
    json_flag,
    help="""Continue the prompt; what is printed is the continuation only.

    Example: txexplain generate "Once upon a time" --tokens 60 --top-p 0.9 --seed 7
    """,
)
tokens = command(
    "tokens",
    "numbers:tokens",
    prompts_flags,
    json_flag,
    help="""How text becomes tokens: their ids, their text and their bytes.

    Example: txexplain tokens "Once upon a time"
    """,
)
trace = command(
    "trace",
    "numbers:trace",
    source_flags,
    change_flags,
    written("FILE.safetensors", "Where to write."),
    flag("--only", multiple=True, metavar="NAMES", help="Only tensors of these names, as 'blocks.5.*'; may be repeated."),
    flag("--all-logits", is_flag=True, help="The logits of every position, not of the last alone."),
    help="""Every activation of the model on a prompt, written to a safetensors file.

    Example: txexplain trace "Once upon a time" -o once.safetensors
    """,
)
attention = command(
    "attention",
    "numbers:attention",
    runs_flags,
    change_flags,
    flag(
        "--at",
        metavar="PLACE",
        required=True,
        shell_complete=complete_place,
        help="A head at a stage: L5H1 (softmax), L5H1:qk, :scaled, :masked, :values; or L5.attn, heads.",
    ),
    stage_flag,
    json_flag,
    flag("--csv", "as_csv", is_flag=True, help="A line for each query and key."),
    help="""One head's grid in numbers: a row for each query, a column for each key.

    Example: txexplain attention "Once upon a time" --at L5H1:scaled --csv
    """,
)
loss = command(
    "loss",
    "loss:loss",
    runs_flags,
    unsaid_change_flags,
    windows_flags,
    json_flag,
    csv_flag,
    help="""How well the model foretells a text, token by token and as a whole.

    Surprisal in bits; loss, perplexity and bits per byte. A longer text than
    the context is read in windows, each a stride after the one before.

    Example: txexplain loss --file chapter.txt --stride 64
    """,
)
head_stats = command(
    "head-stats",
    "numbers:head_stats",
    prompts_flags,
    change_flags,
    json_flag,
    help="""What every head does on a prompt, measured from its attention.

    Shares to the token itself, the one before, the first, and the one after an
    earlier copy (induction), and the entropy in bits: means over all queries
    but the first.

    Example: txexplain head-stats "one two one two" --json
    """,
)
direct = command(
    "direct",
    "causes:direct",
    source_flags,
    unsaid_change_flags,
    pair_flags,
    flag("--token", type=Whole(min=0), metavar="N", help="At which position [the last]."),
    json_flag,
    help="""What each part adds to the difference of two tokens' logits directly.

    A reading: what acts through later blocks isn't in it; see effects.

    Example: txexplain direct "Anna gave Tom" --answer " the" --against " a"
    """,
)
lens = command(
    "lens",
    "lens:lens",
    prompts_flags,
    unsaid_change_flags,
    pair_flags,
    flag("--token", type=Whole(min=0), metavar="N", help="At which position [the last; with --json, --csv all]."),
    json_flag,
    csv_flag,
    help="""The logit lens: what each token's stream would say next, block by block.

    A reading, not a cause: each stream goes through the last LayerNorm and
    the unembedding before it is done.

    Example: txexplain lens "Once upon a time" --answer " there"
    """,
)
effects = command(
    "effects",
    "causes:effects",
    click.Argument(["of"], metavar="KIND"),
    source_flags,
    plain_change_flags,
    pair_flags,
    instead_flags,
    flag("--prompts", "examples", metavar="FILE", shell_complete=complete_file, help="Examples: prompt, other, answer, against; tabs."),
    top_flag,
    json_flag,
    csv_flag,
    help="""How the answer changes where one thing is changed, for each of many.

    KIND: heads, mlps, attns, "neurons L5", edges, "edges L5H1", rows; with
    --from resid, z, q, k, v, pattern. Example: txexplain effects heads "Once"
    """,
)
scan = command(
    "scan",
    "causes:scan",
    source_flags,
    plain_change_flags,
    pair_flags,
    instead_flags,
    top_flag,
    json_flag,
    csv_flag,
    help="""A prompt's strongest effects of all kinds in one table.

    Example: txexplain scan "Once upon a time there was a"
    """,
)
compare = command(
    "compare",
    "compare:compare",
    source_flags,
    plain_change_flags,
    pair_flags,
    flag("--from", "other", metavar="TEXT", help="Another prompt, with the same changes."),
    flag(
        "--with",
        "model_beside",
        metavar="NAME",
        shell_complete=complete_model,
        help="Another model of this vocabulary, on the same tokens.",
    ),
    top_flag,
    json_flag,
    csv_flag,
    help="""Two runs beside each other: what they say next, and how far apart.

    Of another prompt, another model, or without what is changed.

    Example: txexplain compare "The keys near the house" --ablate L4H3
    """,
)
render = command(
    "render",
    "pictures:render",
    run_flags,
    unsaid_change_flags,
    sampling_flags,
    view_flags,
    lesson_flags,
    flag("--size", type=Size(), default=(120, 36), help="Columns by rows [120x36]."),
    flag("--explain", "explained", is_flag=True, help="Explain what is selected; 100 columns."),
    written("FILE", "A .svg or a .txt file."),
    help="""The app's screen as a file. Example: txexplain render "Once" -o head.svg""",
)
poster = command(
    "poster",
    "pictures:poster",
    source_flags,
    sampling_flags,
    flag("--flow", type=click.Choice(FLOWS), metavar="HOW", default=FLOWS[0], help="What the bands show: norms or rollout [norms]."),
    flag("--theme", type=click.Choice(THEMES), metavar="NAME", default="light", help="dark, light or contrast [light]."),
    written("FILE.svg", "Where to write."),
    help="""One large picture of the whole run, for a slide or a wall.

    Example: txexplain poster "Once upon a time there was a" -o poster.svg
    """,
)
describe = command(
    "describe",
    "pictures:describe",
    run_flags,
    unsaid_change_flags,
    sampling_flags,
    view_flags,
    lesson_flags,
    json_flag,
    help="""The app's view in words. Example: txexplain describe "Once upon a time" --at L3H5""",
)
explain = command(
    "explain",
    "pictures:explain",
    source_flags,
    unsaid_change_flags,
    sampling_flags,
    view_flags,
    help="""What a place computes, in numbers and code. Example: txexplain explain "Once upon" --at L3H5""",
)
opened = command(
    "open",
    "start:recorded",
    click.Argument(["trace"], metavar="FILE.safetensors", shell_complete=complete_file),
    sampling_flags,
    view_flags,
    screen_flags,
    help="""A recorded run in the app, without its model. Example: txexplain open once.safetensors --at L3H5""",
)
keys = command(
    "keys",
    "start:keys",
    json_flag,
    help="""The app's actions with their keys: the usual ones, or those of your config file.

    Example: txexplain keys
    """,
)
lessons = group(
    "lessons",
    "lessons:listed",
    json_flag,
    help="""The lessons that come with txexplain. Open one with txexplain --lesson NAME.

    Example: txexplain lessons check my_lecture.md
    """,
    commands=[
        command(
            "check",
            "lessons:check",
            click.Argument(["lesson"], metavar="FILE"),
            flag("--model", metavar="NAME", envvar="TXEXPLAIN_MODEL", default="storyteller", help="Where a page names none [storyteller]."),
            flag("--fetch", is_flag=True, help="Fetch the models that its pages name."),
            help="Whether a lesson holds: every page is run, every value computed, every place looked for.",
        ),
        command(
            "notes",
            "lessons:told",
            click.Argument(["lesson"], metavar="NAME|FILE"),
            flag("--follow", is_flag=True, help="Those of the page that a lecture shows now, with its clock, until Ctrl-C."),
            help="A lecturer's notes, page by page. Example: txexplain lessons notes lecture-attention --follow",
        ),
        command(
            "report",
            "lessons:counted",
            click.Argument(["files"], nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ANSWERS.json ..."),
            json_flag,
            help="What a class answered: files that --record wrote, counted by question.",
        ),
    ],
)
MODEL_HERE = click.Argument(["name"], metavar="NAME|DIR", shell_complete=complete_model)
models = group(
    "models",
    "models:listed",
    json_flag,
    help="""The models: bundled, in the Hugging Face cache, or to download.

    Example: txexplain models pull gpt2
    """,
    commands=[
        command(
            "info",
            "models:info",
            MODEL_HERE,
            revision_flag,
            json_flag,
            help="What a model on this machine is made of. Example: txexplain models info gpt2",
        ),
        command(
            "verify",
            "models:verify",
            MODEL_HERE,
            revision_flag,
            json_flag,
            help="""Whether a model is whole: its shapes, every number, its tokenizer, a run.

            Example: txexplain models verify gpt2
            """,
        ),
        command(
            "pull",
            "models:pull",
            click.Argument(["name"], metavar="NAME", shell_complete=complete_model),
            revision_flag,
            help="""Fetch a model into the Hugging Face cache: its newest commit, and anew what is damaged.

            Example: txexplain models pull gpt2
            """,
        ),
        command(
            "cache",
            "models:cache",
            flag("--clear", is_flag=True, help="Remove the copies."),
            json_flag,
            help="""Copies in float32 of weights stored in half precision, which sessions share.

            Example: txexplain models cache --clear
            """,
        ),
    ],
)
convert = command(
    "convert",
    "convert:convert",
    click.Argument(["path"], type=click.Path(exists=True, path_type=Path), metavar="SOURCE"),
    click.Argument(["folder"], type=click.Path(path_type=Path), metavar="FOLDER"),
    flag("--base", metavar="NAME|DIR", shell_complete=complete_model, help="The model that an adapter changes [the one that it names]."),
    flag("--python", metavar="PYTHON", help="A Python that has PyTorch, for pickles [this one]."),
    help="""A folder that opens, made of a pickle, an adapter, or a model under other names.

    A pickle (nanoGPT's ckpt.pt, a pytorch_model.bin) is read by PyTorch with
    weights_only=True, in a process of its own. A LoRA adapter is put into its
    base. Matrices that are transposed are turned.

    Example: txexplain convert out/ckpt.pt my-gpt2
    """,
)
serve = command(
    "serve",
    "serve:serve",
    flag("--host", metavar="ADDRESS", default="127.0.0.1", help="Where to listen; 0.0.0.0: on all networks [127.0.0.1]."),
    flag("--port", type=click.IntRange(0, 65535), metavar="N", default=8000, help="0 takes any free one [8000]."),
    flag("--model", metavar="NAME", shell_complete=complete_model, help="What guests see [storyteller]."),
    flag("--lesson", metavar="NAME", shell_complete=complete_file, help="A lesson that opens on every page."),
    flag("--sessions", type=Whole(min=1), metavar="N", default=300, help="Guests in all [300]."),
    flag("--per-address", type=Whole(min=1), metavar="N", help="Guests of one address [all]."),
    flag("--idle", type=click.FloatRange(min=1), metavar="SECONDS", default=1800.0, help="Without a key, until a guest goes [1800]."),
    flag("--user", metavar="NAME", help="Whom root becomes once the port is taken."),
    flag("--name", "names", multiple=True, metavar="HOST", help="A further name by which browsers ask for it, as a proxy's."),
    flag("--key", metavar="WORDS", envvar=CLASS_KEY, help="What the machines of one class share; guests don't know it."),
    flag("--follow", metavar="LINK", help="With --key: guests here follow the lecturer of another machine's class."),
    flag("--lead", is_flag=True, help="This terminal leads: guests follow its screen."),
    flag("--record", type=OutFile(), metavar="FILE.json", help="With --lead: keep the class's answers, without names."),
    flag("--leader", type=int, hidden=True),
    help="""The app for a room of browsers: prints the link.

    Example: txexplain serve --host 0.0.0.0 --lesson attention
    """,
)
completion = command(
    "completion",
    "completion:script",
    click.Argument(["shell"], type=click.Choice(SHELLS)),
    help="""The script that teaches a shell to complete txexplain's commands and flags.

    Example: txexplain completion bash >> ~/.bashrc
    """,
)

COMMANDS: dict[str, click.Command] = {
    str(each.name): each
    for each in (
        predict, generate, tokens, trace, attention, head_stats, loss, lens, direct, effects, scan, compare,
        render, poster, describe, explain, opened, keys,
        lessons, models, convert, serve, completion,
    )
}  # fmt: skip
