"""A fact is computed once: one number of a place's record is changed by hand, and stage, `i` and `describe` all show the changed one."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import getsource
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest

from tests.viz.reading import scene_at
from txexplain import words
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer import choice
from txexplain.facts.direct import DirectFacts, direct
from txexplain.facts.embed import nearest
from txexplain.facts.head import row, score
from txexplain.facts.lens import LensFacts, readings
from txexplain.facts.linear import PROJ, QKV, dot
from txexplain.facts.norm import norm
from txexplain.facts.output import candidate
from txexplain.facts.product import moved
from txexplain.facts.vector import VectorFacts, vector
from txexplain.viz.describe import describe
from txexplain.viz.scene import Scene
from txexplain.viz.views import paint_stage
from txexplain.viz.views.explain import explain_text

SIZE = (148, 54)
TELLTALE = 0.77713


def put(record: object, name: str, value: object = TELLTALE) -> None:
    object.__setattr__(record, name, value)


def put_element(record: VectorFacts, element: int) -> None:
    values = record.values.copy()
    values[element] = TELLTALE
    put(record, "values", values)


def put_measure(scene: Scene) -> None:
    scene.result.measures.previous[1, 1] = TELLTALE


def put_cosine(scene: Scene) -> None:
    found = nearest(scene.result, scene.trace.ids[3])
    put(found, "tokens", (replace(found.tokens[0], cosine=TELLTALE), *found.tokens[1:]))


def put_stream(record: LensFacts, n: int) -> None:
    put(record.stream(n), "difference", np.full_like(record.stream(n).difference, TELLTALE))


def put_part(record: DirectFacts, name: str) -> None:
    put(record, "parts", record.parts | {name: TELLTALE})


# Where, and what is changed in the record there.
RECORDS: dict[str, Callable[[Scene], Any]] = {
    "L1.ln1@2": lambda scene: put(norm(scene.result, "blocks.1.ln1", 2).x, "mean"),
    "L0.ln2[3]@1": lambda scene: put(norm(scene.result, "blocks.0.ln2", 1), "scale"),
    "final@2": lambda scene: put(norm(scene.result, "ln_final", 2).x, "mean"),
    "L1.qkv[30]@4": lambda scene: put(dot(scene.result, 1, QKV, 4, 30), "total"),
    "L1.proj[9]@3": lambda scene: put(dot(scene.result, 1, PROJ, 3, 9), "bias"),
    "L1.proj:matrix[2,9]": lambda scene: put(dot(scene.result, 1, PROJ, 6, 9), "result"),
    "L1.mlp[41]@2": lambda scene: put_element(vector(scene.result, "blocks.1.mlp.pre", 2), 41),
    "L1.mlp:added[7]@2": lambda scene: put_element(vector(scene.result, "blocks.1.mlp.pre", 2), 7),
    "L1H1[6,2]": lambda scene: put(score(scene.result, 1, 1, 6, 2), "raw"),
    "L1H1[6,3]": lambda scene: put(moved(scene.result, 1, 1, 6, 3), "length"),
    "L1.attn[2]@5": lambda scene: put(row(scene.result, 1, 2, 5), "largest"),
    "heads:previous[1.1]@4": put_measure,
    "embed[5]@3": lambda scene: put_element(vector(scene.result, "embed", 3), 5),
    "embed:nearest@3": put_cosine,
    "residual[L0.attn]@4": lambda scene: put(vector(scene.result, "blocks.0.attn_out", 4), "length"),
    "lens[L0]@3": lambda scene: put_stream(readings(scene.result, *scene.contrast), 1),
    "direct[L1H1]@3": lambda scene: put_part(direct(scene.result, 3, *scene.contrast), "L1H1"),
    "L1[add1]@2": lambda scene: put(vector(scene.result, "blocks.1.resid_mid", 2), "length"),
    "model[L1]@2": lambda scene: put(vector(scene.result, "blocks.1.attn_out", 2), "length"),
    "output": lambda scene: put(candidate(scene.distribution, 0), "logit"),
}


@pytest.mark.parametrize("at", RECORDS)
def test_stage_explanation_and_description_read_one_record(tiny: GPT2, tiny_result: Result, at: str) -> None:
    scene = scene_at(Result(tiny_result.trace, tiny), at, SIZE)
    rooms = {
        "stage": lambda: "\n".join(paint_stage(scene).text()),
        "explanation": lambda: explain_text(scene, 400),
        "description": lambda: describe(scene),
    }
    RECORDS[at](scene)
    for room, seen in rooms.items():
        text = seen()
        assert any(figure in text for figure in (".777", "77.7%")), (at, room, text)


@pytest.mark.parametrize("at", RECORDS)
def test_no_room_shows_the_telltale_by_itself(tiny_result: Result, at: str) -> None:
    scene = scene_at(tiny_result, at, SIZE)
    for text in ("\n".join(paint_stage(scene).text()), explain_text(scene, 400), describe(scene)):
        assert not any(figure in text for figure in (".777", "77.7%"))


def test_words_compute_nothing() -> None:
    """What explains, describes and fills lessons takes its numbers from records: it has no arithmetic on arrays, hence no use for NumPy."""
    modules = [import_module(f"txexplain.words.{each.name}") for each in iter_modules(words.__path__)]
    assert len(modules) > 5
    for module in (*modules, choice, import_module("txexplain.viz.describe"), import_module("txexplain.viz.live")):
        tree = ast.parse(getsource(module))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name for name in imported if name.split(".")[0] == "numpy"}, module.__name__
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)]
