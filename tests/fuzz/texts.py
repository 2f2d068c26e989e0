"""What people write themselves: lessons, the config file, and the small grammars of Location and of the jump field."""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.cases import Case, content
from tests.fuzz.harness import Wrong
from tests.fuzz.mutate import mutated_bytes, mutated_folder, mutated_lines
from txexplain.engine.model import GPT2
from txexplain.errors import ModelNotFound
from txexplain.explorer.jump import jump
from txexplain.explorer.lesson import KEYS, VALUES, Page, load
from txexplain.explorer.location import Dims, Location, check, nearest, parse
from txexplain.front.actions import ACTIONS
from txexplain.front.config import Config, read_config, remember_theme
from txexplain.front.lecture import BY_KEY
from txexplain.front.lessons import check_lesson
from txexplain.models import load_model
from txexplain.text import shown
from txexplain.viz.palette import THEMES, Palette

ONE = Path(__file__).parents[1] / "golden" / "saved" / "one"
VALUES_OF_TOML = (
    "1", "0", "-1", "true", "false", '""', '"a"', '"a\\nb"', '"\\u001b[31m"', '"\\ud800"', "nan", "inf", "-inf", "1e400", "1979-05-27", "07:32:00",
    "1979-05-27T07:32:00Z", "2021-02-30", "[]", "[1, 2]", '["a"]', "[[]]", "{}", "{a = 1}", "'''x\ny'''", '"""x\ny"""', "9" * 5000, "1_000", "0x10", "0o7",
    "0b1", "[" * 300 + "]" * 300, "[" * 3000 + "]" * 3000, "{a = " * 300 + "1" + "}" * 300, "'", '"', "[1,", "0.5", "1.0", "1001", "9223372036854775808",
)  # fmt: skip

# Lessons

LESSON = """# Looking back

+++
title = "One: {top}"
prompt = "a cat a cat a cat"
at = "{head induction}:softmax[2,1]"
temperature = 0.5
top_k = 3
seed = 4
highlight = "token 1"
keys = ["]", "enter"]
+++
The head {head induction} gives {share induction}; {probability 1} and {{braces}}.
{norm L0.attn 1} and *{spread L1.ln1}*, `{cell induction 2,1}`.

<!-- claim: it is so -->
+++
title = "Two"
ids = [1, 2, 3]
at = "L1.mlp[{neuron L1}]@1"
question = "Why {T}?"
answers = ["a", "b {kept}"]
answer = 2
why = ["no", "yes {entropy 1.5}"]
+++
- {bits 1} {id 0} {token 2} {rank "a"} {strongest L0H0:qk 1} {sink L0} {firing L1} {reach 0.9}
"""
PINNED = """+++
title = "Pinned"
model = "one"
prompt = "cat"
top_p = 0.9
at = "L0H1"
+++
L0H1 looks. {d} {dh} {m} {blocks} {heads} {context} {vocabulary} {model} {u} {draw} {logit 1} {full 2 0.5} {tokens} {seed}
"""
ARGUMENT = (
    "", "1", "0", "99999", "1,0", "9,9", "L0", "L1", "L9", "L0H0", "L0H0:qk", "L1H1:values", "induction", "entropy:scaled", "self", "previous", "first", '"a"',
    '" cat"', '"\\n"', '"\\ud800"', '"unclosed', "0.5", "0", "1000000", "0.9", ".5", "embed", "pos", "L0.attn", "L1.mlp", "final", "L0.ln1", "L0.ln2", "٣", "²",
)  # fmt: skip
MARKDOWN = (
    "# heading", "## two", "- item", "1. one", "> quote", "```", "    code", "*a* **b** `c`", "[link](x)", "---", "+++", " +++", "+++ ", "++++", "<!--", "-->",
    "<!-- claim: x -->", "{", "}", "{{", "}}", "{}", "{ T }", "{T", "L0H0", "L9H9", "| a | b |", "\t", "\\", "[red]x[/]", "a" * 500, "*" * 200, "[" * 200, "`" * 99,
)  # fmt: skip
PLACES = ("model", "embed", "L0", "L0H0", "L1H1[2,1]", "L0H0[1,2]", "heads", "output", "L9", "L0.mlp[5]", "L0.mlp[9999]", "{head first}", "{head self 9}[1,1]",
          "L0.mlp[{neuron L0}]", "{neuron L0}", "{T}", "final[3]", "", "L0H0@99", "x" * 200, "residual")  # fmt: skip


