"""What can go wrong, said to the reader in one sentence that names the thing and the remedy."""

from __future__ import annotations

from txexplain.text import one_line, shown


class ExplainError(Exception):
    """An error whose text is meant for the person at the keyboard; the commands print it to stderr and exit with 2.

    The text is one line with nothing raw in it, whatever a file is called and whatever it holds.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(one_line(sentence))


class CheckpointError(ExplainError):
    """A checkpoint's files or config can't be used."""


class TokenizerError(ExplainError):
    """A tokenizer's files can't be used, or a text can't be tokenised."""


class PromptError(ExplainError):
    """The ids or the text asked for don't fit this model."""


class ModelNotFound(ExplainError):
    """No checkpoint of that name is on this machine, and it couldn't be fetched."""


class InterventionError(ExplainError, ValueError):
    """What is to be changed in a run can't be: a model or prompt lacks it, or a value doesn't fit."""


class TraceError(ExplainError):
    """A trace file can't be used, or a trace doesn't fit the model."""


class NotRecorded(ExplainError, KeyError):
    """A run lacks a tensor, or something else that views ask for. `what` says which.

    It is a KeyError because a Trace is a Mapping: `trace.get(name)` and a program's own `except KeyError` do what is expected of them.
    Views catch NotRecorded alone, so that any other KeyError shows as the bug that it is.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"This run has no {what}; record it with the trace, or run the model.")
        self.what = what

    __str__ = Exception.__str__  # KeyError's would put the sentence in quotes


class ChangedByHand(NotRecorded):
    """An activation isn't what its formula makes, so that nothing can be told by that formula. `name` says which activation."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} as its formula makes it (it was changed by hand)")
        self.name = name
        self.args = (f"{name} was changed by hand in this run, so its formula doesn't tell it; take the change back to see that.",)


class LocationError(ExplainError):
    """A Location can't be read, or this model or prompt lacks it."""


class LessonError(ExplainError):
    """A lesson file can't be used, or a page of it doesn't fit this model."""


class NonFinite(ExplainError):
    """An activation holds NaN or infinity."""


# What is said where memory is lacking and nobody foresaw it.
NO_MEMORY = "The system has too little memory for this; close other programs, or give a shorter prompt or a smaller model."


def sentence_of(error: BaseException) -> str:
    """What people are told of an error that may happen."""
    return NO_MEMORY if isinstance(error, MemoryError) else str(error)


def reason(error: Exception) -> str:
    """Why the system refused, in its own words, on one line, without a full stop."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(" ".join(said.split()).rstrip(".") or type(error).__name__, 160)
