"""What must hold whatever was pressed: the screen, the Location and the state agree, and every number is a fresh run's.

`anyhow` may be asked at any time; `at_rest` once nothing is on its way. Both raise AssertionError with what doesn't hold.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from textual.strip import Strip
from textual.widgets._toast import Toast

from tests.monkey.world import World, flags_of
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import Surprise
from txexplain.errors import ExplainError, NotRecorded
from txexplain.explorer.choice import dims_of, distribution_of, found, work
from txexplain.explorer.contrast import contrast
from txexplain.explorer.history import Moment
from txexplain.explorer.lesson import state_of
from txexplain.explorer.location import breadcrumb, check, parse
from txexplain.explorer.reading import Reading
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.facts.effects import EffectsFacts
from txexplain.front.names import names_of
from txexplain.front.scenes import surprisal_of
from txexplain.text import clean
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.canvas import Canvas
from txexplain.viz.numbers import percent
from txexplain.viz.scene import Scene
from txexplain.viz.screen import Rect, paint_pane

App = ExplorerApp
NUMBER = re.compile(r"[<>]?[−-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[−-]?\d+)?%?")
PERCENT = re.compile(r">?\d[\d.]*(?:e[−-]?\d+)?%")
BLOCKS = "▏▎▍▌▋▊▉█▁▂▃▄▅▆▇░▒▓▀■·"
ROUNDED = 1e-5  # of the largest number: two ways to add up the same; each is as far from the sum in float64 (measured: 2e-6)


class Seen:
    """The Textual screen's own cells. Under a list or a page over it they wait until that is closed, and don't count."""

    def __init__(self, app: App) -> None:
        self.app = app
        base = app.screen_stack[0]
        self.strips: list[Strip] = base._compositor.render_strips()
        covers = [toast.region for toast in base.query(Toast)] + [app.editor.region] * bool(app.editor.display)
        self.covered = {y for region in covers for y in range(region.y, region.bottom)}
        if app.screen is not base or app._resize_event is not None:
            self.covered = set(range(app.size.height))

    def row(self, y: int, left: int = 0, right: int | None = None) -> str:
        return self.strips[y].crop(left, right).text if y < len(self.strips) else ""

    def pane(self, name: str) -> list[tuple[int, str]]:
        """A pane's rows that nothing covers, each with its number in the pane."""
        region = self.app.query_one(f"#{name}", Picture).region
        return [(y - region.y, self.row(y, region.x, region.right)) for y in range(region.y, region.bottom) if y not in self.covered]


def wanted(app: App, world: World) -> tuple[int, ...] | None:
    """The ids that the state asks about; None where the model can't take its prompt."""
    state = app.state
    if state.trace is not None:
        return None if app.result is None else tuple(app.result.trace.ids)
    model = world.model(state.model)
    try:
        ids = model.checked(list(state.ids)) if state.ids is not None else model.prompt_ids(state.prompt)
    except ExplainError:
        return None
    return tuple(ids) if len(ids) <= model.config.n_positions else None


def same_weights(a: GPT2, b: GPT2 | None) -> bool:
    """Whether two are one model; how it reads a prompt may be another since a key of the reader's."""
    return b is not None and a.checkpoint is b.checkpoint


