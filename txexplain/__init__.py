"""A terminal explorer of GPT-2: the real model on your own words, from tokens to the next one's probabilities."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from txexplain.engine.attribution import Direct, direct, lens
    from txexplain.engine.effects import Effects, effects
    from txexplain.engine.interventions import Cut, Set
    from txexplain.engine.loss import Loss, loss
    from txexplain.engine.model import GPT2
    from txexplain.engine.sampling import Distribution, Draw, distribution, draw, uniform
    from txexplain.engine.tokenizer import Tokenizer
    from txexplain.engine.trace import Trace
    from txexplain.errors import ExplainError
    from txexplain.front.notebook import Picture, show
    from txexplain.models import load_model

__version__ = "0.1.0"

# Imported when first asked for (PEP 562): `txexplain --help` must not wait for NumPy.
_HOME = {
    "Cut": "txexplain.engine.interventions",
    "Direct": "txexplain.engine.attribution",
    "Effects": "txexplain.engine.effects",
    "ExplainError": "txexplain.errors",
    "GPT2": "txexplain.engine.model",
    "Loss": "txexplain.engine.loss",
    "Distribution": "txexplain.engine.sampling",
    "Draw": "txexplain.engine.sampling",
    "direct": "txexplain.engine.attribution",
    "distribution": "txexplain.engine.sampling",
    "draw": "txexplain.engine.sampling",
    "effects": "txexplain.engine.effects",
    "uniform": "txexplain.engine.sampling",
    "Picture": "txexplain.front.notebook",
    "Set": "txexplain.engine.interventions",
    "Tokenizer": "txexplain.engine.tokenizer",
    "Trace": "txexplain.engine.trace",
    "lens": "txexplain.engine.attribution",
    "load_model": "txexplain.models",
    "loss": "txexplain.engine.loss",
    "show": "txexplain.front.notebook",
}

__all__ = [
    "GPT2",
    "Cut",
    "Direct",
    "Distribution",
    "Draw",
    "Effects",
    "ExplainError",
    "Loss",
    "Picture",
    "Set",
    "Tokenizer",
    "Trace",
    "__version__",
    "direct",
    "distribution",
    "draw",
    "effects",
    "lens",
    "load_model",
    "loss",
    "show",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
