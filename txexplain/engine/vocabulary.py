"""The tokenizer that a model's folder brings, with the ids that transformers' AutoTokenizer gives for that folder.

Which files count, which settings hold and in which order tokens are added is transformers' (5.24): for a GPT-2 it takes no more than the
vocabulary, the merges, the added tokens and the post-processor of a tokenizer.json, unless a class is named that takes all of it. A text
then goes through the `tokenizers` library, or where the vocabulary is GPT-2's own through tiktoken, with the same ids. What can't be
honoured opens as ids only, with each token's text where a vocabulary tells it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txexplain.bounded import load_json
from txexplain.engine.added_tokens import FORMERLY, Added, Json, settings_of, tokens_of
from txexplain.engine.config import TOKENIZER_FILES
from txexplain.engine.cuts import may_be_cut
from txexplain.engine.harmless import Unfit, clipped, grown, kind_of, parts_of, require_added, require_harmless
from txexplain.engine.library import BYTE_TO_CHARACTER, LibraryTokenizer, Spelling
from txexplain.engine.recipes import BERT, GPT2, LLAMA, QWEN2, RECIPES, REFORMER, ROBERTA, T5, WHOLE, extra_ids
from txexplain.engine.sentencepiece import Pieces, pieces_of
from txexplain.engine.tokenizer import GPT2_VOCABULARY, LONGEST_FILE, LONGEST_TOKEN, Gpt2, Tokenizer, gpt2_with
from txexplain.errors import reason
from txexplain.files import is_there, read_whole

if TYPE_CHECKING:
    import tokenizers

MOST_VALUES = 1_000_000  # of a JSON file: three for each token, of which GPT-2 has 50,257
MERGES_SHA256 = "04e3597d7996f292ca9b8b7285ca4d58a6ae171ac47d73fc7140ceb0c7a6bbc0"  # of GPT-2's, a line each
PIECES = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "spm.model")
FEW = 500  # added tokens that are looked for in a text beside GPT-2's own
# Other names of classes that have a recipe; a class that transformers doesn't know takes a tokenizer.json as it is.
SAME = (
    dict.fromkeys(("PreTrainedTokenizer", "PythonBackend"), WHOLE)
    | {"CodeGenTokenizer": GPT2, "Phi3Tokenizer": LLAMA}
    | {f"{name}Tokenizer": BERT for name in ("DistilBert", "Electra", "LayoutLM", "Lxmert", "MobileBert", "SqueezeBert")}
    | {f"{name}Tokenizer": ROBERTA for name in ("Bart", "LED", "Longformer", "Mvp")}
)
# Classes that aren't built here: of the tokenizers library, and of Python or sentencepiece, which no tokenizer.json can stand for.
OTHERS = """
    Auto Barthez Basic BigBird Blenderbot CLIP Camembert CodeLlama Cohere ConvBert DPRContextEncoder DPRQuestionEncoder DPRReader Deberta
    Esmc FNet Funnel Gemma Herbert Lasr LayoutLMv2 LayoutLMv3 LayoutXLM Luke MBart MBart50 MLuke MPNet MarkupLM Nllb Nougat OpenAIGPT
    Parakeet Pegasus Qwen3_5 RemBert RoFormer SeamlessM4T Siglip2 Splinter Tipsv2 Udop VideoPrism Whisper Wordpiece XGLM XLNet
"""
OF_PYTHON = """
    Bartpho BertGeneration BertJapanese Bertweet BioGpt BlenderbotSmall ByT5 CTRL Canine Character Clvp Cpm CpmAnt Dia Esm FSMT
    FastSpeech2Conformer Flaubert GPTNeoXJapanese GPTSw3 M2M100 Marian Mecab Mgpstr MyT5 PLBart Perceiver Phobert Pop2Piano ProphetNet Rag
    RoCBert Siglip Speech2Text SpeechT5 Tapas Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC XLM
