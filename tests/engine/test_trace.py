"""Trace files: what goes in comes out, and what isn't a trace is refused in one sentence."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.ops import ACTIVATIONS
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.trace import Trace
from txexplain.errors import NotRecorded, TraceError
from txexplain.facts import head
from txexplain.facts.embed import nearest
from txexplain.facts.mlp import neurons
from txexplain.facts.residual import residual
from txexplain.text import visible

IDS = [7, 3, 3, 60, 0]


@pytest.fixture
def trace(tiny: GPT2) -> Trace:
    trace = tiny.forward(IDS, all_logits=True)
    assert trace is not None
    return trace


def test_save_and_load_keep_everything(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors")
    back = Trace.load(tmp_path / "t.safetensors")
    assert (back.ids, back.names, back.config, back.model, back.tokens) == (trace.ids, trace.names, trace.config, trace.model, trace.tokens)
    for name in trace.names:
        np.testing.assert_array_equal(back[name], trace[name], err_msg=name)
    np.testing.assert_array_equal(back.last_logits, trace["logits"][-1])


def test_the_library_reads_our_files(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors")
    tensors = load_file(tmp_path / "t.safetensors")
    assert tensors["ids"].dtype == np.int64
    assert tensors["ids"].tolist() == IDS
    assert all(array.dtype == np.float32 for name, array in tensors.items() if name != "ids")
    np.testing.assert_array_equal(tensors["blocks.1.attn.pattern"], trace["blocks.1.attn.pattern"])


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_get_the_users_umask(trace: Trace, tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        trace.save(tmp_path / "t.safetensors")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "t.safetensors").stat().st_mode) == 0o666 & ~umask
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]


def test_a_place_that_cannot_be_written_is_named(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        trace.save(tmp_path / "missing" / "t.safetensors")


def test_a_partial_trace_knows_what_it_lacks(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors", only=["blocks.1.resid_pre", "blocks.0.attn.pattern"])
    back = Trace.load(tmp_path / "t.safetensors")
    # What enters block 1 is what left block 0: recorded once, known under both names.
    assert back.names == ("blocks.0.attn.pattern", "blocks.0.resid_post", "blocks.1.resid_pre")
    assert "blocks.0.attn.q" not in back
    with pytest.raises(NotRecorded, match=re.escape("This run has no blocks.0.attn.q; record it with the trace, or run the model.")):
        back["blocks.0.attn.q"]
    assert back.get("blocks.0.attn.q") is None, "as of any Mapping"
    # What no run of this model has is no gap in a recording, but a mistake in the program.
    for name in ("blocks.0.attn.query", "blocks.2.attn.q", "blocks.0.embed", "attn.q", ""):
        with pytest.raises(KeyError, match="none of this model's activations") as wrong:
            back[name]
        assert not isinstance(wrong.value, NotRecorded), name
    alone = Trace(back.ids, {})
    with pytest.raises(NotRecorded):
        alone["blocks.40.attn.q"]


def broken(**changes: object) -> dict[str, np.ndarray]:
    pattern = np.tril(np.full((2, 3, 3), 0.5, dtype=np.float32))
    scores = np.where(np.tril(np.ones((3, 3))) > 0, 1.0, -np.inf).astype(np.float32) * np.ones((2, 1, 1), dtype=np.float32)
    good: dict[str, object] = {"ids": np.array([1, 2, 3]), "blocks.0.attn.pattern": pattern, "blocks.0.attn.attn_scores": scores}
    return {key: value for key, value in (good | changes).items() if value is not None}  # type: ignore[misc]


def low_inf() -> np.ndarray:
    scores = broken()["blocks.0.attn.attn_scores"].copy()
    scores[0, 2, 0] = -np.inf
    return scores


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": None}, "ids"),
        ({"ids": np.array([1, -2, 3])}, "ids"),
        ({"ids": np.array([1.0, 2.0, 3.0], dtype=np.float32)}, "ids"),
        ({"blocks.0.attn.pattern": np.zeros((2, 3, 4), dtype=np.float32)}, "blocks.0.attn.pattern is float32"),
        ({"blocks.0.attn.pattern": np.zeros((2, 3, 3), dtype=np.int32)}, "int32"),
        ({"blocks.0.attn.pattern": np.zeros((2, 2, 3, 3), dtype=np.float32)}, "a batch of 2 runs"),
        ({"blocks.0.attn.pattern": np.full((2, 3, 3), np.nan, dtype=np.float32)}, "pattern holds numbers that aren't finite"),
        ({"blocks.0.attn.attn_scores": low_inf()}, "attn_scores holds numbers that aren't finite"),
        ({"blocks.0.resid_mid": np.zeros((4, 6), dtype=np.float32)}, "resid_mid"),
        ({"logits": np.zeros((2, 9), dtype=np.float32)}, "logits"),
        ({"logits": np.zeros((3, 9, 1), dtype=np.float32)}, "logits"),
        ({"logits": np.zeros(3, dtype=np.float32)}, "token id 3, but its vocabulary has 3"),
        ({"blocks.0.attn.pattern": np.tril(np.full((2, 3, 3), 1.5, dtype=np.float32))}, "aren't shares"),
        ({"blocks.0.attn.pattern": np.tril(np.full((2, 3, 3), -0.5, dtype=np.float32))}, "aren't shares"),
        ({"blocks.0.attn.pattern": np.full((2, 3, 3), 0.3, dtype=np.float32)}, "aren't shares"),
        ({"blocks.1.attn.pattern": np.tril(np.full((3, 3, 3), 0.3, dtype=np.float32))}, "blocks.1.attn.pattern"),
        ({"blocks.0.attn.q": np.zeros((3, 3, 4), dtype=np.float32)}, "blocks.0.attn.q"),
        ({"blocks.123456.attn.pattern": np.zeros((2, 3, 3), dtype=np.float32)}, "of a block that its model doesn't have"),
        ({"ids": np.array([1, 2, 1 << 40])}, "no vocabulary"),
        ({"ids": np.arange(70_000) % 50}, "70000 tokens"),
    ],
)
def test_a_file_whose_parts_disagree_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    save_file(broken(**changes), tmp_path / "t.safetensors")
    with pytest.raises(TraceError) as caught:
        Trace.load(tmp_path / "t.safetensors")
    assert words in str(caught.value)
    assert "t.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata", [{"config": "{"}, {"config": json.dumps({"model_type": "bert"})}, {"tokens": "[1]"}, {"tokens": '["a"]'}]
)
def test_metadata_that_lies_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file(broken(), tmp_path / "t.safetensors", metadata=metadata)
    with pytest.raises(TraceError, match=r"config|tokens"):
        Trace.load(tmp_path / "t.safetensors")


def test_a_trace_without_metadata_opens(tmp_path: Path) -> None:
    save_file(broken(), tmp_path / "t.safetensors")
    trace = Trace.load(tmp_path / "t.safetensors")
    assert (trace.ids, trace.config, trace.tokens, trace.model) == ((1, 2, 3), None, None, "")


# Files from elsewhere


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"n_layer": 1}, "blocks.1"),
        ({"n_head": 4}, "attn"),
        ({"n_embd": 48}, "must be float32"),
        ({"vocab_size": 62}, "logits is float32 \\[5, 61\\]"),
        ({"vocab_size": 60}, "token id 60, but its vocabulary has 60"),
        ({"n_positions": 4}, "5 tokens, but its config says that the model reads at most 4"),
    ],
)
def test_tensors_that_their_config_contradicts_are_refused(trace: Trace, tmp_path: Path, config: dict[str, int], words: str) -> None:
    assert trace.config is not None
    tensors = {name: np.array(trace[name]) for name in trace.names} | {"ids": np.array(trace.ids)}
    save_file(tensors, tmp_path / "t.safetensors", metadata={"config": json.dumps(trace.config.to_dict() | config)})
    with pytest.raises(TraceError, match=words):
        Trace.load(tmp_path / "t.safetensors")


def test_nothing_raw_from_a_files_texts_reaches_a_screen(tmp_path: Path) -> None:
    metadata = {"tokens": json.dumps(["a\x1b[2J", "\ud800", ""]), "model": "m\x1b[2J\n" + "x" * 500}
    save_file(broken(), tmp_path / "t.safetensors", metadata=metadata)
    trace = Trace.load(tmp_path / "t.safetensors")
    assert trace.tokens == ("a␛[2J", "?", "⟨⟩")
    assert trace.model.isprintable()
    assert len(trace.model) <= 200


def test_what_was_displayed_once_is_displayed_alike() -> None:
    gpt2 = Tokenizer.gpt2()
    shown = [gpt2.display(i) for i in range(50257)]
    assert [text for text in shown if visible(text) != text] == []


def test_a_files_blank_token_can_be_seen(tmp_path: Path) -> None:
    """Who writes a trace with other software writes a token's own text: " ", not its sign."""
    save_file(broken(), tmp_path / "t.safetensors", metadata={"tokens": json.dumps([" ", "a ", " a"])})
    assert Trace.load(tmp_path / "t.safetensors").tokens == ("␣", "a␣", " a")


