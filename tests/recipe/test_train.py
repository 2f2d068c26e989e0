"""The pieces of training; no run. Skipped where torch isn't installed: it is only in the extra `train`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: pip install -e '.[train]' for the recipe")

from safetensors import safe_open  # noqa: E402

from weights.recipe import train  # noqa: E402
from weights.recipe.train import (  # noqa: E402
    GPT2,
    LINE_ENDS,
    Plan,
    Size,
    State,
    Texts,
    batch,
    candidates,
    cross_entropy,
    everything,
    orthogonalized,
    train_step,
)

TINY = Size(n_layer=1, n_head=2, n_embd=16, n_positions=16)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def texts() -> Texts:
    """Two sets of random tokens in lines of 30."""
    rng = np.random.default_rng(0)
    tokens = {name: rng.integers(1000, 3000, 6000).astype(np.uint16) for name in ("tales", "teaching")}
    for stream in tokens.values():
        stream[::30] = 198
    return Texts(tokens, {name: train.line_starts(t, 17) for name, t in tokens.items()}, np.arange(200))


def problem(vocabulary: int = 400, n: int = 200) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 16, generator=generator, requires_grad=True)
    table = (torch.randn(vocabulary, 16, generator=generator) / 4).requires_grad_()
    return x, table, np.random.default_rng(0).zipf(1.4, n) % vocabulary


@pytest.mark.parametrize("rows", [1, 33, 200, 999])
def test_the_loss_in_chunks_is_the_plain_one(rows: int) -> None:
    x, table, targets = problem()
    whole = torch.nn.functional.cross_entropy(x @ table.T, torch.from_numpy(targets))
    chunked = cross_entropy(x, table, torch.from_numpy(targets), everything(len(table)), rows)
    assert chunked.item() == pytest.approx(whole.item(), rel=1e-5)
    for ours, theirs in zip(torch.autograd.grad(3 * chunked, (x, table)), torch.autograd.grad(3 * whole, (x, table)), strict=True):
        assert (ours - theirs).norm() < 0.01 * theirs.norm()  # its products are in bfloat16


def test_the_sampled_loss_is_the_full_one_on_average() -> None:
    """Loss and gradients over many draws of a fifth of the vocabulary."""
    x, table, targets = problem()
    wanted = torch.from_numpy(targets)
    whole = torch.nn.functional.cross_entropy(x @ table.T, wanted)
    expected = torch.autograd.grad(whole, (x, table))
    losses, sums = [], [torch.zeros_like(x), torch.zeros_like(table)]
    for seed in range(300):
        among = candidates(targets, np.arange(20), 40, len(table), np.random.default_rng(seed))
        assert len(among.ids) < 150
        loss = cross_entropy(x, table, wanted, among)
        losses.append(loss.item())
        for total, gradient in zip(sums, torch.autograd.grad(loss, (x, table)), strict=True):
            total += gradient / 300
    assert np.mean(losses) == pytest.approx(whole.item(), abs=0.02)
    for ours, theirs in zip(sums, expected, strict=True):
        assert (ours - theirs).norm() < 0.06 * theirs.norm()


def test_drawn_tokens_stand_for_all_the_others() -> None:
    targets = np.array([7, 7, 90, 300])
    among = candidates(targets, np.arange(50), 60, 1000, np.random.default_rng(0))
    assert {7, 90, 300} <= set(among.ids.tolist())
    assert len(set(among.ids.tolist())) == len(among.ids) == 50 + 2 + 60
    assert among.count.sum() == pytest.approx(1000)
    assert (among.ids[among.places(targets, 1000)] == targets).all()
    assert sorted(candidates(targets, np.arange(50), 10**6, 1000, np.random.default_rng(0)).ids.tolist()) == list(range(1000))


def test_muon_turns_every_direction_by_about_as_much() -> None:
    for shape in ((16, 64), (64, 16), (32, 32)):
        singular = torch.linalg.svdvals(orthogonalized(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert singular.min() > 0.3
        assert singular.max() < 1.4


def test_c_attn_is_three_matrices_to_muon() -> None:
    """The keys' gradient is a thousandth of the queries', and they move as far; the values' is none, and only the decay moves them."""
    p = torch.nn.Parameter(torch.ones(8, 24))
    one = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    p.grad = torch.cat([one, one / 1000, torch.zeros(8, 8)], dim=1)
    train.Muon([{"params": [p], "pieces": 3}], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(p[:, 16:], torch.tensor(0.95))
    assert (p[:, :8] - 0.95).norm() > 0.1
    assert torch.allclose(p[:, :8], p[:, 8:16], atol=0.01)


def test_a_batch_hangs_on_seed_and_step_alone_and_keeps_the_shares(texts: Texts) -> None:
    plan = Plan(mix={"tales": 3, "teaching": 1}, last_mix={}, rows=16)
    first = batch(texts, plan, plan.mix, 5, 17)
    assert (first == batch(texts, plan, plan.mix, 5, 17)).all()
    assert not (first == batch(texts, plan, plan.mix, 6, 17)).all()
    begins = {name: {tuple(t[s : s + 17]) for s in texts.starts[name]} for name, t in texts.tokens.items()}
    assert [sum(tuple(row) in begins[name] for row in first.tolist()) for name in ("tales", "teaching")] == [12, 4]
    assert all(texts.tokens["tales"][s - 1] in LINE_ENDS for s in texts.starts["tales"])


@pytest.mark.parametrize("kind", ["passages", "random"])
def test_repeated_rows_repeat(texts: Texts, kind: str) -> None:
    for seed in range(20):
        row = train.row(
            Texts(texts.tokens, {n: s[s < 3000] for n, s in texts.starts.items()}, texts.common), kind, 257, np.random.default_rng(seed)
        )
        assert len(row) == 257
        assert any((row[50:-period] == row[50 + period :]).all() for period in range(8, 101))


def test_warm_up_stable_decay() -> None:
    plan = Plan(mix={"tales": 1}, last_mix={"teaching": 1}, warmup=10, decay=0.4, full=0.1)
    assert [plan.rate(step, 0.0) for step in (0, 4, 9, 50)] == [0.1, 0.5, 1.0, 1.0]
    assert [plan.rate(99, done) for done in (0.6, 0.8, 0.9, 1.0)] == pytest.approx([1.0, 0.5, 0.25, 0.0])
    assert [plan.mix_at(done) for done in (0.5, 0.7)] == [plan.mix, plan.last_mix]
    assert [plan.is_full(done) for done in (0.5, 0.89, 0.91)] == [False, False, True]


@pytest.mark.parametrize("cut", [1, 3])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, texts: Texts, cut: int) -> None:
    """To the last bit: model, optimisers, batches, draws, rates; across the change to the full softmax."""
    plan = Plan(mix={"tales": 1, "teaching": 1}, last_mix={"tales": 1}, rows=2, steps=4, warmup=2, full=0.3, frequent=100, n_random=50)
    frequent = np.arange(100)
    straight = State.begin(TINY, plan)
    losses = [train_step(straight, plan, texts, frequent) for _ in range(4)]
    stopped = State.begin(TINY, plan)
    again = [train_step(stopped, plan, texts, frequent) for _ in range(cut)]
    stopped.seconds = 1.5
    stopped.save(tmp_path / "state.pt", plan, tmp_path)
    torch.manual_seed(12345)
    resumed, same_plan, _ = State.load(tmp_path / "state.pt")
    again += [train_step(resumed, same_plan, texts, frequent) for _ in range(4 - cut)]
    assert same_plan == plan
    assert again == losses
    assert resumed.seconds == 1.5
    for ours, theirs in zip(resumed.model.state_dict().values(), straight.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(straight.model.wte.weight, State.begin(TINY, plan).model.wte.weight)


def test_time_that_the_process_stood_still_is_not_counted(tmp_path: Path, texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, stream in texts.tokens.items():
        np.save(tmp_path / f"{name}.train.npy", stream)
        np.save(tmp_path / f"{name}.held.npy", stream)
    clock = iter([0.0, 3.0, 10.0, 5000.0, 6000.0, 6001.0])  # steps of 3 s, an hour and more, and 1 s
    monkeypatch.setattr(train.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(train, "held_out_loss", lambda model, tokens: 1.5)
    plan = Plan(mix={"tales": 1}, last_mix={"teaching": 1}, rows=1, hours=23.5 / 3600, warmup=1)
    figures = list(train.run(State.begin(TINY, plan), plan, tmp_path, tmp_path, every=2))
    assert [f["step"] for f in figures] == [2, 3]
    assert [f["minutes"] * 60 for f in figures] == pytest.approx([3 + train.LONGEST_STEP, 4 + train.LONGEST_STEP])
    assert figures[-1]["tales"] == 1.5
    assert State.load(tmp_path / "state.pt")[0].step == 3


def test_parameters_are_named_and_shaped_as_in_the_checkpoint() -> None:
    shapes = {train.PREFIX + name: list(t.shape) for name, t in GPT2(Size()).state_dict().items()}
    with safe_open(Path(__file__).parents[2] / "weights" / "storyteller" / "model.safetensors", "pt") as stored:
        assert shapes == {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
