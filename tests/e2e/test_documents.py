"""The README's table of JSON documents is what the commands print."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from txexplain.cli import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SAVED = str(ROOT / "tests" / "golden" / "saved" / "one")
TABLE = re.search(r"\| command \| keys of its document, after `schema` \|\n\|---\|---\|\n((?:\|.*\n)+)", README)
ARGUMENTS = {
    "predict": ["Once"],
    "generate": ["Once", "--tokens", "2"],
    "tokens": ["Once"],
    "attention": ["Once", "--at", "L0H0"],
    "attention --at heads": ["Once"],
    "head-stats": ["Once"],
    "loss": ["Once upon"],
    "lens": ["Once upon"],
    "direct": ["Once upon"],
    "effects": ["heads", "Once upon"],
    "effects --prompts FILE": [],
    "scan": ["Once upon", "--top", "2"],
    "compare": ["Once upon", "--from", "Once a", "--top", "2"],
    "lessons": [],
    "lessons report": [],
    "describe": ["Once upon"],
    "models": [],
    "models info": [SAVED],
    "models cache": [],
    "models verify": [SAVED],
    "keys": [],
}


def rows() -> dict[str, list[str]]:
    assert TABLE is not None
    found = {}
    for line in TABLE[1].splitlines():
        command, keys = line.strip("| ").split(" | ")
        found[command.strip("`")] = re.findall(r"`(\w+)`", keys.partition(":")[0])
    return found


@cache
def document(command: str) -> Any:
    words = [*command.split(), *ARGUMENTS[command]]
    if command == "effects --prompts FILE":
        words = ["effects", "heads", "--prompts", written("Once upon a\t\t time\t hill\n")]
    if command == "lessons report":
        answers = {"format": "txexplain-answers/1", "lesson": "x", "answers": [{"page": 1, "question": "Q", "answer": 1, "right": True}]}
        words.append(written(json.dumps(answers)))
    done = CliRunner().invoke(cli, [*words, "--json"], env={"TXEXPLAIN_MODEL": ""})
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def written(text: str) -> str:
    path = Path(tempfile.mkdtemp()) / "answers.json"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_document_has_the_keys_that_the_readme_names(command: str) -> None:
    assert list(rows()) == list(ARGUMENTS)
    got = document(command)
    assert list(got) == ["schema", *rows()[command]]
    assert got["schema"] == f"txexplain-{'-'.join(command.partition(' --')[0].split())}/1"


def test_every_command_that_has_documents_stands_in_the_readme() -> None:
    groups = {name: each.commands for name, each in cli.commands.items() if isinstance(each, click.Group)}
    under = {f"{name} {inner}": each for name, commands in groups.items() for inner, each in commands.items()}
    telling = {name for name, each in {**cli.commands, **under}.items() if any(param.name == "as_json" for param in each.params)}
    assert telling == {name.partition(" --")[0] for name in rows()}


def lists_of(value: Any) -> Iterator[str]:
    """Every key inside a document, but those that are a model's own names and sizes, or a table's columns."""
    for item in value if isinstance(value, list) else [value]:
        for key, inner in item.items() if isinstance(item, dict) else ():
            if key in ("architecture", "parameters_by_part", "checks", "answers", "rows"):
                continue
            yield key
            yield from lists_of(inner)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_the_keys_inside_are_named_too(command: str) -> None:
    assert {key for key in lists_of(document(command)) if f"`{key}`" not in README} == set()
