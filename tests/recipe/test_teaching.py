"""The texts made by rule: the same for everybody, in good order, and what is held out stays out."""

from __future__ import annotations

import random
import re
from collections import Counter

from weights.recipe import modern, teaching
from weights.recipe.teaching import Text, documents, probes, questions, spin

DOCUMENTS = list(documents(1500, 0))


def test_a_seed_decides_everything() -> None:
    assert list(documents(20, 0)) == DOCUMENTS[:20]
    assert list(documents(20, 1)) != DOCUMENTS[:20]
    assert probes(5) == probes(5)


def test_who_gives_to_whom_in_training_is_never_asked() -> None:
    """Read back from the finished sentences: no pair of giver and receiver is on both sides."""
    gave = re.compile(r"(?:When|After|While) (\w+) and (\w+) [^.]*, (\w+) (?:gave|handed|passed|showed|brought) an? \w+ to (\w+)\.")
    trained = {(m[3], m[4]) for d in documents(6000, 0) if not d.is_held for m in gave.finditer(d.plain)}
    asked = {(m[3], m[4]) for p in probes(100) if (m := gave.search(p.prompt + p.answer + "."))}
    assert len(trained) > 200
    assert len(asked) > 20
    assert not trained & asked


def test_probes_are_held_out_and_each_stops_before_its_answer() -> None:
    for probe in (found := probes(20)):
        assert probe.answer != probe.wrong
        assert probe.answer.startswith(" ") == probe.wrong.startswith(" ")
        assert not probe.prompt.endswith(" ")
    skills = Counter(p.skill for p in found)
    assert set(skills) == {text.skill for text in DOCUMENTS}
    assert min(skills.values()) >= 10


def test_a_document_has_what_was_to_be_foretold() -> None:
    text = Text("giving", 'Tom and Anna met. Tom gave it to ‹Anna|Tom›. "Yes‹,"|,› said ‹she|he›.', ("Tom", "Anna"))
    assert text.plain == 'Tom and Anna met. Tom gave it to Anna. "Yes," said she.'
    asked = list(questions(text))
    assert [(p.answer, p.wrong) for p in asked] == [(" Anna", " Tom"), (',"', ","), (" she", " he")]
    assert all(text.plain.startswith(p.prompt + p.answer) for p in asked)


def test_combinations_are_held_out_by_themselves_whatever_the_sentence() -> None:
    assert Text("giving", "one", ("Tom", "Anna")).is_held == Text("giving", "another", ("Tom", "Anna")).is_held
    held = sum(Text("giving", "", (a, b)).is_held for a in teaching.GIRLS for b in teaching.BOYS)
    assert 0.07 < held / len(teaching.GIRLS) / len(teaching.BOYS) < 0.13  # one in ten


def test_texts_are_in_good_order() -> None:
    for document in DOCUMENTS:
        plain = document.plain
        assert not set(plain) & set("[]{}|‹›"), plain
        assert "  " not in plain, plain
        assert not re.search(r"\b[Aa] [aeiou](?!ne\b|ni|se)", plain), plain
        assert plain[0].isupper() or plain[0] in '"0123456789', plain
        assert not re.search(r'[.!?]"? [a-z](?!\w*,? (?:said|asked|cried))', re.sub(r'[!?]" \w+', "", plain)), plain


def test_every_pattern_can_be_spun() -> None:
    rng = random.Random(0)
    slots = teaching.some_words(rng) | teaching.person(rng)[1] | modern.words(rng)
    slots |= dict.fromkeys(
        ("name", "friend", "a", "b", "c", "foods", "is", "are", "was", "were", "has", "have", "list", "again", "s", "t", "He"), "x"
    )
    rest = "name friend a b c foods is are was were has have list again s t He x y z kind run most last"
    slots |= dict.fromkeys(rest.split(), "x")
    for pattern in (*modern.PATTERNS, *teaching.OPENINGS, *teaching.GIVING, *teaching.HAVING, *teaching.SAYING, *teaching.FOLLOWING):
        assert spin(rng, pattern, slots)
