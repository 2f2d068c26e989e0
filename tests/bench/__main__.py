"""python -m tests.bench [--json]: what the engine and the start cost, beside what they are measured against.

Figures are medians of pairs taken in turn, A B A B …, with the spread of the ratios; a peer that isn't installed is named
and left out. A random model of GPT-2 124M's shape is made for the run and removed after it. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.bench import naive
from tests.bench.products import counting
from tests.bench.rivals import rivals
from tests.bench.sweeps import sweeps
from tests.bench.terminal import crowd, keys, memory, pictures
from txexplain.engine.checkpoint import weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.cores import CORES
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.models import bundled_path, load_model

PAIRS = 7
LENGTHS = (1, 8, 32, 128)


def write_random_model(folder: Path, config: GPT2Config | None = None) -> None:
    """A checkpoint with numbers of a trained model's size; by default of GPT-2 124M's shape."""
    rng, config = np.random.default_rng(0), config or GPT2Config()
    shapes = weight_shapes(config, with_head=False)
    tensors = {name: (rng.standard_normal(shape) * 0.02).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")


def pairs(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float, list[float]]:
    """Median milliseconds of both, and the ratio ours ÷ theirs of each pair.

    Each is timed right after a run of its own that doesn't count: where both keep a pool of threads in this process, the one that
    ran last still spins on the cores for a while, and the other would be charged for it.
    """
    times: list[tuple[float, float]] = []
    for _ in range(PAIRS):
        taken = []
        for call in (ours, theirs):
            call()
            start = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - start))
        times.append((taken[0], taken[1]))
    a, b = zip(*times, strict=True)
    return statistics.median(a), statistics.median(b), sorted(x / y for x, y in times)


def limit(model: GPT2, n: int, total: int) -> Callable[[], None]:
    """The matrix products of a forward pass of n tokens after total − n others, and nothing else."""
    rng, c = np.random.default_rng(0), model.config
    x, inner = rng.standard_normal((n, c.n_embd)).astype(np.float32), rng.standard_normal((n, c.n_inner)).astype(np.float32)
    q = rng.standard_normal((c.n_head, n, c.head_dim)).astype(np.float32)
    k = rng.standard_normal((c.n_head, total, c.head_dim)).astype(np.float32)
    pattern = rng.random((c.n_head, n, total)).astype(np.float32)

    def products() -> None:
        for w in model.blocks:
            np.matmul(x, w["attn.c_attn.weight"])
            np.matmul(q, k.transpose(0, 2, 1))
            np.matmul(pattern, k)
            np.matmul(x, w["attn.c_proj.weight"])
            np.matmul(x, w["mlp.c_fc.weight"])
            np.matmul(inner, w["mlp.c_proj.weight"])
        np.matmul(x[-1], model.unembedding.T)

    return products


def full(model: GPT2, ids: list[int]) -> Trace:
    trace = model.forward(ids)
    assert trace is not None
    return trace


def touched(model: GPT2, ids: list[int]) -> None:
    """A forward pass whose every tensor is looked at."""
    trace = model.forward(ids)
    assert trace is not None
    for name in trace.names:
        trace[name].shape  # noqa: B018


def transformers_run(folder: Path, model: GPT2) -> Callable[[list[int]], Any] | None:
    """transformers on the same weights and threads, eager, with attentions and hidden states; None where it isn't installed."""
    try:
        import torch
        from transformers import GPT2LMHeadModel
    except ImportError:
        return None
    theirs = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()

    def run(ids: list[int]) -> Any:
        with torch.no_grad():
            return theirs(torch.tensor([ids]), output_attentions=True, output_hidden_states=True, use_cache=False, logits_to_keep=1)

    ids = list(range(100, 108))
    trace = model.forward(ids)
    assert trace is not None
    error = float(np.abs(run(ids).logits[0, -1].numpy() - trace["logits"]).max())
    assert error < 1e-3, f"the two disagree by {error}"
    return run


def engine(rows: list[dict[str, Any]]) -> None:
    CORES.keep()  # the peers leave no core to others either
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_random_model(folder)
        model = load_model(folder)
        peer = transformers_run(folder, model)
        rng = np.random.default_rng(1)
        for n in LENGTHS:
            ids = rng.integers(0, model.config.vocab_size, n).tolist()
            add(rows, f"full trace, T = {n}", "matrix products alone", pairs(lambda i=ids: touched(model, i), limit(model, n, n)))
            inside(rows, model, n, ids)
            error = float(np.abs(naive.logits(model, ids)[-1] - full(model, ids)["logits"]).max())
            assert error < 1e-2, f"the plain code and the engine disagree by {error}"
            add(
                rows,
                f"full trace, T = {n}",
                "plain NumPy, copied",
                pairs(lambda i=ids: touched(model, i), lambda i=ids: naive.logits(model, i)),
            )
            if peer is not None:
                add(rows, f"full trace, T = {n}", "transformers eager", pairs(lambda i=ids: touched(model, i), lambda i=ids: peer(i)))
        past = model.forward(rng.integers(0, model.config.vocab_size, 63).tolist())
        assert past is not None
        following = [*past.ids, 5]
        add(
            rows,
            "one more token on 63",
            "matrix products alone",
            pairs(lambda: model.forward(following, prefix=past), limit(model, 1, 64)),
        )
        middle = [*past.ids[:31], 7, *past.ids[32:]]
        add(
            rows,
            "the middle of 63 edited",
            "matrix products alone",
            pairs(lambda: model.forward(middle, prefix=past), limit(model, 32, 63)),
        )
        edited = [*past.ids[:-2], 7, 8]
        add(rows, "last 2 of 63 edited", "matrix products alone", pairs(lambda: model.forward(edited, prefix=past), limit(model, 2, 63)))
        if peer is None:
            rows.append({"what": "transformers", "against": "isn't installed: left out"})


