"""Completions: what a shell is told for a command line that is half written, and the scripts that ask."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner

from txexplain.cli import cli
from txexplain.cli.completion import answer
from txexplain.cli.flags import PAGE_NAMES, SHELLS, STAGE_NAMES
from txexplain.explorer import location

ROOT = Path(__file__).parents[2]


def asking(shell: str, line: str) -> dict[str, str]:
    """What a shell's script sets for a line whose last word is to be completed."""
    return {"COMP_WORDS": line, "COMP_CWORD": line.split(" ")[-1] if shell == "fish" else str(line.count(" "))}


def answered(shell: str, env: dict[str, str]) -> str:
    printed = io.StringIO()
    with mock.patch.dict(os.environ, env), redirect_stdout(printed):
        assert answer(cli, f"{shell}_complete") == 0
    return printed.getvalue()


def told(shell: str, line: str) -> list[str]:
    """What completes the last word of a line: the values, as the shell's script would read them."""
    lines = answered(shell, asking(shell, line)).splitlines()
    if shell == "zsh":
        return [f"{kind},{value}" for kind, value in zip(lines[::3], lines[1::3], strict=False)]
    return [line.split("\t")[0] for line in lines]


def test_a_key_for_a_completion_does_not_wait_for_the_engine() -> None:
    program = (
        "import os, sys\n"
        "from txexplain.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    os.environ |= {'COMP_WORDS': line, 'COMP_CWORD': str(line.count(' '))}\n"
        "    try: main()\n"
        "    except SystemExit as ended: print(ended.code, {'numpy', 'textual', 'rich', 'huggingface_hub'} & set(sys.modules))\n"
    )
    lines = ["txexplain pre", "txexplain --theme l", "txexplain models pull dis", "txexplain render x --at L3.l"]
    env = os.environ | {"_TXEXPLAIN_COMPLETE": "bash_complete"}
    done = subprocess.run([sys.executable, "-c", program, *lines], env=env, capture_output=True, text=True, check=True)
    offered = [line for line in done.stdout.splitlines() if line.startswith("plain,")]
    assert offered == ["plain,predict", "plain,light", "plain,distilgpt2", "plain,L3.ln1", "plain,L3.ln2"]
    assert done.stdout.splitlines().count("0 set()") == len(lines)


@pytest.mark.parametrize("env", [{}, {"COMP_WORDS": "txexplain x"}, {"COMP_WORDS": "txexplain x", "COMP_CWORD": "abc"}], ids=len)
def test_what_asks_otherwise_than_the_script_is_told_nothing(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert answer(cli, "bash_complete") == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_told_the_commands(shell: str) -> None:
    assert told(shell, "txexplain pre") == ["plain,predict"]


def test_commands_flags_and_values_are_completed() -> None:
    first = told("bash", "txexplain ")
    assert first[: len(cli.commands)] == [f"plain,{name}" for name in cli.commands]
    assert told("bash", "txexplain --the") == ["plain,--theme"]
    assert told("bash", "txexplain --theme l") == ["plain,light"]
    assert told("bash", "txexplain predict --to") == ["plain,--top-k", "plain,--top-p", "plain,--top"]
    assert told("bash", "txexplain --model gpt2-") == ["plain,gpt2-medium", "plain,gpt2-large", "plain,gpt2-xl"]
    assert told("bash", "txexplain models pull dis") == ["plain,distilgpt2"]
    assert told("bash", "txexplain models v") == ["plain,verify"]
    assert told("bash", "txexplain --model ./m") == ["file,./m"]
    assert told("bash", "txexplain open once") == ["file,once"]
    assert told("bash", "txexplain render x --at L3.l") == ["plain,L3.ln1", "plain,L3.ln2"]
    assert told("bash", "txexplain attention x --at L3H5:s") == ["plain,L3H5:scaled", "plain,L3H5:softmax"]


def test_the_places_offered_exist() -> None:
    assert location.STAGES == STAGE_NAMES
    assert set(PAGE_NAMES) <= set(location.PLACES)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_what_their_shells_read(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).stdout
    assert f"_TXEXPLAIN_COMPLETE={shell}_complete" in script
    if path := shutil.which(shell):
        subprocess.run([path, "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_a_line(tmp_path: Path) -> None:
    command = tmp_path / "txexplain"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m txexplain "$@"\n')
    command.chmod(0o755)
    script = """
source <(txexplain completion bash)
COMP_WORDS=(txexplain models pu) COMP_CWORD=2
_txexplain_completion txexplain
echo "${COMPREPLY[@]}"
complete -p txexplain
"""
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["pull", "complete -o nosort -F _txexplain_completion txexplain"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_s_name_is_one_completion_or_none(shell: str) -> None:
    """What is completed comes from a line that may have been pasted: a second line of it would be an offer of txexplain's own."""
    for begun in ("'a\nplain,$(touch PWNED)", "a\tb", "\x1b]0;x\x07"):
        offered = answered(shell, {"COMP_WORDS": f"txexplain --file {begun}", "COMP_CWORD": "2"})
        assert "PWNED" not in offered
        assert "\x1b" not in offered
