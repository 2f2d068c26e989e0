"""The strip under the prompt says the model's surprise: heights that read back, and the selected token's figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from txexplain.engine.derive import Result
from txexplain.explorer.location import Location
from txexplain.explorer.state import ExplorerState
from txexplain.front.scenes import scene_of, surprisal_of
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.views.surprisal import MOST_BITS, paint_prompt_pane


def scene(result: Result, size: tuple[int, int], palette: Palette, token: int = 3) -> Scene:
    state = ExplorerState(location=Location(token=token))
    return scene_of(state, palette, size, result, surprisal=surprisal_of(result))


@pytest.mark.parametrize("palette", [Palette(), Palette("light", "16"), Palette(depth="none"), Palette(ascii=True)])
@pytest.mark.parametrize("size", [(200, 4), (120, 3), (60, 5), (80, 2)])
def test_heights_read_back_as_bits(result: Result, size: tuple[int, int], palette: Palette) -> None:
    given = scene(result, size, palette)
    assert given.surprisal is not None
    canvas = paint_prompt_pane(given)
    seen = 0
    for hit in canvas.hits:
        if canvas.hit(hit.x + hit.width - 1, hit.y) != hit.target:
            continue  # under the note of hidden rows
        position = hit.target[1]
        surprise = given.surprisal[position]
        glyph = canvas.chars[hit.y + hit.height - 1, hit.x if hit.height == 2 else hit.x + hit.width - 1]
        if surprise is None:
            assert glyph in (" ", palette.glyphs.vertical)
            continue
        rises = palette.glyphs.rises
        share = rises.index(glyph) / (len(rises) - 1)
        true = min(surprise.bits / MOST_BITS, 1)
        assert share == pytest.approx(true, abs=0.501 / (len(rises) - 1)) or (true > 0 and rises.index(glyph) == 1)
        if hit.height == 2:  # as wide as the token
            assert {*canvas.chars[hit.y + 1, hit.x : hit.x + hit.width - 1]} == {glyph}
        seen += 1
    assert seen >= 5


@pytest.mark.parametrize("token", [0, 2, 5])
def test_the_readout_is_the_selected_tokens(result: Result, token: int) -> None:
    given = scene(result, (120, 3), Palette(), token)
    assert given.surprisal is not None
    text = paint_prompt_pane(given).text()[-1]
    surprise = given.surprisal[token]
    assert given.label(token).strip() in text
    if surprise is None:
        assert "nothing came before" in text
    else:
        assert f"rank {surprise.rank + 1:,}" in text
        assert (f"expected {given.id_label(surprise.expected).strip()}" in text) == (surprise.rank > 0)
        assert f"{float(text.split(' bits')[0].split('· ')[-1]):.1f}" == pytest.approx(f"{surprise.bits:.1f}")


def test_what_is_not_known_yet_says_so_and_a_shut_strip_is_the_prompt(result: Result) -> None:
    given = replace(scene(result, (120, 3), Palette(), 4), surprisal=surprisal_of(result)[:3])  # type: ignore[index]
    assert "computing" in paint_prompt_pane(given).text()[-1]
    shut = paint_prompt_pane(replace(given, surprisal=None)).text()
    assert "bits" not in "".join(shut)


@pytest.mark.parametrize("size", [(200, 2), (200, 4), (40, 4), (80, 3)])
@pytest.mark.parametrize("pane", ["stage", "prompt"])
def test_marks_stand_beside_the_prompt_where_the_keys_go_there(result: Result, size: tuple[int, int], pane: str) -> None:
    for surprisal in (None, surprisal_of(result)):
        canvas = paint_prompt_pane(replace(scene(result, size, Palette()), surprisal=surprisal, pane=pane))
        assert [char == "▸" for char in canvas.chars[:, 0]] == [pane == "prompt"] * size[1]
        assert pane == "prompt" or set(canvas.chars[:, 0]) == {" "}
