"""python -m tests.bench.xl FOLDER [--dtype F32|F16]: random weights of gpt2-xl's shape (1.5 billion), written shard by shard.

For a run by hand, which needs 6 GB of disk in F32 (3 in F16) and little memory to write:

    python -m tests.bench.xl /tmp/xl && /usr/bin/time -v txexplain predict "Once upon a time" --model /tmp/xl; rm -r /tmp/xl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from txexplain.engine.checkpoint import weight_shapes
from txexplain.engine.config import GPT2Config

XL = GPT2Config(n_layer=48, n_head=25, n_embd=1600, n_inner=6400)
SHARD = 1_000_000_000  # bytes, at which a shard ends


def write(folder: Path, dtype: type[np.floating]) -> None:
    """One shard is in memory at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shards: list[list[str]] = []
    tensors: dict[str, np.ndarray] = {}
    shapes = list(weight_shapes(XL, with_head=False).items())
    for number, (name, shape) in enumerate(shapes):
        tensors[f"transformer.{name}"] = (rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)).astype(dtype)
        if sum(tensor.nbytes for tensor in tensors.values()) > SHARD or number == len(shapes) - 1:
            save_file(tensors, folder / f"part-{len(shards) + 1}", metadata={"format": "pt"})
            shards.append(list(tensors))
            tensors = {}
    weight_map = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        (folder / f"part-{number}").rename(folder / file)
        weight_map |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(XL.to_dict()), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=("F32", "F16"), default="F32")
    given = parser.parse_args()
    write(given.folder, np.float32 if given.dtype == "F32" else np.float16)


if __name__ == "__main__":
    main()
