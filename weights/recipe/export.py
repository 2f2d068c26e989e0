"""Writes a run's model as a checkpoint folder: fp16 safetensors and config.json, as txexplain and transformers open them.

    python -m weights.recipe.export /tmp/storyteller/run/state.pt -o /tmp/storyteller/model --check /tmp/storyteller/tokens/tales.held.npy

Nothing is written unless the NumPy engine and PyTorch agree on the rounded weights, and no activation would overflow fp16, in which others
may run it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from txexplain import load_model
from weights.recipe.train import GPT2, PREFIX, Size, State

AGREED = 1e-3  # the largest difference between two logits that float32 explains
HALF_MAX = float(np.finfo(np.float16).max)


class Refused(Exception):
    """Why the model isn't written."""


def config(size: Size) -> dict[str, object]:
    """config.json, as transformers names things."""
    return {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new", "vocab_size": size.vocabulary,
        "n_positions": size.n_positions, "n_ctx": size.n_positions, "n_embd": size.n_embd, "n_layer": size.n_layer, "n_head": size.n_head,
        "n_inner": None, "layer_norm_epsilon": 1e-05, "tie_word_embeddings": True, "bos_token_id": size.vocabulary - 1,
        "eos_token_id": size.vocabulary - 1, "torch_dtype": "float16",
    }  # fmt: skip


def write(model: GPT2, folder: Path) -> None:
    """The two files. Raises Refused where a weight doesn't fit into fp16."""
    half = {PREFIX + name: t.detach().to(torch.float16).contiguous() for name, t in model.state_dict().items()}
    if broken := [name for name, t in half.items() if not torch.isfinite(t).all()]:
        raise Refused(f"{broken[0]} has a number that isn't finite in fp16.")
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(model.size), indent=2))


@torch.no_grad()
def check(model: GPT2, folder: Path, texts: list[list[int]]) -> tuple[float, float]:
    """Runs the written files in the engine and the rounded model in PyTorch: the largest difference of logits, the largest activation.

    Raises Refused where they differ or an activation is beyond fp16.
    """
    rounded = GPT2(model.size).eval()
    rounded.load_state_dict({name: t.to(torch.float16).float() for name, t in model.state_dict().items()})
    engine = load_model(folder)
    difference = largest = 0.0
    for ids in texts:
        trace = engine.forward(ids, all_logits=True)
        assert trace is not None
        expected = (rounded(torch.tensor([ids]))[0] @ rounded.wte.weight.T).numpy()  # [T, V]
        difference = max(difference, float(np.abs(trace["logits"] - expected).max()))
        activations = (trace[name] for name in trace.names if not name.endswith("attn_scores"))  # which holds −inf above the diagonal
        largest = max(largest, *(float(np.abs(a).max()) for a in activations))
    if not largest < HALF_MAX:
        raise Refused(f"an activation reaches {largest:.0f}; fp16 ends at {HALF_MAX:.0f}.")
    if not difference <= AGREED:
        raise Refused(f"the engine and PyTorch differ by {difference:.2g} in a logit; at most {AGREED:g} is rounding.")
    return difference, largest


def check_transformers(folder: Path, ids: list[int]) -> float:
    """The largest difference between the engine's logits and those of transformers. Raises Refused."""
    from transformers import GPT2LMHeadModel

    theirs, report = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if set(report["missing_keys"]) - {"lm_head.weight"} or report["unexpected_keys"]:
        raise Refused("transformers doesn't find the tensors by their names.")
    trace = load_model(folder).forward(ids, all_logits=True)
    assert trace is not None
    with torch.no_grad():
        difference = float(np.abs(theirs(torch.tensor([ids])).logits[0].numpy() - trace["logits"]).max())
    if not difference <= AGREED:
        raise Refused(f"the engine and transformers differ by {difference:.2g} in a logit; at most {AGREED:g} is rounding.")
    return difference


def texts(stream: NDArray[np.uint16], length: int, n: int = 4) -> list[list[int]]:
    """A few windows of a token file, evenly spread."""
    starts = np.linspace(0, max(0, len(stream) - length), n).astype(int)
    return [stream[s : s + length].astype(int).tolist() for s in starts]


def export(state: Path, out: Path, check_on: Path) -> str:
    """Writes the checkpoint, or raises Refused and leaves what was there."""
    model = State.load(state)[0].model
    windows = texts(np.load(check_on), model.size.n_positions)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        folder = Path(name)
        write(model, folder)
        difference, largest = check(model, folder, windows)
        said = f"engine and PyTorch differ by at most {difference:.1e} in a logit; the largest activation is {largest:.1f}"
        try:
            said += f"; transformers differs by {check_transformers(folder, windows[0]):.1e}"
        except ImportError:
            said += "; transformers isn't installed and wasn't asked"
        out.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.replace(out / file.name)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("state", type=Path, help="train.py's state.pt")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the checkpoint folder")
    parser.add_argument("--check", type=Path, required=True, help="a token file to compare the engines on")
    given = parser.parse_args()
    try:
        print(export(given.state, given.out, given.check))
    except Refused as error:
        sys.exit(f"Not exported: {error}")


if __name__ == "__main__":
    main()