def load_part(trace: Trace, path: Path, names: list[str], **metadata: str) -> Trace:
    save_file({name: np.array(trace[name]) for name in names} | {"ids": np.array(trace.ids)}, path, metadata=metadata or None)
    return Trace.load(path)


def test_shares_follow_from_scores_and_scores_from_queries_and_keys(trace: Trace, tmp_path: Path) -> None:
    """What follows exactly is computed when a view asks; nothing else appears."""
    scores, pattern = "blocks.1.attn.attn_scores", "blocks.1.attn.pattern"
    result = Result(load_part(trace, tmp_path / "a", [scores]), None)
    assert result.trace.names == (scores, pattern)
    np.testing.assert_array_equal(result.trace[pattern], trace[pattern])
    assert trace.config is not None
    pair = ["blocks.1.attn.q", "blocks.1.attn.k"]
    result = Result(load_part(trace, tmp_path / "b", pair, config=json.dumps(trace.config.to_dict())), None)
    assert result.trace.names == (*pair, scores, pattern)
    np.testing.assert_allclose(result.trace[scores], trace[scores], rtol=1e-6)
    np.testing.assert_allclose(result.trace[pattern], trace[pattern], rtol=1e-5)
    assert Result(load_part(trace, tmp_path / "c", pair), None).trace.names == tuple(pair), "without a config nobody knows the scale"
    assert Trace.load(tmp_path / "a").names == (scores,), "the file's own trace holds what was recorded"


