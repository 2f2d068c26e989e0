"""The ribbons in words: what `describe` says of the model view is what the picture shows."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.viz.reading import scene_at, shows_percent
from txexplain.engine.derive import Result
from txexplain.viz.describe import describe

BLOCK = re.compile(r"^L(\d+) +(\S.*?)  +(\d+ '.*)$", re.MULTILINE)
MOVE = re.compile(r"(\d+) '[^']*' → (\d+) '[^']*' (\S+%)")
HELD = re.compile(r"(?:(\d+) '[^']*'|others) (\S+%)")


@pytest.mark.parametrize("flow", ["norms", "rollout"])
@pytest.mark.parametrize("token", [3, 6])
def test_each_blocks_shares_are_those_that_the_ribbons_trace(result: Result, token: int, flow: str) -> None:
    text = describe(scene_at(result, f"model@{token}", (80, 24), flow=flow)).partition("Where it came from")[2]
    shares = result.flow(flow)
    held = np.eye(len(result.trace.ids))[token]  # behind the last block
    blocks = {int(found[1]): found for found in BLOCK.finditer(text)}
    assert sorted(blocks) == list(range(result.config.n_layer))
    for layer in reversed(range(result.config.n_layer)):
        moved = held[:, None] * shares[layer]  # [T, T]: into a token, from a token
        told = MOVE.findall(blocks[layer][2])
        for source, target, share in told:
            assert source != target
            assert shows_percent(share, moved[int(target), int(source)])
        if told:
            assert shows_percent(told[0][2], float(np.max(moved - np.diag(np.diag(moved))))), "the largest comes first"
        held = moved.sum(axis=0)
        said = HELD.findall(blocks[layer][3])
        assert {int(at) for at, _ in said if at} == set(np.flatnonzero(held >= 0.02).tolist())
        for at, share in said:
            assert shows_percent(share, held[int(at)] if at else held[held < 0.02].sum())


def test_where_the_ribbons_cannot_be_traced_the_words_say_what_lacks(tiny_result: Result) -> None:
    bare = Result(tiny_result.trace, None)
    scene = replace(scene_at(tiny_result, "model", (80, 24)), shown=bare, ribbons=None)
    assert "Where it came from: not recorded: the model's weights." in describe(scene)
    assert "Where it came from" not in describe(scene_at(tiny_result, "L1", (80, 24)))
