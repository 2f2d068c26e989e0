"""Trains a small GPT-2 from the token files that prepare.py wrote, on a few CPU cores.

    python -m weights.recipe.train /tmp/storyteller/tokens -o /tmp/storyteller/run --hours 0.33 --threads 2
    python -m weights.recipe.train --resume -o /tmp/storyteller/run

Three things make it fit into hours on a laptop:

- **Sampled softmax.** The last product, with 50,257 columns, costs more than all blocks together. Most steps compare the right token
  only with the most frequent ones, the batch's own and a few others by chance, which stand for the rest.
- **Muon** for the matrices of the blocks (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): the momentum is made orthogonal
  before it is added, so that a step turns every direction by as much. AdamW for all else.
- **Warm-up, stable, decay** (Hu et al. 2024, arXiv:2404.06395): how long the run is to be needs deciding only when the decay begins.

A step's batch hangs on nothing but the seed and the step's number, so a run that was stopped goes on as if it hadn't been.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

# GNU OpenMP's threads spin for milliseconds where they wait for each other; on a machine that does other things too, that halves the speed.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

Tokens = NDArray[np.uint16]
Ids = NDArray[np.int64]

VOCABULARY = 50257
LINE_ENDS = (50256, 198, 628)  # <|endoftext|>, "\n", "\n\n": a window begins after one of these
PREFIX = "transformer."  # before every name in the checkpoint file
LONGEST_STEP = 20.0  # seconds; what is longer was a pause of the machine or of the process, not work


# The model: GPT-2, its parameters named as in the checkpoint.


@dataclass(frozen=True)
class Size:
    """How large the model is."""

    n_layer: int = 6
    n_head: int = 8
    n_embd: int = 256
    n_positions: int = 256
    vocabulary: int = VOCABULARY


class Projection(nn.Module):
    """x · W + b with W as [in, out], as GPT-2 stores it."""

    def __init__(self, n_in: int, n_out: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * std)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.T, self.bias)


class Attention(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.n_head = size.n_head
        self.c_attn = Projection(size.n_embd, 3 * size.n_embd, 0.02)
        self.c_proj = Projection(size.n_embd, size.n_embd, 0.02 / math.sqrt(2 * size.n_layer))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for t in self.c_attn(x).chunk(3, dim=-1))  # [B, H, T, dh] each
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # [B, H, T, dh]
        return self.c_proj(z.transpose(1, 2).flatten(2))  # [B, T, d]


class MLP(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.c_fc = Projection(size.n_embd, 4 * size.n_embd, 0.02)
        self.c_proj = Projection(4 * size.n_embd, size.n_embd, 0.02 / math.sqrt(2 * size.n_layer))

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(size.n_embd), Attention(size)
        self.ln_2, self.mlp = nn.LayerNorm(size.n_embd), MLP(size)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """Token ids [B, T] to the last norm's output [B, T, d]; the logits are its product with `wte.weight`, which the loss forms."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.wte = nn.Embedding(size.vocabulary, size.n_embd)
        self.wpe = nn.Embedding(size.n_positions, size.n_embd)
        nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.01)
        self.h = nn.ModuleList(Block(size) for _ in range(size.n_layer))
        self.ln_f = nn.LayerNorm(size.n_embd)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


# The loss.


@dataclass(frozen=True)
class Candidates:
    """The tokens that a step's softmax is over; `count` says how many tokens each stands for."""

    ids: Ids  # [S]
    count: NDArray[np.float32]  # [S]

    def places(self, targets: Ids, vocabulary: int) -> Ids:
        """Where each target stands among the candidates. Shapes: [N] -> [N]."""
        place = np.full(vocabulary, -1)
        place[self.ids] = np.arange(len(self.ids))
        return place[targets]


def candidates(targets: Ids, frequent: Ids, n_random: int, vocabulary: int, rng: np.random.Generator) -> Candidates:
    """The frequent tokens, the batch's own, and n_random of the others by chance, each of which stands for as many as there are a draw.

    The sum of exponentials over these is right on average (importance sampling), so the loss is that of the full softmax but for a
    little noise.
    """
    sure = np.zeros(vocabulary, dtype=bool)
    sure[frequent] = True
    sure[targets] = True
    rest = np.flatnonzero(~sure)
    drawn = rng.choice(rest, min(n_random, len(rest)), replace=False, shuffle=False)
    ids = np.concatenate([np.flatnonzero(sure), drawn])
    count = np.ones(len(ids), dtype=np.float32)
    count[len(ids) - len(drawn) :] = len(rest) / max(1, len(drawn))
    return Candidates(ids, count)


