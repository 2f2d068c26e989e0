"""What is exported is what was trained, and what can't be run isn't exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: pip install -e '.[train]' for the recipe")

from txexplain import load_model  # noqa: E402
from weights.recipe import export  # noqa: E402
from weights.recipe.export import Refused  # noqa: E402
from weights.recipe.train import Plan, Size, State  # noqa: E402

TINY = Size(n_layer=2, n_head=2, n_embd=16, n_positions=16)
BUNDLED = Path(__file__).parents[2] / "weights" / "storyteller"
PLAN = Plan(mix={"tales": 1}, last_mix={"tales": 1})


@pytest.fixture
def state(tmp_path: Path) -> State:
    torch.set_num_threads(1)
    np.save(tmp_path / "held.npy", np.random.default_rng(0).integers(0, 50257, 100).astype(np.uint16))
    state = State.begin(TINY, PLAN)
    with torch.no_grad():
        for p in state.model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    return state


def exported(state: State, folder: Path) -> str:
    state.save(folder / "state.pt", PLAN, folder)
    return export.export(folder / "state.pt", folder / "model", folder / "held.npy")


def test_the_engine_opens_it_and_agrees(state: State, tmp_path: Path) -> None:
    assert "engine and PyTorch differ by at most" in exported(state, tmp_path)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    model = load_model(tmp_path / "model")
    assert model.config.n_head == 2
    trace = model.forward([5, 6, 7], all_logits=True)
    assert trace is not None
    with torch.no_grad():
        expected = state.model(torch.tensor([[5, 6, 7]]))[0] @ state.model.wte.weight.T
    assert np.abs(trace["logits"] - expected.numpy()).max() < 0.02  # fp16's rounding of the weights


def test_the_bundled_weights_are_the_same_model_in_both() -> None:
    """At the real size and with trained weights: a tiny model hides which of two GELUs it has."""
    state = State.begin(Size(), PLAN, BUNDLED)
    difference, _ = export.check(state.model, BUNDLED, [list(range(1000, 1040))])
    assert difference <= export.AGREED


def test_its_config_is_the_bundled_one_at_the_bundled_size() -> None:
    assert export.config(Size()) == json.loads((BUNDLED / "config.json").read_text())


@pytest.mark.parametrize(
    ("weight", "value", "why"),
    [
        ("h.1.mlp.c_fc.weight", 1e5, "h.1.mlp.c_fc.weight has a number that isn't finite in fp16"),
        ("wpe.weight", 6e4, "an activation reaches"),
    ],
)
def test_what_overflows_is_refused_and_what_was_there_stays(state: State, tmp_path: Path, weight: str, value: float, why: str) -> None:
    exported(state, tmp_path)
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    with torch.no_grad():
        state.model.get_parameter(weight)[:, :3] = value
        if weight == "wpe.weight":
            state.model.wte.weight[:] = 6e4
    with pytest.raises(Refused, match=why):
        exported(state, tmp_path)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held.npy", "model", "state.pt"]


def test_disagreement_is_refused(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a matrix is written the other way round."""
    write = export.write

    def transposed(model: export.GPT2, folder: Path) -> None:
        p = model.h[0].attn.c_proj.weight
        p.data = p.data.T.contiguous()
        write(model, folder)
        p.data = p.data.T.contiguous()

    monkeypatch.setattr(export, "write", transposed)
    with pytest.raises(Refused, match="the engine and PyTorch differ"):
        exported(state, tmp_path)
    assert not (tmp_path / "model").exists()


def test_transformers_opens_it_and_agrees(state: State, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers isn't installed: pip install -e '.[train]' for the recipe")
    assert "transformers differs by" in exported(state, tmp_path)
