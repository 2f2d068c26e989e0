"""Traces: opened and drawn as `txexplain open` does, every tensor beside the safetensors library's, shares on the screen beside the file's."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import safetensors

from tests.fuzz.cases import Case, content
from tests.fuzz.checkpoints import CONFIG_WORDS, bases, decoded, require_fields
from tests.fuzz.harness import Wrong
from tests.fuzz.mutate import Tensor, mutated_bytes, mutated_folder, mutated_json_bytes, mutated_safetensors, packed, unpacked
from txexplain.engine.trace import Trace, activation_names
from txexplain.explorer.location import STAGES, Location, parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.front.render import scene_for
from txexplain.models import load_model
from txexplain.text import visible
from txexplain.viz.describe import describe
from txexplain.viz.scene import Scene
from txexplain.viz.screen import paint_screen
from txexplain.viz.views.explain import explain_text

FILE = "run.safetensors"
INSIDE = "|".join(name.removeprefix("blocks.0.") for name in activation_names(1) if name.startswith("blocks"))
IS_ACTIVATION = re.compile(rf"(embed|pos_embed|logits|ln_final\.(scale|normalized|out)|blocks\.(0|[1-9][0-9]*)\.({INSIDE}|ln[12]\.out))")
NAMES = (
    *activation_names(2),
    "ids",
    "blocks.00.attn.q",
    "blocks.٣.attn.q",
    "blocks.9999.resid_pre",
    "blocks.10000.resid_pre",
    "blocks.1.hook_z",
    "blocks.0.ln2.out",
    "blocks.0.mlp.in",
)
PLACES = (
    "model", "model[L0]", "embed", "embed[1]", "embed:nearest", "L0", "L0[qkv]", "L0.ln1", "L0.ln1[2]", "L0.qkv", "L0.qkv[3]", "L0.qkv:matrix[1,2]",
    "L0.proj", "L0.ln2", "L0.attn", "L0.mlp", "L0.mlp:pre", "L0.mlp:added", "L0.mlp[2]", "heads", "heads:induction", "heads:entropy.25", "final", "output",
    "residual", "residual[L0.attn]", "L0H1[2,1]", "L0H0[0,2]", "L1", "L1H0", *(f"L0H{h}:{stage}[{q},{k}]" for h in (0, 1) for stage in STAGES for q, k in
    ((2, 1), (0, 0), (1, 2))), "model@1", "output@0", "L0.attn@1",
)  # fmt: skip
SIZES = ((80, 24), (80, 24), (120, 36), (60, 16), (200, 60))
MINUS = "\u2212"


def recorded() -> bytes:
    """A run of the tiny checkpoint as the product saves it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trace = load_model(str(bases()[0].write(folder))).forward([5, 0, 3], all_logits=True)
        assert trace is not None
        trace.model, trace.prompt, trace.tokens = "tiny", "a b c", (" a", "b", "\u2423c")
        trace.save(folder / FILE)
        return (folder / FILE).read_bytes()


def only(data: bytes, names: tuple[str, ...], dtype: str = "F32") -> bytes:
    """A part of a run, without what its metadata says."""
    found = [t for t in unpacked(data)[0] if t.name in names or t.name == "ids"]
    if dtype == "F16":
        found = [
            t if t.name == "ids" else Tensor(t.name, dtype, t.shape, np.frombuffer(t.data, "<f4").astype("<f2").tobytes()) for t in found
        ]
    return packed(found)


def two_names(data: bytes) -> bytes:
    """What left one block and entered the next, under both its names."""
    tensors, metadata = unpacked(data)
    stream = next(t for t in tensors if t.name == "blocks.0.resid_post")
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | {"n_layer": 2})
    kept = [t for t in tensors if t.name in ("ids", "blocks.0.resid_post", "blocks.0.attn.pattern")]
    return packed([*kept, Tensor("blocks.1.resid_pre", stream.dtype, stream.shape, stream.data)], metadata)


