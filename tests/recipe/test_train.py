"""The pieces of training; no run. Skipped where torch isn't installed: it is only in the extra `train`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: pip install -e '.[train]' for the recipe")

from safetensors import safe_open  # noqa: E402

from tests.recipe.test_batches import made_texts  # noqa: E402
from weights.recipe import train  # noqa: E402
from weights.recipe.train import (  # noqa: E402
    GPT2,
    Decay,
    Plan,
    Size,
    State,
    Texts,
    batch,
    candidates,
    cross_entropy,
    orthogonalized,
    train_step,
)

TINY = Size(n_layer=1, n_head=2, n_embd=16, n_positions=16)


@dataclass(frozen=True)
class Small(Size):
    """As TINY where nothing else is said."""

    n_layer: int = 1
    n_head: int = 2
    n_embd: int = 16
    n_positions: int = 16


ROOT = Path(__file__).parents[2]
SETTINGS = [(precision, attention) for precision in ("fp32", "bf16") for attention in ("plain", "fused")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def texts() -> Texts:
    return made_texts()


def problem(vocabulary: int = 400, n: int = 200) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 16, generator=generator, requires_grad=True)
    table = (torch.randn(vocabulary, 16, generator=generator) / 4).requires_grad_()
    return x, table, np.random.default_rng(0).zipf(1.4, n) % vocabulary


@pytest.mark.parametrize("rows", [1, 33, 200, 999])
@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_the_loss_in_chunks_is_the_plain_one(rows: int, dtype: torch.dtype, off: float) -> None:
    x, table, targets = problem()
    wanted, bias = torch.from_numpy(targets), torch.zeros(len(table))
    whole = torch.nn.functional.cross_entropy(x @ table.T, wanted)
    chunked = cross_entropy(x.to(dtype), table, wanted, bias, rows)
    assert chunked.item() == pytest.approx(whole.item(), rel=off)
    for ours, theirs in zip(torch.autograd.grad(3 * chunked, (x, table)), torch.autograd.grad(3 * whole, (x, table)), strict=True):
        assert (ours - theirs).norm() < off * theirs.norm()
    with torch.no_grad():
        assert cross_entropy(x.to(dtype), table, wanted, bias, rows).item() == pytest.approx(chunked.item(), rel=1e-6)


def test_the_sampled_loss_is_the_full_one_on_average() -> None:
    """Loss and gradients over many draws of a fifth of the vocabulary."""
    x, table, targets = problem()
    whole = torch.nn.functional.cross_entropy(x @ table.T, torch.from_numpy(targets))
    expected = torch.autograd.grad(whole, (x, table))
    losses, sums = [], [torch.zeros_like(x), torch.zeros_like(table)]
    for seed in range(300):
        among = candidates(targets, np.arange(20), 40, len(table), np.random.default_rng(seed))
        assert len(among.ids) < 150
        places = torch.from_numpy(among.places(targets, len(table)))
        loss = cross_entropy(x, table[torch.from_numpy(among.ids)], places, torch.from_numpy(among.count).log())
        losses.append(loss.item())
        for total, gradient in zip(sums, torch.autograd.grad(loss, (x, table)), strict=True):
            total += gradient / 300
    assert np.mean(losses) == pytest.approx(whole.item(), abs=0.02)
    for ours, theirs in zip(sums, expected, strict=True):
        assert (ours - theirs).norm() < 0.06 * theirs.norm()


def test_muon_turns_every_direction_by_about_as_much() -> None:
    for shape in ((16, 64), (64, 16), (32, 32)):
        singular = torch.linalg.svdvals(orthogonalized(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert singular.min() > 0.3
        assert singular.max() < 1.4


def test_muon_takes_matrices_of_a_shape_together_as_it_takes_each_alone() -> None:
    together = [torch.nn.Parameter(torch.randn(8, 24, generator=torch.Generator().manual_seed(i))) for i in range(3)]
    alone = [torch.nn.Parameter(p.detach().clone()) for p in together]
    for i, (p, q) in enumerate(zip(together, alone, strict=True)):
        p.grad = q.grad = torch.randn(8, 24, generator=torch.Generator().manual_seed(10 + i))
    train.Muon([{"params": together, "pieces": 3}], lr=0.1).step()
    for q in alone:
        train.Muon([{"params": [q], "pieces": 3}], lr=0.1).step()
    for p, q in zip(together, alone, strict=True):
        assert torch.allclose(p, q, atol=2e-3)  # of steps of 0.1 in bfloat16


def test_c_attn_is_three_matrices_to_muon() -> None:
    """The keys' gradient is a thousandth of the queries', and they move as far; the values' is none, and only the decay moves them."""
    p = torch.nn.Parameter(torch.ones(8, 24))
    one = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    p.grad = torch.cat([one, one / 1000, torch.zeros(8, 8)], dim=1)
    train.Muon([{"params": [p], "pieces": 3}], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(p[:, 16:], torch.tensor(0.95))
    assert (p[:, :8] - 0.95).norm() > 0.1
    assert torch.allclose(p[:, :8], p[:, 8:16], atol=0.01)


@pytest.mark.parametrize(("precision", "attention"), SETTINGS)
@pytest.mark.parametrize("cut", [1, 3])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    tmp_path: Path, texts: Texts, cut: int, precision: str, attention: str
) -> None:
    """To the last bit: model, optimisers, batches, draws, rates; into the decay and across the change to the full softmax."""
    plan = Plan(
        mix={"tales": 1, "teaching": 1}, last_mix={"tales": 1}, rows=2, accumulate=2, warmup=2, full=0.5, frequent=100, n_random=50,
        precision=precision, attention=attention,
    )  # fmt: skip
    frequent = np.arange(100)

    def stepped(state: State, n: int) -> list[float]:
        losses = []
        for _ in range(n):
            state.decay = state.decay or (Decay(2, 4) if state.step == 2 else None)
            losses.append(float(train_step(state, plan, texts, frequent)))
        return losses

    straight = State.begin(TINY, plan)
    losses = stepped(straight, 4)
    stopped = State.begin(TINY, plan)
    again = stepped(stopped, cut)
    stopped.seconds = 1.5
    stopped.save(tmp_path / "state.pt", plan, tmp_path)
    torch.manual_seed(12345)
    resumed, same_plan, folder = State.load(tmp_path / "state.pt")
    again += stepped(resumed, 4 - cut)
    assert (same_plan, folder) == (plan, tmp_path)
    assert again == losses
    assert (resumed.seconds, resumed.tokens, resumed.decay) == (1.5, 4 * 4 * 16, Decay(2, 4))
    for ours, theirs in zip(resumed.model.state_dict().values(), straight.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(straight.model.wte.weight, State.begin(TINY, plan).model.wte.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_the_settings_are_ways_to_the_same_step(texts: Texts) -> None:
    """Plain and fused attention, one batch and its parts one after another, fp32 and nearly bf16: one loss and one step's weights."""
    plan = Plan(mix={"tales": 1, "teaching": 1}, last_mix={}, rows=4, softmax="full", precision="fp32", warmup=1)

    def weights(state: State) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in state.model.parameters()])

    def step(**other: object) -> tuple[float, torch.Tensor]:
        changed = replace(plan, **other)  # type: ignore[arg-type]
        state = State.begin(TINY, changed)
        before = weights(state).clone()
        return float(train_step(state, changed, texts, np.arange(100))), weights(state) - before

    loss, moved = step()
    for other, off in (({"attention": "fused"}, 1e-3), ({"chunk": 7}, 1e-3), ({"precision": "bf16"}, 0.3)):
        other_loss, other_moved = step(**other)
        assert other_loss == pytest.approx(loss, rel=max(off / 50, 1e-6))
        assert torch.cosine_similarity(moved, other_moved, dim=0) > 1 - off / 2
    # The same windows in two parts: their order in the step is another, so that only the whole is compared.
    assert step(rows=2, accumulate=2)[0] == pytest.approx(loss, rel=1e-6)


