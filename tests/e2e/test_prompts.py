"""Many prompts at once, a line each; and where a prompt comes from, it is read once."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from txexplain.cli import asked, cli
from txexplain.engine.trace import Trace

TINY = str(Path(__file__).parents[1] / "golden" / "parity" / "default")  # V 61, context 16, no tokenizer
LINES = ("Once upon a time", "", "The cat sat", 'She said "no" – naïve')


def run(*args: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, list(args), input=stdin, env={"TXEXPLAIN_MODEL": "", "COLUMNS": "100"})


def documents(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "--top", "2"],
        ["generate", "--tokens", "3", "--seed", "4"],
        ["tokens"],
        ["attention", "--at", "L2H3:scaled"],
        ["attention", "--at", "L1.attn"],
        ["head-stats"],
        ["loss", "--window", "4"],
    ],
    ids=" ".join,
)
def test_a_line_in_is_a_document_out_the_same_as_alone(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\r\n".join(LINES).encode() + b"\n")
    result = run(*command, "--prompts", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert documents(result) == [documents(run(*command, "--json", "--prompt", line))[0] for line in LINES]
    piped = run(*command, "--prompts", "-", "--json", stdin="\n".join(LINES).encode())  # the last line may lack its end
    assert piped.stdout == result.stdout


def test_a_prompt_that_cannot_be_read_says_why_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("one\n" + "two " * 300 + "\nthree\n")
    result = run("predict", "--prompts", str(path))
    found = documents(result)
    assert ["error" in each for each in found] == [False, True, False]
    assert list(found[1]) == ["schema", "prompt", "error"]
    assert found[1]["prompt"] == "two " * 300
    assert "256" in found[1]["error"]
    assert result.exit_code == 2
    assert result.stderr == "txexplain: 1 of 3 prompts can't be read by the model; their documents say why.\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("predict", "x", "--prompts", "FILE"), "--prompts"),
        (("predict", "--ids", "1", "--prompts", "FILE"), "--prompts"),
        (("predict", "--trace", "t", "--prompts", "FILE"), "--trace without --prompts"),
        (("attention", "--at", "L0H0", "--csv", "--prompts", "FILE"), "--csv"),
        (("predict", "--prompts", "/no/such"), "/no/such"),
        (("predict", "--prompts", ""), "--prompts"),
        (("predict", "--prompts", "BAD"), "Line 2"),
    ],
)
def test_what_cannot_be_is_refused(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    (tmp_path / "FILE").write_text("x\n")
    (tmp_path / "BAD").write_bytes(b"x\n\xff\n")
    result = run(*(str(tmp_path / each) if each in ("FILE", "BAD") else each for each in args))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_each_line_is_answered_before_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program that asks and waits needs it."""
    order: list[str] = []
    read = asked.read_lines

    def lines(path: str) -> Any:
        for text in read(path):
            order.append(f"read {text}")
            yield text

    monkeypatch.setattr(asked, "read_lines", lines)
    monkeypatch.setattr("txexplain.cli.output.print_json", lambda schema, document: order.append(f"told {document['prompt']}"))
    run("predict", "--prompts", "-", stdin=b"a\nb\n")
    assert order == ["read a", "told a", "read b", "told b"]


def test_ids_come_from_a_file_or_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("7454, 2402\n257 640\n")
    want = run("predict", "--ids", "7454,2402,257,640", "--json").stdout
    assert run("predict", "--ids", f"@{path}", "--json").stdout == want
    assert run("predict", "--ids", "-", "--json", stdin=b"7454 2402 257,640").stdout == want
    printed = run("tokens", "Once upon a time", "--json").stdout.encode()
    listed = run("loss", "Once upon a time", "--csv").stdout.encode()
    column = b'\xef\xbb\xbftoken;x,id\r\na,7454\r\n"b\n,", 2402\r\n\r\nc,257\r\nd,640\r\n'
    for text in (b"7454\n2402\n257\n640\n", b"[7454, 2402, 257, 640]", printed, listed, column):
        assert run("predict", "--ids", "-", "--json", stdin=text).stdout == want, text
    nothing = (
        b"",
        b"one two",
        b"\xff",
        b"token\n5\n",
        b"id\n",
        b"id\n1.5\n",
        b"[",
        b"[[1]]",
        b'[{"x": 1}]',
        b"[true]",
        b"[-1]",
        b"{}",
        b"token,id\n5\n",
    )
    for text, words in ((text, "1,2,3, a CSV with a column id") for text in nothing):
        refused = run("predict", "--ids", "-", stdin=text)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert words in refused.stderr
    assert "/no/such" in run("predict", "--ids", "@/no/such").stderr


COMMANDS = [
    ["predict"],
    ["generate", "--tokens", "2"],
    ["tokens"],
    ["attention", "--at", "L0H0"],
    ["head-stats"],
    ["loss"],
    ["lens"],
    ["direct"],
    ["effects", "mlps"],
    ["describe"],
    ["explain", "--at", "L0H0"],
    ["trace", "-o", "OUT.safetensors"],
    ["render", "-o", "OUT.txt", "--size", "80x24"],
    ["poster", "-o", "OUT.svg"],
]


@pytest.mark.parametrize("door", ["-", "fifo"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each[0])
def test_what_can_be_read_once_is_the_prompt_of_every_command(command: list[str], door: str, tmp_path: Path) -> None:
    """A pipe is empty when it is read again, and a FIFO waits for ever."""

    def with_prompt(name: str, *prompt: str, stdin: bytes = b"") -> tuple[str, list[Any]]:
        words = [str(tmp_path / each.replace("OUT", name)) if each.startswith("OUT") else each for each in command]
        result = run(*words, *prompt, stdin=stdin)
        assert result.exit_code == 0, result.output
        wrote = [path for path in tmp_path.iterdir() if path.name.startswith(name)]
        return result.stdout.replace(name, ""), [Trace.load(path).ids if command[0] == "trace" else path.read_bytes() for path in wrote]

    want = with_prompt("plain", "Once upon a time")
    if door == "-":
        assert with_prompt("piped", "--file", "-", stdin=b"Once upon a time\n") == want
        return
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"Once upon a time"), daemon=True)
    writer.start()
    assert with_prompt("fifod", "--file", str(fifo)) == want
    writer.join(10)
    assert not writer.is_alive()
