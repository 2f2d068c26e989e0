"""The commands, as other tools rely on them: their flags, their JSON, their exit codes, their silence."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import pty
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import txexplain
from tests.covering import few
from txexplain import __version__
from txexplain.cli import Program, app, cli, numbers, start, streams, views
from txexplain.cli.asked import Sampling
from txexplain.cli.commands import Answer, found
from txexplain.cli.flags import FLOWS as OFFERED
from txexplain.cli.output import strict
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, draw, uniform
from txexplain.engine.surprisal import surprisal
from txexplain.engine.trace import Trace
from txexplain.errors import ExplainError
from txexplain.explorer.state import FLOWS, ExplorerState, from_flags
from txexplain.models import load_model
from txexplain.text import clean

TINY = str(Path(__file__).parents[1] / "golden" / "parity" / "default")  # V 61, context 16, no tokenizer
ONCE = "Once upon a time there was a"
BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
COMMANDS = (
    "predict", "generate", "tokens", "trace", "render", "describe", "explain", "open", "loss", "lens", "attention", "head-stats", "direct",
    "effects", "scan", "compare", "models",
    "completion",
    "lessons", "poster", "keys", "serve", "convert",
)  # fmt: skip


def run(*args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, list(args), input=stdin, env={"TXEXPLAIN_MODEL": "", "COLUMNS": "100", **(env or {})})


def ok(*args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
    result = run(*args, stdin=stdin, env=env)
    assert result.exit_code == 0, result.stderr or result.exception
    assert result.stderr == ""
    return result.stdout


def document(*args: str, stdin: bytes = b"") -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(ok(*args, "--json", stdin=stdin), parse_constant=refuse)
    assert next(iter(found)) == "schema"
    assert found.pop("schema") == f"txexplain-{args[0]}/1"
    return found


def sentence(*args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
    """The one line that a refused command line prints."""
    result = run(*args, stdin=stdin, env=env)
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    assert result.stdout == ""
    assert re.fullmatch(r"txexplain: [^\n]+\n", result.stderr), result.stderr
    return result.stderr


def shell(*args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The program as a process of its own."""
    return subprocess.run([sys.executable, "-m", "txexplain", *args], capture_output=True, timeout=60, check=False, **options)


# predict


def test_predict_prints_the_contracts_document(storyteller: GPT2) -> None:
    got = document("predict", ONCE, "--top", "5")
    trace = storyteller.forward(storyteller.tokenizer.encode(ONCE))
    assert trace is not None
    dist = distribution(trace.last_logits)
    assert list(got) == ["model", "prompt", "tokens", "temperature", "sampling", "next"]
    assert (got["model"], got["prompt"], got["temperature"]) == ("storyteller", ONCE, 1.0)
    assert got["tokens"] == [{"id": i, "text": storyteller.tokenizer.decode([i])} for i in trace.ids]
    assert got["sampling"] == {"mode": "full", "kept": 50257}
    assert [entry["rank"] for entry in got["next"]] == [1, 2, 3, 4, 5]
    total = 0.0
    for entry, id in zip(got["next"], dist.order, strict=False):
        total += float(dist.full_probability[id])
        assert list(entry) == ["rank", "id", "text", "logit", "scaled_logit", "probability", "full_probability", "cumulative", "kept"]
        assert entry["id"] == id
        assert entry["text"] == storyteller.tokenizer.decode([int(id)])
        assert entry["logit"] == entry["scaled_logit"] == pytest.approx(float(trace.last_logits[id]), abs=1e-5)
        assert entry["probability"] == entry["full_probability"] == pytest.approx(float(dist.full_probability[id]), rel=1e-5)
        assert entry["cumulative"] == pytest.approx(total, rel=1e-5)
        assert entry["kept"] is True


def test_predict_shows_both_probabilities_after_a_filter() -> None:
    everything = document("predict", ONCE, "--temperature", "0.5", "--top", "6")["next"]
    got = document("predict", ONCE, "--temperature", "0.5", "--top-k", "3", "--top", "6")
    assert got["sampling"] == {"mode": "top-k", "k": 3, "kept": 3}
    assert [entry["kept"] for entry in got["next"]] == [True] * 3 + [False] * 3
    mass = sum(entry["probability"] for entry in everything[:3])
    for entry, full in zip(got["next"], everything, strict=True):
        assert entry["full_probability"] == full["probability"]
        assert entry["cumulative"] == full["cumulative"]
        assert entry["scaled_logit"] == pytest.approx(entry["logit"] / 0.5)
        assert entry["probability"] == pytest.approx(full["probability"] / mass if entry["kept"] else 0)


def test_predict_names_each_mode_and_its_setting() -> None:
    assert "storyteller, T 0, greedy:" in ok("predict", "x", "--temperature", "-0.0", "--top", "1")
    nucleus = document("predict", ONCE, "--top-p", "0.9")["sampling"]
    assert nucleus["mode"] == "top-p"
    assert nucleus["p"] == 0.9
    assert 1 < nucleus["kept"] < 50257
    for flags in (("--greedy",), ("--temperature", "0"), ("--greedy", "--temperature", "0.7")):
        got = document("predict", ONCE, *flags)
        assert (got["sampling"], got["temperature"]) == ({"mode": "greedy", "kept": 1}, 0.0)
        assert [entry["probability"] for entry in got["next"]] == [1.0] + [0.0] * 9


def test_a_number_that_json_lacks_is_null() -> None:
    got = document("predict", "--model", TINY, "--ids", "1,2", "--temperature", "1e-310", "--top", "61")
    assert got["next"][-1]["scaled_logit"] is None
    assert got["next"][-1]["probability"] == 0
    assert strict({"a": [1.5, float("-inf"), float("nan"), True, None, "x"]}) == {"a": [1.5, None, None, True, None, "x"]}


