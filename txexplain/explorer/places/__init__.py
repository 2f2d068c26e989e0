"""The places, one class each, listed here: what shows a place finds it by its name."""

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

ALL = (
    Model(), Embed(), Block(), Ln1(), Qkv(), Attn(), Proj(), Ln2(), Mlp(), Neuron(), Atlas(), Head(), Product(), Final(), Output(),
    Residual(), Direct(), Lens(), Effects(),
)  # fmt: skip
PLACES.update({place.kind: place for place in ALL})
KINDS = tuple(PLACES)
