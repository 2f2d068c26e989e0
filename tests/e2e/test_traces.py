"""Recorded runs without their model: `--trace` says what the model said, and what wasn't recorded says so."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.engine.trace import Trace
from txexplain.viz.numbers import percent

ONCE = "Once upon a time there was a"
PLACES = [
    *("model", "model[L3]", "embed", "L3", "L3.ln1", "L3.qkv", "L3.attn", "L3.proj", "L3.ln2", "L3.mlp", "L3.mlp[7]", "heads", "final"),
    *("L3H5", "L3H5:qk", "L3H5:scaled", "L3H5:masked", "L3H5:values", "L3H5[6,3]", "output"),
]
WHOLE = {"model", "model[L3]", "L3", "L3.attn", "heads", "output"}  # and every stage of a head: what they show was recorded


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), env={"TXEXPLAIN_MODEL": "", "COLUMNS": "100"})


def ok(*args: str) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.stderr or result.exception
    return result.stdout


@pytest.fixture(scope="module")
def files(storyteller: GPT2, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A whole trace; one of some tensors with its config; the same tensors and nothing else; one with every position's logits."""
    folder = tmp_path_factory.mktemp("traces")
    paths = {name: folder / f"{name}.safetensors" for name in ("whole", "part", "bare", "all")}
    trace = storyteller.forward(storyteller.prompt_ids(ONCE), all_logits=True)
    assert trace is not None
    trace.save(paths["all"])
    trace = storyteller.forward(storyteller.prompt_ids(ONCE))
    assert trace is not None
    trace.save(paths["whole"])
    names = ["blocks.3.attn.attn_scores", "blocks.5.attn.pattern", "logits"]
    trace.save(paths["part"], only=names)
    save_file({name: np.array(trace[name]) for name in names} | {"ids": np.array(trace.ids)}, paths["bare"])
    return {name: str(path) for name, path in paths.items()}


@dataclass(frozen=True)
class Likeliest:
    """The bundled model's first choice after ONCE, whatever it is."""

    id: int
    text: str
    shown: str


@pytest.fixture(scope="module")
def likeliest(storyteller: GPT2) -> Likeliest:
    trace = storyteller.forward(storyteller.prompt_ids(ONCE))
    assert trace is not None
    dist = distribution(trace.last_logits)
    top = int(dist.order[0])
    return Likeliest(top, storyteller.tokenizer.display(top), percent(float(dist.probability[top])))


def screen(tmp_path: Path, *args: str) -> list[str]:
    ok("render", *args, "-o", str(tmp_path / "x.txt"))
    return (tmp_path / "x.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize("place", PLACES)
def test_a_whole_trace_shows_what_the_model_showed(files: dict[str, str], place: str, tmp_path: Path) -> None:
    flags = ("--at", place, "--size", "100x28", "--temperature", "0.7", "--top-k", "9", "--flow", "rollout")
    ours, theirs = screen(tmp_path, "--trace", files["whole"], *flags), screen(tmp_path, ONCE, *flags)
    assert "trace of storyteller" in ours[0]
    if place in WHOLE or (place.startswith("L3H5") and place != "L3H5[6,3]"):
        assert ours[1:-1] == theirs[1:-1]
        assert ("draw" in ours[-1], "draw" in theirs[-1]) == (False, True), "the keys: nothing can be drawn without the model"
        return
    assert [line[60:] for line in ours[1:-1]] == [line[60:] for line in theirs[1:-1]], "the next token"
    if place == "L3H5[6,3]":
        assert any("not recorded: it takes the weights" in line for line in ours)
        assert ours[1:10] == theirs[1:10]


@pytest.mark.parametrize("kind", ["part", "bare"])
@pytest.mark.parametrize("place", PLACES)
def test_what_was_not_recorded_says_so(files: dict[str, str], likeliest: Likeliest, kind: str, place: str, tmp_path: Path) -> None:
    shown = {"L3H5", "L3H5:masked", "L3.attn", "heads", "output"}
    for flags in (("--size", "80x24"), ("--size", "130x40", "--ascii")):
        lines = screen(tmp_path, "--trace", files[kind], "--at", place, *flags)
        stage = "\n".join(lines)
        assert ("not recorded" in stage.lower()) == (place not in shown or place == "heads"), stage
        assert likeliest.shown in stage, "the logits are there"
    words = ok("describe", "--trace", files[kind], "--at", place)
    assert ("not recorded" in words.lower()) == (place not in shown or place == "heads"), words


@pytest.mark.parametrize("kind", ["part", "bare"])
def test_the_numbers_of_a_partial_trace_are_the_recorded_ones(files: dict[str, str], kind: str, tmp_path: Path) -> None:
    """The shares of block 3 follow from its scores."""
    trace = Trace.load(files["whole"])
    for head, stage, name in (("L3H5", "softmax", "pattern"), ("L3H5", "masked", "attn_scores"), ("L5H5", "softmax", "pattern")):
        value = str(trace[f"blocks.{head[1]}.attn.{name}"][5, 6, 1]).replace("-", "−")  # as minus is written on screen
        assert f"= {value}" in "\n".join(screen(tmp_path, "--trace", files[kind], "--at", f"{head}:{stage}[6,1]"))
    lines = screen(tmp_path, "--trace", files[kind], "--at", "heads", "--size", "80x24")
    assert sum("not recorded" in line for line in lines) == 4


def test_names_come_from_the_file_and_else_are_numbers(files: dict[str, str], likeliest: Likeliest, tmp_path: Path) -> None:
    bare, part = (screen(tmp_path, "--trace", files[kind], "--at", "L3H5", "--size", "100x30") for kind in ("bare", "part"))
    assert "#7454" in bare[1]
    assert f"#{likeliest.id}" in "\n".join(bare)
    assert "d 256" not in bare[0]
    assert not any("dh " in line for line in bare), "nothing tells how wide a head is"
    assert "Once" in part[1]
    assert likeliest.text in "\n".join(part), "all tokens are GPT-2's, so the candidates' names are known"
    trace = Trace.load(files["part"])
    other = Trace(trace.ids, trace._parts, config=trace.config, tokens=("Zwei", *(trace.tokens or ())[1:]))
    other.save(tmp_path / "other.safetensors")
    text = "\n".join(screen(tmp_path, "--trace", str(tmp_path / "other.safetensors"), "--size", "100x30"))
    assert "Zwei" in text
    assert f"#{likeliest.id}" in text, "another vocabulary's ids aren't GPT-2's"
    assert likeliest.text not in text


def test_predict_answers_from_a_trace_as_the_model_does(files: dict[str, str], likeliest: Likeliest) -> None:
    for flags in ((), ("--temperature", "0.5", "--top-p", "0.8"), ("--greedy",)):
        want = json.loads(ok("predict", ONCE, "--json", *flags))
        assert json.loads(ok("predict", "--trace", files["whole"], "--json", *flags)) == want
        assert ok("predict", "--trace", files["whole"], *flags) == ok("predict", ONCE, *flags)
        bare = json.loads(ok("predict", "--trace", files["bare"], "--json", *flags))
        assert [entry["probability"] for entry in bare["next"]] == [entry["probability"] for entry in want["next"]]
        assert bare["next"][0]["text"] == f"#{want['next'][0]['id']}"
    assert json.loads(ok("predict", "--trace", files["all"], "--json"))["next"][0]["id"] == likeliest.id


def test_surprisal_follows_from_the_logits_of_every_position(files: dict[str, str], tmp_path: Path) -> None:
    wide = ("--size", "120x36", "--at", "L3H5")
    ours, theirs = screen(tmp_path, "--trace", files["all"], *wide), screen(tmp_path, ONCE, *wide)
    assert ours[1:4] == theirs[1:4]
    assert screen(tmp_path, "--trace", files["whole"], *wide)[1:4] != theirs[1:4], "one position's logits don't tell"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["predict", "hello"], "without a prompt"),
        (["render", "--prompt", "x", "-o", "x.txt"], "without --prompt"),
        (["describe", "--ids", "1,2"], "without --ids"),
        (["predict", "--model", "storyteller"], "without --model"),
        (["predict", "--revision", "main"], "without --revision"),
        (["describe", "--at", "L6"], "L0 to L5"),
        (["describe", "--at", "L0H1[7,0]"], "0 to 6"),
        (["generate", "x"], "--trace"),
    ],
)
def test_what_a_trace_brings_itself_cannot_be_given(files: dict[str, str], args: list[str], words: str) -> None:
    result = run(*args, "--trace", files["whole"])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("describe",), ("predict",), ("render", "-o", "x.txt")])
