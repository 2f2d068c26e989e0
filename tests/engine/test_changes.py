"""The grammar of what may be changed in a run, both ways, and what a text comes to: what Set and Cut by hand make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain import Cut, Set
from txexplain.engine.changes import LAST, Change, parse
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.errors import InterventionError

IDS = [3, 9, 27, 20, 60, 58, 0]
OTHER = [3, 9, 11, 20, 5, 58, 0]

some = st.none() | st.lists(st.integers(0, 99_999), min_size=1, max_size=4, unique=True).map(lambda found: tuple(sorted(found)))
spans = st.tuples(st.integers(0, 300), st.integers(0, 40)).map(lambda span: tuple(range(span[0], span[0] + span[1] + 1)))
numbers = some | spans
rows = numbers | st.just((LAST,))
values = st.sampled_from(["mean", "from"]) | st.floats(-1e9, 1e9, width=32).map(lambda x: float(x) + 0.0)
numbered = st.floats(-1e9, 1e9, width=32).map(lambda x: float(x) + 0.0)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    part = draw(st.sampled_from(["edges", "z", "q", "pattern", "resid", "mid", "attn", "mlp", "neurons", "embed", "pos"]))
    if part == "edges":
        queries, keys = draw(rows), draw(rows)
        if queries and keys and LAST not in (*queries, *keys) and min(keys) > max(queries):
            queries, keys = keys, queries
        return Change(part, draw(numbers), None if draw(st.booleans()) else draw(numbers), queries=queries, keys=keys,
                      value=draw(st.sampled_from(["cut", "raw"])))  # fmt: skip
    value = draw(st.just("from") | numbered if part == "pattern" else values)
    own, source = draw(rows), None
    if value == "from" and part != "pattern" and own is not None and own != (LAST,) and draw(st.booleans()):
        source = own
    of = {"z": "heads", "q": "heads", "pattern": "heads", "neurons": "neurons"}.get(part)
    more = {of: draw(numbers)} if of else {}
    return Change(part, None if part in ("embed", "pos") else draw(numbers), rows=own, value=value, source=source, **more)


@examples(300)
@given(changes())
def test_a_change_survives_its_text(change: Change) -> None:
    if change.part == "edges" and change.blocks is None and change.heads is not None:
        assert str(change).startswith("L*H")
    assert parse(str(change)) == change


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("L5H1=mean", "L5H1"), ("L5H1.z", "L5H1"), ("L3.mlp_out=0", "L3.mlp=zero"), ("L4.resid_pre@5=from", "L4.resid@5=from"),
        ("L0+1H*", "L0-1H*"), ("L3H3+1+2", "L3H1-3"), ("L*H*[7,3]", "[7,3]"), ("[13,1]=cut", "[13,1]"),
        ("L3.mlp[417]=-2.50", "L3.mlp[417]=-2.5"),
        (" L4H3@last ", "L4H3@last"), ("[*,3]=raw", "[*,3]=raw"), ("L4.resid_mid@5+7=from@3+4", "L4.mid@5+7=from@3-4"),
    ],
)  # fmt: skip
def test_one_change_has_one_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", "L5", "L5H1[7,3]@2", "L5H1[3,7]", "L5H1=nonsense", "L5H1=nan", "L5H1=1e999", "L01H1", "H1", "L5H1.x", "L4.resid@5=mean@3",
        "L5.mlp[a]", "L4.resid=from@3", "L4.resid@5=from@3+4", "L5H1.pattern", "L5H1[7,3]=zero", "L5-3H1", "L4.logits", "[1,2,3]",
        "\x1b[2J", "L5H1=" + "9" * 99,
    ],
)  # fmt: skip
def test_what_is_no_change_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InterventionError, match=r"^\S.*\.$") as caught:
        parse(text)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


def every(end: int, *, own: bool = True) -> list[tuple[int, int]]:
    return [(q, k) for q in range(end) for k in range(q + own)]


BY_HAND: dict[str, list[Intervention]] = {
    "L1H1=zero": [Set("blocks.1.attn.z", 0, head=1)],
    "L0-1H0+2=zero": [Set(f"blocks.{layer}.attn.z", 0, head=[0, 2]) for layer in (0, 1)],
    "L*H1.v@3=1.5": [Set(f"blocks.{layer}.attn.v", 1.5, head=1, rows=3) for layer in (0, 1)],
    "L0.mlp=zero": [Set("blocks.0.mlp_out", 0)],
    "L1.attn@last=zero": [Set("blocks.1.attn_out", 0, rows=6)],
    "L1.mlp[7+9]=2": [Set("blocks.1.mlp.post", 2, index=[7, 9])],
    "embed@2=zero": [Set("embed", 0, rows=2)],
    "L1H0[6,2]": [Cut(1, head=0, edges=[(6, 2)])],
    "[5,1]=raw": [Cut(layer, edges=[(5, 1)], raw=True) for layer in (0, 1)],
    "[*,3]": [Cut(layer, edges=[(q, 3) for q in (4, 5, 6)]) for layer in (0, 1)],
    "L0[last,*]": [Cut(0, edges=[(6, k) for k in range(7)])],
    "L0[2-4,1-3]": [Cut(0, edges=[(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 3)])],
}


@pytest.mark.parametrize("text", BY_HAND)
def test_a_text_is_what_its_objects_are(tiny: GPT2, text: str) -> None:
    one, other = (tiny.forward(IDS, interventions=given) for given in ([text], BY_HAND[text]))
    for name in other.names:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert not np.array_equal(one["logits"], tiny.forward(IDS)["logits"])


@pytest.mark.parametrize(
    "text", ["L1H1=from", "L0.resid@4=from", "L0.mid@4=from@3", "L1H*.pattern=from", "L0.mlp[3]=from", "L0H2.q@2-4=from"]
)
def test_a_patch_puts_the_other_runs_rows_there(tiny: GPT2, text: str) -> None:
    donor, change = tiny.forward(OTHER), parse(text)
    changed = tiny.forward(IDS, interventions=[text], donor=donor)
    (name,) = {edit.name for each in changed.interventions for edit in each.edits(tiny.config)}
    square = change.part == "pattern"
    here, there = (run[name].transpose(1, 0, 2) if square else run[name] for run in (changed, donor))
    rows = change.rows or range(7)
    for row, source in zip(rows, change.source or rows, strict=True):
        heads = slice(None) if change.heads is None else list(change.heads)
        index = slice(None) if change.neurons is None else list(change.neurons)
        one, other = ((each[heads] if each.ndim == 2 else each[index]) for each in (here[row], there[source]))
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(changed["logits"], tiny.forward(IDS)["logits"])


@pytest.mark.parametrize("length", [5, 7])
def test_a_patch_of_shares_takes_no_notice_of_the_texts_lengths(tiny: GPT2, length: int) -> None:
    donor = tiny.forward(OTHER[: 12 - length])
    changed = tiny.forward(IDS[:length], interventions=["L1H1.pattern=from"], donor=donor)
    for row in range(5):
        np.testing.assert_array_equal(
            changed["blocks.1.attn.pattern"][1, row, : row + 1], donor["blocks.1.attn.pattern"][1, row, : row + 1]
        )


def test_all_rows_are_those_of_tokens_to_come_and_last_is_none_of_them(tiny: GPT2) -> None:
    for text in ("[*,3]", "L0H1=zero", "[*,*]"):
        short = tiny.forward(IDS[:5], interventions=[text])
        assert short.run.shared(tiny.forward(IDS, interventions=[text], prefix=short).run) == 5, text
    assert parse("[last,3]").fixed(5) == parse("[4,3]")


@pytest.mark.parametrize("text", ["L2H1=zero", "L1H3=zero", "L1.mlp[96]=zero", "L1H1=from", "L1.resid@1=from@7", "[9999,3]"])
def test_what_the_model_lacks_is_said_in_a_sentence(tiny: GPT2, text: str) -> None:
    with pytest.raises(InterventionError, match=r"^\S.*\.$"):
        tiny.forward(IDS, interventions=[text], donor=None if text == "L1H1=from" else tiny.forward(OTHER))
    with pytest.raises(InterventionError, match="tokens 0 to 6"):
        parse("[9,3]").check(tiny.config, tiny.name, 7)
