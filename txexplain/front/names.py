"""What tokens are called: by the model's tokenizer, or by a recorded run's own list."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from txexplain.engine.derive import Result
from txexplain.engine.tokenizer import Tokenizer
from txexplain.explorer.names import vocabulary_of
from txexplain.viz.canvas import plain_ascii


class Recorded:
    """How a trace file without its model shows tokens: by its own list where it has one, else by id.

    A file lists the prompt's tokens alone. Where GPT-2's own vocabulary has each of them under the same id, the candidates' names
    are taken from it.
    """

    def __init__(self, result: Result) -> None:
        self.texts = dict(zip(result.trace.ids, result.trace.tokens or (), strict=False))
        self.gpt2 = vocabulary_of(result)

    def display(self, token_id: int, *, ascii: bool = False) -> str:
        if self.gpt2 is not None:
            return self.gpt2.display(token_id, ascii=ascii)
        text = self.texts.get(token_id, f"#{token_id}")
        return plain_ascii(text) if ascii else text

    def decode(self, ids: Sequence[int]) -> str:
        return self.gpt2.decode(ids) if self.gpt2 is not None else "".join(map(self.display, ids))

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that an id stands for; none where a file shows tokens by its list alone."""
        return self.gpt2.token_bytes(token_id) if self.gpt2 is not None else b""


Names = Tokenizer | Recorded

RECORDED: WeakKeyDictionary[Result, Recorded] = WeakKeyDictionary()  # what each run that is still open calls its tokens


def names_of(result: Result) -> Names:
    """How a result's tokens are called."""
    if result.model is not None:
        return result.model.tokenizer
    return recorded_names(result)


def recorded_names(result: Result) -> Recorded:
    if result not in RECORDED:
        RECORDED[result] = Recorded(result)
    return RECORDED[result]