def everything(vocabulary: int) -> Candidates:
    """The full softmax: every token, each for itself."""
    return Candidates(np.arange(vocabulary), np.ones(vocabulary, dtype=np.float32))


class CrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of x · tableᵀ + bias, row chunk by row chunk: no more logits than a chunk's are ever kept.

    The gradients are formed on the way, in the same pass: softmax less one at the target.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, bias: Tensor, target: Tensor, rows: int) -> Tensor:
        """Shapes: x [N, d], table [S, d], bias [S], target [N] (places in the table) -> a number."""
        n = len(x)
        low = table.bfloat16()
        loss, to_x, to_table = x.new_zeros(()), torch.empty_like(x), torch.zeros_like(table)
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            logits = torch.addmm(bias, x[part], table.T)  # [rows, S]
            right = logits.gather(1, target[part, None])  # [rows, 1]
            total = logits.logsumexp(1, keepdim=True)  # [rows, 1]
            loss += (total - right).sum()
            gradient = logits.sub_(total).exp_().scatter_add_(1, target[part, None], -torch.ones_like(right)).bfloat16()  # [rows, S]
            to_x[part] = gradient @ low
            to_table += gradient.T @ x[part].bfloat16()
        ctx.save_for_backward(to_x / n, to_table / n)
        return loss / n

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        to_x, to_table = ctx.saved_tensors
        return outer[0] * to_x, outer[0] * to_table, None, None, None


def cross_entropy(x: Tensor, wte: Tensor, targets: Tensor, among: Candidates, rows: int = 256) -> Tensor:
    """The mean loss of predicting the targets from x among the candidates. Shapes: x [N, d], wte [V, d], targets [N] -> a number."""
    whole = len(among.ids) == len(wte)
    table = wte if whole else wte[torch.from_numpy(among.ids)]  # [S, d]
    places = targets if whole else torch.from_numpy(among.places(targets.numpy(), len(wte)))
    return CrossEntropy.apply(x, table, torch.from_numpy(among.count).log(), places, rows)


# The optimisers.


def orthogonalized(m: Tensor) -> Tensor:
    """The nearest matrix of orthogonal rows or columns, nearly: five Newton–Schulz steps push all singular values towards 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = m.bfloat16() / (m.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).to(m.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal. `pieces` of a group cuts its matrices into that many side by side: c_attn is q, k and v."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95, weight_decay: float = 0.02) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "pieces": 1})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(momentum, group["momentum"])  # Nesterov's
                update = torch.cat([orthogonalized(piece) for piece in ahead.chunk(group["pieces"], dim=1)], dim=1)
                n_in, n_out = p.shape
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1, n_out / group["pieces"] / n_in) ** 0.5)


def optimizers(model: GPT2, plan: Plan) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the blocks' matrices, AdamW for embeddings, biases and norms."""
    matrices = {name: p for name, p in model.named_parameters() if name.startswith("h.") and p.ndim == 2}
    fused = [p for name, p in matrices.items() if "c_attn" in name]
    plain = [p for name, p in matrices.items() if "c_attn" not in name]
    small = [p for name, p in model.named_parameters() if name not in matrices and name != "wte.weight"]
    muon = Muon([{"params": plain}, {"params": fused, "pieces": 3}], lr=plan.muon_rate)
    adam = torch.optim.AdamW(
        [{"params": [model.wte.weight], "lr": plan.table_rate}, {"params": small, "lr": plan.small_rate}],
        betas=(0.9, 0.98), eps=1e-10, weight_decay=0.0, fused=True,
    )  # fmt: skip
    return muon, adam


# The batches.


@dataclass(frozen=True)
class Plan:
    """What a run is. A share belongs to a file of tokens by its name, or to `passages` or `random`: see `row`."""

    mix: Mapping[str, float]
    last_mix: Mapping[str, float]  # from where the decay begins
    seed: int = 0
    rows: int = 16
    hours: float | None = None
    steps: int | None = None  # the run's length is one or the other
    warmup: int = 100  # steps
    decay: float = 0.3  # the share of the run in which the rate falls to nothing
    full: float = 0.1  # the last share of it, with the full softmax
    muon_rate: float = 0.02
    table_rate: float = 3e-3
    small_rate: float = 2e-3
    frequent: int = 6144
    n_random: int = 1024
    clip: float = 1.0

    def rate(self, step: int, progress: float) -> float:
        """What the rates are multiplied with: warm-up, stable, decay."""
        return min(1.0, (step + 1) / self.warmup, (1 - progress) / self.decay)

    def mix_at(self, progress: float) -> Mapping[str, float]:
        return self.last_mix if progress > 1 - self.decay else self.mix

    def is_full(self, progress: float) -> bool:
        return progress > 1 - self.full


