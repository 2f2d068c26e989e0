"""The README's table of keys is the registry's. `python -m tests.ui.test_readme` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from txexplain.front.actions import ACTIONS, key_name

README = Path(__file__).parents[2] / "README.md"
TABLE = re.compile(r"\| keys \| what \|\n\|---\|---\|\n(?:\|.*\n)+")


def table() -> str:
    rows = [f"| {' '.join(f'`{key_name(key)}`' for key in action.keys)} | {action.help} |" for action in ACTIONS]
    return "\n".join(["| keys | what |", "|---|---|", *rows]) + "\n"


def test_the_table_of_keys_is_the_registry() -> None:
    found = TABLE.search(README.read_text("utf-8"))
    assert found is not None
    assert found[0] == table()


if __name__ == "__main__":
    README.write_text(TABLE.sub(lambda _: table(), README.read_text("utf-8"), count=1), "utf-8")
