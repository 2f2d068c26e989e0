"""Completions: what a shell is told for a command line that is half written, and the scripts that ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from txexplain.cli import cli
from txexplain.cli.completion import answer
from txexplain.cli.flags import PAGE_NAMES, SHELLS, STAGE_NAMES
from txexplain.explorer import location

ROOT = Path(__file__).parents[2]


def told(shell: str, line: str) -> list[str]:
    """What completes the last word of a line: the values, as the shell's script would read them."""
    words = line.split(" ")
    env = os.environ | {"_TXEXPLAIN_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        env["COMP_CWORD"] = words[-1]
    program = (
        "import sys, atexit\n"
        "loaded = lambda: sys.stderr.write(','.join({'numpy', 'textual', 'rich', 'huggingface_hub'} & set(sys.modules)))\n"
        "atexit.register(loaded)\n"
        "from txexplain.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == "", "a key for a completion mustn't wait for the engine"
    if shell == "zsh":
        lines = done.stdout.splitlines()
        return [f"{kind},{value}" for kind, value in zip(lines[::3], lines[1::3], strict=False)]
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


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
    done = subprocess.run([sys.executable, "-m", "txexplain", "completion", shell], capture_output=True, text=True, check=True)
    assert f"_TXEXPLAIN_COMPLETE={shell}_complete" in done.stdout
    if path := shutil.which(shell):
        subprocess.run([path, "-n"], input=done.stdout, text=True, check=True)


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
        env = {"_TXEXPLAIN_COMPLETE": f"{shell}_complete", "COMP_WORDS": f"txexplain --file {begun}", "COMP_CWORD": "2"}
        done = subprocess.run([sys.executable, "-m", "txexplain"], env=os.environ | env, capture_output=True, text=True, check=True)
        assert "PWNED" not in done.stdout
        assert "\x1b" not in done.stdout
