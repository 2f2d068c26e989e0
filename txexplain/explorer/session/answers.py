"""The run and what follows from it: asked for, there, continued by a drawn token, remembered."""

from __future__ import annotations

from dataclasses import replace

from txexplain.engine.sampling import Draw, uniform
from txexplain.explorer.choice import distribution_of, work
from txexplain.explorer.history import Moment, recorded
from txexplain.explorer.session.events import Compute, Computed, Effect, Focus, Forward, Later, Left, Load, Ran, Say, Stop, Typed, Zoom
from txexplain.explorer.session.value import PACES, Outcome, Session
from txexplain.explorer.state import ExplorerState

DEBOUNCE = 0.06  # seconds of quiet before typing runs the model
FADE_AFTER = 0.12  # seconds that a run takes before the old result fades
FOCUS = ("stage", "panel", "side", "prompt")  # the panes that take keys, as Tab goes
LONG = ("norms", "rollout", "place", "surprisal")  # what takes long


# Asking


def change(session: Session, state: ExplorerState) -> Outcome:
    """Move to another state; run the model where that asks for another run."""
    old = session.state
    zooms = state.location.kind != old.location.kind
    moves_on = state.asked != old.asked
    session = replace(session, state=state, hover=None, scroll=0 if zooms else session.scroll)
    effects: tuple[Effect, ...] = ()
    if state.sampling != old.sampling:
        session = replace(session, distribution=distribution_of(session.result, state))
        if not moves_on:  # else nobody looks at the old text in the new setting
            session = remember(session)
    if moves_on:
        session, effects = run(replace(session, last_draw=None))
    return session, (*effects, Zoom(old.location, state.location)) if zooms else effects


def adopt(session: Session, state: ExplorerState) -> Session:
    """Another place or setting on the same run."""
    return replace(session, state=state, distribution=distribution_of(session.result, state), last_draw=None, candidate=0)


def run(session: Session) -> Outcome:
    """Ask for the model's answer to the present prompt, in place of one that was asked for before."""
    if session.model is None:
        return session, ()
    return waiting(session, Forward(session.model, session.state, session.prefix))


def waiting(session: Session, *effects: Effect) -> Outcome:
    """From now on what is shown is old; if it stays so for a while, it fades. A quick model's steps don't flicker so."""
    if session.running:
        return session, effects
    return replace(session, running=True, late=False), (Later("fade", FADE_AFTER), *effects)


def fade(session: Session) -> Outcome:
    """A run takes long: what is shown meanwhile fades."""
    return (session if session.late or not session.running else replace(session, late=True)), ()


def typed(session: Session, event: Typed) -> Outcome:
    """The newest text wins: a run for an older one is stopped at once, and the next begins after a moment of quiet."""
    tokenizer = session.model.tokenizer if session.model is not None else None
    session = replace(session, state=session.state.with_edited(event.text, tokenizer), last_draw=None)
    effects = Stop(("forward",)), Later("typed", DEBOUNCE)
    return waiting(session, *effects) if session.model is not None else (session, effects)


def left(session: Session, event: Left) -> Outcome:
    """The prompt is left by a key, for the stage or the pane beside."""
    return focus(session, pane_beside(session, event.step) if event.step else "stage")


def use_model(session: Session, state: ExplorerState) -> Outcome:
    """Load the model that a state names, and run the state's prompt with it; whatever was on its way isn't wanted any more."""
    session = replace(
        session, state=state, result=None, prefix=None, distribution=None, model=None, running=False, arrival=None,
        message=f"Loading {state.model} …",
    )  # fmt: skip
    return session, (Stop(("arrive", "forward")), load_of(session, state))


def load_of(session: Session, state: ExplorerState) -> Load:
    """Open the model that a state names."""
    name, revision, tokenizer, specials = state.reader
    return Load("load", name, revision, tokenizer, specials, session.may_fetch(name), session.granted.get(name))


# The answer


