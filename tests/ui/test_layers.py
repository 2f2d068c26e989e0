"""What may import what: seen from a fresh interpreter each."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import txexplain


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


def test_the_engine_knows_no_terminal_and_nothing_further_right() -> None:
    names = loaded_by(*modules_under("engine"))
    assert "numpy" in names
    assert not tops(names) & {"textual", "rich", "click", "huggingface_hub", "torch", "transformers"}
    further = ("txexplain.facts", "txexplain.viz", "txexplain.ui", "txexplain.explorer", "txexplain.models")
    assert not {name for name in names if name.startswith(further)}


def test_facts_know_numbers_alone() -> None:
    names = loaded_by(*modules_under("facts"))
    assert "txexplain.engine.derive" in names
    assert not tops(names) & {"textual", "rich", "click", "huggingface_hub"}
    assert not {name for name in names if name.startswith(("txexplain.viz", "txexplain.ui", "txexplain.explorer", "txexplain.models"))}


def test_the_explorer_knows_no_screen() -> None:
    names = loaded_by(*modules_under("explorer"))
    assert not tops(names) & {"textual", "rich"}
    assert not {name for name in names if name.startswith(("txexplain.viz", "txexplain.ui"))}


def test_words_know_no_cells() -> None:
    names = loaded_by(*modules_under("words"))
    assert not tops(names) & {"textual", "rich"}
    assert not {name for name in names if name.startswith(("txexplain.viz", "txexplain.ui"))}
    assert not {name for name in loaded_by(*modules_under("explorer")) if name.startswith("txexplain.words")}


@pytest.mark.parametrize("layer", ["viz", "models"])
def test_pictures_and_models_know_no_textual(layer: str) -> None:
    names = loaded_by(*modules_under(layer))
    assert "textual" not in tops(names)
    assert not {name for name in names if name.startswith("txexplain.ui")}


def test_rendering_to_a_file_needs_no_textual() -> None:
    names = loaded_by("txexplain.ui.render", "txexplain.ui.session", "txexplain.ui.actions", "txexplain.ui.options")
    assert "txexplain.viz.screen" in names
    assert not tops(names) & {"textual", "huggingface_hub"}
