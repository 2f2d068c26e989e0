"""What a notebook asks for: a model of tensors in memory, a view as a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import txexplain
from tests.engine.odd_checkpoints import BASE, IDS, base
from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.trace import Trace
from txexplain.errors import CheckpointError, LocationError, TokenizerError

PLAIN = np.load(BASE.parents[1] / "checkpoints.npz")[""]
SAID = "The state dict given to load_model "


class Torch:
    """A tensor that answers as PyTorch's do: on another device, with a gradient, in half precision that NumPy lacks."""

    def __init__(self, array: np.ndarray, *, detached: bool = False, here: bool = False, size: int = 4) -> None:
        self.array, self.detached, self.here, self.size = array, detached, here, size

    def detach(self) -> Torch:
        return Torch(self.array, detached=True, here=self.here, size=self.size)

    def cpu(self) -> Torch:
        return Torch(self.array, detached=self.detached, here=True, size=self.size)

    def is_floating_point(self) -> bool:
        return self.array.dtype.kind == "f"

    def element_size(self) -> int:
        return self.size

    def float(self) -> Torch:
        return Torch(self.array.astype(np.float32), detached=self.detached, here=self.here)

    def numpy(self) -> np.ndarray:
        if not (self.detached and self.here and self.size >= 4):
            raise TypeError("can't convert")
        return self.array


class Config:
    """As transformers' own: it tells its fields when it is asked."""

    def to_dict(self) -> dict[str, Any]:
        return base()[1]


def logits(model: GPT2) -> np.ndarray:
    return model.forward(IDS)["logits"]


def close(have: np.ndarray) -> None:
    np.testing.assert_allclose(have, PLAIN, rtol=0, atol=1e-5 * float(np.abs(PLAIN).max()))


@pytest.mark.parametrize(
    "kind",
    [lambda a: a, lambda a: a.astype(np.float64), lambda a: a.astype(">f4"), Torch, lambda a: Torch(a, size=2), lambda a: a.tolist()],
    ids=["numpy", "float64", "big-endian", "torch", "bfloat16", "lists"],
)
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_a_state_dict_is_the_model(kind: Any, prefix: str) -> None:
    tensors, config = base()
    state = {prefix + name: kind(array) for name, array in tensors.items()}
    state["lm_head.weight"] = state[f"{prefix}transformer.wte.weight"]  # PyTorch lists a tied head twice
    for told in (config, Config()):
        model = txexplain.load_model(state, config=told)
        close(logits(model))
        assert model.config.tie_word_embeddings
        assert not any(array.flags.writeable for array in model.weights.values())


def test_what_trains_on_changes_nothing_here() -> None:
    tensors, config = base()
    model = txexplain.load_model(tensors, config=config)
    for array in tensors.values():
        array += 1
    close(logits(model))


def test_its_tokens_are_gpt2s_where_it_has_as_many(storyteller: GPT2) -> None:
    model = txexplain.load_model(storyteller.weights, config=storyteller.config)
    text = "Once upon a time"
    assert model.tokenizer.encode(text) == Tokenizer.gpt2().encode(text)
    np.testing.assert_array_equal(model.forward(IDS)["logits"], storyteller.forward(IDS)["logits"])
    few = txexplain.load_model(*base()[:1], config=base()[1])
    with pytest.raises(TokenizerError):
        few.tokenizer.encode(text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: {}, "no tensor of GPT-2's names"),
        (lambda state: {name: array for name, array in state.items() if "ln_f.bias" not in name}, "lacks the tensor ln_f.bias"),
        (
            lambda state: {f"gpt.{name}": array for name, array in state.items()},
            "names begin with gpt.transformer.: give them GPT-2's names",
        ),
        (lambda state: {n: a.T if n.endswith("c_fc.weight") else a for n, a in state.items()}, "transposed.*linear layers as .T"),
        (lambda state: state | {"transformer.wte.weight": "words"}, "transformer.wte.weight as <U5"),
        (lambda state: state | {"transformer.ln_f.bias": np.zeros(24, np.int64)}, "ln_f.bias as I64"),
    ],
)
def test_what_is_no_gpt2_is_said_of_the_state_dict(change: Any, words: str) -> None:
    tensors, config = base()
    with pytest.raises(CheckpointError, match=words) as caught:
        txexplain.load_model(change(tensors), config=config)
    assert str(caught.value).startswith(SAID)
    assert "txexplain convert" not in str(caught.value)


