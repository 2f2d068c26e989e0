"""Mutations: blind ones of bytes, and those that know JSON, safetensors, TOML, lines of text, and what a folder may hold."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from random import Random
from typing import Any

from tests.fuzz.cases import Case, Item, Odd

ODD_BYTES = (
    b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n", b"\0", b"\xff", b"\xfe\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\x1b[31m", b"\xe2\x80\xae", b"\xe2\x80\xa8",
    b"\xc2\x85", b" ", b"\t", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\ud800", b",", b":", b"#", b"//", b"NaN", b"-", b"1e999", b"\xf0\x9f\x99\x82",
)  # fmt: skip
INTEGERS = (
    0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 255, 256, 1 << 15, 1 << 16, 1 << 24, (1 << 24) + 1, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 53) + 1, (1 << 63) - 1,
    1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), 10**30, 10**400,
)  # fmt: skip
TEXTS = (
    "", " ", "a", "gpt2", "x" * 300, "\n", "a\nb", "\t", "\x1b[31mred", "\x00", "\x7f", "\x9b", "\u202eabc", "\u2028", "\ud800", "\udc80", "é", "e\u0301", "日本",
    "🙂", "[red]", "%s {0}", "..", "/etc/passwd", "../x", "~", "-", "٣", "Ⅷ", "²", "null", "NaN", "__proto__", "\ufeff", "\ufffd",
)  # fmt: skip
NUMBERS = (
    "-0",
    "0.0",
    "1.5",
    "1e5",
    "1E-400",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "1.",
    ".5",
    "+1",
    "0x10",
    "1_000",
    "9" * 5000,
    "-" + "9" * 5000,
)
FLOATS = (math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e30, -1e30, 1e20, 1e10, 65504.0, 1e-45, 1e-38, -0.0, 0.0, 1.0, -1.0, 1e-7)
DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I16",
    "I8",
    "U64",
    "U32",
    "U16",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "F4",
    "C64",
    "f32",
    "float32",
    "",
    "F32 ",
)
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}


# Bytes


def mutated_bytes(rng: Random, data: bytes) -> bytes:
    """One blind change."""
    n = len(data)
    at = rng.randrange(n + 1)
    match rng.randrange(11):
        case 0:
            return data[:at]
        case 1 if n:
            at = rng.randrange(n)
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 2 if n:
            at = rng.randrange(n)
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 3:
            return data[:at] + rng.choice(ODD_BYTES) + data[at:]
        case 4:
            end = min(n, at + rng.choice((1, 2, 4, 8, 64)))
            return data[:at] + data[end:]
        case 5:
            end = min(n, at + rng.choice((1, 2, 8, 40, 200)))
            return data[:end] + data[at:]
        case 6:
            a, b, c = sorted(rng.randrange(n + 1) for _ in range(3))
            return data[:a] + data[b:c] + data[a:b] + data[c:]
        case 7:
            return data + rng.choice((b"\0", b"\n", b" ", b"x" * 9, data[:100]))
        case 8:
            found = list(re.finditer(rb"-?\d+", data[:100_000]))
            if found:
                spot = rng.choice(found)
                number = rng.choice((str(int(spot[0][:18]) + rng.choice((-1, 1, 4, -4))), str(rng.choice(INTEGERS)), rng.choice(NUMBERS)))
                return data[: spot.start()] + number.encode() + data[spot.end() :]
            return data
        case 9:
            return rng.choice(
                (b"", b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"), data.decode("latin-1").encode("utf-16"), b"\0" * n)
            )
        case _:
            return data[:at] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 3, 8)))) + data[at + 8 * rng.randrange(2) :]


# JSON. Objects are lists of pairs, so that a key may stand twice; Raw is written as it is.


class Pairs(list[tuple[str, Any]]):
    pass


@dataclass(frozen=True)
class Raw:
    text: str


def parse_json(data: bytes) -> Any:
    return json.loads(data, object_pairs_hook=Pairs)


def write_json(value: Any, *, ascii: bool = True) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, str):
        return encode_basestring_ascii(value) if ascii else encode_basestring(value)
    if type(value) is int:
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{write_json(key, ascii=ascii)}: {write_json(each, ascii=ascii)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write_json(each, ascii=ascii) for each in value) + "]"
    return json.dumps(value, ensure_ascii=ascii)


def odd_value(rng: Random) -> Any:
    match rng.randrange(9):
        case 0 | 1:
            return rng.choice(INTEGERS)
        case 2 | 3:
            return rng.choice(TEXTS)
        case 4:
            return Raw(rng.choice(NUMBERS))
        case 5:
            return rng.choice((None, True, False))
        case 6:
            return rng.choice(([], Pairs(), [1], ["a"], [None], [[]], Pairs([("a", 1)]), [1, 2, 3], 0.5, -1.5))
        case 7:
            depth = rng.choice((3, 30, 300, rng.randrange(850, 1000), 5000, 50_000))
            return Raw("[" * depth + "]" * depth) if rng.random() < 0.7 else Raw('{"a":' * depth + "1" + "}" * depth)
        case _:
            return [rng.choice(INTEGERS) for _ in range(rng.choice((1, 2, 3, 40)))]


def places(value: Any, found: list[tuple[Any, int]]) -> None:
    """Every place in a document: the list or object, and the index in it."""
    if isinstance(value, list):
        for i, each in enumerate(value):
            found.append((value, i))
            places(each[1] if isinstance(value, Pairs) else each, found)


def mutated_json(rng: Random, document: Any, words: Sequence[Any] = ()) -> Any:
    """One change of a parsed document, which is changed in place; words: values that mean something in it."""
    found: list[tuple[Any, int]] = []
    places(document, found)
    if not found or rng.random() < 0.02:
        return odd_value(rng)
    # Large tables would take all changes; a place near the top is as likely as one inside.
    inside, i = rng.choice(found if rng.random() < 0.6 else [spot for spot in found if spot[0] is document] or found)
    pairs = isinstance(inside, Pairs)
    key, old = inside[i] if pairs else ("", inside[i])

    def set_to(value: Any) -> None:
        inside[i] = (key, value) if pairs else value

    match rng.randrange(10):
        case 0:
            del inside[i]
        case 1:
            inside.insert(rng.randrange(len(inside) + 1), inside[i])
        case 2 if pairs:
            inside.insert(rng.randrange(len(inside) + 1), (key, odd_value(rng)))
        case 3 if pairs:
            inside[i] = (rng.choice((*TEXTS, *(word for word in words if isinstance(word, str)), key + "x", key.upper(), key[:-1])), old)
        case 4:
            j = rng.randrange(len(inside))
            if pairs:
                inside[i], inside[j] = (key, inside[j][1]), (inside[j][0], old)
            else:
                inside[i], inside[j] = inside[j], old
        case 5 if type(old) is int:
            set_to(old + rng.choice((-1, 1, 2, -2, 4, -4, 8)) if rng.random() < 0.7 else -old)
        case 6 if words:
            set_to(rng.choice(words))
        case 7:
            set_to([old])
        case _:
            set_to(odd_value(rng))
    return document


def mutated_json_bytes(rng: Random, data: bytes, words: Sequence[Any] = ()) -> bytes:
    """One or a few changes of a JSON file."""
    try:
        document = parse_json(data)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            document = mutated_json(rng, document, words)
        return write_json(document, ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # no JSON, or too deep for this generator itself
        return mutated_bytes(rng, data)


# Safetensors


@dataclass
class Tensor:
    name: str
    dtype: str
    shape: list[int]
    data: bytes


def unpacked(data: bytes) -> tuple[list[Tensor], dict[str, str]]:
    """The tensors of a good file in the order of its header, and its metadata."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__", {})
    return [Tensor(name, e["dtype"], e["shape"], body[slice(*e["data_offsets"])]) for name, e in header.items()], metadata


