"""A LayerNorm of one token, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from txexplain.engine.derive import Result
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact, wanted
from txexplain.facts.vector import VectorFacts, vector

FINAL = "ln_final"


@dataclass(frozen=True, eq=False)
class NormFacts:
    """What enters, what is taken off, what it is divided by, how it is stretched and shifted: vectors [d] but for the scale.

    `gain` and `bias` are None without the weights, `recorded` is None where the result wasn't recorded.
    """

    name: str  # of the result's activation
    x: VectorFacts  # its mean and variance are the ones that are used
    centred: VectorFacts  # x − mean
    scale: float  # √(variance + ε), as recorded
    divided: VectorFacts  # centred ÷ scale
    gain: VectorFacts | None
    bias: VectorFacts | None
    recorded: VectorFacts | None

    @property
    def result(self) -> VectorFacts:
        """divided × gain + bias, as recorded. Raises NotRecorded."""
        return wanted(self.recorded, self.name)


def source_of(result: Result, which: str) -> str:
    """The activation that a LayerNorm reads: which is "blocks.L.ln1", "blocks.L.ln2" or "ln_final"."""
    if which == FINAL:
        return f"blocks.{result.config.n_layer - 1}.resid_post"
    block, norm = which.rsplit(".", 1)
    return f"{block}.resid_{'pre' if norm == 'ln1' else 'mid'}"


@fact(8)
def norm(result: Result, which: str, token: int) -> NormFacts:
    """One token's way through a LayerNorm: which is "blocks.L.ln1", "blocks.L.ln2" or "ln_final".

    Raises NotRecorded, and ChangedByHand where its scale or its result isn't what the formula makes of the input.
    """
    require_formula(result, f"{which}.scale", f"{which}.normalized", row=token)
    x = vector(result, source_of(result, which), token)
    scale = float(result.trace[f"{which}.scale"][token, 0])
    centred = x.values - x.mean  # [d]
    weights = result.model.weights if result.model is not None else {}
    prefix = "ln_f" if which == FINAL else "h.{1}.ln_{2}".format(*which.replace("ln", "").split("."))
    gain, bias = (VectorFacts(weights[name]) if name in weights else None for name in (f"{prefix}.weight", f"{prefix}.bias"))
    name = f"{which}.normalized"
    recorded = vector(result, name, token) if name in result.trace else None
    return NormFacts(name, x, VectorFacts(centred), scale, VectorFacts(centred / scale), gain, bias, recorded)
