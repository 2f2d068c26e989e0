"""A GPT-2 checkpoint's config.json, checked field by field."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from txexplain.bounded import TooMuch, load_json
from txexplain.errors import CheckpointError, reason
from txexplain.files import is_there, read_whole
from txexplain.text import shown

ACTIVATION_NAMES = (
    "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu", "gelu_python", "gelu_10", "quick_gelu",
    "relu", "silu", "swish", "tanh",
)  # fmt: skip
ARCHITECTURES = ("GPT2LMHeadModel", "GPT2Model", "GPT2DoubleHeadsModel")  # those whose language model is GPT-2's own
OTHER_HEADS = ("GPT2ForSequenceClassification", "GPT2ForTokenClassification", "GPT2ForQuestionAnswering")  # those that have its body
# transformers' names for all models; as there, they count where a field is given under both its names.
ALIASES = {
    "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "max_position_embeddings": "n_positions",
}  # fmt: skip
GENERATION = "generation_config.json"
DRAWN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
LARGEST = 1 << 24  # no size in a GPT-2's config comes near it; a lie about one must not ask for all memory
MOST_TOKENS = 1 << 20  # of a vocabulary: the largest of any model has a quarter of them, and each key sorts them all
MOST_BLOCKS = 1_000  # the deepest GPT-2 has 48
MOST_HEADS = 1 << 16  # of all blocks; GPT-3 has 9,216
LONGEST_FILE = 10_000_000  # bytes
# A folder's tokenizer, where one of these is there; without any, a GPT-2's is taken for GPT-2's own.
TOKENIZER_FILES = (
    "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "spm.model",
    "tekken.json", "tiktoken.model", "encoder.json", "vocab.bpe", "bpe.codes",
)  # fmt: skip
MOST_VALUES = 100_000  # of a JSON file: an index names each weight once, and the deepest model has 16,000


@dataclass(frozen=True)
class GPT2Config:
    """The sizes and options of a GPT-2, under Hugging Face's names; defaults are GPT-2 small's.

    `n_inner` is resolved: 4 × n_embd where config.json says null. `eos_token_ids` are its eos_token_id, which may be one, several or none.
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int = 3072
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    tie_word_embeddings: bool = True
    bos_token_id: int = 50256
    eos_token_ids: tuple[int, ...] = (50256,)

    @property
    def head_dim(self) -> int:
        """dh: how many of the d numbers each head works on."""
        return self.n_embd // self.n_head

    @classmethod
    def from_file(cls, path: Path) -> GPT2Config:
        """Read and check a config.json. Raises CheckpointError, which names the file."""
        fields = read_json(path, "a checkpoint needs its config.json beside its weights")
        return cls.from_dict(fields, source=str(path))

    @classmethod
    def from_dict(cls, fields: Any, source: str) -> GPT2Config:
        """Check the fields of a config. Raises CheckpointError, which names the source and the field."""
        if not isinstance(fields, dict):
            raise CheckpointError(f"{source} must hold a JSON object, but holds {as_json(fields)}.")
        require_gpt2(fields, source)
        fields = fields | {ALIASES[name]: value for name, value in fields.items() if name in ALIASES}
        get = Fields(fields, source)
        n_embd = get.size("n_embd", cls.n_embd)
        vocab_size = get.size("vocab_size", cls.vocab_size, MOST_TOKENS)
        config = cls(
            vocab_size=vocab_size,
            # n_ctx is the same size under its first name; transformers, too, goes by n_positions where they differ.
            n_positions=get.size("n_positions" if "n_positions" in fields else "n_ctx", cls.n_positions),
            n_embd=n_embd,
            n_layer=get.size("n_layer", cls.n_layer, MOST_BLOCKS),
            n_head=get.size("n_head", cls.n_head),
            n_inner=4 * n_embd if fields.get("n_inner") is None else get.size("n_inner", cls.n_inner, 4 * LARGEST),
            activation_function=get.choice("activation_function", cls.activation_function, ACTIVATION_NAMES),
            layer_norm_epsilon=get.fraction("layer_norm_epsilon", cls.layer_norm_epsilon),
            scale_attn_weights=get.flag("scale_attn_weights", cls.scale_attn_weights),
            scale_attn_by_inverse_layer_idx=get.flag("scale_attn_by_inverse_layer_idx", cls.scale_attn_by_inverse_layer_idx),
            reorder_and_upcast_attn=get.flag("reorder_and_upcast_attn", cls.reorder_and_upcast_attn),
            tie_word_embeddings=get.flag("tie_word_embeddings", cls.tie_word_embeddings),
            bos_token_id=get.start(vocab_size),
            eos_token_ids=get.ends(vocab_size),
        )
        if config.n_embd % config.n_head:
            raise CheckpointError(f"{source}: n_head = {config.n_head} doesn't divide n_embd = {config.n_embd} into heads of equal size.")
        if (heads := config.n_layer * config.n_head) > MOST_HEADS:
            raise CheckpointError(
                f"{source}: n_layer = {config.n_layer} blocks of n_head = {config.n_head} have {heads:,} heads; "
                f"txexplain opens models of at most {MOST_HEADS:,}."
            )
        return config

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON-able fields under Hugging Face's names; `from_dict` reads them back."""
        fields = asdict(self)
        ends = list(fields.pop("eos_token_ids"))
        end = ends[0] if len(ends) == 1 else ends or None
        return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **fields, "eos_token_id": end}


