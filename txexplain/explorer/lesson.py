"""Lesson files: a Markdown file whose pages drive the screen. A lesson is data; nothing in it can run.

    # The lesson's title

    +++
    title = "Looking back"
    prompt = "a b c a b"
    at = "{head induction}:softmax[4,2]"
    +++
    The strongest head of this kind is {head induction}: {share induction} of its attention …

The front matter between two lines of +++ is TOML: title, model, prompt or ids, at, temperature, top_k or top_p, seed, highlight,
keys, and for a question: question, answers, answer (the number of the right one, from 1), why. `do` lists what is changed in the run, in
the grammar of changes, `from` is the prompt of the run that patches are taken of, `pair` the two tokens A and B of A − B. `holds` lists
comparisons without which the page would be false; checking the lesson tries them. A page has the model and the prompt of the page
before unless it says otherwise (model = "any" pins none); all else begins anew. For a lecture `cover` lists panes that are hidden at
first, `fill` names one that fills the screen, `minutes` says how long the page is to take. Braces hold live values, filled in from the
run (VALUES says which); {{ and }} are braces themselves. An HTML comment isn't shown; a line of it that begins with "claim:" is one of
the page's claims, one that begins with "note:" is for the lecturer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from txexplain.bounded import load_toml
from txexplain.engine.changes import parse as parse_change
from txexplain.errors import InterventionError, LessonError, LocationError, reason
from txexplain.explorer.location import MEASURES, STAGES, parse
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.files import only_regular
from txexplain.text import shown

SHIPPED = Path(__file__).parents[1] / "lessons"
LECTURES = SHIPPED / "lectures"
LARGEST = 1_000_000  # bytes
LONGEST_FRONT = 20_000  # characters of a page's front matter: a key of many dots takes Python's reader the square of its length
LONGEST_TITLE = 200  # characters of a lesson's title
LONGEST_PAGE = 20_000  # characters of all of a page's texts: the longest shipped page has a thirtieth of that
MOST_DONE = 20  # changes of a page's run
MOST_TRIED = 10  # live values of a page that take a run of their own, while a key waits
MOST_LIVE = 100  # live values of a page: each may take a product with the whole vocabulary, while a key waits
LONGEST_LIVE = 500  # characters between braces
LONGEST_KEYS = 200
RULE = "+++"
ANY = "any"  # the model of a page that is told of none in particular, after one that was
COMPARED = re.compile(r"(.+?) (<|>|=) (.+)")
ANSWERS = 9  # answers are chosen by the digits 1 to 9

# Live values: each name with what follows it; ? may be left out.
VALUES: dict[str, tuple[str, ...]] = {
    "T": (), "seed": (), "tokens": (), "kept": (), "vocabulary": (), "blocks": (), "heads": (), "d": (), "dh": (), "m": (),
    "context": (), "model": (), "u": (), "draw": (),
    "top": ("rank?",), "probability": ("candidate?", "temperature?"), "full": ("candidate?", "temperature?"), "logit": ("candidate?",),
    "rank": ("candidate?",), "entropy": ("temperature?",), "reach": ("share", "temperature?"),
    "token": ("position",), "id": ("position",), "bits": ("position",),
    "head": ("measure", "rank?"), "share": ("measure", "rank?"), "cell": ("head", "pair"), "moved": ("head", "pair"),
    "strongest": ("head", "position"),
    "before": ("candidate?",), "after": (), "effect": ("change?",), "restored": ("change",), "direct": ("addend",),
    "lens": ("block", "position?"),
    "sink": ("block",), "norm": ("part", "position?"), "spread": ("layernorm",), "firing": ("block",), "neuron": ("block",),
}  # fmt: skip
NUMBER = r"(?:0|[1-9][0-9]{0,6})"
ARGUMENTS: dict[str, tuple[str, str]] = {
    "rank": (r"[1-9][0-9]{0,4}", "a rank from 1 on, like 2"),
    "candidate": (rf'".*"|{NUMBER}', 'a token in quotes like " little", or a rank like 1'),
    "temperature": (r"[0-9]{1,3}(?:\.[0-9]{1,9})?|1000", "a temperature from 0 to 1000, like 0.5"),
    "share": (r"0?\.[0-9]+", "a share like 0.9"),
    "position": (NUMBER, "a token's position like 3"),
    "measure": ("|".join(MEASURES), f"a measure: {', '.join(MEASURES)}"),
    "head": (
        rf"(?:L{NUMBER}H{NUMBER}|{'|'.join(MEASURES)})(?::(?:{'|'.join(STAGES)}))?",
        "a head like L3H5, L3H5:qk, or what it does like induction",
    ),
    "pair": (rf"{NUMBER},{NUMBER}", "a query and a key like 4,2"),
    "part": (
        rf"embed|pos|start|L{NUMBER}(?:\.(?:attn|mlp))?",
        "a part of the residual stream: embed, pos, their sum start, L2, L2.attn or L2.mlp",
    ),
    "layernorm": (rf"L{NUMBER}\.ln[12]|final", "a LayerNorm: L2.ln1, L2.ln2 or final"),
    "block": (rf"L{NUMBER}", "a block like L2"),
    "addend": (rf"embed|pos|always|L{NUMBER}(?:H{NUMBER}|\.bias|\.mlp)", "a part of A − B: embed, pos, L2H1, L2.bias, L2.mlp or always"),
    "change": (r"[^\s\"]{1,100}", "a change like L2H1, L2.mlp=zero or [7,3]"),
}
TRIED = ("effect", "restored")  # the live values that take a run of their own, where they name a change
IN_PLACES = {"head": "L0H0", "neuron": "0"}  # the live values that a Location may hold, and what they look like
LIVE = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")
WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s"]+')
FIXED_HEAD = re.compile(r"\bL\d+H\d+\b")
SHOWN = {"panel": "panel", "text": "side", "stage": "stage"}  # what may be covered or fill the screen, and the pane that it is
HIGHLIGHTS = ("prompt", "stage", "panel", "temperature")
HIGHLIGHT = re.compile(rf"(?:{'|'.join(HIGHLIGHTS)}|(?:token|candidate|query|key) {NUMBER})")


@dataclass(frozen=True)
class Live:
    """A value to be filled in from the run: {cell L3H5 4,2} is ("cell", ("L3H5", "4,2"))."""

    name: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "{" + " ".join((self.name, *self.arguments)) + "}"


@dataclass(frozen=True)
class Page:
    """One page: what it says, and what the screen shows with it. Text may hold live values."""

    number: int  # from 1
    title: str
    text: str  # Markdown, without comments
    model: str | None = None  # None: any
    prompt: str | None = None
    ids: tuple[int, ...] | None = None
    at: str = "model"
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    do: tuple[str, ...] = ()  # what is changed in the run
    other: str | None = None  # the prompt of the run that patches are taken of
    pair: tuple[str, ...] = ()  # A and B, by their text or as #464; what isn't named is the likeliest
    highlight: str | None = None  # a pane, "temperature", "token 3", "candidate 0", "query 6", "key 2", or a Location
    keys: tuple[str, ...] = ()
    question: str = ""
    answers: tuple[str, ...] = ()
    answer: int = 0  # the number of the right answer, from 1; 0 without a question
    why: tuple[str, ...] = ()  # one reason, or one for each answer
    claims: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # for the lecturer's eyes
    cover: tuple[str, ...] = ()  # of "panel", "text" and "stage", those that are hidden at first
    fill: str = ""  # the one of these that fills the screen at first
    minutes: float = 0.0  # that the page is to take in a lecture; 0: not said
    holds: tuple[str, ...] = ()  # what must be so for the page to be true, as "{full 1} > 50%"

    def reason_for(self, chosen: int) -> str:
        """Why the answer of this number, from 1, is right or wrong."""
        return self.why[chosen - 1] if len(self.why) > 1 else self.why[0]

    @property
    def prose(self) -> tuple[str, ...]:
        """Every text of the page that is shown."""
        return (self.title, self.text, self.question, *self.answers, *self.why)


@dataclass(frozen=True)
class Lesson:
    """A lesson: its name, its title, its pages."""

    name: str
    title: str
    pages: tuple[Page, ...]
    file: str = ""  # as errors name it


# Finding lessons


def shipped() -> tuple[Path, ...]:
    """The lessons that come with txexplain, in their order."""
    return tuple(sorted(SHIPPED.glob("*.md")))


def shipped_lectures() -> tuple[Path, ...]:
    """The scripts for a lecturer that come with it: no part of the chain."""
    return tuple(sorted(LECTURES.glob("*.md")))


@cache
def shipped_lessons() -> tuple[Lesson, ...]:
    """Those lessons, read."""
    return tuple(load(str(path)) for path in shipped())


def beside(lesson: Lesson, step: int) -> Lesson | None:
    """The lesson that follows one of the shipped ones, or with step -1 the one before; None where there is none."""
    lessons = shipped_lessons()
    at = lessons.index(lesson) + step if lesson in lessons else -1
    return lessons[at] if 0 <= at < len(lessons) else None


def name_of(path: Path) -> str:
    """A lesson's name: its file's, without the number that orders the shipped ones."""
    return re.sub(r"^\d+-", "", path.stem)


def find(name: str) -> Path:
    """The file of a lesson by its name, or a path. Raises LessonError."""
    for path in (*shipped(), *shipped_lectures()):
        if name in (name_of(path), path.stem):
            return path
    path = Path(name)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError) as error:  # too long a name, or the system won't say
        raise LessonError(f"The lesson {shown(name)} can't be read: {reason(error)}.") from None
    names = ", ".join(name_of(path) for path in (*shipped(), *shipped_lectures()))
    raise LessonError(f"There is no lesson {shown(name)}; the shipped ones are {names}, or give the path of a Markdown file.")


def load(name: str) -> Lesson:
    """A lesson by its name or path. Raises LessonError."""
    path = find(name)
    try:
        with open(path, "rb", opener=only_regular) as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LessonError(f"{shown(path.name)} isn't UTF-8 (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise LessonError(f"{shown(path.name)} can't be read: {reason(error)}.") from None
    if len(data) > LARGEST:
        raise LessonError(f"{shown(path.name)} is larger than {LARGEST // 1_000_000} MB; a lesson is a text of some pages.")
    return parse_lesson(text, path.name, name_of(path))


def state_of(page: Page, state: ExplorerState) -> ExplorerState:
    """The state that a page asks for, its place apart: that may need the run. Model, theme of ribbons and revision are the session's."""
    answer, against = (*page.pair, None, None)[:2]
    asked = from_flags(
        prompt=page.prompt, ids=page.ids, temperature=page.temperature, top_k=page.top_k, top_p=page.top_p, seed=page.seed, flow=state.flow,
        edits=[("--ablate", each) for each in page.do], other=page.other, answer=answer, against=against,
    )  # fmt: skip
    return asked.read_by(state.reader)


