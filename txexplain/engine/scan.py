"""A prompt's strongest effects of all kinds in one table."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from txexplain.engine.effects import contrast, sweep
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.plans import MEAN, PARTS, PATCHED, Stop, plan
from txexplain.engine.reference import Reference
from txexplain.engine.sampling import highest
from txexplain.engine.trace import Trace

NEURONS = 16  # of each block that are tried: those that add most
EDGES = 32  # tokens up to which every edge is cut; of a longer prompt those of the last query


@dataclass(frozen=True)
class Finding:
    """One effect of a scan."""

    of: str  # "heads", "edges", …
    place: str  # "L4H3", "[13,1]", …
    to: str
    change: float  # M(with) − M(without)
    probability: float  # the same of the answer's probability
    do: tuple[Intervention, ...]


@dataclass(frozen=True)
class Scan:
    """A run's strongest effects of all kinds, the largest first."""

    answer: int
    against: int | None
    without: float
    findings: tuple[Finding, ...]
    tried: tuple[str, ...]  # what was swept, "neurons L5 (16 of 1024)" where not all were
    done: bool


def scan(
    model: GPT2,
    trace: Trace,
    *,
    to: str | float | Reference = MEAN,
    donor: Trace | None = None,
    answer: int | str | None = None,
    against: int | str | None = None,
    n: int = 10,
    should_stop: Stop = None,
) -> Iterator[Scan]:
    """The n strongest effects of all kinds, as they come: told after each kind, the last with `done`.

    Heads, MLPs and attentions and of each block the 16 neurons that add most are set to `to`; rows and edges are cut; with a donor,
    streams are patched by row and heads' z, q, k, v and pattern (of runs of one length). See effects for the rest, and what it raises.
    """
    a, b = contrast(model, trace, answer, against)
    findings: list[Finding] = []
    tried: list[str] = []
    swept = list(kinds(model, trace, donor))
    for number, (of, only) in enumerate(swept, 1):
        given = donor if of in PATCHED else None
        planned = plan(model, trace, of, to=to if of.split()[0] in PARTS else None, donor=given, only=only, should_stop=should_stop)
        told = sweep(model, trace, planned, donor=given, answer=a, against=b, probability=True, should_stop=should_stop)
        last = deque(told, maxlen=1).pop()
        if last.done < last.total:
            return
        assert last.probability is not None
        findings += [
            Finding(of.split()[0], planned.place(cell), last.to, float(last.change[cell]), float(last.probability[cell]), planned.do(cell))
            for cell in last.strongest(n)
        ]
        findings = sorted(findings, key=lambda each: -abs(each.change))[:n]
        tried.append(of if only is None else f"{of} ({len(only)} of {model.config.n_inner})")
        yield Scan(a, b, last.without, tuple(findings), tuple(tried), number == len(swept))


def kinds(model: GPT2, trace: Trace, donor: Trace | None) -> Iterator[tuple[str, list[int] | None]]:
    """What a scan sweeps, what takes least first; and of neurons which."""
    yield from ((of, None) for of in ("mlps", "attns", "heads", "rows"))
    if donor is not None:
        yield from ((of, None) for of in PATCHED if of != "pattern" or donor.n_tokens == trace.n_tokens)
    yield ("edges" if trace.n_tokens <= EDGES else f"edges [{trace.n_tokens - 1}]"), None
    for layer in reversed(range(model.config.n_layer)):
        yield f"neurons L{layer}", loudest(model, trace, layer)


def loudest(model: GPT2, trace: Trace, layer: int) -> list[int]:
    """The neurons of a block that add most to any row: the largest |post| times the length of what they write."""
    weight = model.blocks[layer]["mlp.c_proj.weight"]  # [m, d]
    added = np.abs(trace[f"blocks.{layer}.mlp.post"]).max(axis=0) * np.sqrt(np.vecdot(weight, weight))  # [m]
    return highest(added, NEURONS)
