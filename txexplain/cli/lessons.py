"""The lessons: which there are, whether one of your own holds, what a class answered."""

from __future__ import annotations

from pathlib import Path

import click

from txexplain.cli.commands import goes_on
from txexplain.cli.output import print_json, print_table
from txexplain.explorer.lesson import load, shipped
from txexplain.front.lessons import check_lesson, report
from txexplain.models import load_model
from txexplain.text import clean
from txexplain.viz.numbers import several
from txexplain.viz.palette import Palette


def listed(as_json: bool) -> None:
    if goes_on(as_json):
        return
    found = [load(str(path)) for path in shipped()]
    if as_json:
        print_json("lessons", {"lessons": [{"name": each.name, "title": each.title, "pages": len(each.pages)} for each in found]})
    else:
        rows = [(lesson.name, str(len(lesson.pages)), lesson.title) for lesson in found]
        print_table(("name", "pages", "title"), rows, right=(1,))


def check(lesson: str, model: str, fetch: bool) -> None:
    found = load(lesson)
    check_lesson(found, model, lambda wanted: load_model(wanted, may_fetch=fetch or wanted == model), Palette())
    questions = sum(bool(page.question) for page in found.pages)
    click.echo(clean(f"{found.title}: {several(len(found.pages), 'page')}, {several(questions, 'question')}, no faults"))


def counted(files: tuple[Path, ...], as_json: bool) -> None:
    found = report(files)
    if as_json:
        questions = [each | {"answers": {str(n): count for n, count in each["answers"].items()}} for each in found]
        print_json("lessons-report", {"questions": questions})
    else:
        rows = [
            (each["lesson"], str(each["page"]), f"{each['right']} of {each['answered']}",
             " ".join(f"{n}: {count}" for n, count in each["answers"].items()), each["question"])
            for each in found
        ]  # fmt: skip
        print_table(("lesson", "page", "right", "answers", "question"), rows, right=(1, 2))
