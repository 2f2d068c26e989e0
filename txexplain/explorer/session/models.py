"""Models: opened, on their way, taken in place of the present one; and recorded runs."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.errors import NotRecorded
from txexplain.explorer.choice import distribution_of
from txexplain.explorer.names import vocabulary_of
from txexplain.explorer.session.answers import caught_up, lost, recorded_run, remember, run, use_model
from txexplain.explorer.session.events import Agreed, Effect, Failed, Load, ModelPicked, Opened, Progress, Say, Show, Stop
from txexplain.explorer.session.lessons import nothing_there, show
from txexplain.explorer.session.value import Arrival, Outcome, Session
from txexplain.explorer.state import ExplorerState
from txexplain.models.hub import NotHere


def opened(session: Session, event: Opened) -> Outcome:
    """A model is open, or a recorded run."""
    if isinstance(event.found, Result):
        return open_run(session, event.found)
    if event.key == "load":
        return use(session, event.found)
    return take(session, event.found)


def use(session: Session, model: GPT2) -> Outcome:
    """Work with a model from now on."""
    session = replace(session, running=False, model=model, message="", surprised=(None, ()), history=(), held=None, back=0)
    first: tuple[Effect, ...] = (Stop(("forward",)), *([Say(" ".join(model.notes))] if model.notes else []))
    if session.reader.open and session.reader.reading is None:
        session, effects = show(session, session.reader.number)
    else:
        session, effects = run(session)
    return session, (*first, *effects)


def take(session: Session, model: GPT2) -> Outcome:
    """A model that the reader picked takes the present one's place, with the prompt."""
    assert session.arrival is not None
    k = min(session.state.k, model.config.vocab_size)
    state = replace(kept_prompt(session, model).unedited(), model=session.arrival.name, revision=None, tokenizer=None, trace=None, k=k)
    # What was there is the other model's.
    session = replace(
        session, state=state, arrival=None, generating=False, queued=0, prefix=None, cost="", result=None, distribution=None,
        last_draw=None, ahead=(),
    )  # fmt: skip
    session, effects = use(session, model)
    return session, (Stop(("load",)), Show("none"), *effects)


def kept_prompt(session: Session, model: GPT2) -> ExplorerState:
    """The state with its prompt for another model: the same ids where they mean the same tokens there, else the text."""
    state, result = session.state, session.result
    ids = result.trace.ids if result is not None and state.trace is not None else state.ids
    if ids is None:
        return state
    names = session.model.tokenizer if session.model is not None else None
    if result is not None and names is None:
        names = vocabulary_of(result)
    if names is None:  # ids without names: nobody knows what they mean elsewhere
        prompt = result.trace.prompt if result is not None else ""
        return state.with_prompt(prompt) if prompt else state.with_ids(ids)
    if all(model.tokenizer.token_bytes(i) == names.token_bytes(i) != b"" for i in ids):
        return state.with_ids(ids)
    return state.with_prompt(names.decode(ids))


def open_run(session: Session, result: Result) -> Outcome:
    """A trace file's run, which stays what it is: there is no model to ask anything else."""
    session = remember(replace(session, result=result, message="", distribution=distribution_of(result, session.state)))
    return caught_up(replace(session, state=session.state.fit(session.dims())))


def picked(session: Session, event: ModelPicked) -> Outcome:
    """A model of the list: it is opened; the one on its way, stopped."""
    if session.arrival is not None and session.arrival.name == event.name:
        return give_up(session)
    if session.state.trace is not None or event.name != session.state.model or session.model is None:
        return fetch(session, event.name)
    return session, ()


def fetch(session: Session, name: str) -> Outcome:
    """Open another model, after a download where that takes one. The present one stays until then."""
    granted = MappingProxyType({**session.granted, name: None})
    session = replace(session, granted=granted, arrival=Arrival(name))
    effects: tuple[Effect, ...] = (Load("arrive", name),)
    if session.result is None:  # there is no present one to go on with
        return replace(session, message=f"Loading {name} …"), (Stop(("load",)), *effects)
    return session, effects


def give_up(session: Session) -> Outcome:
    """The reader stops what is on its way; where nothing else is shown, the screen says what stands there now."""
    assert session.arrival is not None
    name, session = session.arrival.name, replace(session, arrival=None)
    stop = Stop(("arrive",))
    if session.result is not None:
        return session, (stop,)
    session = replace(session, message=f"{name} isn't opened: it was stopped. m lists the models.")
    session, effects = run(session)  # which says again what the prompt lacks
    return session, (stop, *effects)


def progress(session: Session, event: Progress) -> Outcome:
    """A model on its way has come further."""
    if event.key == "arrive" and session.arrival is not None:
        return replace(session, arrival=replace(session.arrival, done=event.done, total=event.total)), ()
    if event.key == "load" and session.model is None:
        coming = Arrival(session.state.model, event.done, event.total)
        megabytes = f"{round(event.done / 1e6)} of {round(event.total / 1e6)} MB"
        return replace(session, message=f"Fetching {coming.name}: {megabytes}, {coming.percent}%"), ()
    return session, ()


def failed(session: Session, event: Failed) -> Outcome:
    """Something can't be done."""
    if event.key == "load" and isinstance(event.error, NotHere):
        # A lesson's page wants a model that isn't here. Only a key of the reader's brings it: a lesson is a file that others write.
        return replace(session, message=f"{event.error.name} isn't on this machine."), (Show("fetch", event.error),)
    if event.key in ("forward", "load"):
        return nothing_there(lost(session, event.sentence)), ()
    if event.key == "arrive":
        session = replace(session, arrival=None)
        if session.result is None:
            return replace(session, message=event.sentence), ()
    return session, () if isinstance(event.error, NotRecorded) else (Say(event.sentence),)


def agreed(session: Session, event: Agreed) -> Outcome:
    """The reader lets a page's model be fetched, or not."""
    if not event.yes:
        return nothing_there(lost(session, event.sentence)), ()
    session = replace(session, granted=MappingProxyType({**session.granted, event.name: event.bytes}))
    return use_model(session, session.state)


def specials(session: Session) -> Outcome:
    """Typed special and added tokens become tokens, or plain text again."""
    model = session.model
    if model is None:
        return session, ()
    if said := recorded_run(session, "reading a prompt"):
        return session, said
    own = model.tokenizer
    tokenizer, how = (own.plain(), "text") if own.typed else (own.special(), "token")
    if tokenizer is own:
        return session, (Say("This model's tokenizer has no special or added tokens."),)
    session = replace(session, state=replace(session.state, specials=how), prefix=None)
    session, effects = use(session, GPT2(model.checkpoint, tokenizer, model.name))
    return session, (*effects, Say(f"Typed special and added tokens are {'plain text' if how == 'text' else 'tokens'} now."))
