"""Our engine against transformers' GPT2LMHeadModel; tests/golden/make_parity.py made the references."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from txexplain.engine import ops
from txexplain.engine.model import GPT2
from txexplain.engine.trace import activation_names
from txexplain.models import load_model

PARITY = Path(__file__).parents[1] / "golden" / "parity"
CONFIGS = ["default", "erf", "relu", "silu", "tanh", "swish", "pytorch_tanh"]


def relative_error(have: np.ndarray, want: np.ndarray) -> float:
    """The largest difference in units of the largest reference value; infinite where the finite places differ."""
    finite = np.isfinite(want)
    if have.shape != want.shape or not np.array_equal(finite, np.isfinite(have)) or not np.array_equal(have[~finite], want[~finite]):
        return float("inf")
    return float(np.abs(have[finite] - want[finite]).max() / np.abs(want[finite]).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_activation_equals_transformers(name: str) -> None:
    model = load_model(str(PARITY / name))
    want = dict(np.load(PARITY / name / "activations.npz"))
    trace = model.forward(want.pop("ids").tolist(), all_logits=True)
    assert trace is not None
    assert set(want) == set(activation_names(model.config.n_layer)) == set(trace.names)
    errors = {key: relative_error(trace[key], want[key]) for key in want}
    assert max(errors.values()) <= 1e-5, {key: error for key, error in errors.items() if error > 1e-5}


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return dict(np.load(PARITY / "storyteller.npz"))


def worst_logit(model: GPT2, reference: dict[str, np.ndarray]) -> float:
    worst = 0.0
    for number in range(5):
        trace = model.forward(reference[f"ids{number}"].tolist())
        assert trace is not None
        have, want = trace["logits"][reference[f"chosen{number}"]], reference[f"logits{number}"]
        worst = max(worst, float(np.abs(have - want).max()))
    return worst


def test_the_references_belong_to_the_bundled_weights(storyteller: GPT2, reference: dict[str, np.ndarray]) -> None:
    digest = hashlib.sha256((storyteller.checkpoint.folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest == reference["sha256"].item(), "the bundled weights changed: run tests/golden/make_parity.py"


def test_bundled_logits_equal_transformers(storyteller: GPT2, reference: dict[str, np.ndarray]) -> None:
    assert worst_logit(storyteller, reference) <= 2e-4


def test_the_bound_is_tight_enough_to_tell_the_two_gelus_apart(
    storyteller: GPT2, reference: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ops.ACTIVATIONS, "gelu_new", ops.gelu)
    assert worst_logit(storyteller, reference) > 2e-4
