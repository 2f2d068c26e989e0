"""Tables of plain text, whose columns stand under each other whatever the width of their characters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest

from txexplain.facts.vector import VectorFacts
from txexplain.text import cell_width
from txexplain.viz.numbers import Figure, exact, number
from txexplain.viz.scene import Scene

GAP = "  "  # between two columns
CANDIDATES = 10  # rows of a list that is longer
BLOCK = 4096  # rows of a table that are measured together

Row = tuple[str, ...]
Table = tuple[str, list[Row]]  # a heading and rows, the first of which names the columns


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


# What a place's table is made of


def quoted(scene: Scene, position: int) -> str:
    return f"'{scene.label(position)}'"


def named(scene: Scene, position: int) -> str:
    """A token with its position, which tells two of the same text apart."""
    return Figure.of(f"{position} {quoted(scene, position)}", position)


def by_id(scene: Scene, id: int) -> str:
    """A token of the vocabulary."""
    return Figure.of(f"'{scene.id_label(id)}'", {"id": id})


def nth(n: int) -> str:
    """A whole number that counts or tells one of many."""
    return Figure.of(str(n), n)


def mark(chosen: bool) -> str:
    """What stands before the row that the reader has chosen, or that the view shows where nothing is."""
    return ">" if chosen else ""


def first_of(order: Sequence[int], chosen: int) -> list[int]:
    """The first of a list, and the chosen one behind them where it stands further down."""
    first = list(order[:CANDIDATES])
    return first if chosen in first else [*first, chosen]


def vector_rows(vectors: Mapping[str, VectorFacts | None], at: int | None) -> list[Row]:
    """Vectors by their least, greatest and length, and by one element where one is shown."""
    rows: list[Row] = [("what", "least", "greatest", "norm", *([f"element {at}"] if at is not None else []))]
    for name, each in vectors.items():
        if each is None:
            rows.append((name, "not recorded", "", "", *([""] if at is not None else [])))
            continue
        figures = map(number, (each.least, each.greatest, each.length))
        rows.append((name, *figures, *([exact(each[at])] if at is not None else [])))
    return rows