def arrived(session: Session, event: Ran) -> Session:
    """The run that was asked for is shown."""
    result = event.result
    session = replace(
        session, running=False, result=result, prefix=result, message="", cost=f"{1000 * event.seconds:.0f} ms", candidate=0,
        distribution=distribution_of(result, session.state),
    )  # fmt: skip
    session = remember(session)
    return replace(session, state=session.state.with_last_row(result.trace.n_tokens).fit(session.dims()))


def caught_up(session: Session) -> Outcome:
    """Do what was pressed before there was a run."""
    effects: tuple[Effect, ...] = ()
    moves, session = session.ahead, replace(session, ahead=())
    for move in moves:
        session, more = change(session, move(session.state, session.dims()))
        effects = (*effects, *more)
    return session, effects


def lost(session: Session, sentence: str) -> Session:
    """There is nothing to show, and a sentence that says why."""
    # What was there answers another prompt.
    return replace(
        session, running=False, generating=False, queued=0, message=sentence, result=None, distribution=None, last_draw=None, ahead=(),
    )  # fmt: skip


def go_on(session: Session) -> Outcome:
    """After a result: do the draws that were asked for meanwhile."""
    if session.queued:
        return append_draw(replace(session, queued=session.queued - 1))
    return session, (Later("drawn", session.pace),) if session.generating else ()


# What takes long


def lacking(before: Session, session: Session, effects: tuple[Effect, ...]) -> Outcome:
    """Ask for what the screen wants of the run and takes long; once another run is there, nobody waits for the last one's."""
    if session.result is not before.result:
        session, effects = replace(session, asked=frozenset()), (Stop(LONG), *effects)
    result = session.result
    if result is None:
        return session, effects
    wants: dict[str, Compute] = {}  # what it is, as `asked` has it, and how it is asked for
    flow = session.state.flow
    if not (result.traced(flow) or result.flow_lacks(flow)):
        wants[flow] = Compute(flow, result)
    known = session.surprisal() if "surprisal" not in session.asked else None
    if known is not None and len(known) < result.trace.n_tokens:
        wants["surprisal"] = Compute("surprisal", result, session.surprised)
    left = None if session.running else work(result, session.state, session.held)
    looked_at = {name for name in session.asked if name.startswith("place ")}
    if left is not None:
        wants[f"place {left.of}"] = Compute("place", result, work=left)
    elif looked_at:  # nobody looks any more
        effects = (*effects, Stop(("place",)))
    session = replace(session, asked=session.asked - (looked_at - wants.keys())) if looked_at - wants.keys() else session
    new = {name: compute for name, compute in wants.items() if name not in session.asked}
    return (replace(session, asked=session.asked | new.keys()), (*effects, *new.values())) if new else (session, effects)


def computed(session: Session, event: Computed) -> Outcome:
    """Something that takes long is known of the present run."""
    session = replace(session, asked=frozenset(name for name in session.asked if name.split()[0] != event.what))
    if event.what == "surprisal" and session.result is not None:
        session = replace(session, surprised=(session.result.trace.run, event.value))
    return session, ()


# Drawing


def append_draw(session: Session) -> Outcome:
    """Draw the next token by its uniform number and append it."""
    distribution, result = session.distribution, session.result
    if distribution is None or result is None or not session.current:
        return session, ()
    if sentence := full(session):
        return replace(session, generating=False, queued=0), (Say(sentence),)
    drawn = distribution.draw(uniform(session.state.seed, len(result.trace.ids)))
    if session.model is not None and drawn.id in session.model.config.eos_token_ids:
        session = replace(session, generating=False)
    return append(session, drawn.id, "drawn", drawn)


def append(session: Session, token_id: int, how: str, drawn: Draw | None = None) -> Outcome:
    """Put a token behind the prompt; how it was drawn stays on screen while it is the last."""
    assert session.result is not None
    source = session.distribution
    session, effects = change(session, session.state.spelled(session.result.trace.ids).append(token_id, how))
    return replace(session, last_draw=drawn, drawn_from=source if drawn is not None else None), effects