def packed(tensors: Sequence[Tensor], metadata: dict[str, str] | None = None, pad: int | None = None, order: Sequence[int] = ()) -> bytes:
    """A safetensors file. pad: spaces behind the header (None: as the library aligns it); order: that of the bytes."""
    at, header, body = 0, {}, b""
    places: dict[int, list[int]] = {}
    for i in order or range(len(tensors)):
        places[i] = [at, at + len(tensors[i].data)]
        body, at = body + tensors[i].data, places[i][1]
    entries = [(t.name, {"dtype": t.dtype, "shape": t.shape, "data_offsets": places[i]}) for i, t in enumerate(tensors)]
    header = Pairs([("__metadata__", Pairs(metadata.items()))] if metadata else [])
    header.extend((name, Pairs(fields.items())) for name, fields in entries)
    text = write_json(header).encode()
    text += b" " * (-len(text) % 8 if pad is None else pad)
    return len(text).to_bytes(8, "little") + text + body


def odd_float(rng: Random, dtype: str) -> bytes:
    value = rng.choice(FLOATS) if rng.random() < 0.7 else rng.gauss(0, 10)
    if dtype == "F32":
        return struct.pack("<f", value)
    if dtype == "BF16":
        return struct.pack("<f", value)[2:]
    if dtype == "F16":
        return struct.pack("<H", rng.choice((0x7C00, 0xFC00, 0x7E00, 0x7BFF, 0x0001, 0x8000, rng.randrange(1 << 16))))
    return bytes(rng.randrange(256) for _ in range(SIZES.get(dtype, 1)))