# Parsing


def parse_lesson(text: str, file: str = "lesson", name: str | None = None) -> Lesson:
    """A lesson from its text, every page checked as far as that goes without a model. Raises LessonError with one sentence."""
    file = shown(file)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rules = [i for i, line in enumerate(lines) if line.rstrip() == RULE]
    if not rules:
        raise LessonError(f"{file} has no page; begin one with front matter between two lines of +++.")
    if len(rules) % 2:
        raise LessonError(f"{file}, page {len(rules) // 2 + 1}: the front matter isn't closed; end it with a line of +++.")
    head = uncommented("\n".join(lines[: rules[0]]), file)[0].strip()
    if head and not re.fullmatch(r"# [^\n]+", head):
        raise LessonError(f"{file}: before the first +++ only the lesson's title may stand, as # Title.")
    if len(head) > LONGEST_TITLE:
        raise LessonError(f"{file}: the lesson's title has {len(head)} characters; {LONGEST_TITLE} are the most.")
    pages: list[Page] = []
    for number in range(1, len(rules) // 2 + 1):
        start, end = rules[2 * number - 2], rules[2 * number - 1]
        stop = rules[2 * number] if 2 * number < len(rules) else len(lines)
        before = pages[-1] if pages else None
        pages.append(parse_page(file, number, "\n".join(lines[start + 1 : end]), "\n".join(lines[end + 1 : stop]), before))
    title = head[2:].strip() or pages[0].title
    return Lesson(name or file, title, tuple(pages), file)


def uncommented(text: str, where: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A text without its HTML comments, and the claims and the notes that they list."""
    comments: list[str] = []
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0:
        if (end := text.find("-->", start + 4)) < 0:
            raise LessonError(f"{where}: a comment isn't closed; end it with -->.")
        kept.append(text[at:start])
        comments.append(text[start + 4 : end])
        at = end + 3
    plain = "".join((*kept, text[at:]))
    lines = [line.strip() for comment in comments for line in comment.split("\n")]
    claims, notes = (tuple(line.removeprefix(mark).strip() for line in lines if line.startswith(mark)) for mark in ("claim:", "note:"))
    return plain.strip(), claims, notes


def parse_page(file: str, number: int, front: str, body: str, before: Page | None) -> Page:
    where = f"{file}, page {number}"
    if len(front) > LONGEST_FRONT:
        raise LessonError(f"{where}: the front matter has {len(front)} characters; {LONGEST_FRONT} are the most.")
    try:
        given = load_toml(front)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else reason(error)
        raise LessonError(f"{where}: the front matter isn't TOML: {said}.") from None
    text, claims, notes = uncommented(body, where)
    page = Page(number, **checked(where, given), text=text, claims=claims, notes=notes)
    if before is not None:
        if page.model is None and "model" not in given:
            page = replace(page, model=before.model)
        if page.prompt is None and page.ids is None:
            page = replace(page, prompt=before.prompt, ids=before.ids)
    check_page(where, page)
    return page


def fault(where: str, key: str, sentence: str) -> LessonError:
    return LessonError(f"{where}, {key}: {sentence}")


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


KEYS: dict[str, tuple[str, Any]] = {
    "title": ("a text in quotes", lambda v: isinstance(v, str) and v.strip() and "\n" not in v),
    "model": ("a model's name in quotes", lambda v: isinstance(v, str) and v.strip()),
    "prompt": ("a text in quotes", lambda v: isinstance(v, str)),
    "ids": (
        "a list of token ids like [1, 2]", lambda v: isinstance(v, list) and v and all(is_whole(i) and 0 <= i < 1 << 31 for i in v),
    ),
    "at": ("a Location in quotes", lambda v: isinstance(v, str)),
    "temperature": (
        "a number from 0 on", lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1000,
    ),
    "top_k": ("a whole number from 1 on", lambda v: is_whole(v) and v >= 1),
    "top_p": ("a number above 0 and at most 1", lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 < v <= 1),
    "seed": ("a whole number from 0 on", lambda v: is_whole(v) and 0 <= v < 1 << 63),
    "do": ('a list of changes like ["L4H3", "[7,3]"]', is_texts),
    "from": ("a text in quotes", lambda v: isinstance(v, str)),
    "pair": ('a list of one or two tokens like [" Anna", " Tom"]', lambda v: is_texts(v) and 1 <= len(v) <= 2),
    "highlight": ("a text in quotes", lambda v: isinstance(v, str)),
    "cover": (f"a list of {', '.join(SHOWN)}", lambda v: is_texts(v) and set(v) <= set(SHOWN)),
    "fill": (f"one of {', '.join(SHOWN)}", lambda v: isinstance(v, str) and v in SHOWN),
    "minutes": ("a number above 0", lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 < v <= 1000),
    "keys": ('a list of keys like ["]", "enter"]', is_texts),
    "holds": ('a list of comparisons like ["{full 1} > 50%"]', is_texts),
    "question": ("a text in quotes", lambda v: isinstance(v, str) and v.strip()),
    "answers": (f"a list of 2 to {ANSWERS} texts", lambda v: is_texts(v) and 2 <= len(v) <= ANSWERS and all(each.strip() for each in v)),
    "answer": ("the number of the right answer, from 1", is_whole),
    "why": ("a text in quotes, or a list with one for each answer", lambda v: isinstance(v, str) or is_texts(v)),
}  # fmt: skip


def checked(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Front matter as a Page's fields. Raises LessonError for a key that isn't one, or one of a wrong type."""
    fields: dict[str, Any] = {}
    for key, value in given.items():
        if key not in KEYS:
            raise fault(where, shown(key), f"there is no such key; the keys are {', '.join(KEYS)}.")
        wanted, fits = KEYS[key]
        if not fits(value):
            raise fault(where, key, f"it must be {wanted}.")
        fields["other" if key == "from" else key] = tuple(value) if isinstance(value, list) else value
    if "title" not in fields:
        raise fault(where, "title", 'every page needs one; add title = "…".')
    for one, other in (("prompt", "ids"), ("top_k", "top_p")):
        if one in fields and other in fields:
            raise fault(where, other, f"it contradicts {one}; leave one of them out.")
    if fields.get("model") == ANY:
        fields["model"] = None
    if isinstance(fields.get("why"), str):
        fields["why"] = (fields["why"],)
    if fields.get("answer") == 0:
        raise fault(where, "answer", f"there is no answer 0; give a number from 1 to {len(fields.get('answers', '')) or ANSWERS}.")
    if "temperature" in fields:
        fields["temperature"] = float(fields["temperature"])
    return fields


def check_page(where: str, page: Page) -> None:
    """Everything that can be checked without a model. Raises LessonError."""
    if page.prompt is None and page.ids is None:
        raise fault(where, "prompt", 'the first page needs one, or ids; add prompt = "…".')
    asked = {"question": bool(page.question), "answers": bool(page.answers), "answer": page.answer != 0, "why": bool(page.why)}
    if any(asked.values()) and not all(asked.values()):
        missing = next(key for key, there in asked.items() if not there)
        raise fault(where, missing, "a question needs question, answers, answer and why; add it.")
    if asked["question"]:
        if not 1 <= page.answer <= len(page.answers):
            raise fault(where, "answer", f"there is no answer {page.answer}; give a number from 1 to {len(page.answers)}.")
        if len(page.why) not in (1, len(page.answers)):
            raise fault(where, "why", f"it has {len(page.why)} reasons for {len(page.answers)} answers; give one, or one for each.")
    if (size := sum(map(len, page.prose))) > LONGEST_PAGE:
        raise LessonError(f"{where}: its texts have {size:,} characters, and a page at most {LONGEST_PAGE:,}; make more pages of it.")
    check_changes(where, page)
    live, tried = 0, 0
    for key, text in prose_by_key(page):
        for piece in pieces(text, where, key):
            live += isinstance(piece, Live)
            tried += takes_a_run(piece)
            if page.model is None and isinstance(piece, str) and (head := FIXED_HEAD.search(piece)):
                raise fault(where, key, f"{head[0]} is a head of one model; pin it with model, or write {{head induction}} or the like.")
    for text in page.holds:
        if not COMPARED.fullmatch(text):
            raise fault(where, "holds", f"{shown(text)} compares nothing; write values and <, > or = with spaces around it.")
        live += sum(isinstance(piece, Live) for piece in pieces(text, where, "holds"))
        tried += sum(takes_a_run(piece) for piece in pieces(text, where, "holds"))
    if tried > MOST_TRIED:
        raise LessonError(
            f"{where}: {tried} of its live values take a run of their own, and a page's at most {MOST_TRIED}; make more pages."
        )
    if live > MOST_LIVE:
        raise LessonError(f"{where}: it has {live} live values, and a page at most {MOST_LIVE}; make more pages of it.")
    place_like(where, "at", page.at)
    if page.highlight is not None and not HIGHLIGHT.fullmatch(page.highlight):
        place_like(where, "highlight", page.highlight)
    if len(page.keys) > LONGEST_KEYS:
        raise fault(where, "keys", f"there are {len(page.keys)}; a page presses at most {LONGEST_KEYS}.")
    for key in page.keys:
        if not (len(key) == 1 and key.isprintable()) and not re.fullmatch(r"[a-z0-9_+]{2,40}", key):
            raise fault(where, "keys", f'{shown(key)} isn\'t a key; write keys as "a", "enter", "shift+left".')


def check_changes(where: str, page: Page) -> None:
    """What a page changes in its run, as far as that can be checked without a model. Raises LessonError."""
    if len(page.do) > MOST_DONE:
        raise fault(where, "do", f"there are {len(page.do)} changes; a page makes at most {MOST_DONE}.")
    for text in page.do:
        try:
            change = parse_change(text)
        except InterventionError as error:
            raise fault(where, "do", str(error)) from None
        if change.from_other and page.other is None:
            raise fault(where, "do", f'{change} takes its value from another run; add its prompt, as from = "…".')
        if page.model is None and change.heads is not None:
            raise fault(where, "do", f"{change} is a head of one model; pin it with model.")


def takes_a_run(piece: str | Live) -> bool:
    return isinstance(piece, Live) and piece.name in TRIED and bool(piece.arguments)


def prose_by_key(page: Page) -> Iterator[tuple[str, str]]:
    yield from (("title", page.title), ("text", page.text), ("question", page.question))
    yield from (("answers", each) for each in page.answers)
    yield from (("why", each) for each in page.why)


def place_like(where: str, key: str, text: str) -> None:
    """Raise LessonError where a text, its live values put in, is no Location."""
    parts = []
    for piece in pieces(text, where, key):
        if isinstance(piece, Live) and piece.name not in IN_PLACES:
            raise fault(where, key, f"{shown(str(piece))} is no part of a Location; only {{head …}} and {{neuron …}} are.")
        parts.append(piece if isinstance(piece, str) else IN_PLACES[piece.name])
    try:
        parse("".join(parts))
    except LocationError as error:
        raise fault(where, key, str(error)) from None


# Live values


def pieces(text: str, where: str = "lesson", key: str = "text") -> list[str | Live]:
    """A text as what stands there and what is to be filled in. Raises LessonError for a value that isn't one."""
    found: list[str | Live] = []
    plain: list[str] = []  # what stands there since the last value
    last = 0

    def close() -> None:
        if any(plain):
            found.append("".join(plain))
        plain.clear()

    for match in LIVE.finditer(text):
        plain.append(text[last : match.start()])
        last = match.end()
        if match[0] in ("{{", "}}"):
            plain.append(match[0][0])
        elif match[1] is None:
            raise fault(where, key, f"a brace {match[0]} stands alone; close it, or write it twice.")
        else:
            close()
            found.append(live(match[1], where, key))
    plain.append(text[last:])
    close()
    return found


def live(inside: str, where: str, key: str) -> Live:
    """A live value from what stands between its braces."""
    if len(inside) > LONGEST_LIVE:
        raise fault(where, key, f"{shown('{' + inside + '}')} isn't a live value; the longest have {LONGEST_LIVE} characters.")
    words = WORD.findall(inside)
    name = words[0] if words else ""
    kinds = VALUES.get(name)
    if kinds is None or "".join(words) != "".join(re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda m: m[1] or "", inside)):
        raise fault(where, key, f"{shown('{' + inside + '}')} isn't a live value; the values are {', '.join(VALUES)}.")
    arguments = words[1:]
    if len(arguments) > len(kinds):
        raise fault(where, key, f"{shown('{' + inside + '}')} says more than {name} takes{form(name)}.")
    for n, kind in enumerate(kinds):
        pattern, wanted = ARGUMENTS[kind.rstrip("?")]
        if n >= len(arguments):
            if kind.endswith("?"):
                break
            raise fault(where, key, f"{shown('{' + inside + '}')} lacks {wanted}.")
        if not re.fullmatch(pattern, arguments[n]) or (arguments[n].startswith('"') and unquoted(arguments[n]) is None):
            raise fault(where, key, f"{shown(arguments[n])} in {shown('{' + inside + '}')} isn't {wanted}.")
        if kind.startswith("change"):
            try:
                parse_change(arguments[n])
            except InterventionError as error:
                raise fault(where, key, str(error)) from None
    return Live(name, tuple(arguments))


def form(name: str) -> str:
    kinds = " ".join(kind.rstrip("?").upper() for kind in VALUES[name])
    return f"; write {{{name} {kinds}}}" if kinds else f"; write {{{name}}}"


def unquoted(text: str) -> str | None:
    """The text between quotes, with \\n and the like resolved; None where that fails."""
    try:
        inside = json.loads(text)
    except ValueError:
        return None
    return inside if isinstance(inside, str) and not any("\ud800" <= c <= "\udfff" for c in inside) else None


def lives(texts: Iterable[str]) -> Iterator[Live]:
    """The live values of some checked texts."""
    for text in texts:
        yield from (piece for piece in pieces(text) if isinstance(piece, Live))
