"""What a command was asked for: objects made of its flags' values, checked, with what they lead to."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import click

from txexplain.cli.flags import given_in_order
from txexplain.cli.streams import terminal_progress, waited_for
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import Distribution, check_settings, distribution
from txexplain.engine.trace import Trace
from txexplain.errors import PromptError, reason
from txexplain.explorer.runs import required_run
from txexplain.explorer.state import from_flags
from txexplain.front.names import Names, recorded_names
from txexplain.models import load_model
from txexplain.shell import quoted
from txexplain.text import clean

SURROGATE = re.compile("[\ud800-\udfff]")
LONG = 1_000_000  # characters of a text whose tokens are told as they are read
LARGEST_PROMPT = 64_000_000  # bytes: a device may never end


def was_given(name: str) -> bool:
    """Whether the current command's parameter stands on its command line."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@dataclass(frozen=True)
class Source:
    """The model and the prompt asked for, or a trace of one."""

    prompt: tuple[str, ...]
    prompt_text: str | None
    file: str | None
    ids: tuple[int, ...] | None
    model: str
    revision: str | None
    tokenizer: str | None = None
    specials: str | None = None
    trace: str | None = None
    prompts: str | None = None

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
        return cls((), None, None, None, "storyteller", None, trace=trace)

    @cached_property
    def text(self) -> str | None:
        """The prompt, None where there is none or where ids replace it; a pipe can be read once. Raises UsageError, PromptError."""
        if self.ids is not None:
            return None
        if len(self.prompt) > 1:
            raise click.UsageError(f"The prompt is one argument; put it in quotes: {quoted(' '.join(self.prompt))}")
        given = [text for text in (*self.prompt, self.prompt_text, self.file) if text is not None]
        if len(given) > 1:
            raise click.UsageError("Give the prompt once: as PROMPT, as --prompt TEXT or as --file PATH.")
        text = read_prompt(self.file) if self.file is not None else as_utf8(given[0]) if given else None
        if text is not None and SURROGATE.search(text):
            raise PromptError("The prompt isn't valid UTF-8; save or type it as UTF-8.")
        return text

    def required_text(self) -> str | None:
        """As text, where one of PROMPT and --ids must be given."""
        if self.text is None and self.ids is None and self.trace is None:
            raise click.UsageError('A prompt is needed: put it in quotes ("" is allowed), or give --file PATH, or --file - to read a pipe.')
        return self.text

    def load(self) -> GPT2:
        with terminal_progress(self.model) as progress:
            model = load_model(self.model, revision=self.revision, tokenizer=self.tokenizer, specials=self.specials, progress=progress)
        for note in model.notes:
            click.echo(clean(f"txexplain: {note}"), err=True)
        return model

    def token_ids(self, model: GPT2, text: str | None) -> list[int]:
        return list(self.ids) if self.ids is not None else model.prompt_ids(text or "")

    def given(self, changes: Changes | None = None) -> Given:
        """The one prompt, with the model that is to read it, or the recorded run. Raises UsageError, ExplainError."""
        if self.trace is not None:
            recorded = Trace.load(self.trace)
            for note in recorded.notes:
                click.echo(clean(f"txexplain: {note}"), err=True)
            return Given(None, recorded=recorded, path=self.trace)
        text = self.required_text()
        return Given(self.load(), text, self.ids, changes or Changes())

    def each(self, changes: Changes | None = None) -> Iterator[Given]:
        """The prompts of a file, a line each, as they are read. Raises UsageError, ExplainError."""
        assert self.prompts is not None
        if self.ids is not None or self.trace is not None or any(text is not None for text in (*self.prompt, self.prompt_text, self.file)):
            raise click.UsageError("--prompts brings the prompts: give no other prompt, ids or trace with it.")
        lines = read_lines(self.prompts)
        model = self.load()
        for text in lines:
            yield Given(model, text, changes=changes or Changes())


@dataclass(frozen=True)
class Changes:
    """What is changed in the run: flags with their texts, in their order, and the prompt of the run that patches are taken of."""

    edits: tuple[tuple[str, str], ...] = ()
    other: str | None = None
    other_ids: tuple[int, ...] | None = None

    @classmethod
    def of(cls, other: str | None, other_ids: tuple[int, ...] | None, **edits: tuple[str, ...]) -> Changes:
        """Raises UsageError for flags that need others, or contradict them."""
        given, patches = tuple(given_in_order(**edits)), bool(edits["patch"])
        if other is not None and other_ids is not None:
            raise click.UsageError("--from and --from-ids both name the other run: give one of them.")
        if patches != (other is not None or other_ids is not None):
            more = (
                'needs the run that it is taken of: give --from "another prompt"' if patches else "is a patch's: give --patch WHAT with it"
            )
            raise click.UsageError(f"{'--patch' if patches else '--from'} {more}.")
        if given and was_given("trace"):
            raise click.UsageError("A recorded run can't be changed: give the model and the prompt without --trace.")
        return cls(given, None if other is None else as_utf8(other), other_ids)

    @classmethod
    def without_patches(cls, **edits: tuple[str, ...]) -> Changes:
        return cls(tuple(given_in_order(**edits)))