"""
BY_MODEL = {"gpt2": GPT2, "bert": BERT, "llama": LLAMA}
CONVERTED = (
    "in Python, transformers.AutoTokenizer.from_pretrained({folder!r}).backend_tokenizer.save({file!r}) makes a tokenizer.json of it, "
    'which opens with {{"tokenizer_class": "TokenizersBackend"}} in tokenizer_config.json'
)


def open_folder(folder: Path, vocab_size: int, name: str = "") -> Tokenizer:
    """The tokenizer of a folder for a model of vocab_size ids.

    Nothing in a folder keeps its model from opening: what can't be read gives ids only, which say why once a text is typed.
    Raises TokenizerError where GPT-2's own ranks are missing or damaged.
    """
    name = name or folder.name
    files = Files(folder)
    try:
        if any(map(files.has, TOKENIZER_FILES)):
            plan = Plan(files)
            found = plan.tokenizer(name, vocab_size)
            found.made_of = plan.told(found)
            return found
        declared = files.declared()
    except Unfit as why:
        return Tokenizer.ids_only(name, vocab_size, f"{files.said} can't be used: {why}", texts_of(folder))
    if vocab_size != GPT2_VOCABULARY or declared not in (None, GPT2):
        return Tokenizer.ids_only(name, vocab_size)
    assumed = gpt2_with(name, vocab_size, note=f"{name} brings no tokenizer, so GPT-2's tokens are assumed; --tokenizer names another")
    assumed.made_of = "GPT-2's own, assumed: the folder brings none"
    return assumed


@dataclass
class Files:
    """A folder's files, read when they are asked for; `said` is the one that was asked for last."""

    folder: Path
    said: str = ""

    def has(self, name: str) -> bool:
        return is_there(self.folder / name)

    def read(self, name: str) -> bytes:
        """Raises Unfit."""
        self.said = str(self.folder / name)
        try:
            return read_whole(self.folder / name, LONGEST_FILE)
        except (OSError, ValueError) as error:
            raise Unfit(f"it can't be read ({reason(error)}); fetch it again") from None

    def json(self, name: str) -> Json:
        """What a JSON file holds, nothing where it isn't there. Raises Unfit."""
        if not self.has(name):
            return {}
        try:
            document = load_json(self.read(name), MOST_VALUES)
        except (ValueError, RecursionError) as error:
            raise Unfit(f"it can't be read as JSON ({reason(error)}); fetch it again") from None
        if not isinstance(document, dict):
            raise Unfit("it isn't a JSON object")
        return document

    def lines(self, name: str) -> list[str]:
        """The lines of a text. Raises Unfit."""
        try:
            text = self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unfit(f"it can't be read ({reason(error)}); fetch it again") from None
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        return lines if lines[-1] else lines[:-1]

    def declared(self) -> str | None:
        """The class of the tokenizer that tokenizer_config.json names, or else config.json. Raises Unfit."""
        for name in ("tokenizer_config.json", "config.json"):
            declared = self.json(name).get("tokenizer_class")
            if declared is not None and not isinstance(declared, str):
                raise Unfit(f"its tokenizer_class is {clipped(declared)}")
            if declared:
                return declared.removesuffix("Fast")
        return None


