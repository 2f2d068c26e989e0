"""The models: which there are, what one is made of, whether it is whole; to fetch one, and the copies that are kept."""

from __future__ import annotations

import click

from txexplain import models
from txexplain.cli.commands import goes_on
from txexplain.cli.output import print_json, print_table
from txexplain.cli.streams import terminal_progress
from txexplain.errors import ExplainError
from txexplain.files import megabytes
from txexplain.models import report, widened
from txexplain.text import clean

UNKNOWN = "?"


def listed(as_json: bool) -> None:
    if goes_on(as_json):
        return
    found = report.known_models()
    if as_json:
        print_json("models", {"models": [entry.to_dict() for entry in found]})
        return
    rows = []
    for entry in found:
        state = f"{entry.state}, {entry.revision}" if entry.revision else entry.state
        rows.append((entry.name, state, f"{entry.parameters:,}" if entry.parameters else UNKNOWN, megabytes(entry.bytes or 0)))
    print_table(("name", "state", "parameters", "size"), rows, right=(2, 3))


def info(name: str, revision: str | None, as_json: bool) -> None:
    found = report.info(name, revision)
    if as_json:
        print_json("models-info", found)
        return
    sizes = found["architecture"]
    lines = [
        f"{found['name']}: {sizes['n_layer']} blocks of {sizes['n_head']} heads, d {sizes['n_embd']}, MLP {sizes['n_inner']}, "
        f"context {sizes['n_positions']}, {sizes['vocab_size']:,} tokens",
        f"activation  {sizes['activation_function']}",
        f"parameters  {found['parameters']:,}",
        *(f"  {part:<20}{count:>15,}" for part, count in found["parameters_by_part"].items()),
        f"dtype       {found['dtype']}",
        f"tokenizer   {found['tokenizer']}",
        f"licence     {found['licence']}",
        *([f"commit      {found['commit']}"] if found["commit"] else []),
        f"folder      {found['folder']}",
        *(f"  {file['name']}  {megabytes(file['bytes'])}" for file in found["files"]),
        *found["notes"],
    ]
    click.echo(clean("\n".join(lines)))


def verify(name: str, revision: str | None, as_json: bool) -> None:
    good: dict[str, str] = {}
    try:
        for what, finding in report.verify(name, revision):
            good[what] = finding
            if not as_json:
                click.echo(clean(f"ok  {what}: {finding}"))
    except ExplainError as error:
        if as_json:
            print_json("models-verify", {"name": name, "ok": False, "checks": good, "error": str(error)})
        raise
    if as_json:
        print_json("models-verify", {"name": name, "ok": True, "checks": good, "error": None})


def pull(name: str, revision: str | None) -> None:
    with terminal_progress(name) as progress:
        folder, note = models.pull(name, revision=revision, progress=progress)
    click.echo(clean(f"{name}: {folder}"))
    if note:
        click.echo(clean(f"txexplain: {note}"), err=True)


def cache(clear: bool, as_json: bool) -> None:
    folder, found = widened.listed()
    if clear:
        widened.clear(found)
    total = sum(copy.bytes for copy in found)
    if as_json:
        rows = [{"of": copy.of, "file": copy.path.name, "bytes": copy.bytes} for copy in found]
        print_json("models-cache", {"folder": str(folder), "bytes": total, "most": widened.MOST, "removed": clear, "copies": rows})
        return
    if found and not clear:
        print_table(("copy of", "size"), [(copy.of, megabytes(copy.bytes)) for copy in found], right=(1,))
    said = f"{megabytes(total)} removed" if clear else f"{megabytes(total)}, at most {megabytes(widened.MOST)} are kept"
    click.echo(clean(f"{folder}: {said}"))