def test_only_the_rows_that_a_step_needs_get_a_gradient(texts: Texts) -> None:
    """Embedding and sampled softmax go through a table of these rows; the whole table's gradient is the same but for the other rows."""
    plan = Plan(mix={"tales": 1}, last_mix={}, rows=2, precision="fp32", n_random=50)
    state = State.begin(TINY, plan)
    windows = batch(texts, plan, plan.mix, 0, 17)
    among = candidates(windows, np.arange(100), 50, 50257, np.random.default_rng(0))
    rows, bias = torch.from_numpy(among.ids), torch.from_numpy(among.count).log()
    small = state.model.wte.weight.detach()[rows].requires_grad_()
    train.loss_of(state, plan, torch.from_numpy(among.places(windows, 50257)), small, bias).backward()
    x = state.model(torch.from_numpy(windows[:, :-1])).flatten(0, 1)
    logits = x @ state.model.wte.weight[rows].T + bias
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(among.places(windows[:, 1:].flatten(), 50257))).backward()
    assert torch.allclose(state.model.wte.weight.grad[rows], small.grad, atol=1e-6)
    assert state.model.wte.weight.grad.count_nonzero() == small.grad.count_nonzero()


def test_more_positions_than_the_checkpoint_has_begin_as_its_last() -> None:
    plan = Plan(mix={}, last_mix={})
    longer = State.begin(Size(n_positions=300), plan, ROOT / "weights" / "storyteller").model.wpe.weight
    shorter = State.begin(Size(n_positions=64), plan, ROOT / "weights" / "storyteller").model.wpe.weight
    assert torch.equal(longer[:64], shorter)
    assert torch.equal(longer[256:], longer[255].expand(44, -1))


