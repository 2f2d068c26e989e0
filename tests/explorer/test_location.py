"""The grammar both ways, what a model lacks, and the ways in and out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.errors import LocationError
from txexplain.explorer.location import (
    ENDS,
    FACES,
    MEASURES,
    PLACES,
    STAGES,
    TILES,
    Dims,
    Location,
    Memory,
    breadcrumb,
    check,
    clamp,
    parse,
    remembered,
    zoom_in,
    zoom_out,
)
from txexplain.explorer.places.vectors import Linear
from txexplain.explorer.places.whole import LookedUp

calm = examples(200)
PRODUCTS = [kind for kind, place in PLACES.items() if isinstance(place, Linear)]
STORYTELLER = Dims(6, 16, 512, 8, columns=4, model="storyteller", n_embd=256)

numbers = st.integers(0, 30) | st.integers(0, 9_999_999)
tokens = st.none() | numbers
all_dims = st.builds(
    Dims, st.integers(1, 12), st.integers(1, 20), st.integers(1, 600), st.integers(1, 20), st.integers(1, 6), n_embd=st.integers(1, 600)
)
maybe = st.none() | numbers
parts = st.none() | st.just("pos") | st.builds("L{}.{}".format, numbers, st.sampled_from(["attn", "mlp"]))
blocks = st.none() | st.builds("L{}".format, numbers)
switchable = st.none() | st.builds("L{}.mlp".format, numbers) | st.builds("L{}H{}".format, numbers, numbers)
attributed = (
    st.none()
    | st.sampled_from(["embed", "pos", "always", "changed"])
    | st.builds("L{}.{}".format, numbers, st.sampled_from(["bias", "mlp"]))
    | st.builds("L{}H{}".format, numbers, numbers)
)


def anything(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[Location]:
    return st.builds(Location, **fields)


def kinds(*names: str) -> st.SearchStrategy[object]:
    return st.sampled_from(names)


columns = st.none() | st.sampled_from(ENDS) | st.integers(1, 40).map(lambda n: f"L{n}")
tiles = st.none() | st.sampled_from([tile for tile in TILES if tile != "attn"])
locations = st.one_of(
    anything(kind=st.just("model"), select=columns, token=tokens),
    anything(kind=st.just("output"), token=tokens),
    anything(kind=st.just("final"), element=maybe, token=tokens),
    anything(kind=st.just("embed"), element=maybe, token=tokens, face=st.sampled_from([None, "nearest"])),
    anything(kind=st.just("residual"), select=parts, token=tokens),
    anything(kind=st.just("lens"), select=blocks, token=tokens, face=st.sampled_from([None, "rank", "difference", "bits"])),
    anything(kind=st.just("direct"), select=attributed, token=tokens, face=st.sampled_from([None, "order"])),
    anything(kind=st.just("effects"), select=switchable, token=tokens, face=st.sampled_from([None, *PLACES["effects"].faces[1:]])),
    anything(kind=st.just("block"), block=numbers, select=tiles, token=tokens),
    anything(kind=kinds("ln1", "ln2"), block=numbers, element=maybe, token=tokens),
    anything(kind=kinds(*PRODUCTS), block=numbers, element=maybe, token=tokens, face=st.sampled_from([None, "matrix"])),
    anything(kind=kinds(*PRODUCTS), block=numbers, source=numbers, element=numbers, face=st.sampled_from([None, "matrix"])),
    anything(kind=st.just("mlp"), block=numbers, neuron=maybe, token=tokens, face=st.sampled_from([None, "pre", "added"])),
    anything(kind=kinds("attn", "heads"), block=numbers, head=numbers, token=tokens),
    anything(kind=st.just("heads"), block=numbers, head=numbers, face=st.sampled_from(MEASURES), least=st.integers(0, 100)),
    anything(kind=st.just("head"), block=numbers, head=numbers, stage=st.sampled_from(STAGES), token=tokens),
    anything(kind=st.just("head"), block=numbers, head=numbers, stage=st.sampled_from(STAGES), query=numbers, key=numbers),
    anything(kind=st.just("product"), block=numbers, head=numbers, query=numbers, key=numbers),
    anything(kind=st.just("neuron"), block=numbers, neuron=numbers, token=tokens),
)


@calm
@given(locations)
def test_a_location_survives_its_text(place: Location) -> None:
    assert parse(str(place)) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("model", Location()),
        ("model[L3]@4", Location(select="L3", token=4)),
        ("model[output]", Location(select="output")),
        ("embed", Location("embed")),
        ("final@0", Location("final", token=0)),
        ("L5", Location("block", block=5)),
        ("L5[qkv]", Location("block", block=5, select="qkv")),
        ("L5.ln2", Location("ln2", block=5)),
        ("L5.attn[1]", Location("attn", block=5, head=1)),
        ("heads[5.11]", Location("heads", block=5, head=11)),
        ("L5H1", Location("head", block=5, head=1)),
        ("L5H1:qk@4", Location("head", block=5, head=1, stage="qk", token=4)),
        ("L5H1:softmax[7,3]", Location("head", block=5, head=1, query=7, key=3)),
        ("L5H1[7,3]", Location("product", block=5, head=1, query=7, key=3)),
        ("L5.mlp", Location("mlp", block=5)),
        ("L5.mlp[417]@2", Location("neuron", block=5, neuron=417, token=2)),
        ("L5.mlp:post[417]@2", Location("mlp", block=5, neuron=417, token=2)),
        ("L5.mlp:pre[417]", Location("mlp", block=5, neuron=417, face="pre")),
        ("L5.mlp:added", Location("mlp", block=5, face="added")),
        ("embed:nearest[3]@2", Location("embed", element=3, face="nearest", token=2)),
        ("L5.ln2[17]", Location("ln2", block=5, element=17)),
        ("final[17]", Location("final", element=17)),
        ("L5.qkv[300]", Location("qkv", block=5, element=300)),
        ("L5.proj:matrix[17,30]", Location("proj", block=5, source=17, element=30, face="matrix")),
        ("heads:induction.25[5.11]", Location("heads", block=5, head=11, face="induction", least=25)),
        ("residual[L3.attn]@2", Location("residual", select="L3.attn", token=2)),
        ("residual[pos]", Location("residual", select="pos")),
        ("direct[L4H3]@2", Location("direct", select="L4H3", token=2)),
        ("lens:rank[L4]@2", Location("lens", select="L4", face="rank", token=2)),
        ("effects[L4.mlp]@2", Location("effects", select="L4.mlp", token=2)),
        ("effects:edges@3", Location("effects", face="edges", token=3)),
        ("direct:order[always]", Location("direct", select="always", face="order")),
    ],
)
def test_the_grammar(text: str, place: Location) -> None:
    assert parse(text) == place
    assert str(place) == text


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("model[L0]", "model"),
        ("L5[attn]", "L5"),
        ("L5.attn[0]", "L5.attn"),
        ("heads[0.0]", "heads"),
        ("heads[L5H11]", "heads[5.11]"),
        ("heads:order", "heads"),
        ("heads:induction.0", "heads:induction"),
        ("embed:sum", "embed"),
        ("L5.qkv:strips[3]", "L5.qkv[3]"),
        ("L5.mlp:post", "L5.mlp"),
        ("residual[embed]", "residual"),
        ("L5H1:softmax", "L5H1"),
        ("L5H1[7,3]@7", "L5H1[7,3]"),
        (" output ", "output"),
    ],
)
def test_the_canonical_text_is_the_shorter(long: str, short: str) -> None:
    assert str(parse(long)) == short


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' isn't a Location; give a place like model, L5,"),
        ("nonsense", "'nonsense' isn't a Location"),
        ("L", "isn't a Location"),
        ("L05", "isn't a Location"),
        ("L-1", "isn't a Location"),
        ("l5", "isn't a Location"),
        ("L5@", "isn't a Location"),
        ("L5@-1", "isn't a Location"),
        ("L5@1@2", "isn't a Location"),
        ("L5H1[7,3", "isn't a Location"),
        ("L5H1:relu", "a head has no stage relu; its stages are qk, scaled, masked, softmax, values."),
        ("L12345678", "isn't a Location"),
        ("L1\u0663", "isn't a Location"),
        ("model\nL5", r"'model\nL5' isn't a Location"),
        ("x" * 500, "xxx…' isn't a Location"),
        ("L5:qk", "only a head has stages, as in L5H1:qk"),
        ("output:softmax", "only a head has stages"),
        ("embed:qk", "that view has no face qk; it has sum, nearest."),
        ("L5:relu", "that view has no face relu or any other."),
        ("heads:order.5", "only a measure of the atlas has a least percentage, as in heads:induction.25."),
        ("heads:self.101", "only a measure of the atlas has a least percentage"),
        ("L5H1:qk.5", "only the atlas has a least percentage"),
        ("L5.ln1[3,4]", "give L5.ln1[17]."),
        ("L5.qkv[x]", "give L5.qkv[300] or L5.qkv[17,300]."),
        ("residual[L3]", "give residual[L3.attn]."),
        ("L5H1[7]", "hold a query and a key, as in L5H1[7,3]"),
        ("L5H1:qk[a,b]", "hold a query and a key"),
        ("L5H1[7,3]@4", "the query, 7, is the selected token already; leave @4 out"),
        ("model[heads]", "[heads] names nothing in that view; give model[L3]"),
        ("heads[5]", "give heads[5.7]"),
        ("L5[head]", "give L5[resid_pre] L5[ln1]"),
        ("L5.attn[x]", "give L5.attn[1]"),
        ("L5.mlp[x]", "give L5.mlp[417]"),
        ("embed[3,1]", "[3,1] names nothing in that view"),
        ("output[2]", "[2] names nothing in that view"),
    ],
)
def test_what_is_no_location_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(LocationError) as caught:
        parse(text)
    sentence = str(caught.value)
    assert says in sentence
    assert sentence.endswith((".", "token 4."))
    assert "\n" not in sentence
    assert len(sentence) < 260


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("l5h1", "L5H1"),
        ("L5.H1", "L5H1"),
        ("L5h1:soft[7,3]", "L5H1:softmax[7,3]"),
        ("L5H1 [7,3]", "L5H1[7,3]"),
        ("L05H01", "L5H1"),
        ("5.11", "L5H11"),
        ("Output", "output"),
        ("modle[l3]@4", "model[L3]@4"),
        ("L5.attention", "L5.attn"),
        ("L5.MLP[417]", "L5.mlp[417]"),
    ],
)
def test_a_slip_of_the_fingers_is_answered_with_the_nearest_place(text: str, meant: str) -> None:
    with pytest.raises(LocationError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"'{text}' isn't a Location, but {meant} is; give a place like model, ")


@pytest.mark.parametrize("text", ["", "nonsense", "L-1", "L5@", "L1\u0663", "l5.attn[x]", "L" * 500])
def test_what_is_near_to_nothing_gets_no_suggestion(text: str) -> None:
    with pytest.raises(LocationError) as caught:
        parse(text)
    assert "isn't a Location; give" in str(caught.value)


@pytest.mark.parametrize("text", ["model[" + "x" * 500 + "]", "L5[" + "é" * 80 + "]", "L5.attn[" + "9" * 500 + "]"])
def test_a_sentence_stays_short_and_plain_whatever_was_typed(text: str) -> None:
    with pytest.raises(LocationError) as caught:
        parse(text)
    assert len(str(caught.value)) < 260
    assert str(caught.value).replace("…", "").isascii()


@calm
@given(st.text(alphabet="modelhasLH0123456789[],.:@qk\u0663", max_size=14))
def test_any_text_is_a_location_or_a_sentence(text: str) -> None:
    try:
        place = parse(text)
    except LocationError:
        return
    assert parse(str(place)) == place


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("L9", "L9: there is no block 9; storyteller has blocks L0 to L5."),
        ("model[L6]", "there is no block 6"),
        ("heads[6.1]", "there is no block 6"),
        ("L5.ln1@8", "there is no token 8; the prompt's tokens go from 0 to 7."),
        ("L5H16", "there is no head 16; storyteller has heads H0 to H15 in each block."),
        ("L5.attn[16]", "there is no head 16"),
        ("L5.mlp[512]", "there is no neuron 512; each block of storyteller has neurons 0 to 511."),
        ("L5H1[8,3]", "there is no token 8"),
        ("L5H1:qk[3,8]", "there is no token 8"),
        ("residual[L6.mlp]", "there is no block 6"),
        ("direct[L6.mlp]", "there is no block 6"),
        ("effects[L6.mlp]", "there is no block 6"),
        ("effects:sorted[L2H16]", "there is no head 16"),
        ("direct[L2H16]", "there is no head 16"),
        ("lens[L6]", "there is no block 6"),
        ("embed[256]", "there is no element 256; the vector's elements go from 0 to 255."),
        ("L5.qkv[768]", "there is no element 768; the vector's elements go from 0 to 767."),
        ("L5.proj[256]", "there is no element 256"),
        ("L5.qkv[256,3]", "there is no input 256; the inputs go from 0 to 255."),
        ("L5.mlp:post[512]", "there is no neuron 512"),
    ],
)
def test_what_the_model_or_the_prompt_lacks_is_named(text: str, says: str) -> None:
    with pytest.raises(LocationError) as caught:
        check(parse(text), STORYTELLER)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text", ["model[L5]@7", "heads[5.15]", "L5H15:qk[0,7]", "L5H15[7,7]", "L5.mlp[511]@7", "output", "L5.qkv[255,767]", "L5.proj[255]"]
)
def test_the_last_of_everything_exists(text: str) -> None:
    check(parse(text), STORYTELLER)
    assert clamp(parse(text), STORYTELLER) == parse(text)


@calm
@given(locations, all_dims)
def test_the_nearest_place_exists_and_is_its_own_nearest(place: Location, dims: Dims) -> None:
    near = clamp(place, dims)
    check(near, dims)
    assert clamp(near, dims) == near
    assert parse(str(near)) == near
    assert near.kind == place.kind
    try:
        check(place, dims)
    except LocationError:
        assert near != place
    else:
        assert near == place


def test_the_nearest_is_the_last_there_is() -> None:
    assert str(clamp(parse("L9H99:qk[30,2]"), STORYTELLER)) == "L5H15:qk[7,2]"
    assert str(clamp(parse("model[L9]@99"), STORYTELLER)) == "model[L5]@7"
    assert str(clamp(parse("model[L9]"), Dims(1, 1, 1, 1))) == "model"
    assert str(clamp(parse("L9.mlp[9999]"), STORYTELLER)) == "L5.mlp[511]"


@calm
@given(locations, all_dims)
def test_the_selected_token_is_one_of_the_prompts(place: Location, dims: Dims) -> None:
    near = clamp(place, dims)
    wanted = near.query if near.query is not None else near.token
    assert near.token_index(dims.n_tokens) == (dims.n_tokens - 1 if wanted is None else wanted)
    query, key = near.cursor(dims.n_tokens)
    assert query == near.token_index(dims.n_tokens)
    assert key == (query if near.key is None else near.key)


def test_four_enters_lead_from_the_model_to_the_product() -> None:
    places, memory = [parse("model[L3]@6")], Memory(head=5)
    for _ in range(4):
        memory = remembered(memory, places[-1])
        places.append(zoom_in(places[-1], memory, STORYTELLER))
        memory = replace(remembered(memory, places[-1]), head=5)
    assert [str(place) for place in places] == ["model[L3]@6", "L3@6", "L3.attn[5]@6", "L3H5@6", "L3H5[6,6]"]


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ("model[embed]@2", "embed@2"),
        ("model", "L0"),
        ("model[final]", "final"),
        ("model[output]", "output"),
        *((f"L5[{tile}]@1", f"L5.{tile}@1") for tile in ("ln1", "qkv", "proj", "ln2")),
        *((f"L5[{tile}]", "L5.mlp") for tile in ("fc", "act", "out")),
        ("L5", "L5.attn"),
        ("heads[5.11]", "L5H11"),
        ("L5H1:qk[7,3]", "L5H1[7,3]"),
        ("L5H1:values[2,6]", "L5H1[2,6]"),
        ("L5.mlp:pre[3]@3", "L5.mlp[3]@3"),
        ("heads:first.10[5.11]", "L5H11"),
    ],
)
def test_out_is_the_way_back_from_in(place: str, inside: str) -> None:
    before = parse(place)
    memory = remembered(Memory(), before)
    entered = zoom_in(before, memory, STORYTELLER)
    assert str(entered) == inside
    assert zoom_out(entered, remembered(memory, entered)) == before


@calm
@given(locations, all_dims)
def test_out_of_anywhere_in_again_is_the_way_back(place: Location, dims: Dims) -> None:
    place = clamp(place, dims)
    memory = remembered(Memory(), place)
    inside = zoom_in(place, memory, dims)
    check(inside, dims)
    assert inside.token_index(dims.n_tokens) == place.token_index(dims.n_tokens)
    back = zoom_out(inside, remembered(memory, inside))
    if inside == place or isinstance(PLACES[place.kind], LookedUp):  # whose parts lead to pages that other places hold
        return
    if place.kind == "mlp" and place.neuron is None:
        back = replace(back, neuron=None)
    if place.kind == "head" and place.query is None:  # the way in has put the cursor where it showed
        assert (back.query, back.key) == place.cursor(dims.n_tokens)
        back = replace(back, query=None, key=None, token=place.token)
    assert back == place


@calm
@given(locations, all_dims)
def test_in_again_after_out_is_the_way_back(place: Location, dims: Dims) -> None:
    place = clamp(place, dims)
    if place.kind in ("model", "heads") or isinstance(PLACES[place.kind], LookedUp):  # Enter doesn't lead to these
        return
    memory = remembered(Memory(), place)
    outside = zoom_out(place, memory)
    assert outside.token_index(dims.n_tokens) == place.token_index(dims.n_tokens)
    assert zoom_in(outside, remembered(memory, outside), dims) == place


def test_a_cursor_returns_with_its_query_only() -> None:
    memory = remembered(Memory(), parse("L3H5:qk[4,2]"))
    assert str(zoom_in(parse("L3.attn[5]@4"), memory, STORYTELLER)) == "L3H5:qk[4,2]"
    assert str(zoom_in(parse("heads[1.6]@4"), memory, STORYTELLER)) == "L1H6:qk[4,2]"
    assert str(zoom_in(parse("L3.attn[5]@3"), memory, STORYTELLER)) == "L3H5:qk@3"
    assert str(zoom_in(parse("L3.attn[5]"), memory, STORYTELLER)) == "L3H5:qk"
    uncursored = remembered(memory, parse("L3H5:qk@4"))
    assert str(zoom_in(parse("L3.attn[5]@4"), uncursored, STORYTELLER)) == "L3H5:qk@4"


def test_a_memory_of_a_larger_model_leads_to_what_exists() -> None:
    memory = Memory(head=99, neuron=9999, cursor=(7, 99))
    assert str(zoom_in(parse("L5.attn[1]"), memory, STORYTELLER)) == "L5H1:softmax[7,7]"
    assert str(zoom_in(parse("L5"), memory, STORYTELLER)) == "L5.attn[15]"
    assert str(zoom_in(parse("L5.mlp"), memory, STORYTELLER)) == "L5.mlp[511]"


@pytest.mark.parametrize("tile", ["resid_pre", "add1", "add2"])
def test_a_tile_without_an_inside_stays(tile: str) -> None:
    place = parse(f"L5[{tile}]@2")
    assert zoom_in(place, Memory(), STORYTELLER) == place


@pytest.mark.parametrize("text", ["embed", "L5.ln1", "L5.qkv@1", "L5H1[7,3]", "L5.mlp[3]", "final", "output"])
def test_the_innermost_places_stay(text: str) -> None:
    assert zoom_in(parse(text), Memory(), STORYTELLER) == parse(text)


def test_out_of_the_model_is_the_model() -> None:
    assert zoom_out(parse("model[L3]@2"), Memory()) == parse("model[L3]@2")


@calm
@given(locations)
def test_the_breadcrumb_leads_from_the_model_to_the_place(place: Location) -> None:
    steps = breadcrumb(place)
    assert steps[0][0] == "model"
    assert steps[0][1].kind == "model"
    assert steps[-1][1] == place
    assert len(steps) <= 5
    for name, step in steps:
        assert parse(name).kind == step.kind
        assert parse(str(step)) == step


def test_the_breadcrumb_of_a_product() -> None:
    steps = breadcrumb(parse("L3H5[7,3]"))
    assert [name for name, _ in steps] == ["model", "L3", "L3.attn", "L3H5", "L3H5[7,3]"]
    assert [str(step) for _, step in steps] == ["model[L3]@7", "L3@7", "L3.attn[5]@7", "L3H5:softmax[7,3]", "L3H5[7,3]"]


def stream_of(place: Location) -> Location:
    """The residual stream as it opens from a place."""
    residual = PLACES["residual"]
    assert isinstance(residual, LookedUp)
    return residual.seen_from(place, Dims(6, 8, 1024, 16))


@calm
@given(locations, all_dims)
def test_the_residual_stream_is_of_the_same_token_and_its_part_exists(place: Location, dims: Dims) -> None:
    place = clamp(place, dims)
    stream = stream_of(place)
    check(stream, dims)
    assert stream.kind == "residual"
    assert stream.token_index(dims.n_tokens) == place.token_index(dims.n_tokens)


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("L3H5[6,2]", "residual[L3.attn]@6"),
        ("L3.ln1", "residual[L3.attn]"),
        ("L3[ln2]", "residual[L3.mlp]"),
        ("L3[proj]@1", "residual[L3.attn]@1"),
        ("L3.mlp[7]", "residual[L3.mlp]"),
        ("model[L2]", "residual[L2.attn]"),
        ("model[final]", "residual"),
        ("output@2", "residual@2"),
    ],
)
def test_the_residual_stream_opens_where_one_is(place: str, part: str) -> None:
    assert str(stream_of(parse(place))) == part


def test_every_face_has_a_text_of_its_own() -> None:
    for kind, faces in FACES.items():
        texts = {str(Location(kind, face=face)) for face in (None, *faces[1:])}
        assert len(texts) == len(faces)


@pytest.mark.parametrize("kind", FACES)
def test_the_usual_face_goes_without_saying(kind: str) -> None:
    assert Location(kind, face=FACES[kind][0]) == Location(kind)
    assert Location(kind, face=FACES[kind][1]) != Location(kind)
