"""The states of a session: its keys, its command line, and that no walk through it leaves what exists."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.test_changes import changes
from tests.examples import examples
from tests.explorer.test_location import STORYTELLER, locations
from txexplain.cli import app, cli
from txexplain.cli.asked import Changes, Sampling, Source
from txexplain.cli.views import View
from txexplain.engine.sampling import check_settings
from txexplain.errors import LocationError
from txexplain.explorer.location import STAGES, Dims, check, parse
from txexplain.explorer.state import FLOWS, MODES, STOPS, Appended, ExplorerState, from_flags

calm = examples(150)
VOCABULARY = 500


@pytest.fixture(autouse=True, scope="module")
def default_model() -> Iterator[None]:
    """The environment can name another default model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TXEXPLAIN_MODEL", raising=False)
        yield


def at(text: str, **flags: Any) -> ExplorerState:
    return from_flags(at=text, **flags)


def keyed(state: ExplorerState, *keys: Callable[[ExplorerState], ExplorerState]) -> list[ExplorerState]:
    states = [state]
    for key in keys:
        states.append(key(states[-1]))
    return states


# Where a command line leads

printable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
names = st.text(alphabet="abc-/. '\"", min_size=1, max_size=8)
warm = st.floats(0.001, 100, allow_nan=False).map(lambda t: round(t, 6)) | st.sampled_from(STOPS[1:])


@st.composite
def states(draw: st.DrawFn) -> ExplorerState:
    """Any state that a session can show; what the command line has no flag for (k outside top-k, …) is at its default."""
    mode = draw(st.sampled_from(MODES))
    trace = draw(st.none() | names)  # brings its own model and prompt
    ids = None if trace else draw(st.none() | st.lists(st.integers(0, 50256), min_size=1, max_size=5).map(tuple))
    state = ExplorerState(
        model="storyteller" if trace else draw(st.just("storyteller") | names),
        revision=None if trace else draw(st.none() | names),
        ids=ids,
        trace=trace,
        location=draw(locations),
        temperature=0.0 if mode == "greedy" else draw(warm),
        mode=mode,
        seed=draw(st.integers(0, 2**40)),
        flow=draw(st.sampled_from(FLOWS)),
    )
    if ids is None and trace is None:
        state = replace(state, prompt=draw(st.just(state.prompt) | printable | st.sampled_from(["predict", "--help", "-", "a\nb", "-- x"])))
    if mode == "top-k":
        state = replace(state, k=draw(st.integers(1, 60000)))
    if mode == "top-p":
        state = replace(state, p=draw(st.floats(0.001, 1)))
    token = st.none() | st.sampled_from([" Anna", "#464", "-x", "--at"])
    state = replace(state, answer=draw(token), against=draw(token))
    if trace is None:
        edits = tuple(draw(st.lists(changes(), max_size=4)))
        other = draw(st.just({"other": "A prompt"}) | st.just({"other_ids": (1, 2)})) if any(each.from_other for each in edits) else {}
        state = replace(state, edits=edits, **other)
    return state


def through_click(arguments: list[str]) -> ExplorerState:
    """What the app's own command makes of arguments, without a model to hold the place against."""
    name, rest = cli.route(arguments)
    assert name == ""
    with app.make_context("txexplain", list(rest)) as context:
        values = context.params
        source, sampling, view = collected(values)
        made = Changes.of(**{name: values[name] for name in ("ablate", "cut", "patch", "other", "other_ids")})
    return from_flags(
        model=source.model, revision=source.revision, prompt=source.text, ids=source.ids, at=view.at, temperature=sampling.temperature,
        top_k=sampling.top_k, top_p=sampling.top_p, seed=view.seed, flow=view.flow, trace=source.trace,
        edits=made.edits, other=made.other, other_ids=made.other_ids, answer=view.answer, against=view.against,
    )  # fmt: skip


def collected(values: dict[str, Any]) -> tuple[Source, Sampling, View]:
    def take(*names: str) -> dict[str, Any]:
        return {name: values[name] for name in names}

    return (
        Source(**take("prompt", "prompt_text", "file", "ids", "model", "revision", "trace")),
        Sampling.of(**take("temperature", "top_k", "top_p", "greedy")),
        View(**take("at", "seed", "flow", "theme", "ascii", "color", "answer", "against")),
    )


