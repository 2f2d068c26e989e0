"""Other people's tokenizers against transformers' ids, what hostile ones may not do, and what is left of one that can't be read."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.engine import cuts, harmless, library, recipes, sentencepiece, tokenizer, vocabulary
from txexplain.engine.harmless import HARMLESS, KNOWN_PATTERNS
from txexplain.engine.sentencepiece import pieces_of
from txexplain.engine.tokenizer import END_OF_TEXT, Gpt2, Tokenizer
from txexplain.engine.vocabulary import open_folder
from txexplain.errors import TokenizerError

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = GOLDEN / "tokenizers"
JSON_FOLDER, MERGES_FOLDER = GOLDEN / "tokenizer" / "json", GOLDEN / "tokenizer" / "merges"
EXPECTED = json.loads((FOLDERS / "expected.json").read_text(encoding="utf-8"))
NAMES = sorted(EXPECTED["ids"])
# Folders whose tokens put together are the text, whatever it is.
WHOLE_TEXT = (
    "added",
    "digits-ignored",
    "extra-tokens",
    "split-then-bytes",
    "specials-as-text",
    "template",
    "two-files-added",
    "unknown-class",
)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n'sthe1é漢日本\u0301\u0378\u3000<|>Rapunzel"), max_size=60
) | st.lists(st.sampled_from(["<|user|>", "Rapunzel", "<tok>", "日本", END_OF_TEXT, " ", "the", "x"]), max_size=8).map("".join)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_gives_the_ids_that_transformers_gives(name: str) -> None:
    found = open_folder(FOLDERS / name, 400)
    assert {text: found.encode(text) for text in EXPECTED["texts"]} == dict(zip(EXPECTED["texts"], EXPECTED["ids"][name], strict=True))
    assert found.name == name
    assert found.n_vocab == 400
    assert not found.has_no_text
    assert found.note == ""


def test_where_a_tokenizer_came_from_is_told(tmp_path: Path) -> None:
    assert opened("two-files-added").made_of == "transformers' GPT2Tokenizer, of vocab.json and merges.txt, 5 added tokens"
    assert opened("spiece-t5").made_of.startswith("transformers' T5Tokenizer, of spiece.model, ")
    assert opened("unigram").made_of.startswith("as tokenizer.json says, of tokenizer.json, ")
    assert open_folder(tmp_path, 50257).made_of == "GPT-2's own, assumed: the folder brings none"
    assert open_folder(tmp_path, 7, "mine").made_of == "none: mine brings no tokenizer for its 7 ids"
    assert Tokenizer.gpt2().made_of == "GPT-2's own, which comes with txexplain"


@pytest.mark.parametrize("folder", [JSON_FOLDER, MERGES_FOLDER], ids=["tokenizer.json", "merges.txt"])
def test_byte_level_with_ids_in_any_order(folder: Path) -> None:
    found = open_folder(folder, 1000)
    for case in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        assert found.encode(case["text"]) == case["ids"], case["text"]
        assert found.decode(case["ids"]) == case["text"]
    assert found.encode("a[SEP]b")[1] == 900
    assert found.display(900) == "[SEP]"
    assert found.display(950) == "#950"


@pytest.mark.parametrize("name", WHOLE_TEXT)
@examples(10)
@given(text=TEXT)
def test_the_tokens_put_together_are_the_text(name: str, text: str) -> None:
    assume("> " not in text)  # an added token that takes the spaces after it, as it says itself
    found = opened(name)
    ids = found.encode(text, bare=True)
    assert found.decode(ids) == b"".join(map(found.raw, ids)).decode("utf-8", "replace")
    assert found.decode(ids) == text


@pytest.mark.parametrize("name", NAMES)
@examples(30)
@given(text=TEXT)
def test_whatever_is_typed_has_ids_that_are_shown(name: str, text: str) -> None:
    found = opened(name)
    whole, ids, ends = found.encode(text), found.encode(text, bare=True), found.ends(text)
    assert all(found.display(i).strip() for i in whole)
    assert all(a <= b for a, b in pairwise([0, *ends, len(text)]))
    assert len(ends) == len(ids)
    for limit in (0, 3, len(whole)):
        assert found.encode(text, limit=limit) == whole[: limit + 1]
    plain = found.plain()
    assert not set(found.typed.values()) & {*plain.encode(text, bare=True)} - vocabulary_ids(name)
    assert [plain.display(i) for i in whole] == [found.display(i) for i in whole]
    assert found.plain() is plain or found.typed


def opened(name: str) -> Tokenizer:
    if name not in OPENED:
        OPENED[name] = open_folder(FOLDERS / name, 400)
    return OPENED[name]


OPENED: dict[str, Tokenizer] = {}


def vocabulary_ids(name: str) -> set[int]:
    """The ids that text may have without any added token: an added token may be an ordinary one, too."""
    folder = FOLDERS / name
    if pieces := next(folder.glob("*.model"), None):
        return set(range(len(pieces_of(pieces.read_bytes()).scores)))
    if (folder / "vocab.txt").exists():
        return set(range(len((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))))
    there = (folder / "tokenizer.json").exists()
    told = json.loads((folder / "tokenizer.json" if there else folder / "vocab.json").read_text(encoding="utf-8"))
    vocab = told["model"]["vocab"] if there else told
    return set(range(len(vocab))) if isinstance(vocab, list) else set(vocab.values())


def test_added_tokens_are_typed_and_plain_ones_are_text() -> None:
    found = opened("added")
    user, rapunzel = found.typed["<|user|>"], found.typed["Rapunzel"]
    assert found.encode("<|user|>Hello Rapunzel")[0] == user
    assert found.encode("Hello Rapunzel")[-1] == rapunzel
    assert found.encode("Rapunzels")[-1] != rapunzel  # a single word only
    plain = found.plain().encode("<|user|>Hello Rapunzel")
    assert not {user, rapunzel} & {*plain}
    assert found.decode(plain) == "<|user|>Hello Rapunzel"
    assert found.plain().display(user) == "<|user|>"


def test_special_tokens_that_a_folder_wants_as_text() -> None:
    found = opened("specials-as-text")
    assert "<|user|>" not in found.typed
    assert "Rapunzel" in found.typed
    assert found.display(next(i for i in range(400) if found.token_bytes(i) == b"<|user|>")) == "<|user|>"


def test_what_stands_around_a_text_is_shown_and_can_be_left_out() -> None:
    found = opened("template")
    ids = found.encode("the cat")
    assert found.display(ids[0]) == found.display(ids[-1]) == END_OF_TEXT
    assert found.encode("the cat", bare=True) == ids[1:-1]
    assert found.encode("") == [ids[0], ids[-1]]
    assert found.plain().encode("the cat") == ids
    assert opened("prefix-space").display(opened("prefix-space").encode("the")[0]).startswith(" ")


def test_how_tokens_of_other_kinds_are_shown() -> None:
    assert opened("wordpiece").decode(opened("wordpiece").encode("the cat")) == "the cat"
    assert opened("llama").display(opened("llama").encode("the cat")[0]) == "<s>"
    assert opened("metaspace").display(opened("metaspace").encode("hello the")[-1]) == " the"
    assert opened("llama").token_bytes(opened("llama").encode("é\u0378")[-1]) == "\u0378".encode()[-1:]
    words = opened("wordpiece")
    assert b"".join(map(words.raw, words.encode("cats hats"))).decode().strip() == "cats hats"


@pytest.mark.parametrize(("name", "text"), [("added", " the"), ("metaspace", " the"), ("wordpiece", "the"), ("prefix-space", "the")])
def test_a_token_is_found_by_its_text(name: str, text: str) -> None:
    (found,) = opened(name).candidates(text)
    assert opened(name).token_bytes(found).decode() == text
    assert len(opened(name).candidates("Rapunzelhat")) > 1


def test_merges_build_a_token_one_pair_at_a_time() -> None:
    for name, space in (("added", b" "), ("metaspace", b" ")):
        found = opened(name)
        (id,) = found.candidates(" the")
        steps = found.merges(id)
        assert steps[0] == [space, b"t", b"h", b"e"]
        assert steps[-1] == [b" the"]
        assert [len(step) for step in steps] == [4, 3, 2, 1]
    assert opened("unigram").merges(5) == [[opened("unigram").token_bytes(5)]]
    assert opened("added").merges(opened("added").typed["<|user|>"]) == [[b"<|user|>"]]
    assert opened("added").merges(399) == []


def test_a_long_text_is_not_read_to_its_end_when_it_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_folder(FOLDERS / "added", 400)
    assert isinstance(found, library.LibraryTokenizer)
    read = 0
    encoded = found._encoded

    def count(text: str, bare: bool) -> Any:
        nonlocal read
        read += len(text)
        return encoded(text, bare)

    monkeypatch.setattr(found, "_encoded", count)
    for text in ("Once upon a time. " * 100_000, "a" * 2_000_000, "the " * 500_000):
        read = 0
        assert len(found.encode(text, limit=256)) == 257
        assert read < 50_000


# Long texts in pieces

WHOLE_ONLY = ("digits-taken", "llama", "llama-legacy", "qwen2")  # lower case before added tokens are looked for, words that go on …
RUNS = [
    "the cat sat on ",
    "a b",
    " Rapunzel the ",
    "<|user|>  ",
    "  the",
    "x\n y z",
    " <tok>   ab cd",
    "日本 a",
    "THE Hat's ",
    "it 's",
    "\x00",
    "ab\u0301 c d",
]


@pytest.mark.parametrize("name", NAMES)
@examples(40)
@given(text=st.lists(st.sampled_from(RUNS) | TEXT, max_size=12).map("".join), size=st.integers(1, 9))
def test_a_text_read_in_pieces_has_the_tokens_of_the_whole(name: str, text: str, size: int) -> None:
    found = opened(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "PIECE", size)
        assert [id for ids in found.stream(text) for id in ids] == found.encode(text)
        assert [id for ids in found.plain().stream(text) for id in ids] == found.plain().encode(text)


def test_most_tokenizers_read_a_long_text_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "PIECE", 20)
    in_one = {name for name in NAMES if len(list(opened(name).stream("the hat sat on the mat " * 20))) < 10}
    assert in_one == set(WHOLE_ONLY)


def test_a_text_is_not_cut_where_its_tokens_would_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "PIECE", 1)
    assert list(cuts.pieces("a b  c d1 e f\ng h", [])) == ["a", " b  c", " d1 e", " f\ng", " h"]
    assert list(cuts.pieces("a b c d e f g", ["c d"])) == ["a", " b c d e", " f", " g"]


# GPT-2's own vocabulary in a folder


@pytest.fixture
def small_gpt2(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `added` without flags, and its vocabulary taken for GPT-2's own."""
    told = json.loads((FOLDERS / "template" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merged = [bytes([library.CHARACTER_TO_BYTE[c]]) for c in library.BYTE_TO_CHARACTER.values()]
    names = [*library.BYTE_TO_CHARACTER.values(), *map("".join, told["merges"])]
    merged += [library.byte_level(name) or b"" for name in names[256:]]
    digest = vocabulary.hashlib.sha256("\n".join(map(" ".join, told["merges"])).encode()).hexdigest()
    own = Gpt2("gpt2", len(merged) + 1, merged, {}, {})
    monkeypatch.setattr(vocabulary, "MERGES_SHA256", digest)
    monkeypatch.setattr(tokenizer, "_gpt2", lambda: own)
    monkeypatch.setattr(tokenizer, "GPT2_VOCABULARY", len(merged) + 1)
    return FOLDERS / "template"


def write_gpt2(small: Path, folder: Path, change: Callable[[dict[str, Any]], object] = lambda told: None) -> Path:
    told = json.loads((small / "tokenizer.json").read_text(encoding="utf-8"))
    names = [*library.BYTE_TO_CHARACTER.values(), *map("".join, told["model"]["merges"]), END_OF_TEXT]
    told["model"]["vocab"] = {name: id for id, name in enumerate(names)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    texts = (END_OF_TEXT, "<|user|>", "Rapunzel", "日本")
    told["added_tokens"] = [{"id": len(names) - 1 + i, "content": text, **plain, "special": i < 2} for i, text in enumerate(texts)]
    told["post_processor"] = None
    change(told)
    (folder / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def test_both_ways_of_gpt2s_vocabulary_give_the_same_ids(small_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_gpt2(small_gpt2, tmp_path)
    own = open_folder(folder, 400)
    assert isinstance(own, Gpt2)
    monkeypatch.setattr(vocabulary, "MERGES_SHA256", "")
    by_library = open_folder(folder, 400)
    assert isinstance(by_library, library.LibraryTokenizer)

    @examples(300)
    @given(TEXT)
    def same(text: str) -> None:
        assert own.encode(text) == by_library.encode(text)
        assert own.plain().encode(text) == by_library.plain().encode(text)
        assert own.ends(text) == by_library.ends(text) or not text.isascii()  # of a token inside a character both say that character

    same()
    assert own.typed == by_library.typed
    assert {i: own.display(i) for i in range(400)} == {i: by_library.display(i) for i in range(400)}
    assert {i: own.merges(i) for i in range(400)} == {i: by_library.merges(i) for i in range(400)}


OTHERWISE: dict[str, Callable[[dict[str, Any]], object]] = {
    "another order": lambda told: told["model"]["merges"].insert(0, told["model"]["merges"].pop(1)),
    "another id": lambda told: told["model"]["vocab"].update({"a": 500}),
    "another token": lambda told: told["model"]["vocab"].update({"zzz": 500}),
    "a flag": lambda told: told["added_tokens"][1].update(lstrip=True),
    "a template": lambda told: told.update(
        post_processor=json.loads((FOLDERS / "template" / "tokenizer.json").read_text())["post_processor"]
    ),
}


@pytest.mark.parametrize("change", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_what_differs_from_gpt2s_own_goes_through_the_library(
    change: Callable[[dict[str, Any]], object], small_gpt2: Path, tmp_path: Path
) -> None:
    assert isinstance(open_folder(write_gpt2(small_gpt2, tmp_path, change), 600), library.LibraryTokenizer)


@pytest.mark.long
def test_gpt2s_own_files_are_known(tmp_path: Path) -> None:
    """vocab.json and merges.txt as OpenAI released them, derived from the ranks: a token's last merge is of its last two pieces."""
    own, letter = Tokenizer.gpt2(), library.BYTE_TO_CHARACTER
    merges = [[" ".join("".join(letter[b] for b in half) for half in own.merges(i)[-2])] for i in range(256, 50256)]
    vocab = {"".join(letter[b] for b in own.token_bytes(i)): i for i in range(50256)} | {END_OF_TEXT: 50256}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merge for (merge,) in merges) + "\n", encoding="utf-8")
    found = open_folder(tmp_path, 50257)
    assert isinstance(found, Gpt2)
    assert found.encode(f"Hello world{END_OF_TEXT}") == [15496, 995, 50256]
    assert found.plain().encode(END_OF_TEXT) == own.encode(END_OF_TEXT)


# Folders that bring no tokenizer, or one that can't be read


def test_gpt2s_tokens_are_assumed_only_where_nothing_else_is_said(tmp_path: Path) -> None:
    found = open_folder(tmp_path, 50257, "mine")
    assert found.encode(f"Hello world{END_OF_TEXT}")[:2] == [15496, 995]
    assert "GPT-2's tokens are assumed" in found.note
    assert "--tokenizer" in found.note
    for name in ("spiece.model", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "tokenizer.json"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text("x\n")
        assert open_folder(folder, 50257).has_no_text, name
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert open_folder(tmp_path, 50257).has_no_text


def test_another_size_without_files_says_what_to_do(tmp_path: Path) -> None:
    found = open_folder(tmp_path, 50304, "mine")
    assert found.has_no_text
    with pytest.raises(TokenizerError, match=r"mine brings no tokenizer for its 50304 ids; .*--ids 1,2,3.*--tokenizer gpt2"):
        found.encode("Hello")
    assert found.display(60) == "#60"
    assert found.decode([1, 60]) == "#1#60"


def spoil(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        told = json.loads((JSON_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
        change(told)
        (folder / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2TokenizerFast"}')

    return write


def with_config(**settings: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        shutil.copy(JSON_FOLDER / "tokenizer.json", folder)
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")

    return write


def many(told: dict[str, Any]) -> None:
    told["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 65}


def as_it_is(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change in a tokenizer.json that is taken as it is."""

    def write(folder: Path) -> None:
        spoil(change)(folder)
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')

    return write


def split_on(pattern: Any) -> Callable[[dict[str, Any]], object]:
    return lambda told: told.update(pre_tokenizer={"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False})


def growing(*lengths: int, what: str = "normalizer") -> Callable[[dict[str, Any]], object]:
    replaced = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * length} for length in lengths]
    return lambda told: told.update({what: {"type": "Sequence", f"{what}s": replaced}})


NOWHERE = {"SpecialToken": {"id": "<nowhere>", "type_id": 0}}
UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no JSON": (lambda folder: (folder / "tokenizer.json").write_text("{"), "can't be read as JSON"),
    "no object": (lambda folder: (folder / "tokenizer.json").write_text("[]"), "isn't a JSON object"),
    "deep": (lambda folder: (folder / "tokenizer.json").write_text("[" * 100_000), "can't be read as JSON"),
    "no model": (spoil(lambda told: told.pop("model")), "no model"),
    "WordPiece for a GPT-2": (spoil(lambda told: told["model"].update(type="WordPiece")), "wants BPE; .*TokenizersBackend"),
    "no merges": (spoil(lambda told: told["model"].pop("merges")), "merges"),
    "merge of three": (spoil(lambda told: told["model"]["merges"].append("a b c")), "isn't a pair"),
    "merge of numbers": (spoil(lambda told: told["model"]["merges"].append([1, 2])), "isn't a pair"),
    "unknown half": (spoil(lambda told: told["model"]["merges"].append("zzq a")), "two tokens of its vocab"),
    "no number": (spoil(lambda told: told["model"]["vocab"].update(a="b")), "the id of"),
    "below zero": (spoil(lambda told: told["model"]["vocab"].update(a=-1)), "the id of"),
    "added without id": (spoil(lambda told: told["added_tokens"].append({"content": "x"})), "no id"),
    "added without content": (spoil(lambda told: told["added_tokens"].append({"id": 7})), "no content"),
    "an odd flag": (spoil(lambda told: told["added_tokens"][0].update(lstrip=7)), "lstrip"),
    "spaces that take spaces": (
        spoil(lambda told: told["added_tokens"].append({**told["added_tokens"][0], "content": " ", "id": 950, "lstrip": True})),
        "takes the spaces around it",
    ),
    "a piece of 65": (as_it_is(lambda told: told.update(model={"type": "Unigram", "vocab": [["a" * 65, 0.5]]})), "65 characters"),
    "a long token": (spoil(lambda told: told["model"]["vocab"].update({"y" * 700: 999})), "700 characters"),
    "a long added token": (spoil(lambda told: told["added_tokens"].append({"content": "x" * 600, "id": 5})), "600 characters"),
    "no class of ours": (with_config(tokenizer_class="XLNetTokenizer"), "XLNetTokenizer"),
    "a class that is a number": (with_config(tokenizer_class=5), "tokenizer_class"),
    "a space that is a number": (with_config(tokenizer_class="GPT2Tokenizer", add_prefix_space=5), "add_prefix_space"),
    "a token that is a list": (with_config(bos_token=["x"]), "neither a string"),
    "files by version": (with_config(fast_tokenizer_files=["tokenizer.4.0.json"]), "each version"),
    "a class of another library": (with_config(tokenizer_class="GPTSw3Tokenizer"), "GPTSw3Tokenizer, which transformers has in Python"),
    "a class that transformers saves": (
        with_config(tokenizer_class="BigBirdTokenizer"), r"backend_tokenizer\.save\('.*tokenizer\.json'\) makes a tokenizer\.json"
    ),
    "a T5 of merges": (with_config(tokenizer_class="T5Tokenizer"), "wants Unigram"),
    "no files of its class": (with_config(tokenizer_class="BertTokenizer"), "WordPiece"),
    "dropout": (as_it_is(lambda told: told["model"].update(dropout=0.1)), "dropout"),
    "unknown normalizer": (as_it_is(lambda told: told.update(normalizer={"type": "Python"})), "normalizer"),
    "unknown pre-tokenizer": (as_it_is(lambda told: told.update(pre_tokenizer={"type": "Python"})), "pre_tokenizer"),
    "a sequence without end": (as_it_is(many), "more than 16 parts"),
    "a template without end": (
        as_it_is(lambda told: told.update(post_processor={"type": "TemplateProcessing", "single": [{}] * 99, "special_tokens": {}})),
        "around a text",
    ),
    "a template of nothing known": (
        as_it_is(lambda told: told.update(post_processor={"type": "TemplateProcessing", "single": [NOWHERE], "special_tokens": {}})),
        "doesn't say the id",
    ),
    "a normalizer that grows": (as_it_is(growing(*[2] * 10)), "times as long"),
    "bytes of bytes of bytes": (
        as_it_is(lambda told: told.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [told["pre_tokenizer"]] * 5})),
        "times as long",
    ),
    "bytes of bytes in normalizers": (
        as_it_is(lambda told: told.update(normalizer={"type": "Sequence", "normalizers": [{"type": "ByteLevel"}] * 9})), "times as long"
    ),
    "a normalizer that grows at once": (as_it_is(growing(500)), "times as long"),
    "a normalizer that puts much before each piece": (
        as_it_is(lambda told: told.update(normalizer={"type": "Prepend", "prepend": "x" * 400})), "times as long"
    ),
    "tokens that grow when they are shown": (as_it_is(growing(30, 30, what="decoder")), "16 times as long as it is"),
    "a pattern that goes back": (as_it_is(split_on({"Regex": "(a|a)*b"})), "little time"),
    "nested quantifiers": (as_it_is(split_on({"Regex": r"(?:\s+\w+)*x"})), "little time"),
    "two endless runs": (as_it_is(split_on({"Regex": r"\s+\s+\s+x"})), "little time"),
    "a pattern of nothing": (as_it_is(split_on({"String": ""})), "pattern"),
    "a word without end": (
        as_it_is(lambda told: told.update(model={"type": "WordPiece", "vocab": {"a": 0}, "max_input_chars_per_word": 10**9})),
        "max_input_chars_per_word",
    ),
    "a score that is no number": (as_it_is(lambda told: told.update(model={"type": "Unigram", "vocab": [["a", float("nan")]]})), "scores"),
    "an unknown token that isn't there": (
        as_it_is(lambda told: told.update(model={"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.5]]})), "unk_id"
    ),
    "a map that leads out": (
        as_it_is(lambda told: told.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8A"})),
        "leads out of itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "said"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_opens_as_ids_and_says_why(tmp_path: Path, write: Callable[[Path], object], said: str) -> None:
    write(tmp_path)
    found = open_folder(tmp_path, 2000)
    assert found.has_no_text
    assert found.display(1999) == "#1999"
    with pytest.raises(TokenizerError, match=said) as error:
        found.encode("hello")
    sentence = str(error.value)
    assert str(tmp_path) in sentence
    assert "--ids 1,2,3" in sentence
    assert "--tokenizer" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 700


def test_texts_of_tokens_are_known_where_a_vocabulary_tells_them(tmp_path: Path) -> None:
    as_it_is(lambda told: told["model"].update(dropout=0.1))(tmp_path)
    told = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    found = open_folder(tmp_path, 2000)
    assert found.has_no_text
    assert found.display(told["model"]["vocab"]["Ġthe"]) == " the"
    assert found.display(900) == "[SEP]"
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("[UNK]\n你\n##ing\n", encoding="utf-8")
    found = open_folder(tmp_path, 2000)
    assert [found.display(i) for i in range(4)] == ["[UNK]", "你", "##ing", "#3"]
    (tmp_path / "vocab.json").write_text(json.dumps({"▁the": 7, "x" * 1000: 8, "a": "b"}), encoding="utf-8")
    found = open_folder(tmp_path, 2000)
    assert [found.display(i) for i in (7, 8)] == [" the", "#8"]
    assert found.decode([7, 8]) == " the#8"


PIECES = FOLDERS / "spiece-t5" / "spiece.model"
SPIECE_FAULTS: dict[str, tuple[str, bytes, str, str]] = {
    "cut short": ("spiece.model", PIECES.read_bytes()[:700], "T5Tokenizer", "spiece.model can't be used: it is cut short, or isn't"),
    "a text": ("spiece.model", b"<unk>\t0\n", "T5Tokenizer", "isn't a vocabulary of sentencepiece"),
    "empty": ("spiece.model", b"", "T5Tokenizer", "no pieces"),
    "numbers for names": ("spiece.model", b"\x0a\x02\x08\x05", "AlbertTokenizer", "isn't a vocabulary of sentencepiece"),
    "a number without end": ("spiece.model", b"\xff" * 40, "ReformerTokenizer", "isn't a vocabulary of sentencepiece"),
    "an id that is no number": (
        "spiece.model", b"\x0a\x03\x0a\x01a\x12\x04\xc2\x02\x01x", "T5Tokenizer", "isn't a vocabulary of sentencepiece"
    ),
    "another file first": ("tekken.json", b"{}", "T5Tokenizer", "makes a tokenizer of its tekken.json"),
    "a class without pieces": ("tokenizer.model", PIECES.read_bytes(), "GPT2Tokenizer", "its tokenizer.model .* makes a tokenizer.json"),
    "another name": ("spm.model", PIECES.read_bytes(), "T5Tokenizer", "a T5Tokenizer wants spiece.model, which isn't there"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "data", "kind", "said"), SPIECE_FAULTS.values(), ids=SPIECE_FAULTS.keys())
def test_pieces_that_cannot_be_used_say_why(tmp_path: Path, file: str, data: bytes, kind: str, said: str) -> None:
    (tmp_path / file).write_bytes(data)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    with pytest.raises(TokenizerError, match=said):
        open_folder(tmp_path, 400).encode("the")


def test_pieces_that_make_each_other_in_too_many_ways_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts of a few letters as pieces: 7 MB of them made 3 GB of merges."""
    shutil.copytree(FOLDERS / "spiece-llama", tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(recipes, "MOST_MERGES", 20)
    with pytest.raises(TokenizerError, match="make each other in more than 20 ways"):
        open_folder(tmp_path, 400).encode("the")
    monkeypatch.setattr(sentencepiece, "LONGEST_FILE", 1000)
    with pytest.raises(TokenizerError, match="1,000 are the most"):
        open_folder(tmp_path, 400).encode("the")


def test_pieces_are_shown_where_no_text_can_be_read(tmp_path: Path) -> None:
    shutil.copy(FOLDERS / "spiece-llama" / "tokenizer.model", tmp_path / "spiece.model")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "tokenizer_class": "GPTSw3Tokenizer"}')
    found = open_folder(tmp_path, 400)
    assert found.has_no_text
    assert [found.display(i) for i in (0, 3 + 0x41)] == ["<unk>", "A"]
    assert " the" in {found.display(i) for i in range(259, 350)}


def test_a_map_of_sentencepiece_and_its_spaces_are_not_too_much(tmp_path: Path) -> None:
    """As transformers 4 wrote T5's: the largest result of the map of NMT and NFKC has 33 bytes for 4."""
    told = json.loads((FOLDERS / "t5" / "tokenizer.json").read_text(encoding="utf-8"))
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    replaced = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 8}, spaces]
    told["normalizer"] = {"type": "Sequence", "normalizers": replaced}
    (tmp_path / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    assert open_folder(tmp_path, 400).encode("the   cat", bare=True)


@pytest.mark.parametrize("there", ["vocab.json", "merges.txt"])
def test_half_a_tokenizer_is_named_and_never_passed_over(tmp_path: Path, there: str) -> None:
    shutil.copy(MERGES_FOLDER / there, tmp_path)
    (missing,) = {"vocab.json", "merges.txt"} - {there}
    with pytest.raises(TokenizerError, match=f"wants {missing}, which isn't there"):
        open_folder(tmp_path, 50257).encode("hello")


def test_a_refusal_names_the_file_at_fault(tmp_path: Path) -> None:
    for file, text in (
        ("merges.txt", "#version: 0.2\nx y z\n"),
        ("added_tokens.json", '{"[SEP]": "x"}'),
        ("vocab.json", '{"a": '),
        ("special_tokens_map.json", "[]"),
        ("tokenizer_config.json", "{"),
    ):
        shutil.copytree(MERGES_FOLDER, tmp_path, dirs_exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
        with pytest.raises(TokenizerError, match=file):
            open_folder(tmp_path, 1000).encode("hello")
        (tmp_path / file).unlink()


def test_a_panic_in_the_library_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    found = open_folder(FOLDERS / "added", 400)
    assert isinstance(found, library.LibraryTokenizer)

    class Broken:
        error: BaseException = PanicException("called `Result::unwrap()`")

        def encode(self, text: str, **how: object) -> list[int]:
            raise self.error

    monkeypatch.setattr(found, "_library", Broken())
    with pytest.raises(TokenizerError, match="failed on this text"):
        found.encode("Hello")
    Broken.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        found.encode("Hello")


def test_a_missing_library_leaves_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(TokenizerError, match="tokenizers library isn't there"):
        open_folder(FOLDERS / "added", 400).encode("the")


# Patterns


@pytest.mark.parametrize("pattern", [*KNOWN_PATTERNS, r"\d", r"\s+", "[0-9]", r"\p{N}{1,3}", " {2,}", r"[^\s]+|\s+", "(?:ab|cd)?x+", "."])
def test_ordinary_patterns_are_run(pattern: str) -> None:
    assert pattern in KNOWN_PATTERNS or HARMLESS.fullmatch(pattern)


@pytest.mark.parametrize(
    "pattern", [r"(\d+)+x", r"\d+x", "a*b", r"(?=a+)", r"\1", "a{2,}b", "(a+|b)+", "(?<n>a)", r"\g<0>", "(a*)*", "[a-z]+[0-9]+", "a++b",
     "a{0,99}" * 3 + "b", "a?" * 19 + "b", r"[^b]{0,99}\w{1,9}!", "(?:a|aa)?" * 9 + "b", "(a|aa)" * 9 + "b", "(?:a|a|a|a)" * 2 + "[bc]"]
)  # fmt: skip
def test_patterns_that_may_take_long_are_not(pattern: str) -> None:
    assert not HARMLESS.fullmatch(pattern)


@given(st.text(st.sampled_from(r"ab\sdp{}LN()[]^|*+?.,12:!i' "), max_size=40))
@example("(" * 2000)
@example("[" * 2000)
@example("a?" * 1000)
@example("(a|" * 600)
def test_looking_at_a_pattern_takes_no_time_itself(pattern: str) -> None:
    HARMLESS.fullmatch(pattern)


# Bounds


def doubled(told: dict[str, Any]) -> None:
    """Tokens of 2, 4, 8 … 8192 times the letter a."""
    model = told["model"]
    model["merges"] = [["a" * 2**n, "a" * 2**n] for n in range(13)]
    model["vocab"] |= {"a" * 2 ** (n + 1): 1400 + n for n in range(13)}


def as_added(contents: Iterable[str]) -> Callable[[dict[str, Any]], object]:
    """Added tokens, each of which is looked for in a text."""
    return lambda told: told.update(added_tokens=[{"content": each, "id": id} for id, each in enumerate(contents)])


def as_pieces(texts: Iterable[str]) -> Callable[[dict[str, Any]], object]:
    """A Unigram's, whose library makes a tree of all beginnings."""
    return lambda told: told.update(model={"type": "Unigram", "vocab": [[each, 0.0] for each in texts]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (doubled, "8,192 characters"),
        (lambda told: told.update(nothing=[[]] * 1_100_000), "1,000,000"),
        (lambda told: told.update(added_tokens=[{"content": f"x{i}", "id": i} for i in range(20_001)]), "20,000 added tokens"),
        (as_added(f"{i}" * 125 for i in range(1000, 3100)), "added tokens have more than 1,000,000 bytes"),
        (as_pieces("\U0001f600" * 59 + f"{i}" for i in range(17_000)), "more than 4,000,000 bytes together"),
    ],
    ids=["doubled", "crowded", "added", "long", "pieces"],
)
def test_a_tokenizer_that_is_a_bomb_is_refused_in_little_memory(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    as_it_is(change)(tmp_path)
    tracemalloc.start()
    try:
        found = open_folder(tmp_path, 1000)
        assert tracemalloc.get_traced_memory()[1] < 120_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(TokenizerError, match=said):
        found.encode("a")


def test_tokens_of_too_many_characters_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(JSON_FOLDER / "tokenizer.json", tmp_path)
    monkeypatch.setattr(harmless, "MOST_BYTES", 100)
    with pytest.raises(TokenizerError, match="more than 100 characters together"):
        open_folder(tmp_path, 1000).encode("a")