def test_a_state_dict_needs_its_config() -> None:
    with pytest.raises(CheckpointError, match=r"config=model\.config"):
        txexplain.load_model(base()[0])
    with pytest.raises(CheckpointError, match="The config given to load_model"):
        txexplain.load_model(base()[0], config={"model_type": "llama"})


# Pictures


def texts(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


@pytest.fixture(scope="module")
def run(storyteller: GPT2) -> Trace:
    return storyteller.forward(storyteller.tokenizer.encode("Once upon a time there was a"))


@pytest.mark.parametrize("at", ["model", "L3", "L3H5", "L3H5:qk[4,2]", "L3H5[6,3]", "L3.mlp[7]", "heads", "output", "embed", "L2.ln1"])
def test_a_picture_is_what_render_draws(at: str, run: Trace, tmp_path: Path) -> None:
    picture = txexplain.show(run, at, theme="dark")
    flags = ["--at", at, "--size", "120x36", "--theme", "dark"]
    done = CliRunner().invoke(cli, ["render", "Once upon a time there was a", *flags, "-o", str(tmp_path / "x.svg")])
    assert done.exit_code == 0, done.stderr
    ours, theirs = (ElementTree.fromstring(text) for text in (picture._repr_svg_(), (tmp_path / "x.svg").read_text("utf-8")))
    last = max(float(each.get("y", 0)) for each in theirs.iter() if each.tag.endswith("text"))  # the footer, whose keys a notebook lacks
    below = [(each.text, each.attrib) for each in theirs.iter() if each.tag.endswith("text") and float(each.get("y", 0)) < last]
    assert [(each.text, each.attrib) for each in ours.iter() if each.tag.endswith("text") and float(each.get("y", 0)) < last] == below
    assert len(below) > 20
    picture.save(tmp_path / "saved.svg")
    assert (tmp_path / "saved.svg").read_text("utf-8") == picture.svg
    assert repr(picture).startswith(f"Picture({at}")


def test_a_trace_from_a_file_is_drawn_without_its_model_and_with_it(run: Trace, storyteller: GPT2, tmp_path: Path) -> None:
    run.save(tmp_path / "t.safetensors")
    back = Trace.load(tmp_path / "t.safetensors")
    alone, beside = texts(txexplain.show(back, "L3H5[6,3]").svg), texts(txexplain.show(back, "L3H5[6,3]", model=storyteller).svg)
    assert "trace of storyteller" in alone
    assert "not recorded" in alone
    assert "not recorded" not in beside
    with pytest.raises(ValueError, match="other sizes"):
        txexplain.show(back, model=txexplain.load_model(BASE))


def test_what_was_changed_is_drawn(run: Trace, storyteller: GPT2) -> None:
    cut = storyteller.forward(run.ids, interventions=[txexplain.Cut(3, edges=[(6, 0)], head=5)], prefix=run)
    assert txexplain.show(cut, "L3H5").svg != txexplain.show(run, "L3H5").svg


def test_a_place_that_the_run_lacks_is_said(run: Trace) -> None:
    with pytest.raises(LocationError, match="L0 to L5"):
        txexplain.show(run, "L9H1")


def test_a_picture_needs_no_textual(tmp_path: Path) -> None:
    code = """
import sys, txexplain
picture = txexplain.show(txexplain.load_model().forward([1, 2, 3]), "L0H0")
assert picture._repr_svg_().startswith("<svg")
print(sorted({"textual", "torch", "click"} & {name.split(".")[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"
