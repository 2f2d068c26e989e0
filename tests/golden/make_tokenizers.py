"""Makes small odd tokenizers as other people's folders have them, and what transformers' AutoTokenizer makes of texts with each.

    python tests/golden/make_tokenizers.py       # tokenizers/NAME/*, tokenizers/expected.json

Needs transformers and sentencepiece; not part of the suite.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sentencepiece import SentencePieceTrainer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent / "tokenizers"
END = "<|endoftext|>"
CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_head": 2, "n_embd": 8}
CORPUS = [
    "the cat sat on the mat, and there's a hat; Rapunzel's hair was long.",
    "hello hello, there there 12 34 123 don't they're",
    "naïve café 日本語 日本",
] * 4
TEXTS = [
    "",
    " ",
    "Hello there",
    "the cat's hat",
    " the  cat\n\nsat\t",
    f"{END}a{END}",
    f"one {END} two",
    "<|user|>Hello Rapunzel",
    "<|user|> <|user|>Rapunzels Rapunzel<|user|>",
    "  <|user|>  the cat  ",
    "x<s>y</s>z [CLS] [SEP] [MASK] <pad>",
    "RAPUNZEL rapunzel, The CAT",
    "naïve café e\u0301 日本語",
    "it's 'tis don't 1234567 12 3",
    "😀 👩‍👧 \u200b\x00\x7f ﬁ ½",
    "<tok>a<tok> <tok>",
    "aaaaaaaaaaaaaaaaaaaaaaaa thethethe",
    "[/] <0x41> ▁ ##a",
    "<extra_id_0> a<extra_id_7>  <mask> [SEP]x",
    "ＦＵＬＬ ｗｉｄｔｈ, ``quoted'' ǅ\u3000\x85END",
]
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LETTERS = pre_tokenizers.ByteLevel.alphabet()


def byte_level(*, specials: tuple[str, ...] = (END,), alphabet: list[str] | None = None, splits: Any = None) -> Tokenizer:
    """Byte-level BPE as GPT-2's."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = splits or pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    letters = LETTERS if alphabet is None else alphabet
    return trained(made, trainers.BpeTrainer(vocab_size=len(letters) + 60, special_tokens=list(specials), initial_alphabet=letters))


def trained(made: Tokenizer, trainer: Any) -> Tokenizer:
    trainer.show_progress = False
    made.train_from_iterator(CORPUS, trainer)
    return made


def with_added(made: Tokenizer) -> Tokenizer:
    """Tokens with every flag."""
    made.add_special_tokens([AddedToken("<|user|>", lstrip=True, rstrip=True)])
    made.add_tokens([AddedToken("Rapunzel", single_word=True), AddedToken("<tok>", rstrip=True, normalized=False), "日本"])
    return made


def bpe(unknown: str, splits: Any, decoder: Any, **how: Any) -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token=unknown, **how))
    made.pre_tokenizer, made.decoder = splits, decoder
    return trained(made, trainers.BpeTrainer(vocab_size=90, special_tokens=[unknown, "<s>", "</s>"], **how))


