"""Trains a small GPT-2 from the token files that prepare.py wrote, on a CPU or on one CUDA device.

    python -m weights.recipe.train --resume                         # goes on where the run stopped; begins one where there is none
    python -m weights.recipe.train --resume --decay-tokens 4e6      # ends it: the rate falls to nothing, in a file beside it
    python -m weights.recipe.train TOKENS -o gpu --hours 0.15 --rows 256 --softmax full --compile  # ten minutes on a large GPU

Three things make it fit into hours on a laptop:

- **Sampled softmax.** The last product, with 50,257 columns, costs more than all blocks together. Most steps compare the right token
  only with the most frequent ones, the batch's own and a few others by chance, which stand for the rest.
- **Muon** for the matrices of the blocks (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): the momentum is made orthogonal
  before it is added, so that a step turns every direction by as much. AdamW for all else.
- **Warm-up, stable, decay** (Hu et al. 2024, arXiv:2404.06395): how long the run is to be needs deciding only when the decay begins.

A step's batch hangs on nothing but the seed and the step's number, so a run that was stopped goes on as if it hadn't been: to the same
bits on the same kind of machine with as many threads. SIGTERM or Ctrl+C ends it after the step that is being taken, and loses nothing;
SIGSTOP and SIGCONT pause it. Its process id is in the file `pid` of its folder.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

# GNU OpenMP's threads spin for milliseconds where they wait for each other; on a machine that does other things too, that halves the speed.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS need not give the same bits twice

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from weights.recipe.batches import (
    LAST_MIX,
    MIX,
    VOCABULARY,
    Decay,
    Ids,
    Plan,
    Texts,
    Tokens,
    batch,
    by_frequency,
    candidates,
    everything,
    mix,
)

PREFIX = "transformer."  # before every name in the checkpoint file
LONGEST_STEP = 60.0  # seconds; what is longer was a pause of the machine or of the process, not work
BUNDLED = Path(__file__).parents[1] / "storyteller"
CACHE = Path.home() / ".cache" / "txexplain-train"


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
    """`fused` leaves the scores' making and weighing to one kernel, which keeps no [T, T] matrix."""

    def __init__(self, size: Size, fused: bool = True) -> None:
        super().__init__()
        self.n_head, self.fused = size.n_head, fused
        self.c_attn = Projection(size.n_embd, 3 * size.n_embd, 0.02)
        self.c_proj = Projection(size.n_embd, size.n_embd, 0.02 / math.sqrt(2 * size.n_layer))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for t in self.c_attn(x).chunk(3, dim=-1))  # [B, H, T, dh] each
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True) if self.fused else attended(q, k, v)  # [B, H, T, dh]
        return self.c_proj(z.transpose(1, 2).flatten(2))  # [B, T, d]


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention step by step. Shapes: three times [B, H, T, dh] -> [B, H, T, dh]."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # [B, H, T, T]
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1).to(v.dtype) @ v


class MLP(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.c_fc = Projection(size.n_embd, 4 * size.n_embd, 0.02)
        self.c_proj = Projection(4 * size.n_embd, size.n_embd, 0.02 / math.sqrt(2 * size.n_layer))

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, size: Size, fused: bool) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(size.n_embd), Attention(size, fused)
        self.ln_2, self.mlp = nn.LayerNorm(size.n_embd), MLP(size)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """Token ids [B, T] to the last norm's output [B, T, d]; the logits are its product with `wte.weight`, which the loss forms."""

    def __init__(self, size: Size, fused: bool = True) -> None:
        super().__init__()
        self.size = size
        self.wte = nn.Embedding(size.vocabulary, size.n_embd)
        self.wpe = nn.Embedding(size.n_positions, size.n_embd)
        nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.01)
        self.h = nn.ModuleList(Block(size, fused) for _ in range(size.n_layer))
        self.ln_f = nn.LayerNorm(size.n_embd)

    def forward(self, ids: Tensor) -> Tensor:
        return self.blocks(self.embedded(ids, self.wte.weight))

    def embedded(self, ids: Tensor, table: Tensor) -> Tensor:
        """Shapes: ids [B, T], which count the rows of table [S, d] -> [B, T, d]."""
        return F.embedding(ids, table) + self.wpe.weight[: ids.shape[1]]

    def blocks(self, x: Tensor) -> Tensor:
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


