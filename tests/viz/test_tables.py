"""Plain tables: columns stand under each other in cells, whatever the characters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.viz.reading import scene_at
from txexplain.cli.asked import Source
from txexplain.cli.numbers import print_grid, tokens
from txexplain.cli.output import print_table
from txexplain.engine.derive import Result
from txexplain.engine.tokenizer import Tokenizer
from txexplain.text import visible
from txexplain.viz.describe import describe
from txexplain.viz.tables import BLOCK, aligned, plain_table

WORDS = ["日本", "e\u0301", "😀", "👍🏽", "한글", "ｶﾞ", "naïve", "a", "", "क\u093f", "👩\u200d👧", "❤\ufe0f", "Ελλάς"]
CELLS = st.sampled_from([visible(word) for word in WORDS])


def starts(line: str, cells: list[str]) -> list[int]:
    """The column, in a terminal's cells, at which each of a row's words begins."""
    found, at = [], 0
    for cell in cells:
        at = line.index(cell, at) if cell else at
        found.append(cell_len(line[:at]))
        at += len(cell)
    return found


def test_a_long_last_cell_fills_up_no_other_row() -> None:
    assert list(aligned([("a", "b" * 900_000), ("ccc", "d")]))[1] == ["ccc", "d"]


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_columns_stand_under_each_other(rows: list[list[str]]) -> None:
    for right in ((), (0, 2)):
        padded = list(aligned(rows, right))
        filled = len(rows[0]) - (len(rows[0]) - 1 not in right)  # a last column stays as it is
        assert len({tuple(map(cell_len, row[:filled])) for row in padded}) == 1
        assert [[cell.strip(" ") for cell in row] for row in padded] == [[cell.strip(" ") for cell in row] for row in rows]
        lines = plain_table(rows, right).split("\n")
        assert [line.rstrip() for line in lines] == lines
        assert len(lines) == len(rows)


class Wide:
    """Tokens of every width."""

    def display(self, token_id: int, *, ascii: bool = False) -> str:
        return visible(WORDS[token_id % len(WORDS)] or "x")


@pytest.mark.parametrize("at", ["output", "L1H1", "L1.attn", "L1.mlp[41]", "embed:nearest"])
def test_a_description_with_wide_tokens_stands_in_columns(tiny_result: Result, at: str) -> None:
    text = describe(replace(scene_at(tiny_result, at, (80, 24)), display=Wide()))
    tables = [part.split("\n")[1:] for part in text.split("\n\n") if part.count("\n") > 2]
    assert tables
    for head, *rows in tables:
        last = head.split()[-1]
        for row in filter(None, rows):
            assert cell_len(row[: row.rindex(row.split()[-1])]) == cell_len(head[: head.rindex(last)]), (at, row)


def test_the_tables_of_the_commands_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    words = [visible(word) or "x" for word in WORDS]
    print_grid([[float(i)] * len(words) for i in range(len(words))], words)
    head, *rows = capsys.readouterr().out.rstrip("\n").split("\n")
    columns = starts(head, ["query", *(f"{i} {word}" for i, word in enumerate(words))])
    for i, row in enumerate(rows):
        assert starts(row, [f"{i} {words[i]}", *row.split()[-len(words) :]]) == columns, row
    print_table(("token", "", "n"), [(word, "█" * i, str(i)) for i, word in enumerate(words)], right=(2,))
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert len({cell_len(line) for line in lines}) == 1, "numbers end at the right edge"


def test_a_long_table_is_printed_as_its_rows_come(capsys: pytest.CaptureFixture[str]) -> None:
    """No more rows wait than a block: so a table takes no more memory the longer it is."""
    printed: list[str] = []
    ahead: list[int] = []

    def rows(count: int) -> Iterator[tuple[str, str]]:
        for n in range(count):
            if n % 1000 == 0:
                printed.extend(capsys.readouterr().out.splitlines())
                ahead.append(n - len(printed))
            yield "x" * (1 + n // BLOCK), str(n)

    print_table(("a", "n"), rows(3 * BLOCK), right=(1,))
    printed.extend(capsys.readouterr().out.splitlines())
    assert max(ahead) < BLOCK + 1000
    assert len(printed) == 3 * BLOCK + 1
    assert [int(line.split()[1]) for line in printed[1:]] == list(range(3 * BLOCK))
    assert {len(line) for line in printed[:BLOCK]} == {len(printed[0])}, "a block stands in columns"


def test_a_row_that_comes_again_is_not_made_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A text of a million tokens has a few thousand different ones."""
    made: list[int] = []
    display = Tokenizer.display
    monkeypatch.setattr(Tokenizer, "display", lambda self, id, **more: made.append(id) or display(self, id, **more))
    tokens(Source(("one two " * 500,), None, None, None, "storyteller", None), as_json=False)
    assert len(capsys.readouterr().out.splitlines()) > 1000
    assert len(made) == len(set(made)) < 10
