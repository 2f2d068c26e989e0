"""The places, one class each. A new one is a class, its line in this registry, and its name in `Level`."""

from __future__ import annotations

from txexplain.explorer.places.block import Block
from txexplain.explorer.places.direct import Direct
from txexplain.explorer.places.effects import Effects
from txexplain.explorer.places.heads import Atlas, Attn, Head, Product
from txexplain.explorer.places.lens import Lens
from txexplain.explorer.places.mlp import Mlp, Neuron
from txexplain.explorer.places.place import PLACES
from txexplain.explorer.places.vectors import Embed, Final, Ln1, Ln2, Proj, Qkv
from txexplain.explorer.places.whole import Model, Output, Residual

__all__ = ["KINDS", "PLACES"]

KINDS = (
    Model, Embed, Block, Ln1, Qkv, Attn, Proj, Ln2, Mlp, Neuron, Atlas, Head, Product, Final, Output, Residual, Direct, Lens, Effects,
)  # fmt: skip
PLACES.update({kind.level: kind() for kind in KINDS})
