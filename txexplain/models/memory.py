"""A model from memory: a state dict of PyTorch's or of arrays, with its config, as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from txexplain.engine.checkpoint import Checkpoint, by_plain_name, checkpoint_of, fitted
from txexplain.engine.config import GPT2Config
from txexplain.engine.safetensors import DTYPES, Entry, Source, Stored
from txexplain.engine.tokenizer import GPT2_VOCABULARY, Tokenizer
from txexplain.errors import CheckpointError

SOURCE = Source(Path("given to load_model"), "state dict", CheckpointError)
KINDS = {np.dtype(kind): name for name, kind in DTYPES.items() if name != "BF16"}


def tokenizer_for(name: str, folder: Path, vocab_size: int) -> Tokenizer:
    """GPT-2's where the model has as many tokens, else ids alone."""
    return Tokenizer.gpt2() if vocab_size == GPT2_VOCABULARY else Tokenizer.ids_only(name, vocab_size)


def checkpoint_from(state: Mapping[str, Any], config: Any) -> Checkpoint:
    """A checkpoint of copies of the tensors, so that training that goes on doesn't change it.

    config: transformers' own, or its fields by Hugging Face's names. Raises CheckpointError.
    """
    if config is None:
        raise CheckpointError("A state dict doesn't tell its model's sizes: give load_model a config too, as config=model.config.")
    if not isinstance(config, GPT2Config):
        config = GPT2Config.from_dict(config.to_dict() if hasattr(config, "to_dict") else config, source="The config given to load_model")
    return checkpoint_of(fitted(config, by_plain_name(stored(str(name), value) for name, value in state.items()), SOURCE))


def stored(name: str, value: Any) -> Stored:
    """One tensor, copied. Raises CheckpointError for what no tensor is."""
    array = array_of(value)
    if array.dtype not in KINDS:
        raise SOURCE.refusal(f"holds {name} as {array.dtype}, which is no tensor of numbers")
    data = np.frombuffer(array.tobytes(), dtype=np.uint8)
    return Stored(Entry(name, KINDS[array.dtype], array.shape, 0, len(data)), data, SOURCE)


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """A tensor's numbers as NumPy has them: of half precision, which NumPy knows in part, as float32."""
    if hasattr(value, "detach"):  # PyTorch's, wherever it lies
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() and value.element_size() == 2 else value).numpy()
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("="))
