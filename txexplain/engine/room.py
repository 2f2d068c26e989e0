"""What a run takes of memory, known from its sizes before it begins, and the sentence where there isn't so much."""

from __future__ import annotations

from math import prod

from txexplain.engine.config import GPT2Config
from txexplain.engine.memory import free_memory
from txexplain.engine.steps import AFTER, BEFORE, STEPS, sizes
from txexplain.files import megabytes

FLOAT, DOUBLE = 4, 8  # bytes
LITTLE = 64 << 20  # bytes that a longer run takes without a question
BLAS = 64 << 20  # what the library of products keeps beside its arguments, and ends the program without
# How many grids [H, n, T] of float32 a block takes for a moment, beside the two that stay: scores before scale and mask, exp.
WORKING = 2
# And how many of [H, T, T] a view of the attention takes, in float64 and with masks.
LOOKING = 6


def run_bytes(config: GPT2Config, n: int, total: int, *, all_logits: bool = False) -> int:
    """What a run of n new tokens, the last of `total`, takes at its most."""
    grid = config.n_head * n * total
    row = {
        each.name: prod(sizes(each.letters, config, 1)) for each in STEPS if "attn_scores" not in each.name and "pattern" not in each.name
    }
    block = 2 * grid + n * (sum(row.values()) - row["resid_pre"])  # what enters a block is what left the one before
    ends = n * sum(prod(sizes(letters, config, 1)) for name, letters in (BEFORE | AFTER).items() if name != "logits")
    logits = config.vocab_size * (total if all_logits else 1)
    working = WORKING * grid + 3 * n * total + 4 * n * config.n_inner
    return FLOAT * (config.n_layer * block + ends + logits + working)


def look_bytes(config: GPT2Config, total: int) -> int:
    """What views of a run's attention take: of one block its grids, of all blocks the shares that flow."""
    return FLOAT * LOOKING * config.n_head * total * total + DOUBLE * config.n_layer * total * total


def lack_for_run(config: GPT2Config, n: int, total: int, name: str, *, all_logits: bool = False) -> str | None:
    """The sentence that says why a run won't be begun; None where there is room for it."""
    needed = run_bytes(config, n, total, all_logits=all_logits) + BLAS
    free = free_memory() if n == total or needed > LITTLE + BLAS else None
    if free is None or needed <= free:
        return None
    most = longest(config, free - BLAS, all_logits=all_logits)
    remedy = f"shorten the prompt to {most:,} tokens" if most else "close other programs, or open a smaller model"
    return f"A run of {total:,} tokens through {name} needs {megabytes(needed)} of memory, and {megabytes(free)} are free; {remedy}."


def longest(config: GPT2Config, free: int, *, all_logits: bool = False) -> int:
    """The most tokens that can be run at once in so much memory."""
    low, high = 0, config.n_positions
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if run_bytes(config, middle, middle, all_logits=all_logits) <= free else (low, middle - 1)
    return low


def lack_for_look(config: GPT2Config, total: int, recorded: int) -> str | None:
    """Half a sentence where the grids of a recorded run, of so many bytes, can't be looked at; None where there is room."""
    needed = recorded + look_bytes(config, total)
    free = free_memory() if needed > LITTLE else None
    if free is None or needed <= free:
        return None
    return f"the attention of {total:,} tokens takes {megabytes(needed)} of memory, and {megabytes(free)} are free; record fewer tokens"
