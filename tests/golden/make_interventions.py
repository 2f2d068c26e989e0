"""Makes the references for interventions, by torch hooks on transformers' GPT-2 in float64. Needs both; not part of the suite.

python -m tests.golden.make_interventions          # interventions.json
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

HERE = Path(__file__).parent
IDS = [3, 9, 27, 20, 60, 58, 0, 9]
# What is set or cut, as the arguments of Set and Cut; a vector of n numbers is linspace(-1, 1, n).
CASES: dict[str, list[dict[str, Any]]] = {
    "a head's z at 0": [{"set": "attn.z", "block": 0, "head": 1, "value": 0}],
    "a head's z at a vector, two rows": [{"set": "attn.z", "block": 1, "head": 2, "value": "vector", "rows": [2, 7]}],
    "a query": [{"set": "attn.q", "block": 1, "head": 0, "value": 0.5, "rows": [7]}],
    "keys of a head": [{"set": "attn.k", "block": 0, "head": 2, "value": "vector"}],
    "a value": [{"set": "attn.v", "block": 1, "head": 1, "value": 0, "rows": [3]}],
    "a neuron": [{"set": "mlp.post", "block": 0, "index": [17], "value": 2.0}],
    "a neuron before": [{"set": "mlp.pre", "block": 1, "index": [5, 6], "value": -1.0, "rows": [7]}],
    "an MLP": [{"set": "mlp_out", "block": 0, "value": 0}],
    "attention": [{"set": "attn_out", "block": 1, "value": "vector"}],
    "the stream": [{"set": "resid_post", "block": 0, "value": "vector", "rows": [4]}],
    "a LayerNorm's result": [{"set": "ln2.normalized", "block": 1, "value": 0.25, "rows": [7]}],
    "an edge": [{"cut": 0, "head": [0], "edges": [[7, 1]]}],
    "edges in all heads": [{"cut": 1, "head": None, "edges": [[7, 1], [7, 7], [3, 0]]}],
    "a row with nothing left": [{"cut": 1, "head": [2], "edges": [[1, 0], [1, 1]]}],
    "an edge's own share": [{"cut": 0, "head": [1], "edges": [[6, 2], [7, 2]], "raw": True}],
    "several": [
        {"cut": 0, "head": [0], "edges": [[5, 2]]},
        {"set": "attn.z", "block": 0, "head": 1, "value": 0},
        {"set": "mlp_out", "block": 1, "value": 0, "rows": [7]},
    ],
}  # fmt: skip


def value_of(case: dict[str, Any], size: int) -> torch.Tensor:
    """What a case sets: a number, numbers, or the vector that all cases have."""
    if isinstance(case["value"], str):
        return torch.linspace(-1, 1, size, dtype=torch.float64)
    return torch.as_tensor(case["value"], dtype=torch.float64)


@contextmanager
def changed(model: GPT2LMHeadModel, cases: list[dict[str, Any]]) -> Any:
    """The model with hooks that change what the cases name."""
    c = model.config
    d, dh = c.n_embd, c.n_embd // c.n_head
    with ExitStack() as stack:
        for case in cases:
            block = model.transformer.h[case.get("block", case.get("cut"))]
            rows = case.get("rows", slice(None))

            def put(
                tensor: torch.Tensor, case: dict[str, Any] = case, rows: Any = rows, size: int = 0, columns: Any = slice(None)
            ) -> torch.Tensor:
                tensor = tensor.clone()
                new = tensor[0, rows]
                new[:, columns] = value_of(case, size or tensor.shape[-1])
                tensor[0, rows] = new
                return tensor

            if "cut" in case:
                stack.enter_context(cut(block, case, c.n_head))
                continue
            name = case["set"]
            head = slice(case.get("head", 0) * dh, case.get("head", 0) * dh + dh)
            if name == "attn.z":
                hook = block.attn.c_proj.register_forward_pre_hook(lambda _, a, put=put, head=head: (put(a[0], size=dh, columns=head),))
            elif name in ("attn.q", "attn.k", "attn.v"):
                at = "qkv".index(name[-1]) * d
                where = slice(at + head.start, at + head.stop)
                hook = block.attn.c_attn.register_forward_hook(lambda _, a, out, put=put, where=where: put(out, size=dh, columns=where))
            elif name == "mlp.post":
                hook = block.mlp.c_proj.register_forward_pre_hook(lambda _, a, put=put, i=case["index"]: (put(a[0], columns=i),))
            elif name == "mlp.pre":
                hook = block.mlp.c_fc.register_forward_hook(lambda _, a, out, put=put, i=case["index"]: put(out, columns=i))
            elif name == "mlp_out":
                hook = block.mlp.register_forward_hook(lambda _, a, out, put=put: put(out))
            elif name == "attn_out":
                hook = block.attn.register_forward_hook(lambda _, a, out, put=put: (put(out[0]), *out[1:]))
            elif name == "resid_pre":
                hook = block.register_forward_pre_hook(lambda _, a, put=put: (put(a[0]), *a[1:]))
            elif name == "resid_post":
                hook = block.register_forward_hook(
                    lambda _, a, out, put=put: (put(out[0]), *out[1:]) if isinstance(out, tuple) else put(out)
                )
            else:
                assert name == "ln2.normalized"
                hook = block.ln_2.register_forward_hook(lambda _, a, out, put=put: put(out))
            stack.callback(hook.remove)
        yield


@contextmanager
def cut(block: Any, case: dict[str, Any], n_head: int) -> Any:
    """The block's softmax with edges at −inf before it, or at 0 after it."""
    plain = torch.nn.functional.softmax

    def softmax(scores: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        scores = scores.clone()
        heads = range(n_head) if case["head"] is None else case["head"]
        cells = [(h, q, k) for h in heads for q, k in case["edges"]]
        if not case.get("raw"):
            for h, q, k in cells:
                scores[0, h, q, k] = -torch.inf
        pattern = plain(scores, *rest, **options)
        if case.get("raw"):
            for h, q, k in cells:
                pattern[0, h, q, k] = 0
        left = torch.isfinite(scores) & (scores > torch.finfo(scores.dtype).min / 2)  # transformers masks with the least number
        return torch.where(left.any(-1, keepdim=True), pattern, torch.zeros_like(pattern))

    def before(*_: Any) -> None:
        torch.nn.functional.softmax = softmax

    def after(*_: Any) -> None:
        torch.nn.functional.softmax = plain

    hooks = [block.attn.register_forward_pre_hook(before), block.attn.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        torch.nn.functional.softmax = plain


def main() -> None:
    model = GPT2LMHeadModel.from_pretrained(HERE / "parity" / "default", attn_implementation="eager").double().eval()
    found = {}
    with torch.no_grad():
        for name, cases in {"nothing": [], **CASES}.items():
            with changed(model, cases):
                logits = model(torch.tensor([IDS])).logits[0]  # [T, V]
            found[name] = {"cases": cases, "logits": np.round(logits.numpy(), 7).tolist()}
    (HERE / "interventions.json").write_text(json.dumps({"ids": IDS, "runs": found}, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
