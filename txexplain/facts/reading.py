"""What a vector in the stream does to the next token's probabilities: a reading of the direct way to the end."""

from __future__ import annotations

from txexplain.engine.derive import Doubles, Lens, Reading, logit_effect, probabilities, reading
from txexplain.engine.ops import Array
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact


@fact(4)
def next_token(lens: Lens, token: int) -> Doubles:
    """The shares of all tokens after one of the prompt, at temperature 1. Shapes: -> [V]. Raises NotRecorded."""
    return probabilities(lens.weights(), lens.trace, token)


def read(lens: Lens, vector: Array, layer: int, token: int) -> Reading:
    """What a vector that a block adds to a token's stream makes likelier and less likely. Shapes: vector [d].

    Raises NotRecorded, and ChangedByHand where the stream was set on the way: it then doesn't carry the vector to the end.
    """
    for later in range(layer, lens.config.n_layer):
        require_formula(lens, f"blocks.{later}.resid_mid", f"blocks.{later}.resid_post", row=token)
    require_formula(lens, "ln_final.normalized", row=token)
    return reading(logit_effect(lens.weights(), lens.trace, vector, token), next_token(lens, token))