@dataclass(frozen=True)
class Texts:
    """The training tokens by name, with the places where a window may begin."""

    tokens: Mapping[str, Tokens]
    starts: Mapping[str, Ids]
    common: Ids  # the thousand most frequent tokens of the texts

    @staticmethod
    def load(folder: Path, names: Iterable[str], length: int) -> Texts:
        tokens = {name: np.load(folder / f"{name}.train.npy") for name in names}
        common = by_frequency(tokens, dict.fromkeys(tokens, 1.0))[:1000]
        return Texts(tokens, {name: line_starts(t, length) for name, t in tokens.items()}, common)


def line_starts(tokens: Tokens, length: int) -> Ids:
    """The places after a line's end from where `length` tokens follow."""
    return np.flatnonzero(np.isin(tokens[:-length], LINE_ENDS)) + 1


def by_frequency(tokens: Mapping[str, Tokens], mix: Mapping[str, float]) -> Ids:
    """Every id, the most frequent in the mixture first."""
    counts = sum(mix.get(name, 0.0) * np.bincount(t, minlength=VOCABULARY) / len(t) for name, t in tokens.items())
    return np.argsort(-np.asarray(counts), kind="stable")


def row(texts: Texts, kind: str, length: int, rng: np.random.Generator) -> Ids:
    """One window of tokens. Two kinds aren't files, and are there for induction heads: `passages` of real text that come twice or
    more often, and `random` common tokens that do."""
    if kind == "random":
        return repeated(rng.choice(texts.common, length), length, rng)
    name = kind if kind != "passages" else str(rng.choice(sorted(texts.tokens)))
    start = rng.choice(texts.starts[name])
    window = texts.tokens[name][start : start + length].astype(np.int64)
    return repeated(window, length, rng) if kind == "passages" else window


def repeated(window: Ids, length: int, rng: np.random.Generator) -> Ids:
    """Some tokens of their own, then a passage of 8 to 100 again and again."""
    period, before = int(rng.integers(8, 101)), int(rng.integers(0, 40))
    return np.concatenate([window[:before], np.resize(window[before : before + period], length - before)])


def batch(texts: Texts, plan: Plan, mix: Mapping[str, float], step: int, length: int) -> Ids:
    """A step's windows, by nothing but the plan's seed and the step. Shapes: -> [rows, length]."""
    rng = np.random.default_rng([plan.seed, step])
    shares = np.array(list(mix.values()))
    # Shares of the batch, not chances: the fractions are evened out by one random offset.
    edges = np.cumsum(shares / shares.sum())
    places = (np.arange(plan.rows) + rng.random()) / plan.rows
    kinds = [list(mix)[min(i, len(mix) - 1)] for i in np.searchsorted(edges, places)]
    return np.stack([row(texts, kind, length, rng) for kind in kinds])


# The run.