def lesson_lines() -> tuple[str, ...]:
    names = [
        f"{key} = {value}" for key in (*KEYS, "colour", "a.b", '"x\\ny"') for value in ("1", '"a"', "[1]", '["a", "b"]', "0.5", "true")
    ]
    more = [f'at = "{place}"' for place in PLACES] + [
        f'highlight = "{place}"' for place in (*PLACES, "stage", "panel", "candidate 0", "query 1", "key 9")
    ]
    keys = [f'keys = ["{key}"]' for key in (*[k for k in BY_KEY if "\\" not in k and '"' not in k], "é", "\\u001b", "ctrl+c", "")]
    return (*names, *more, *keys, *MARKDOWN)


class Lessons:
    name = "lessons"

    def __init__(self) -> None:
        self.bases = [
            Case({"lesson.md": text.encode()}, {"checked": True}) for text in (LESSON, PINNED, PINNED + LESSON.partition("\n\n")[2])
        ]
        self.lines = lesson_lines()

    def make(self, rng: Random) -> Case:
        case = rng.choice(self.bases)
        checked = rng.random() < 0.12
        case = Case(case.files, {"checked": checked})
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = case.files.get("lesson.md")
            if rng.random() < 0.02 or not isinstance(data, bytes):
                case = mutated_folder(rng, case)
            elif rng.random() < 0.3:
                case = case.with_file("lesson.md", self.with_value(rng, data))
            elif rng.random() < 0.15:
                case = case.with_file("lesson.md", mutated_bytes(rng, data))
            else:
                case = case.with_file("lesson.md", mutated_lines(rng, data, self.lines, VALUES_OF_TOML))
        return case

    def with_value(self, rng: Random, data: bytes) -> bytes:
        """A live value more, right or wrong, anywhere."""
        words = [rng.choice((*VALUES, "x"))] + [rng.choice(ARGUMENT) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
        at = rng.randrange(len(data) + 1)
        return data[:at] + ("{" + " ".join(words) + "}").encode("utf-8", "replace") + data[at:]

    def open(self, folder: Path, case: Case) -> None:
        path = folder / "lesson.md"
        lesson = load(str(path))
        require_pages(lesson.pages, content(path))
        if case.options.get("checked", True):
            check_lesson(lesson, "one", tiny, Palette())

    def also(self, folder: Path, case: Case) -> bool:
        return False


@cache
def one() -> GPT2:
    return load_model(str(ONE))


def tiny(name: str) -> GPT2:
    """The one model that is there: a lesson must not make the fuzzer download another."""
    if name != "one":
        raise ModelNotFound(f"There is no model {shown(name)}.")
    return one()


def require_pages(pages: tuple[Page, ...], data: bytes) -> None:
    """The pages say what Python's TOML reader finds between their rules."""
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rules = [i for i, line in enumerate(lines) if line.rstrip() == "+++"]
    fronts = [tomllib.loads("\n".join(lines[a + 1 : b])) for a, b in zip(rules[::2], rules[1::2], strict=True)]
    if len(fronts) != len(pages):
        raise Wrong(f"{len(pages)} pages, {len(fronts)} fronts")
    for page, front in zip(pages, fronts, strict=True):
        for key, told in front.items():
            have: Any = getattr(page, key)
            wanted = tuple(told) if isinstance(told, list) else (told,) if key == "why" else told
            if have != wanted:
                raise Wrong(f"page {page.number}, {key}: {have!r} instead of {wanted!r}")


# The config file

CONFIG = """# mine
theme = "light"

[keys]
draw = "d"
residual = "D f11"
"""
CONFIG_LINES = (
    *(f'theme = "{theme}"' for theme in (*THEMES, "none", "")), "[keys]", "[keys.more]", "[[keys]]", "[other]", "keys = 1", "keys.draw = \"x\"",
    *(f'{action.id} = "{key}"' for action in ACTIONS[::4] for key in ("x", "f11", "shift+left", "ctrl+x", "space", "é", "日", "", "  ", "a b", "nope", "\\u001b")),
    "nothing = \"x\"", "\"a\\nb\" = \"x\"", "draw = 1", "draw = []", "a.b.c.d = 1", "# comment",
)  # fmt: skip


class Toml:
    name = "toml"

    def __init__(self) -> None:
        self.bases = [
            Case({"config.toml": text.encode()}, {"folder": "txexplain"}) for text in (CONFIG, 'theme = "dark"\n', '[keys]\ntheme = "x"\n')
        ]

    def make(self, rng: Random) -> Case:
        case = rng.choice(self.bases)
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = case.files.get("config.toml")
            if rng.random() < 0.04 or not isinstance(data, bytes):
                case = mutated_folder(rng, case)
            elif rng.random() < 0.25:
                case = case.with_file("config.toml", mutated_bytes(rng, data))
            else:
                case = case.with_file("config.toml", mutated_lines(rng, data, CONFIG_LINES, VALUES_OF_TOML))
        return Case(case.files, {"folder": "txexplain"})

    def open(self, folder: Path, case: Case) -> None:
        path = folder.parent / "txexplain" / "config.toml"
        before = os.environ.get("XDG_CONFIG_HOME")
        os.environ["XDG_CONFIG_HOME"] = str(folder.parent)
        try:
            config = read_config()
            told = tomllib.loads(content(path).decode("utf-8-sig")) if path.exists() else {}
            require_told(config, told)
            if os.path.lexists(path) and not case.locked:
                with suppress(OSError):
                    remember_theme("contrast")
                    require_told(read_config(), told | {"theme": "contrast"})
        finally:
            os.environ.pop("XDG_CONFIG_HOME")
            if before is not None:
                os.environ["XDG_CONFIG_HOME"] = before

    def also(self, folder: Path, case: Case) -> bool:
        try:
            tomllib.loads(content(folder / "config.toml").decode())
        except (OSError, ValueError, RecursionError):
            return False
        return True


def require_told(config: Config, told: dict[str, Any]) -> None:
    """A config says what its TOML says."""
    if config.theme != told.get("theme") or set(config.keys) != set(told.get("keys", {})):
        raise Wrong(f"{config} instead of {told}")
    for action, keys in config.keys.items():
        if len(keys) != len(told["keys"][action].split()):
            raise Wrong(f"{action}: {keys}")


# Locations

WORDS = (
    "model", "embed", "heads", "final", "output", "residual", "L0", "L5", "L99", "L", "H0", "H11", "H99", ".ln1", ".ln2", ".qkv", ".attn", ".proj", ".mlp",
    ":qk", ":scaled", ":masked", ":softmax", ":values", ":matrix", ":nearest", ":pre", ":post", ":induction", ":entropy.25", ":self.", "[", "]", "[7,3]", "[0]",
    "[L3]", "[qkv]", "[5.11]", "[L3.attn]", "@4", "@", "@-1", ",", ".", "-1", "0", "00", "7", "9" * 30, "٣", "²", " ", "\t", "\n", "\x1b[31m", "é", "日", "l0h0", "➀",
)  # fmt: skip
HERE = ("model", "L1.attn", "heads", "L0H1", "L0H1[2,1]", "L1.mlp", "L1.mlp[3]", "L0.qkv", "L0.ln1", "output")
DIMS = Dims(n_layer=2, n_head=2, n_inner=64, n_tokens=4, n_embd=16)


class Places:
    name = "places"

    def __init__(self) -> None:
        self.bases = [
            Case({}, {"typed": text, "here": "heads"}) for text in ("L0H1:softmax[2,1]", "1.1", "L1.mlp:pre[41]", "heads:induction.25[0.1]")
        ]

    def make(self, rng: Random) -> Case:
        typed = "".join(rng.choice(WORDS) for _ in range(rng.choice((1, 2, 2, 3, 4, 6, 30))))
        if rng.random() < 0.3:
            typed = mutated_bytes(rng, rng.choice(self.bases).options["typed"].encode()).decode("utf-8", "surrogateescape")
        return Case({}, {"typed": typed, "here": rng.choice(HERE), "jump": rng.random() < 0.5})

    def open(self, folder: Path, case: Case) -> None:
        typed = case.options["typed"]
        if case.options.get("jump", True):
            found = jump(typed, parse(case.options["here"]), DIMS)
            check(found, DIMS)
        else:
            near = nearest(typed)
            if near is not None:
                require_text(near)
            found = parse(typed)
        require_text(found)

    def also(self, folder: Path, case: Case) -> bool:
        return False


def require_text(place: Location) -> None:
    if parse(str(place)) != place:
        raise Wrong(f"{place!r} is written {place}")
