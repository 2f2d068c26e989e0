"""What is done in the background, a function each: it gives what the channel runs, and that returns the event that is told."""

from __future__ import annotations

import time
from collections.abc import Callable

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import CHUNK, surprisal
from txexplain.errors import ModelNotFound
from txexplain.explorer.location import place_of
from txexplain.explorer.places.place import Work
from txexplain.explorer.runs import run
from txexplain.explorer.session.events import Compute, Computed, Forward, Further, Load, Opened, Progress, Ran
from txexplain.files import megabytes
from txexplain.models import hub
from txexplain.ui.work import Does, Job

RIBBONS_AT_ONCE = 64  # tokens up to which the ribbons are traced before the first frame
MARGIN = 10_000_000  # bytes that a download may have more than was said: a well-known model's size is that of its weights alone

Opening = Callable[[hub.Progress], GPT2 | Result]


def load(wanted: Load, opening: Opening) -> Does:
    """Open a model, or a recorded run."""

    def does(job: Job) -> Opened:
        told = -1

        def progress(done: int, total: int) -> None:
            nonlocal told
            if job.stopped:
                raise hub.Stopped
            if wanted.most is not None and total > wanted.most + MARGIN:
                sizes = f"it has {megabytes(total)} now, and you were told {megabytes(wanted.most)}"
                raise ModelNotFound(f"{wanted.name} isn't fetched: {sizes}.")
            if total and 100 * done // total != told:
                told = 100 * done // total
                job.tell(Progress(wanted.key, done, total))

        return Opened(wanted.key, opening(progress))

    return does


def forward(wanted: Forward) -> Does:
    """Run the model on a state's prompt; what a short text's ribbons show comes with it, where they are on screen."""
    model, state = wanted.model, wanted.state

    def does(job: Job) -> Ran | None:
        with job.turn():
            start = time.perf_counter()
            result = run(state, model, wanted.prefix, lambda: job.stopped)
            seconds = time.perf_counter() - start
            if result is None:
                return None
            if place_of(state.location).flows and result.trace.n_tokens <= RIBBONS_AT_ONCE and not result.flow_lacks(state.flow):
                result.flow(state.flow)
        return Ran(result, seconds)

    return does


def compute(wanted: Compute) -> Does:
    """What takes longer than a key may, and is kept with the run; it comes after the frame."""
    result, what = wanted.result, wanted.what
    if wanted.work is not None:
        return step_by_step(wanted.work)
    if what == "surprisal":
        return surprise(wanted)

    def does(job: Job) -> Computed:
        with job.turn():
            result.flow(what)
        return Computed(what)

    return does


def step_by_step(work: Work) -> Does:
    """What a place shows, a turn a step, so that a forward pass never waits long; each step's find is shown at once."""

    def does(job: Job) -> Computed:
        steps, done = work.steps(lambda: job.stopped), object()
        while True:
            with job.turn():
                if next(steps, done) is done:
                    return Computed("place")
            job.tell(Further("place"))

    return does


def surprise(wanted: Compute) -> Does:
    """How surprising each token was: a few tokens at a time, so that a forward pass never waits long."""
    result, (run, known) = wanted.result, wanted.known

    def does(job: Job) -> Computed:
        values = known[: result.trace.run.shared(run)]
        unembedding = None if result.model is None else result.model.unembedding
        while len(values) < result.trace.n_tokens:
            with job.turn():
                values = surprisal(result.trace, unembedding, (result.trace.ids[: len(values)], values), CHUNK)
        return Computed(wanted.what, values)

    return does