def mutated_safetensors(
    rng: Random,
    data: bytes,
    words: Sequence[str] = (),
    texts: dict[str, Callable[[Random, bytes], bytes]] | None = None,
    *,
    mild: bool = False,
) -> bytes:
    """One change that knows the format, as long as the file is of it. words: names of tensors; texts: metadata that is itself of some
    format; mild: a change after which most files still open."""
    try:
        return changed_safetensors(rng, data, words, texts or {}, rng.choice((8, 9, 10, 12, 12, 12, 13, 14, 15) if mild else range(16)))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        struct.error,
        OverflowError,
    ):  # no longer a good file
        return mutated_bytes(rng, data)


def changed_safetensors(
    rng: Random, data: bytes, words: Sequence[str], texts: dict[str, Callable[[Random, bytes], bytes]], kind: int
) -> bytes:
    tensors, metadata = unpacked(data)
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    if not tensors:
        return mutated_bytes(rng, data)
    t = rng.choice(tensors)
    match kind:
        case 0:  # the header's length lies
            lie = rng.choice(
                (
                    0,
                    1,
                    2,
                    length - 1,
                    length + 1,
                    length + len(body),
                    length + len(body) + 1,
                    100_000_000,
                    100_000_001,
                    1 << 31,
                    1 << 62,
                    1 << 63,
                    (1 << 64) - 1,
                )
            )
            return (lie % (1 << 64)).to_bytes(8, "little") + header + body
        case 1:
            return data[: rng.randrange(8 + length + 1)]
        case 2:
            return data[: rng.randrange(8 + length, len(data) + 1)]
        case 3 | 4:  # any change of the header's JSON, its length right
            text = mutated_json_bytes(rng, header, (*DTYPES, *words))
            return len(text).to_bytes(8, "little") + text + body
        case 5:  # a changed byte of the header
            text = mutated_bytes(rng, header)
            return len(text).to_bytes(8, "little") + text + body
        case 6:  # the offsets: overlapping, out of order, with gaps
            document = parse_json(header)
            entries = [each for each in document if each[0] != "__metadata__"]
            spot = dict(rng.choice(entries)[1])["data_offsets"]
            step = rng.choice((1, 2, 4, 8, -1, -4, 1 << 40, 1 << 63, -(1 << 63)))
            for which in rng.choice(((0,), (1,), (0, 1))):
                spot[which] += step
            text = write_json(document).encode()
            return len(text).to_bytes(8, "little") + text + body
        case 7:  # giant, empty and negative shapes
            shape = [
                rng.choice((0, 1, 2, 1 << 16, 1 << 31, 1 << 32, (1 << 62), (1 << 63) - 1, 1 << 63, -1, -(1 << 63)))
                for _ in range(rng.randrange(6))
            ]
            t.shape = shape
        case 8:  # its bytes are there, in another order than the header's
            return packed(tensors, metadata, None, rng.sample(range(len(tensors)), len(tensors)))
        case 9:
            rng.shuffle(tensors)
            return packed(tensors, metadata, rng.randrange(9))
        case 10 | 11:  # another dtype, with as many bytes as it takes, or not
            t.dtype = rng.choice(DTYPES)
            if rng.random() < 0.8:
                t.data = b"".join(odd_float(rng, t.dtype) for _ in range(min(1000, math.prod(t.shape))))
        case 12 | 13:  # odd numbers
            size = SIZES.get(t.dtype, 1)
            for _ in range(rng.choice((1, 1, 2, 20))):
                at = size * rng.randrange(max(1, len(t.data) // size))
                t.data = (t.data[:at] + odd_float(rng, t.dtype) + t.data[at + size :])[: len(t.data)]
        case 14:
            how = rng.randrange(5)
            if how == 0:
                tensors.remove(t)
            elif how == 1:
                tensors.append(Tensor(t.name if rng.random() < 0.3 else rng.choice((*words, *TEXTS)), t.dtype, t.shape, t.data))
            elif how == 2:
                t.name = rng.choice((*words, *TEXTS, "transformer." + t.name, t.name + "x", t.name.replace("0", "1")))
            elif how == 3:
                other = rng.choice(tensors)
                t.name, other.name = other.name, t.name
            else:
                t.shape = rng.choice((t.shape[::-1], [*t.shape, 1], [1, *t.shape], [math.prod(t.shape)], [0, *t.shape], t.shape[1:]))
                if math.prod(t.shape) * SIZES.get(t.dtype, 1) != len(t.data) and rng.random() < 0.8:
                    t.data = b"".join(odd_float(rng, t.dtype) for _ in range(min(1000, math.prod(t.shape))))
        case _:
            for key in list(metadata):
                if key in texts and rng.random() < 0.7:
                    metadata[key] = texts[key](rng, metadata[key].encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
            if rng.random() < 0.3:
                metadata[rng.choice((*metadata, *TEXTS))] = rng.choice(TEXTS[:30])
    return packed(tensors, metadata)


# Lines of text: TOML, Markdown, merges


def mutated_lines(rng: Random, data: bytes, lines: Sequence[str], values: Sequence[str]) -> bytes:
    """One change of a text file. lines: whole lines that mean something in it; values: what may stand behind an equals sign."""
    text = data.decode("utf-8", "surrogateescape").split("\n")
    i = rng.randrange(len(text))
    if rng.random() < 0.001:  # much of one thing: what takes the square of its length must be bounded
        some = rng.choice((*lines, *TEXTS, '"\\', "<!--", "a.", "{", "[a.", '"a" ', "<!-- -->", "*", "`", "{T}", "L0H0["))
        text[i] = text[i] + some * (rng.choice((19_000, 200_000)) // max(1, len(some)))
    match rng.randrange(9):
        case 0:
            del text[i]
        case 1:
            text.insert(rng.randrange(len(text) + 1), text[i])
        case 2:
            j = rng.randrange(len(text))
            text[i], text[j] = text[j], text[i]
        case 3 | 4 if lines:
            text.insert(i, rng.choice(lines))
        case 5 | 6 if values:
            spots = [k for k, line in enumerate(text) if "=" in line]
            if spots:
                k = rng.choice(spots)
                text[k] = text[k].split("=")[0] + "= " + rng.choice(values)
        case 7:
            text[i] = text[i] + rng.choice((*TEXTS, " ", "\\", '"', "'", " # x"))
        case _:
            return mutated_bytes(rng, data)
    return "\n".join(text).encode("utf-8", "surrogatepass" if rng.random() < 0.5 else "replace")


# Folders


def mutated_folder(rng: Random, case: Case, others: Sequence[str] = ()) -> Case:
    """Something else in a file's place, or a file more or less."""
    name = rng.choice(tuple(case.files))
    item: Item | None = case.files[name]
    content = item if isinstance(item, bytes) else b""
    match rng.randrange(12):
        case 0:
            return case.with_file(name, Odd("link", rng.choice((b"nowhere", b"/nowhere/at/all", b"x" * 300))))
        case 1:
            return case.with_file(name, Odd("link", name.encode()))
        case 2:
            return case.with_file(name, Odd("link", rng.choice((b".", b"/", b"/dev/null", b"/dev/zero", b"/dev/full"))))
        case 3:
            return case.with_file(name, Odd("folder"))
        case 4:
            return case.with_file(name, Odd("pipe"))
        case 5:
            return case.with_file(name, Odd("locked", content))
        case 6:
            return case.with_file(name, b"")
        case 7:
            return case.with_file(name, None) if len(case.files) > 1 else case.with_file(name, b"")
        case 8 if others:
            return case.with_file(
                rng.choice(others), rng.choice((b"", b"{}", content[:200], Odd("folder"), Odd("pipe"), Odd("link", b"nowhere")))
            )
        case 9:
            other = rng.choice(tuple(case.files))
            return case.with_file(name, case.files[other])
        case 10:
            moved = case.with_file(name, None).with_file("aside", content)
            return moved.with_file(name, Odd("link", b"aside"))  # a good link, as the hub's cache has them
        case _:
            folder = rng.choice(("a b", "名", "x\x1b[31m", "a\nb", "[red]", "-x", "%s", "é" * 100, "\u202eabc"))
            return Case(case.files, case.options | {"folder": folder})
