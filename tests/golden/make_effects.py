"""Makes the references for effects: a full pass of transformers' GPT-2 in float64 for each cell, with torch hooks. Not in the suite.

python -m tests.golden.make_effects          # effects.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from tests.golden.make_interventions import changed

HERE = Path(__file__).parent
MODELS = ("default", "erf", "silu")
IDS, OTHER = [3, 9, 27, 20, 60, 58, 0], [3, 9, 27, 21, 60, 5, 0]
ANSWER, AGAINST = 5, 7


class Reference:
    """One model, its run of IDS, and what it makes of OTHER."""

    def __init__(self, name: str) -> None:
        self.model = GPT2LMHeadModel.from_pretrained(HERE / "parity" / name, attn_implementation="eager").double().eval()
        c = self.model.config
        self.L, self.H, self.T, self.dh = c.n_layer, c.n_head, len(IDS), c.n_embd // c.n_head
        self.m = c.n_inner or 4 * c.n_embd
        self.donor = self.activations(OTHER)
        self.plain = self.difference([])

    def activations(self, ids: list[int]) -> dict[tuple[str, int], torch.Tensor]:
        """The streams before the blocks, what attentions and MLPs add, q, k and v, and the heads' z, of another prompt."""
        found: dict[tuple[str, int], torch.Tensor] = {}
        hooks = []
        for layer, block in enumerate(self.model.transformer.h):

            def keep(name: str, after: bool, layer: int = layer) -> Any:
                def hook(module: Any, given: Any, *made: Any) -> None:
                    tensor = made[0] if after else given
                    found[name, layer] = (tensor[0] if isinstance(tensor, tuple) else tensor)[0].clone()

                return hook

            hooks += [
                block.register_forward_pre_hook(keep("resid_pre", False)),
                block.attn.c_proj.register_forward_pre_hook(keep("attn.z", False)),
                block.attn.c_attn.register_forward_hook(keep("qkv", True)),
                block.attn.register_forward_hook(keep("attn_out", True)),
                block.mlp.register_forward_hook(keep("mlp_out", True)),
            ]
        self.model(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return found

    def difference(self, cases: list[dict[str, Any]]) -> float:
        with changed(self.model, cases):
            logits = self.model(torch.tensor([IDS])).logits[0, -1]
        return float(logits[ANSWER] - logits[AGAINST])

    def sweep(self, shape: tuple[int, ...], cases: Any) -> list[Any]:
        """The change of the difference in each cell; None where there are no cases."""
        found = np.full(shape, None, dtype=object)
        for cell in np.ndindex(*shape):
            if (given := cases(*cell)) is not None:
                found[cell] = round(self.difference(given) - self.plain, 7)
        return found.tolist()

    def sweeps(self) -> dict[str, Any]:
        L, H, T, dh = self.L, self.H, self.T, self.dh

        def of_head(name: str, layer: int, head: int) -> torch.Tensor:
            rows = self.donor["attn.z" if name == "z" else "qkv", layer]
            start = head * dh + (0 if name == "z" else "qkv".index(name) * H * dh)
            return rows[:, start : start + dh]

        def cut(layers: Any, head: list[int] | None, raw: bool = False) -> Any:
            return lambda q, k: None if k > q else [{"cut": each, "head": head, "edges": [[q, k]], "raw": raw} for each in layers]

        def unseen(row: int) -> list[dict[str, Any]]:
            return [{"cut": layer, "head": None, "edges": [[q, row] for q in range(row + 1, T)]} for layer in range(L)]

        found = {
            "heads zero": self.sweep((L, H), lambda n, h: [{"set": "attn.z", "block": n, "head": h, "value": 0}]),
            "mlps zero": self.sweep((L,), lambda n: [{"set": "mlp_out", "block": n, "value": 0}]),
            "attns zero": self.sweep((L,), lambda n: [{"set": "attn_out", "block": n, "value": 0}]),
            "neurons L0 zero": self.sweep((self.m,), lambda i: [{"set": "mlp.post", "block": 0, "index": [i], "value": 0}]),
            "edges cut": self.sweep((T, T), cut(range(L), None)),
            "edges raw": self.sweep((T, T), cut(range(L), None, raw=True)),
            "edges L0H0 cut": self.sweep((T, T), cut([0], [0])),
            "rows cut": self.sweep((T,), unseen),
        }
        for kind, name in {"resid": "resid_pre", "mlps": "mlp_out", "attns": "attn_out"}.items():
            found[f"{kind} patched"] = self.sweep(
                (L, T), lambda n, r, name=name: [{"set": name, "block": n, "rows": [r], "value": self.donor[name, n][r]}]
            )
        for name in "zqkv":
            found[f"{name} patched"] = self.sweep(
                (L, H),
                lambda n, h, name=name: [{"set": f"attn.{name}", "block": n, "head": h, "value": of_head(name, n, h)}],
            )
        return found


def main() -> None:
    with torch.no_grad():
        models = {name: Reference(name) for name in MODELS}
        told = {name: {"without": round(each.plain, 7), "sweeps": each.sweeps()} for name, each in models.items()}
    known = {"ids": IDS, "other": OTHER, "answer": ANSWER, "against": AGAINST}
    (HERE / "effects.json").write_text(json.dumps(known | {"models": told}, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
