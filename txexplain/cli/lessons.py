"""The lessons: which there are, whether one of your own holds, what a class answered."""

from __future__ import annotations

import sys
from pathlib import Path
from time import sleep, time

import click

from txexplain.cli.commands import goes_on
from txexplain.cli.output import print_json, print_table
from txexplain.explorer.lesson import Lesson, load, shipped, shipped_lectures, shipped_lessons
from txexplain.front.lecture import clock_text, heard, notes, page_notes
from txexplain.front.lessons import check_lesson, report
from txexplain.models import load_model
from txexplain.text import clean
from txexplain.viz.numbers import several
from txexplain.viz.palette import Palette

CLEAR = "\x1b[2J\x1b[H"
PAUSE = 0.25  # seconds between two looks at where a lecture is


def listed(as_json: bool) -> None:
    if goes_on(as_json):
        return
    found = [load(str(path)) for path in (*shipped(), *shipped_lectures())]
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


def told(lesson: str, follow: bool) -> None:
    found = load(lesson)
    if not follow:
        click.echo(clean_lines(notes(found)))
        return
    before = ""
    while True:
        if (now := following(found)) != before:
            click.echo(("\n" if not sys.stdout.isatty() else CLEAR) + now)
            before = now
        sleep(PAUSE)


def following(lesson: Lesson) -> str:
    """The notes of the page that a lecture shows, of this lesson or of one that comes with txexplain, and its clock."""
    now = heard()
    if now is None:
        return f"No lecture has begun: txexplain --lesson {lesson.name} --lecture, in another terminal.\n"
    shown = lesson if now.lesson == lesson.name else next((each for each in shipped_lessons() if each.name == now.lesson), None)
    if shown is None:
        return f"The lecture shows another lesson: {clean(now.lesson)}.\n"
    seconds = max(0, int(time() - now.began)) if now.began else 0
    return clean_lines(page_notes(shown, now.page, clock_text(seconds, shown, now.page, now.target)))


def clean_lines(text: str) -> str:
    return "\n".join(map(clean, text.split("\n")))


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
