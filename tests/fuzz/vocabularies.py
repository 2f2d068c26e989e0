"""Tokenizers of a folder and the file of GPT-2's ranks, beside a plain byte-pair encoder; and config.json alone."""

from __future__ import annotations

import importlib
import json
import os
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import regex

from tests.fuzz.cases import Case, content
from tests.fuzz.checkpoints import CONFIG, CONFIG_WORDS, require_fields
from tests.fuzz.harness import Wrong
from tests.fuzz.mutate import mutated_bytes, mutated_folder, mutated_json_bytes, mutated_lines
from txexplain.engine import tokenizer as module
from txexplain.engine.config import TOKENIZER_FILES, GPT2Config
from txexplain.engine.vocabulary import open_folder

MERGES = ("Ġ t", "h e", "Ġt he", "i n", "r e", "Ġ a", "Ã ©", "a n", "Ġthe re", "1 2", "Ċ Ċ", "' s", "in g")
TEXTS = (
    "the there then",
    " the the\n\n\n  a an ing in's 'tis 1212 t  he",
    "café é 日本 🙂 \u0301",
    "\t \r\n\x00\x7f ",
    "There's  12 12the",
    "",
)
GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizers"
ODD = (
    "added-decoder",
    "digits-taken",
    "llama-legacy",
    "spiece-albert",
    "spiece-llama",
    "spiece-t5",
    "template",
    "two-files-added",
    "unigram",
    "vocab-txt",
    "wordpiece",
)
PATTERN = regex.compile(r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")
WORDS: tuple[Any, ...] = (
    "BPE", "WordPiece", "ByteLevel", "Whitespace", "Sequence", "Split", "Lowercase", "NFC", "type", "model", "vocab", "merges", "added_tokens", "pre_tokenizer",
    "normalizer", "dropout", "unk_token", "ignore_merges", "byte_fallback", "add_prefix_space", "use_regex", "continuing_subword_prefix", "end_of_word_suffix",
    "fuse_unk", "truncation", "Unigram", "WordLevel", "Metaspace", "Replace", "Precompiled", "TemplateProcessing", "Split", "Regex", "String", "content",
    "tokenizer_class", "PreTrainedTokenizerFast", "GPT2Tokenizer", "BertTokenizer", "added_tokens_decoder", "bos_token", "special", "lstrip", "Ġ", "Ġthe", "the", "t h e", "Ġ t", "h e", ["h", "e"], ["h"], True, False, None, 0.5, 0, 1, 255, 256, 268, 269, 270, 300,
)  # fmt: skip
LINES = (
    "#version: 0.2",
    "",
    " ",
    "Ġ t",
    "h e",
    "he r",
    "t h e",
    "the",
    "Ġth e",
    "Ā ā",
    "\u00a0 a",
    "a\tb",
    "# x",
    "é é",
    "日 本",
    "Ġ Ġ",
    "#version",
    "x y\r",
)


@cache
def alphabet() -> dict[int, str]:
    """GPT-2's characters for bytes, as encoder.py of its release makes them."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    found, n = {b: chr(b) for b in kept}, 0
    for b in range(256):
        if b not in found:
            found[b], n = chr(256 + n), n + 1
    return found


def vocabulary() -> dict[str, int]:
    names = [alphabet()[b] for b in range(256)] + [merge.replace(" ", "") for merge in MERGES]
    return {name: i for i, name in enumerate(names)} | {"<|end|>": len(names)}


def document() -> dict[str, Any]:
    end = {
        "id": 256 + len(MERGES),
        "content": "<|end|>",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
            "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary(), "merges": [merge.split(" ") for merge in MERGES],
        },
    }  # fmt: skip


class Tokenizers:
    name = "tokenizers"

    def __init__(self) -> None:
        whole = json.dumps(document(), ensure_ascii=False).encode()
        vocab, merges = json.dumps(vocabulary()).encode(), ("#version: 0.2\n" + "\n".join(MERGES) + "\n").encode()
        config = {"config.json": b'{"model_type": "gpt2"}'}
        self.bases = [
            Case(config | {"tokenizer.json": whole}, {"ids": 270}),
            Case(config | {"vocab.json": vocab, "merges.txt": merges, "added_tokens.json": b'{"[SEP]": 280}'}, {"ids": 300}),
            *(Case(files_of(GOLDEN / name), {"ids": 400}) for name in ODD),
        ]
        self.ranks = Case({"gpt2.tiktoken": module.ranks_path().read_bytes()[:4000]}, {"ids": 50257})

    def make(self, rng: Random) -> Case:
        if rng.random() < 0.02:
            case = self.ranks
            return (
                mutated_folder(rng, case)
                if rng.random() < 0.5
                else case.with_file("gpt2.tiktoken", mutated_bytes(rng, case.files["gpt2.tiktoken"]))
            )  # type: ignore[arg-type]
        case = rng.choice(self.bases)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            name = rng.choice(tuple(case.files))
            data = case.files[name]
            if rng.random() < 0.04 or not isinstance(data, bytes):
                case = mutated_folder(rng, case, ("tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json"))
            elif rng.random() < 0.15 or name.endswith(".model"):
                case = case.with_file(name, mutated_bytes(rng, data))
            elif name.endswith(".json"):
                case = case.with_file(name, self.changed(rng, data) if rng.random() < 0.5 else mutated_json_bytes(rng, data, WORDS))
            else:
                case = case.with_file(name, mutated_lines(rng, data, LINES, ()))
        return Case(
            case.files, case.options | ({"ids": rng.choice((1, 256, 268, 269, 270, 50257, 1 << 24))} if rng.random() < 0.05 else {})
        )

    def changed(self, rng: Random, data: bytes) -> bytes:
        """A change among the tables, most of which a blind one would miss."""
        try:
            told = json.loads(data)
            model = told.get("model", {"vocab": told, "merges": []})
            vocab, merges = model["vocab"], model["merges"]
            some = rng.choice(list(vocab))
            match rng.randrange(7):
                case 0:
                    vocab[some] = vocab[rng.choice(list(vocab))]
                case 1:
                    other = rng.choice(list(vocab))
                    vocab[some], vocab[other] = vocab[other], vocab[some]
                case 2:
                    a, b = rng.choice(list(vocab)), rng.choice(list(vocab))
                    merges.insert(rng.randrange(len(merges) + 1), rng.choice(([a, b], f"{a} {b}")))
                    vocab[a + b] = len(vocab) + rng.choice((0, 1, 100))
                case 3:
                    i, j = rng.randrange(len(merges)), rng.randrange(len(merges))
                    merges[i], merges[j] = merges[j], merges[i]
                case 4:
                    vocab[rng.choice(("new", "日本", some + "x", "Ġther", "", " "))] = rng.choice((len(vocab), 0, 1 << 40))
                case 5:
                    model[rng.choice(("ignore_merges", "fuse_unk", "byte_fallback"))] = rng.choice((True, False, None))
                    model["unk_token"] = rng.choice((None, some, "<unk>"))
                case _:
                    del vocab[some]
            return json.dumps(told, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return mutated_json_bytes(rng, data, WORDS)

    def open(self, folder: Path, case: Case) -> None:
        if "gpt2.tiktoken" in case.files:
            before = module.ranks_path
            module.ranks_path = lambda: folder / "gpt2.tiktoken"
            try:
                module._gpt2.__wrapped__()
            finally:
                module.ranks_path = before
            raise Wrong("damaged ranks were read")
        ids = case.options["ids"]
        tokenizer = open_folder(folder, ids)
        brought = any(os.path.lexists(folder / name) for name in TOKENIZER_FILES)
        if tokenizer.has_no_text and brought:
            tokenizer.encode("the")  # which says why
        if tokenizer.note and brought:
            raise Wrong("the folder's own tokenizer was passed over")
        plain = None if tokenizer.has_no_text or tokenizer.note else plain_of(folder)
        for text in () if tokenizer.has_no_text else TEXTS:
            found = tokenizer.encode(text, bare=True)
            whole = tokenizer.encode(text)
            if tokenizer.encode(text, limit=2) != whole[:3] or len(tokenizer.ends(text)) != len(found):
                raise Wrong(f"{text!r}: a beginning of {whole} is {tokenizer.encode(text, limit=2)}")
            if plain is not None and not any(typed in text for typed in tokenizer.typed if typed) and found != plain.encode(text):
                raise Wrong(f"{text!r} is {found}, by a plain encoder {plain.encode(text)}")
            if not isinstance(tokenizer.decode(whole), str) or not all(0 <= i < 1 << 32 for i in tokenizer.plain().encode(text)):
                raise Wrong(f"{text!r} comes back as {tokenizer.decode(whole)!r}")
        for i in (*range(0, min(ids, 400), 7), ids - 1):
            if not tokenizer.display(i) or not tokenizer.display(i).isprintable() or not isinstance(tokenizer.merges(i), list):
                raise Wrong(f"id {i} is shown as {tokenizer.display(i)!r}")

    def also(self, folder: Path, case: Case) -> bool:
        try:
            return library_of(folder / "tokenizer.json") is not None
        except OSError:
            return False


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def plain_of(folder: Path) -> Plain | None:
    """The plain encoder of a folder whose tokenizer is GPT-2's byte-level BPE; None where its class or its space is another."""
    try:
        settings = json.loads(content(folder / "tokenizer_config.json")) if (folder / "tokenizer_config.json").exists() else {}
        config = json.loads(content(folder / "config.json"))
    except (OSError, ValueError, RecursionError):
        return None
    if settings or config.get("model_type") != "gpt2" or config.get("tokenizer_class"):
        return None
    if (folder / "tokenizer.json").exists():
        told = json.loads(content(folder / "tokenizer.json"))["model"]
        return Plain(told["vocab"], [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in told["merges"]])
    lines = (folder / "merges.txt").read_text("utf-8").split("\n")
    merges = [line for line in (lines if lines[-1] else lines[:-1]) if not line.startswith("#version")]
    return Plain(json.loads(content(folder / "vocab.json")), [tuple(line.removesuffix("\r").split(" ")) for line in merges])


class Plain:
    """Byte-pair encoding word by word, by pairs and their ranks, as the paper and transformers say it."""

    def __init__(self, vocab: dict[str, int], merges: list[tuple[str, ...]]) -> None:
        self.vocab, self.ranks = vocab, {}
        for rank, pair in enumerate(merges):
            self.ranks[pair] = rank

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in PATTERN.findall(text):
            parts = [c for b in piece.encode() if (c := alphabet()[b]) in self.vocab]  # what a vocabulary lacks is dropped
            while len(parts) > 1:
                rank, pair = min((self.ranks.get(pair, 1 << 60), pair) for pair in pairwise(parts))
                if rank == 1 << 60:
                    break
                merged, i = [], 0
                while i < len(parts):
                    both = tuple(parts[i : i + 2]) == pair
                    merged.append("".join(pair) if both else parts[i])
                    i += 1 + both
                parts = merged
            ids += [self.vocab[part] for part in parts]
        return ids


def library_of(path: Path) -> Any:
    """The tokenizers library's reading of a file; None where the library isn't there, or refuses the file.

    It refuses more than the product does: a padding, decoder or post-processor of a wrong form, none of which changes a typed text's ids.
    """
    try:
        library = importlib.import_module("tokenizers")
    except ImportError:
        return None
    if not path.exists():
        return None
    try:
        return library.Tokenizer.from_str(content(path).decode("utf-8-sig"))
    except Exception:  # the library raises nothing narrower
        return None


class Configs:
    name = "configs"

    def __init__(self) -> None:
        self.bases = [
            Case({"config.json": json.dumps(CONFIG | more).encode()})
            for more in ({}, {"n_ctx": 5, "tie_word_embeddings": False, "n_inner": None})
        ]

    def make(self, rng: Random) -> Case:
        case = rng.choice(self.bases)
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = case.files.get("config.json")
            if rng.random() < 0.04 or not isinstance(data, bytes):
                case = mutated_folder(rng, case)
            elif rng.random() < 0.2:
                case = case.with_file("config.json", mutated_bytes(rng, data))
            else:
                case = case.with_file("config.json", mutated_json_bytes(rng, data, CONFIG_WORDS))
        return case

    def open(self, folder: Path, case: Case) -> None:
        path = folder / "config.json"
        config = GPT2Config.from_file(path)
        require_fields(config, json.loads(content(path)))
        if GPT2Config.from_dict(config.to_dict(), "config.json") != config:
            raise Wrong("what it writes isn't what it reads")

    def also(self, folder: Path, case: Case) -> bool:
        return False
