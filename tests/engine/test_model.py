"""forward's contract: prefixes, stopping, what it refuses, what it never changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.engine.interventions import Set
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace, activation_names, expected_shapes
from txexplain.errors import NonFinite, PromptError

IDS = [7, 3, 3, 60, 0, 12, 41, 9, 9, 5]
prompts = st.lists(st.integers(0, 60), min_size=1, max_size=16)


def run(model: GPT2, ids: list[int], **options: object) -> Trace:
    trace = model.forward(ids, **options)  # type: ignore[arg-type]
    assert trace is not None
    return trace


def assert_same(a: Trace, b: Trace) -> None:
    assert a.ids == b.ids
    assert a.names == b.names
    for name in a.names:
        np.testing.assert_allclose(
            a[name], b[name], rtol=1e-5, atol=1e-5 * float(np.abs(b[name][np.isfinite(b[name])]).max()), err_msg=name
        )


def test_every_activation_is_there_read_only_and_of_its_shape(tiny: GPT2) -> None:
    trace = run(tiny, IDS)
    assert list(trace.names) == activation_names(2)
    for name, shape in expected_shapes(tiny.config, len(IDS)).items():
        assert trace[name].shape == shape, name
        assert trace[name].dtype == np.float32, name
        with pytest.raises(ValueError, match="read-only"):
            trace[name][...] = 0
    assert trace["logits"].shape == (61,)
    assert run(tiny, IDS, all_logits=True)["logits"].shape == (10, 61)


def test_the_weights_are_read_only(tiny: GPT2) -> None:
    assert all(not array.flags.writeable for array in tiny.weights.values())


@examples(60)
@given(prompts, prompts)
def test_a_prefix_changes_nothing_but_the_time(tiny: GPT2, a: list[int], b: list[int]) -> None:
    fresh = run(tiny, b)
    assert_same(run(tiny, b, prefix=run(tiny, a)), fresh)
    grown = run(tiny, b[:1])
    for n in range(2, len(b) + 1):
        grown = run(tiny, b[:n], prefix=grown)
    assert_same(grown, fresh)


def test_older_traces_never_change(tiny: GPT2) -> None:
    first = run(tiny, IDS[:4])
    before = {name: first[name].copy() for name in first.names}
    longer = run(tiny, IDS[:6], prefix=first)
    branch = run(tiny, [*IDS[:4], 1, 2, 3], prefix=first)  # the same free rows, wanted twice
    edited = run(tiny, [*IDS[:2], 1], prefix=longer)
    for name, array in before.items():
        np.testing.assert_array_equal(first[name], array)
    for trace in (longer, branch, edited):
        assert_same(trace, run(tiny, list(trace.ids)))


def test_appending_a_token_copies_no_row_of_the_past(tiny: GPT2) -> None:
    first = run(tiny, IDS[:4])
    longer = run(tiny, IDS[:5], prefix=first)
    shared = [
        name for name in first.names if name != "logits" and np.shares_memory(first._parts[_own(name)][0], longer._parts[_own(name)][0])
    ]
    assert shared == [name for name in first.names if name != "logits"]


def _own(name: str) -> str:
    from txexplain.engine.trace import canonical

    return canonical(name)


def test_a_prefix_that_is_longer_or_equal_runs_no_block(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tiny, IDS)
    fresh = run(tiny, IDS[:6])
    monkeypatch.setattr("txexplain.engine.model.gpt2", None)
    assert_same(run(tiny, IDS[:6], prefix=whole), fresh)


def test_a_prefix_of_another_model_is_refused(tiny: GPT2, storyteller: GPT2) -> None:
    with pytest.raises(ValueError, match="same model"):
        tiny.forward(IDS, prefix=run(storyteller, IDS))


def test_should_stop_is_asked_before_each_block_and_ends_the_run(tiny: GPT2) -> None:
    asked: list[int] = []
    assert tiny.stoppable_forward(IDS, should_stop=lambda: bool(asked.append(0))) is not None
    assert len(asked) == 2
    start = run(tiny, IDS[:4])
    assert tiny.stoppable_forward(IDS, prefix=start, should_stop=lambda: True) is None
    again = run(tiny, IDS, prefix=start)
    assert again.kv_cache is start.kv_cache  # a stopped run gives its rows back
    assert_same(again, run(tiny, IDS))


def test_attention_never_looks_ahead(tiny: GPT2) -> None:
    trace = run(tiny, IDS)
    future = np.triu(np.ones((10, 10), dtype=bool), 1)
    for layer in range(2):
        scores, pattern = trace[f"blocks.{layer}.attn.attn_scores"], trace[f"blocks.{layer}.attn.pattern"]
        assert (scores[:, future] == -np.inf).all()
        assert np.isfinite(scores[:, ~future]).all()
        assert (pattern[:, future] == 0).all()
        np.testing.assert_allclose(pattern.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], ["no token ids"]),
        ([61], ["61", "0 to 60"]),
        ([3, -1], ["-1"]),
        (list(range(17)), ["17 tokens", "at most 16", "shorten it by 1"]),
    ],
)
def test_ids_that_do_not_fit_are_refused_in_one_sentence(tiny: GPT2, ids: list[int], words: list[str]) -> None:
    with pytest.raises(PromptError) as caught:
        tiny.forward(ids)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "first"),
    [
        ("wte.weight", "embed"),
        ("wpe.weight", "pos_embed"),
        ("h.0.ln_1.bias", "blocks.0.ln1.normalized"),
        ("h.0.attn.c_attn.bias", "blocks.0.attn.q"),
        ("h.1.attn.c_proj.weight", "blocks.1.attn_out"),
        ("h.1.mlp.c_fc.bias", "blocks.1.mlp.pre"),
        ("ln_f.bias", "ln_final.normalized"),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_where_it_first_appears(tiny: GPT2, weight: str, first: str, bad: float) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    tensors[weight] = np.full_like(tensors[weight], bad)
    broken = GPT2(SimpleNamespace(config=tiny.config, tensors=tensors), tiny.tokenizer, "broken")  # type: ignore[arg-type]
    with pytest.raises(NonFinite, match=rf"broken .* in {first}[ :]"):
        broken.forward(IDS)


@pytest.mark.parametrize(
    ("weight", "row", "said"),
    [
        ("wte.weight", 17, r"in logits: its weight wte\.weight\[17, 2\], of token 17 \(#17\) isn't finite; fetch or save"),
        ("wte.weight", 0, r"its weight wte\.weight\[0, 2\], of token 0 \(#0\) isn't"),
        ("wpe.weight", 1, r"in pos_embed at token 1: its weight wpe\.weight\[1, 2\], of position 1 isn't finite"),
        ("h.1.mlp.c_fc.weight", 3, r"its weight h\.1\.mlp\.c_fc\.weight\[3, 2\] isn't finite"),
    ],
)
def test_the_weight_that_is_not_finite_is_named(tiny: GPT2, weight: str, row: int, said: str) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    tensors[weight] = np.array(tensors[weight])
    tensors[weight][row, 2] = np.nan
    broken = GPT2(SimpleNamespace(config=tiny.config, tensors=tensors), tiny.tokenizer, "broken")  # type: ignore[arg-type]
    with pytest.raises(NonFinite, match=said):
        broken.forward(IDS)


def test_where_weights_are_finite_what_was_changed_is_at_fault(tiny: GPT2) -> None:
    with pytest.raises(NonFinite, match="its weights are finite, but what was changed in the run is far too large"):
        tiny.forward(IDS, interventions=[Set("embed", 1e30)])


def test_an_overflow_that_later_steps_would_hide_is_found(storyteller: GPT2, tiny: GPT2) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    dh, d = tiny.config.head_dim, tiny.config.n_embd
    bias = np.zeros(3 * d, dtype=np.float32)
    bias[:dh], bias[d : d + dh] = 1e30, -1e30  # q · k of head 0 is −inf everywhere it isn't masked
    tensors["h.0.attn.c_attn.bias"] = bias
    broken = GPT2(SimpleNamespace(config=tiny.config, tensors=tensors), tiny.tokenizer, "broken")  # type: ignore[arg-type]
    with pytest.raises(NonFinite, match=r"blocks\.0\.attn\.attn_scores"):
        broken.forward(IDS)


@pytest.mark.parametrize(("weight", "first"), [("wte.weight", "embed"), ("h.0.attn.c_proj.bias", "blocks.0.ln2.scale")])
def test_a_spread_beyond_float32_which_division_would_hide_is_found(tiny: GPT2, weight: str, first: str) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    shape = tensors[weight].shape
    tensors[weight] = np.where(np.arange(shape[-1]) % 2, np.float32(1e25), np.float32(-1e25)) * np.ones(shape, dtype=np.float32)
    broken = GPT2(SimpleNamespace(config=tiny.config, tensors=tensors), tiny.tokenizer, "broken")  # type: ignore[arg-type]
    with pytest.raises(NonFinite, match=rf"{first}[ :]"):
        broken.forward(IDS)


def test_an_infinite_input_that_the_activation_would_hide_is_found(tiny: GPT2) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    tensors["h.1.mlp.c_fc.bias"] = np.full_like(tensors["h.1.mlp.c_fc.bias"], -np.inf)
    config = dataclasses.replace(tiny.config, activation_function="relu")
    broken = GPT2(SimpleNamespace(config=config, tensors=tensors), tiny.tokenizer, "broken")  # type: ignore[arg-type]
    with pytest.raises(NonFinite, match=r"blocks\.1\.mlp\.pre"):
        broken.forward(IDS)


@pytest.mark.parametrize(("weight", "first"), [
    ("wpe.weight", "pos_embed"), ("h.0.attn.c_attn.bias", r"blocks.0.attn.q"), ("h.1.mlp.c_proj.bias", "blocks.1.mlp_out"),
])  # fmt: skip
def test_a_number_whose_square_would_overflow_in_a_view_is_refused(tiny: GPT2, weight: str, first: str) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    tensors[weight] = tensors[weight] + np.float32(1e12)
    broken = GPT2(SimpleNamespace(config=tiny.config, tensors=tensors), tiny.tokenizer, "broken")  # type: ignore[arg-type]
    with pytest.raises(NonFinite, match=rf"size 1e\+\d+ in {first}: "):
        broken.forward(IDS)


def test_large_numbers_that_a_model_may_have_are_taken(tiny: GPT2) -> None:
    from types import SimpleNamespace

    tensors = dict(tiny.checkpoint.tensors)
    tensors["h.0.mlp.c_proj.bias"] = tensors["h.0.mlp.c_proj.bias"] + np.float32(1e8)
    large = GPT2(SimpleNamespace(config=tiny.config, tensors=tensors), tiny.tokenizer, "large")  # type: ignore[arg-type]
    assert large.forward(IDS) is not None


def test_an_empty_prompt_is_the_start_token(storyteller: GPT2) -> None:
    assert storyteller.prompt_ids("") == [50256]
    assert storyteller.prompt_ids("Once upon") == [7454, 2402]


def test_a_lack_of_memory_is_said_and_the_next_run_is_whole(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    start = run(tiny, IDS[:4])
    with monkeypatch.context() as patch:
        patch.setattr("txexplain.engine.model.gpt2", fails)
        with pytest.raises(PromptError, match="too little memory for 10 tokens"):
            tiny.forward(IDS, prefix=start)
    assert_same(run(tiny, IDS, prefix=start), run(tiny, IDS))


@pytest.mark.parametrize("ids", ["text", [1.5], [1, "2"], [None], [[1, 2], [3, 4]]])
def test_what_is_no_list_of_whole_numbers_is_said(tiny: GPT2, ids: Any) -> None:
    with pytest.raises(PromptError, match="whole numbers"):
        tiny.forward(ids)
