"""What JSON documents say of tokens and candidates, alike in all of them."""

from __future__ import annotations

from typing import Any

from txexplain.engine.sampling import Distribution
from txexplain.front.names import Names


def token_fields(names: Names, id: int) -> dict[str, Any]:
    found = names.token_bytes(id)
    return {"id": id, "text": found.decode("utf-8", "replace") if found else names.decode([id])}


def sampling_fields(dist: Distribution) -> dict[str, Any]:
    setting = {"k": dist.k} if dist.mode == "top-k" else {"p": dist.p} if dist.mode == "top-p" else {}
    return {"mode": dist.mode, **setting, "kept": dist.kept_count}


def candidate_fields(names: Names, dist: Distribution, id: int) -> dict[str, Any]:
    rank = dist.rank_of(id)
    return {
        "rank": rank + 1,
        **token_fields(names, id),
        "logit": float(dist.logits[id]),
        "scaled_logit": float(dist.scaled[id]),
        "probability": float(dist.probability[id]),
        "full_probability": float(dist.full_probability[id]),
        "cumulative": float(dist.cumulative[rank]),
        "kept": bool(dist.kept[id]),
    }
