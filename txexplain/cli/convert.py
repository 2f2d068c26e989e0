"""`txexplain convert`: what can't be opened as it is, as a folder that can."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from txexplain.files import megabytes
from txexplain.models.convert import convert as converted
from txexplain.shell import joined
from txexplain.text import clean
from txexplain.viz.numbers import several


def convert(path: Path, folder: Path, base: str | None, python: str | None) -> None:
    done = converted(path, folder, base=base, python=python or sys.executable)
    click.echo(clean(f"{folder}: {several(done.tensors, 'tensor')}, {megabytes(done.bytes)}"))
    for note in done.notes:
        click.echo(clean(note))
    click.echo(clean(joined(("txexplain", "--model", str(folder)))))