# The loss.


class CrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of x · tableᵀ + bias, row chunk by row chunk: no more logits than a chunk's are ever kept.

    The gradients are formed on the way, in the same pass: softmax less one at the target. The products are in x's own precision, all
    else in fp32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, bias: Tensor, target: Tensor, rows: int) -> Tensor:
        """Shapes: x [N, d], table [S, d], bias [S], target [N] (places in the table) -> a number."""
        n, low = len(x), table.to(x.dtype)
        loss, to_x, to_table = bias.new_zeros(()), torch.empty_like(x), torch.zeros_like(table)
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            softmax, nats = chunk(x[part], low, bias, target[part])
            loss += nats.sum()
            softmax[torch.arange(len(softmax), device=x.device), target[part]] -= 1
            gradient = softmax.to(x.dtype)  # [rows, S]
            to_x[part] = gradient @ low
            to_table += gradient.T @ x[part]
        ctx.save_for_backward(to_x.div_(n), to_table.div_(n))
        return loss / n

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        to_x, to_table = ctx.saved_tensors
        return (outer[0] * to_x).to(to_x.dtype), outer[0] * to_table, None, None, None


def chunk(x: Tensor, table: Tensor, bias: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities of some rows, and the targets' losses: [rows, S], [rows, 1]."""
    logits = F.linear(x, table).float().add_(bias)
    right, most = logits.gather(1, target[:, None]), logits.amax(1, keepdim=True)
    shares = logits.sub_(most).exp_()
    total = shares.sum(1, keepdim=True)
    return shares.div_(total), total.log() + most - right


def cross_entropy(x: Tensor, table: Tensor, target: Tensor, bias: Tensor, rows: int = 256) -> Tensor:
    """The mean loss of predicting the targets, which are places in the table. Shapes: x [N, d], table [S, d], target [N], bias [S]
    (the logarithm of how many tokens a row stands for) -> a number."""
    if torch.is_grad_enabled():
        return CrossEntropy.apply(x, table, bias, target, rows)
    low, parts = table.to(x.dtype), zip(x.split(rows), target.split(rows), strict=True)
    return torch.stack([chunk(x_part, low, bias, target_part)[1].sum() for x_part, target_part in parts]).sum() / len(x)


# The optimisers.


def orthogonalized(m: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """The nearest matrices of orthogonal rows or columns, nearly: five Newton–Schulz steps push all singular values towards 1.
    Shapes: [..., m, n], the same back."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = m.to(dtype) / (m.norm(dim=(-2, -1), keepdim=True) + 1e-7).to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(m.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal. `pieces` of a group cuts its matrices into that many side by side: c_attn is q, k and v."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95, weight_decay: float = 0.02) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "pieces": 1})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for shape in sorted({p.shape for p in group["params"]}):  # those of a shape in one product
                alike = [p for p in group["params"] if p.shape == shape]
                ahead = torch.stack([self.ahead(p, group["momentum"]) for p in alike])  # [n, in, out]
                updates = torch.cat([orthogonalized(piece) for piece in ahead.chunk(group["pieces"], dim=2)], dim=2)
                n_in, n_out = shape
                for p, update in zip(alike, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * max(1, n_out / group["pieces"] / n_in) ** 0.5)

    def ahead(self, p: Tensor, share: float) -> Tensor:
        """Nesterov's momentum."""
        momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
        momentum.lerp_(p.grad, 1 - share)
        return p.grad.lerp(momentum, share)


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


# The run.


@dataclass
class State:
    """Everything that a run needs in order to go on."""

    model: GPT2
    muon: Muon
    adam: torch.optim.AdamW
    blocks: Callable[[Tensor], Tensor]  # the model's, compiled where that is wished
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    decay: Decay | None = None

    @property
    def device(self) -> torch.device:
        return self.model.wte.weight.device

    def save(self, path: Path, plan: Plan, tokens: Path) -> None:
        """In one piece, or not at all: a file half written is never left behind."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "muon", "adam")}
        numbers = {name: getattr(self, name) for name in ("step", "tokens", "seconds")}
        written = {"plan": asdict(plan), "size": asdict(self.model.size), "texts": str(tokens), "decay": self.decay and asdict(self.decay)}
        with (aside := path.with_suffix(".part")).open("wb") as f:
            torch.save(parts | numbers | written, f)
            f.flush()
            os.fsync(f.fileno())
        aside.replace(path)

    @staticmethod
    def begin(size: Size, plan: Plan, init: Path | None = None, device: str = "cpu", compiled: bool = False) -> State:
        """New weights by the plan's seed, or those of a checkpoint folder; a position that the checkpoint lacks begins as its last one."""
        torch.manual_seed(plan.seed)
        model = GPT2(size, fused=plan.attention == "fused")
        if init is not None:
            stored = {name.removeprefix(PREFIX): t.float() for name, t in load_file(init / "model.safetensors").items()}
            known = stored["wpe.weight"]
            stored["wpe.weight"] = torch.cat([known, known[-1:].expand(max(0, size.n_positions - len(known)), -1)])[: size.n_positions]
            model.load_state_dict(stored)
        model.to(device)
        return State(model, *optimizers(model, plan), torch.compile(model.blocks) if compiled else model.blocks)

    @staticmethod
    def load(path: Path, device: str = "cpu", compiled: bool = False, **changes: Any) -> tuple[State, Plan, Path]:
        """A stored state, its plan with some changes, and where its tokens are."""
        stored = torch.load(path, map_location=device, weights_only=True)
        plan = replace(Plan(**stored["plan"]), **changes)
        state = State.begin(Size(**stored["size"]), plan, device=device, compiled=compiled)
        for name in ("model", "muon", "adam"):
            getattr(state, name).load_state_dict(stored[name])
        state.step, state.tokens, state.seconds = stored["step"], stored["tokens"], stored["seconds"]
        state.decay = Decay(**stored["decay"]) if stored["decay"] else None
        return state, plan, Path(stored["texts"])


def on(device: torch.device, numbers: NDArray[Any]) -> Tensor:
    """The numbers there; to a GPU, while it is still busy with what came before."""
    t = torch.from_numpy(np.ascontiguousarray(numbers))
    return t.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else t


def train_step(state: State, plan: Plan, texts: Texts, frequent: Ids) -> Tensor:
    """One step; returns its loss."""
    wte, size, device = state.model.wte.weight, state.model.size, state.device
    windows = batch(texts, plan, plan.mix_at(state.decay), state.step, size.n_positions + 1)  # [rows × accumulate, T + 1]
    full = plan.is_full(state.step, state.decay)
    rng = np.random.default_rng([plan.seed, state.step, 1])
    among = everything(size.vocabulary) if full else candidates(windows, frequent, plan.n_random, size.vocabulary, rng)
    rows, bias = on(device, among.ids), on(device, np.log(among.count))
    # Only the rows of the table that the step needs get a gradient; the rest of the table's is nothing.
    table = wte if full else wte.detach()[rows].requires_grad_()  # [S, d]
    places = on(device, windows if full else among.places(windows, size.vocabulary))
    total = torch.zeros((), device=device)
    for part in places.split(plan.rows):
        loss = loss_of(state, plan, part, table, bias) / plan.accumulate
        loss.backward()
        total += loss.detach()
    if not full:
        wte.grad = torch.zeros_like(wte) if wte.grad is None else wte.grad.zero_()
        wte.grad[rows] = table.grad
    nn.utils.clip_grad_norm_(state.model.parameters(), plan.clip)
    for optimizer, rates in ((state.muon, [plan.muon_rate] * 2), (state.adam, [plan.table_rate, plan.small_rate])):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * plan.rate(state.step, state.decay)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    state.step += 1
    state.tokens += windows[:, 1:].size
    return total


def loss_of(state: State, plan: Plan, places: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """The mean loss of some windows, whose tokens are given as places in the table. Shapes: places [rows, T + 1] -> a number."""
    low = plan.precision == "bf16"
    with torch.autocast(state.device.type, dtype=torch.bfloat16, enabled=low):
        x = state.blocks(state.model.embedded(places[:, :-1], table))  # [rows, T, d]
    x = x.to(torch.bfloat16 if low else torch.float32).flatten(0, 1)
    return cross_entropy(x, table, places[:, 1:].flatten(), bias, plan.chunk)


@torch.no_grad()
def held_out_loss(state: State, plan: Plan, tokens: Tokens, windows: int = 24) -> float:
    """The full loss on some windows of held-out text, evenly spread."""
    length = state.model.size.n_positions + 1
    starts = np.linspace(0, len(tokens) - length, windows).astype(int)
    rows = on(state.device, np.stack([tokens[s : s + length] for s in starts]).astype(np.int64))
    bias = torch.zeros(state.model.size.vocabulary, device=state.device)
    return float(torch.stack([loss_of(state, plan, part, state.model.wte.weight, bias) for part in rows.split(8)]).mean())


class Stopped(Exception):
    """The process was asked to end."""


def run(state: State, plan: Plan, tokens: Path, path: Path, every: float = 600.0) -> Iterator[dict[str, float]]:
    """Trains to the plan's end; every so many seconds the state is saved and a line of figures given, and where the process is stopped."""
    length = state.model.size.n_positions
    texts = Texts.load(tokens, plan.files, length + 1)
    held = {name: np.load(tokens / f"{name}.held.npy") for name in plan.files}
    frequent = by_frequency(texts.tokens, plan.mix)[: plan.frequent]
    losses: list[Tensor] = []
    saved, tokens_then, seconds_then = state.seconds, state.tokens, state.seconds

    def figures() -> dict[str, float]:
        numbers = {
            "step": state.step,
            "tokens": state.tokens,
            "minutes": state.seconds / 60,
            "rate": plan.rate(state.step - 1, state.decay),
        }
        speed = (state.tokens - tokens_then) / max(state.seconds - seconds_then, 1e-9)
        return numbers | {
            "rate": plan.rate(state.step - 1, state.decay),
            "tokens a second": speed,
            "loss": float(torch.stack(losses).mean()),
        }

    with stopping() as is_stopped:
        while True:
            began = time.monotonic()
            state.decay = state.decay or plan.begins_decay(state.step, state.seconds, length)
            if state.decay and state.step >= state.decay.last:
                return
            losses.append(train_step(state, plan, texts, frequent))
            if len(losses) % 20 == 0:
                float(losses[-1])  # a GPU is waited for, so that the clock isn't far ahead of it
            state.seconds += min(time.monotonic() - began, LONGEST_STEP)
            if is_stopped() or state.seconds - saved >= every or (state.decay and state.step >= state.decay.last):
                line = figures()
                state.save(path, plan, tokens)
                if is_stopped():
                    yield line
                    return
                yield line | {name: held_out_loss(state, plan, text) for name, text in held.items()}
                losses.clear()
                saved, tokens_then, seconds_then = state.seconds, state.tokens, state.seconds


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl+C has come; the step that is being taken ends first."""
    came: list[int] = []
    kept = {kind: signal.signal(kind, lambda kind, _: came.append(kind)) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for kind, handler in kept.items():
            signal.signal(kind, handler)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps the process's id in the folder's `pid`. Two processes never train in one folder."""
    with (folder / "pid").open("a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            f.seek(0)
            sys.exit(
                f"{folder}: process {f.read().strip()} is training here already; stop it with kill, or give another folder with --out."
            )
        f.truncate(0)
        f.write(f"{os.getpid()}\n")
        f.flush()
        try:
            yield
        finally:
            f.truncate(0)


def opened(given: argparse.Namespace, changes: Mapping[str, Any]) -> tuple[State, Plan, Path, Path]:
    """The state to begin with, its plan, the folder of its tokens, and the file to save it in."""
    where: dict[str, Any] = {"device": given.device, "compiled": given.compile}
    stable, decayed = given.out / "state.pt", given.out / "decayed.pt"
    if not (given.resume and stable.exists()):
        if given.device == "cuda":
            changes = {"chunk": 8192, "attention": "fused", **changes}
        plan = Plan(**{"mix": mix(MIX), "last_mix": changes.get("mix", mix(LAST_MIX)), **changes})
        state = State.begin(Size(n_positions=given.context), plan, None if given.scratch else given.init, **where)
        return state, plan, given.tokens_folder or given.out / "tokens", stable
    state, plan, tokens = State.load(stable, **where, **changes)
    tokens = given.tokens_folder or tokens
    if given.decay_tokens is None:
        return state, plan, tokens, stable
    if decayed.exists():
        begun = State.load(decayed, **where, **changes)[0]
        if begun.decay and begun.decay.first == state.step and begun.step < begun.decay.last:
            return begun, plan, tokens, decayed
    a_step = plan.rows * plan.accumulate * state.model.size.n_positions
    state.decay = Decay(state.step, state.step + math.ceil(given.decay_tokens / a_step))
    return state, plan, tokens, decayed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tokens_folder", type=Path, nargs="?", metavar="TOKENS", help="prepare.py's folder; OUT/tokens where not given")
    parser.add_argument("-o", "--out", type=Path, default=CACHE, help="where state, log and process id are kept (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on where the run in OUT stopped; begin one where there is none")
    parser.add_argument("--decay-tokens", type=float, metavar="N", help="with --resume: end the run in so many tokens, in OUT/decayed.pt")
    parser.add_argument("--init", type=Path, default=BUNDLED, help="a checkpoint folder to begin with (default: %(default)s)")
    parser.add_argument("--scratch", action="store_true", help="begin with chance instead")
    parser.add_argument("--context", type=int, default=Size.n_positions, help="positions of a new run (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="let torch.compile fuse the blocks; the first step takes a minute")
    parser.add_argument(
        "--every", type=float, default=600.0, metavar="SECONDS", help="between two states that are saved (default: %(default)g)"
    )
    of_plan = parser.add_argument_group("the plan, kept with the run; given with --resume, an option changes it from there on")
    of_plan.add_argument("--mix", type=mix, help=f"shares of the batches (default: {MIX})")
    of_plan.add_argument("--last-mix", type=mix, help=f"in the decay (default: {LAST_MIX})")
    of_plan.add_argument(
        "--tokens", type=float, help="the run's length, decay included; without it and --hours it goes on until it is stopped"
    )
    of_plan.add_argument("--hours", type=float, help="the length by the run's own time; pauses aren't counted")
    choices = {"softmax": ("sampled", "full"), "precision": ("bf16", "fp32"), "attention": ("fused", "plain")}
    for field in fields(Plan):
        if field.name not in ("mix", "last_mix", "tokens", "hours"):
            kind = type(field.default)
            said = f"(default: {field.default})"
            of_plan.add_argument(f"--{field.name.replace('_', '-')}", type=kind, choices=choices.get(field.name), help=said)
    given = parser.parse_args()
    changes = {f.name: getattr(given, f.name) for f in fields(Plan) if getattr(given, f.name) is not None}
    if given.decay_tokens is not None and not given.resume:
        parser.error("--decay-tokens ends a run that is there: give --resume too, or --tokens or --hours for a new one")
    torch.set_num_threads(given.threads)
    if given.device == "cuda":  # the same bits twice; where an operation can't, PyTorch warns
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    given.out.mkdir(parents=True, exist_ok=True)
    with alone(given.out):
        state, plan, tokens, path = opened(given, changes)
        if lacking := [name for name in plan.files if not (tokens / f"{name}.train.npy").exists()]:
            sys.exit(f"{tokens} has no tokens of {', '.join(lacking)}: prepare them with python -m weights.recipe.prepare")
        with (given.out / "log.jsonl").open("a") as log:
            for figures in run(state, plan, tokens, path, given.every):
                line = json.dumps({name: round(value, 4) for name, value in figures.items()})
                print(line, flush=True)
                print(line, file=log, flush=True)


if __name__ == "__main__":
    main()
