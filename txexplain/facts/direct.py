"""The difference of two tokens' logits as a sum over what was added to a token's stream: by part, by key, by neuron."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from txexplain.engine.attribution import Direct, direct_by_key, direct_by_neuron
from txexplain.engine.attribution import direct as attributed
from txexplain.engine.derive import Result
from txexplain.engine.steps import stream_parts
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact
from txexplain.facts.vector import VectorFacts


@dataclass(frozen=True, eq=False)
class DirectFacts:
    """The parts by name, and what each gives to A − B; A and B are the two logits themselves. `edited`: the run was changed."""

    direct: Direct
    a: float
    b: float
    edited: bool

    @cached_property
    def parts(self) -> dict[str, float]:
        """In the order in which they are added."""
        d = self.direct
        values = [d.embed, d.pos]
        for head, bias, mlp in zip(d.head, d.attn_bias, d.mlp, strict=True):
            values += [*head.tolist(), float(bias), float(mlp)]
        return dict(zip(stream_parts(*d.head.shape), (*values, d.always, d.changed), strict=True))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The parts by size, the largest first."""
        values = list(self.parts.values())
        return tuple(sorted(range(len(values)), key=lambda n: -abs(values[n])))


@fact(8)
def direct(result: Result, token: int, a: int, b: int) -> DirectFacts:
    """A token's row, read for A − B: of a changed run too, where the sum has a part more. Raises NotRecorded."""
    model = result.weights()
    logit_a, logit_b = (float(result.trace["ln_final.normalized"][token].astype("float64") @ model.unembedding[each]) for each in (a, b))
    return DirectFacts(attributed(model, result.trace, a, b, token), logit_a, logit_b, bool(result.trace.interventions))


@fact(8)
def by_key(result: Result, layer: int, head: int, token: int, a: int, b: int) -> VectorFacts:
    """A head's part by key. Shapes: -> [token + 1]. Raises NotRecorded, and ChangedByHand where z isn't its mix of the values."""
    require_formula(result, f"blocks.{layer}.attn.z", head=head, row=token)
    return VectorFacts(direct_by_key(result.weights(), result.trace, layer, head, a, b, token))


@fact(8)
def by_neuron(result: Result, layer: int, token: int, a: int, b: int) -> VectorFacts:
    """An MLP's part by neuron. Shapes: -> [m]. Raises NotRecorded, and ChangedByHand where mlp_out isn't the neurons' sum."""
    require_formula(result, f"blocks.{layer}.mlp_out", row=token)
    return VectorFacts(direct_by_neuron(result.weights(), result.trace, layer, a, b, token))


def listed(facts: DirectFacts, face: str | None) -> tuple[int, ...]:
    """The parts as a face lists them; what was changed has no row where nothing was."""
    order = facts.order if face is None else tuple(range(len(facts.parts)))
    last = len(facts.parts) - 1
    return order if facts.edited else tuple(each for each in order if each != last)