def test_the_empty_prompt_is_the_start_token() -> None:
    got = document("predict", "")
    assert got["prompt"] == ""
    assert got["tokens"] == [{"id": 50256, "text": "<|endoftext|>"}]
    assert document("tokens", "")["tokens"] == []
    assert document("predict", "<|endoftext|>")["tokens"] != got["tokens"]  # typed, it is ordinary text


def test_ids_take_the_prompts_place() -> None:
    got = document("predict", "something else", "--ids", "7454, 2402")
    assert got["prompt"] == "Once upon"
    assert [token["id"] for token in got["tokens"]] == [7454, 2402]
    broken = document("predict", "--ids", "12520,247")  # the first three bytes of an emoji
    assert broken["prompt"] == " �"
    assert document("tokens", "--ids", "12520")["tokens"][0] == {"id": 12520, "text": " �", "bytes": "20f09f"}
    by_id = document("predict", "--model", TINY, "--ids", "5,60")
    assert by_id["tokens"] == [{"id": 5, "text": "#5"}, {"id": 60, "text": "#60"}]
    assert len(document("predict", "--model", TINY, "--ids", "5", "--top", "999")["next"]) == 61


def test_predict_without_json_is_a_table_with_bars_and_no_colour() -> None:
    text = ok("predict", ONCE, "--top-k", "2", "--top", "3")
    best = document("predict", ONCE, "--top-k", "2", "--top", "3")["next"]
    assert "\x1b" not in text
    lines = text.splitlines()
    assert "top-k 2" in lines[0]
    for line, entry in zip(lines[2:], best, strict=True):
        assert entry["text"].strip() in line
    assert lines[2].count("█") == 20
    assert 0 < lines[3].count("█") < 20
    assert "█" not in lines[4]
    assert "cut" in lines[4]
    assert max(map(len, ok("predict", ONCE, env={"COLUMNS": "80"}).splitlines())) <= 80


def test_predict_in_a_locale_without_blocks_draws_with_ascii() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = shell("predict", "Caf\u00e9", "--top", "3", env=env)
    assert done.returncode == 0, done.stderr
    assert b"####" in done.stdout
    assert done.stdout.isascii()
    tokens = shell("tokens", "Caf\u00e9\n", env=env)
    assert b"\\u00e9" in tokens.stdout
    assert b"\\n" in tokens.stdout
    assert shell("describe", "--help", env=env).returncode == 0


# tokens


def test_tokens_lists_ids_text_and_bytes() -> None:
    got = document("tokens", "Once upon\n\x07é")["tokens"]
    assert got[0] == {"id": 7454, "text": "Once", "bytes": "4f6e6365"}
    assert bytes.fromhex("".join(token["bytes"] for token in got)).decode() == "Once upon\n\x07é"
    table = ok("tokens", "Once upon\n\x07\x9b")
    assert "7454" in table
    assert "4f 6e 63 65" in table
    assert not set(table) & {"\x07", "\x9b", "\x1b"}


def test_json_is_ascii_and_holds_no_control_character() -> None:
    text = ok("tokens", "a\x1b[31m\x7f\x9b\u202eé", "--json")
    assert text.isascii()
    assert not [c for c in text.removesuffix("\n") if ord(c) < 32 or c == "\x7f"]
    assert "".join(token["text"] for token in json.loads(text)["tokens"] if "�" not in token["text"])


# head-stats


def test_head_stats_gives_every_heads_measures(storyteller: GPT2) -> None:
    text = "one two one two"
    got = document("head-stats", text)
    trace = storyteller.forward(storyteller.tokenizer.encode(text))
    assert trace is not None
    assert list(got) == ["model", "prompt", "tokens", "heads"]
    assert (got["model"], got["prompt"], [each["id"] for each in got["tokens"]]) == ("storyteller", text, list(trace.ids))
    assert [each["head"] for each in got["heads"]] == [f"L{i}H{j}" for i in range(6) for j in range(8)]
    copies = [j for j in range(1, 4) if trace.ids[j] in trace.ids[:j]]
    assert copies
    for each in got["heads"]:
        layer, head = map(int, re.findall(r"\d+", each["head"]))
        row = trace[f"blocks.{layer}.attn.pattern"][head].astype(float)
        after = [sum(row[j, i + 1] for i in range(j) if trace.ids[i] == trace.ids[j]) for j in copies]
        told = {
            "self": (row[1, 1] + row[2, 2] + row[3, 3]) / 3,
            "previous": (row[1, 0] + row[2, 1] + row[3, 2]) / 3,
            "first": row[1:, 0].mean(),
            "induction": sum(after) / len(after),
            "entropy": -(row[1:] * np.log2(np.where(row[1:] > 0, row[1:], 1))).sum() / 3,
        }
        assert list(each) == ["head", *told]
        assert {name: each[name] for name in told} == pytest.approx(told, rel=1e-4)
    by_ids = document("head-stats", "--ids", ",".join(map(str, trace.ids)))
    assert by_ids["heads"] == got["heads"]


def test_head_stats_as_a_table_and_without_copies() -> None:
    got = document("head-stats", "Once upon")
    assert all(each["induction"] is None for each in got["heads"])
    lines = ok("head-stats", "Once upon").splitlines()
    assert lines[0].split() == ["head", "self", "previous", "first", "induction", "entropy"]
    assert len(lines) == 49
    for line, each in zip(lines[1:], got["heads"], strict=True):
        cells = line.split()
        assert cells[0] == each["head"]
        assert cells[4] == "none"
        assert float(cells[2].rstrip("%").replace("−", "-")) == pytest.approx(100 * each["previous"], rel=0.06)
        assert float(cells[5].replace("−", "-")) == pytest.approx(each["entropy"], rel=0.01)


