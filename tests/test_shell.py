"""A command that is copied is the same command in every shell, and runs nothing else. Each shell that is here reads hostile words."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import txexplain
from tests.examples import examples
from txexplain.explorer.state import ExplorerState
from txexplain.shell import joined, quoted, typable

NASTY = [
    "", "a\\'\";touch PWNED;#",
    "\\", "\\\\", "'", "''", "a'b", "\\'\\'\\\\", "end\\", "\"'\"'\"", "\\\"", "$(touch PWNED)", "`touch PWNED`",
    "';touch PWNED;'", "\\';touch PWNED;\\'", "\\\\';touch PWNED;#", "\\\\\\';touch PWNED;#",
    "|touch PWNED", "&&touch PWNED", ">PWNED", ">(touch PWNED)",
    "<(touch PWNED)", "!", "!!", "!-1", "!$", "!?x?", "!touch", "\\!", "!\\", "\\\\!x", "!'x", "'!'", "a\\!'b", "!\"", "!#:0", "^a^b", "^x",
    "$HOME ${HOME}", "$$", "$!", "$status", "$?", "$'a'", "$\"a\"",
    "~", "~root", "~/a:~/b", "=ls", "=", "x=y", "%self", "%1", "%", "*", "?",
    "[a-z]",
    "{a,b}", "#x", "a#b", "-x", "--at", "@x", ":h", "!:h", "a b  c", "  x  ", " ", "a\\ b", "\\n", "\\x41", "\\u0041", "\\c", "-e\\n",
    "é日本🙂", "e\u0301", "\u00a0", "\U0001f9d1\u200d\U0001f4bb", "▁█", "\uf600\uf641", "\ue000\uf8ff", "\ufdd0\ufdef", "\ufffd",
]  # fmt: skip
SIGNS = "\\'!\"$`#~*?[]{}()<>|&;^=%@ -a:,"
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile"],
    "bash that asks": ["bash", "--norc", "--noprofile", "-o", "history", "-o", "histexpand", "-i"],
    "dash": ["dash"], "zsh": ["zsh", "-f"], "zsh that asks": ["zsh", "-f", "-o", "banghist", "-i"],
    "zsh of its own ways": ["zsh", "-f", "-o", "rcquotes", "-o", "extendedglob", "-o", "cshjunkiequotes", "-o", "magicequalsubst"],
    "fish": ["fish", "--no-config"], "fish that asks": ["fish", "--no-config", "-i"],
    "csh": ["csh", "-f"], "csh that asks": ["csh", "-f", "-i"],
    "tcsh": ["tcsh", "-f"], "tcsh that asks": ["tcsh", "-f", "-i"],
}  # fmt: skip


def words() -> list[str]:
    """The table, every pair of signs, and longer runs of them."""
    chance = random.Random(3)
    runs = ["".join(chance.choices(SIGNS, k=chance.randint(3, 9))) for _ in range(500)]
    return [*NASTY, *("".join(pair) for pair in product(SIGNS, repeat=2)), *runs]


@pytest.mark.skipif(os.name != "posix", reason="these are the shells of POSIX")
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_the_same_words(shell: str, tmp_path: Path) -> None:
    command = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    stand_in = tmp_path / "bin" / "txexplain"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f"#!{sys.executable} -SE\nimport json, os, sys\nprint(json.dumps([*map(os.fsencode, sys.argv[1:])], default=bytes.hex))\n"
    )
    stand_in.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    asked = words()
    lines = [["given", *asked[i : i + 100]] for i in range(0, len(asked), 100)]
    done = subprocess.run(
        command,
        input="".join(joined(["txexplain", *line]) + "\n" for line in lines) + "exit\n",
        env={"PATH": f"{stand_in.parent}:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"},
        cwd=home,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        start_new_session=True,
    )
    said = [line[line.index('["') :] for line in done.stdout.splitlines() if '["' in line]  # behind a prompt, where there is one
    read = [[bytes.fromhex(word).decode() for word in json.loads(line)] for line in said]
    assert len(read) == len(lines), done.stderr[-300:]
    assert [line for line, expected in zip(read, lines, strict=True) if line != expected] == []
    left = {path.name for path in home.iterdir()}
    assert not {name for name in left if not name.startswith(".")}, "something ran"


@examples(300)
@given(st.lists(st.text(st.characters(exclude_characters="\0"))))
def test_any_words_are_read_as_posix_has_it(given: list[str]) -> None:
    assert shlex.split(joined(given)) == given


def test_plain_words_stay_plain() -> None:
    state = ExplorerState(model="owner/name", prompt="Once upon a time")
    assert state.command_line("describe") == "txexplain describe --model owner/name --prompt 'Once upon a time'"
    assert quoted("it's") == r"'it'\''s'"


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "\x1b[31m", "\0", "\x9b2J", "\udcff", "\u202e", "\u2028"])
def test_what_is_a_key_where_it_is_pasted_is_not_typable(text: str) -> None:
    assert not typable(text)
    assert typable("Grüße, 日本 🙂 \\ ' !")


def test_no_module_quotes_in_another_way() -> None:
    """What the standard library makes of a word is read otherwise by fish and csh."""
    modules = sorted(Path(txexplain.__file__).parent.rglob("*.py"))
    assert len(modules) > 80
    assert [path.name for path in modules if re.search(r"\bshlex\b", path.read_text("utf-8"))] == []
