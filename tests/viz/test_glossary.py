"""The glossary and the captions: whatever word stands on a screen is plain, or is explained."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from txexplain.engine.derive import Result
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import distribution_of, finish
from txexplain.explorer.location import STAGES, Location, place_of
from txexplain.explorer.places import KINDS, PLACES
from txexplain.explorer.state import from_flags
from txexplain.front.scenes import scene_of
from txexplain.models import load_model
from txexplain.text import cell_width
from txexplain.viz.palette import THEMES, Palette
from txexplain.viz.screen import LEAST_STAGE, layout_of, paint_screen
from txexplain.words.colours import COLOURS, LEGENDS
from txexplain.words.glossary import WORDS, words_in

SIZES = ((80, 24), (160, 45))
VIEWS = Path(__file__).parents[1] / "golden" / "views"
AT = (
    "model", "embed", "embed:nearest", "L1", "L1.ln1", "L1.qkv", "L1.qkv:matrix", "L1.attn", "L1.proj", "L1.ln2", "L1.mlp", "L1.mlp[7]",
    "heads", "heads:induction", "L1H2", "L1H2:qk", "L1H2:scaled", "L1H2:masked", "L1H2:values", "L1H2[3,2]", "final", "output",
    "residual", "direct", "lens", "effects", "effects:sorted", "effects:edges", "effects:rows",
)  # fmt: skip
# Words that need no glossary.
PLAIN = frozenset(
    re.findall(
        r"\w+",
        """
a above acts add added adds after again alike all alone always an and answer any are arrows as at back bar bars be becomes before
below beside between both brought but by came can carry cause cells changes child choose column columns comes computed copy covered
cut dim divided does down draw each earlier end enter enters esc every examples explain far farthest fire fires first fits for found
from gen generate greatest had hand hands has have head held help here hidden how if in input into is isn it its itself kept largest
last later lead learn learned least leaves left less lessons lie like likelier line longer looked looks lost make makes mark matrix
max may mean means mixed mode model more most move moved must name names nearest needed next no none not nothing number numbers of
off on one ones only opposite or order other otherwise out output over own page panel part parts pass passes picture place plus
points product products prompt push pushes quick range read reading reads rest result results right row rows running same sampling
say scores see set show shows side so sort sorted sorts space spread st stage step straight strips strongest strongly sum switched
switches table take taken temperature terms text than that the their them then there they this through times tiny to tokens top
total towards trace traced twice txexplain under undo up view was way weight well what when where which white who whom why widest
windows with works would write writes yes zoom
""",
    )
)


@cache
def screens() -> dict[str, str]:
    """Every place of a model without words of its own, at two sizes: all words that stand there are the program's."""
    trace, model = Trace.load(VIEWS / "tiny.safetensors"), load_model(str(VIEWS.parent / "parity" / "default"))
    found = {}
    for at in AT:
        state, result = replace(from_flags(ids=trace.ids, at=at), model="tiny"), Result(trace, model)
        finish(result, state)
        shared = {"distribution": distribution_of(result, state), "ribbons": tuple(result.flow("norms"))}
        scenes = (scene_of(state, Palette(), size, result, **shared) for size in SIZES)
        found[at] = "\n".join(line for scene in scenes for line in paint_screen(scene).text())
    return found


@pytest.mark.parametrize("at", AT)
def test_whatever_word_stands_on_a_screen_is_plain_or_explained(at: str) -> None:
    text = screens()[at]
    explained = re.findall(r"[\w-]+", " ".join(match[0] for word in WORDS for match in word.pattern.finditer(text)))
    known = PLAIN.union(*(map(str.lower, word.names) for word in WORDS), explained)
    words = {word for word in re.findall(r"[A-Za-z][A-Za-z_]*(?:-[a-z]+)?", text) if len(word) > 1}
    assert {word for word in words if not known & {word, word.lower()}} == set()
    here = {word.names[0] for word in words_in(text)}
    assert {"token", "temperature", "bit"} <= here
    assert len(here) < len(WORDS)


def test_each_name_belongs_to_one_word_and_each_word_is_told_shortly() -> None:
    names = [name for word in WORDS for name in word.names]
    assert len(names) == len(set(names))
    assert all(len(word.meaning) <= 240 and word.meaning.endswith(".") for word in WORDS)


def test_every_place_has_a_caption_that_fits_a_narrow_screen() -> None:
    for kind, place in PLACES.items():
        for stage in STAGES:
            told = place.captioned(Location(kind, stage=stage))
            assert cell_width(told) <= 78
            assert re.fullmatch(r"[A-Z][^.]*[.?]( [^.]*[.])?", told)
    assert set(LEGENDS) <= set(KINDS)
    roles = {role for legend in LEGENDS.values() for role, _ in legend} | {role for role, _ in COLOURS}
    assert roles <= set(THEMES["dark"])


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 36), (200, 60)])
@pytest.mark.parametrize("at", ["model", "L1", "L1H2:masked", "output"])
def test_the_caption_stands_below_the_stage_which_keeps_its_room(at: str, size: tuple[int, int]) -> None:
    state, result = from_flags(at=at), Result(Trace.load(VIEWS / "tiny.safetensors"), None)
    scene = scene_of(state, Palette(), size, result)
    panes = layout_of(scene)
    stage, below = panes["stage"], panes["caption"]
    assert (below.x, below.y, below.width) == (stage.x, stage.y + stage.height, stage.width)
    assert stage.height >= LEAST_STAGE
    sentence = place_of(state.location).captioned(state.location)
    lines = paint_screen(scene).text()[below.y : below.y + below.height]
    assert sentence in " ".join(line[below.x : below.x + below.width].strip() for line in lines)