def inside(rows: list[dict[str, Any]], model: GPT2, n: int, ids: list[int]) -> None:
    """Which part of a pass is spent inside BLAS, and how long that is beside what its matrix products take alone."""
    alone = limit(model, n, n)
    taken = []
    with counting() as spent:
        for _ in range(PAIRS):
            alone()
            start = time.perf_counter()
            alone()
            products = time.perf_counter() - start
            touched(model, ids)
            spent[0] = 0.0
            begun = time.perf_counter()
            touched(model, ids)
            whole = time.perf_counter() - begun
            taken.append((1000 * whole, spent[0] / whole, spent[0] / products))
    ms, share, slower = (statistics.median(column) for column in zip(*taken, strict=True))
    rows.append({"what": f"full trace, T = {n}", "ms": ms, "share": share, "slower": slower})


def add(rows: list[dict[str, Any]], what: str, against: str, figures: tuple[float, float, list[float]]) -> None:
    ours, theirs, ratios = figures
    middle = statistics.median(ratios)
    rows.append(
        {"what": what, "against": against, "ms": ours, "against_ms": theirs, "ratio": middle, "least": ratios[0], "most": ratios[-1]}
    )


def cpu(arguments: list[str]) -> float:
    """The CPU seconds of a command, the least of several: what it costs where nothing disturbs it."""
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(costs)


def start(rows: list[dict[str, Any]]) -> None:
    for what, arguments in (
        ("python -c pass", ["-c", "pass"]),
        ("txexplain --help", ["-m", "txexplain", "--help"]),
        ("first prediction, bundled model", ["-m", "txexplain", "predict", "Once upon a time"]),
        ("first screen as text, bundled model", ["-m", "txexplain", "render", "Once upon a time", "-o", "/dev/shm/txexplain-bench.txt"]),
    ):
        rows.append({"what": what, "cpu_seconds": cpu(arguments)})


def latencies(rows: list[dict[str, Any]]) -> None:
    for size in ((80, 24), (120, 40), (200, 60)):
        rows += keys(size, ["Once upon a time there was a"])
        rows += pictures(size, "The little fox lost her red ball. She looked everywhere for her red")


def crowds(rows: list[dict[str, Any]]) -> None:
    rows += crowd()
    with tempfile.TemporaryDirectory() as name:
        write_random_model(Path(name))
        rows += rivals(name)


def sessions(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        large, small = Path(name) / "large", Path(name) / "small"
        for folder, config in ((large, GPT2Config()), (small, GPT2Config(n_layer=1, n_head=2, n_embd=8, n_inner=32))):
            folder.mkdir()
            write_random_model(folder, config)
        rows += memory(str(large), str(small))


def effects(rows: list[dict[str, Any]]) -> None:
    CORES.keep()
    sweeps(rows, load_model(), bundled_path(), "storyteller")
    with tempfile.TemporaryDirectory() as name:
        write_random_model(Path(name))
        sweeps(rows, load_model(name), Path(name), "124M")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=("start", "engine", "effects", "keys", "crowd", "memory"), help="one part of it")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    rows: list[dict[str, Any]] = []
    options = parser.parse_args()
    parts = {"start": start, "engine": engine, "effects": effects, "keys": latencies, "crowd": crowds, "memory": sessions}
    for name, part in parts.items():
        if options.only in (None, name):
            part(rows)
    if options.json:
        print(json.dumps(rows))
        return
    print(machine())
    for row in rows:
        print(line(row))


def machine() -> str:
    """What was measured on, with what, and when."""
    cpu = next((x.partition(":")[2].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), "?")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, {blas['name']} {blas['version']}"
    return f"{cpu}, {os.cpu_count()} cores; {versions}; {date.today()}"


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    what = f"{row['what']:31}"
    if "ratio" in row:
        spread = f"{row['ratio']:.2f} ({row['least']:.2f}-{row['most']:.2f})"
        return f"{what} {row['ms']:7.1f} ms  {row['against']:22} {row['against_ms']:7.1f} ms  ratio {spread}"
    if "cells" in row:
        faster = (
            f", {row['faster']:.0f} ({row['least']:.0f}-{row['most']:.0f}) times faster than TransformerLens" if "faster" in row else ""
        )
        return f"{what} {row['ms']:7.1f} ms, {row['cells']} cells for {row['passes']:.1f} passes{faster}"
    if "share" in row:
        inside = f"{100 * row['share']:.0f}% of the time, {row['slower']:.2f} times what they take alone"
        return f"{what} {row['ms']:7.1f} ms  inside BLAS {inside}"
    if "rate" in row:
        return f"{what} {row['ms']:7.1f} ms, all together {row['rate']:.1f} passes a second"
    if "p50" in row and "bytes" not in row:
        return f"{what} next byte p50 {row['p50']:5.1f} p95 {row['p95']:5.1f} ms ({row['keys']} keys)"
    if "p50" in row:
        first = f"first byte p50 {row['first_p50']:5.1f} p95 {row['first_p95']:5.1f} ms"
        return f"{what} {first}, last {row['p50']:5.1f} {row['p95']:5.1f} ms, at most {row['bytes']:6} B ({row['keys']} keys)"
    if "bytes" in row:
        return f"{what} {row['bytes'] / 1e6:7.1f} MB"
    if "ms" in row:
        return f"{what} {row['ms']:7.0f} ms"
    if "cpu_seconds" in row:
        return f"{what} {row['cpu_seconds']:7.3f} s of CPU"
    return f"{what} {row['against']}"


if __name__ == "__main__":
    main()
