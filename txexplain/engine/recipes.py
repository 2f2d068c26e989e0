"""How transformers (5.24) makes each class of tokenizer that it builds in a way of its own: of a folder's vocabulary and settings,
whatever else a tokenizer.json says. Each recipe gives the tokenizer.json, without added tokens, that does the same."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from txexplain.engine.added_tokens import Json
from txexplain.engine.harmless import QWEN2_PATTERN, Unfit, clipped, parts_of

if TYPE_CHECKING:
    from txexplain.engine.vocabulary import Plan

WHOLE, GPT2, BERT, LLAMA = "TokenizersBackend", "GPT2Tokenizer", "BertTokenizer", "LlamaTokenizer"
ROBERTA, T5, QWEN2, NEOX = "RobertaTokenizer", "T5Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizer"
XLM_ROBERTA, ALBERT, DEBERTA, REFORMER = "XLMRobertaTokenizer", "AlbertTokenizer", "DebertaV2Tokenizer", "ReformerTokenizer"
EMPTY: Json = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")) | {
    "version": "1.0",
    "added_tokens": [],
}

MOST_MERGES = 1_000_000  # that are made up: of a quarter of a million tokens come half as many


@dataclass(frozen=True)
class Recipe:
    """`document`: a tokenizer.json without added tokens, which raises Unfit where the files can't be honoured; `named`: the tokens with a
    name that the class has by itself; `around`: which of them it puts before and after every text, whatever the files say; `pieces`: its
    vocabulary of sentencepiece, where there is no tokenizer.json."""

    document: Callable[[Plan], Json]
    named: Mapping[str, str] = field(default_factory=dict)
    around: tuple[str, str] = ("", "")
    pieces: str = ""


def as_it_is(plan: Plan) -> Json:
    if not plan.whole:
        plan.require("")
    return plan.document | {"truncation": None, "padding": None}


# Byte-level BPE, by vocabulary and merges


def gpt2(plan: Plan) -> Json:
    return byte_level(plan, processed=True)


def gpt_neox(plan: Plan) -> Json:
    return byte_level(plan, normalizer={"type": "NFC"})


def qwen2(plan: Plan) -> Json:
    return byte_level(plan, normalizer={"type": "NFC"}, pattern=QWEN2_PATTERN, processed=True)


def byte_level(plan: Plan, *, normalizer: Json | None = None, pattern: str = "", processed: bool = False) -> Json:
    """pattern: of the words, where they aren't GPT-2's; processed: whether a tokenizer.json's post_processor counts."""
    model = bpe(plan) if plan.whole else bpe_of_two_files(plan)
    level = {"type": "ByteLevel", "add_prefix_space": plan.flag("add_prefix_space", False), "trim_offsets": True, "use_regex": not pattern}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return EMPTY | {
        "normalizer": normalizer,
        "pre_tokenizer": sequence("pretokenizers", [split, level]) if pattern else level,
        "decoder": level | {"add_prefix_space": True, "use_regex": True},
        "post_processor": plan.document.get("post_processor") if processed else None,
        "model": model,
    }


def bpe(plan: Plan) -> Json:
    plan.require("BPE")
    return bpe_of(plan.document["model"].get("vocab"), plan.document["model"].get("merges"))


def bpe_of_two_files(plan: Plan) -> Json:
    plan.require("BPE", "vocab.json", "merges.txt")
    vocab = plan.files.json("vocab.json")
    return bpe_of(vocab, [line for line in plan.files.lines("merges.txt") if not line.startswith("#version")])


def bpe_of(vocab: Any, merges: Any) -> Json:
    return {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
        "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges,
    }  # fmt: skip


# Words and their pieces


def bert(plan: Plan) -> Json:
    """WordPiece of BERT's words, in lower case unless the settings say otherwise."""
    plan.require("WordPiece", "vocab.txt")
    lines = [] if plan.whole else plan.files.lines("vocab.txt")
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": plan.flag("tokenize_chinese_chars", True),
        "strip_accents": plan.settings.get("strip_accents"),
        "lowercase": plan.flag("do_lower_case", True),
    }
    model = {
        "type": "WordPiece",
        "unk_token": plan.named("unk_token"),
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": plan.document["model"].get("vocab") if plan.whole else {line.rstrip(): id for id, line in enumerate(lines)},
    }
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return EMPTY | {"normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": decoder, "model": model}


# Texts with their spaces as ▁: by merges


