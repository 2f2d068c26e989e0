"""Measures a checkpoint on what it wasn't trained on, with txexplain's own NumPy engine: no PyTorch needed.

    python -m weights.recipe.evaluate weights/storyteller /tmp/storyteller/tokens

Prints Markdown, which the model card repeats word for word, or JSON. The same checkpoint and texts give the same figures but for the last
digit, which depends on the machine's matrix products.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txexplain import distribution, load_model
from txexplain.engine.measures import head_measures
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import draw, uniform
from weights.recipe.teaching import Probe, probes

Ids = NDArray[np.int64]
END_OF_TEXT = 50256
CONTEXT = 128  # a token of a long text counts with so many before it
PROMPTS = (
    "Once upon a time there was a",
    "The prince and the princess lived",
    "The cat sat on the",
    "The old king had three",
    "The capital of Norway is",
    "Data visualization empowers users to",
    "As the spaceship was approaching the",
    "Zorbl gave me a frimp. Zorbl gave me a",
)
SAMPLED = (
    "Once upon a time there was a",
    "The old king had three",
    "It was late in the evening when the carriage",
    "Data visualization empowers users to",
)


@dataclass(frozen=True)
class Text:
    """How well held-out text is foretold."""

    name: str
    tokens: int
    loss: float  # nats a token
    perplexity: float
    bits_per_byte: float
    top1: float


@dataclass(frozen=True)
class Skill:
    """How well a skill's questions are answered; each is about a combination that training never had."""

    name: str
    questions: int
    accuracy: float  # the right word is likelier than the wrong one
    difference: float  # of their logits, on average
    top1: float  # the right word's first token is the likeliest of all
    whole: float  # each of its tokens is, after those before it


@dataclass(frozen=True)
class Heads:
    """Random common tokens, said twice: which heads find the earlier copy, and what that does for the loss."""

    induction: dict[str, float]
    previous: dict[str, float]
    first_copy: float  # nats a token
    second_copy: float


@dataclass(frozen=True)
class Report:
    sha256: str
    texts: list[Text]
    skills: list[Skill]
    heads: Heads
    unseen_mass: float  # the probability of all tokens together that the texts never have
    next_tokens: dict[str, list[tuple[str, float]]]
    samples: dict[str, str]


def documents(stream: NDArray[np.uint16]) -> list[Ids]:
    """A token stream cut at each <|endoftext|>."""
    ends = np.flatnonzero(stream == END_OF_TEXT)
    return [part[1:].astype(np.int64) for part in np.split(stream, ends) if len(part) > 2]


def windows(document: Ids, length: int, context: int) -> Iterator[tuple[Ids, int]]:
    """Windows of a document, and from which token on each counts, so that every token from the `context`-th on counts once."""
    counted = max(context, 1)
    while counted < len(document):
        start = max(0, counted - max(context, 1))
        window = document[start : start + length]
        yield window, counted - start
        counted = start + len(window)


def log_probabilities(model: GPT2, ids: Sequence[int], first: int) -> NDArray[np.float32]:
    """The log-probabilities that foretell the tokens from `first` on. Shapes: -> [T − first, V]."""
    trace = model.forward(ids)
    assert trace is not None
    logits = trace["ln_final.normalized"][first - 1 : -1] @ model.unembedding.T  # [T − first, V]
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def text(model: GPT2, name: str, stream: NDArray[np.uint16], limit: int, context: int) -> Text:
    """A held-out text's figures, over at most so many windows, evenly spread."""
    found = [w for d in documents(stream) for w in windows(d, model.config.n_positions, context)]
    chosen = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(limit, len(found))).astype(int))]
    nats, right, n, n_bytes = 0.0, 0, 0, 0
    for ids, first in chosen:
        logs = log_probabilities(model, ids.tolist(), first)  # [n, V]
        targets = ids[first:]
        nats -= float(logs[np.arange(len(targets)), targets].sum(dtype=np.float64))
        right += int((logs.argmax(axis=1) == targets).sum())
        n += len(targets)
        n_bytes += sum(len(model.tokenizer.token_bytes(i)) for i in targets.tolist())
    return Text(name, n, nats / n, math.exp(nats / n), nats / math.log(2) / n_bytes, right / n)


def skill(model: GPT2, name: str, questions: Sequence[Probe]) -> Skill:
    """The right word and the wrong one are compared by their first tokens; where these are the same one, nothing is asked."""
    differences, best, whole = [], [], []
    for probe in questions:
        answer, wrong = (model.tokenizer.encode(word) for word in (probe.answer, probe.wrong))
        if answer[0] == wrong[0]:
            continue
        prompt = model.tokenizer.encode(probe.prompt)[-(model.config.n_positions - len(answer) + 1) :]
        logs = log_probabilities(model, [*prompt, *answer], len(prompt))  # [tokens of the answer, V]
        likeliest = logs.argmax(axis=1) == answer
        differences.append(float(logs[0, answer[0]] - logs[0, wrong[0]]))
        best.append(bool(likeliest[0]))
        whole.append(bool(likeliest.all()))
    accuracy = float(np.mean(np.array(differences) > 0))
    return Skill(name, len(best), accuracy, float(np.mean(differences)), float(np.mean(best)), float(np.mean(whole)))