def anyhow(app: App, world: World) -> Seen:
    """What holds at every moment."""
    assert app.is_running, "the app has ended"
    state, seen = app.state, Seen(app)
    assert parse(str(state.location)) == state.location, f"{state.location} reads back as another place"
    told = shlex.split(state.command_line())
    assert told == ["txexplain", *state.arguments()]
    again = from_flags(**flags_of(state))
    assert again == replace(state, prompt=again.prompt, ids=again.ids, k=again.k, p=again.p), "the state's command line says another state"
    assert again.arguments() == state.arguments()
    assert app.scene(*app.size).location == state.location
    rects = app.layout_of(*app.size)
    if "header" in rects and 0 not in seen.covered:
        crumb = f" {app.tones.glyphs.crumb} "
        labels = [label for label, _ in breadcrumb(state.location)]
        trails = [crumb.join(labels), *(crumb.join([app.tones.glyphs.ellipsis, *labels[cut:]]) for cut in range(1, len(labels)))]
        assert any(f" {trail} " in f"{seen.row(0)} " for trail in trails), f"the header says {seen.row(0)!r}, not {trails[0]}"
    if app.result is not None and "small" not in rects:
        ids = wanted(app, world)
        foreign = app.result.model is not None and not same_weights(app.result.model, world.models.get(state.model))
        if ids != tuple(app.result.trace.ids) or foreign:
            top = seen.row(0) + (seen.pane(app.session.filling)[0][1] if app.session.filling in rects else "")
            says = [f"computing{app.tones.glyphs.ellipsis}" in top, any("old: " in row for _, row in seen.pane("panel"))]
            assert any(says) or seen.covered or "blank" in rects, f"an old result is shown as current: {ids}, not {app.result.trace.ids}"
    return seen


def at_rest(app: App, world: World, rng: np.random.Generator, *, all_of_it: bool = False) -> str:
    """What holds once nothing is on its way. Returns what kind of look this was."""
    seen = anyhow(app, world)
    state = app.state
    ids = wanted(app, world)
    assert not app.running
    if app.session.arrival is None:
        assert app.model is None or same_weights(app.model, world.models.get(state.model)), "the model isn't the state's"
    if app.result is None:
        assert ids is None, f"there is no result, though there could be one: {app.session.message!r}"
        assert app.session.message, "there is no result, and nobody says why"
        pictures_shown(app, seen, app.scene(*app.size), {})
        return "without a result"
    assert ids is not None, "a prompt that the model can't read has a result"
    assert ids == tuple(app.result.trace.ids), "the result is another prompt's"
    assert app.session.candidate < max(1, app.result.config.vocab_size)
    fresh = world.result(state, ids)
    check(state.location, dims_of(fresh))
    if app.session.pane == "prompt":
        assert app.editor.display
        assert app.editor.whole == app.session.prompt_text(), "the editor holds another prompt"
    else:
        assert not app.editor.display
    scene = expected(app, world, fresh)
    assert not scene.stale
    rects = app.layout_of(*app.size)
    same = agrees(app.result, fresh, rng, all_of_it=all_of_it)
    names = set(rects) if all_of_it or rng.random() < 0.15 else {"stage", "panel"} & set(rects)
    # Where the last bits differ, what is as good as equal may stand either way round in a list: then the picture is the app's own run's.
    mine = Result(app.result.trace, app.result.model)
    mine.plain = app.result.plain
    drawn = scene if same else own_logits(expected(app, world, mine), app.scene(*app.size))
    pictures_shown(app, seen, drawn, {name: rects[name] for name in names}, exactly=same)
    if scene.distribution is not None and "panel" in rects:
        probability_shown(app, seen, scene, rng)
    return "small" if "small" in rects else "compared"


def agrees(mine: Result, fresh: Result, rng: np.random.Generator, *, all_of_it: bool) -> bool:
    """Whether the app's run is a fresh one's, to the last bit; raises where it isn't even nearly so."""
    names = fresh.trace.names
    assert set(mine.trace.names) == set(names), "the result has other tensors"
    same = all(np.array_equal(mine.trace[name], fresh.trace[name]) for name in names)
    for name in names if all_of_it or not same else {names[int(i)] for i in rng.integers(0, len(names), 3)}:
        a, b = mine.trace[name], fresh.trace[name]
        assert a.shape == b.shape, name
        size = np.abs(b[np.isfinite(b)]).max(initial=1)  # a small number that large ones make up is no more exact than they are
        assert (np.isclose(a, b, rtol=1e-4, atol=max(1e-4, ROUNDED * size)) | (a == b)).all(), f"{name} differs from a fresh run"
    return same