def full(session: Session) -> str:
    """Why the context has no room for another token; "" where it has."""
    assert session.result is not None
    limit = session.result.config.n_positions
    if len(session.result.trace.ids) < limit:
        return ""
    return f"The context is full: {session.state.model} reads at most {limit} tokens. u takes tokens back, / edits the prompt."


def drawn(session: Session) -> Outcome:
    """The pause between two generated tokens is over."""
    return append_draw(session) if session.generating and not session.running else (session, ())


def draw(session: Session) -> Outcome:
    """Draw a token now, or once the run that is on its way is there."""
    session = replace(session, back=0)
    if said := recorded_run(session, "drawing a token to go on with"):
        return session, said
    return (replace(session, queued=session.queued + 1), ()) if session.running else append_draw(session)


def generate(session: Session) -> Outcome:
    """Draw token after token; again to pause."""
    session = replace(session, back=0)
    if said := recorded_run(session, "generating text"):
        return session, said
    if session.result is None and not session.running:
        return session, ()  # there is nothing to go on from, and the screen says why
    session = replace(session, generating=not session.generating)
    return append_draw(session) if session.generating and not session.running else (session, ())


def pace(session: Session) -> Outcome:
    """Generate faster or slower."""
    following = PACES[(PACES.index(session.pace) + 1) % len(PACES)]
    return replace(session, pace=following), (Say(f"Generating takes {following:g} s for each token, or what the model needs."),)


def undo(session: Session) -> Outcome:
    """Take back the last token appended."""
    return change(replace(session, generating=False, queued=0), session.state.undo())


def choose(session: Session, rank: int) -> Outcome:
    """Append a candidate of the reader's choice."""
    if said := recorded_run(session, "going on with a token"):
        return session, said
    if session.back:  # what is shown is past: a key shows the present first
        return step_back(session, -session.back)
    if session.distribution is None or not session.current:
        return session, ()
    if sentence := full(session):
        return session, (Say(sentence),)
    return append(session, int(session.distribution.order[rank]), "chosen")


def recorded_run(session: Session, what: str) -> tuple[Effect, ...]:
    """Of a recorded run, that it isn't enough for this; of any other, nothing."""
    if session.state.trace is None:
        return ()
    return (Say(f"This is a recorded run: {what} needs the model, which m opens."),)


# The probabilities that were shown


def remember(session: Session) -> Session:
    """Keep the present distribution, which is shown from now on."""
    session = replace(session, back=0)
    if session.distribution is None or session.result is None or session.running:
        return session
    moment = Moment.of(session.state, session.result.trace.run, session.distribution)
    return replace(session, history=recorded(session.history, moment))


def hold(session: Session) -> Outcome:
    """Hold what is shown, or let go."""
    return replace(session, held=None if session.held is not None or not session.history else session.history[-1 - session.back]), ()


def step_back(session: Session, steps: int) -> Outcome:
    """Show an earlier distribution: the first step goes to the one before the present."""
    if session.running:
        return session, ()
    return replace(session, generating=False, back=max(0, min(session.back + steps, len(session.history) - 1))), ()


# The panes


def focus(session: Session, pane: str) -> Outcome:
    """Give a pane the keys."""
    if pane == "prompt" and (said := recorded_run(session, "another prompt")):
        return session, said
    if pane == "prompt" and session.state.ids is not None and session.model is None:
        return session, (Say(f"What the ids say is known once {session.state.model} is there."),)
    if pane != "side":
        session = replace(session, scroll=session.scroll if pane == session.about else 0, about=pane)
    if pane == "prompt":  # which must not move on under what is typed
        session = replace(session, generating=False, queued=0)
    return replace(session, pane=pane), (Focus(pane, session.prompt_text() if pane == "prompt" else ""),)


def pane_beside(session: Session, step: int) -> str:
    """The pane that Tab comes to."""
    there = [name for name in FOCUS if name != "side" or session.reader.side]
    return there[((there.index(session.pane) if session.pane in there else 0) + step) % len(there)]