# loss


def test_loss_tells_each_token_and_the_whole(storyteller: GPT2) -> None:
    got = document("loss", ONCE)
    ids = storyteller.tokenizer.encode(ONCE)
    scored = surprisal(storyteller.forward(ids), storyteller.unembedding)
    first, *rest = got["tokens"]
    assert first == {"id": ids[0], "text": "Once", "bits": None, "probability": None, "rank": None, "expected": None}
    for token, id, each in zip(rest, ids[1:], scored[1:], strict=True):
        assert each is not None
        expected = {"id": each.expected, "text": storyteller.tokenizer.decode([each.expected]), "probability": each.expected_probability}
        assert token == {
            "id": id, "text": storyteller.tokenizer.decode([id]), "bits": each.bits, "probability": each.probability, "rank": each.rank + 1,
            "expected": expected,
        }  # fmt: skip
    assert (got["scored"], got["window"], got["stride"]) == (6, 256, 128)
    assert got["bits"] == pytest.approx(sum(token["bits"] for token in rest))
    assert got["loss"] == pytest.approx(got["bits"] * np.log(2) / 6)
    assert got["perplexity"] == pytest.approx(np.exp(got["loss"]))
    assert (got["bytes"], got["bits_per_byte"]) == (24, pytest.approx(got["bits"] / 24))


def test_loss_as_a_table_as_csv_and_of_a_recorded_run(tmp_path: Path) -> None:
    got = document("loss", ONCE)
    table = ok("loss", ONCE).splitlines()
    assert table[0].split() == ["at", "token", "bits", "probability", "rank", "expected"]
    for position, (line, token) in enumerate(zip(table[1:8], got["tokens"], strict=True)):
        assert line.split()[:2] == [str(position), token["text"].strip()]
        assert token["bits"] is None or f"{token['bits']:.2f}" in line.split()
    assert f"perplexity {got['perplexity']:.2f}" in table[-1]
    lines = list(csv.DictReader(ok("loss", ONCE, "--csv").splitlines()))
    assert [(int(line["id"]), line["bits"]) for line in lines] == [
        (t["id"], "" if t["bits"] is None else str(t["bits"])) for t in got["tokens"]
    ]
    path = str(tmp_path / "t.safetensors")
    ok("trace", ONCE, "-o", path, "--all-logits")
    recorded = document("loss", "--trace", path)
    assert recorded["perplexity"] == pytest.approx(got["perplexity"], rel=1e-4)
    assert (recorded["window"], recorded["bytes"]) == (None, 24)
    ok("trace", ONCE, "-o", path)
    assert "--all-logits" in sentence("loss", "--trace", path)


@pytest.mark.long
def test_loss_of_a_long_text_says_its_windows(storyteller: GPT2) -> None:
    text = "The cat sat on the mat. " * 60
    ids = storyteller.tokenizer.encode(text)
    assert len(ids) > 256
    got = document("loss", text, "--stride", "100")
    assert (got["window"], got["stride"], got["scored"]) == (256, 100, len(ids) - 1)
    assert got["loss"] == txexplain.loss(storyteller, ids, stride=100).mean
    last = "Windows of 256 tokens, stride 100: each token after the first 256 has at least 156 before it."
    assert ok("loss", text, "--stride", "100").splitlines()[-1] == last
    assert "Windows" not in ok("loss", "The cat sat")
    assert document("loss", "")["tokens"][0]["id"] == 50256
    assert document("loss", "")["perplexity"] is None
    assert "0 tokens of 1 scored." in ok("loss", "")
    assert "257" in sentence("loss", "x", "--stride", "257")
    assert "--csv" in sentence("loss", "x", "--csv", "--json")
    off = txexplain.Set("blocks.2.mlp_out", 0)
    changed = document("loss", text, "--ablate", "L2.mlp=zero")["loss"]
    assert changed == txexplain.loss(storyteller, ids, interventions=[off]).mean != document("loss", text)["loss"]
    assert "windows" in sentence("loss", text, "--cut", "[3,1]")


# generate


def test_generate_draws_what_the_design_says(storyteller: GPT2) -> None:
    got = document("generate", ONCE, "--tokens", "6", "--temperature", "0.9", "--top-p", "0.95", "--seed", "3")
    assert list(got) == ["model", "prompt", "seed", "tokens"]
    assert (got["model"], got["prompt"], got["seed"]) == ("storyteller", ONCE, 3)
    ids = storyteller.tokenizer.encode(ONCE)
    for token in got["tokens"]:
        assert list(token) == ["id", "text", "probability", "full_probability", "uniform"]
        trace = storyteller.forward(ids)
        assert trace is not None
        dist = distribution(trace.last_logits, 0.9, top_p=0.95)
        assert token["uniform"] == uniform(3, len(ids))
        assert token["id"] == draw(dist, token["uniform"])
        assert token["text"] == storyteller.tokenizer.decode([token["id"]])
        assert token["probability"] == pytest.approx(float(dist.probability[token["id"]]), rel=1e-4)
        assert token["full_probability"] == pytest.approx(float(dist.full_probability[token["id"]]), rel=1e-4)
        ids.append(token["id"])
    assert len(got["tokens"]) == 6


def test_generate_prints_the_continuation_and_nothing_else(storyteller: GPT2) -> None:
    flags = ("generate", ONCE, "--tokens", "12", "--seed", "1")
    ids = [token["id"] for token in document(*flags)["tokens"]]
    assert ok(*flags) == storyteller.tokenizer.decode(ids) + "\n"  # a file's last line ends, too
    assert ok(*flags) == ok(*flags)
    assert ok(*flags) != ok("generate", ONCE, "--tokens", "12", "--seed", "2")
    assert ok("generate", ONCE, "--tokens", "0") == ""