def own_logits(fresh: Scene, mine: Scene) -> Scene:
    """The fresh scene with the app's own logits, every one a fresh run's to rounding."""
    for a, b in ((mine.distribution, fresh.distribution), (mine.held, fresh.held)):
        assert (a is None) == (b is None)
        assert a is None or b is None or np.allclose(a.logits, b.logits, rtol=1e-4, atol=1e-4), "the logits aren't a fresh run's"
    return replace(fresh, distribution=mine.distribution, held=mine.held)


def expected(app: App, world: World, fresh: Result) -> Scene:
    """The scene with everything that was computed computed again; only what the reader did and the cost are the app's."""
    scene = app.scene(*app.size)
    state = scene.state

    def again(moment: Moment) -> Moment:
        setting = moment.seen_from(state)
        model = None if state.trace is not None else world.model(state.model)
        result = fresh if model is None else Result(model.forward(moment.ids, interventions=moment.run.interventions), model)
        distribution = distribution_of(result, setting)
        assert distribution is not None
        return replace(moment, logits=distribution.logits)

    past = again(app.session.history[-1 - app.session.back]) if app.session.back else None
    reading = scene.reading
    if reading is not None and reading.result is not None:
        reading = read_again(reading, world, state)
    surprisal: tuple[Surprise | None, ...] | None = None
    if scene.surprisal is not None:
        surprisal = surprisal_of(fresh)
    if scene.location.kind == "heads":
        assert scene.measured, "the heads aren't measured"
    return replace(
        scene, shown=fresh, distribution=distribution_of(fresh, state) if past is None else past.distribution, display=names_of(fresh),
        ribbons=ribbons_of(fresh, state.flow), surprisal=surprisal, held=None if scene.held is None else again(scene.held), reading=reading,
        contrast=contrast(state, fresh), found=found_again(fresh, app),
    )  # fmt: skip


def found_again(fresh: Result, app: App) -> Any:
    """What the present place shows and takes long, computed anew on a fresh run."""
    state, held = app.state, app.session.held
    left = work(fresh, state, held)
    for _ in left.steps(lambda: False) if left is not None else ():
        pass
    again, shown = found(fresh, state, held), app.scene(*app.size).found
    if isinstance(again, EffectsFacts):
        assert isinstance(shown, EffectsFacts), "a sweep is over, and there are no effects"
        assert shown.complete, "a sweep is over, and its effects aren't whole"
        assert np.allclose(shown.change, again.change, rtol=1e-3, atol=1e-3, equal_nan=True), "effects aren't a fresh sweep's"
    return again


def ribbons_of(fresh: Result, flow: str) -> tuple[NDArray[np.float64], ...] | None:
    try:
        return tuple(fresh.flow(flow))
    except NotRecorded:
        return None


def read_again(reading: Reading, world: World, state: ExplorerState) -> Reading:
    """A lesson's page with its run computed again."""
    assert reading.result is not None
    made_by = next((name for name, model in world.models.items() if model is reading.result.model), state.model)  # perhaps the one before
    asked = state_of(reading.page, replace(state, trace=None, model=made_by))
    result = world.result(asked, tuple(reading.result.trace.ids))
    return replace(reading, result=result, distribution=distribution_of(result, asked))


def pictures_shown(app: App, seen: Seen, scene: Scene, rects: dict[str, Rect], *, exactly: bool = True) -> None:
    """Each pane lies where the layout says, its cells stand on the Textual screen, and they are those that the scene gives."""
    for name in app.layout_of(*app.size):
        picture = app.query_one(f"#{name}", Picture)
        assert picture.display, f"{name} isn't there"
        region, canvas = picture.region, picture.canvas
        assert canvas is not None
        rect = app.layout_of(*app.size)[name]
        lies = (region.x, region.y, region.width, region.height)
        assert app.screen is not app.screen_stack[0] or lies == (rect.x, rect.y, rect.width, rect.height), f"{name} lies elsewhere"
        text = [clean(row) for row in canvas.text()]
        for y, row in seen.pane(name):
            assert clean(row) == text[y], f"{name}, row {y}: the screen says {row!r}, the picture {text[y]!r}"
        if name in rects:
            same_picture(name, canvas, paint_pane(name, scene, rects[name]), exactly=exactly)


