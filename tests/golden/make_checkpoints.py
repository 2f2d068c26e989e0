"""What transformers makes of odd checkpoints, by tests/engine/odd_checkpoints.py: the last position's logits, in checkpoints.npz.

python -m tests.golden.make_checkpoints        (from the repository; torch 2.13, transformers 5.24)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from tests.engine.odd_checkpoints import BASE, IDS, ODD
from tests.golden.make_parity import save_npz

HERE = Path(__file__).parent


def logits(folder: Path) -> np.ndarray:
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0, -1].numpy()


def main() -> None:
    found = {"": logits(BASE)}
    for name, make in ODD.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            found[name] = logits(Path(folder))
    save_npz(HERE / "checkpoints.npz", found)
    print({name: float(np.abs(array - found[""]).max()) for name, array in found.items()})


if __name__ == "__main__":
    main()