def test_generation_computes_each_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    forward = GPT2.stoppable_forward

    def watched(self: GPT2, ids: Any, **options: Any) -> Trace | None:
        prefix = options["prefix"]
        asked.append((len(ids), 0 if prefix is None else len(prefix.ids)))
        return forward(self, ids, **options)

    monkeypatch.setattr(GPT2, "stoppable_forward", watched)
    ok("generate", ONCE, "--tokens", "3")
    assert asked == [(7, 0), (8, 7), (9, 8)]


def test_greedy_generation_is_the_most_likely_token_and_keeps_its_number() -> None:
    got = document("generate", ONCE, "--tokens", "2", "--greedy")["tokens"]
    assert got[0]["id"] == document("predict", ONCE, "--top", "1")["next"][0]["id"]
    assert [token["probability"] for token in got] == [1.0, 1.0]
    assert got[0]["uniform"] == uniform(0, 7)


def test_generation_ends_with_the_context_and_says_so() -> None:
    result = run("generate", "--model", TINY, "--ids", "1,2,3,4,5,6,7,8,9,10,11,12,13", "--tokens", "9", "--json", "--seed", "1")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["tokens"]) == 3
    assert "16 tokens" in result.stderr
    assert run("generate", "--model", TINY, "--ids", "1,2,3,4,5,6,7,8,9,10,11,12,13", "--tokens", "3").stderr == ""


def test_end_of_text_ends_generation_silently(monkeypatch: pytest.MonkeyPatch, storyteller: GPT2) -> None:
    (end,) = storyteller.config.eos_token_ids
    forward = GPT2.stoppable_forward

    def ending(self: GPT2, ids: Any, **options: Any) -> Trace | None:
        trace = forward(self, ids, **options)
        if trace is not None and len(ids) == 9:
            logits = np.array(trace.last_logits)
            logits[end] = 1e4
            trace._parts["logits"] = (logits,)
        return trace

    monkeypatch.setattr(GPT2, "stoppable_forward", ending)
    got = document("generate", ONCE, "--tokens", "9")["tokens"]
    assert [token["id"] == end for token in got] == [False, False, True]
    assert "endoftext" not in ok("generate", ONCE, "--tokens", "9")


@pytest.mark.parametrize("ends", [(7, 9), ()])
def test_each_of_a_list_of_ends_ends_generation(ends: tuple[int, ...]) -> None:
    """As transformers' generate does; null and an empty list end nothing."""
    model = load_model(TINY)
    sampling = Sampling(5.0, None, None)
    model.config = replace(model.config, eos_token_ids=())
    free = [drawn.id for drawn in numbers.draw_tokens(model, [4, 4], sampling, 3, 14)]
    assert len(free) == 14
    model.config = replace(model.config, eos_token_ids=tuple(free[n] for n in (5, 3)) if ends else ())
    ended = [drawn.id for drawn in numbers.draw_tokens(model, [4, 4], sampling, 3, 14)]
    assert ended == (free[: 1 + next(i for i, id in enumerate(free) if id in (free[5], free[3]))] if ends else free)


def test_a_description_in_ascii_keeps_every_sign() -> None:
    out = ok("describe", "Once", "--at", "L0.ln1", "--ascii")
    assert out.isascii()
    assert "?" not in out
    plain = ok("describe", "Once", "--at", "L0.ln1")
    assert out.count("-") == plain.count("-") + plain.count("−")
    assert "1 token: 0 'Once'" in out


def test_keys_in_another_character_set_have_names() -> None:
    out = shell("keys", env={**os.environ, "PYTHONIOENCODING": "latin-1"}).stdout.decode("latin-1")
    assert re.search(r"^up +up k ", out, re.MULTILINE)
    assert re.search(r"^enter +enter ", out, re.MULTILINE)


class Bytes:
    """A tokenizer whose ids are bytes, and a model that says the same bytes again and again."""

    def __init__(self, said: bytes) -> None:
        self.said = said
        self.tokenizer = self
        self.config = type("Config", (), {"eos_token_ids": ()})

    def raw(self, id: int) -> bytes:
        return bytes([id])

    def draws(self) -> Any:
        return (type("Draw", (), {"id": b})() for b in self.said)