class Plan:
    """What transformers makes of a folder's files. Each method raises Unfit where they can't be honoured."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.whole = files.has("tokenizer.json")
        self.kind = self.class_of()
        self.recipe = RECIPES[self.kind]
        config = files.json("tokenizer_config.json")
        if config.get("fast_tokenizer_files") not in (None, [], ["tokenizer.json"]):
            raise Unfit("it has a tokenizer.json for each version of transformers (fast_tokenizer_files)")
        self.settings = settings_of(config, files.json("special_tokens_map.json"), whole=self.whole)
        older = files.json("added_tokens.json")
        self.document = files.json("tokenizer.json")
        if self.whole and not isinstance(self.document.get("model"), dict):
            raise Unfit("it has no model")
        self.pieces = self.sentencepiece()
        self.tokens = tokens_of(self.settings, self.usual(), self.others(), older, self.document.get("added_tokens") or [])

    def usual(self) -> dict[str, str]:
        """The named tokens that a class has by itself, or by what a tokenizer.json fills texts up with."""
        padding = self.document.get("padding")
        filler = padding.get("pad_token") if isinstance(padding, dict) and self.kind in (WHOLE, LLAMA, REFORMER) else None
        return {**self.recipe.named, **({"pad_token": filler} if isinstance(filler, str) else {})}

    def others(self) -> Any:
        """The tokens without a name that count where the settings have none: those of the pieces, those that a class has by itself."""
        found = self.settings.get(FORMERLY) or []
        if self.pieces is not None:
            found = [
                {"__type": "AddedToken", "content": token, "normalized": False, "special": special}
                for token, special in self.pieces.added.items()
            ]
        if self.kind != T5 or not isinstance(found, list):
            return found
        extra = extra_ids(self)
        there = [token for token in found if "<extra_id_" in str(token)]
        if there and extra and len(there) != len(extra):
            raise Unfit(f"it has {len(there)} tokens like <extra_id_0>, but its extra_ids is {len(extra)}")
        return found if there else [*found, *extra]

    def sentencepiece(self) -> Pieces | None:
        """The vocabulary that counts where there is no tokenizer.json."""
        if self.whole:
            return None
        if first := next((name for name in ("tekken.json", "tiktoken.model") if self.files.has(name)), None):
            raise Unfit(f"transformers makes a tokenizer of its {first}, which isn't read here")
        name = "tokenizer.model" if self.files.has("tokenizer.model") else self.recipe.pieces
        if name == "tokenizer.model" and not self.recipe.pieces:
            raise Unfit(f"a {self.kind} of its tokenizer.model is made by transformers in a way of its own; {self.remedy()}")
        if not name:
            return None
        self.require("", name)
        return pieces_of(self.files.read(name))

    def class_of(self) -> str:
        declared = self.files.declared()
        usual = WHOLE if self.whole else GPT2
        kind = declared or BY_MODEL.get(str(self.files.json("config.json").get("model_type")), usual)
        kind = SAME.get(kind, kind)
        if kind == LLAMA and self.whole and b'"ByteLevel"' in self.files.read("tokenizer.json"):
            return WHOLE
        name = kind.removesuffix("Tokenizer")
        if name in OTHERS.split():
            raise Unfit(f"its tokenizer is a {kind}, which transformers builds in a way of its own; {self.remedy()}")
        if name in OF_PYTHON.split() or kind in ("MistralCommonBackend", "SentencePieceBackend"):
            raise Unfit(
                f"its tokenizer is a {kind}, which transformers has in Python or in the sentencepiece library, and nothing else reads"
            )
        return kind if kind in RECIPES else WHOLE

    def told(self, found: Tokenizer) -> str:
        """What a tokenizer of this plan is, and of which files."""
        files = [name for name in ("tokenizer.json",) if self.whole] or [name for name in TOKENIZER_FILES if self.files.has(name)]
        what = "GPT-2's own" if isinstance(found, Gpt2) else f"as {files[0]} says" if self.kind == WHOLE else f"transformers' {self.kind}"
        added = f", {len(found.typed):,} added token{'' if len(found.typed) == 1 else 's'}" if found.typed else ""
        return f"{what}, of {' and '.join(files)}{added}"

    def remedy(self) -> str:
        folder = str(self.files.folder)
        return CONVERTED.format(folder=folder, file=f"{folder}/tokenizer.json")

    def tokenizer(self, name: str, vocab_size: int) -> Tokenizer:
        document = self.recipe.document(self)
        require_harmless(document)
        library = self.library(document)
        added = library.get_added_tokens_decoder()
        typed = {token.content: id for id, token in added.items() if not (token.special and library.encode_special_tokens)}
        simple = len(added) <= FEW and not any(token.lstrip or token.rstrip or token.single_word for token in added.values())
        if simple and is_gpt2(document, {token.content for token in added.values()}) and not library.num_special_tokens_to_add(False):
            return gpt2_with(name, vocab_size, {id: token.content for id, token in added.items()}, typed)
        model = document["model"]
        pairs = pairs_of(model["merges"]) if kind_of(model) == "BPE" else []
        cut = len(added) <= FEW and may_be_cut(document, normalized=any(token.normalized for token in added.values()))
        again = partial(without_added, document, library)
        return LibraryTokenizer(name, vocab_size, library, spelling_of(document), pairs, typed, again, cut)

    # What recipes ask

    def require(self, model: str, *instead: str) -> None:
        """Raise Unfit unless a tokenizer.json has this kind of model, or where there is none, the other files are there."""
        if self.whole and (kind := kind_of(self.document["model"])) != model:
            remedy = f'write {{"tokenizer_class": "{WHOLE}"}} into a tokenizer_config.json beside it to have it taken as it is'
            raise Unfit(f"its model is {clipped(kind)[1:-1]}, but transformers makes a {self.kind} of it, which wants {model}; {remedy}")
        if not self.whole and (missing := [name for name in instead or ("tokenizer.json",) if not self.files.has(name)]):
            self.files.said = str(self.files.folder)
            raise Unfit(f"a {self.kind} wants {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'}n't there")

    def flag(self, name: str, usual: bool) -> bool:
        value = self.settings.get(name)
        if value is not None and type(value) is not bool:
            raise Unfit(f"its {name} is {clipped(value)}")
        return usual if value is None else value

    def named(self, name: str) -> str:
        """The text of a token with a name."""
        return str(self.tokens.named.get(name))

    # The library's tokenizer

    def library(self, document: Json) -> tokenizers.Tokenizer:
        library = made(document)
        from tokenizers import AddedToken

        added = self.tokens.to_add(token.content for token in library.get_added_tokens_decoder().values())
        if self.kind in (QWEN2, REFORMER):  # which add those with a name and the others once more, as special ones
            again = (*self.tokens.named.values(), *self.tokens.others)
            kept = [vars(token) if self.kind == REFORMER and isinstance(token, Added) else {"content": str(token)} for token in again]
            added += [Added(**{**token, "special": True}) for token in kept]
        require_added([token.content for token in added], grown(parts_of(document, "normalizer")))
        ask(lambda: library.add_tokens([AddedToken(**vars(token)) for token in added]))
        library.encode_special_tokens = self.flag("split_special_tokens", False)
        self.surround(library)
        return library

    def surround(self, library: tokenizers.Tokenizer) -> None:
        """Have the library put around a text what the settings say: its class's own, or the tokens for its start and end."""
        from tokenizers import processors

        if any(self.recipe.around):
            first, last = (self.named(name) if name else "" for name in self.recipe.around)
        elif library.post_processor is None:
            named = self.tokens.named
            first = str(named.get("bos_token", "")) if self.settings.get("add_bos_token") else ""
            last = str(named.get("eos_token", "")) if self.settings.get("add_eos_token") else ""
        else:
            return
        single = " ".join(f"{part}:0" for part in (first, "$A", last) if part)
        around = [(token, library.token_to_id(token)) for token in (first, last) if token]
        library.post_processor = ask(lambda: processors.TemplateProcessing(single=single, special_tokens=around))


