"""JSON and TOML of strangers, in lessons, the config and a shared cache: none ends a command otherwise than in order."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from txexplain.bounded import TooMuch, load_toml
from txexplain.errors import LessonError
from txexplain.explorer.lesson import parse_lesson
from txexplain.front.config import ConfigError, read_config
from txexplain.models import cache

HUGE = "0x" + "f" * 6000  # Python reads it, and can't write it in decimal digits


@pytest.mark.parametrize(
    "number", [HUGE, "9" * 5000, str(1 << 63), str(-(1 << 63) - 1), f"[[{{b = [{HUGE}]}}]]"], ids=lambda text: text[:8]
)
def test_a_number_that_toml_does_not_have_is_refused(number: str) -> None:
    with pytest.raises(TooMuch, match=r"^it holds a whole number of more than 64 bits$"):
        load_toml(f"a = {number}")


@pytest.mark.parametrize("text", [f"a = {(1 << 63) - 1}\n[b]\nc = [1.5, true, {{d = -{1 << 63}}}]", "", "a = 1e400"])
def test_toml_is_what_the_library_says_otherwise(text: str) -> None:
    assert load_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("field", ["answer", "top_k", "seed", "temperature", "top_p", "title"])
@pytest.mark.parametrize("number", [HUGE, "9" * 5000], ids=["hexadecimal", "decimal"])
def test_no_number_of_a_lesson_ends_it(field: str, number: str) -> None:
    given = {"title": '"a"', "prompt": '"a"', "question": '"q"', "answers": '["a", "b"]', "answer": "1", "why": '"w"'} | {field: number}
    front = "\n".join(f"{name} = {value}" for name, value in given.items())
    with pytest.raises(LessonError, match=r"a number|isn't TOML: it holds a whole number of more than 64 bits\.$"):
        parse_lesson(f"+++\n{front}\n+++\n")


@pytest.mark.parametrize(
    "line", [f"theme = {HUGE}", f"cursor = {HUGE}", "theme = " + "9" * 5000, f"[keys]\ndraw = {HUGE}"], ids=lambda line: line[:16]
)
def test_no_number_of_the_config_ends_it(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "txexplain").mkdir()
    (tmp_path / "txexplain" / "config.toml").write_text(line)
    with pytest.raises(ConfigError, match=r"isn't TOML: it holds a whole number of more than 64 bits\. Mend it or take it away\.$"):
        read_config()


def test_an_index_and_a_note_of_many_values_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before they are made, in the cache as in a checkpoint."""
    monkeypatch.setattr(cache, "MOST_VALUES", 5)
    monkeypatch.setattr(cache, "MOST_NOTED", 5)
    few = '{"weight_map": {"a": "a.safetensors"}}'
    many = few.replace("}}", ', "b": "b.safetensors"' * 9 + "}}")
    assert cache.shard_names(few.encode()) == ["a.safetensors"]
    with pytest.raises(TooMuch):
        cache.shard_names(many.encode())
    store = tmp_path / "models--a--b"
    (folder := store / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (store / "trees").mkdir()
    for more, lacks in (("", False), (', "x": 1' * 9, True)):
        (store / "trees" / f"{'0' * 40}.json").write_text('{"files": {"config.json": 1' + more + "}}")
        assert cache.lacks_tokenizer(folder) == lacks


def test_a_ref_is_read_as_far_as_a_commit_goes(tmp_path: Path) -> None:
    """One as large as the memory is, by whoever shares the cache, is none."""
    (refs := tmp_path / "refs").mkdir()
    with (refs / "huge").open("wb") as file:
        file.truncate(1 << 40)
    (refs / "v1").write_text("1" * 40)
    for commit in ("1" * 40, "2" * 40):
        (tmp_path / "snapshots" / commit).mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (tmp_path / "snapshots" / commit / name).touch()
    assert cache.snapshot(tmp_path, None) == tmp_path / "snapshots" / ("2" * 40)
