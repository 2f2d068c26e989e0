"""The steps of a block and the weights that they use: one table, from which names, shapes, tiles and formulas are read.

Sizes are written in letters: T tokens, H heads, d = n_embd, dh = d / H, m = n_inner, V vocabulary, and the context.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from txexplain.engine.config import GPT2Config

Letters = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One activation of a block, by TransformerLens's name inside it.

    `tile` is the part of the block's view that it belongs to, which shows the one with a formula; `role` says what it is coloured as.
    """

    name: str
    letters: Letters
    tile: str
    role: str
    reads: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    formula: str = ""


def step(name: str, letters: str, tile: str, role: str, *, reads: str = "", weights: str = "", formula: str = "") -> Step:
    return Step(name, tuple(letters.split()), tile, role, tuple(reads.split()), tuple(weights.split()), formula)


NORM_1, NORM_2 = "ln_1.weight ln_1.bias", "ln_2.weight ln_2.bias"
ATTN, PROJ = "attn.c_attn.weight attn.c_attn.bias", "attn.c_proj.weight attn.c_proj.bias"
FC, MLP_PROJ = "mlp.c_fc.weight mlp.c_fc.bias", "mlp.c_proj.weight mlp.c_proj.bias"

# In the order in which they are computed: what `gpt2.block` stores.
STEPS = (
    step("resid_pre", "T d", "resid_pre", "residual", formula="x, enters the block"),
    step("ln1.scale", "T 1", "ln1", "residual", reads="resid_pre", weights=NORM_1),
    step("ln1.normalized", "T d", "ln1", "residual", reads="resid_pre", weights=NORM_1, formula="LayerNorm(x)"),
    step("attn.q", "T H dh", "qkv", "query", reads="ln1.normalized", weights=ATTN, formula="q, k, v = LN(x) W + b"),
    step("attn.k", "T H dh", "qkv", "key", reads="ln1.normalized", weights=ATTN),
    step("attn.v", "T H dh", "qkv", "value", reads="ln1.normalized", weights=ATTN),
    step("attn.attn_scores", "H T T", "attn", "attention", reads="attn.q attn.k"),
    step("attn.pattern", "H T T", "attn", "attention", reads="attn.attn_scores", formula="softmax(q·k ÷ √dh)"),
    step("attn.z", "T H dh", "proj", "attention", reads="attn.pattern attn.v"),
    step("attn_out", "T d", "proj", "attention", reads="attn.z", weights=PROJ, formula="(Σ share × v) W_O + b"),
    step("resid_mid", "T d", "add1", "residual", reads="resid_pre attn_out", formula="x + attention"),
    step("ln2.scale", "T 1", "ln2", "residual", reads="resid_mid", weights=NORM_2),
    step("ln2.normalized", "T d", "ln2", "residual", reads="resid_mid", weights=NORM_2, formula="LayerNorm(x)"),
    step("mlp.pre", "T m", "fc", "mlp", reads="ln2.normalized", weights=FC, formula="LN(x) W_fc + b"),
    step("mlp.post", "T m", "act", "mlp", reads="mlp.pre", formula="activation"),
    step("mlp_out", "T d", "out", "mlp", reads="mlp.post", weights=MLP_PROJ, formula="post W_proj + b"),
    step("resid_post", "T d", "add2", "residual", reads="resid_mid mlp_out", formula="x + MLP"),
)
TILES = tuple(dict.fromkeys(each.tile for each in STEPS))
SHOWN = {each.tile: each for each in STEPS if each.formula}  # the activation that stands for a tile

BEFORE = {"embed": ("T", "d"), "pos_embed": ("T", "d")}  # the activations before the blocks, and after them
AFTER = {"ln_final.scale": ("T", "1"), "ln_final.normalized": ("T", "d"), "logits": ("V",)}

# A block's weights, by GPT-2's names inside it. A linear layer's weight is [inputs, outputs].
WEIGHTS: dict[str, Letters] = {
    "ln_1.weight": ("d",), "ln_1.bias": ("d",),
    "attn.c_attn.weight": ("d", "3·d"), "attn.c_attn.bias": ("3·d",),
    "attn.c_proj.weight": ("d", "d"), "attn.c_proj.bias": ("d",),
    "ln_2.weight": ("d",), "ln_2.bias": ("d",),
    "mlp.c_fc.weight": ("d", "m"), "mlp.c_fc.bias": ("m",),
    "mlp.c_proj.weight": ("m", "d"), "mlp.c_proj.bias": ("d",),
}  # fmt: skip
EMBEDDINGS: dict[str, Letters] = {"wte.weight": ("V", "d"), "wpe.weight": ("context", "d")}
FINAL: dict[str, Letters] = {"ln_f.weight": ("d",), "ln_f.bias": ("d",)}


def sizes(letters: Iterable[str], config: GPT2Config, n_tokens: int = 0) -> tuple[int, ...]:
    """What a shape's letters stand for in this model, for so many tokens."""
    d, known = config.n_embd, {"T": n_tokens, "H": config.n_head, "dh": config.head_dim, "m": config.n_inner, "1": 1}
    known |= {"d": d, "3·d": 3 * d, "V": config.vocab_size, "context": config.n_positions}
    return tuple(known[letter] for letter in letters)


def stream_parts(n_layer: int, n_head: int) -> list[str]:
    """All that is added up for a difference of logits, in the order in which it is: "embed", "pos", "L0H0", …, "L0.bias", "L0.mlp", …

    A block's bias is that of W_O; "always" is the last LayerNorm's, "changed" what interventions put into the stream.
    """
    blocks = (name for n in range(n_layer) for name in (*(f"L{n}H{head}" for head in range(n_head)), f"L{n}.bias", f"L{n}.mlp"))
    return ["embed", "pos", *blocks, "always", "changed"]


def activation_letters(n_layer: int) -> dict[str, Letters]:
    """Every activation of a whole run of n_layer blocks with its shape in letters, in the order in which they are computed."""
    blocks = {f"blocks.{layer}.{each.name}": each.letters for layer in range(n_layer) for each in STEPS}
    return BEFORE | blocks | AFTER


def weight_letters(n_layer: int, *, with_head: bool) -> dict[str, Letters]:
    """Every weight of a GPT-2 of n_layer blocks with its shape in letters; with_head: the unembedding is a matrix of its own."""
    blocks = {f"h.{layer}.{name}": letters for layer in range(n_layer) for name, letters in WEIGHTS.items()}
    return EMBEDDINGS | blocks | FINAL | ({"lm_head.weight": EMBEDDINGS["wte.weight"]} if with_head else {})