@calm
@given(states())
def test_a_state_survives_its_command_line(state: ExplorerState) -> None:
    arguments = state.arguments()
    assert through_click(arguments) == state
    assert shlex.split(state.command_line()) == ["txexplain", *arguments]


def test_a_default_needs_no_flag_but_the_model_s() -> None:
    assert ExplorerState().arguments() == ["--model", "storyteller"]
    assert at("model").command_line() == "txexplain --model storyteller"


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ({"at": "L5H1:softmax"}, ["--at", "L5H1"]),
        ({"temperature": 0.8, "top_k": 40}, ["--temperature", "0.8", "--top-k", "40"]),
        ({"top_p": 0.95}, ["--top-p", "0.95"]),
        ({"temperature": 0}, ["--greedy"]),
        ({"greedy": True}, ["--greedy"]),
        ({"ids": (1, 2, 3)}, ["--ids", "1,2,3"]),
        ({"prompt": "predict"}, ["--prompt", "predict"]),
        ({"model": "gpt2", "revision": "main"}, ["--model", "gpt2", "--revision", "main"]),
        ({"seed": 7, "flow": "rollout"}, ["--seed", "7", "--flow", "rollout"]),
        (
            {"edits": [("--patch", "L4H3"), ("--ablate", "L5H1=mean"), ("--cut", "[7,3]")], "other": "x"},
            ["--patch", "L4H3", "--ablate", "L5H1", "--cut", "[7,3]", "--from", "x"],
        ),
        ({"answer": " Anna", "against": "#464"}, ["--answer", " Anna", "--against", "#464"]),
        ({"trace": "a b.safetensors"}, ["--trace", "a b.safetensors"]),
    ],
)
def test_the_arguments_of_a_state(flags: dict[str, Any], arguments: list[str]) -> None:
    model = [] if "model" in flags or "trace" in flags else ["--model", "storyteller"]
    assert from_flags(**flags).arguments() == [*model, *arguments]


def test_flags_that_clash_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one of --top-k, --top-p and --greedy"):
        from_flags(top_k=5, top_p=0.9)
    with pytest.raises(ValueError, match=r"one of --top-k"):
        from_flags(top_k=5, greedy=True)
    with pytest.raises(LocationError, match="'L5H' isn't a Location"):
        from_flags(at="L5H")


# Temperature and sampling


def test_the_stops() -> None:
    """0, 0.05, by tenths to 2, by halves to 10: each key goes to the neighbour, and the ends hold."""
    expected = [0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2]
    expected += [2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10]
    up = keyed(ExplorerState().at_temperature(0), *[ExplorerState.warmer] * len(expected))
    assert [state.temperature for state in up] == [*expected, 10]
    down = keyed(up[-1], *[ExplorerState.cooler] * len(expected))
    assert [state.temperature for state in down] == [*reversed(expected), 0]


@pytest.mark.parametrize(("start", "cooler", "warmer"), [(0.83, 0.8, 0.9), (2.25, 2, 2.5), (0.01, 0, 0.05), (0.07, 0.05, 0.1)])
def test_a_temperature_between_stops_goes_to_a_neighbour(start: float, cooler: float, warmer: float) -> None:
    state = from_flags(temperature=start)
    assert state.temperature == start
    assert (state.cooler().temperature, state.warmer().temperature) == (cooler, warmer)


@pytest.mark.parametrize(
    ("start", "cooler", "warmer"), [(1.0, 0, 2), (0.8, 0, 1.8), (0, 0, 1), (9.5, 8.5, 10), (10, 9, 10), (1.1, 0.1, 2.1), (20, 19, 20)]
)
def test_whole_units_are_bounded(start: float, cooler: float, warmer: float) -> None:
    state = from_flags(temperature=start)
    assert (state.cooler_unit().temperature, state.warmer_unit().temperature) == (cooler, warmer)


def test_a_key_for_warmer_never_cools() -> None:
    hot = from_flags(temperature=20)
    assert hot.warmer().temperature == 20
    assert hot.cooler().temperature == 10


