"""`describe --json`: each place's numbers, as the run has them, by the names of the table's columns."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace

TEXT = "Once upon a time there was a"
PLACES = [
    "model", "embed", "embed:nearest", "L2", "L2.ln1", "L2.qkv", "L2.attn", "L2.proj", "L2.ln2", "L2.mlp", "L2.mlp:pre", "L2.mlp[41]",
    "heads", "heads:first", "L3H5", "L3H5:qk", "L3H5:values", "L3H5[4,2]", "residual", "final", "output",
]  # fmt: skip


def run(*args: str) -> str:
    done = CliRunner().invoke(cli, ["describe", *args], env={"TXEXPLAIN_MODEL": ""})
    assert done.exit_code == 0, done.stderr
    return done.stdout


def described(at: str, *more: str) -> Any:
    return json.loads(run(TEXT, "--at", at, "--json", *more))


@pytest.fixture(scope="module")
def trace(storyteller: GPT2) -> Trace:
    return storyteller.forward(storyteller.tokenizer.encode(TEXT))


@pytest.mark.parametrize("at", PLACES)
def test_every_place_has_rows_and_its_numbers_are_numbers(at: str) -> None:
    got = described(at)
    words = run(TEXT, "--at", at)
    assert got["at"] == at
    assert got["lacks"] is None
    assert got["view"] in words
    assert got["heading"] in words
    assert got["rows"]
    assert len({tuple(row) for row in got["rows"]}) == 1
    for row in got["rows"]:
        for value in row.values():
            assert not (isinstance(value, str) and re.fullmatch(r"[-+−×.,\d]+(e[-−]?\d+)?%?", value) and "×" not in value), (at, row)
    assert ("flow" in got) == (at == "model")
    predicted = CliRunner().invoke(cli, ["predict", TEXT, "--json"], env={"TXEXPLAIN_MODEL": ""}).stdout
    assert got["next"] == json.loads(predicted)["next"]


def test_rows_are_the_run_s_own_numbers(trace: Trace) -> None:
    head = described("L3H5")
    assert [row["key"] for row in head["rows"]] == list(range(7))
    assert [row["softmax"] for row in head["rows"]] == pytest.approx(trace["blocks.3.attn.pattern"][5][6].tolist(), rel=1e-4)
    strongest = max(head["rows"], key=lambda row: row["softmax"])
    assert [row["key"] for row in head["rows"] if row["selected"]] == [strongest["key"]]
    for row in described("L2.mlp")["rows"]:
        assert row["pre"] == pytest.approx(float(trace["blocks.2.mlp.pre"][6][row["neuron"]]), rel=1e-4)
        assert row["post"] == pytest.approx(float(trace["blocks.2.mlp.post"][6][row["neuron"]]), rel=1e-4)
    for layer, row in enumerate(described("model")["rows"]):
        assert row["block"] == f"L{layer}"
        assert row["attention adds"] == pytest.approx(float(np.linalg.norm(trace[f"blocks.{layer}.attn_out"][6])), rel=1e-4)
    product = {row["what"]: row["number"] for row in described("L3H5[4,2]")["rows"]}
    q, k = trace["blocks.3.attn.q"][4, 5], trace["blocks.3.attn.k"][2, 5]
    assert product["q·k"] == pytest.approx(float(q @ k), rel=1e-4)
    assert product["score"] == pytest.approx(float(q @ k) / np.sqrt(32), rel=1e-4)
    assert product["share"] == pytest.approx(float(trace["blocks.3.attn.pattern"][5][4, 2]), rel=1e-4)
    assert [sorted(each) for each in product["makes likelier"]] == [["change", "id", "text"]] * len(product["makes likelier"])
    logits = trace.last_logits
    for row in described("output")["rows"]:
        assert row["logit"] == pytest.approx(float(logits[row["token"]["id"]]), abs=1e-4)


def test_the_flow_is_told_with_its_shares() -> None:
    for block in described("model", "--flow", "rollout")["flow"]:
        assert sum(each["share"] for each in block["before"]) + block["others"] == pytest.approx(1, abs=1e-6)
        assert all(each["from"] < each["to"] for each in block["moves"])


@pytest.mark.long
def test_what_is_changed_and_what_is_lacking_is_said(tmp_path: Any) -> None:
    got = described("L3.attn", "--ablate", "L3H5", "--cut", "[2,1]")
    assert len(got["changes"]) == 2
    assert got["changes"][0].startswith("L3H5")
    assert got["rows"] == described("L3.attn", "--ablate", "L3H5", "--cut", "[2,1]")["rows"] != described("L3.attn")["rows"]
    assert "Changed: " in run(TEXT, "--at", "L3.attn", "--ablate", "L3H5")
    assert "Changed: " not in run(TEXT, "--at", "L3.attn")
    path = str(tmp_path / "t.safetensors")
    CliRunner().invoke(cli, ["trace", TEXT, "-o", path, "--only", "embed"], env={"TXEXPLAIN_MODEL": ""})
    part = json.loads(run("--trace", path, "--at", "L3H5", "--json"))
    assert (part["rows"], part["heading"], part["next"]) == ([], None, [])
    assert part["lacks"].startswith("blocks.3.attn")


def test_a_lesson_s_page_is_in_the_document() -> None:
    got = json.loads(run("--lesson", "attention", "--page", "2", "--json"))
    assert got["page"].startswith("Attention in depth, page 2 of 12")
    assert got["rows"]
