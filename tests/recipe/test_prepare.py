"""Texts to token files: what counts as a document, who is held out, and that nothing is lost or twice there."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from txexplain.engine.tokenizer import Tokenizer
from weights.recipe import prepare as preparing
from weights.recipe import teaching
from weights.recipe.prepare import END_OF_TEXT, documents, is_held_out, kept, normalized, prepare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stories = [{"source": "a", "text": f"Story {i}: the fox met a hen and asked her for the {i}th time to come along."} for i in range(600)]
    made = [{"text": "The capital of Norway is Oslo, as everybody knows.", "held": True}, {"text": "Short.", "held": False}]
    with gzip.open(tmp_path / "stories.jsonl.gz", "wt", encoding="utf-8") as f:
        f.writelines(json.dumps(story) + "\n" for story in stories)
    (tmp_path / "made.jsonl").write_text("\n".join(map(json.dumps, made)))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "plain.txt").write_text("A text of its own,\r\nwhich has two lines and is one document.\n")
    chapters = (
        "## One\n\nThe *first* chapter is about an old, old [well](http://x.org/).",
        "## Two\n\nThe second chapter, alas, has **no** well at all.",
    )
    (tmp_path / "book.md").write_text("# A book\n\n" + "\n\n".join(chapters))
    (tmp_path / "cover.png").write_bytes(b"\x89PNG")
    return tmp_path


def texts(stream: np.ndarray) -> list[str]:
    """The documents of a stream, decoded."""
    assert stream.dtype == np.uint16
    assert stream[0] == stream[-1] == END_OF_TEXT
    parts = np.split(stream[1:-1], np.flatnonzero(stream[1:-1] == END_OF_TEXT))
    return [Tokenizer.gpt2().decode([i for i in part.tolist() if i != END_OF_TEXT]) for part in parts]


def test_every_document_is_on_one_side(folder: Path) -> None:
    parts = {name: texts(stream) for name, stream in prepare(str(folder), Tokenizer.gpt2()).items()}
    there = [d.text for path in sorted(folder.rglob("*.*")) if path.suffix != ".png" for d in documents(path)]
    assert sorted(parts["train"] + parts["held"]) == sorted(there)
    assert len(there) == 600 + 2 + 1 + 2
    assert "The capital of Norway is Oslo, as everybody knows." in parts["held"]  # it says so itself
    assert "Short." in parts["train"]
    by_hash = [text for text in parts["held"] if text.startswith("Story")]
    assert by_hash == [t for t in there if t.startswith("Story") and is_held_out(t)]
    assert 1 <= len(by_hash) <= 20  # one in a hundred


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(str(folder), Tokenizer.gpt2())
    rglob = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: reversed(list(rglob(self, pattern))))  # as another disk would list it
    moved = folder.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    again = prepare(str(moved), Tokenizer.gpt2())
    assert {name: stream.tobytes() for name, stream in first.items()} == {name: stream.tobytes() for name, stream in again.items()}


def test_markdown_is_read_by_chapter_without_its_signs(folder: Path) -> None:
    assert [d.text for d in documents(folder / "book.md")] == [
        "The first chapter is about an old, old well.",
        "The second chapter, alas, has no well at all.",
    ]


def test_quotes_and_line_ends_are_written_one_way() -> None:
    assert normalized("“Who’s there?”\u00a0he said – twice. \r\n\r\n\r\n\r\nNobody.\n") == '"Who\'s there?" he said - twice.\n\nNobody.'


def test_made_texts_are_prepared_by_number_and_seed() -> None:
    parts = {name: texts(stream) for name, stream in prepare("made:40:3", Tokenizer.gpt2()).items()}
    made = list(teaching.documents(40, 3))
    assert parts["train"] == [text.plain for text in made if not text.is_held]
    assert parts["held"] == [text.plain for text in made if text.is_held]


def test_what_is_there_is_made_again_only_where_what_it_came_from_has_changed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, source, tokenizer = tmp_path.parent / f"{tmp_path.name}-tokens", str(folder / "made.jsonl"), Tokenizer.gpt2()
    out.mkdir()
    first = list(kept(out, "a", source, tokenizer))
    assert first == ["a.train: 4 tokens, 1 documents", "a.held: 13 tokens, 1 documents"]
    with monkeypatch.context() as m:
        m.setattr(preparing, "prepare", lambda *_: pytest.fail("made again"))
        assert list(kept(out, "a", source, tokenizer)) == [f"{line}, there already" for line in first]
    (folder / "made.jsonl").write_text('{"text": "Another text of another length altogether.", "held": false}')
    assert list(kept(out, "a", source, tokenizer)) != first
    (out / "a.held.npy").unlink()
    assert not any("there already" in line for line in kept(out, "a", source, tokenizer))
    digests = [preparing.digest(source) for source in ("made:10:0", "made:10:0", "made:10:1", "made:11:0")]
    assert len(set(digests)) == 3


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "weights.recipe.prepare", f"tales={tmp_path / 'none'}", "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode != 0
    assert f"tales={tmp_path / 'none'}: give a name and a file" in done.stderr
    assert "Traceback" not in done.stderr
