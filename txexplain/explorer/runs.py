"""The runs that a state asks a model for: the prompt's, changed as the state says, and beside it the one without the changes."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.engine.changes import resolved
from txexplain.engine.derive import Result
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.run import Stopped
from txexplain.engine.trace import Run, Trace
from txexplain.explorer.contrast import read_token
from txexplain.explorer.state import ExplorerState

Stop = Callable[[], bool] | None


def ids_of(state: ExplorerState, model: GPT2) -> list[int]:
    """The prompt's tokens. Raises TokenizerError, PromptError."""
    return list(state.ids) if state.ids is not None else model.prompt_ids(state.prompt)


def run(state: ExplorerState, model: GPT2, before: Result | None = None, should_stop: Stop = None) -> Result | None:
    """The model's answer to a state; `before` is the last one, whose rows are taken over where they are the same.

    Raises ExplainError for what the model can't take. None once `should_stop` says True.
    """
    ids = ids_of(state, model)
    trace = one(model, ids, (), before, should_stop)
    if trace is None:
        return None
    plain = before.plain if before is not None and before.plain is not None and before.plain.trace is trace else Result(trace, model)
    if not state.edits:
        return plain
    donor = other = None
    if any(each.from_other for each in state.edits) and (asked := state.other_ids or state.other) is not None:
        other = model.prompt_ids(asked) if isinstance(asked, str) else list(asked)
        donor = one(model, other, (), before, should_stop)
        if donor is None:
            return None
    try:
        changes = resolved(state.edits, model, len(ids), donor, should_stop)
    except Stopped:
        return None
    changed = one(model, ids, changes, before, should_stop, trace)
    if changed is None:
        return None
    result = Result(changed, model)
    result.plain, result.donor = plain, donor
    return result


def required_run(state: ExplorerState, model: GPT2) -> Result:
    """The answer to a command, which names nothing that isn't there. Raises ExplainError."""
    require_named(state, model, len(model.checked(ids_of(state, model))))
    result = run(state, model)
    assert result is not None
    return result


def require_named(state: ExplorerState, model: GPT2, n_tokens: int) -> None:
    """Raise ExplainError where the model or a prompt of so many tokens lacks what a state's changes or its two tokens name."""
    for each in state.edits:
        each.fixed(n_tokens).check(model.config, model.name, n_tokens)
    for text in (state.answer, state.against):
        if text is not None:
            read_token(text, model.config.vocab_size, model.tokenizer)


def one(
    model: GPT2, ids: list[int], changes: tuple[Intervention, ...], before: Result | None, should_stop: Stop, plain: Trace | None = None
) -> Trace | None:
    """A run, from the one known that begins most like it; that one itself where it is the same."""
    known = [plain, *(() if before is None else (before.trace, before.plain and before.plain.trace, before.donor))]
    own = [each for each in known if each is not None and each.origin is model]
    wanted = Run(model, tuple(ids), changes)
    best = max(own, key=lambda each: wanted.shared(each.run), default=None)
    if best is not None and best.run == wanted:
        return best
    return model.stoppable_forward(ids, interventions=changes, prefix=best, should_stop=should_stop)
