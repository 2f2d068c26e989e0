"""The table of steps says what the model's page does: held to the source itself, line by line."""

from __future__ import annotations

import ast
import inspect

from txexplain.engine import gpt2
from txexplain.engine.model import GPT2
from txexplain.engine.steps import STEPS, WEIGHTS, activation_letters, sizes, weight_letters


def keys(node: ast.AST, of: str) -> set[str]:
    """The names under which a statement looks something up in `of`."""
    return {
        str(each.slice.value)
        for each in ast.walk(node)
        if isinstance(each, ast.Subscript)
        and isinstance(each.value, ast.Name)
        and each.value.id == of
        and isinstance(each.slice, ast.Constant)
    }


def test_the_table_is_the_page() -> None:
    body = ast.parse(inspect.getsource(gpt2.block)).body[0]
    assert isinstance(body, ast.FunctionDef)
    found, written = {}, (set(), set())  # what was written to the cache, from what
    for line in body.body:
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call):
            written = keys(line, "a"), keys(line, "w")
        if isinstance(line, ast.Assign) and (made := keys(line.targets[0], "a")):
            cached = "cache" in {each.id for each in ast.walk(line.value) if isinstance(each, ast.Name)} and not keys(line.value, "a")
            reads, weights = written if cached else (keys(line.value, "a"), keys(line.value, "w"))
            found |= dict.fromkeys(made, (reads, weights))
    assert found == {step.name: (set(step.reads), set(step.weights)) for step in STEPS}


def test_each_weight_of_a_block_is_used_and_no_other() -> None:
    assert set(WEIGHTS) == {name for step in STEPS for name in step.weights}


def test_letters_are_sizes(tiny: GPT2) -> None:
    ids = [1, 2, 3, 4, 5]
    trace, c = tiny.forward(ids), tiny.config
    assert {name: array.shape for name, array in trace.items()} == {
        name: sizes(letters, c, len(ids)) for name, letters in activation_letters(c.n_layer).items()
    }
    assert {name: array.shape for name, array in tiny.weights.items()} == {
        name: sizes(letters, c) for name, letters in weight_letters(c.n_layer, with_head="lm_head.weight" in tiny.weights).items()
    }