@pytest.mark.parametrize("flags", [{"temperature": 0.8, "top_k": 7}, {"temperature": 1.3, "top_p": 0.5}, {"temperature": 0.3}])
def test_temperature_zero_is_greedy_and_warming_returns_the_mode(flags: dict[str, Any]) -> None:
    before = from_flags(**flags)
    greedy = before.at_temperature(0)
    assert (greedy.temperature, greedy.mode) == (0, "greedy")
    assert greedy.cooler() == greedy
    assert (greedy.warmer().temperature, greedy.warmer().mode) == (0.05, before.mode)
    assert greedy.cooler().warmer().mode == before.mode
    assert (greedy.reset_temperature().temperature, greedy.reset_temperature().mode) == (1.0, before.mode)


@pytest.mark.parametrize(("flags", "flag"), [({"top_k": 7}, ["--top-k", "7"]), ({"top_p": 0.5}, ["--top-p", "0.5"]), ({}, [])])
def test_flags_for_greedy_keep_the_mode_that_warming_leads_to(flags: dict[str, Any], flag: list[str]) -> None:
    state = from_flags(temperature=0, **flags)
    assert state.arguments() == ["--model", "storyteller", "--greedy"]
    assert state.warmer().arguments() == ["--model", "storyteller", "--temperature", "0.05", *flag]


def test_greedy_by_its_flag_keeps_the_temperature_that_s_leads_to() -> None:
    assert from_flags(greedy=True, temperature=0.8).cycle_mode().temperature == 0.8
    assert from_flags(greedy=True).cycle_mode().temperature == 1.0


def test_the_modes_take_turns_and_the_temperature_returns() -> None:
    turn = keyed(from_flags(temperature=0.7), *[ExplorerState.cycle_mode] * 4)
    assert [(state.mode, state.temperature) for state in turn] == [
        ("full", 0.7), ("top-k", 0.7), ("top-p", 0.7), ("greedy", 0.0), ("full", 0.7),
    ]  # fmt: skip


def test_what_sampling_is_asked_for() -> None:
    assert from_flags(temperature=0.8, top_k=7).sampling == {"temperature": 0.8, "top_k": 7, "top_p": None}
    assert from_flags(top_p=0.5).sampling == {"temperature": 1.0, "top_k": None, "top_p": 0.5}
    assert from_flags(greedy=True).sampling == {"temperature": 0.0, "top_k": None, "top_p": None}
    assert from_flags().sampling == {"temperature": 1.0, "top_k": None, "top_p": None}


@pytest.mark.parametrize(
    ("flags", "less", "more"),
    [
        ({"top_k": 5}, 4, 6),
        ({"top_k": 1}, 1, 2),
        ({"top_k": VOCABULARY}, VOCABULARY - 1, VOCABULARY),
        ({"top_p": 0.9}, 0.85, 0.95),
        ({"top_p": 0.93}, 0.9, 0.95),
        ({"top_p": 1.0}, 0.95, 1.0),
        ({"top_p": 0.05}, 0.01, 0.1),
        ({"top_p": 0.01}, 0.01, 0.05),
        ({"top_p": 0.003}, 0.003, 0.05),
    ],
)
def test_less_and_more(flags: dict[str, Any], less: float, more: float) -> None:
    state = from_flags(**flags)
    field = "k" if state.mode == "top-k" else "p"
    assert getattr(state.adjust(-1, VOCABULARY), field) == less
    assert getattr(state.adjust(1, VOCABULARY), field) == more


@pytest.mark.parametrize("flags", [{}, {"greedy": True}])
def test_without_k_or_p_there_is_nothing_to_adjust(flags: dict[str, Any]) -> None:
    assert from_flags(**flags).adjust(1, VOCABULARY) == from_flags(**flags)


# The prompt


def test_what_is_appended_can_be_taken_back() -> None:
    state = from_flags(prompt="Once").with_ids([5, 6])
    longer = state.append(7, "drawn").append(8, "chosen")
    assert longer.ids == (5, 6, 7, 8)
    assert longer.appended == (Appended(7, "drawn"), Appended(8, "chosen"))
    assert longer.undo().ids == (5, 6, 7)
    assert longer.undo().appended == (Appended(7, "drawn"),)
    assert longer.undo().undo().undo() == state
    assert state.undo() == state


def test_a_token_needs_ids_to_stand_behind() -> None:
    with pytest.raises(AssertionError):
        from_flags(prompt="Once").append(7, "drawn")


def test_a_new_prompt_replaces_what_was_appended() -> None:
    state = from_flags().with_ids([5]).append(7, "drawn").with_prompt("Upon")
    assert (state.prompt, state.ids, state.appended) == ("Upon", None, ())