def llama(plan: Plan) -> Json:
    """BPE over a whole text, and bytes for what the vocabulary lacks."""
    space = plan.flag("add_prefix_space", True)
    split = metaspace(("always" if plan.settings.get("legacy") else "first") if space else "never") | {"split": False}
    decoders: list[Json] = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    decoders += [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if space else []
    return EMPTY | {
        "pre_tokenizer": split,
        "decoder": sequence("decoders", decoders),
        "post_processor": plan.document.get("post_processor"),
        "model": merged(plan) | {"fuse_unk": True, "byte_fallback": True},
    }


def reformer(plan: Plan) -> Json:
    """BPE over the words of a text."""
    space = metaspace("always")
    mapped = character_map(plan)
    return EMPTY | {
        "normalizer": sequence("normalizers", [*mapped, replace(" {2,}", " ")]) if mapped else None,
        "pre_tokenizer": space,
        "decoder": space,
        "post_processor": plan.document.get("post_processor"),
        "model": merged(plan) | {"fuse_unk": True, "unk_token": plan.named("unk_token")},
    }


def merged(plan: Plan) -> Json:
    if plan.pieces is None:
        return bpe(plan)
    vocab = plan.pieces.ids()
    return bpe_of(vocab, merges_of(vocab))


def merges_of(vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    """The merges that transformers makes up for a vocabulary without any: each two tokens that make a third, by its id. Raises Unfit."""
    found: list[tuple[int, int, int, str, str]] = []
    for token, id in vocab.items():
        if len(found) > MOST_MERGES:
            raise Unfit(f"its tokens make each other in more than {MOST_MERGES:,} ways")
        halves = ((token[:i], token[i:]) for i in range(1, len(token)))
        pairs = sorted(
            (pair for pair in halves if pair[0] in vocab and pair[1] in vocab), key=lambda pair: (vocab[pair[0]], vocab[pair[1]])
        )
        found += [(id, len(left), len(right), left, right) for left, right in pairs]
    return [(left, right) for *_, left, right in sorted(found, key=lambda merge: merge[:3])]


# … and by the likeliest pieces


def t5(plan: Plan) -> Json:
    extra = [(name, 0.0) for name in reversed(extra_ids(plan))] if plan.pieces is not None else []
    return words(plan, [*scores(plan), *extra], 2, character_map(plan), "always")


def extra_ids(plan: Plan) -> list[str]:
    """The tokens that a T5 has by itself."""
    count = plan.settings.get("extra_ids", 100)
    if type(count) is not int or not 0 <= count <= 1000:
        raise Unfit(f"its extra_ids is {clipped(count)}")
    return [f"<extra_id_{i}>" for i in range(count)]


def xlm_roberta(plan: Plan) -> Json:
    vocab = scores(plan)
    if plan.pieces is not None:
        first, last = ("bos_token", "pad_token", "eos_token", "unk_token"), "mask_token"
        vocab = [*((plan.named(name), 0.0) for name in first), *vocab[3:], (plan.named(last), 0.0)]
    return words(plan, vocab, 3, character_map(plan), "always" if plan.flag("add_prefix_space", True) else "never")


def albert(plan: Plan) -> Json:
    vocab = scores(plan)
    quotes: list[Json] = [{"type": "Replace", "pattern": {"String": quote}, "content": '"'} for quote in ("``", "''")]
    accents: list[Json] = [] if plan.flag("keep_accents", False) else [{"type": "NFKD"}, {"type": "StripAccents"}]
    case: list[Json] = [{"type": "Lowercase"}] if plan.flag("do_lower_case", True) else []
    scheme = "always" if plan.flag("add_prefix_space", True) else "never"
    document = words(plan, vocab, 1, [*quotes, *accents, *case, *character_map(plan)], scheme)
    ids = {piece: id for id, (piece, _) in enumerate(vocab)}
    own = around_of(plan.named("cls_token"), plan.named("sep_token"), ids)
    asked = not plan.whole and {"add_bos_token", "add_eos_token"} & plan.settings.keys()
    return document | {"post_processor": plan.document.get("post_processor") or (None if asked else own)}


def deberta(plan: Plan) -> Json:
    vocab, unknown = scores(plan), plan.named("unk_token")
    usual = plan.settings.get("unk_id", 1) if plan.pieces is None else plan.pieces.unknown
    at = vocab.index((unknown, 0.0)) if (unknown, 0.0) in vocab else usual
    case: list[Json] = [{"type": "Lowercase"}] if plan.flag("do_lower_case", False) else []
    ends = [replace(r"\s{2,}|[\n\r\t]", " "), {"type": "NFC"}, {"type": "Strip", "strip_left": False, "strip_right": True}]
    punctuation: list[Json] = [{"type": "Punctuation", "behavior": "Isolated"}] if plan.flag("split_by_punct", False) else []
    scheme = "always" if plan.flag("add_prefix_space", True) else "first"
    document = words(plan, vocab, at, [*case, *ends], scheme)
    return document | {"pre_tokenizer": sequence("pretokenizers", [*punctuation, metaspace(scheme)])}


def words(plan: Plan, vocab: Sequence[tuple[str, float]], unknown: int, normalizers: Sequence[Json], scheme: str) -> Json:
    """Unigram over the words of a text, which white space parts."""
    return EMPTY | {
        "normalizer": sequence("normalizers", normalizers) if normalizers else None,
        "pre_tokenizer": sequence("pretokenizers", [{"type": "WhitespaceSplit"}, metaspace(scheme)]),
        "decoder": metaspace(scheme),
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": False},
    }


def scores(plan: Plan) -> list[tuple[str, float]]:
    """The pieces with their scores. Raises Unfit."""
    if plan.pieces is not None:
        return plan.pieces.scores
    plan.require("Unigram")
    vocab = plan.document["model"].get("vocab")
    if not isinstance(vocab, list) or not all(isinstance(each, list) and len(each) == 2 for each in vocab):
        raise Unfit("its vocab isn't a list of tokens with their scores")
    return [(token, score) for token, score in vocab]


def character_map(plan: Plan) -> list[Json]:
    """How characters are told apart: of a tokenizer.json's normalizers the one that is such a map, or what the pieces bring."""
    if plan.pieces is None:
        return [part for part in parts_of(plan.document, "normalizer") if part["type"] == "Precompiled"][:1]
    encoded = binascii.b2a_base64(plan.pieces.character_map, newline=False).decode()
    return [{"type": "Precompiled", "precompiled_charsmap": encoded}] if encoded else []


# Parts


def sequence(inside: str, parts: Sequence[Json]) -> Json:
    return {"type": "Sequence", inside: list(parts)}


def metaspace(scheme: str) -> Json:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}


def replace(pattern: str, content: str) -> Json:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def around_of(first: str, last: str, ids: Mapping[str, int]) -> Json:
    """A template of two tokens around a text. Raises Unfit where the vocabulary lacks one."""
    if missing := [token for token in (first, last) if token not in ids]:
        raise Unfit(f"its vocabulary lacks {clipped(missing[0])}, which it puts around a text")
    tokens = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (first, last)}
    single = [
        {"SpecialToken": {"id": first, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": last, "type_id": 0}},
    ]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": tokens,
    }


END_OF_TEXT = "<|endoftext|>"
USUAL_SPECIALS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
BERTS = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
ENDS = {"bos_token": "[CLS]", "eos_token": "[SEP]"}
RECIPES = {
    WHOLE: Recipe(as_it_is),
    GPT2: Recipe(gpt2, dict.fromkeys(("unk_token", "bos_token", "eos_token"), END_OF_TEXT)),
    QWEN2: Recipe(qwen2, dict.fromkeys(("unk_token", "eos_token", "pad_token"), END_OF_TEXT)),
    NEOX: Recipe(gpt_neox, dict.fromkeys(("unk_token", "bos_token", "eos_token"), END_OF_TEXT) | {"pad_token": "<|padding|>"}),
    ROBERTA: Recipe(byte_level, USUAL_SPECIALS, ("cls_token", "sep_token")),
    BERT: Recipe(bert, BERTS, ("cls_token", "sep_token")),
    LLAMA: Recipe(llama, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, pieces="tokenizer.model"),
    REFORMER: Recipe(reformer, {"unk_token": "<unk>", "eos_token": "</s>"}, pieces="spiece.model"),
    T5: Recipe(t5, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}, ("", "eos_token"), "spiece.model"),
    XLM_ROBERTA: Recipe(xlm_roberta, USUAL_SPECIALS, ("bos_token", "eos_token"), "sentencepiece.bpe.model"),
    ALBERT: Recipe(albert, BERTS | ENDS | {"unk_token": "<unk>", "pad_token": "<pad>"}, pieces="spiece.model"),
    DEBERTA: Recipe(deberta, BERTS | ENDS, ("cls_token", "sep_token"), "spm.model"),
}
