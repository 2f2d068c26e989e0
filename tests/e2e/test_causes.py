"""direct, effects and scan as commands: the engine's own numbers, by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import txexplain
from tests.covering import few
from txexplain.cli import cli
from txexplain.engine.model import GPT2

HERS = "Anna gave the red ball to Tom. Then Tom gave it back to"
HIS = "Tom gave the red ball to Anna. Then Anna gave it back to"
TINY = str(Path(__file__).parents[1] / "golden" / "parity" / "default")
PAIR = ("--answer", " Anna", "--against", " Tom")


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), env={"TXEXPLAIN_MODEL": "", "COLUMNS": "100"})


def ok(*args: str) -> str:
    done = run(*args)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


def document(*args: str) -> Any:
    return json.loads(ok(*args, "--json"))


def sentence(*args: str) -> str:
    done = run(*args)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    return done.stderr


def ids(model: GPT2) -> tuple[int, int]:
    return model.tokenizer.encode(" Anna")[0], model.tokenizer.encode(" Tom")[0]


def test_lens_gives_what_each_stream_would_say(storyteller: GPT2) -> None:
    trace = storyteller.forward(storyteller.tokenizer.encode(HERS))
    a, b = ids(storyteller)
    read = txexplain.lens(storyteller, trace)[::2].astype(np.float64)  # [L + 1, T, V]: what enters each block, and what leaves the last
    share = np.exp(read - np.logaddexp.reduce(read, axis=2, keepdims=True))
    got = document("lens", HERS, *PAIR)
    assert [each["stream"] for each in got["streams"]] == [*(f"blocks.{i}.resid_pre" for i in range(6)), "blocks.5.resid_post"]
    for n, stream in enumerate(got["streams"]):
        assert [at["token"] for at in stream["at"]] == list(range(14))
        for t, at in enumerate(stream["at"]):
            assert at["top"]["id"] == read[n, t].argmax()
            assert at["top"]["probability"] == pytest.approx(share[n, t].max(), rel=1e-4)
            assert (at["logit"], at["difference"]) == pytest.approx((read[n, t, a], read[n, t, a] - read[n, t, b]), abs=1e-4)
            assert at["rank"] == 1 + (read[n, t] > read[n, t, a]).sum()
            assert at["bits"] == pytest.approx(-(share[n, t] * np.log2(share[n, t])).sum(), rel=1e-3, abs=1e-4)
    last = document("predict", HERS)["next"][0]
    assert got["streams"][-1]["at"][-1]["top"]["probability"] == pytest.approx(last["probability"], rel=1e-4)
    rows = list(csv.DictReader(ok("lens", HERS, *PAIR, "--csv").splitlines()))
    assert len(rows) == 7 * 14
    assert {name: float(rows[-1][name]) for name in ("rank", "logit", "difference", "bits")} == {
        name: got["streams"][-1]["at"][-1][name] for name in ("rank", "logit", "difference", "bits")
    }
    assert document("lens", HERS, *PAIR, "--token", "5")["streams"][3]["at"] == [got["streams"][3]["at"][5]]


def test_lens_as_a_table_is_of_one_token_and_of_the_changed_run() -> None:
    table = ok("lens", HERS, *PAIR).splitlines()
    assert table[0].startswith("What the stream of token 13 to would say next")
    assert [line.split()[0] for line in table[2:]] == ["embed", *(f"L{i}" for i in range(6))]
    assert "rank of Anna" in table[1]
    assert ok("lens", HERS, *PAIR, "--ablate", "L5H5=zero").splitlines()[-1] != table[-1]
    assert "of token 2 the" in ok("lens", HERS, "--token", "2")
    assert "no row 14" in sentence("lens", HERS, "--token", "14")
    assert "give one of them" in sentence("lens", HERS, "--json", "--csv")


def test_direct_gives_every_part_of_the_difference(storyteller: GPT2) -> None:
    trace = storyteller.forward(storyteller.tokenizer.encode(HERS))
    a, b = ids(storyteller)
    got, want = document("direct", HERS, *PAIR), txexplain.direct(storyteller, trace, a, b)
    assert (got["answer"], got["against"], got["token"]) == ({"id": a, "text": " Anna"}, {"id": b, "text": " Tom"}, 13)
    assert got["heads"] == pytest.approx(want.head)
    assert (got["mlp"], got["attn_bias"]) == (want.mlp.tolist(), want.attn_bias.tolist())
    parts = sum(map(sum, got["heads"])) + sum(got["attn_bias"]) + sum(got["mlp"])
    parts += sum(got[name] for name in ("embed", "pos", "always", "changed"))
    assert parts == pytest.approx(got["total"]) == pytest.approx(float(trace["logits"][a]) - float(trace["logits"][b]), abs=1e-4)
    earlier = document("direct", HERS, *PAIR, "--token", "5")
    assert earlier["total"] == pytest.approx(txexplain.direct(storyteller, trace, a, b, 5).total)
    off = document("direct", HERS, *PAIR, "--ablate", "L5H5=zero")
    assert off["heads"][5][5] == pytest.approx(0, abs=1e-6)
    table = ok("direct", HERS, *PAIR).splitlines()
    assert f"Anna − Tom at token 13: +{want.total:.2f}" in table[0]
    assert len(table) == 9
    assert "14 tokens" in sentence("direct", HERS, *PAIR, "--token", "14")


@pytest.mark.parametrize(
    ("of", "flags", "more"),
    few(
        [
            ("heads", (), {}),
            ("heads", ("--to", "zero"), {"to": "zero"}),
            ("neurons L5", ("--to", "0.5"), {"to": 0.5}),
            ("edges [13]", (), {}),
            ("rows", ("--to", "raw"), {"to": "raw"}),
            ("resid", ("--from", HIS), {"donor": HIS}),
            ("z", ("--from", HIS), {"donor": HIS}),
        ],
        lambda of, *_: of in ("edges [13]", "z"),
    ),
)
def test_effects_are_the_engine_s(of: str, flags: tuple[str, ...], more: dict[str, Any], storyteller: GPT2) -> None:
    trace = storyteller.forward(storyteller.tokenizer.encode(HERS))
    a, b = ids(storyteller)
    if "donor" in more:
        more = {"donor": storyteller.forward(storyteller.tokenizer.encode(more["donor"]))}
    want = txexplain.effects(storyteller, trace, of, answer=a, against=b, probability=True, **more)
    got = document("effects", of, HERS, *PAIR, *flags)
    assert (got["of"], got["to"], got["axes"], got["without"]) == (of, want.to, list(want.axes), want.without)
    change = np.array(got["change"], dtype=float)
    np.testing.assert_array_equal(change, want.change)
    np.testing.assert_array_equal(np.array(got["probability"], dtype=float), want.probability)
    assert (got["restored"] is None) == ("donor" not in more)
    lines = list(csv.reader(ok("effects", of, HERS, *PAIR, *flags, "--csv").splitlines()))
    assert lines[0][: len(want.axes)] == list(want.axes)
    assert len(lines) == 1 + np.count_nonzero(~np.isnan(want.change))
    for line in lines[1:]:
        cell = tuple(map(int, line[: len(want.axes)]))
        assert float(line[len(want.axes)]) == want.change[cell]
    table = ok("effects", of, HERS, *PAIR, *flags, "--top", "3").splitlines()
    assert table[0].startswith("Anna − Tom: ")
    assert len(table) == 5


@pytest.mark.long
def test_effects_are_named_as_what_does_the_same(storyteller: GPT2) -> None:
    """The first of the table, given to --ablate, changes the answer by just that."""
    table = ok("effects", "heads", HERS, *PAIR, "--top", "1").splitlines()
    place, change = table[2].split()[:2]
    plain, off = (document("direct", HERS, *PAIR, *flags)["total"] for flags in ((), ("--ablate", place)))
    assert off - plain == pytest.approx(float(change.replace("−", "-")), rel=0.01)
    kept = document("effects", "heads", HERS, *PAIR, "--ablate", place)
    assert kept["without"] == pytest.approx(off, abs=1e-3)


def test_by_default_the_two_likeliest_are_compared() -> None:
    first, second = json.loads(ok("predict", HERS, "--top", "2", "--json"))["next"]
    got = document("effects", "mlps", HERS)
    assert (got["answer"]["id"], got["against"]["id"]) == (first["id"], second["id"])
    assert got["without"] == pytest.approx(first["logit"] - second["logit"], abs=1e-4)
    alone = document("effects", "mlps", HERS, "--answer", "#4186")
    assert (alone["answer"]["text"], alone["against"]) == (" Tom", None)


@pytest.mark.long
def test_effects_over_examples(tmp_path: Path, storyteller: GPT2) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(f"{HERS}\t{HIS}\t Anna\t Tom\n{HIS}\t{HERS}\t Tom\t Anna\n")
    got = document("effects", "heads", "--prompts", str(path))
    each = [
        document("effects", "heads", prompt, "--answer", a, "--against", b)
        for prompt, a, b in ((HERS, " Anna", " Tom"), (HIS, " Tom", " Anna"))
    ]
    changes = np.array([one["change"] for one in each])
    np.testing.assert_allclose(got["mean"], changes.mean(axis=0))
    np.testing.assert_allclose(got["spread"], changes.std(axis=0, ddof=1))
    without = np.array([one["without"] for one in each])
    assert got["without"] == pytest.approx(without.tolist())
    assert got["right_before"] == (without > 0).mean()
    np.testing.assert_allclose(got["right_after"], (without[:, None, None] + changes > 0).mean(axis=0))
    table = ok("effects", "heads", "--prompts", str(path), "--top", "2").splitlines()
    assert table[0].startswith("2 examples, 100% right.")
    assert table[1].split() == ["place", "mean", "spread", "right", "after"]
    assert document("effects", "z", "--prompts", str(path), "--to", "other")["to"] == "patched"
    assert "--prompts brings" in sentence("effects", "heads", "--prompts", str(path), "--answer", " Tom")
    assert "--prompts brings" in sentence("effects", "heads", "a prompt", "--prompts", str(path))
    path.write_text("one\ttwo\n")
    assert "line 1" in sentence("effects", "heads", "--prompts", str(path))


@pytest.mark.parametrize(
    ("here", "beside", "flags"),
    [
        ((HERS, ()), (HIS, ()), ("--from", HIS)),
        ((HERS, ("L5H0=zero",)), (HIS, ("L5H0=zero",)), ("--from", HIS, "--ablate", "L5H0=zero")),
        ((HERS, ("[13,0]",)), (HERS, ()), ("--cut", "[13,0]")),
    ],
)
def test_two_runs_are_put_beside_each_other(here: Any, beside: Any, flags: tuple[str, ...], storyteller: GPT2) -> None:
    one, two = (storyteller.forward(storyteller.prompt_ids(text), interventions=changes) for text, changes in (here, beside))
    p, q = (np.exp(run["logits"].astype(np.float64) - run["logits"].max()) for run in (one, two))
    p, q = p / p.sum(), q / q.sum()
    a, b = ids(storyteller)
    got = document("compare", HERS, *PAIR, *flags, "--top", "3")
    assert got["difference"] == pytest.approx(
        {key: float(run["logits"][a] - run["logits"][b]) for key, run in (("here", one), ("other", two))}
    )
    assert got["total_variation"] == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-6)
    assert [each["id"] for each in got["next"]] == np.argsort(-np.abs(p - q), kind="stable")[:3].tolist()
    assert [each["change"] for each in got["next"]] == pytest.approx(
        [float(p[each["id"]] - q[each["id"]]) for each in got["next"]], abs=1e-6
    )
    assert got["same_rows"] == (0 if beside[0] == HIS else 14)
    x, y = (run["blocks.3.resid_pre"][5].astype(np.float64) for run in (one, two))
    assert got["streams"][3][5] == pytest.approx(np.linalg.norm(x - y) / max(np.linalg.norm(x), np.linalg.norm(y)), abs=1e-5)
    grids = [run["blocks.4.attn.pattern"][2].astype(np.float64) for run in (one, two)]
    assert got["patterns"][4][2] == pytest.approx(np.abs(grids[0] - grids[1]).sum() / 2 / 14, abs=1e-5)
    lines = list(csv.reader(ok("compare", HERS, *PAIR, *flags, "--csv").splitlines()))
    assert lines[0] == ["id", "text", "here", "other", "change"]
    assert int(lines[1][0]) == got["next"][0]["id"]
    assert ok("compare", HERS, *PAIR, *flags, "--top", "3").count("\n") == 5


def test_another_model_reads_the_same_tokens() -> None:
    got = document("compare", "--model", TINY, "--with", TINY, "--ids", "3,9,27")
    assert got["total_variation"] == 0
    assert got["next"] == []
    assert np.abs(got["streams"]).max() == np.abs(got["patterns"]).max() == 0
    unlike = document("compare", "Once", "--from", "Once upon a")
    assert unlike["patterns"] is None
    assert np.abs(unlike["streams"]).max() == 0, "the first row is the same"


@pytest.mark.long
def test_scan_ranks_all_kinds(storyteller: GPT2) -> None:
    got = document("scan", HERS, *PAIR)
    assert len(got["findings"]) == 10
    sizes = [abs(each["change"]) for each in got["findings"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {each["of"] for each in got["findings"]} > {"heads", "mlps", "edges"}
    heads = np.array(document("effects", "heads", HERS, *PAIR)["change"])
    for each in got["findings"]:
        if each["of"] == "heads":
            layer, head = map(int, each["place"].removeprefix("L").split("H"))
            assert each["change"] == pytest.approx(heads[layer, head], abs=1e-4)
    lines = list(csv.DictReader(ok("scan", HERS, *PAIR, "--csv", "--top", "3").splitlines()))
    assert [line["place"] for line in lines] == [each["place"] for each in got["findings"][:3]]
    assert len(ok("scan", HERS, *PAIR, "--top", "3").splitlines()) == 5


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("effects", "tails", "x"), "heads"),
        (("effects", "heads", "x", "--to", "mean", "--from", "y"), "--from"),
        (("effects", "heads", "x", "--json", "--csv"), "--csv"),
        (("effects", "heads", "x", "--answer", " no such token"), "one"),
        (("effects", "heads", "x", "--answer", "x", "--against", "x"), "another"),
        (("effects", "heads", "x", "--to", "often"), "often"),
        (("effects", "heads"), "prompt"),
        (("scan", "x", "--top", "0"), "--top"),
        (("compare", "x"), "nothing to compare with"),
        (("compare", "x", "--from", "y", "--with", "gpt2"), "one of them"),
        (("compare", "x", "--from", "y", "--json", "--csv"), "one of them"),
        (("compare", "--ids", "3", "--with", TINY), "another vocabulary"),
        (("direct", "x", "--answer", "#50257"), "#50256"),
    ],
)
def test_what_cannot_be_tried_is_refused(args: tuple[str, ...], words: str) -> None:
    assert words in sentence(*args)
