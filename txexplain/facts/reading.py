"""What a vector in the stream does to the next token's probabilities: a reading of the direct way to the end."""

from __future__ import annotations

from txexplain.engine.derive import Doubles, Reading, Result, logit_effect, probabilities, reading
from txexplain.engine.ops import Array
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact


@fact(4)
def next_token(result: Result, token: int) -> Doubles:
    """The shares of all tokens after one of the prompt, at temperature 1. Shapes: -> [V]. Raises NotRecorded."""
    return probabilities(result.weights(), result.trace, token)


def read(result: Result, vector: Array, layer: int, token: int) -> Reading:
    """What a vector that a block adds to a token's stream makes likelier and less likely. Shapes: vector [d].

    Raises NotRecorded, and ChangedByHand where the stream was set on the way: it then doesn't carry the vector to the end.
    """
    for later in range(layer, result.config.n_layer):
        require_formula(result, f"blocks.{later}.resid_mid", f"blocks.{later}.resid_post", row=token)
    require_formula(result, "ln_final.normalized", row=token)
    return reading(logit_effect(result.weights(), result.trace, vector, token), next_token(result, token))