def test_seed_and_flow() -> None:
    assert from_flags(seed=7).reseed().seed == 8
    assert [state.flow for state in keyed(from_flags(), *[ExplorerState.toggle_flow] * 2)] == ["norms", "rollout", "norms"]


# Moving


@pytest.mark.parametrize(
    ("start", "dx", "dy", "end"),
    [
        ("model", -1, 0, "model[embed]"),
        ("model[embed]", -1, 0, "model[embed]"),
        ("model", 1, 0, "model[L1]"),
        ("model[L5]", 1, 0, "model[final]"),
        ("model[final]", 1, 0, "model[output]"),
        ("model[output]", 1, 0, "model[output]"),
        ("model[output]", -1, 0, "model[final]"),
        ("model", 0, -1, "model@6"),
        ("model@0", 0, -1, "model@0"),
        ("model@6", 0, 1, "model"),
        ("L5", 1, 0, "L5[proj]"),
        ("L5[resid_pre]", -1, 0, "L5[resid_pre]"),
        ("L5[add2]", 1, 0, "L5[add2]"),
        ("L5[qkv]", 1, 0, "L5"),
        ("L5.attn[3]", 1, 0, "L5.attn[4]"),
        ("L5.attn[3]", 0, 1, "L5.attn[7]"),
        ("L5.attn[3]", 0, -1, "L5.attn[3]"),
        ("L5.attn[15]", 1, 0, "L5.attn[15]"),
        ("heads[5.11]", 1, 0, "heads[5.12]"),
        ("heads[5.11]", 0, -1, "heads[4.11]"),
        ("heads[5.15]", 1, 1, "heads[5.15]"),
        ("L5H1", -1, 0, "L5H1:softmax[7,6]"),
        ("L5H1:qk@4", 0, 1, "L5H1:qk[5,4]"),
        ("L5H1:qk[7,3]", 0, 1, "L5H1:qk[7,3]"),
        ("L5H1[3,3]", 1, 0, "L5H1[3,4]"),
        ("L5H1[0,3]", 0, -1, "L5H1[0,3]"),
        ("L5.mlp[0]", -1, 0, "L5.mlp[0]"),
        ("L5.mlp[511]", 1, 0, "L5.mlp[511]"),
        ("L5.mlp[417]", 1, 0, "L5.mlp[418]"),
        ("L5.mlp[417]", 0, -1, "L5.mlp[417]@6"),
        ("L5.ln1@2", 0, 1, "L5.ln1@3"),
        ("embed", 1, 0, "embed[0]"),
        ("embed[17]", -1, 0, "embed[16]"),
        ("embed[255]", 1, 0, "embed[255]"),
        ("L5.qkv[300]", 1, 0, "L5.qkv[301]"),
        ("L5.qkv[300]@2", 0, -1, "L5.qkv[300]@1"),
        ("L5.qkv:matrix[17,300]", 0, 1, "L5.qkv:matrix[18,300]"),
        ("L5.proj:matrix", 0, 1, "L5.proj:matrix[1,0]"),
        ("residual", 0, 1, "residual[pos]"),
        ("residual[pos]", 0, 1, "residual[L0.attn]"),
        ("residual[L0.mlp]", 0, -1, "residual[L0.attn]"),
        ("residual[L5.mlp]", 0, 1, "residual[L5.mlp]"),
        ("residual", 0, -1, "residual"),
        ("residual[L2.mlp]@4", -1, 0, "residual[L2.mlp]@3"),
        ("L5.mlp", -1, 0, "L5.mlp@6"),
        ("final@2", 0, 1, "final@3"),
        ("output@2", 0, 1, "output@2"),
        ("output", 0, -1, "output"),
        ("output", 1, 0, "output"),
    ],
)
def test_the_arrows(start: str, dx: int, dy: int, end: str) -> None:
    assert str(at(start).move(dx, dy, STORYTELLER).location) == end


def test_the_last_token_follows_the_end() -> None:
    state = at("model@6").move(0, 1, STORYTELLER)
    assert state.location.token_index(8) == 7
    assert state.location.token_index(9) == 8
    assert at("model@6").location.token_index(9) == 6


