"""What keyboards type without AltGr: made from Debian's xkb-data by libxkbcommon, so that nobody's memory is trusted.

    sudo apt-get install xkb-data libxkbcommon0
    python tests/golden/make_layouts.py

Writes layouts.json: for each layout the characters of its keys alone and with Shift; dead keys type nothing by themselves.
"""

from __future__ import annotations

import json
import re
from ctypes import CDLL, POINTER, Structure, c_char_p, c_int, c_uint32, c_void_p, pointer
from ctypes.util import find_library
from pathlib import Path

# What xkb calls the default layouts of these countries, and those without dead keys.
LAYOUTS = {
    "German": "de", "German, no dead keys": "de(nodeadkeys)", "Austrian": "at", "Swiss German": "ch", "French": "fr",
    "French, AZERTY": "fr(azerty)", "French, AFNOR": "fr(afnor)", "Belgian": "be", "Swiss French": "ch(fr)", "Canadian French": "ca(fr)",
    "Swedish": "se", "Norwegian": "no", "Danish": "dk", "Finnish": "fi", "Icelandic": "is", "US": "us",
}  # fmt: skip
KEYS = re.compile(r"A[A-E]\d\d|TLDE|BKSL|LSGT")  # those that type, without the keypad


class Names(Structure):
    """struct xkb_rule_names."""

    _fields_ = [(field, c_char_p) for field in ("rules", "model", "layout", "variant", "options")]


def library() -> CDLL:
    found = find_library("xkbcommon")
    if found is None:
        raise SystemExit("libxkbcommon isn't here: apt-get install libxkbcommon0 xkb-data")
    xkb = CDLL(found)
    for name in ("xkb_context_new", "xkb_keymap_new_from_names", "xkb_state_new"):
        getattr(xkb, name).restype = c_void_p
    xkb.xkb_context_new.argtypes = [c_int]
    xkb.xkb_keymap_new_from_names.argtypes = [c_void_p, POINTER(Names), c_int]
    xkb.xkb_state_new.argtypes = [c_void_p]
    xkb.xkb_keymap_min_keycode.argtypes = xkb.xkb_keymap_max_keycode.argtypes = [c_void_p]
    xkb.xkb_keymap_key_get_name.argtypes = [c_void_p, c_uint32]
    xkb.xkb_keymap_key_get_name.restype = c_char_p
    xkb.xkb_keymap_mod_get_index.argtypes = [c_void_p, c_char_p]
    xkb.xkb_state_update_mask.argtypes = [c_void_p, *[c_uint32] * 6]
    xkb.xkb_state_key_get_utf32.argtypes = [c_void_p, c_uint32]
    xkb.xkb_state_key_get_utf32.restype = c_uint32
    return xkb


def typed(xkb: CDLL, layout: str) -> str:
    """The characters that a layout's keys type alone and with Shift, in order."""
    name, _, variant = layout.rstrip(")").partition("(")
    names = Names(b"evdev", b"pc105", name.encode(), variant.encode(), b"")
    keymap = xkb.xkb_keymap_new_from_names(xkb.xkb_context_new(0), pointer(names), 0)
    if not keymap:
        raise SystemExit(f"xkb-data has no layout {layout}")
    shift = 1 << xkb.xkb_keymap_mod_get_index(keymap, b"Shift")
    found = set()
    for held in (0, shift):
        state = xkb.xkb_state_new(keymap)
        xkb.xkb_state_update_mask(state, held, 0, 0, 0, 0, 0)
        for code in range(xkb.xkb_keymap_min_keycode(keymap), xkb.xkb_keymap_max_keycode(keymap) + 1):
            if KEYS.fullmatch((xkb.xkb_keymap_key_get_name(keymap, code) or b"").decode()):
                found.add(chr(xkb.xkb_state_key_get_utf32(state, code)))
    return "".join(sorted(char for char in found if char.isprintable() and char != " "))


def main() -> None:
    xkb = library()
    made = {name: typed(xkb, layout) for name, layout in LAYOUTS.items()}
    path = Path(__file__).with_name("layouts.json")
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
