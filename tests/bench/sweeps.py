"""What sweeps of effects cost, beside the same cells by full passes of TransformerLens 4 on the same weights, threads and tokens."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from txexplain.engine.effects import Effects, effects
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace

TOKENS = 15
REPEATS = 3
PASSES = 6  # of theirs that are timed, evenly spread over the cells; the sweep takes as much for each of the others
Peer = Callable[[str, tuple[int, ...], Effects], float]


def sweeps(rows: list[dict[str, Any]], model: GPT2, folder: Path, name: str) -> None:
    """One model's rows of the table: the ones that the issue bounds, and what else a screen asks for."""
    rng = np.random.default_rng(3)
    ids, others = (rng.integers(1000, 20000, TOKENS).tolist() for _ in range(2))
    trace, donor = model.forward(ids), model.forward(others)
    peer = transformer_lens(folder, ids, donor)
    pass_ms = 1000 * statistics.median(taken(lambda: model.forward(ids)) for _ in range(2 * REPEATS))
    rows.append({"what": f"{name}, one pass, T = {TOKENS}", "ms": pass_ms})
    for what, of, given in (
        ("all heads", "heads", {"to": "zero"}),
        ("layer × row patches", "resid", {"donor": donor}),
        ("all edges", "edges", {}),
        ("all MLPs", "mlps", {"to": "zero"}),
        ("patterns patched", "pattern", {"donor": donor}),
    ):
        rows.append(compared(f"{name}, {what}", lambda of=of, given=given: effects(model, trace, of, **given), of, peer, pass_ms))
    if peer is None:
        rows.append({"what": "TransformerLens", "against": "isn't installed: left out"})


def taken(call: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compared(what: str, sweep: Callable[[], Effects], of: str, peer: Peer | None, pass_ms: float) -> dict[str, Any]:
    """A sweep beside theirs, in turn. Raises AssertionError where both find different effects."""
    found = sweep()
    cells = [cell for cell in np.ndindex(*found.change.shape) if not np.isnan(found.change[cell])]
    ours, ratios = [], []
    for _ in range(REPEATS):
        ours.append(taken(sweep))
        if peer is not None and of != "pattern":
            chosen = cells[:: max(1, len(cells) // PASSES)]
            theirs = taken(lambda chosen=chosen: [peer(of, cell, found) for cell in chosen]) / len(chosen) * found.total
            ratios.append(theirs / ours[-1])
    ms = 1000 * statistics.median(ours)
    row = {"what": what, "cells": found.total, "ms": ms, "passes": ms / pass_ms}
    return row | ({"faster": statistics.median(ratios), "least": min(ratios), "most": max(ratios)} if ratios else {})


def transformer_lens(folder: Path, ids: list[int], donor: Trace) -> Peer | None:
    """A full pass of TransformerLens's bridge with one cell changed, held to what our sweep found there; None where it isn't installed."""
    try:
        import torch
        from tokenizers import Tokenizer, models
        from transformer_lens.model_bridge import TransformerBridge
        from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast
    except ImportError:
        return None
    words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))  # it asks the network for one otherwise
    theirs = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval().float()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="a", unk_token="a", pad_token="a")
    bridge = TransformerBridge.boot_transformers(str(folder), hf_model=theirs, tokenizer=tokenizer)
    tokens, blocks = torch.tensor([ids]), range(theirs.config.n_layer)
    streams = [torch.tensor(donor[f"blocks.{layer}.resid_pre"]) for layer in blocks]

    def setting(where: Any, value: Any) -> Callable[..., Any]:
        def hook(tensor: Any, hook: Any) -> Any:
            tensor[where] = value
            return tensor

        return hook

    def hooks(of: str, cell: tuple[int, ...]) -> list[tuple[str, Any]]:
        all_ = slice(None)
        if of == "heads":
            return [(f"blocks.{cell[0]}.attn.hook_z", setting((all_, all_, cell[1]), 0))]
        if of == "mlps":
            return [(f"blocks.{cell[0]}.hook_mlp_out", setting(all_, 0))]
        if of == "resid":
            return [(f"blocks.{cell[0]}.hook_resid_pre", setting((all_, cell[1]), streams[cell[0]][cell[1]]))]
        return [(f"blocks.{layer}.attn.hook_attn_scores", setting((all_, all_, *cell), -torch.inf)) for layer in blocks]

    def run(of: str, cell: tuple[int, ...], found: Effects) -> float:
        with torch.no_grad():
            logits = bridge.run_with_hooks(tokens, fwd_hooks=hooks(of, cell))[0, -1]
        change = float(logits[found.answer] - logits[found.against]) - found.without
        # A row whose only edge is cut holds zeros with us; their mask is a finite number, and it attends to what comes later.
        assert (of == "edges" and cell == (0, 0)) or abs(change - found.change[cell]) < 1e-2, f"{of} {cell}: {change}, {found.change[cell]}"
        return change

    return run
