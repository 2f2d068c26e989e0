"""A GPT-2 checkpoint's config.json, checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from txexplain.engine.errors import CheckpointError

ACTIVATION_NAMES = ("gelu_new", "gelu", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")
LARGEST = 1 << 24  # no size in a GPT-2's config comes near it; a lie about one must not ask for all memory


@dataclass(frozen=True)
class GPT2Config:
    """The sizes and options of a GPT-2, under Hugging Face's names; defaults are GPT-2 small's.

    `n_inner` is resolved: 4 × n_embd where config.json says null.
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int = 3072
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    tie_word_embeddings: bool = True
    bos_token_id: int = 50256
    eos_token_id: int = 50256

    @property
    def head_dim(self) -> int:
        """dh: how many of the d numbers each head works on."""
        return self.n_embd // self.n_head

    @classmethod
    def from_file(cls, path: Path) -> GPT2Config:
        """Read and check a config.json. Raises CheckpointError, which names the file."""
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise CheckpointError(f"{path} isn't UTF-8 text; fetch the checkpoint's config.json again.") from None
        except OSError as error:
            raise CheckpointError(f"{path} can't be read: {reason(error)}; a checkpoint needs its config.json.") from None
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            raise CheckpointError(f"{path} isn't valid JSON; fetch the checkpoint's config.json again.") from None
        return cls.from_dict(fields, source=str(path))

    @classmethod
    def from_dict(cls, fields: Any, source: str) -> GPT2Config:
        """Check the fields of a config. Raises CheckpointError, which names the source and the field."""
        if not isinstance(fields, dict):
            raise CheckpointError(f"{source} must hold a JSON object, but is a {type(fields).__name__}.")
        require_gpt2(fields, source)
        get = Fields(fields, source)
        n_embd = get.size("n_embd", cls.n_embd)
        vocab_size = get.size("vocab_size", cls.vocab_size)
        config = cls(
            vocab_size=vocab_size,
            n_positions=get.size("n_positions" if "n_positions" in fields else "n_ctx", cls.n_positions),
            n_embd=n_embd,
            n_layer=get.size("n_layer", cls.n_layer),
            n_head=get.size("n_head", cls.n_head),
            n_inner=4 * n_embd if fields.get("n_inner") is None else get.size("n_inner", 0),
            activation_function=get.choice("activation_function", cls.activation_function, ACTIVATION_NAMES),
            layer_norm_epsilon=get.positive("layer_norm_epsilon", cls.layer_norm_epsilon),
            scale_attn_weights=get.flag("scale_attn_weights", cls.scale_attn_weights),
            scale_attn_by_inverse_layer_idx=get.flag("scale_attn_by_inverse_layer_idx", cls.scale_attn_by_inverse_layer_idx),
            reorder_and_upcast_attn=get.flag("reorder_and_upcast_attn", cls.reorder_and_upcast_attn),
            tie_word_embeddings=get.flag("tie_word_embeddings", cls.tie_word_embeddings),
            bos_token_id=get.token("bos_token_id", vocab_size),
            eos_token_id=get.token("eos_token_id", vocab_size),
        )
        if config.n_embd % config.n_head:
            raise CheckpointError(f"{source}: n_head = {config.n_head} doesn't divide n_embd = {config.n_embd}; every head needs as many numbers.")
        return config

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON-able fields under Hugging Face's names."""
        return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **asdict(self)}


@dataclass(frozen=True)
class Fields:
    """Typed access to a config's fields; each method raises CheckpointError, which names the source and the field."""

    fields: Mapping[str, Any]
    source: str

    def wrong(self, name: str, wanted: str) -> CheckpointError:
        shown = repr(self.fields[name])
        return CheckpointError(f"{self.source}: {name} must be {wanted}, but is {shown if len(shown) < 40 else shown[:36] + ' …'}.")

    def size(self, name: str, default: int) -> int:
        value = self.fields.get(name, default)
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise self.wrong(name, f"a whole number from 1 to {LARGEST}")
        return value

    def token(self, name: str, vocab_size: int) -> int:
        """A token id; where it is missing, null or a list, GPT-2's last token, which starts and ends its texts."""
        value = self.fields.get(name)
        if value is None or isinstance(value, list):
            return min(50256, vocab_size - 1)
        if type(value) is not int or not 0 <= value <= LARGEST:
            raise self.wrong(name, "a token id")
        return value if value < vocab_size else vocab_size - 1

    def flag(self, name: str, default: bool) -> bool:
        value = self.fields.get(name, default)
        if type(value) is not bool:
            raise self.wrong(name, "true or false")
        return value

    def positive(self, name: str, default: float) -> float:
        value = self.fields.get(name, default)
        if type(value) not in (int, float) or not math.isfinite(value) or not 0 < value <= 1:
            raise self.wrong(name, "a number above 0, at most 1")
        return float(value)

    def choice(self, name: str, default: str, known: tuple[str, ...]) -> str:
        value = self.fields.get(name, default)
        if value not in known:
            raise self.wrong(name, f"one of {', '.join(known)}")
        return str(value)


def require_gpt2(fields: Mapping[str, Any], source: str) -> None:
    """Raise CheckpointError unless the config says, or doesn't deny, that it is a GPT-2."""
    kind, architectures = fields.get("model_type"), fields.get("architectures")
    named = kind if isinstance(kind, str) else None
    if named is None and isinstance(architectures, list) and architectures:
        named = "gpt2" if str(architectures[0]).startswith("GPT2") else str(architectures[0])
    if named is None and not {"n_embd", "n_layer", "n_head"} <= fields.keys():
        raise CheckpointError(f"{source} isn't the config of a GPT-2 (it has no model_type, n_embd, n_layer and n_head).")
    if named not in (None, "gpt2"):
        raise CheckpointError(f"{source} is the config of a {str(named)[:40]!r} model; txexplain shows GPT-2 checkpoints only.")
    if fields.get("add_cross_attention"):
        raise CheckpointError(f"{source}: add_cross_attention is true; txexplain shows the plain GPT-2 without cross-attention.")


def reason(error: OSError) -> str:
    """Why the system refused, in its own lower-case words."""
    return (error.strerror or str(error)).lower()
