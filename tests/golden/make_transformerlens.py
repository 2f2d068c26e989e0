"""Whole caches of TransformerLens, as `save_file(dict(cache) | {"ids": ids, "logits": logits})` writes them: tests/golden/transformerlens.

python -m tests.golden.make_transformerlens        (from the repository; TransformerLens 4.3 writes 4.safetensors,
                                                    TransformerLens 2.16 the two that begin with 2)
"""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.engine.odd_checkpoints import BASE, IDS

HERE = Path(__file__).parent


def keep(model: Any, name: str) -> None:
    ids = torch.tensor([IDS])
    logits, cache = model.run_with_cache(ids)
    tensors = {key: value.detach().contiguous().clone() for key, value in cache.items()}
    save_file(tensors | {"ids": ids, "logits": logits.detach()}, HERE / "transformerlens" / f"{name}.safetensors")


def of_4() -> None:
    from transformer_lens.model_bridge import TransformerBridge

    with tempfile.TemporaryDirectory() as folder:
        for path in (*BASE.glob("[cm]*"), *(HERE / "saved" / "one").glob("tok*")):  # it wants a tokenizer, of whatever size
            shutil.copy(path, folder)
        keep(TransformerBridge.boot_transformers(folder, device="cpu"), "4")


def of_2() -> None:
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(BASE)
    c = model.config
    for name, folded in (("2", False), ("2-folded", True)):
        config = HookedTransformerConfig(
            n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, d_head=c.n_embd // c.n_head, n_heads=c.n_head, d_mlp=4 * c.n_embd,
            d_vocab=c.vocab_size, act_fn="gelu_new", eps=c.layer_norm_epsilon, normalization_type="LN", device="cpu",
            original_architecture="GPT2LMHeadModel",
        )  # fmt: skip
        hooked = HookedTransformer(config)
        weights = convert_gpt2_weights(model, config)
        how = dict.fromkeys(("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases"), folded)
        hooked.load_and_process_state_dict(weights, **how)
        keep(hooked, name)


if __name__ == "__main__":
    of_4() if version("transformer_lens").startswith("4") else of_2()
