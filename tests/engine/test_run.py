"""The model's page by itself, with dictionaries around it; and runs that are changed on the way."""

from __future__ import annotations

import numpy as np
import pytest

from txexplain.engine.gpt2 import gpt2, unembed
from txexplain.engine.interventions import Set
from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array
from txexplain.engine.trace import Trace

IDS = [5, 9, 60, 0, 17, 17, 3]


class Plain(dict[str, Array]):
    """The least that the page asks of a run."""

    def block(self, layer: int) -> dict[str, Array]:
        inside: dict[str, Array] = {}
        self.setdefault("blocks", []).append(inside)  # type: ignore[arg-type, attr-defined]
        return inside


class NoPast:
    """A cache of nothing: each block's new rows are all there are."""

    start = 0

    def __init__(self, model: GPT2, n: int) -> None:
        self.n_head = model.config.n_head
        self.new = np.empty((n, 3 * model.config.n_embd), dtype=np.float32)

    def room(self, layer: int) -> Array:
        self.new = self.new.copy()
        return self.new

    def heads(self, layer: int) -> tuple[Array, Array, Array]:
        q, k, v = np.split(self.new, 3, axis=1)
        return tuple(part.reshape(len(part), self.n_head, -1) for part in (q, k, v))  # type: ignore[return-value]


def zero(name: str, head: int) -> Set:
    """One head's part of an activation set to 0."""
    return Set(name, 0, head=head)


def edited(model: GPT2, ids: list[int], *interventions: Set, prefix: Trace | None = None) -> Trace:
    return model.forward(ids, interventions=interventions, prefix=prefix)


def assert_same(a: Trace, b: Trace) -> None:
    for name in b.names:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_page_is_the_whole_model(tiny: GPT2) -> None:
    a, trace = Plain(), tiny.forward(IDS)
    last = gpt2(a, IDS, tiny.weights, tiny.blocks, tiny.config, NoPast(tiny, len(IDS)))
    np.testing.assert_array_equal(unembed(last[-1], tiny.unembedding), trace["logits"])
    for layer, inside in enumerate(a["blocks"]):
        for name, array in inside.items():  # type: ignore[attr-defined]
            np.testing.assert_array_equal(array, trace[f"blocks.{layer}.{name}"], err_msg=name)


@pytest.mark.parametrize("name", ["blocks.0.attn.z", "blocks.0.attn.q", "blocks.1.attn.k", "blocks.0.attn.v"])
def test_all_that_follows_goes_on_with_the_changed_activation(tiny: GPT2, name: str) -> None:
    """Each later activation is what its formula makes of the changed ones: held to a model whose weights do the same."""
    plain, changed = tiny.forward(IDS), edited(tiny, IDS, zero(name, 1))
    assert (changed[name][:, 1] == 0).all()
    assert changed[name][:, 0].any()
    layer = int(name.split(".")[1])
    assert not np.array_equal(changed["logits"], plain["logits"])
    before = [each for each in plain.names if each.startswith(f"blocks.{layer}.ln1")]
    assert_same_of(changed, plain, before)
    w = tiny.blocks[layer]
    z = np.einsum("hij,jhc->ihc", changed[f"blocks.{layer}.attn.pattern"], changed[f"blocks.{layer}.attn.v"])
    if not name.endswith(".z"):
        np.testing.assert_allclose(changed[f"blocks.{layer}.attn.z"], z, rtol=1e-5, atol=1e-6)
    merged = changed[f"blocks.{layer}.attn.z"].reshape(len(IDS), -1)
    out = merged @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
    np.testing.assert_allclose(changed[f"blocks.{layer}.attn_out"], out, rtol=1e-5, atol=1e-6)
    mid = changed[f"blocks.{layer}.resid_pre"] + changed[f"blocks.{layer}.attn_out"]
    np.testing.assert_allclose(changed[f"blocks.{layer}.resid_mid"], mid, rtol=1e-6)


def assert_same_of(a: Trace, b: Trace, names: list[str]) -> None:
    assert names
    for name in names:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("edit", [zero("blocks.0.attn.z", 2), zero("blocks.0.attn.k", 0), zero("blocks.1.attn.v", 1)])
def test_an_edited_run_goes_on_from_its_like_and_from_no_other(tiny: GPT2, edit: Set) -> None:
    plain, fresh = tiny.forward(IDS[:5]), edited(tiny, IDS, edit)
    assert_same(edited(tiny, IDS, edit, prefix=edited(tiny, IDS[:5], edit)), fresh)
    assert_same(edited(tiny, IDS, edit, prefix=plain), fresh)
    assert_same(edited(tiny, IDS, prefix=edited(tiny, IDS[:5], edit)), tiny.forward(IDS))
    assert_same(plain, tiny.forward(IDS[:5]))  # and left it as it was


def test_a_run_tells_what_was_changed(tiny: GPT2) -> None:
    edit = zero("blocks.0.attn.z", 2)
    assert edited(tiny, IDS, edit).interventions == (edit,)
    assert tiny.forward(IDS).interventions == ()


def test_what_enters_a_block_is_what_left_the_one_before(tiny: GPT2) -> None:
    """Two names of one tensor: a change under either is the same change."""

    vector = np.linspace(-1, 1, tiny.config.n_embd)
    one, other = (tiny.forward(IDS, interventions=[Set(name, vector, rows=2)]) for name in ("blocks.0.resid_post", "blocks.1.resid_pre"))
    assert_same(one, other)
    np.testing.assert_allclose(one["blocks.0.resid_post"][2], vector, rtol=1e-6)
