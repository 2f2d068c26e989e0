"""Tables of plain text, whose columns stand under each other whatever the width of their characters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from txexplain.text import cell_width

GAP = "  "  # between two columns
BLOCK = 4096  # rows of a table that are measured together


def padded(text: str, cells: int, *, right: bool = False) -> str:
    """A text filled up with spaces to so many cells; a longer one as it is."""
    space = " " * (cells - cell_width(text))
    return space + text if right else text + space


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column's widest cell."""
    return [max(map(cell_width, column)) for column in zip(*rows, strict=True)]


def aligned(rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> Iterator[list[str]]:
    """The cells of each row, as wide as their column's widest; those of the columns in `right` stand at its right edge.

    A last column that isn't among those stays as it is: nothing stands after it, and one long text in it would fill up every row.
    Rows are measured and handed on BLOCK at a time, so that a long table needs no more memory than that; where a later block has
    wider cells, its columns are wider from there on.
    """
    rows, widths = iter(rows), list[int]()
    while block := list(islice(rows, BLOCK)):
        widths = [max(pair) for pair in zip_longest(widths, widths_of(block), fillvalue=0)]
        last = len(widths) - 1
        for row in block:
            yield [cell if i == last and i not in right else padded(cell, widths[i], right=i in right) for i, cell in enumerate(row)]


def plain_table(rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows in columns two spaces apart; the first row is the heading."""
    return "\n".join(GAP.join(row).rstrip() for row in aligned(rows, right))
