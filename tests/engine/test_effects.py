"""Sweeps: each cell is a full pass with that one intervention more, and as torch hooks find it; what comes when, what is exactly 0."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import txexplain
from tests.conftest import GOLDEN
from tests.examples import examples
from txexplain import Cut, Set
from txexplain.engine import effects as engine
from txexplain.engine.effects import Effects, effects, sweep
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.plans import plan
from txexplain.engine.reference import WINDOW, Reference, reference
from txexplain.engine.run import Stopped
from txexplain.engine.trace import Trace
from txexplain.errors import InterventionError, PromptError

ODD = ("default", "erf", "relu", "silu", "tanh", "swish", "pytorch_tanh")
T = 7
ONES = ("heads", "mlps", "attns", "neurons L0")
CUTS = ("edges", "rows", "edges L{last}", "edges L0H0", "edges L{last}H0", "rows L0", "rows L0H0", "edges [4]", "edges L0 [6]")
PATCHES = ("heads", "z", "q", "k", "v", "pattern", "resid", "mlps", "attns")
WAYS = [
    *itertools.product(ONES, ("zero", 1.5, "means")),
    *itertools.product(CUTS, ("cut", "raw")),
    *itertools.product(PATCHES, ("donor",)),
]
Prompt = st.lists(st.integers(0, 60), min_size=T, max_size=T)


@cache
def odd(name: str) -> GPT2:
    return txexplain.load_model(GOLDEN / "parity" / name)


@cache
def means_of(model: GPT2) -> Reference:
    """Means over a few tokens; these models read no text."""
    trace = model.forward([5, 4, 3, 2, 1, 0])
    kept = [name for name in trace.names if name != "logits" and not name.endswith(("attn_scores", "pattern"))]
    return Reference("six", 6, {name: trace[name].mean(axis=0) for name in kept})


@st.composite
def interventions(draw: st.DrawFn, name: str) -> list[Intervention]:
    """What else was changed in the run that is swept: nothing, or some of each kind."""
    c = odd(name).config
    block, head = draw(st.integers(0, c.n_layer - 1)), draw(st.integers(0, c.n_head - 1))
    row, key = draw(st.tuples(st.integers(0, T - 1), st.integers(0, T - 1)).map(lambda pair: sorted(pair, reverse=True)))
    where = f"blocks.{block}."
    known: list[Intervention] = [
        *(Set(f"{where}attn.{letter}", 1, rows=rows, head=head) for letter in "qkvz" for rows in (None, row)),
        *(Set(where + each, -0.5, rows=row) for each in ("resid_pre", "attn_out", "resid_mid", "mlp.pre", "mlp_out", "resid_post")),
        *(Set(where + each, 0.5) for each in ("ln1.normalized", "ln2.normalized")),
        Set(f"{where}mlp.post", 2, index=0), Set(f"{where}attn.pattern", 0.25, rows=row, head=head, index=key), Set("embed", 1, rows=row),
        Set("ln_final.normalized", np.linspace(-1, 1, c.n_embd) if row else 0.5, rows=T - 1, index=None if row else [0]),
        Cut(block, head=head, edges=[(row, key)]), Cut(block, edges=[(row, key)], raw=True),
        Cut(block, edges=[(row, k) for k in range(row + 1)]),
    ]  # fmt: skip
    return draw(st.lists(st.sampled_from(known), max_size=2))


@pytest.mark.parametrize(("of", "to"), WAYS, ids=lambda value: str(value))
@examples(100)
@given(data=st.data())
def test_each_cell_is_a_full_pass_with_that_one_intervention(of: str, to: str | float, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(ODD))
    model = odd(name)
    of = of.format(last=model.config.n_layer - 1)
    ids, earlier, changes = data.draw(Prompt), data.draw(Prompt), data.draw(interventions(name))
    same = data.draw(st.integers(0, T - 1))
    given: dict[str, object] = {"to": means_of(model) if to == "means" else to}
    if to == "donor":
        other = [*ids[:same], *earlier[same:]]
        given = {"donor": model.forward(other[: data.draw(st.sampled_from([T, T, T if of == "pattern" else 5]))])}
    trace = model.forward(ids, interventions=changes, prefix=model.forward(earlier) if data.draw(st.booleans()) else None)
    found = effects(model, trace, of, answer=5, against=7, probability=True, **given)  # type: ignore[arg-type]
    planned = plan(model, trace, of, **given)  # type: ignore[arg-type]
    cells = [cell for cell in np.ndindex(*found.change.shape) if not planned.empty(cell)]
    for cell in np.ndindex(*found.change.shape):
        assert np.isnan(found.change[cell]) == (cell not in cells)
    assert found.done == found.total == len(planned.tries)
    for cell in data.draw(st.lists(st.sampled_from(cells), min_size=1, max_size=4, unique=True)):
        wanted = model.forward(ids, interventions=[*changes, *planned.do(cell)])
        assert found.change[cell] == pytest.approx(difference(wanted) - difference(trace), abs=1e-4), planned.place(cell)
        assert found.without + found.change[cell] == pytest.approx(difference(wanted), abs=1e-4)
        assert found.probability is not None
        assert found.probability[cell] == pytest.approx(likely(wanted) - likely(trace), abs=1e-5)


def difference(trace: Trace) -> float:
    logits = trace.last_logits.astype(np.float64)
    return float(logits[5] - logits[7])


def likely(trace: Trace) -> float:
    return float(txexplain.distribution(trace.last_logits).full_probability[5])


REFERENCE = json.loads((GOLDEN / "effects.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", REFERENCE["models"])
@pytest.mark.parametrize("what", REFERENCE["models"]["default"]["sweeps"])
def test_as_full_passes_with_torch_hooks_in_double_precision_find_it(name: str, what: str) -> None:
    model, (of, _, to) = odd(name), what.rpartition(" ")
    trace = model.forward(REFERENCE["ids"])
    given = {"donor": model.forward(REFERENCE["other"])} if to == "patched" else {"to": to}
    found = effects(model, trace, of, answer=REFERENCE["answer"], against=REFERENCE["against"], **given)  # type: ignore[arg-type]
    wanted = np.array(REFERENCE["models"][name]["sweeps"][what], dtype=np.float64)  # None is NaN
    np.testing.assert_allclose(found.change, wanted, atol=1e-4)
    assert np.nanmax(np.abs(wanted)) > 1e-3
    assert found.without == pytest.approx(REFERENCE["models"][name]["without"], abs=1e-4)


@pytest.mark.parametrize(("of", "counts"), [("resid", 2 * 4), ("mlps", 4 + 1), ("attns", 4 + 1)])
def test_only_what_can_differ_is_computed_and_the_rest_is_exactly_0(tiny: GPT2, of: str, counts: int) -> None:
    """Rows before the first token that differs, and in the last block all but the last row of what no other row reads."""
    trace, donor = tiny.forward([3, 9, 27, 20, 60, 58, 0]), tiny.forward([3, 9, 27, 21, 60, 5, 0])
    found = effects(tiny, trace, of, donor=donor)
    assert found.total == counts
    assert not found.change[:, :3].any()
    assert np.count_nonzero(found.change) == counts
    same = effects(tiny, trace, of, donor=tiny.forward(trace.ids))
    assert same.total == 0
    assert not same.change.any()


def test_restored_goes_from_nothing_to_all(tiny: GPT2) -> None:
    trace, donor = tiny.forward([3, 9, 27, 20, 60]), tiny.forward([3, 9, 27, 20, 5])
    found = effects(tiny, trace, "resid", donor=donor, answer=5, against=7)
    assert found.other == pytest.approx(difference(donor), abs=1e-4)
    assert found.restored is not None
    np.testing.assert_allclose(found.restored[:, -1], 1, atol=1e-3)
    assert not found.restored[:, :-1].any()
    assert effects(tiny, trace, "resid", donor=tiny.forward(trace.ids)).restored is None
    assert effects(tiny, trace, "heads", to="zero").restored is None


def test_the_last_blocks_come_first_and_what_is_there_stays(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "AT_ONCE", 1)  # one by one
    trace = tiny.forward([3, 9, 27, 20])
    told = list(sweep(tiny, trace, plan(tiny, trace, "heads", to="zero")))
    assert [each.done for each in told] == [0, 1, 2, 3, 4, 5, 6]
    assert np.isnan(told[0].change).all()
    assert not np.isnan(told[3].change[1]).any()
    assert np.isnan(told[3].change[0]).all()
    for one, two in itertools.pairwise(told):
        there = ~np.isnan(one.change)
        np.testing.assert_array_equal(one.change[there], two.change[there])


@pytest.mark.parametrize("of", ["heads", "edges", "rows", "resid", "neurons L1"])
def test_how_many_are_computed_together_changes_nothing(tiny: GPT2, monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    trace = tiny.forward([3, 9, 27, 20, 60, 58, 0])
    given = {"donor": tiny.forward([3, 9, 27, 21, 60, 5, 0])} if of == "resid" else {"to": 0.5} if of[0] in "hn" else {}
    together = effects(tiny, trace, of, **given)  # type: ignore[arg-type]
    for limit in (1, 3000):
        monkeypatch.setattr(engine, "AT_ONCE", limit)
        np.testing.assert_allclose(effects(tiny, trace, of, **given).change, together.change, atol=1e-5)  # type: ignore[arg-type]


def test_a_sweep_that_nobody_waits_for_ends_between_two_blocks_with_what_it_has(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "AT_ONCE", 1)
    trace, whole = tiny.forward([3, 9, 27, 20]), effects(tiny, tiny.forward([3, 9, 27, 20]), "heads", to="zero")
    asked = iter([False] * 4 + [True])  # the three heads of the last block, one each; of the first block's, two blocks
    found = effects(tiny, trace, "heads", to="zero", should_stop=lambda: next(asked))
    assert (found.done, found.total) == (3, 6)
    np.testing.assert_allclose(found.change[1], whole.change[1], atol=1e-6)
    assert np.isnan(found.change[0]).all()


def test_strongest_first(tiny: GPT2) -> None:
    found = effects(tiny, tiny.forward([3, 9, 27, 20, 60]), "edges")
    best = found.strongest(4)
    assert len(best) == 4
    sizes = [abs(found.change[cell]) for cell in best]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == np.nanmax(np.abs(found.change))


def test_some_neurons_alone(tiny: GPT2) -> None:
    trace = tiny.forward([3, 9, 27])
    found, whole = (effects(tiny, trace, "neurons L0", to="zero", only=only) for only in ((5, 95), None))
    assert found.total == 2
    assert np.flatnonzero(~np.isnan(found.change)).tolist() == [5, 95]
    np.testing.assert_allclose(found.change[[5, 95]], whole.change[[5, 95]], atol=1e-5)


def test_the_two_likeliest_are_compared_where_none_is_named(tiny: GPT2) -> None:
    trace = tiny.forward([3, 9, 27])
    order = np.argsort(-trace["logits"])
    found = effects(tiny, trace, "mlps", to="zero")
    assert (found.answer, found.against) == (order[0], order[1])
    assert found.without == pytest.approx(float(trace["logits"][order[0]] - trace["logits"][order[1]]), abs=1e-5)
    alone = effects(tiny, trace, "mlps", to="zero", answer=5)
    assert alone.against is None
    off = tiny.forward(trace.ids, interventions=[Set("blocks.0.mlp_out", 0)])
    assert alone.change[0] == pytest.approx(float(off["logits"][5] - trace["logits"][5]), abs=1e-5)


def test_means_are_over_every_token_of_a_text_a_line_at_a_time(storyteller: GPT2) -> None:
    text = "The cat sat.\n\nOnce upon a time"
    found = reference(storyteller, text, "two")
    traces = [storyteller.forward(storyteller.tokenizer.encode(line)) for line in ("The cat sat.", "Once upon a time")]
    assert found.n_tokens == sum(trace.n_tokens for trace in traces)
    for name in ("blocks.3.attn.z", "blocks.5.mlp_out", "blocks.0.mlp.post", "blocks.2.attn_out"):
        np.testing.assert_allclose(found.means[name], np.concatenate([trace[name] for trace in traces]).mean(axis=0), atol=1e-4)
    assert reference(storyteller, text, "two") is found


def test_the_shipped_text_is_read_once_and_named(storyteller: GPT2) -> None:
    trace = storyteller.forward(storyteller.prompt_ids("The key near the houses"))
    found = effects(storyteller, trace, "mlps", answer=" is", against=" are")
    assert found.to == "mean over tales"
    usual = reference(storyteller)
    assert usual.n_tokens == 16 * WINDOW
    assert reference(storyteller) is usual
    off = storyteller.forward(trace.ids, interventions=[Set("blocks.5.mlp_out", usual.means["blocks.5.mlp_out"])])
    a, b = (storyteller.tokenizer.encode(word)[0] for word in (" is", " are"))
    wanted = [float(each["logits"][a]) - float(each["logits"][b]) for each in (off, trace)]
    assert found.change[5] == pytest.approx(wanted[0] - wanted[1], abs=1e-4)


def test_means_that_nobody_waits_for_are_not_kept(storyteller: GPT2) -> None:
    with pytest.raises(Stopped):
        reference(storyteller, "A fox ran.", "fox", should_stop=lambda: True)
    assert reference(storyteller, "A fox ran.", "fox").n_tokens == 4


WRONG: dict[str, Callable[[GPT2, Trace], Effects]] = {
    "kind": lambda m, t: effects(m, t, "feet"),
    "text": lambda m, t: effects(m, t, "edges 5"),
    "neurons of all": lambda m, t: effects(m, t, "neurons"),
    "block": lambda m, t: effects(m, t, "neurons L2"),
    "head": lambda m, t: effects(m, t, "edges L0H3"),
    "row": lambda m, t: effects(m, t, "edges [3]"),
    "heads of a block": lambda m, t: effects(m, t, "heads L1"),
    "rows of a query": lambda m, t: effects(m, t, "rows [1]"),
    "no donor": lambda m, t: effects(m, t, "resid"),
    "neurons of a donor": lambda m, t: effects(m, t, "neurons L0", donor=t),
    "word": lambda m, t: effects(m, t, "heads", to="median"),
    "a mean edge": lambda m, t: effects(m, t, "edges", to="mean"),
    "pattern of another length": lambda m, t: effects(m, t, "pattern", donor=m.forward([1, 2])),
    "another shape": lambda m, t: effects(m, t, "z", donor=odd("swish").forward([1, 2, 3])),
    "itself": lambda m, t: effects(m, t, "mlps", to="zero", answer=5, against=5),
}


@pytest.mark.parametrize("ask", WRONG.values(), ids=WRONG)
def test_what_cannot_be_tried_is_said_in_a_sentence(tiny: GPT2, ask: Callable[[GPT2, Trace], Effects]) -> None:
    with pytest.raises(InterventionError, match=r"^\S.*\.$"):
        ask(tiny, tiny.forward([1, 2, 3]))


def test_a_token_that_is_none_and_another_models_trace_are_refused(tiny: GPT2) -> None:
    with pytest.raises(PromptError):
        effects(tiny, tiny.forward([1]), "mlps", to="zero", answer=61)
    with pytest.raises(ValueError, match="same model"):
        effects(tiny, odd("erf").forward([1]), "mlps", to="zero")
