"""A page for any place: the tensors that were recorded there, as strips with their shapes and numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from txexplain.explorer.location import Level
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number, shape
from txexplain.viz.ramps import Ramp, pool, span
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import title

# The tensors of each page: name, role, formula.
PAGES: dict[Level, tuple[tuple[str, str, str], ...]] = {
    Level.EMBED: (
        ("embed", "residual", "wte[id]"),
        ("pos_embed", "residual", "wpe[position]"),
        ("blocks.0.resid_pre", "residual", "wte[id] + wpe[position]"),
    ),
    Level.LN1: (
        ("blocks.{L}.resid_pre", "residual", "x"),
        ("blocks.{L}.ln1.scale", "residual", "√(variance + ε)"),
        ("blocks.{L}.ln1.normalized", "residual", "(x − mean) ÷ scale × gain + bias"),
    ),
    Level.QKV: (
        ("blocks.{L}.ln1.normalized", "residual", "LayerNorm(x)"),
        ("blocks.{L}.attn.q", "query", "LayerNorm(x) W_Q + b_Q"),
        ("blocks.{L}.attn.k", "key", "LayerNorm(x) W_K + b_K"),
        ("blocks.{L}.attn.v", "value", "LayerNorm(x) W_V + b_V"),
    ),
    Level.PROJ: (
        ("blocks.{L}.attn.z", "attention", "Σ share × v, heads side by side"),
        ("blocks.{L}.attn_out", "attention", "z W_O + b_O"),
        ("blocks.{L}.resid_mid", "residual", "x + attn_out"),
    ),
    Level.LN2: (
        ("blocks.{L}.resid_mid", "residual", "x"),
        ("blocks.{L}.ln2.scale", "residual", "√(variance + ε)"),
        ("blocks.{L}.ln2.normalized", "residual", "(x − mean) ÷ scale × gain + bias"),
    ),
    Level.MLP: (
        ("blocks.{L}.ln2.normalized", "residual", "LayerNorm(x)"),
        ("blocks.{L}.mlp.pre", "mlp", "LayerNorm(x) W_fc + b_fc"),
        ("blocks.{L}.mlp.post", "mlp", "activation(pre)"),
        ("blocks.{L}.mlp_out", "mlp", "post W_proj + b_proj"),
        ("blocks.{L}.resid_post", "residual", "x + mlp_out"),
    ),
    Level.FINAL: (
        ("blocks.{last}.resid_post", "residual", "x"),
        ("ln_final.scale", "residual", "√(variance + ε)"),
        ("ln_final.normalized", "residual", "(x − mean) ÷ scale × gain + bias"),
    ),
}
PAGES[Level.NEURON] = PAGES[Level.MLP][1:3]


def draw_tensors(scene: Scene) -> Canvas:
    """The page of a Location that has no picture of its own."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, token = scene.location, scene.token
    title(canvas, scene, str(place), f"token {token} {scene.label(token).strip()}")
    rows = PAGES[place.level]
    each = 4 if scene.height >= 2 + 4 * len(rows) else 3 if scene.height >= 2 + 3 * len(rows) else 2
    for number_, (name, role, formula) in enumerate(rows):
        name = name.format(L=place.block, last=scene.config.n_layer - 1)
        if name not in scene.trace:
            canvas.put(1, 2 + number_ * each, f"{name}: not recorded", "muted")
            continue
        tensor_strip(canvas, scene, name, role, formula, 2 + number_ * each, each)
    return canvas


def tensor_strip(canvas: Canvas, scene: Scene, name: str, role: str, formula: str, y: int, rows: int) -> None:
    """One tensor's row for the selected token: name, shape and formula above its strip, its range beside it."""
    values: NDArray[np.float32] = scene.trace[name]
    vector = values[scene.token].reshape(-1)
    x = 1 + canvas.put(1, y, name, role, attrs=BOLD)
    x += canvas.put(x, y, f"  {shape(values.shape, ascii=scene.palette.ascii)}", "muted")
    canvas.put(x, y, f"  = {formula}", "text", width=max(0, scene.width - x - 1))
    if rows >= 2:
        strip(canvas, scene, vector, role, 1, y + 1, scene.width - 2)
    if rows >= 3 and len(vector) > 1:
        low, high = span(vector)
        _, pooled = pool(vector, scene.width - 2)
        figures = f"{number(low)} to {number(high)}, mean {number(float(vector.mean()))}, norm {number(float(np.linalg.norm(vector)))}"
        canvas.put(1, y + 2, figures + (f" {scene.palette.glyphs.dot} {pooled}" if pooled else ""), "muted", width=scene.width - 2)


def strip(canvas: Canvas, scene: Scene, vector: NDArray[np.float32], role: str, x: int, y: int, width: int) -> None:
    """A vector as a row of cells on its own diverging scale."""
    if len(vector) == 1:
        canvas.put(x, y, number(float(vector[0])), "text", attrs=BOLD)
        return
    ramp = Ramp("diverging", role, scene.palette)
    pooled, _ = pool(vector, width)
    each = max(1, min(width // len(pooled), 4))
    for cell, level in enumerate(ramp.quantise(pooled, *span(vector)).tolist()):
        ramp.cell(canvas, x + cell * each, y, each, level)