class Traces:
    name = "traces"

    def __init__(self) -> None:
        whole = recorded()
        heads = ("blocks.0.attn.q", "blocks.0.attn.k", "blocks.0.attn.v")
        files = (
            whole, whole, two_names(whole), only(whole, heads), only(whole, ("blocks.0.attn.pattern", "logits"), "F16"),
            only(whole, ("blocks.0.attn.attn_scores", "blocks.0.mlp.post", "embed")),
        )  # fmt: skip
        self.bases = [Case({FILE: data}, {"at": "L0H0:softmax[2,1]"}) for data in files]

    def make(self, rng: Random) -> Case:
        case = rng.choice(self.bases)
        options = {"at": rng.choice(PLACES), "size": rng.choice(SIZES), "drawn": rng.random() < 0.4, "replaced": rng.random() < 0.02}
        case = Case(case.files, case.options | options)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            data = case.files.get(FILE)
            if options["drawn"] and isinstance(data, bytes):
                case = case.with_file(FILE, mutated_safetensors(rng, data, NAMES, TEXTS, mild=True))
            elif rng.random() < 0.03 or not isinstance(data, bytes):
                case = mutated_folder(rng, case)
            elif rng.random() < 0.08:
                case = case.with_file(FILE, mutated_bytes(rng, data))
            else:
                case = case.with_file(FILE, mutated_safetensors(rng, data, NAMES, TEXTS))
        return case

    def open(self, folder: Path, case: Case) -> None:
        path = folder / FILE
        state = ExplorerState(trace=str(path), location=parse(case.options["at"]))
        if not case.options.get("drawn", True):
            require_file(Trace.load(path), path)
            return
        scene = scene_for(state, UiOptions(color="truecolor"), *case.options.get("size", SIZES[0]))
        data = content(path)
        if case.options.get("replaced"):
            (folder / "new").write_bytes(bytes(len(data)))
            (folder / "new").replace(path)
        require_tensors(scene.trace, data)
        lines = paint_screen(scene).text()
        if len(lines) != scene.height:
            raise Wrong(f"{len(lines)} lines on a screen of {scene.height}")
        require_shares(scene, state.location, describe(scene))
        explain_text(scene, 76)

    def also(self, folder: Path, case: Case) -> bool:
        try:
            safetensors.deserialize(content(folder / FILE))
        except (OSError, safetensors.SafetensorError):
            return False
        return True


def mutated_tokens(rng: Random, data: bytes) -> bytes:
    return mutated_json_bytes(rng, data, ("a", "\u200b", "\x1b[2J"))


def mutated_config(rng: Random, data: bytes) -> bytes:
    return mutated_json_bytes(rng, data, CONFIG_WORDS)


TEXTS = {"tokens": mutated_tokens, "config": mutated_config, "model": mutated_bytes, "prompt": mutated_bytes}


def require_file(trace: Trace, path: Path) -> None:
    require_tensors(trace, content(path))


def require_tensors(trace: Trace, data: bytes) -> None:
    """A trace holds what the file holds, and nothing else."""
    try:
        stored: dict[str, Any] = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise Wrong(f"opened, but the library says: {error}") from None
    ids = stored.pop("ids")
    if list(trace.ids) != decoded(ids["dtype"], tuple(ids["shape"]), bytes(ids["data"])).tolist():
        raise Wrong(f"ids {trace.ids}")
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    of_4 = metadata.get("format") != "txexplain-trace/1" and any(name.endswith((".in", ".out")) for name in stored)
    left = 0
    for name, entry in stored.items():
        if not IS_ACTIVATION.fullmatch(name) or (of_4 and name.endswith(".normalized")):
            left += 1
        elif name not in trace:
            raise Wrong(f"{name} is lost")
        else:
            theirs = floats(entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
            if not np.array_equal(trace[name], theirs.reshape(trace[name].shape) if theirs.ndim > trace[name].ndim else theirs):  # a batch
                raise Wrong(f"{name} differs from the library's")
    if left and not any(note.startswith(f"{left} of its tensors") for note in trace.notes):
        raise Wrong(f"{left} tensors are left out, and {trace.notes} don't count them")
    if "tokens" in metadata and trace.tokens != tuple(visible(text) for text in json.loads(metadata["tokens"])):
        raise Wrong(f"tokens {trace.tokens}")
    if ("config" in metadata) != (trace.config is not None):
        raise Wrong("a config from nowhere, or none")
    if trace.config is not None:
        require_fields(trace.config, json.loads(metadata["config"]))


def floats(dtype: str, shape: tuple[int, ...], data: bytes) -> np.ndarray:
    found = decoded(dtype, shape, data)
    return found.astype(np.float32) if dtype == "F64" else found


def require_shares(scene: Scene, place: Location, text: str) -> None:
    """The row of shares that a head's description prints is the file's, digit for digit."""
    name = f"blocks.{place.block}.attn.pattern"
    if place.kind != "head" or place.stage != "softmax" or name not in scene.trace:
        return
    query, _ = place.cursor(scene.n_tokens)
    for key, share in enumerate(scene.trace[name][place.head, query, : query + 1]):
        if f"{str(np.float32(share)).replace('-', MINUS)}\n" not in text:
            raise Wrong(f"share {query}, {key} of {share} isn't in:\n{text}")