def llama() -> Tokenizer:
    """BPE over whole texts, with bytes for what is unknown."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trained(made, trainers.BpeTrainer(vocab_size=330, special_tokens=["<unk>", "<s>", "</s>", *bytes_]))
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    document = json.loads(made.to_str())
    document["added_tokens"] = document["added_tokens"][:3]  # the bytes are tokens of the vocabulary, none of a text
    return Tokenizer.from_str(json.dumps(document))


def wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    return trained(made, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    made = trained(made, trainers.UnigramTrainer(vocab_size=60, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"))
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return made


def wordlevel() -> Tokenizer:
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return trained(made, trainers.WordLevelTrainer(vocab_size=40, special_tokens=["<unk>", "<s>"]))


def pieces(folder: Path, name: str, **how: Any) -> None:
    """A vocabulary of sentencepiece."""
    written = io.BytesIO()
    how = {"vocab_size": 90, "hard_vocab_limit": False, "minloglevel": 2} | how
    with TemporaryDirectory() as home:
        if "normalization_rule_tsv" in how:
            rules = Path(home, how["normalization_rule_tsv"])
            rules.write_text(RULES)
            how["normalization_rule_tsv"] = str(rules)
        SentencePieceTrainer.train(sentence_iterator=iter(CORPUS * 8), model_writer=written, **how)
    (folder / name).write_bytes(written.getvalue())


def sequence(*parts: Any) -> Any:
    return pre_tokenizers.Sequence(list(parts))


def legacy_llama() -> Tokenizer:
    made = llama()
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


def lower_and_digits() -> Tokenizer:
    made = with_added(
        byte_level(splits=sequence(pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)))
    )
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    return made


def around(made: Tokenizer, processor: Callable[[int], Any]) -> Tokenizer:
    made.post_processor = processor(made.token_to_id(END))
    return made


def filled() -> Tokenizer:
    made = byte_level(specials=(END, "<pad>"))
    made.enable_padding(pad_id=1, pad_token="<pad>", length=8)
    made.enable_truncation(max_length=3)
    return made


WHOLE = {"tokenizer_class": "PreTrainedTokenizerFast"}
GPT2 = {"tokenizer_class": "GPT2Tokenizer"}
DECODER = {
    "280": {"content": "<|user|>", "lstrip": False, "normalized": False, "rstrip": True, "single_word": False, "special": True},
    "7": {"content": "cat", "lstrip": False, "normalized": True, "rstrip": False, "single_word": True, "special": False},
}
FOLDERS: dict[str, tuple[Callable[[], Tokenizer], dict[str, Any] | None]] = {
    "added": (lambda: with_added(byte_level()), None),
    "added-decoder": (lambda: with_added(byte_level()), GPT2 | {"added_tokens_decoder": DECODER, "pad_token": "<pad>"}),
    "alphabet-missing": (lambda: byte_level(alphabet=[]), GPT2),
    "digits-ignored": (lower_and_digits, None),
    "digits-taken": (lower_and_digits, {"tokenizer_class": "TokenizersBackend"}),
    "extra-tokens": (byte_level, {"additional_special_tokens": ["<tok>", "cat"], "image_token": "<|user|>", "eos_token": "</s>"}),
    "filled": (filled, WHOLE),
    "llama": (llama, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "unk_token": "<unk>"}),
    "llama-legacy": (legacy_llama, WHOLE),
    "metaspace": (lambda: bpe("<unk>", pre_tokenizers.Metaspace(), decoders.Metaspace()), WHOLE),
    "prefix-space": (lambda: with_added(byte_level()), GPT2 | {"add_prefix_space": True}),
    "prefix-space-inside": (lambda: byte_level(splits=pre_tokenizers.ByteLevel(add_prefix_space=True)), WHOLE),
    "processor-bert": (
        lambda: around(byte_level(), lambda i: processors.BertProcessing((END, i), (END, i))), {"tokenizer_class": "GPT2TokenizerFast"}
    ),
    "processor-roberta": (
        lambda: around(byte_level(), lambda i: processors.RobertaProcessing((END, i), ("a", 66), add_prefix_space=False)), WHOLE
    ),
    "specials-as-text": (lambda: with_added(byte_level()), {"split_special_tokens": True}),
    "split-then-bytes": (
        lambda: byte_level(
            splits=sequence(
                pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            )
        ),
        WHOLE,
    ),
    "suffix": (lambda: bpe("<unk>", pre_tokenizers.Whitespace(), decoders.BPEDecoder(), end_of_word_suffix="</w>"), WHOLE),
    "template": (
        lambda: around(
            byte_level(), lambda i: processors.TemplateProcessing(single=f"{END} $A {END}", special_tokens=[(END, i)])
        ),
        None,
    ),
    "unigram": (unigram, {"tokenizer_class": "TokenizersBackend", "eos_token": "</s>"}),
    "unknown-class": (lambda: with_added(byte_level()), {"tokenizer_class": "OurOwnTokenizer", "add_bos_token": True}),
    "codegen": (lambda: with_added(byte_level()), {"tokenizer_class": "CodeGenTokenizer", "add_prefix_space": True}),
    "electra": (wordpiece, {"tokenizer_class": "ElectraTokenizerFast"}),
    "longformer": (lambda: byte_level(specials=("<s>", "</s>")), {"tokenizer_class": "LongformerTokenizer", "sep_token": "<|user|>"}),
    "neox": (
        lambda: around(byte_level(), lambda i: processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, i)])),
        {"tokenizer_class": "GPTNeoXTokenizer"},
    ),
    "qwen2": (lambda: with_added(byte_level()), {"tokenizer_class": "Qwen2TokenizerFast"}),
    "roberta": (lambda: with_added(byte_level(specials=("<s>", "<pad>", "</s>"))), {"tokenizer_class": "RobertaTokenizer"}),
    "t5": (unigram, {"tokenizer_class": "T5TokenizerFast", "extra_ids": 8}),
    "wordlevel": (wordlevel, WHOLE),
    "wordpiece": (wordpiece, WHOLE | {"unk_token": "[UNK]"}),
    "wordpiece-bert": (wordpiece, {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False}),
}  # fmt: skip


RULES = "".join(f"{0xFEE0 + code:X}\t{code:X}\n" for code in range(0x21, 0x7F)) + "3000\t20\nFB01\t66 69\nBD\t31 2F 32\n"  # of full width …
PLAIN, MAPPED = {"normalization_rule_name": "identity"}, {"normalization_rule_tsv": "rules.tsv"}  # written there, a small one
BYTES = PLAIN | {"byte_fallback": True, "vocab_size": 350}
NAMES = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
T5 = {"tokenizer_class": "T5Tokenizer"}
PIECES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "spiece-t5", "spiece.model", T5 | NAMES | {"extra_ids": 0, "additional_special_tokens": [], "do_lower_case": True},
        MAPPED | {"control_symbols": ["[PAD]", "[CLS]", "[SEP]"]},
    ),
    ("spiece-t5-extra", "spiece.model", T5, PLAIN | {"user_defined_symbols": ["<tok>"]}),
    ("spiece-albert", "spiece.model", {"tokenizer_class": "AlbertTokenizer"}, MAPPED | {"control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}),
    (
        "spiece-reformer", "spiece.model", {"tokenizer_class": "ReformerTokenizer"},
        MAPPED | {"model_type": "bpe", "user_defined_symbols": ["Rapunzel"]},
    ),
    ("spiece-xlm-roberta", "sentencepiece.bpe.model", {"tokenizer_class": "XLMRobertaTokenizerFast"}, MAPPED),
    (
        "spiece-deberta", "spm.model", {"tokenizer_class": "DebertaV2Tokenizer", "split_by_punct": True},
        PLAIN | {"control_symbols": ["[CLS]", "[SEP]"]},
    ),
    ("spiece-llama", "tokenizer.model", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}, BYTES | {"model_type": "bpe"}),
]  # fmt: skip


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def two_files(folder: Path, made: Tokenizer, merges_end: str = "\n") -> None:
    """vocab.json and merges.txt, as older folders have them."""
    model = json.loads(made.to_str())["model"]
    write_json(folder / "vocab.json", model["vocab"])
    lines = ["#version: 0.2", *(" ".join(merge) for merge in model["merges"])]
    (folder / "merges.txt").write_bytes((merges_end.join(lines) + merges_end).encode())


def made_folder(name: str, config: dict[str, Any] | None) -> Path:
    folder = HERE / name
    folder.mkdir(parents=True)
    write_json(folder / "config.json", CONFIG)
    if config is not None:
        write_json(folder / "tokenizer_config.json", config)
    return folder


def main() -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    for name, (make, config) in FOLDERS.items():
        write_json(made_folder(name, config) / "tokenizer.json", json.loads(make().to_str()))
    made = byte_level()
    folder = made_folder("two-files-bos-eos", GPT2 | {"add_bos_token": True, "add_eos_token": True, "eos_token": "</s>"})
    two_files(folder, made, "\r\n")
    write_json(folder / "added_tokens.json", {})
    folder = made_folder("two-files-added", {"model_max_length": 1024})
    two_files(folder, made)
    size = made.get_vocab_size()
    write_json(folder / "added_tokens.json", {"<|user|>": size, "Rapunzel": size + 1, "<s>": size + 2})
    mask = {"content": "[MASK]", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    write_json(folder / "special_tokens_map.json", {"bos_token": "<s>", "mask_token": mask, "additional_special_tokens": ["<|user|>"]})
    folder = made_folder("vocab-txt", {"tokenizer_class": "BertTokenizer"})
    words = sorted(wordpiece().get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(word for word, _ in words) + "\n", encoding="utf-8")
    for name, file, config, how in PIECES:
        pieces(made_folder(name, config), file, **how)
    found = {folder.name: ids_by_transformers(folder) for folder in sorted(HERE.iterdir())}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(ids, separators=(',', ':'))}" for name, ids in found.items())
    (HERE / "expected.json").write_text(f'{{"texts": {json.dumps(TEXTS)},\n"ids": {{\n{lines}\n}}}}\n')


def ids_by_transformers(folder: Path) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    print(folder.name, type(tokenizer).__name__, len(tokenizer), "different" if len({*map(tuple, ids)}) > 10 else "SAME")
    return ids


if __name__ == "__main__":
    main()
