"""What tests share: the bundled model, and a tiny one that transformers saved."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from txexplain.engine.cores import CORES, blas
from txexplain.engine.model import GPT2
from txexplain.models import load_model

GOLDEN = Path(__file__).parent / "golden"

os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="txexplain-tests-")  # whoever runs the tests may have a config of their own
for name in ("COLORFGBG", "TEXTUAL_COLOR_SYSTEM", "TMUX", "STY"):  # and a terminal with wishes of its own
    os.environ.pop(name, None)

# One thread for matrix products, whoever else is busy: the last bits of a result depend on how many there are.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
CORES.keep()
if (library := blas()) is not None:
    library.set_num_threads(1)

settings.register_profile("noisy", deadline=None)  # a busy machine is no defect of the code
settings.load_profile("noisy")


@pytest.fixture(scope="session")
def storyteller() -> GPT2:
    return load_model("storyteller")


@pytest.fixture(scope="session")
def tiny() -> GPT2:
    """Two blocks, three heads, d 24, a vocabulary of 61 and room for 16 tokens; no tokenizer of its own."""
    return load_model(str(GOLDEN / "parity" / "default"))
