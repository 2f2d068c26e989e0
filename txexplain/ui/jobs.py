"""What is done in the background, a function each: it gives what the channel runs, and that returns what the app is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from txexplain.engine.derive import Lens
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import CHUNK, Surprise, surprisal
from txexplain.engine.trace import Run
from txexplain.errors import ModelNotFound
from txexplain.explorer.location import Level
from txexplain.explorer.runs import run
from txexplain.explorer.state import ExplorerState
from txexplain.facts.effects import EffectsFacts, Question, swept
from txexplain.facts.lens import readings
from txexplain.files import megabytes
from txexplain.models.hub import Progress, Stopped
from txexplain.ui.work import Does, Job

RIBBONS_AT_ONCE = 64  # tokens up to which the ribbons are traced before the first frame
MARGIN = 10_000_000  # bytes that a download may have more than was said: a well-known model's size is that of its weights alone

Opening = Callable[[Progress], GPT2 | Lens]
Known = tuple[Run | None, tuple[Surprise | None, ...]]  # a run, and the surprisal of as many of its tokens as is known


@dataclass(frozen=True)
class Arriving:
    """A model on its way has come further: bytes that are there, and all of them."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Ran:
    """A forward pass ended."""

    lens: Lens
    seconds: float


def load(name: str, open_it: Opening, most: int | None = None) -> Does:
    """Open a model, or a recorded run. most: as many bytes as the reader agreed to; None: any number."""

    def does(job: Job) -> GPT2 | Lens:
        said = -1

        def progress(done: int, total: int) -> None:
            nonlocal said
            if job.stopped:
                raise Stopped
            if most is not None and total > most + MARGIN:
                raise ModelNotFound(f"{name} isn't fetched: it has {megabytes(total)} now, and you were told {megabytes(most)}.")
            if total and 100 * done // total != said:
                said = 100 * done // total
                job.tell(Arriving(done, total))

        return open_it(progress)

    return does


def forward(model: GPT2, state: ExplorerState, prefix: Lens | None) -> Does:
    """Run the model on a state's prompt; what a short text's ribbons show comes with it, where they are on screen."""

    def does(job: Job) -> Ran | None:
        with job.turn():
            start = time.perf_counter()
            lens = run(state, model, prefix, lambda: job.stopped)
            seconds = time.perf_counter() - start
            if lens is None:
                return None
            if state.location.level is Level.MODEL and lens.trace.n_tokens <= RIBBONS_AT_ONCE and not lens.flow_lacks(state.flow):
                lens.flow(state.flow)
        return Ran(lens, seconds)

    return does


def flow(lens: Lens, mode: str) -> Does:
    """The ribbons' shares take longer than a key may: they are traced after the frame."""

    def does(job: Job) -> None:
        with job.turn():
            if not lens.flow_lacks(mode):
                lens.flow(mode)

    return does


def measures(lens: Lens) -> Does:
    """What every head does takes long on a long prompt: it is measured once the atlas asks."""

    def does(job: Job) -> None:
        with job.turn():
            lens.measures  # noqa: B018

    return does


def streams(lens: Lens, pair: tuple[int, int]) -> Does:
    """What every stream would say takes a product with the vocabulary each: one at a time, once the lens asks."""

    def does(job: Job) -> None:
        facts = readings(lens, *pair)
        for n in range(len(facts.names)):
            with job.turn():
                facts.stream(n)

    return does


def surprise(lens: Lens, earlier: Known) -> Does:
    """How surprising each token was: a few tokens at a time, so that a forward pass never waits long."""

    def does(job: Job) -> tuple[Surprise | None, ...]:
        values = earlier[1][: lens.trace.run.shared(earlier[0])]
        unembedding = None if lens.model is None else lens.model.unembedding
        while len(values) < lens.trace.n_tokens:
            with job.turn():
                values = surprisal(lens.trace, unembedding, (lens.trace.ids[: len(values)], values), CHUNK)
        return values

    return does


def effects(lens: Lens, question: Question) -> Does:
    """What each thing of a run does, told batch by batch."""

    def does(job: Job) -> EffectsFacts | None:
        sweeping = swept(lens, question, lambda: job.stopped)
        found = None
        while True:
            with job.turn():
                further = next(sweeping, None)
            if further is None:
                return found
            found = further
            job.tell(found)

    return does
