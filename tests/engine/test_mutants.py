"""Eight ways to be wrong about causes (section 5 of their review), each put into the code and seen by a property of the engine.

A mutant is a change of a function's own text. Where that text is another, the mutant has to be told anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.engine import test_interventions as properties
from txexplain import Cut
from txexplain.engine import attribution, gpt2, interventions, run
from txexplain.engine.model import GPT2

IDS, OTHER = [3, 9, 27, 20, 60, 58, 0], [3, 9, 12, 40, 60, 5, 33]


def of(test: Any) -> Callable[..., None]:
    """A property without the examples that hypothesis gives it."""
    return test.hypothesis.inner_test  # type: ignore[no-any-return]


def torch(case: str) -> Callable[[GPT2], None]:
    return lambda tiny: properties.test_as_torch_hooks_in_double_precision_find_it(tiny, case)


def cut(tiny: GPT2) -> None:
    of(properties.test_a_cut_leaves_the_rest_its_share_or_loses_it)(tiny, IDS, Cut(1, head=1, edges=[(5, 2), (6, 0)]))


def result(tiny: GPT2) -> None:
    of(properties.test_the_lens_ends_with_the_logits)(tiny, IDS)


def attributed(tiny: GPT2) -> None:
    of(properties.test_attributions_add_up_to_the_difference)(tiny, IDS, [], 5, 17, 6)


def parts_of_a_head(tiny: GPT2) -> None:
    of(properties.test_a_head_is_the_sum_of_its_keys_and_an_mlp_of_its_neurons)(tiny, IDS, 5, 17, 6)


def middle(tiny: GPT2) -> None:
    """The stream after attention reaches what follows both ways: patched at all rows, it is all that the block goes on with."""
    donor = tiny.forward(OTHER)
    changed = tiny.forward(IDS, interventions=[properties.patch("blocks.1.resid_mid", donor)])
    properties.same_bits(changed, donor, 0)
    assert (changed["logits"] == donor["logits"]).all()


LAST_SCALE = """unembed(
    (trace[name] - trace[name].mean(-1, keepdims=True)) / trace["ln_final.scale"] * model.weights["ln_f.weight"]
    + model.weights["ln_f.bias"], model.unembedding)"""
# What is wrong, the module, the function, its text, what stands there instead, and who sees it
MUTANTS: dict[str, tuple[ModuleType, str, str, str, tuple[Callable[[GPT2], None], ...]]] = {
    "a cut shares nothing out": (
        interventions, "Cut.edits", "if self.raw:", "if True:", (torch("an edge"), torch("edges in all heads"), cut),
    ),
    "a row with nothing left is uniform": (
        interventions, "nothing_left", "np.float32(0)", "np.float32(1 / pattern.shape[-1])", (torch("a row with nothing left"),),
    ),
    "the lens takes the last stream's scale": (
        attribution, "lens", "read_stream(model, trace[name])", LAST_SCALE, (result,),
    ),
    "no gain": (attribution, "direction_of", "(gain * u - (gain * u).mean())", "(u - u.mean())", (attributed, parts_of_a_head)),
    "no centring": (attribution, "direction_of", "(gain * u - (gain * u).mean())", "gain * u", (attributed, parts_of_a_head)),
    "the stream after attention reaches the MLP alone": (
        gpt2, "block", 'a["resid_mid"] + a["mlp_out"]', 'a["resid_pre"] + a["attn_out"] + a["mlp_out"]', (middle,),
    ),
    "the last given acts first": (
        run, "by_name", "for edit in edits:", "for edit in reversed(list(edits)):",
        (properties.test_they_act_in_the_order_given_at_one_place,),
    ),
    "the head beside it": (
        interventions, "Set.fill", "else self.head)", "else [(h + 1) % len(whole) for h in self.head])",
        (torch("a head's z at 0"), torch("keys of a head"), torch("several")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_wrong_variant_is_seen(tiny: GPT2, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    module, name, text, other, checks = MUTANTS[wrong]
    for check in checks:
        check(tiny)  # as it is, it holds
    owner_name, _, function = name.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    source = inspect.cleandoc("\n" + inspect.getsource(getattr(owner, function)))
    assert source.count(text) == 1, f"{name} is written otherwise now"
    made: dict[str, Any] = {}
    exec(compile(source.replace(text, other), name, "exec"), vars(module), made)
    monkeypatch.setattr(owner, function, made[function])
    for check in checks:
        with pytest.raises(AssertionError):
            check(tiny)
