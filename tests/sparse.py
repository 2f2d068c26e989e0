"""Files that claim much and hold little, and a process that has only so much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

from txexplain.engine.checkpoint import weight_shapes
from txexplain.engine.config import GPT2Config

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}
CONFIG = {"model_type": "gpt2", "vocab_size": 300, "n_positions": 64, "n_embd": 8, "n_layer": 2, "n_head": 2}
# The program with an address space of so many bytes, and little of it for threads that wait.
PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
del sys.argv[1]
from txexplain.cli import main
main()
"""


def sparse_file(path: Path, shapes: dict[str, tuple[str, tuple[int, ...]]], data: bytes = b"", **metadata: str) -> Path:
    """A safetensors file of zeros that take no room on the disk, but for `data` at its beginning."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (dtype, shape) in shapes.items():
        end = at + SIZES[dtype] * prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)
        file.truncate(8 + len(text) + at)
    return path


def sparse_checkpoint(folder: Path, dtype: str = "F32", **config: Any) -> Path:
    """A checkpoint folder whose weights are zeros."""
    folder.mkdir(exist_ok=True)
    told = CONFIG | config
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    shapes = weight_shapes(GPT2Config.from_dict(told, "x"), with_head=False)
    sparse_file(folder / "model.safetensors", {name: (dtype, shape) for name, shape in shapes.items()})
    return folder


def within(space: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the program in an address space of so many bytes, which keeps no copy of weights."""
    own = {"OPENBLAS_NUM_THREADS": "1", "XDG_CACHE_HOME": os.devnull}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(space), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | own,
        timeout=120,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """What it said: one sentence, and no more."""
    assert done.returncode == 2, (done.returncode, done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr
