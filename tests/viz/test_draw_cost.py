"""What a draw computes: large products are made once a run, never at each draw, which the reader would feel at every key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.covering import in_turn
from tests.viz.conftest import TINY_IDS
from tests.viz.reading import scene_at
from tests.viz.test_views import PLACES
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.viz.live import fill
from txexplain.viz.screen import paint_screen


class Counted(np.ndarray):
    """An array that notes every computation in which it takes part whole; its slices are none of it."""

    whole: int = 1 << 62  # elements
    done: list[str]

    def __array_finalize__(self, origin: Any) -> None:
        self.whole, self.done = getattr(origin, "whole", self.whole), getattr(origin, "done", [])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        counted = [each for each in inputs if isinstance(each, Counted)]
        note(counted, ufunc.__name__)
        options = {name: tuple(map(plain, each)) if isinstance(each, tuple) else plain(each) for name, each in options.items()}
        found = getattr(ufunc, method)(*map(plain, inputs), **options)
        return watched(found, counted[0].whole, counted[0].done) if counted and isinstance(found, np.ndarray) else found

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        if function in (np.einsum, np.dot, np.tensordot):
            note([each for each in args if isinstance(each, Counted)], function.__name__)
        return super().__array_function__(function, types, args, options)


def note(operands: list[Counted], name: str) -> None:
    """One computation is one, though two of its operands be whole."""
    for each in operands:
        if each.size >= each.whole:
            each.done.append(name)
            return


def plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Counted) else value


def watched(array: np.ndarray, whole: int, done: list[str]) -> Counted:
    view = array.view(Counted)
    view.whole, view.done = whole, done
    return view


@pytest.fixture
def products() -> list[str]:
    """The computations with the whole of wte or of another matrix of weights, or with all of a block's patterns or scores, H × T²."""
    return []


@pytest.fixture
def result(tiny: GPT2, tiny_result: Result, products: list[str]) -> Result:
    config, n = tiny.config, len(TINY_IDS)
    model = copy.copy(tiny)
    wte = watched(tiny.weights["wte.weight"], config.vocab_size * config.n_embd, products)
    model.__dict__.pop("row_lengths", None)
    model.blocks = [
        {name: watched(array, array.size, products) if array.ndim == 2 else array for name, array in block.items()} for block in tiny.blocks
    ]
    model.weights, model.unembedding = {**tiny.weights, "wte.weight": wte}, wte
    parts = {name: tiny_result.trace[name] for name in tiny_result.trace.names}
    squares = {
        name: watched(array, config.n_head * n * n, products) for name, array in parts.items() if name.endswith(("pattern", "attn_scores"))
    }
    whole = {name: (array,) for name, array in (parts | squares).items()}
    return Result(Trace(TINY_IDS, whole, config=config, model="counted", tokens=None, origin=model), model)


ALL = (*PLACES, *(f"L1[{tile}]" for tile in ("qkv", "fc", "act", "out")), "L1.attn[1]", "L0H2:values")


@pytest.mark.parametrize(("size", "odd"), in_turn([(120, 36), (200, 60)], [0, 1]), ids=str)
def test_a_second_draw_makes_no_large_product(result: Result, products: list[str], size: tuple[int, int], odd: int) -> None:
    for at in ALL[odd::2]:
        scene = replace(scene_at(result, at, size), side="explain")
        paint_screen(scene)
        products.clear()
        paint_screen(replace(scene, candidate=1))
        paint_screen(replace(scene, pane="panel"))
        assert products == [], at


def test_the_nearest_tokens_of_another_token_take_one_product(result: Result, products: list[str]) -> None:
    def drawn(token: int) -> list[str]:
        scene = replace(scene_at(result, f"embed:nearest@{token}", (120, 36)), side="explain")
        products.clear()
        paint_screen(scene)
        return list(products)

    assert drawn(0) == ["vecdot", "matmul"]  # the rows' lengths are the model's own, whatever the token
    assert drawn(1) == ["matmul"]
    assert drawn(1) == []


def test_a_page_that_is_drawn_again_makes_no_large_product(result: Result, products: list[str]) -> None:
    scene = scene_at(result, "model", (120, 36))
    text = "{bits 3} {share previous} {strongest L1H0 5} {norm L1 2}"
    first = fill(text, scene)
    assert products
    products.clear()
    assert fill(text, scene) == first
    assert products == []