@dataclass(frozen=True)
class Fields:
    """Typed access to a config's fields; each method raises CheckpointError, which names the source and the field."""

    fields: Mapping[str, Any]
    source: str

    def wrong(self, name: str, wanted: str) -> CheckpointError:
        return CheckpointError(f"{self.source}: {name} must be {wanted}, but is {as_json(self.fields[name])}.")

    def size(self, name: str, default: int, largest: int = LARGEST) -> int:
        value = self.fields.get(name, default)
        if type(value) is not int or not 1 <= value <= largest:
            raise self.wrong(name, f"a whole number from 1 to {largest}")
        return value

    def tokens(self, name: str, default: int | None = None) -> list[int]:
        """The token ids that a field names: one, a list of them, or null."""
        value = self.fields.get(name, default)
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(each) is int and 0 <= each <= LARGEST for each in ids):
            raise self.wrong(name, "a token id")
        return ids

    def start(self, vocab_size: int) -> int:
        """The token that starts a text: bos_token_id, else an end of one, else GPT-2's.

        Where the vocabulary ends before that id, which then is a default left over from GPT-2, its last token stands in.
        """
        first, *_ = (*self.tokens("bos_token_id"), *self.tokens("eos_token_id"), GPT2Config.bos_token_id)
        return min(first, vocab_size - 1)

    def ends(self, vocab_size: int) -> tuple[int, ...]:
        """The tokens that end a text. A default left over from GPT-2 beyond the vocabulary is none."""
        return tuple(each for each in self.tokens("eos_token_id", GPT2Config.bos_token_id) if each < vocab_size)

    def flag(self, name: str, default: bool) -> bool:
        value = self.fields.get(name, default)
        if type(value) is not bool:
            raise self.wrong(name, "true or false")
        return value

    def fraction(self, name: str, default: float) -> float:
        value = self.fields.get(name, default)
        if type(value) not in (int, float) or not 0 < value <= 1:  # NaN isn't, either
            raise self.wrong(name, "a number above 0, at most 1")
        return float(value)

    def choice(self, name: str, default: str, known: tuple[str, ...]) -> str:
        value = self.fields.get(name, default)
        if value not in known:
            raise self.wrong(name, f"one of {', '.join(known)}")
        return str(value)


def as_generated(config: GPT2Config, folder: Path) -> tuple[GPT2Config, tuple[str, ...]]:
    """A config with the ends of a text that the folder's generation_config.json names, as transformers generates; and what else it asks
    for, which is taken only where a reader says so."""
    path = folder / GENERATION
    if not is_there(path):
        return config, ()
    try:
        fields = read_json(path, "it says how transformers draws")
        if not isinstance(fields, dict):
            raise CheckpointError(f"{path} isn't a JSON object.")
        if fields.get("eos_token_id") is not None:
            config = replace(config, eos_token_ids=Fields(fields, str(path)).ends(config.vocab_size))
    except CheckpointError as error:
        return config, (f"{str(error).removesuffix('.')}, so the ends of a text are config.json's.",)
    asked = [f"{name} {as_json(fields[name])}" for name in DRAWN if fields.get(name) not in (None, DRAWN[name])]
    if not asked or fields.get("do_sample") is not True:
        return config, ()
    return config, (
        f"Its {GENERATION} draws with {', '.join(asked)}; here nothing of that is taken unasked: say --temperature, --top-k, --top-p.",
    )


def require_gpt2(fields: Mapping[str, Any], source: str) -> None:
    """Raise CheckpointError unless the config says, or at least doesn't deny, that it is a plain GPT-2's."""
    kind, architectures = fields.get("model_type"), fields.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise CheckpointError(f"{source}: architectures must be a list of names, but is {as_json(architectures)}.")
    if kind not in (None, "gpt2"):
        raise CheckpointError(f"{source} is the config of a model of type {as_json(kind)}; txexplain opens GPT-2 checkpoints only.")
    if architectures and not set(architectures) & {*ARCHITECTURES, *OTHER_HEADS}:
        raise CheckpointError(
            f"{source} has the architecture {shown(architectures[0], 40)}; txexplain opens GPT-2 language models only, "
            f"which are {', '.join(ARCHITECTURES)}."
        )
    named = {ALIASES.get(name, name) for name in fields}
    if kind is None and not architectures and not {"n_embd", "n_layer", "n_head"} <= named:
        raise CheckpointError(f"{source} isn't the config of a GPT-2: it has no model_type, nor n_embd, n_layer and n_head.")
    if fields.get("quantization_config"):
        raise CheckpointError(
            f"{source}: its weights are quantized (quantization_config); dequantize them (transformers: model.dequantize()), save that "
            "and open it."
        )
    if fields.get("add_cross_attention") not in (None, False):
        raise CheckpointError(f"{source}: add_cross_attention is on, which a GPT-2 language model doesn't have; txexplain can't open it.")


def read_json(path: Path, remedy: str) -> Any:
    """What a JSON file of a checkpoint holds. Raises CheckpointError: one sentence with the file's name."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path} isn't a file; {remedy}.")
        if status.st_size > LONGEST_FILE:
            raise CheckpointError(f"{path} has {status.st_size} bytes, too many for a checkpoint's JSON file; fetch it again.")
        text = read_whole(path, LONGEST_FILE)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read ({reason(error)}); {remedy}.") from None
    try:
        return load_json(text, MOST_VALUES)
    except TooMuch as error:
        raise CheckpointError(f"{path} isn't a checkpoint's: {reason(error)}; fetch it again.") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} isn't valid JSON; fetch it again.") from None


def as_json(value: Any) -> str:
    """A value of a JSON file, short; of a list or an object only that it is one."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return shown(json.dumps(value), 40)