@pytest.fixture
def folder(tmp_path: Path, texts: Texts) -> Path:
    """A small run's folder, with its tokens."""
    (tmp_path / "tokens").mkdir()
    for name, stream in texts.tokens.items():
        np.save(tmp_path / "tokens" / f"{name}.train.npy", stream)
        np.save(tmp_path / "tokens" / f"{name}.held.npy", stream)
    return tmp_path


def test_time_that_the_process_stood_still_is_not_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 5000.0, 6000.0, 6001.0, 6002.0])  # steps of 3 s, an hour and more, and 1 s
    monkeypatch.setattr(train.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(train, "held_out_loss", lambda state, plan, tokens: 1.5)
    plan = Plan(mix={"tales": 1}, last_mix={"teaching": 1}, rows=1, tokens=3 * 16, decay=0.01, warmup=1)
    figures = list(train.run(State.begin(TINY, plan), plan, folder / "tokens", folder / "state.pt", every=3.5))
    assert [f["step"] for f in figures] == [2, 3]
    assert [f["minutes"] * 60 for f in figures] == pytest.approx([3 + train.LONGEST_STEP, 4 + train.LONGEST_STEP])
    assert figures[-1]["tales"] == 1.5
    assert figures[-1]["tokens a second"] == pytest.approx(16)
    assert State.load(folder / "state.pt")[0].step == 3


def test_a_signal_ends_the_step_and_keeps_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(mix={"tales": 1}, last_mix={"tales": 1}, rows=1)
    state, step = State.begin(TINY, plan), train.train_step

    def signalled(*given: object) -> torch.Tensor:
        if state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(train, "train_step", signalled)
    before = signal.getsignal(signal.SIGTERM)
    assert [f["step"] for f in train.run(state, plan, folder / "tokens", folder / "state.pt")] == [3]
    assert State.load(folder / "state.pt")[0].step == 3
    assert signal.getsignal(signal.SIGTERM) == before


def command(monkeypatch: pytest.MonkeyPatch, *given: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *given, "--threads", "1", "--device", "cpu"])
    monkeypatch.setattr(train, "Size", Small)
    train.main()


def test_one_command_begins_goes_on_and_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--resume` begins where nothing is; a decay is kept in a file of its own, and the stable run goes on beside it."""
    here = ["--resume", "--scratch", "-o", str(folder), "--rows", "1", "--mix", "tales=1", "--last-mix", "teaching=1", "--every", "0"]
    monkeypatch.setattr(train, "held_out_loss", lambda state, plan, tokens: 1.0)
    steps = train.train_step

    def until(n: int) -> None:
        def step(state: State, *given: object) -> torch.Tensor:
            if state.step == n - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return steps(state, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(train, "train_step", step)

    until(3)
    command(monkeypatch, *here)
    stable, plan, tokens = State.load(folder / "state.pt")
    assert (stable.step, stable.decay, tokens) == (3, None, folder / "tokens")
    assert plan.last_mix == {"teaching": 1.0}
    until(5)
    command(monkeypatch, *here, "--decay-tokens", "64")  # four steps, stopped after two …
    assert State.load(folder / "decayed.pt")[0].step == 5
    until(0)
    command(monkeypatch, *here, "--decay-tokens", "64")  # … goes on to the end
    decayed = State.load(folder / "decayed.pt")[0]
    assert (decayed.step, decayed.decay) == (7, Decay(3, 7))
    assert State.load(folder / "state.pt")[0].step == 3
    until(4)
    command(monkeypatch, *here, "--muon-rate", "0.001")
    stable, plan, _ = State.load(folder / "state.pt")
    assert (stable.step, plan.muon_rate) == (4, 0.001)
    assert (folder / "pid").read_text() == ""


def test_two_never_train_in_one_folder(tmp_path: Path) -> None:
    with train.alone(tmp_path):
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
        with pytest.raises(SystemExit, match=f"process {os.getpid()} is training here already"), train.alone(tmp_path):
            pass
    with train.alone(tmp_path):
        pass


def test_a_folder_without_tokens_names_the_remedy(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "weights.recipe.train", "-o", tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert f"{tmp_path}/tokens has no tokens of tales, general, teaching: prepare them with python -m weights.recipe.prepare" in done.stderr
    assert "Traceback" not in done.stderr


def test_parameters_are_named_and_shaped_as_in_the_checkpoint() -> None:
    shapes = {train.PREFIX + name: list(t.shape) for name, t in GPT2(Size()).state_dict().items()}
    with safe_open(ROOT / "weights" / "storyteller" / "model.safetensors", "pt") as stored:
        assert shapes == {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
