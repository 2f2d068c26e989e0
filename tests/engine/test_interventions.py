"""What must equal what when a run is changed on the way (review of causes, 3.2), over random interventions, prompts and prefixes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import txexplain
from tests.conftest import GOLDEN
from txexplain import Cut, Set
from txexplain.engine import model
from txexplain.engine.attribution import direct_by_key, direct_by_neuron
from txexplain.engine.gpt2 import gpt2
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace, first_difference
from txexplain.errors import InterventionError

T = 7
L, H, D, M, DH = 2, 3, 24, 96, 8
ROWS = st.none() | st.integers(0, T - 1) | st.lists(st.integers(0, T - 1), min_size=1, max_size=3)
HEADS = st.none() | st.integers(0, H - 1) | st.lists(st.integers(0, H - 1), min_size=1, max_size=2)
WIDTHS = {"attn.q": DH, "attn.k": DH, "attn.v": DH, "attn.z": DH, "attn.attn_scores": T, "attn.pattern": T, "mlp.post": M, "mlp.pre": M}
OTHERS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "ln1.normalized", "ln2.normalized")


@st.composite
def sets(draw: st.DrawFn) -> Set:
    name = draw(st.sampled_from([*WIDTHS, *OTHERS]))
    width = WIDTHS.get(name, D)
    head = draw(HEADS) if name.startswith("attn.") else None
    index = draw(st.none() | st.lists(st.integers(0, width - 1), min_size=1, max_size=3, unique=True))
    size = width if index is None else len(index)
    value = draw(st.sampled_from([0, 1.5, np.linspace(-1, 1, size), np.linspace(-1, 1, T * size).reshape(T, size)]))
    whole = f"blocks.{draw(st.integers(0, L - 1))}.{name}"
    return Set(whole, value, rows=draw(ROWS), head=head, index=index, each=np.ndim(value) == 2)


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    edges = draw(st.lists(st.integers(0, T - 1).flatmap(lambda q: st.tuples(st.just(q), st.integers(0, q))), min_size=1, max_size=4))
    return Cut(draw(st.integers(0, L - 1)), head=draw(HEADS), edges=edges, raw=draw(st.booleans()))


IDS = st.lists(st.integers(0, 60), min_size=T, max_size=T)
CHANGES = st.lists(sets() | cuts(), max_size=3)


def rounding(a: Trace, b: Trace, names: tuple[str, ...] | None = None) -> None:
    for name in names or b.names:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-4, err_msg=name)


def same_bits(a: Trace, b: Trace, rows: int | None = None) -> None:
    for name in b.names:
        one, other = a[name], b[name]
        if rows is not None and name != "logits":
            square = name.endswith(("attn_scores", "pattern"))
            one, other = (each[:, :rows] if square else each[:rows] for each in (one, other))
        if rows is None or name != "logits":
            np.testing.assert_array_equal(one, other, err_msg=name)


def patch(name: str, donor: Trace, **part: object) -> Set:
    """An activation as another run has it, row by row."""
    value = donor[name]
    return Set(name, value.transpose(1, 0, 2) if name.endswith(("attn_scores", "pattern")) else value, each=True, **part)


def names(*parts: str) -> list[str]:
    return [f"blocks.{layer}.{part}" for layer in range(L) for part in parts]


@given(
    IDS,
    st.sets(
        st.sampled_from(
            names("attn.q", "attn.k", "attn.v", "attn.z", "attn.pattern", "attn_out", "mlp.pre", "mlp.post", "mlp_out", "resid_mid")
        )
    ),
)
def test_a_patch_from_itself_changes_no_bit(tiny: GPT2, ids: list[int], sites: set[str]) -> None:
    plain = tiny.forward(ids)
    same_bits(tiny.forward(ids, interventions=[patch(name, plain) for name in sorted(sites)]), plain)


@given(IDS, IDS, st.integers(0, L - 1))
def test_the_stream_of_another_run_gives_its_logits(tiny: GPT2, ids: list[int], other: list[int], layer: int) -> None:
    donor = tiny.forward(other)
    changed = tiny.forward(ids, interventions=[patch(f"blocks.{layer}.resid_pre", donor)])
    np.testing.assert_array_equal(changed["logits"], donor["logits"])
    last = Set(f"blocks.{L - 1}.resid_post", donor[f"blocks.{L - 1}.resid_post"][-1], rows=T - 1)
    np.testing.assert_array_equal(tiny.forward(ids, interventions=[last])["logits"], donor["logits"])


@given(IDS, IDS)
def test_all_parts_of_another_run_give_it_whole(tiny: GPT2, ids: list[int], other: list[int]) -> None:
    donor = tiny.forward(other)
    changed = tiny.forward(ids, interventions=[patch(name, donor) for name in ("embed", *names("attn.z", "mlp_out"))])
    np.testing.assert_array_equal(changed["logits"], donor["logits"])


@given(IDS, st.integers(0, L - 1))
def test_a_block_without_heads_adds_its_bias_alone(tiny: GPT2, ids: list[int], layer: int) -> None:
    everything = [(q, k) for q in range(T) for k in range(q + 1)]
    bias = np.broadcast_to(tiny.blocks[layer]["attn.c_proj.bias"], (T, D))
    for change in (Set(f"blocks.{layer}.attn.z", 0), Cut(layer, edges=everything), Cut(layer, edges=everything, raw=True)):
        np.testing.assert_array_equal(tiny.forward(ids, interventions=[change])[f"blocks.{layer}.attn_out"], bias, err_msg=str(change))


@given(IDS, cuts())
def test_a_cut_leaves_the_rest_its_share_or_loses_it(tiny: GPT2, ids: list[int], cut: Cut) -> None:
    plain, changed = tiny.forward(ids), tiny.forward(ids, interventions=[cut])
    name = f"blocks.{cut.block}.attn."
    before, after = plain[name + "pattern"].astype(np.float64), changed[name + "pattern"].astype(np.float64)
    for head in range(H):
        for query in range(T):
            gone = [k for q, k in cut.edges if q == query] if cut.head is None or head in cut.head else []
            row = before[head, query].copy()
            row[gone] = 0
            if gone and not cut.raw:
                row = row / row.sum() if len(gone) <= query else row * 0
            np.testing.assert_allclose(after[head, query], row, rtol=1e-5, atol=1e-6)
    if cut.raw:
        z = np.einsum("hij,jhc->ihc", after - before, plain[name + "v"])
        np.testing.assert_allclose(changed[name + "z"] - plain[name + "z"], z, atol=2e-5)


@given(IDS, CHANGES)
def test_rows_before_the_first_that_is_touched_keep_every_bit(tiny: GPT2, ids: list[int], changes: list[Intervention]) -> None:
    first = first_difference(changes, ())
    same_bits(tiny.forward(ids, interventions=changes), tiny.forward(ids), T if first is None else first)


@given(IDS, CHANGES, CHANGES, st.integers(1, T), st.booleans())
def test_a_prefix_gives_what_a_fresh_run_gives(
    tiny: GPT2, ids: list[int], changes: list[Intervention], earlier: list[Intervention], n: int, more: bool
) -> None:
    """From a run of other interventions too, as when one is toggled: what both have in common is taken over, and no more."""
    start = tiny.forward(ids[:n], interventions=[*changes, *earlier] if more else earlier)
    before = {name: start[name].copy() for name in start.names}
    rounding(tiny.forward(ids, interventions=changes, prefix=start), tiny.forward(ids, interventions=changes))
    for name, array in before.items():
        np.testing.assert_array_equal(start[name], array, err_msg=name)


def test_each_kind_switched_on_and_off_and_reordered_is_as_a_fresh_run(tiny: GPT2) -> None:
    ids = [3, 9, 27, 20, 60, 58, 0]
    kinds: list[Intervention] = [Set(f"blocks.0.attn.{letter}", 2, rows=rows, head=1) for letter in "qkvz" for rows in (None, 0, 3, 5)]
    kinds += [Set("blocks.0.attn.k", 1, rows=3, head=1), Set("embed", 1), Cut(0, edges=[(4, 1), (6, 1)]), Cut(1, edges=[(0, 0)])]
    some = [*kinds[1::4], *kinds[-4:], Set("blocks.0.attn.k", 2, rows=3, head=1)]
    for one, two in [*itertools.permutations(some, 2), *((one, None) for one in some)]:
        alone, both = [((), (one,)), ((one,), ())], [((one,), (one, two)), ((one, two), (two, one)), ((one,), (two,))]
        for before, after in alone if two is None else both:
            start = tiny.forward(ids[:5], interventions=before)
            rounding(tiny.forward(ids, interventions=after, prefix=start), tiny.forward(ids, interventions=after))
    for one in kinds:
        start = tiny.forward(ids[:4], interventions=[one])
        rounding(tiny.forward(ids, interventions=[one], prefix=start), tiny.forward(ids, interventions=[one]))
        rounding(tiny.forward(ids, prefix=start), tiny.forward(ids))
        rounding(tiny.forward(ids[:3], interventions=[one], prefix=start), tiny.forward(ids[:3], interventions=[one]))


def test_an_edge_toggled_at_the_last_query_costs_one_row(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, seen = [3, 9, 27, 20, 60, 58], []
    plain = tiny.forward(ids)
    monkeypatch.setattr(model, "gpt2", lambda a, new, *rest: seen.append(len(new)) or gpt2(a, new, *rest))
    cut = tiny.forward(ids, interventions=[Cut(1, head=0, edges=[(5, 2)])], prefix=plain)
    back = tiny.forward(ids, prefix=cut)
    assert seen == [1, 1]
    rounding(back, plain)


@given(IDS, CHANGES, st.integers(0, 60), st.none() | st.integers(0, 60), st.integers(0, T - 1))
def test_attributions_add_up_to_the_difference(
    tiny: GPT2, ids: list[int], changes: list[Intervention], a: int, b: int | None, at: int
) -> None:
    trace = tiny.forward(ids, interventions=changes, all_logits=True)
    said = txexplain.direct(tiny, trace, a, b, at=at)
    wanted = float(trace["logits"][at, a]) - (0.0 if b is None else float(trace["logits"][at, b]))
    assert said.total == pytest.approx(wanted, abs=1e-4)
    if not changes:
        assert said.changed == pytest.approx(0, abs=1e-4)


@given(IDS, st.integers(0, 60), st.integers(0, 60), st.integers(0, T - 1))
def test_a_head_is_the_sum_of_its_keys_and_an_mlp_of_its_neurons(tiny: GPT2, ids: list[int], a: int, b: int, at: int) -> None:
    trace = tiny.forward(ids)
    whole = txexplain.direct(tiny, trace, a, b, at=at)
    for layer, head in itertools.product(range(L), range(H)):
        keys = direct_by_key(tiny, trace, layer, head, a, b, at)
        assert keys.shape == (at + 1,)
        assert keys.sum() == pytest.approx(whole.head[layer, head], abs=1e-4)
    u = tiny.unembedding[a].astype(np.float64) - tiny.unembedding[b]
    gain = tiny.weights["ln_f.weight"] * u
    for layer in range(L):
        bias = tiny.blocks[layer]["mlp.c_proj.bias"] @ (gain - gain.mean()) / float(trace["ln_final.scale"][at, 0])
        assert direct_by_neuron(tiny, trace, layer, a, b, at).sum() + bias == pytest.approx(whole.mlp[layer], abs=1e-4)


@given(IDS)
def test_the_lens_ends_with_the_logits(tiny: GPT2, ids: list[int]) -> None:
    trace = tiny.forward(ids, all_logits=True)
    read = txexplain.lens(tiny, trace)
    assert read.shape == (2 * L + 1, T, tiny.config.vocab_size)
    np.testing.assert_allclose(read[-1], trace["logits"], atol=1e-5)
    x = trace["blocks.1.resid_mid"].astype(np.float64)
    own = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + tiny.config.layer_norm_epsilon)
    w = tiny.weights
    np.testing.assert_allclose(read[3], (own * w["ln_f.weight"] + w["ln_f.bias"]) @ tiny.unembedding.T, atol=1e-4)


@pytest.mark.parametrize("raw_first", [True, False])
def test_an_edge_cut_in_both_ways_leaves_zeros(tiny: GPT2, raw_first: bool) -> None:
    both = [Cut(1, edges=[(0, 0)], raw=raw_first), Cut(1, edges=[(0, 0)], raw=not raw_first)]
    assert not tiny.forward([1, 2, 3], interventions=both)["blocks.1.attn.pattern"][:, 0].any()


@pytest.mark.parametrize("name", ["attn.attn_scores", "attn.pattern"])
def test_no_value_makes_a_query_see_what_comes_after_it(tiny: GPT2, name: str) -> None:
    ids, whole = [3, 9, 27, 20, 60, 58, 0], f"blocks.0.{name}"
    for change in (Set(whole, 0.5), Set(whole, np.arange(7.0)), Set(whole, np.ones((7, 7)), each=True), Set(whole, 2, index=[1, 6])):
        pattern = tiny.forward(ids, interventions=[change])["blocks.0.attn.pattern"]
        assert not np.triu(pattern, 1).any(), change
        assert pattern[0, 6, 6], change


def test_they_act_in_the_order_given_at_one_place(tiny: GPT2) -> None:
    one, two = Set("blocks.0.mlp_out", 1, rows=2), Set("blocks.0.mlp_out", 2, rows=2)
    for order in itertools.permutations((one, two)):
        assert (tiny.forward([1, 2, 3], interventions=order)["blocks.0.mlp_out"][2] == order[-1].value).all()


def test_all_rows_are_those_of_tokens_to_come_too(tiny: GPT2) -> None:
    off = Set("blocks.1.attn.z", 0, head=1)
    longer = tiny.forward([1, 2, 3, 4], interventions=[off], prefix=tiny.forward([1, 2, 3], interventions=[off]))
    assert not longer["blocks.1.attn.z"][:, 1].any()


WRONG = {
    "future": lambda m: Cut(0, edges=[(1, 2)]),
    "no edge": lambda m: Cut(0, edges=[]),
    "below 0": lambda m: Cut(0, edges=[(1, -1)]),
    "nan": lambda m: Set("blocks.0.attn.z", np.nan),
    "head below 0": lambda m: Set("blocks.0.attn.z", 0, head=-1),
    "each number": lambda m: Set("embed", 1, each=True),
    "block": lambda m: m.forward([1], interventions=[Cut(2, edges=[(0, 0)])]),
    "head of a cut": lambda m: m.forward([1], interventions=[Cut(0, head=3, edges=[(0, 0)])]),
    "head": lambda m: m.forward([1], interventions=[Set("blocks.0.attn.z", 0, head=3)]),
    "no heads": lambda m: m.forward([1], interventions=[Set("embed", 0, head=0)]),
    "scale": lambda m: m.forward([1], interventions=[Set("blocks.0.ln1.scale", 1)]),
    "logits": lambda m: m.forward([1], interventions=[Set("logits", 1)]),
    "neuron": lambda m: m.forward([1], interventions=[Set("blocks.0.mlp.post", 0, index=96)]),
    "no such block": lambda m: m.forward([1], interventions=[Set("blocks.9.mlp.post", 0)]),
    "shape": lambda m: m.forward([1], interventions=[Set("embed", [1, 2])]),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_what_cannot_be_changed_is_said_in_a_sentence(tiny: GPT2, make: Callable[[GPT2], object]) -> None:
    with pytest.raises(InterventionError, match=r"^\S.*\.$"):
        make(tiny)


REFERENCE = json.loads((GOLDEN / "interventions.json").read_text(encoding="utf-8"))


def given_as(case: dict[str, Any]) -> Intervention:
    """A case of the reference as Set or Cut."""
    if "cut" in case:
        return Cut(case["cut"], head=case["head"], edges=case["edges"], raw=case.get("raw", False))
    size = DH if "head" in case else D
    value = np.linspace(-1, 1, size) if case["value"] == "vector" else case["value"]
    return Set(f"blocks.{case['block']}.{case['set']}", value, rows=case.get("rows"), head=case.get("head"), index=case.get("index"))


@pytest.mark.parametrize("name", REFERENCE["runs"])
def test_as_torch_hooks_in_double_precision_find_it(tiny: GPT2, name: str) -> None:
    wanted = REFERENCE["runs"][name]
    trace = tiny.forward(REFERENCE["ids"], interventions=[given_as(case) for case in wanted["cases"]], all_logits=True)
    np.testing.assert_allclose(trace["logits"], wanted["logits"], atol=1e-4)
    if name != "nothing":
        assert np.abs(np.subtract(wanted["logits"], REFERENCE["runs"]["nothing"]["logits"])).max() > 1e-3