@dataclass
class State:
    """Everything that a run needs in order to go on."""

    model: GPT2
    muon: Muon
    adam: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path, plan: Plan, tokens: Path) -> None:
        """In one piece, or not at all: a file half written is never left behind."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "muon", "adam")}
        about = {"step": self.step, "seconds": self.seconds, "plan": asdict(plan), "size": asdict(self.model.size), "tokens": str(tokens)}
        torch.save(parts | about, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    @staticmethod
    def begin(size: Size, plan: Plan, init: Path | None = None) -> State:
        torch.manual_seed(plan.seed)
        model = GPT2(size)
        if init is not None:
            stored = load_file(init / "model.safetensors")
            model.load_state_dict({name.removeprefix(PREFIX): t.float() for name, t in stored.items()})
        return State(model, *optimizers(model, plan))

    @staticmethod
    def load(path: Path) -> tuple[State, Plan, Path]:
        stored = torch.load(path, weights_only=True)
        plan = Plan(**stored["plan"])
        state = State.begin(Size(**stored["size"]), plan)
        for name in ("model", "muon", "adam"):
            getattr(state, name).load_state_dict(stored[name])
        state.step, state.seconds = stored["step"], stored["seconds"]
        return state, plan, Path(stored["tokens"])


def progress(state: State, plan: Plan) -> float:
    """How much of the run is done, 0 to 1: by steps, or by its own running time."""
    return state.step / plan.steps if plan.steps else state.seconds / (3600 * (plan.hours or 1.0))


def train_step(state: State, plan: Plan, texts: Texts, frequent: Ids) -> float:
    """One step; returns its loss."""
    done, size = progress(state, plan), state.model.size
    windows = batch(texts, plan, plan.mix_at(done), state.step, size.n_positions + 1)  # [rows, T + 1]
    targets = windows[:, 1:].reshape(-1)  # [rows × T]
    rng = np.random.default_rng([plan.seed, state.step, 1])
    among = everything(size.vocabulary) if plan.is_full(done) else candidates(targets, frequent, plan.n_random, size.vocabulary, rng)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = state.model(torch.from_numpy(windows[:, :-1]))  # [rows, T, d]
    loss = cross_entropy(x.float().flatten(0, 1), state.model.wte.weight, torch.from_numpy(targets), among)
    loss.backward()
    nn.utils.clip_grad_norm_(state.model.parameters(), plan.clip)
    for optimizer, rates in ((state.muon, [plan.muon_rate] * 2), (state.adam, [plan.table_rate, plan.small_rate])):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * plan.rate(state.step, done)
        optimizer.step()
        optimizer.zero_grad()
    state.step += 1
    return float(loss.detach())


@torch.no_grad()
def held_out_loss(model: GPT2, tokens: Tokens, windows: int = 24) -> float:
    """The full loss on some windows of held-out text, evenly spread."""
    length = model.size.n_positions + 1
    starts = np.linspace(0, len(tokens) - length, windows).astype(int)
    rows = torch.from_numpy(np.stack([tokens[s : s + length] for s in starts]).astype(np.int64))
    x = model(rows[:, :-1]).flatten(0, 1)
    return float(cross_entropy(x, model.wte.weight, rows[:, 1:].flatten(), everything(model.size.vocabulary)))


def run(state: State, plan: Plan, tokens: Path, out: Path, every: int = 100) -> Iterator[dict[str, float]]:
    """Trains to the plan's end; every so many steps the state is saved and a line of figures given."""
    names = [name for name in {**plan.mix, **plan.last_mix} if name not in ("passages", "random")]
    texts = Texts.load(tokens, names, state.model.size.n_positions + 1)
    held = {name: np.load(tokens / f"{name}.held.npy") for name in names}
    frequent = by_frequency(texts.tokens, plan.mix)[: plan.frequent]
    losses: list[float] = []
    while (done := progress(state, plan)) < 1:
        began = time.monotonic()
        losses.append(train_step(state, plan, texts, frequent))
        state.seconds += min(time.monotonic() - began, LONGEST_STEP)
        if state.step % every == 0 or progress(state, plan) >= 1:
            state.save(out / "state.pt", plan, tokens)
            seen = state.step * plan.rows * state.model.size.n_positions
            figures = {"step": state.step, "tokens": seen, "minutes": state.seconds / 60, "rate": plan.rate(state.step, done)}
            yield figures | {"loss": float(np.mean(losses))} | {name: held_out_loss(state.model, text) for name, text in held.items()}
            losses.clear()


def mix(text: str) -> dict[str, float]:
    """`tales=3,general=2` as a dictionary."""
    pairs = [part.split("=") for part in text.split(",")]
    return {name: float(share) for name, share in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tokens", type=Path, nargs="?", help="prepare.py's folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where the state and the log are kept")
    parser.add_argument("--hours", type=float, help="of the run's own time; pauses aren't counted")
    parser.add_argument("--steps", type=int, help="instead of --hours")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--init", type=Path, help="a checkpoint folder to begin with")
    parser.add_argument("--resume", action="store_true", help="go on where the run in --out stopped, as it was planned")
    parser.add_argument("--mix", type=mix, default=mix("tales=30,general=24,teaching=40,passages=4,random=2"))
    parser.add_argument("--last-mix", type=mix, help="from where the decay begins; as --mix where not given")
    for name in ("seed", "rows", "warmup", "decay", "full", "muon_rate", "table_rate", "small_rate"):
        default = getattr(Plan, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.resume:
        state, plan, tokens = State.load(given.out / "state.pt")
    else:
        if given.tokens is None or (given.hours is None) == (given.steps is None):
            parser.error("give the folder of tokens, and one of --hours and --steps; or --resume")
        chosen = {name: getattr(given, name) for name in Plan.__dataclass_fields__ if getattr(given, name, None) is not None}
        plan, tokens = Plan(**({"last_mix": given.mix} | chosen)), given.tokens
        state = State.begin(Size(), plan, given.init)
    with (given.out / "log.jsonl").open("a" if given.resume else "w") as log:
        for figures in run(state, plan, tokens, given.out):
            line = json.dumps({name: round(value, 4) for name, value in figures.items()})
            print(line, flush=True)
            print(line, file=log, flush=True)


if __name__ == "__main__":
    main()
