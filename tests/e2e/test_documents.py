"""The README's table of JSON documents is what the commands print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from txexplain.cli import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SAVED = str(ROOT / "tests" / "golden" / "saved" / "one")
TABLE = re.search(r"\| command \| keys of its document \|\n\|---\|---\|\n((?:\|.*\n)+)", README)
ARGUMENTS = {
    "predict": ["Once"],
    "generate": ["Once", "--tokens", "2"],
    "tokens": ["Once"],
    "attention": ["Once", "--at", "L0H0"],
    "models": [],
    "models info": [SAVED],
    "models cache": [],
    "models verify": [SAVED],
}


def rows() -> dict[str, list[str]]:
    assert TABLE is not None
    found = {}
    for line in TABLE[1].splitlines():
        command, keys = line.strip("| ").split(" | ")
        found[command.strip("`")] = re.findall(r"`(\w+)`", keys)
    return found


def document(command: str) -> Any:
    done = CliRunner().invoke(cli, [*command.split(), *ARGUMENTS[command], "--json"], env={"TXEXPLAIN_MODEL": ""})
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_document_has_the_keys_that_the_readme_names(command: str) -> None:
    assert set(rows()) == set(ARGUMENTS)
    got = document(command)
    assert isinstance(got, list) == ("a list" in (TABLE[1] if TABLE else "").split(f"| `{command}` |")[1].split("\n")[0])
    assert list(got[0] if isinstance(got, list) else got) == rows()[command]


def test_the_keys_inside_are_named_too() -> None:
    inside = {
        *document("predict")["next"][0],
        *document("predict")["sampling"],
        *document("generate")["tokens"][0],
    }
    assert {key for key in inside if f"`{key}`" not in README} == set()
