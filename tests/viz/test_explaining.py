"""Explanations as they are drawn: nothing sticks out, nothing is lost, and the numbers read back are the trace's."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.viz.reading import scene_at, shows, shows_percent
from txexplain.engine import ops
from txexplain.engine.derive import Result
from txexplain.engine.gpt2 import block
from txexplain.explorer.source import source_of
from txexplain.front.render import EXPLAINED
from txexplain.text import visible, wrapped
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import LEAST_PANEL, LEAST_SIDE, layout, paint_pane, paint_screen
from txexplain.viz.views.explain import code_rows, explain_text, explanation, paint_explain, rows_of, scrolled, value_text, with_words

PLACES = (
    "model[L1]", "model[output]", "embed[5]@1", "embed:nearest@3",
    *(f"L1[{tile}]@4" for tile in ("resid_pre", "qkv", "fc", "act", "out", "add2")),
    "L1.ln1[7]@2", "final[3]", "L1.qkv[30]@4", "L1.qkv:matrix[5,40]", "L1.proj[9]", "L1.attn[2]", "heads:previous[1.1]@4",
    "heads:induction[0.1]", "heads:entropy[1.1]", "L1H2:qk[5,2]", "L1H2:scaled[2,5]", "L1H2:masked[2,5]", "L1H2:softmax[5,2]",
    "L1H2:values[5,2]", "L1H1[6,2]", "L0H0[1,4]", "L1.mlp", "L1.mlp:added[3]", "L1.mlp[41]", "output", "residual[L0.attn]",
)  # fmt: skip
ASCII = Palette("dark", "none", ascii=True)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("palette", [Palette(), ASCII], ids=["unicode", "ascii"])
def test_no_line_sticks_out(result: Result, palette: Palette) -> None:
    for place in PLACES:
        scene = scene_at(result, place, (80, 24), palette)
        for width in (37, 40, 45, 52, 61, 68, EXPLAINED):
            for row in rows_of(scene, width):
                assert cell_len(row.text) <= width, (place, width, row.text)
                assert row.text.isascii() or not palette.ascii, (place, width, row.text)


def test_no_code_is_lost(result: Result) -> None:
    """The line that counts is there whole and lit, once for each source; the words of the sentences are all there."""
    for place in PLACES:
        scene = scene_at(result, place, (80, 24))
        counts = squeezed(
            "".join(text for source in explanation(scene).sources for number, text in source.lines if number in source.marked)
        )
        for width in (37, 49, 76):
            rows = rows_of(scene, width, 1)
            lit = squeezed("".join(re.sub(r"^▸\d* ", "", row.text) for row in rows if row.lit))
            assert lit == counts, (place, width)
            code = [row for row in rows if re.match(r"[ ▸]\d+ ", row.text)]
            assert code, (place, width)
            assert "more line" in "".join(row.text for row in rows) or len(code) > 4, (place, width)


SHOWN = st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]).filter(lambda c: visible(c) == c)  # all that a screen is given


@given(st.text(SHOWN | st.just(" "), max_size=120), st.integers(8, 40))
def test_wrapping_keeps_every_character(text: str, width: int) -> None:
    lines = wrapped(text, width, 2, 4)
    assert squeezed("".join(lines)) == squeezed(text)
    for i, line in enumerate(lines):
        assert cell_len(line) <= width
        assert line.startswith(" " * (4 if i else 2))


@given(st.text("ab (", max_size=30), st.integers(-4, 8), st.integers(0, 9), st.integers(0, 9))
def test_wrapping_ends_where_nothing_fits(text: str, width: int, first: int, rest: int) -> None:
    """On a screen of 20 columns an indent of six left no room, and the app hung."""
    assert squeezed("".join(wrapped(text, width, first, rest))) == squeezed(text)


@given(st.lists(st.sampled_from(["one", "and", "word(s),", "100%", "x[3]"]), min_size=1, max_size=30), st.integers(12, 40))
def test_lines_break_between_words(words: list[str], width: int) -> None:
    lines = wrapped(" ".join(words), width)
    assert " ".join(lines).split() == words
    for one, after in pairwise(lines):  # no word would have fitted on the line before
        assert len(one) + 1 + len(after.split()[0]) > width


def test_what_is_left_out_is_counted(result: Result) -> None:
    source, scene = source_of(block, "attn.z"), scene_at(result, "L1", (80, 24))
    for context in (0, 1, 3):
        rows = list(code_rows(source, 200, context, scene))
        shown = [int(match[1]) for row in rows if (match := re.match(r"[ ▸](\d+) ", row.text))]
        left = [int(match[1]) for row in rows if (match := re.match(r"\s+… (\d+) more line", row.text))]
        assert len(shown) + sum(left) == len(source.lines)
        assert shown == list(range(source.marked.start - context, source.marked.stop + context))
    whole = source_of(ops.softmax)
    assert len(list(code_rows(whole, 200, 1, scene))) == len(whole.lines)


def test_a_shape_at_the_end_of_a_line_stays_whole(result: Result) -> None:
    source, scene = source_of(block, "mlp.post"), scene_at(result, "L1", (80, 24))
    rows = [row.text for row in code_rows(source, 37, 1, scene)]
    assert sum("# [n, m]" in row for row in rows) == 2
    assert sum("# [n, d]" in row for row in rows) == 1


# Numbers, read back from the text


def text_at(result: Result, place: str, **settings: object) -> str:
    return " ".join(explain_text(scene_at(result, place, (80, 24), **settings), 200).split())


def test_a_softmax_row_reads_back(result: Result) -> None:
    for query, key in ((6, 2), (5, 5), (3, 0)):
        scores = result.trace["blocks.1.attn.attn_scores"][2, query].astype(np.float64)
        match = re.search(r"e\^\((\S+) ([+−]) (\S+)\) ÷ (\S+) = (\S+)", text_at(result, f"L1H2[{query},{key}]"))
        assert match is not None
        assert shows(match[1], float(scores[key]))
        assert shows(match[3], abs(float(scores.max())))
        assert match[2] == ("−" if scores.max() > 0 else "+")
        assert shows(match[4], float(np.exp(scores - scores.max()).sum()))
        assert shows_percent(match[5], float(result.trace["blocks.1.attn.pattern"][2, query, key]))


def test_a_layer_norm_reads_back(result: Result) -> None:
    x, scale = result.trace["blocks.1.resid_mid"][3], float(result.trace["blocks.1.ln2.scale"][3, 0])
    match = re.search(r"element 7: \((\S+) [+−] (\S+)\) ÷ (\S+) = (\S+) (\S+) × (\S+) ([+−]) (\S+) = (\S+)", text_at(result, "L1.ln2[7]@3"))
    assert match is not None
    w = result.weights().blocks[1]
    wanted = (x[7], abs(x.mean()), scale, (x[7] - x.mean()) / scale, (x[7] - x.mean()) / scale, w["ln_2.weight"][7])
    for text, want in zip(match.groups()[:6], wanted, strict=True):
        assert shows(text, float(want), 1e-3)
    assert shows(match[9], float(result.trace["blocks.1.ln2.normalized"][3, 7]))


def test_a_candidate_reads_back(result: Result) -> None:
    scene = replace(scene_at(result, "output", (80, 24), temperature=0.5), candidate=3)
    dist = scene.distribution
    assert dist is not None
    id = int(dist.order[3])
    text = " ".join(explain_text(scene, 200).split())
    match = re.search(r"÷ T: (\S+) ÷ (\S+) = (\S+) e\^\((\S+) \S (\S+)\) ÷ (\S+) = (\S+)", text)
    assert match is not None
    wanted = (dist.logits[id], 0.5, dist.scaled[id], dist.scaled[id], abs(dist.scaled[dist.order[0]]), dist.exp.sum())
    for got, want in zip(match.groups()[:6], wanted, strict=True):
        assert shows(got, float(want))
    assert shows_percent(match[7], float(dist.probability[id]))
    assert f"row {id} =" in text


def test_a_token_that_comes_twice_is_told_apart(tiny_result: Result) -> None:
    text = text_at(tiny_result, "L1H2:qk[4,1]")
    assert "#17' (4)" in text
    assert "#17' (1)" in text
    assert "#42'" in text_at(tiny_result, "L1H2:qk[4,2]")
    assert "#42' (2)" not in text_at(tiny_result, "L1H2:qk[4,2]")


def test_what_is_missing_is_said(result: Result) -> None:
    scene = scene_at(result, "L1.ln2[7]", (80, 24))
    assert "needs the model's weights" in explain_text(replace(scene, shown=Result(result.trace, None)), 200)
    part = type(result.trace)(result.trace.ids, {"logits": (result.trace["logits"],)}, config=result.config)
    text = explain_text(replace(scene, shown=Result(part, None)), 200)
    assert "Not recorded: this trace has no blocks.1.resid_mid." in text
    assert "blocks.1.ln2.scale [T, 1]" in text
    assert text.count(", not recorded") == 3


def test_values_are_written_as_numbers_are(result: Result) -> None:
    from txexplain.words.told import Plus, Share

    scene, plain = scene_at(result, "model", (80, 24)), scene_at(result, "model", (80, 24), ASCII)
    assert [value_text(v, scene) for v in (-0.5, Plus(-0.5), Plus(2.0), Share(0.125), 50257)] == [
        "−0.500",
        "− 0.500",
        "+ 2.00",
        "12.5%",
        "50,257",
    ]
    assert [value_text(v, plain) for v in (-0.5, Plus(-0.5), Plus(-1e-7))] == ["-0.500", "- 0.500", "- 1.00e-7"]


# The pane


def side(result: Result, place: str, size: tuple[int, int], scroll: int = 0, palette: Palette | None = None) -> tuple[Scene, Canvas]:
    rect = layout(*size, "explain")["side"]
    scene = replace(scene_at(result, place, size, palette), side="explain", scroll=scroll)
    return replace(scene, width=rect.width, height=rect.height), paint_pane("side", scene, rect)


@pytest.mark.parametrize("size", [(100, 24), (120, 36), (200, 60)])
@pytest.mark.parametrize("place", ["L1H1[6,2]", "output", "residual"])
def test_paging_shows_every_row_once_it_is_gone_through(result: Result, place: str, size: tuple[int, int]) -> None:
    scene, canvas = side(result, place, size)
    seen: list[str] = []
    scroll = 0
    while True:
        _, canvas = side(result, place, size, scroll)
        text = [line[2:].rstrip() for line in canvas.text()]
        more = "PgDn" in text[-1]
        marked = "PgDn" in text[-1] or "PgUp" in text[-1]
        assert ("PgUp" in text[-1]) == (scroll > 0)
        rows = text[1 : -1 if marked else None]
        seen[scroll:] = rows
        after = scrolled(replace(scene, scroll=scroll), 1)
        assert (after > scroll) == more
        if not more:
            break
        scroll = after
    wanted = [
        row.text.rstrip() for row in with_words(scene, rows_of(scene, scene.width - 3, 3 if scene.height >= 30 else 1), scene.width - 3)
    ]
    assert [line for line in seen if line] == [line for line in wanted if line]
    assert scrolled(replace(scene, scroll=scroll), -100) == 0
    assert paint_explain(replace(scene, scroll=10_000)).text() == paint_explain(replace(scene, scroll=scroll)).text()


def test_the_pane_leaves_the_stage_alone() -> None:
    for width in range(60, 220, 7):
        for height in range(16, 80, 3):
            plain, split = layout(width, height), layout(width, height, "explain")
            assert split["stage"] == plain["stage"]
            if "side" in split:
                assert width >= 100
                assert split["panel"].height >= LEAST_PANEL
                assert split["side"].height >= LEAST_SIDE
                assert split["panel"].height + split["side"].height == plain["panel"].height
            else:
                assert split == plain
    assert layout(120, 36, "explain")["panel"].height == 12


@pytest.mark.parametrize("size", [(100, 20), (120, 36), (200, 60)])
@pytest.mark.parametrize("settings", [{}, {"mode": "top-k", "k": 3}])
def test_the_panel_above_keeps_temperature_and_candidates(result: Result, size: tuple[int, int], settings: dict[str, object]) -> None:
    scene = replace(scene_at(result, "model", size, **settings), side="explain")
    rect = layout(*size, "explain")["panel"]
    rows = paint_pane("panel", scene, rect).text()
    dist = scene.distribution
    assert dist is not None
    assert "T 1.00" in "".join(rows)
    assert "bits" in "".join(rows)
    named = [scene.id_label(int(id)).strip()[:10] for id in dist.order[:4]]
    places = [next(y for y, row in enumerate(rows) if row[2:].strip().startswith(name) and "%" in row) for name in named]
    assert places == list(range(places[0], places[0] + 4))
    for id, y in zip(dist.order[:4].tolist(), places, strict=True):
        shown = re.findall(r"\S+%", rows[y])
        assert shows_percent(shown[0], float(dist.probability[id]))


def test_the_whole_screen_holds_both(story_result: Result) -> None:
    for palette in (Palette(), Palette("light", "16"), ASCII):
        scene = replace(scene_at(story_result, "L3H5[6,2]", (120, 36), palette), side="explain")
        text = "\n".join(paint_screen(scene).text())
        assert "Explain" in text
        assert "Next token" in text
        assert "L3H5: one product" in text
        assert text.isascii() or not palette.ascii


@pytest.mark.parametrize("token", range(7))
@pytest.mark.parametrize("block", [0, 1])
def test_where_nothing_is_chosen_it_explains_the_element_that_the_stage_shows(result: Result, block: int, token: int) -> None:
    for level, said in (("proj", r"element (\d+) of attn_out"), ("qkv", r"= ([QKV]) of H(\d+), (\d+)")):
        scene = scene_at(result, f"L{block}.{level}@{token}", (80, 24))
        shown = re.search(said, "\n".join(paint_screen(scene).text()))
        assert shown is not None
        text = explain_text(scene, EXPLAINED)
        if level == "proj":
            assert f"element {shown[1]} of attn_out" in text
        else:
            assert f"{shown[1].lower()}[{shown[3]}] of head {shown[2]} =" in text
