"""What an activation is on average over a text: what a part is set to so that it says nothing of this prompt.

Never the mean over the prompt's own rows: that would depend on later tokens, and a causal model would look ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array
from txexplain.engine.run import Stopped
from txexplain.engine.steps import activation_letters
from txexplain.errors import InterventionError

# Beginnings of paragraphs from children's books in the public domain: Potter, Collodi, Nesbit, Burnett, MacDonald, Grimm (Margaret Hunt),
# Andersen, Pyle, Barrie, Baum, Wilde, Stevenson, Sewell, Aesop. 16 windows suffice: 300 move an effect by 0.13 at most.
TALES = Path(__file__).with_name("tales.txt")
USUAL = "tales"
WINDOW = 64  # tokens of a line
KEPT = 2  # references of one model


@dataclass(frozen=True, eq=False)
class Reference:
    """Means of a model's activations over every token of a text. `name` says which text: how large an effect is depends on it."""

    name: str
    n_tokens: int
    means: Mapping[str, Array]  # by the activation's name: [d], [m] or [H, dh]


def reference(model: GPT2, text: str | None = None, name: str = USUAL, should_stop: Callable[[], bool] | None = None) -> Reference:
    """The means over a text, by default the one that is shipped; computed once and kept with the model.

    Each line is a text of its own, of which the first 64 tokens are read. should_stop: asked before each block.
    Raises Stopped when that says True, InterventionError for a model without a tokenizer, NonFinite.
    """
    text = TALES.read_text("utf-8") if text is None else text
    return model.kept.answer(reference, (name, text), lambda: averaged(model, text, name, should_stop), KEPT)


def averaged(model: GPT2, text: str, name: str, should_stop: Callable[[], bool] | None) -> Reference:
    """The means, computed now. Raises as reference does."""
    if model.tokenizer.has_no_text:
        raise InterventionError(f"{model.name} has no tokenizer to read a text with, so no means are known; set to zero or a number.")
    names = [name for name, letters in activation_letters(model.config.n_layer).items() if letters[0] == "T" and letters != ("T", "1")]
    sums: dict[str, NDArray[np.float64]] = {}
    n_tokens = 0
    for line in filter(None, text.splitlines()):
        ids = model.tokenizer.encode(line)[: min(WINDOW, model.config.n_positions)]
        trace = model.stoppable_forward(ids, should_stop=should_stop)
        if trace is None:
            raise Stopped
        n_tokens += len(ids)
        for each in names:
            sums[each] = trace[each].sum(axis=0, dtype=np.float64) + sums.get(each, 0.0)  # [d], [m] or [H, dh]
    return Reference(name, n_tokens, {each: (total / n_tokens).astype(np.float32) for each, total in sums.items()})
