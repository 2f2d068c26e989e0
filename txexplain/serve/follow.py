"""Lead and follow: what the lecturer's screen says to the others, and what the others answer.

One message says where the lecturer is: `{"at": a link's query, "lesson": its name or "", "page": its number or 0}`. A guest who follows
goes there; the house keeps the last one for whoever comes late. Answers are counted by guest and question, without names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from txexplain.front.actions import Action

FOLLOW = Action("follow", ("F",), "follow", "Follow the lecturer's screen, or look around on your own", "Class", "follow")
ANSWERS = Action("answers", ("V",), "answers", "What the class answered to this page's question", "Class", "answers")
# What a guest may do while the screen follows another's.
STILL = frozenset(("page_up", "page_down", "help", "theme", "screenshot", "copy", "copy_words", "explain", "repaint", "follow", "quit"))


@dataclass
class Ballot:
    """What the class answered: for each question (lesson, page) the answer of each guest, by the guest's number."""

    given: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)

    def put(self, guest: int, lesson: str, page: int, answer: int) -> None:
        """A guest's first answer to a question counts."""
        self.given.setdefault((lesson, page), {}).setdefault(guest, answer)

    def counts(self, lesson: str, page: int) -> Counter[int]:
        return Counter(self.given.get((lesson, page), {}).values())

    def to_dict(self) -> list[dict[str, Any]]:
        """All that was answered, without who it was."""
        return [
            {"lesson": lesson, "page": page, "answers": {str(answer): count for answer, count in sorted(self.counts(lesson, page).items())}}
            for lesson, page in sorted(self.given)
        ]


def together(counts: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The answers of several houses, added up."""
    sums: dict[tuple[str, int], Counter[int]] = {}
    for house in counts:
        for each in house:
            answers: Mapping[str, int] = each["answers"]
            sums.setdefault((each["lesson"], each["page"]), Counter()).update({int(n): count for n, count in answers.items()})
    return [
        {"lesson": lesson, "page": page, "answers": {str(n): count for n, count in sorted(answers.items())}}
        for (lesson, page), answers in sorted(sums.items())
    ]


def is_place(message: object) -> bool:
    """Whether a message says where the lecturer is."""
    kinds = {"at": str, "lesson": str, "page": int}
    return isinstance(message, Mapping) and all(isinstance(message.get(name), kind) for name, kind in kinds.items())
