"""Which tokens a folder's files add to its vocabulary, in transformers' own order, and with which flags.

There are four places: added_tokens_decoder of tokenizer_config.json, which counts alone where it is there; else special_tokens_map.json,
added_tokens.json and the added_tokens of tokenizer.json. Beside them each token that has a name (bos_token …) is added if it isn't there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from txexplain.engine.harmless import Unfit, clipped, require_bounded, require_ids

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
OTHERS, FORMERLY, OWN = "extra_special_tokens", "additional_special_tokens", "model_specific_special_tokens"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

Json = dict[str, Any]


@dataclass(frozen=True)
class Added:
    """A token that is looked for in a text before all others. Without `normalized` it is looked for in the text as it was typed."""

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = False

    def __str__(self) -> str:
        return self.content


Token = Added | str  # as transformers has them: a name alone becomes a special token


@dataclass(frozen=True)
class Tokens:
    """What is added: tokens with an id of their own in the order of these ids, those with a name, and others."""

    numbered: tuple[Added, ...]
    named: Mapping[str, Token]
    others: tuple[Token, ...]

    def to_add(self, there: Iterable[str]) -> list[Added]:
        """What is to be added to a vocabulary where the added tokens `there` are known already. Raises Unfit."""
        known = {*there, *map(str, self.numbered)}
        more = [token for token in (*self.named.values(), *self.others) if str(token) not in known]
        found: list[Token] = list(dict.fromkeys((*self.numbered, *more)))
        names = set(map(str, self.named.values()))
        added = [Added(token, special=True) if isinstance(token, str) else token for token in found]
        for token in added:
            require_bounded(token.content, token.lstrip, token.rstrip)
        return [Added(**{**vars(token), "special": token.special or token.content in names}) for token in added]


def settings_of(config: Json, specials: Json, *, whole: bool) -> Json:
    """The settings that hold: tokenizer_config.json's, and special_tokens_map.json's where no added_tokens_decoder is there.

    whole: whether there is a tokenizer.json, beside which add_bos_token and add_eos_token don't count. Raises Unfit.
    """
    skipped = {"tokenizer_class", "init_inputs"} | ({"add_bos_token", "add_eos_token"} if whole else set())
    settings = {key: value for key, value in config.items() if key not in skipped}
    if FORMERLY in settings and not settings.get(OTHERS):
        settings[OTHERS] = settings.pop(FORMERLY)
    own = {key: settings.pop(key) for key, value in list(settings.items()) if is_own(key) and isinstance(value, str)}
    own |= settings.pop(OTHERS) if isinstance(settings.get(OTHERS), dict) else {}
    settings |= {OWN: own} if own else {}
    if "added_tokens_decoder" not in settings:
        for key, value in specials.items():
            if key == OTHERS and isinstance(value, list):
                before = settings.get(key) or []
                settings[key] = [*before, *(each for each in value if each not in before)]
            elif isinstance(value, dict) and key != OTHERS:
                settings[key] = {**value, "__type": "AddedToken", "special": True}
            else:
                settings[key] = value
    return settings


def tokens_of(settings: Json, usual: Mapping[str, str], without: Any, older: Json, listed: Any) -> Tokens:
    """The tokens that these settings add.

    usual: the named tokens that a class has by itself; without: the others where the settings name none; older: added_tokens.json;
    listed: a tokenizer.json's added_tokens. Raises Unfit.
    """
    others, own = (settings[OTHERS] or [] if OTHERS in settings else without), settings.get(OWN) or {}
    if not isinstance(own, dict):
        raise Unfit(f"its {OWN} are {clipped(own)}")
    named = {key: settings.get(key, usual.get(key)) for key in NAMED}
    named |= {key: value for key, value in settings.items() if is_own(key) and is_token(value)} | own
    if isinstance(others, dict):
        named, others = named | others, []
    if not isinstance(others, list):
        raise Unfit(f"its {OTHERS} are {clipped(others)}")
    names = {key: as_token(value) for key, value in named.items() if value is not None}
    rest = tuple(map(as_token, others))
    said = [as_token(settings[key]) for key in NAMED if settings.get(key)]
    specials = {str(token) for token in (*said, *(rest if OTHERS in settings else ()))}
    numbered = numbered_tokens(settings, older, listed, specials)
    known = {token.content: token for token in numbered.values()}
    return Tokens(
        tuple(token for _, token in sorted(numbered.items())),
        {key: known.get(str(token), token) if key in NAMED and key in settings else token for key, token in names.items()},
        rest,
    )


def numbered_tokens(settings: Json, older: Json, listed: Any, specials: set[str]) -> dict[int, Added]:
    """The tokens that come with an id. Raises Unfit."""
    if "added_tokens_decoder" in settings:
        table = settings["added_tokens_decoder"]
        if not isinstance(table, dict):
            raise Unfit(f"its added_tokens_decoder is {clipped(table)}")
        return {number(id): added_of(token) for id, token in table.items()}
    require_ids(older, "added_tokens.json")
    found = {id: Added(text, normalized=text not in specials, special=text in specials) for text, id in older.items()}
    if not isinstance(listed, list):
        raise Unfit("its added_tokens are no list")
    for token in listed:
        if not isinstance(token, dict):
            raise Unfit(f"the added token {clipped(token)} is no object")
        found[number(token.get("id"))] = added_of({key: value for key, value in token.items() if key != "id"})
    return found


def number(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    raise Unfit(f"an added token has no id, or {clipped(value)} for one")


def is_own(key: str) -> bool:
    """Whether a setting is a token with a name that only this model's kind knows."""
    return key.endswith("_token") and key not in NAMED


def is_token(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and value.get("__type") == "AddedToken")


def as_token(value: Any) -> Token:
    """A token with its flags, or a name alone. Raises Unfit."""
    if isinstance(value, str):
        return value
    if not is_token(value):
        raise Unfit(f"the token {clipped(value)} is neither a string nor an AddedToken")
    return added_of(value)


def added_of(value: Any) -> Added:
    """A token with its flags. Raises Unfit."""
    fields = {key: each for key, each in value.items() if key != "__type"} if isinstance(value, dict) else {}
    content = fields.pop("content", None)
    if not isinstance(content, str):
        raise Unfit(f"the added token {clipped(value)} has no content")
    if wrong := next((key for key, each in fields.items() if key not in FLAGS or type(each) is not bool), None):
        raise Unfit(f"the added token {clipped(content)} has {clipped(wrong)}: {clipped(fields[wrong])}")
    return Added(content, **{"normalized": not fields.get("special", False), **fields})