def test_scores_recorded_before_the_mask_give_the_same_shares(trace: Trace, tmp_path: Path) -> None:
    scores = np.where(np.isfinite(trace["blocks.1.attn.attn_scores"]), trace["blocks.1.attn.attn_scores"], np.float32(9))
    save_file({"ids": np.array(trace.ids), "blocks.1.attn.attn_scores": scores}, tmp_path / "t")
    result = Result(Trace.load(tmp_path / "t"), None)
    np.testing.assert_array_equal(result.trace["blocks.1.attn.pattern"], trace["blocks.1.attn.pattern"])


def test_without_a_config_the_sizes_are_those_that_the_tensors_tell(trace: Trace, tmp_path: Path) -> None:
    few = Result(load_part(trace, tmp_path / "a", ["blocks.1.attn.pattern", "logits"]), None)
    assert (few.config.n_layer, few.config.n_head, few.config.vocab_size) == (2, 3, 61)
    assert (few.known, few.head_dim) == ({"n_head", "vocab_size"}, None)
    more = Result(load_part(trace, tmp_path / "b", ["blocks.0.attn.v", "blocks.0.mlp.pre"]), None)
    assert (more.config.n_head, more.config.n_embd, more.config.n_inner, more.head_dim) == (3, 24, 96, 8)
    assert Result(load_part(trace, tmp_path / "c", ["logits"]), None).config.vocab_size == 61
    whole = Result(trace, None)
    assert (whole.known, whole.trace) == (None, trace)


def test_a_whole_run_without_its_config_has_the_blocks_that_it_has(trace: Trace, tmp_path: Path) -> None:
    """What left the last block enters no other."""
    result = Result(load_part(trace, tmp_path / "a", list(trace.names)), None)
    assert result.config.n_layer == 2
    assert result.trace.names == trace.names
    assert len(residual(result, 2).parts) == 2 + 2 * 2