def without_added(document: Json, library: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The same where added tokens are ordinary text."""
    plain = made(document | {"added_tokens": []})
    plain.post_processor = library.post_processor
    return plain


def made(document: Json) -> tokenizers.Tokenizer:
    """The library's tokenizer of a document. Raises Unfit."""
    try:
        from tokenizers import Tokenizer as Library
    except ImportError as error:
        raise Unfit(f"the tokenizers library isn't there ({reason(error)})") from None
    return ask(lambda: Library.from_str(json.dumps(document)))


def ask(question: Any) -> Any:
    """What the library answers. Raises Unfit, also where it panics, which is a BaseException that can't be imported."""
    try:
        return question()
    except BaseException as error:
        if not isinstance(error, Exception):
            if type(error).__name__ != "PanicException":
                raise
            raise Unfit("the tokenizers library failed on it") from None
        raise Unfit(f"the tokenizers library refuses it: {reason(error)}") from None


def pairs_of(merges: Sequence[Any]) -> list[tuple[str, str]]:
    """Merges as pairs; they were found to be such."""
    return [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in merges]


def is_gpt2(document: Json, added: set[str]) -> bool:
    """Whether a document says exactly what GPT-2's own tokenizer does, but for its added tokens."""
    model, level, decoder = document["model"], document.get("pre_tokenizer") or {}, document.get("decoder") or {}
    plain = not any(model.get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"))
    split = level.get("type") == "ByteLevel" and not level.get("add_prefix_space", True) and level.get("use_regex", True)
    if not (plain and split and decoder.get("type") == "ByteLevel" and not parts_of(document, "normalizer") and kind_of(model) == "BPE"):
        return False
    pairs = pairs_of(model["merges"])
    if hashlib.sha256("\n".join(map(" ".join, pairs)).encode("utf-8", "replace")).hexdigest() != MERGES_SHA256:
        return False
    names = [*BYTE_TO_CHARACTER.values(), *map("".join, pairs)]
    vocab = model["vocab"]
    return all(vocab.get(name) == id for id, name in enumerate(names)) and vocab.keys() - set(names) <= added


def spelling_of(document: Json) -> Spelling:
    decoders, splits = parts_of(document, "decoder"), parts_of(document, "pre_tokenizer")
    return Spelling(decoders, not decoders and any(each["type"] == "ByteLevel" for each in splits))


# What each id stands for, where no text can be read


def texts_of(folder: Path) -> dict[int, bytes]:
    """The text of each id by the first vocabulary in a folder that can be read."""
    files = Files(folder)
    for read in (whole_vocabulary, dict_vocabulary, listed_vocabulary, piece_vocabulary):
        try:
            if spelled := {id: token for id, token in read(files).items() if len(token) <= LONGEST_TOKEN}:
                spelling = guessed(spelled.values())
                return {id: spelling.bytes_of(token) for id, token in spelled.items()}
        except Unfit:
            continue
    return {}


def whole_vocabulary(files: Files) -> dict[int, str]:
    document = files.json("tokenizer.json")
    model, added = document.get("model"), document.get("added_tokens")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, list):
        vocab = {each[0]: id for id, each in enumerate(vocab) if isinstance(each, list) and each and isinstance(each[0], str)}
    entries = [each for each in added if isinstance(each, dict)] if isinstance(added, list) else []
    return told(vocab) | told({each.get("content"): each.get("id") for each in entries if isinstance(each.get("content"), str)})


def dict_vocabulary(files: Files) -> dict[int, str]:
    return told(files.json("vocab.json"))


def listed_vocabulary(files: Files) -> dict[int, str]:
    return dict(enumerate(line.rstrip() for line in files.lines("vocab.txt")))


def piece_vocabulary(files: Files) -> dict[int, str]:
    name = next((name for name in PIECES if files.has(name)), PIECES[0])
    return {id: piece for id, (piece, _) in enumerate(pieces_of(files.read(name)).scores)}


def told(vocab: Any) -> dict[int, str]:
    return {id: token for token, id in vocab.items() if type(id) is int} if isinstance(vocab, dict) else {}


def guessed(tokens: Collection[str]) -> Spelling:
    """How a vocabulary's tokens are spelled, by the sign that it has for a space, and for a byte."""
    signs = {token[0] for token in tokens if token}
    if "Ġ" in signs:
        return Spelling([], byte_level=True)
    bytes_too = [{"type": "ByteFallback"}] if "<0x41>" in tokens else []
    return Spelling([*([{"type": "Metaspace"}] if "▁" in signs else []), *bytes_too], byte_level=False)