def test_a_stream_holds_whole_characters_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal never sees half of a character, and a text that ends in one shows U+FFFD."""
    wrote: list[str] = []
    monkeypatch.setattr(sys.stdout, "write", wrote.append)
    said = Bytes("é€🙂".encode() + b"\xe2\x82" + b"a" + b"\xf0\x9f")
    numbers.stream(said, said.draws())  # type: ignore[arg-type]
    assert wrote == ["é", "€", "🙂", "�a", "�", "\n"]


def test_control_characters_reach_a_pipe_but_not_a_terminal() -> None:
    assert clean("a\x1b[2J\x07\x9b\x7f\r\n\tb") == "a␛[2J␇�␡␍\n\tb"
    program = (
        "import sys; from txexplain.cli import numbers\n"
        "class M: said = b'a\\x1b[2Jb\\n'; config = type('C', (), {'eos_token_ids': ()})\n"
        "M.tokenizer = type('T', (), {'raw': staticmethod(lambda i: bytes([i]))})\n"
        "numbers.stream(M, (type('D', (), {'id': b})() for b in M.said))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"a\x1b[2Jb\n"
    assert in_terminal([sys.executable, "-c", program])[1] == "a␛[2Jb\r\n"


def test_text_that_the_locale_lacks_is_replaced_and_no_error() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    program = "from txexplain.cli import main, numbers; numbers.stream = lambda *_: print('é', end='') or []; main()"
    command = [sys.executable, "-c", program, "generate", "x", "--tokens", "0"]
    assert subprocess.run(command, capture_output=True, check=True, env=env).stdout == b"?"


def test_a_prompt_is_utf8_in_any_locale(storyteller: GPT2) -> None:
    env = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}
    for text, whole in (("é日".encode(), True), (b"\xe9", False)):
        done = subprocess.run([sys.executable, "-m", "txexplain", "tokens", text, "--json"], capture_output=True, env=env, check=False)
        if whole:
            assert [token["id"] for token in json.loads(done.stdout)["tokens"]] == storyteller.tokenizer.encode("é日")
        else:
            assert b"isn't valid UTF-8" in done.stderr


def test_after_a_prompt_from_a_pipe_the_keys_come_from_the_terminal() -> None:
    program = (
        "import os; from txexplain.cli.asked import read_prompt; from txexplain.cli.start import check_terminal, take_keyboard\n"
        "read_end, write_end = os.pipe(); os.write(write_end, b'Once\\n'); os.close(write_end); os.dup2(read_end, 0)\n"
        "check_terminal('-'); print(read_prompt('-'), os.isatty(0)); take_keyboard('-'); print(os.isatty(0))"
    )
    assert in_terminal([sys.executable, "-c", program], TERM="xterm") == (0, "Once False\r\nTrue\r\n")


# trace


def test_trace_writes_a_trace_file(tmp_path: Path, storyteller: GPT2) -> None:
    path = tmp_path / "once.safetensors"
    path.write_text("something older")
    said = ok("trace", ONCE, "-o", str(path))
    assert str(path) in said
    trace = Trace.load(path)
    fresh = storyteller.forward(storyteller.tokenizer.encode(ONCE))
    assert fresh is not None
    assert trace.ids == fresh.ids
    assert (trace.model, trace.prompt) == ("storyteller", ONCE)
    assert trace["logits"].shape == (50257,)
    np.testing.assert_allclose(trace["blocks.3.attn.pattern"], fresh["blocks.3.attn.pattern"], atol=1e-6)
    ok("trace", "--model", TINY, "--ids", "1,2,3", "-o", str(path), "--all-logits")
    assert Trace.load(path)["logits"].shape == (3, 61)
    assert list(tmp_path.iterdir()) == [path]


def test_trace_keeps_the_tensors_that_are_named(tmp_path: Path) -> None:
    path = tmp_path / "few.safetensors"

    def kept(*flags: str) -> list[str]:
        ok("trace", "--model", TINY, "--ids", "1,2,3", "-o", str(path), *flags)
        return list(Trace.load(path).names)

    whole = kept()
    assert len(whole) == 39
    assert kept("--only", "blocks.1.*") == ["blocks.0.resid_post", *(name for name in whole if name.startswith("blocks.1."))]
    assert kept("--only", "*.pattern", "--only", "logits") == ["blocks.0.attn.pattern", "blocks.1.attn.pattern", "logits"]
    assert kept("--only", "logits", "--all-logits") == ["logits"]
    assert Trace.load(path)["logits"].shape == (3, 61)
    path.unlink()
    assert "blocks.2.*" in sentence("trace", "--model", TINY, "--ids", "1", "-o", str(path), "--only", "blocks.2.*")
    assert not path.exists()


# attention


@pytest.mark.parametrize("stage", ["qk", "scaled", "masked", "softmax", "values"])
def test_attention_gives_the_heads_own_numbers(storyteller: GPT2, stage: str) -> None:
    trace = storyteller.forward(storyteller.tokenizer.encode(ONCE))
    assert trace is not None
    q, k, v = (trace[f"blocks.3.attn.{name}"][:, 5].astype(np.float64) for name in "qkv")
    shares = np.array(trace["blocks.3.attn.pattern"][5])
    want = {
        "qk": q @ k.T, "scaled": q @ k.T / np.sqrt(32), "masked": q @ k.T / np.sqrt(32), "softmax": shares,
        "values": shares * np.linalg.norm(v, axis=1),
    }[stage]  # fmt: skip
    seen = [(i, j) for i in range(7) for j in range(7) if stage in ("qk", "scaled") or j <= i]
    at = f"L3H5:{stage}" if stage != "softmax" else "L3H5"
    got = document("attention", ONCE, "--at", at)
    assert list(got) == ["model", "prompt", "tokens", "block", "head", "stage", "values"]
    assert (got["model"], got["block"], got["head"], got["stage"]) == ("storyteller", 3, 5, stage)
    assert got["tokens"] == [{"id": i, "text": storyteller.tokenizer.decode([i])} for i in trace.ids]
    assert [(i, j) for i in range(7) for j in range(7) if got["values"][i][j] is not None] == seen
    assert [got["values"][i][j] for i, j in seen] == pytest.approx([float(want[i, j]) for i, j in seen], rel=1e-4, abs=1e-4)
    lines = list(csv.DictReader(ok("attention", ONCE, "--at", at, "--csv").splitlines()))
    assert list(lines[0]) == ["query", "key", "query_id", "key_id", "query_token", "key_token", stage]
    assert [(int(line["query"]), int(line["key"])) for line in lines] == seen
    assert [float(line[stage]) for line in lines] == [got["values"][i][j] for i, j in seen]
    assert (lines[1]["query_token"], lines[1]["key_token"]) == ((" upon", "Once") if len(seen) == 28 else ("Once", " upon"))
    table = ok("attention", ONCE, "--at", at).splitlines()
    assert len(table) == 8
    assert sum(line.count("·") for line in table) == 49 - len(seen)


def test_what_has_no_grid_is_refused(tmp_path: Path) -> None:
    assert "L5H1:scaled" in sentence("attention", ONCE, "--at", "L3")
    assert "L5H1:scaled" in sentence("attention", ONCE, "--at", "L3H5[2,1]")
    assert "L0 to L5" in sentence("attention", ONCE, "--at", "L6H0")
    assert "--csv" in sentence("attention", ONCE, "--at", "L3H5", "--csv", "--json")
    assert "--at" in sentence("attention", ONCE)
    ok("trace", ONCE, "-o", str(tmp_path / "t"), "--only", "blocks.3.attn.pattern")
    whole = document("attention", ONCE, "--at", "L3H5")
    assert document("attention", "--trace", str(tmp_path / "t"), "--at", "L3H5") == whole
    assert "blocks.3.attn.q" in sentence("attention", "--trace", str(tmp_path / "t"), "--at", "L3H5:qk")


def test_a_file_is_written_with_the_users_umask_and_through_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.safetensors", tmp_path / "link.safetensors"
    link.symlink_to(real)
    before = os.umask(0o027)
    try:
        ok("trace", "--model", TINY, "--ids", "1", "-o", str(link))
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("command", [("trace",), ("render",)])
def test_a_file_that_cannot_be_written_is_named_before_any_work(command: tuple[str], tmp_path: Path) -> None:
    suffix = {"trace": ".safetensors", "render": ".svg"}[command[0]]
    missing = tmp_path / "nowhere" / f"x{suffix}"
    assert "nowhere" in sentence(*command, "hello", "--model", "/no/such/model", "-o", str(missing))
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    assert str(folder) in sentence(*command, "hello", "--model", "/no/such/model", "-o", str(folder))
    assert "-o" in sentence(*command, "hello")


def test_a_device_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    device = tmp_path / "pipe.safetensors"
    os.mkfifo(device)
    assert "pipe.safetensors" in sentence("trace", "hello", "-o", str(device))
    assert "neither" in sentence("render", "hello", "-o", "screen.png")


# Where the prompt comes from


def test_a_prompt_comes_from_each_of_its_doors(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"Once upon\n\n")
    assert document("predict", "--prompt", "predict")["prompt"] == "predict"
    assert json.loads(ok("predict", "--json", "--", "--top"))["prompt"] == "--top"
    assert document("predict", "--file", str(file))["prompt"] == "Once upon\n"
    assert document("predict", "--file", "-", stdin="né\r\n".encode())["prompt"] == "né"
    assert document("predict", "--file", "-")["tokens"] == [{"id": 50256, "text": "<|endoftext|>"}]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("predict",), "--file"),
        (("predict", "Once", "upon"), "'Once upon'"),
        (("predict", "Once", "--prompt", "upon"), "once"),
        (("predict", "--file", "/no/such/file"), "/no/such/file"),
        (("predict", "--file", "/dev/zero"), "64 MB"),
        (("predict", "--file", "/dev"), "directory"),
        (("predict", "--file", ""), "--file"),
        (("lessons", "report", "/dev/zero"), "Not a regular file"),
        (("predict", "--ids", ""), "1,2,3"),
        (("predict", "--ids", "1,x"), "1,2,3"),
        (("predict", "--ids", "-1"), "1,2,3"),
        (("predict", "--model", TINY, "--ids", "61"), "61"),
        (("tokens", "--model", TINY, "--ids", "61"), "60"),
        (("predict", "--model", TINY, "hello"), "--ids"),
        (("predict", "--model", TINY, "--ids", ",".join(["1"] * 17)), "17 tokens"),
        (("generate", "--model", TINY, "--ids", ",".join(["1"] * 17)), "16"),
        (("predict", "x", "--model", "/no/such/model"), "/no/such/model"),
        (("predict", "x", "--top-k", "3", "--top-p", "0.9"), "--top-p"),
        (("predict", "x", "--top-k", "3", "--greedy"), "--greedy"),
        (("generate", "x", "--top-p", "0.5", "--greedy"), "--greedy"),
        (("predict", "x", "--temperature", "-1"), "temperature"),
        (("predict", "x", "--temperature", "nan"), "temperature"),
        (("predict", "x", "--temperature", "warm"), "--temperature"),
        (("predict", "x", "--top-k", "0"), "Top-k"),
        (("predict", "x", "--top-p", "0"), "Top-p"),
        (("predict", "x", "--top-p", "1.5"), "Top-p"),
        (("predict", "x", "--top", "0"), "--top"),
        (("predict", "x", "--top", "1e3"), "whole number"),
        (("generate", "x", "--seed", "-1"), "--seed"),
        (("generate", "x", "--tokens", "-1"), "--tokens"),
        (("predict", "x", "--colour", "16"), "--colour"),
        (("render", "x", "-o", "x.svg", "--size", "12by3"), "120x36"),
        (("render", "x", "-o", "x.svg", "--size", "0x30"), "120x36"),
        (("render", "x", "-o", "x.svg", "--size", "99999999x30"), "1000"),
        (("describe", "x", "--color", "pink"), "truecolor"),
        (("describe", "x", "--at", "attic"), "attic"),
        (("describe", "x", "--at", "L99"), "99"),
        (("render", "x", "-o", "x.svg", "--at", "L0H0[5,5]"), "5"),
        (("trace", "x", "-o", "nofolder/"), "'nofolder/'"),
        (("trace", "x", "-o", ""), "name of a file"),
        (("trace", "x", "-o", "x.safetensors", "--only", ""), "--only ''"),
        (("describe", "--lesson", "attention", "--trace", "nosuch.safetensors"), "--trace"),
        (("models", "--json", "info", "storyteller"), "models info --json"),
        (("lessons", "--json", "check", "attention"), "lessons check --json"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(args: tuple[str, ...], words: str) -> None:
    assert words in sentence(*args)


def test_a_sentence_holds_no_control_character_and_no_traceback() -> None:
    assert "\x1b" not in sentence("predict", "--file", "/no/\x1b[2Jsuch\nfile")
    done = shell("predict", "x", "--model", "/no/such/model")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr


def test_a_prompt_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    assert "UTF-8" in sentence("predict", "--file", "-", stdin=b"ab\xff")
    assert "UTF-8" in sentence("predict", os.fsdecode(b"caf\xe9"))


def test_the_model_comes_from_the_environment_where_no_flag_names_one() -> None:
    result = run("predict", "--ids", "1", "--json", env={"TXEXPLAIN_MODEL": TINY})
    assert json.loads(result.stdout)["next"][0]["id"] < 61
    named = ok("predict", "--ids", "1", "--json", "--model", "storyteller", "--top", "70", env={"TXEXPLAIN_MODEL": TINY})
    assert len(json.loads(named)["next"]) == 70


@pytest.mark.parametrize(
    "state",
    [
        from_flags(),
        from_flags(prompt="--top", at="L5H1:qk[0,1]", temperature=0.123456789, seed=7, flow="rollout"),
        from_flags(ids=(7454, 2402), at="heads[5.7]@1", top_k=3, temperature=2.5),
        from_flags(prompt="tokens \n 'a' \"b\"", top_p=0.35),
        from_flags(prompt="é", model="storyteller", revision="main").at_temperature(0),
    ],
    ids=str,
)
def test_the_command_line_that_the_app_shows_leads_back_to_its_view(state: ExplorerState, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ExplorerState] = []

    def first_state(*args: Any) -> ExplorerState:
        seen.append(original(*args))
        raise ExplainError("enough seen")

    original = views.first_state
    monkeypatch.setattr(views, "first_state", first_state)
    monkeypatch.setattr(start, "check_terminal", lambda file: None)
    name, *flags = shlex.split(state.command_line())
    assert name == "txexplain"
    assert "enough seen" in sentence(*flags)
    assert seen == [state]
    assert OFFERED == FLOWS


# Which word is a command


@pytest.mark.parametrize(
    ("argv", "name", "rest"),
    [
        ([], "", []),
        (["Once upon"], "", ["Once upon"]),
        (["predict", "x"], "predict", ["x"]),
        (["--", "predict"], "", ["--", "predict"]),
        (["--prompt", "predict"], "", ["--prompt", "predict"]),
        (["--prompt=tokens", "--ascii"], "", ["--prompt=tokens", "--ascii"]),
        (["--file", "-"], "", ["--file", "-"]),
        (["--model", "gpt2", "predict", "x"], "predict", ["--model", "gpt2", "x"]),
        (["--greedy", "tokens", "x"], "tokens", ["--greedy", "x"]),
        (["--size", "80x24", "render"], "render", ["--size", "80x24"]),
        (["Once", "predict"], "", ["Once", "predict"]),
        (["--help", "predict"], "", ["--help", "predict"]),
    ],
)
def test_a_first_word_that_is_no_command_is_a_prompt(argv: list[str], name: str, rest: list[str]) -> None:
    assert isinstance(cli, Program)
    assert cli.route(argv) == (name, rest)


def test_the_app_needs_a_terminal_and_names_the_way_without_one() -> None:
    done = shell(stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, b"")
    for args in ((), ("Once upon",), ("--prompt", "predict"), ("--at", "L0H1")):
        assert "--file" in sentence(*args)
        assert done.stderr.decode() == sentence(*args)


def test_the_app_refuses_a_terminal_that_cannot_place_text() -> None:
    code, text = in_terminal([sys.executable, "-m", "txexplain", "Once"], TERM="dumb")
    assert code == 2
    assert re.fullmatch(r"txexplain: [^\r\n]*TERM=dumb[^\r\n]*\r\n", text), text


# Help


def test_help_is_instant_because_it_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from txexplain.cli import main\n"
        "for words in sys.argv[1:]:\n"
        "    sys.argv = ['txexplain', *words.split()]\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "    loaded = {m.partition('.')[0] for m in sys.modules}\n"
        "    heavy = loaded & {'numpy', 'textual', 'rich', 'tiktoken', 'safetensors', 'huggingface_hub'}\n"
        "    print('heavy:', words, sorted(heavy))\n"
    )
    helps = ["--help", "-h", *(f"{name} --help" for name in COMMANDS)]
    done = subprocess.run([sys.executable, "-c", program, *helps], capture_output=True, text=True, check=True)
    assert re.findall("heavy: .*", done.stdout) == [f"heavy: {words} []" for words in helps]
    assert done.stdout.count("Usage: txexplain") == len(helps)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shell("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"--help: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.3f} s of CPU")  # noqa: T201


def test_each_command_has_a_function_that_takes_what_its_flags_make() -> None:
    """They are found by name when a command runs: a name that is spelt wrong, or a flag that nobody takes, would show only then."""
    groups = [each for each in cli.commands.values() if isinstance(each, click.Group)]
    commands = [app, *cli.commands.values(), *(each for group in groups for each in group.commands.values())]
    assert len(commands) > 20
    for command in commands:
        assert isinstance(command.callback, Answer)
        taken = set(inspect.signature(found(command.callback.where)).parameters)
        made = {group.name for group in command.callback.groups}
        of_groups = {param.name for group in command.callback.groups for param in group.params}
        own = {param.name for param in command.params if param.expose_value} - of_groups
        assert taken == own | made, command.name
        for group in command.callback.groups:
            found(group.made_by)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_each_help_fits_a_screen_and_has_an_example(name: str) -> None:
    text = ok(*([name] if name else []), "--help", env={"COLUMNS": "80"})
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    assert "Example: txexplain" in text


def test_the_programs_help_names_every_flag_and_command() -> None:
    text = ok("--help")
    assert set(cli.commands) == set(COMMANDS)
    flags = [name for param in app.params for name in param.opts if name.startswith("--")]
    assert "--temperature" in flags
    for word in (*flags, *COMMANDS):
        assert re.search(rf"(?<![\w-]){re.escape(word)}\b", text), word
    assert ok("Once upon a time", "--help") == text


def test_the_package_gives_its_names_when_asked_and_imports_nothing_before() -> None:
    program = "import sys, txexplain; print('numpy' in sys.modules, txexplain.distribution([0.0, 0.0]).probability)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False [0.5 0.5]\n"
    assert all(getattr(txexplain, name) is not None for name in txexplain.__all__)
    assert set(txexplain.__all__) <= set(dir(txexplain))
    with pytest.raises(AttributeError, match="load_modle"):
        txexplain.load_modle  # noqa: B018


class Screen(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_for_a_terminal_and_leaves_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with streams.terminal_progress("gpt2") as progress:
        assert progress is None
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with streams.terminal_progress("gp\x1bt2") as progress:
        assert progress is not None
        for done in (0, 1_000, 120_000_000, 120_000_001):
            progress(done, 548_000_000)
    lines = screen.getvalue().split("\r")
    assert lines == ["", "gp␛t2: 0 of 548 MB\x1b[K", "gp␛t2: 120 of 548 MB\x1b[K", "\x1b[K"]


def test_the_version() -> None:
    assert ok("--version") == f"txexplain {__version__}\n"


# The end of a process


@pytest.mark.parametrize("args", few(["tokens x --json", "predict x", "generate x --tokens 2", "--help"], lambda args: args[0] in "g-"))
def test_a_reader_that_has_gone_away_is_no_error(args: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "txexplain", *args.split()], stdout=write_end, stderr=subprocess.PIPE, check=False, env=BUFFERED
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_full_disk_is_one_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "txexplain", "tokens", "x", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=BUFFERED)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"no space" in done.stderr


SAYS = "exec {python} -m txexplain {words} {closed}"


SPEAKING = ["predict x --top 1", "predict x --json", "generate x --tokens 1", "models", "describe x", "keys"]


@pytest.mark.parametrize("words", few(SPEAKING, lambda words: words in ("predict x --json", "keys")))
def test_an_output_that_the_shell_closed_is_one_sentence(words: str) -> None:
    done = subprocess.run(["sh", "-c", SAYS.format(python=sys.executable, words=words, closed=">&-")], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"txexplain: The output can't be used: bad file descriptor.\n"


@pytest.mark.long
def test_other_streams_that_the_shell_closed(tmp_path: Path) -> None:
    """A picture is written without an output, a prompt can't be read without an input, and numbers come without a place for errors."""

    def run_without(words: str, closed: str) -> subprocess.CompletedProcess[bytes]:
        command = ["sh", "-c", SAYS.format(python=sys.executable, words=words, closed=closed)]
        return subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)

    assert run_without("render x -o x.txt", "<&- >&- 2>&-").returncode == 0
    assert "txexplain" in (tmp_path / "x.txt").read_text("utf-8")
    done = run_without("predict --file -", "<&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"txexplain: The prompt can't be read from standard input: bad file descriptor.\n"
    done = run_without("tokens x", "2>&-")
    assert (done.returncode, done.stdout.split()[-1]) == (0, b"78")
    assert run_without("predict x --nonsense", "2>&-").returncode == 2


def test_a_table_is_never_cut(tmp_path: Path) -> None:
    (tmp_path / "dashes").write_text("-" * 64, encoding="utf-8")
    out = ok("tokens", "--file", str(tmp_path / "dashes"), env={"COLUMNS": "40"})
    assert out.splitlines()[1].split() == ["10097", "-" * 64, *["2d"] * 64]


def test_a_written_file_is_told_by_the_name_that_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = ok("trace", "x", "-o", "once.safetensors", "--only", "embed")
    assert told.startswith("once.safetensors: 1 tensor of 1 token, ")


def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    # So hot that any token may come: none of 250 is the end of the text.
    command = [sys.executable, "-m", "txexplain", "generate", "Once", "--tokens", "250", "--seed", "5", "--temperature", "10"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job would pass on that it is ignored
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heard) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)  # it streams: the first character is there long before the last
        process.send_signal(signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(30) == 130


def in_terminal(command: list[str], **env: str) -> tuple[int, str]:
    """Run a command in a terminal of its own; its exit code and all that reached the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, {**os.environ, **env})
    seen = b""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux says so at the end
            break
        if not data:
            break
        seen += data
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen.decode()


PEAK = """
import resource, sys
from txexplain.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.long
@pytest.mark.parametrize("form", [[], ["--json"], ["--tokenizer", "tests/golden/tokenizers/added"]], ids=["table", "json", "library"])
def test_the_tokens_of_a_long_text_take_no_more_memory_than_the_text(tmp_path: Path, form: list[str]) -> None:
    peaks = []
    for megabytes in (2, 4):
        path = tmp_path / "text"
        path.write_text("Once upon a time there was a little fox. " * (megabytes * 1_000_000 // 41))
        command = [sys.executable, "-c", PEAK, "tokens", "--file", str(path), *form]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        peaks.append(int(done.stderr) / 1000)
    assert peaks[1] - peaks[0] < 12, "MB: the file, its text, and a copy; their tokens would be 24"