@pytest.mark.parametrize(
    ("start", "before", "after"),
    [
        ("L3", "L2", "L4"),
        ("L0.qkv", "L0.qkv", "L1.qkv"),
        ("L5H1:qk[7,3]", "L4H1:qk[7,3]", "L5H1:qk[7,3]"),
        ("heads[3.1]", "heads[2.1]", "heads[4.1]"),
        ("model", "model", "model[L1]"),
        ("model[L5]", "model[L4]", "model[L5]"),
        ("output", "output", "output"),
    ],
)
def test_the_neighbouring_block(start: str, before: str, after: str) -> None:
    assert str(at(start).step_block(-1, STORYTELLER).location) == before
    assert str(at(start).step_block(1, STORYTELLER).location) == after


@pytest.mark.parametrize(
    ("start", "before", "after"),
    [
        ("L3H15:qk", "L3H14:qk", "L3H0:qk"),
        ("L3.attn", "L3.attn[15]", "L3.attn[1]"),
        ("L3H5[7,3]", "L3H4[7,3]", "L3H6[7,3]"),
        ("L3", "L3", "L3"),
    ],
)
def test_the_neighbouring_head_goes_around(start: str, before: str, after: str) -> None:
    assert str(at(start).step_head(-1, STORYTELLER).location) == before
    assert str(at(start).step_head(1, STORYTELLER).location) == after


def test_the_stages_of_a_head_take_turns() -> None:
    turn = keyed(at("L3H5:qk[7,3]"), *[ExplorerState.next_stage] * len(STAGES))
    assert [state.location.stage for state in turn] == [*STAGES, STAGES[0]]
    assert all((state.location.query, state.location.key) == (7, 3) for state in turn)
    assert at("L3.attn").next_stage() == at("L3.attn")


def test_a_product_returns_to_the_stage_it_came_from() -> None:
    product = at("L3H5:values[7,3]").enter(STORYTELLER)
    assert str(product.location) == "L3H5[7,3]"
    assert str(product.step_head(1, STORYTELLER).out(STORYTELLER).location) == "L3H6:values[7,3]"


def test_a_head_returns_to_where_it_was_entered() -> None:
    assert str(at("heads[5.11]").enter(STORYTELLER).out(STORYTELLER).location) == "heads[5.11]"
    assert str(at("L5.attn[11]").enter(STORYTELLER).out(STORYTELLER).location) == "L5.attn[11]"


@pytest.mark.parametrize("start", ["L5H1:qk[6,3]", "L5H1:softmax[7,3]", "L5H1:qk[2,6]"])
def test_the_way_out_to_the_model_and_back_keeps_the_cursor(start: str) -> None:
    state = keyed(at(start), *[lambda state: state.out(STORYTELLER)] * 3)[-1]
    assert state.location.kind == "model"
    assert str(keyed(state, *[lambda state: state.enter(STORYTELLER)] * 3)[-1].location) == start


def test_a_tile_is_remembered_until_the_way_back() -> None:
    state = at("L3[act]").enter(STORYTELLER)
    assert state.location.kind == "mlp"
    assert str(state.out(STORYTELLER).location) == "L3[act]"
    assert str(state.out(STORYTELLER).out(STORYTELLER).enter(STORYTELLER).location) == "L3[act]"


def test_a_token_is_selected_everywhere() -> None:
    assert str(at("L3.ln1").select_token(2, STORYTELLER).location) == "L3.ln1@2"
    assert str(at("L3H5:qk[7,3]").select_token(2, STORYTELLER).location) == "L3H5:qk[2,3]"
    assert str(at("L3.ln1").select_token(99, STORYTELLER).location) == "L3.ln1"


def test_a_place_that_a_shorter_prompt_lacks_gives_way() -> None:
    short = Dims(6, 16, 512, 3)
    assert str(at("L3H5[7,3]").fit(short).location) == "L3H5[2,2]"
    state = at("L3H5[2,1]")
    assert state.fit(short) is state