@pytest.mark.parametrize("factor", [1.0, 0.25, 0.144])
def test_the_scale_of_a_run_without_its_config_is_the_one_of_its_scores(trace: Trace, tmp_path: Path, factor: float) -> None:
    tensors = {f"blocks.1.attn.{name}": np.array(trace[f"blocks.1.attn.{name}"]) for name in ("q", "k", "pattern")}
    raw = tensors["blocks.1.attn.q"].transpose(1, 0, 2) @ tensors["blocks.1.attn.k"].transpose(1, 2, 0)
    scores = np.where(np.tri(len(IDS), dtype=bool), raw * np.float32(factor), -np.inf).astype(np.float32)
    save_file(tensors | {"ids": np.array(IDS), "blocks.1.attn.attn_scores": scores}, tmp_path / "t")
    result = Result(Trace.load(tmp_path / "t"), None)
    assert result.scale(1) == pytest.approx(factor, rel=1e-5)
    low = np.tril_indices(len(IDS))
    np.testing.assert_allclose(head.grid(result, 1, 2, "scaled")[low], scores[2][low], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spoil", ["no scores", "a scale a head", "no keys at all"])
def test_a_scale_that_nothing_tells_is_not_guessed(trace: Trace, tmp_path: Path, spoil: str) -> None:
    tensors = {f"blocks.1.attn.{name}": np.array(trace[f"blocks.1.attn.{name}"]) for name in ("q", "k", "pattern", "attn_scores")}
    if spoil == "no scores":
        del tensors["blocks.1.attn.attn_scores"]
    elif spoil == "a scale a head":
        tensors["blocks.1.attn.attn_scores"][1] *= 2
    else:
        tensors["blocks.1.attn.k"][:] = 0
    save_file(tensors | {"ids": np.array(IDS)}, tmp_path / "t")
    result = Result(Trace.load(tmp_path / "t"), None)
    assert result.scale(1) is None
    assert head.has_stage(result, 1, 0, "qk")
    assert not head.has_stage(result, 1, 0, "scaled")
    with pytest.raises(NotRecorded, match="attn_scores"):
        head.grid(result, 1, 0, "scaled")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activation_of_a_run_without_its_config_is_the_one_of_its_neurons(trace: Trace, tmp_path: Path, name: str) -> None:
    pre = np.random.default_rng(2).normal(0, 2, (len(IDS), 96)).astype(np.float32)
    for post, told in ((ACTIVATIONS[name](pre), ACTIVATIONS[name]), (pre * np.float32(0.5), None)):
        save_file({"ids": np.array(IDS), "blocks.0.mlp.pre": pre, "blocks.0.mlp.post": post.astype(np.float32)}, tmp_path / "t")
        found = Result(Trace.load(tmp_path / "t"), None).activation
        assert (found is None) == (told is None)
        if found is not None:  # some names have one formula, and gelu_10 is gelu for numbers below 10
            np.testing.assert_array_equal(ACTIVATIONS[found](pre), post)
    assert Result(load_part(trace, tmp_path / "a", ["blocks.0.mlp.post"]), None).activation is None


def test_with_a_config_nothing_is_looked_for(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t", only=["embed"])
    result = Result(Trace.load(tmp_path / "t"), None)
    assert (result.scale(1), result.activation, result.epsilon) == (pytest.approx(8**-0.5), "gelu_new", 1e-5)
    assert Result(load_part(trace, tmp_path / "a", ["embed"]), None).epsilon is None


def test_a_transformerlens_cache_is_a_trace(trace: Trace, tmp_path: Path) -> None:
    """Its names have hook_ before the last word, and its tensors a batch of one."""
    hooked = {"hook_embed": "embed", "hook_pos_embed": "pos_embed", "ln_final.hook_normalized": "ln_final.normalized", "logits": "logits"}
    for layer in range(2):
        for name in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"):
            hooked[f"blocks.{layer}.hook_{name}"] = f"blocks.{layer}.{name}"
        for part, names in (("ln1", "scale normalized"), ("attn", "q k v z attn_scores pattern"), ("mlp", "pre post")):
            hooked |= {f"blocks.{layer}.{part}.hook_{name}": f"blocks.{layer}.{part}.{name}" for name in names.split()}
    tensors = {hook: np.array(trace[name])[None] for hook, name in hooked.items()} | {"ids": np.array([IDS])}
    save_file(tensors, tmp_path / "t")
    back = Trace.load(tmp_path / "t")
    assert back.ids == trace.ids
    assert set(hooked.values()) <= set(back.names)
    for name in back.names:
        np.testing.assert_array_equal(back[name], trace[name], err_msg=name)


def test_a_tensor_with_and_without_its_hook_is_refused(trace: Trace, tmp_path: Path) -> None:
    save_file({"ids": np.array(IDS), "embed": trace["embed"], "hook_embed": np.array(trace["embed"])}, tmp_path / "t")
    with pytest.raises(TraceError, match="two names of one tensor"):
        Trace.load(tmp_path / "t")


def test_a_tensor_under_both_its_names_must_be_one(trace: Trace, tmp_path: Path) -> None:
    """What left block 0 is what enters block 1: a file that says otherwise would show either, and nobody knew which."""
    stream = trace["blocks.0.resid_post"]
    for entered, opens in ((stream, True), (stream + np.float32(1e-3), False)):
        save_file({"ids": np.array(IDS), "blocks.0.resid_post": stream, "blocks.1.resid_pre": entered}, tmp_path / "t.safetensors")
        if opens:
            np.testing.assert_array_equal(Trace.load(tmp_path / "t.safetensors")["blocks.1.resid_pre"], stream)
        else:
            with pytest.raises(TraceError, match=r"blocks\.1\.resid_pre, with other numbers"):
                Trace.load(tmp_path / "t.safetensors")


@pytest.mark.parametrize("largest", [1e9, -1e9])
def test_numbers_up_to_a_bound_are_shown_right_and_larger_ones_refused(trace: Trace, tmp_path: Path, largest: float) -> None:
    """Of numbers within the bound the cube, and a sum of squares, is a finite float32."""
    stream = trace["blocks.0.mlp.pre"].copy()
    stream[-1, 0] = largest
    assert np.isfinite((stream[-1] ** 3).sum())
    save_file({"ids": np.array(IDS), "blocks.0.mlp.pre": stream}, tmp_path / "t.safetensors")
    assert Trace.load(tmp_path / "t.safetensors")["blocks.0.mlp.pre"][-1, 0] == np.float32(largest)
    stream[-1, 0] *= 1.01
    save_file({"ids": np.array(IDS), "blocks.0.mlp.pre": stream}, tmp_path / "t.safetensors")
    with pytest.raises(TraceError, match="number of size"):
        Trace.load(tmp_path / "t.safetensors")


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-38])
def test_a_scale_that_no_layernorm_has_is_refused(trace: Trace, tmp_path: Path, scale: float) -> None:
    scales = trace["blocks.0.ln1.scale"].copy()
    assert scales.min() > 0
    scales[1] = scale
    save_file({"ids": np.array(IDS), "blocks.0.ln1.scale": scales, "embed": trace["embed"]}, tmp_path / "t.safetensors")
    with pytest.raises(TraceError, match="LayerNorm's scales"):
        Trace.load(tmp_path / "t.safetensors")


