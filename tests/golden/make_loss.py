"""Makes loss.json: texts longer than the context, read by transformers in windows. Needs torch and transformers; not part of the suite.

    python -m tests.golden.make_loss

Each token's −ln p in float64, by the labels and windows that transformers' guide to the perplexity of models of fixed length uses.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from transformers import GPT2LMHeadModel

HERE = Path(__file__).parent
CASES = [
    ("default", 50, 16, 8),
    ("default", 33, 16, 16),
    ("erf", 40, 16, 5),
    ("tanh", 24, 10, 3),
    ("pytorch_tanh", 9, 16, 8),
    ("default", 17, 16, 1),
]


def read(model: GPT2LMHeadModel, ids: list[int], window: int, stride: int) -> tuple[list[float | None], float]:
    """Each token's −ln p, and the mean by the model's own loss."""
    nats: list[float | None] = [None] * len(ids)
    total, count, before = 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + window, len(ids))
        given = torch.tensor([ids[begin:end]])
        labels = given.clone()
        labels[:, : before - begin] = -100
        with torch.no_grad():
            out = model(given, labels=labels)
        scored = int((labels[0, 1:] != -100).sum())
        if scored:
            total, count = total + float(out.loss) * scored, count + scored
        shares = torch.log_softmax(out.logits[0], -1)
        for at in range(max(before, begin + 1), end):
            nats[at] = -float(shares[at - begin - 1, ids[at]])
        before = end
        if end == len(ids):
            break
    return nats, total / count


def main() -> None:
    cases = []
    for name, length, window, stride in CASES:
        model = GPT2LMHeadModel.from_pretrained(HERE / "parity" / name, dtype=torch.float64).eval()
        generator = torch.Generator().manual_seed(length)
        ids = torch.randint(0, 61, (length,), generator=generator).tolist()
        nats, mean = read(model, ids, window, stride)
        cases.append({"model": name, "ids": ids, "window": window, "stride": stride, "nats": nats, "mean": mean})
    document = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}", "cases": cases}
    (HERE / "loss.json").write_text(json.dumps(document) + "\n", "utf-8")


if __name__ == "__main__":
    main()