steps = st.sampled_from(
    [
        *(lambda state, dims, dx=dx, dy=dy: state.move(dx, dy, dims) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))),
        *[lambda state, dims: state.enter(dims)] * 3,
        lambda state, dims: state.out(dims),
        *(lambda state, dims, by=by: state.step_block(by, dims) for by in (1, -1)),
        *(lambda state, dims, by=by: state.step_head(by, dims) for by in (1, -1)),
        lambda state, dims: state.next_stage(),
        lambda state, dims: state.select_token(1, dims),
        lambda state, dims: state.warmer(),
        lambda state, dims: state.cooler(),
        lambda state, dims: state.warmer_unit(),
        lambda state, dims: state.cooler_unit(),
        lambda state, dims: state.cycle_mode(),
        lambda state, dims: state.adjust(-1, VOCABULARY),
        lambda state, dims: state.adjust(1, VOCABULARY),
        lambda state, dims: state.reset_temperature(),
        lambda state, dims: state.reseed(),
        lambda state, dims: state.toggle_flow(),
        lambda state, dims: state.append(9, "drawn"),
        lambda state, dims: state.undo(),
    ]
)


@calm
@given(states(), st.lists(steps, max_size=40))
def test_no_walk_leaves_what_exists(state: ExplorerState, walk: list[Callable[[ExplorerState, Dims], ExplorerState]]) -> None:
    state = state.with_ids(state.ids or (1, 2, 3))
    for step in walk:
        assert state.ids is not None
        dims = Dims(3, 5, 7, len(state.ids), columns=2)
        state = step(state.fit(dims), dims)
        assert state.ids
        state = state.fit(replace(dims, n_tokens=len(state.ids)))
        check(state.location, replace(dims, n_tokens=len(state.ids)))
        assert parse(str(state.location)) == state.location
        check_settings(**state.sampling)
        assert (state.temperature == 0) == (state.mode == "greedy")
        assert len(state.appended) <= len(state.ids)
        assert through_click(state.arguments()).arguments() == state.arguments()


def test_the_arrows_go_along_a_sorted_list() -> None:
    neurons = replace(STORYTELLER, order=(7, 3, 5))
    assert str(at("L5.mlp").move(0, 1, neurons).location) == "L5.mlp:post[3]"
    assert str(at("L5.mlp:pre[3]").move(0, 1, neurons).location) == "L5.mlp:pre[5]"
    assert str(at("L5.mlp:pre[5]").move(0, 1, neurons).location) == "L5.mlp:pre[5]"
    assert str(at("L5.mlp").enter(neurons).location) == "L5.mlp[7]"
    heads = replace(STORYTELLER, order=(16 + 2, 3, 2 * 16), columns=2)
    assert str(at("heads:self[1.2]").move(1, 0, heads).location) == "heads:self[0.3]"
    assert str(at("heads:self[1.2]").move(0, 1, heads).location) == "heads:self[2.0]"
    assert str(at("heads:self[0.3]").move(0, 1, heads).location) == "heads:self[0.3]"
    assert str(at("heads:self[5.5]").move(0, 1, heads).location) == "heads:self[1.2]"


def test_faces_and_least_shares_go_around() -> None:
    state, seen = at("heads[5.11]"), []
    for _ in range(6):
        state = state.next_stage()
        seen.append(str(state.location))
    assert seen[0] == "heads:self[5.11]"
    assert seen[-1] == "heads[5.11]"
    state, cuts = at("heads:self"), []
    for _ in range(4):
        state = state.next_least()
        cuts.append(str(state.location))
    assert cuts == ["heads:self.10", "heads:self.25", "heads:self.50", "heads:self"]
    assert at("heads").next_least() == at("heads")
    assert str(at("L5.qkv[3]").next_stage().location) == "L5.qkv:matrix[3]"
    assert str(at("output").next_stage().location) == "output"


@pytest.mark.parametrize("place", ["L3H5:qk[6,2]", "model[L2]@3", "L5.mlp[7]@1", "output"])
def test_the_residual_stream_leads_back_to_where_it_was_looked_up(place: str) -> None:
    stream = at(place).look("residual", STORYTELLER)
    assert stream.location.kind == "residual"
    moved = stream.move(0, 1, STORYTELLER)
    assert str(moved.look("residual", STORYTELLER).location) == place
    assert str(moved.out(STORYTELLER).location) == place


def test_a_block_further_moves_two_parts_of_the_residual_stream() -> None:
    assert str(at("residual[L2.mlp]").step_block(1, STORYTELLER).location) == "residual[L3.mlp]"


def test_heads_of_a_product_stand_a_head_apart() -> None:
    assert str(at("L5.qkv[20]").step_head(1, STORYTELLER).location) == "L5.qkv[32]"
    assert str(at("L5.qkv[5]").step_head(-1, STORYTELLER).location) == "L5.qkv[752]"