def test_scores_above_the_diagonal_may_be_a_masks_lowest(trace: Trace, tmp_path: Path) -> None:
    scores = trace["blocks.0.attn.attn_scores"].copy()
    scores[np.isneginf(scores)] = np.finfo(np.float32).min
    save_file({"ids": np.array(IDS), "blocks.0.attn.attn_scores": scores}, tmp_path / "t.safetensors")
    np.testing.assert_array_equal(Trace.load(tmp_path / "t.safetensors")["blocks.0.attn.attn_scores"], scores)


def both(*work: Callable[[], object]) -> list[object]:
    """Run each in a thread of its own, all at once; raises what the first that failed raised."""
    with ThreadPoolExecutor(len(work)) as threads:
        return [future.result() for future in [threads.submit(one) for one in work]]


def test_two_threads_may_look_at_what_neither_has_computed_yet(trace: Trace) -> None:
    """Where both get in, they meet inside; where one waits for the other, the meeting breaks off and it goes on alone."""
    meeting, made = threading.Barrier(2, timeout=0.2), []

    def make() -> np.ndarray:
        with suppress(threading.BrokenBarrierError):
            meeting.wait()
        made.append(np.full(3, len(made), dtype=np.float32))
        return made[-1]

    whole = Trace(trace.ids, {}).completed({"embed": make})
    one, other = both(lambda: whole["embed"], lambda: whole["embed"])
    assert one is not None
    np.testing.assert_array_equal(one, other)
    assert len(made) == 1, "computed once"


def test_a_trace_can_be_walked_over_while_another_thread_looks_at_its_tensors(trace: Trace) -> None:
    wanted = tuple(f"blocks.{layer}.attn.z" for layer in range(300))

    def look(whole: Trace) -> None:
        for name in wanted:
            whole[name]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            whole = Trace(trace.ids, {}).completed({name: lambda: np.zeros(1, dtype=np.float32) for name in wanted})
            _, names, rows = both(partial(look, whole), lambda whole=whole: whole.names, lambda whole=whole: whole.rows(1))
            assert names == wanted
            assert set(rows) <= set(wanted)  # type: ignore[call-overload]
    finally:
        sys.setswitchinterval(interval)


def test_two_threads_get_the_answers_to_their_own_questions(trace: Trace, tiny: GPT2) -> None:
    result = Result(trace, tiny)
    heads = [head.raw(result, 0, which) for which in range(2)]
    orders = [neurons(result, 0, token, "pre").order for token in range(2)]
    near = [nearest(result, id) for id in range(2)]

    def ask(which: int) -> None:
        for _ in range(300):
            np.testing.assert_array_equal(head.raw(result, 0, which), heads[which])
            assert neurons(result, 0, which, "pre").order == orders[which]
            assert nearest(result, which) == near[which]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        both(lambda: ask(0), lambda: ask(1))
    finally:
        sys.setswitchinterval(interval)
