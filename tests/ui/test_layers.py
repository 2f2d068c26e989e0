"""What may import what: seen from a fresh interpreter each."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from functools import cache

import pytest

import txexplain


@cache
def loaded_by(*modules: str) -> set[str]:
    """The top-level names of all modules that importing these loads."""
    code = f"import json, sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def modules_under(*packages: str) -> list[str]:
    """Every module of these packages of ours, by name."""
    names = [info.name for info in pkgutil.walk_packages(txexplain.__path__, "txexplain.")]
    found = [name for name in names if name.startswith(tuple(f"txexplain.{package}." for package in packages))]
    assert len(found) >= len(packages)
    return found


def test_the_package_itself_costs_nothing() -> None:
    names = tops(loaded_by("txexplain"))
    assert not names & {"numpy", "textual", "rich", "tiktoken", "huggingface_hub", "click"}


# What each layer may load of ours, beside itself: data flows one way.
BELOW = {
    "engine": (),
    "models": ("engine",),
    "facts": ("engine",),
    "explorer": ("engine", "facts", "models"),
    "words": ("engine", "facts", "explorer", "models"),
    "viz": ("engine", "facts", "explorer", "models", "words"),
    "front": ("engine", "facts", "explorer", "models", "words", "viz"),
    "ui": ("engine", "facts", "explorer", "models", "words", "viz", "front"),
    "cli": ("engine", "facts", "explorer", "models", "words", "viz", "front", "ui"),
    "serve": ("engine", "facts", "explorer", "models", "words", "viz", "front", "ui"),  # which cli starts by name, when it is asked to
}


@pytest.mark.parametrize("layer", BELOW)
def test_nothing_is_imported_upwards(layer: str) -> None:
    names = loaded_by(*modules_under(layer))
    ours = {name.split(".")[1] for name in names if name.startswith("txexplain.") and name.split(".")[1] in BELOW}
    assert ours <= {layer, *BELOW[layer]}


@pytest.mark.parametrize(
    ("layer", "foreign"),
    [
        ("engine", {"textual", "rich", "click", "huggingface_hub", "torch", "transformers"}),
        ("facts", {"textual", "rich", "click", "huggingface_hub"}),
        ("explorer", {"textual", "rich"}),
        ("words", {"textual", "rich"}),
        ("models", {"textual"}),
        ("viz", {"textual"}),
        ("front", {"textual", "huggingface_hub"}),
        ("cli", {"textual", "huggingface_hub"}),
    ],
)
def test_what_a_layer_does_not_need_is_not_loaded(layer: str, foreign: set[str]) -> None:
    assert not tops(loaded_by(*modules_under(layer))) & foreign


def test_the_terminal_is_asked_and_guarded_before_anything_large_is_loaded() -> None:
    names = loaded_by("txexplain.ui.terminal.asking", "txexplain.ui.terminal.rescue")
    assert not tops(names) & {"numpy", "textual", "rich"}


def test_what_a_command_takes_is_known_without_what_it_does() -> None:
    """So --help and a shell's Tab key are instant; each command's own module is imported when it runs."""
    names = loaded_by("txexplain.__main__", "txexplain.cli.commands", "txexplain.cli.flags", "txexplain.cli.completion")
    assert not tops(names) & {"numpy", "textual", "rich", "tiktoken", "safetensors", "huggingface_hub"}
    assert not {name for name in names if name.startswith(("txexplain.explorer", "txexplain.viz", "txexplain.front"))}