def test_a_file_that_is_no_trace_is_one_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    bad: dict[str, dict[str, Any]] = {
        "noids": {"logits": np.zeros(5, dtype=np.float32)},
        "nan": {"ids": np.array([1]), "logits": np.full(5, np.nan, dtype=np.float32)},
    }
    for name, tensors in bad.items():
        save_file(tensors, tmp_path / name)
    (tmp_path / "cut").write_bytes((tmp_path / "nan").read_bytes()[:-3])
    for name in (*bad, "cut", "missing"):
        result = run(*command, "--trace", str(tmp_path / name))
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), name
        assert name in result.stderr


def test_a_trace_without_logits_has_no_next_token(tmp_path: Path, files: dict[str, str]) -> None:
    Trace.load(files["whole"]).save(tmp_path / "t", only=["blocks.3.attn.pattern"])
    assert "no logits" in run("predict", "--trace", str(tmp_path / "t")).stderr
    text = "\n".join(screen(tmp_path, "--trace", str(tmp_path / "t"), "--at", "L3H5", "--size", "100x30"))
    assert "logits: not recorded" in text
    assert "Next token: not recorded" in ok("describe", "--trace", str(tmp_path / "t"))


def test_a_trace_of_ids_alone_is_a_trace(tmp_path: Path) -> None:
    """It holds no tensor, and so is empty as a mapping."""
    save_file({"ids": np.array([1, 2])}, tmp_path / "t")
    for command in (("predict",), ("attention", "--at", "L0H0")):
        result = run(*command, "--trace", str(tmp_path / "t"))
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert "The trace" in result.stderr
        assert "has no" in result.stderr
    assert "2 tokens" in ok("describe", "--trace", str(tmp_path / "t"))


def test_the_default_models_name_is_no_conflict(files: dict[str, str]) -> None:
    result = CliRunner().invoke(cli, ["predict", "--trace", files["whole"]], env={"TXEXPLAIN_MODEL": "/no/such/model"})
    assert result.exit_code == 0
    assert "storyteller" in result.stdout


def test_a_layernorm_without_its_weights_says_no_sum_that_isnt_one(tmp_path: Path) -> None:
    """Gain and bias aren't in a trace: what the division makes is not the result."""
    file = Path(__file__).parents[1] / "golden" / "transformerlens" / "4.safetensors"
    line = next(line for line in screen(tmp_path, "--trace", str(file), "--at", "L1.ln1", "--size", "120x36") if "(farthest)" in line)
    numbers = re.findall(r"−?\d+\.\d+|−?\d+(?= |\))", line.split("(farthest)")[1])
    x, mean, scale, divided, result = (float(n.replace("−", "-")) for n in numbers[:5])
    assert (x - mean) / scale == pytest.approx(divided, rel=0.02)
    assert result != pytest.approx(divided, rel=0.02)
