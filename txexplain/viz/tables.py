"""Tables of plain text, whose columns stand under each other whatever the width of their characters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from txexplain.text import cell_width

GAP = "  "  # between two columns


def padded(text: str, cells: int, *, right: bool = False) -> str:
    """A text filled up with spaces to so many cells; a longer one as it is."""
    space = " " * (cells - cell_width(text))
    return space + text if right else text + space


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[list[str]]:
    """The cells of each row, as wide as their column's widest; those of the columns in `right` stand at its right edge.

    A last column that isn't among those stays as it is: nothing stands after it, and one long text in it would fill up every row.
    """
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    if widths and len(widths) - 1 not in right:
        widths[-1] = 0
    return [[padded(cell, width, right=i in right) for i, (cell, width) in enumerate(zip(row, widths, strict=True))] for row in rows]


def plain_table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows in columns two spaces apart; the first row is the heading."""
    return "\n".join(GAP.join(row).rstrip() for row in aligned(rows, right))