def same_picture(name: str, shown: Canvas, drawn: Canvas, *, exactly: bool) -> None:
    """A picture is a fresh one's: to the last cell, or where the last bits of a run differ, to the last figure."""
    assert (shown.width, shown.height) == (drawn.width, drawn.height), name
    if exactly:
        spans = drawn.diff(shown)
        if spans:
            x, y, width = spans[0]
            had, has = shown.text()[y], drawn.text()[y]
            raise AssertionError(f"{name} isn't what a fresh run shows, row {y}, cells {x} to {x + width}: {had!r}, not {has!r}")
        return
    for y, (a, b) in enumerate(zip(shown.text(), drawn.text(), strict=True)):
        assert a == b or alike(a, b), f"{name} isn't what a fresh run shows, row {y}: {a!r}, not {b!r}"


def alike(a: str, b: str) -> bool:
    """Whether two rows say the same but for the last figure of a number and the shade of a block."""
    words = [re.sub(rf"[{BLOCKS} ]+", " ", NUMBER.sub("#", row)) for row in (a, b)]
    numbers = [NUMBER.findall(row) for row in (a, b)]
    if words[0] != words[1] or len(numbers[0]) != len(numbers[1]):
        return False
    pairs = [(value(x), value(y)) for x, y in zip(*numbers, strict=True)]
    rounding = 1e-7 * max((abs(x) for x, _ in pairs), default=0)  # a mean that is almost 0, beside its large variance
    return all(abs(x - y) <= max(0.02 * max(abs(x), abs(y), 1e-5), rounding) for x, y in pairs)


def value(text: str) -> float:
    """A number as the screen writes it."""
    return float(re.sub("[,%<>]", "", text.replace("−", "-")))


def probability_shown(app: App, seen: Seen, scene: Scene, rng: np.random.Generator) -> None:
    """The top probability, and a random one, as they stand on the screen, are those that plain arithmetic gives."""
    assert scene.distribution is not None
    picture = app.query_one("#panel", Picture)
    assert picture.canvas is not None
    state = scene.state
    shares = probabilities(scene.distribution.logits.astype(np.float64), state)
    rows = {hit.target[1]: hit.y for hit in picture.canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "candidate"}
    shown = dict(seen.pane("panel"))
    if picture.canvas.height == 1:
        rows = {0: 0}  # all that a lesson leaves of the panel
    if not rows:
        return
    ranks = sorted(rows)
    for rank in {ranks[0], ranks[int(rng.integers(len(ranks)))]}:
        row = shown.get(rows[rank])
        if row is None:
            continue
        said = PERCENT.findall(row.replace("<", ""))
        could = {percent(shares[rank] * f, ascii=app.tones.ascii) for f in (0.9999, 0.99999, 1.0, 1.00001, 1.0001)}
        assert could & set(said), f"candidate {rank} is said to have {said}, not {sorted(could)}: {row!r}"


def probabilities(logits: NDArray[np.float64], state: ExplorerState) -> NDArray[Any]:
    """The candidates' probabilities at a setting, the likeliest first: softmax of logits ÷ T, filtered, in a few lines of its own."""
    ranked = -np.sort(-logits)
    if state.mode == "greedy" or state.temperature == 0:
        return np.r_[1.0, np.zeros(len(ranked) - 1)]
    shares = np.exp((ranked - ranked[0]) / state.temperature)
    shares /= shares.sum()
    kept = len(shares)
    if state.mode == "top-k":
        kept = state.k
    if state.mode == "top-p" and state.p < 1:
        kept = int(np.searchsorted(shares.cumsum(), state.p - 1e-12)) + 1
    shares[kept:] = 0.0
    return shares / shares.sum()