@dataclass(frozen=True)
class Given:
    """What a command looks at: a prompt as text or ids with its model, or a recorded run and where it was read from."""

    model: GPT2 | None
    text: str | None = None
    given_ids: tuple[int, ...] | None = None
    changes: Changes = field(default_factory=Changes)
    recorded: Trace | None = None
    path: str = ""

    @property
    def reads(self) -> GPT2:
        assert self.model is not None  # commands that take no trace always have one
        return self.model

    @cached_property
    def ids(self) -> list[int]:
        """The prompt's tokens. Raises PromptError, TokenizerError."""
        if self.recorded is not None:
            return list(self.recorded.ids)
        return list(self.given_ids) if self.given_ids is not None else self.reads.prompt_ids(self.text or "")

    @cached_property
    def whole_ids(self) -> list[int]:
        """The tokens of a text of any length, none of an empty one, or those that were given. Raises PromptError, TokenizerError."""
        ids = list(self.given_ids) if self.given_ids is not None else self.reads.tokenizer.encode(self.text or "")
        self.require_known(ids)
        return ids

    def every_id(self) -> Iterable[int]:
        """`whole_ids`, of a long text one by one as they are read. Raises PromptError, TokenizerError."""
        tokenizer, text = self.reads.tokenizer, self.text or ""
        if self.given_ids is not None or len(text) < LONG:
            return self.whole_ids
        if not tokenizer.fits:
            self.require_known(chain.from_iterable(tokenizer.stream(text)))
        return chain.from_iterable(tokenizer.stream(text))

    def require_known(self, ids: Iterable[int]) -> None:
        """Raises PromptError for an id that the model hasn't."""
        last = self.reads.tokenizer.n_vocab - 1
        if (outside := next((i for i in ids if i > last), None)) is not None:
            raise PromptError(f"Token id {outside} is not in the vocabulary of {self.name}; its ids go from 0 to {last}.")

    @property
    def config(self) -> GPT2Config:
        return self.result.config if self.model is None else self.model.config

    @cached_property
    def result(self) -> Result:
        """The run. Raises ExplainError, as InterventionError for what is no change, or not of this model and prompt."""
        if self.recorded is not None:
            return Result(self.recorded, None)
        changes = self.changes
        state = from_flags(prompt=self.text, ids=self.given_ids, edits=changes.edits, other=changes.other, other_ids=changes.other_ids)
        return required_run(state, self.reads)

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """What the changes come to in this model. Raises InterventionError."""
        return self.result.trace.interventions if self.changes.edits else ()

    @property
    def names(self) -> Names:
        """What tokens are called."""
        return recorded_names(self.result) if self.model is None else self.model.tokenizer

    @property
    def name(self) -> str:
        """The model's, or that of the one which a trace was recorded from."""
        return self.model.name if self.model is not None else self.result.trace.model or "trace"

    @property
    def prompt(self) -> str | None:
        """The prompt's text: as it was given, or what its ids say."""
        if self.text is not None:
            return self.text
        return self.recorded.prompt if self.recorded is not None else self.names.decode(self.ids)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; greedy is temperature 0."""

    temperature: float
    top_k: int | None
    top_p: float | None

    @classmethod
    def of(cls, temperature: float, top_k: int | None, top_p: float | None, greedy: bool) -> Sampling:
        """Raises UsageError for settings that contradict each other or have no meaning."""
        given = [name for name, on in (("--greedy", greedy), ("--top-k", top_k is not None), ("--top-p", top_p is not None)) if on]
        if len(given) > 1:
            raise click.UsageError(f"{given[0]} and {given[1]} are two ways to choose the next token: give one of them.")
        try:
            check_settings(temperature, top_k, top_p)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return cls(0.0 if greedy else abs(temperature), top_k, top_p)  # −0 is 0, too

    def distribution(self, trace: Trace) -> Distribution:
        return distribution(trace.last_logits, self.temperature, top_k=self.top_k, top_p=self.top_p)


def as_utf8(text: str) -> str:
    """A text of the command line, which a locale without UTF-8 leaves undecoded; what is no UTF-8 stays as it is."""
    if not SURROGATE.search(text):
        return text
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def read_lines(path: str) -> Iterator[str]:
    """The lines of a file, or of standard input where path is `-`, without their ends, as they come. Raises UsageError, PromptError."""
    if not path:
        raise click.UsageError("--prompts needs the name of a file, or - for a pipe.")
    where = "standard input" if path == "-" else path
    try:
        with ExitStack() as stack:
            with waited_for(where, path):
                file = stack.enter_context(nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb"))  # noqa: SIM115
                first = file.readline(LARGEST_PROMPT + 1)
            following = iter(lambda: file.readline(LARGEST_PROMPT + 1), b"")
            for number, line in enumerate(chain((first,), following) if first else (), 1):
                if len(line) > LARGEST_PROMPT:
                    raise PromptError(f"Line {number} of {where} has more than {LARGEST_PROMPT // 1_000_000} MB; shorten it.")
                try:
                    yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
                except UnicodeDecodeError:
                    raise PromptError(f"Line {number} of {where} isn't UTF-8; save the file as UTF-8.") from None
    except OSError as error:
        raise click.UsageError(f"The prompts can't be read from {where}: {reason(error).lower()}.") from None


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
        raise click.UsageError(f"The prompt can't be read from {where}: {reason(error).lower()}.") from None
    return text.removesuffix("\n").removesuffix("\r")