def heads(model: GPT2, common: Ids, sequences: int = 8, length: int = 60) -> Heads:
    """Measured as the app's atlas measures heads."""
    found, losses = [], []
    for seed in range(sequences):
        half = np.random.default_rng(seed).choice(common, length, replace=False)
        ids = np.concatenate([half, half]).tolist()
        trace = model.forward(ids)
        assert trace is not None
        found.append(head_measures(trace, model.config.n_layer, model.config.n_head))
        logs = log_probabilities(model, ids, 1)
        losses.append(-logs[np.arange(2 * length - 1), ids[1:]])
    nats = np.mean(losses, axis=0)
    strongest = {}
    for kind in ("induction", "previous"):
        scores = np.mean([m.of(kind) for m in found], axis=0)  # [L, H]
        order = np.argsort(-scores, axis=None)[:6]
        strongest[kind] = {f"L{i // model.config.n_head}H{i % model.config.n_head}": float(scores.flat[i]) for i in order}
    return Heads(strongest["induction"], strongest["previous"], float(nats[: length - 1].mean()), float(nats[length:].mean()))


def unseen_mass(model: GPT2, seen: NDArray[np.bool_], stream: NDArray[np.uint16]) -> float:
    """How likely the tokens that no text has are, all together, on average over some windows."""
    chosen = documents(stream)[:12]
    masses = [np.exp(log_probabilities(model, d[: model.config.n_positions].tolist(), 1))[:, ~seen].sum(axis=1) for d in chosen]
    return float(np.concatenate(masses).mean())


def likeliest(model: GPT2, prompt: str, n: int = 4) -> list[tuple[str, float]]:
    trace = model.forward(model.prompt_ids(prompt))
    assert trace is not None
    dist = distribution(trace["logits"])
    return [(model.tokenizer.decode([int(i)]), float(dist.probability[i])) for i in dist.order[:n]]


def sample(model: GPT2, prompt: str, tokens: int = 70, temperature: float = 0.7, top_k: int = 40, seed: int = 0) -> str:
    """What the app writes with these settings and this seed."""
    ids, trace = model.prompt_ids(prompt), None
    for _ in range(tokens):
        trace = model.forward(ids, prefix=trace)
        assert trace is not None
        ids.append(draw(distribution(trace["logits"], temperature, top_k=top_k), uniform(seed, len(ids))))
        if ids[-1] == END_OF_TEXT:
            break
    return model.tokenizer.decode([i for i in ids if i != END_OF_TEXT])


def report(checkpoint: Path, tokens: Path, limit: int, each: int) -> Report:
    """Everything, for a checkpoint folder and prepare.py's folder of tokens."""
    model = load_model(checkpoint)
    held = {path.name.split(".")[0]: np.load(path) for path in sorted(tokens.glob("*.held.npy"))}
    counts = sum(np.bincount(np.load(path), minlength=model.config.vocab_size) for path in tokens.glob("*.npy"))
    asked: dict[str, list[Probe]] = {}
    for probe in probes(each):
        asked.setdefault(probe.skill, []).append(probe)
    return Report(
        sha256=hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest(),
        # Made texts are short: they count from their second token.
        texts=[text(model, name, stream, limit, 1 if name == "teaching" else CONTEXT) for name, stream in held.items()],
        skills=[skill(model, name, questions) for name, questions in asked.items()],
        heads=heads(model, np.argsort(-np.asarray(counts), kind="stable")[:500]),
        unseen_mass=unseen_mass(model, np.asarray(counts) > 0, next(iter(held.values()))),
        next_tokens={prompt: likeliest(model, prompt) for prompt in PROMPTS},
        samples={prompt: sample(model, prompt) for prompt in SAMPLED},
    )


def table(*columns: str) -> list[str]:
    """The head of a Markdown table."""
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def markdown(r: Report) -> str:
    """The report as the model card shows it."""
    lines = [f"`model.safetensors`: sha256 `{r.sha256}`", ""]
    lines += table("held-out text", "tokens", "loss, nats a token", "perplexity", "bits a byte", "likeliest token is right")
    lines += [f"| {t.name} | {t.tokens:,} | {t.loss:.3f} | {t.perplexity:.1f} | {t.bits_per_byte:.3f} | {t.top1:.1%} |" for t in r.texts]
    lines += [
        "",
        *table(
            "skill, unseen combinations",
            "questions",
            "right above wrong",
            "logit difference",
            "right one likeliest of all",
            "with all its tokens",
        ),
    ]
    lines += [f"| {s.name} | {s.questions} | {s.accuracy:.0%} | {s.difference:+.1f} | {s.top1:.0%} | {s.whole:.0%} |" for s in r.skills]
    for kind, scores in (("Induction", r.heads.induction), ("Previous token", r.heads.previous)):
        lines += ["", f"{kind}, attention's share: " + ", ".join(f"{head} {score:.2f}" for head, score in scores.items()) + "."]
    lines += ["", f"Random common tokens: {r.heads.first_copy:.2f} nats a token, said again {r.heads.second_copy:.2f}."]
    lines += [f"Tokens that no text has: {r.unseen_mass:.1e} of the probability.", "", *table("prompt", "next token")]
    lines += [f"| {prompt} | " + ", ".join(f"`{t}` {p:.1%}" for t, p in found) + " |" for prompt, found in r.next_tokens.items()]
    lines += ["", "Samples, temperature 0.7, top-k 40, seed 0:"]
    for written in r.samples.values():
        lines += ["", *(f"> {line}".rstrip() for line in written.splitlines())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a checkpoint folder")
    parser.add_argument("tokens", type=Path, help="prepare.py's folder")
    parser.add_argument("--windows", type=int, default=250, help="at most so many windows of 256 tokens a text")
    parser.add_argument("--questions", type=int, default=100, help="a skill")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = report(given.checkpoint, given.tokens, given.windows, given.questions)
    print(json.dumps(asdict(found), indent=1, ensure_ascii=False) if given.json else markdown(found))


if __name__ == "__main__":
    main()
