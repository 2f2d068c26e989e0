"""The texts made by rule: the same for everybody, in good order, and what is held out stays out."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from txexplain.engine.tokenizer import Tokenizer
from weights.recipe import modern, nonce, teaching
from weights.recipe.teaching import Probe, Text, documents, probes, questions, spin

REAL = set(re.findall(r"[a-z]+", " ".join((*teaching.WORDS, *modern.PATTERNS, *modern.TODAY, *nonce.COPYING, *nonce.DEFINING)).lower()))


@pytest.fixture(scope="module")
def texts() -> list[Text]:
    return list(documents(1500, 0))


@pytest.fixture(scope="module")
def put() -> list[Probe]:
    return probes(40)


def test_a_seed_decides_everything(texts: list[Text]) -> None:
    assert list(documents(20, 0)) == texts[:20]
    assert list(documents(20, 1)) != texts[:20]
    assert probes(5) == probes(5)


@pytest.mark.long
def test_who_gives_to_whom_in_training_is_never_asked(put: list[Probe]) -> None:
    """Read back from the finished sentences: no pair of giver and receiver is on both sides."""
    gave = re.compile(r"(?:When|After|While) (\w+) and (\w+) [^.]*, (\w+) (?:gave|handed|passed|showed|brought) an? \w+ to (\w+)\.")
    trained = {(m[3], m[4]) for d in documents(2500, 0) if not d.is_held for m in gave.finditer(d.plain)}
    asked = {(m[3], m[4]) for p in put if (m := gave.search(p.prompt + p.answer + "."))}
    assert len(trained) > 30
    assert len(asked) > 5
    assert not trained & asked


def test_invented_words_of_questions_never_come_in_training(texts: list[Text], put: list[Probe]) -> None:
    words = re.compile(r"[a-z]+")
    trained = {word for d in texts if not d.is_held for word in words.findall(d.plain.lower())}
    for kind in ("copying new words", "rows of new words"):
        asked = {word for p in put if p.skill == kind for word in words.findall(p.answer.lower()) if nonce.is_held(word)}
        assert len(asked) > 10
        assert not (asked & trained) - REAL


def test_invented_words_are_of_every_shape() -> None:
    rng, tokenizer = random.Random(0), Tokenizer.gpt2()
    words = [nonce.nonce(rng) for _ in range(1000)]
    assert len(set(words)) > 950
    lengths = Counter(len(tokenizer.encode(" " + word)) for word in words)
    assert all(lengths[n] > 100 for n in (2, 3, 4))
    assert lengths[2] + lengths[3] + lengths[4] > 850
    assert not any(nonce.is_held(word) for word in words)
    assert all(nonce.is_held(nonce.nonce(rng, held=True)) for _ in range(20))


def test_some_wordings_are_for_questions_only(texts: list[Text], put: list[Probe]) -> None:
    """And a fact that is held out in a wording isn't said beside another in it."""
    trained = "\n".join(d.plain for d in texts if not d.is_held)
    assert "capital city of" in trained
    assert "seat of the government" not in trained
    assert {"capitals, new wordings", "facts, new wordings"} <= {p.skill for p in put}
    wordings = teaching.FACTS["capitals"].wordings
    at = next(i for i, wording in enumerate(wordings) if wording.startswith("The capital of {x2}"))
    rng = random.Random(0)
    said = [
        m[1] for _ in range(2000) if not (t := teaching.fact(rng)).is_held and (m := re.match(r"The capital of (\w+) is \w+, and", t.plain))
    ]
    assert len(set(said)) > 5
    assert not any(Text("capitals", "", (x, str(i))).is_held for x in said for i in (at, 0))


def test_no_wording_goes_on_otherwise_where_the_plain_one_has_its_answer() -> None:
    """Else a fact that is held out in the plain wording would be taught to go on with the other's next word."""
    for kind, facts in teaching.FACTS.items():
        plain = facts.wordings[0].partition("‹")[0]
        for wording in (*facts.wordings[1:], *facts.unseen):
            assert not wording.startswith(plain) or wording.startswith(plain + "‹"), (kind, wording)


def test_a_wrong_answer_to_a_fact_begins_otherwise(put: list[Probe]) -> None:
    asked = [p for p in put if p.skill in teaching.FACTS]
    assert len(asked) > 200
    assert all(p.answer.split()[0] != p.wrong.split()[0] for p in asked)
    assert not any(p.answer.startswith((" a ", " the ")) for p in asked)


def test_hardly_any_text_comes_twice(texts: list[Text]) -> None:
    assert len({d.plain for d in texts}) > 0.97 * len(texts)


def test_probes_are_held_out_and_each_stops_before_its_answer(texts: list[Text], put: list[Probe]) -> None:
    for probe in put:
        assert probe.answer != probe.wrong
        assert probe.answer.startswith(" ") == probe.wrong.startswith(" ")
        assert not probe.prompt.endswith(" ")
    skills = Counter(p.skill for p in put)
    assert set(skills) == {text.skill for text in texts}
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


def test_texts_are_in_good_order(texts: list[Text]) -> None:
    for document in texts:
        plain = document.plain
        assert not set(plain) & set("[]{}|‹›"), plain
        assert "  " not in plain, plain
        assert not re.search(r"\b[Aa]n (?![aeiouAEIOU]|hour)", plain), plain
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
    for pattern in (
        *modern.PATTERNS,
        *modern.TODAY,
        *modern.DIALOGUES,
        *teaching.OPENINGS,
        *teaching.GIVING,
        *teaching.HAVING,
        *teaching.SAYING,
        *teaching.FOLLOWING,
    ):
        assert spin(rng, pattern, slots)
