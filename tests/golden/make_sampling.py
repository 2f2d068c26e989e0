"""Writes sampling.npz: what transformers' own processors make of logits of real size. Needs torch and transformers; not a test.

    python tests/golden/make_sampling.py

The logits are made from seeds, here and in the test, so that the file holds the answers only.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
import transformers

V = 50257
SETS = {"gpt2": 0, "around zero": 1, "peaked": 2, "flat": 3}  # name -> seed
TEMPERATURES = (0.05, 0.2, 0.8, 1.0, 1.7, 10.0)
FILTERS = (("full", 0), ("top-k", 1), ("top-k", 40), ("top-k", 50256), ("top-p", 0.01), ("top-p", 0.5), ("top-p", 0.9), ("top-p", 0.9999))


def make_logits(name: str) -> np.ndarray:
    """[V] float32 logits, spread like a GPT-2's."""
    noise = np.random.default_rng(SETS[name]).standard_normal(V)
    if name == "gpt2":  # −160 … −30: most tokens are hopeless, some hundreds are candidates
        logits = -100 + 14 * noise
        logits[1000:1300] = -40 + 3 * noise[1000:1300]
    elif name == "peaked":
        logits = 3 * noise
        logits[777] = 25
    else:
        logits = {"around zero": 3.0, "flat": 0.05}[name] * noise
    return logits.astype(np.float32)


def chosen_ids(logits: np.ndarray) -> np.ndarray:
    """The ids whose probabilities are compared: the best, some in the middle, the worst."""
    order = np.argsort(-logits, kind="stable")
    return order[[0, 1, 2, 5, 20, 39, 40, 300, 5000, 25000, V - 1]]


def reference(logits: np.ndarray, temperature: float, kind: str, value: float) -> tuple[int, np.ndarray, np.ndarray]:
    """transformers' kept count, and probabilities [V] after and before the filter."""
    scores = torch.tensor(logits.astype(np.float64))[None]
    scores = transformers.TemperatureLogitsWarper(temperature)(None, scores)
    full = scores.softmax(-1)[0].numpy()
    if kind == "top-k":
        scores = transformers.TopKLogitsWarper(int(value))(None, scores)
    elif kind == "top-p":
        check_not_a_tie(full, value)
        scores = transformers.TopPLogitsWarper(value)(None, scores)
    kept = int(torch.isfinite(scores).sum())
    if kind == "top-k" and kept != value:
        raise SystemExit(f"a tie at rank {value}: choose other seeds")
    return kept, scores.softmax(-1)[0].numpy(), full


def check_not_a_tie(full: np.ndarray, p: float) -> None:
    if np.abs(np.cumsum(np.sort(full)[::-1]) - p).min() < 1e-12:
        raise SystemExit("the nucleus ends within rounding of p: choose other seeds")


def main() -> None:
    rows = []
    for name in SETS:
        logits = make_logits(name)
        ids = chosen_ids(logits)
        for temperature in TEMPERATURES:
            for kind, value in FILTERS:
                kept, probability, full = reference(logits, temperature, kind, value)
                rows.append((kept, probability[ids], full[ids]))
    path = Path(__file__).with_name("sampling.npz")
    np.savez_compressed(
        path,
        kept=np.array([row[0] for row in rows], dtype=np.int64),
        probability=np.array([row[1] for row in rows]),
        full_probability=np.array([row[2] for row in rows]),
        checksums=np.array([zlib.crc32(make_logits(name).tobytes()) for name in SETS], dtype=np.int64),
        transformers=np.array(transformers.__version__),
    )
    print(f"{path}: {len(rows)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
