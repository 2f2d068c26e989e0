"""What makes the difference of two tokens' logits, explained: what the parts give to it, and what they do to it."""

from __future__ import annotations

from collections.abc import Iterator

from txexplain.engine import attribution
from txexplain.engine import effects as sweeps
from txexplain.explorer.location import Dims, place_of
from txexplain.explorer.places.lens import column
from txexplain.facts.direct import direct as parts_of
from txexplain.facts.lens import readings
from txexplain.facts.once import wanted
from txexplain.words.told import TOPICS, Entry, Line, Look, Plus, Share, Topic, say


@TOPICS.of("direct")
def direct(look: Look) -> Topic:
    """A part of A − B."""

    def worked() -> Iterator[Line]:
        a, b = wanted(look.contrast, "logits")
        facts = parts_of(look.result, look.token, a, b)
        named = look.place.select or list(facts.parts)[facts.order[0]]
        yield say("A is {}, B is {}: {} {} = {}", Entry(a), Entry(b), facts.a, Plus(-facts.b), facts.a - facts.b)
        yield say(f"{named} gives {{}} of it", facts.parts[named])
        yield say("{} parts add up to {}", len(facts.parts), facts.direct.total)

    return Topic(
        "Direct attribution",
        (
            say("The last stream of {} is a sum, so the difference of two logits is one, too: each part has its share of it.", look.here),
            say(
                "It is a reading, not a cause: what a part does through later blocks isn't in it, and X switches the part off to see that."
            ),
        ),
        ("D = gain × (row A − row B), centred, ÷ scale", "a part gives part · D", "always: bias · (row A − row B)"),
        worked(),
        ("ln_final.scale", "ln_final.normalized"),
        ((attribution.direction_of, "direction"),),
        (("unembedding", ("V", "d")), ("gain", ("d",))),
    )


@TOPICS.of("lens")
def lens(look: Look) -> Topic:
    """One stream, read before it is done."""

    def worked() -> Iterator[Line]:
        a, b = wanted(look.contrast, "logits")
        stream, t = readings(look.result, a, b).stream(column(look.place)), look.token
        yield say("likeliest: {}, with {}", Entry(int(stream.top[t])), Share(float(stream.share[t])))
        yield say("{} is number {} of all", Entry(a), int(stream.rank[t]) + 1)
        own, less = float(stream.a[t]), float(stream.difference[t])
        yield say("logits of {} and {}: {} {} = {}", Entry(a), Entry(b), own, Plus(less - own), less)
        yield say("{} bits: as open as among {} equally likely tokens", float(stream.bits[t]), 2.0 ** float(stream.bits[t]))

    name = look.place.select or "embed"
    return Topic(
        f"The logit lens: {name}",
        (
            say("The stream of {} after each block is read as if it were the last, to tell what the model would say next.", look.here),
            say("It is a reading, not a cause: a block may hold what it knows in a form that the unembedding can't read yet."),
        ),
        ("logits = LayerNorm_f(x) · unembedding", "each x with its own mean and variance"),
        worked(),
        ("ln_final.normalized",),
        ((attribution.read_stream, "normalized"),),
        (("unembedding", ("V", "d")),),
    )


@TOPICS.of("effects")
def effects(look: Look) -> Topic:
    """What a head, an MLP, an edge or a token does to A − B."""

    def worked() -> Iterator[Line]:
        config, place = look.result.weights().config, look.place
        a, b = wanted(look.contrast, "logits")
        facts = wanted(look.found, "effect computed yet")
        if place.face == "sorted" and place.select is None:
            name = facts.names[facts.order[0]]
        else:
            name = place_of(place).change(place, Dims.of(config, look.result.trace.n_tokens, ""))
        change = facts.by_name[name]
        yield say("A is {}, B is {}: A − B is {} as it is", Entry(a), Entry(b), facts.without)
        if change != change:
            yield say(f"{name}: not computed yet")
        else:
            how = facts.to if facts.to in ("cut", "patched") else f"at {facts.to}"
            yield say(f"{name} {how}: {{}} {{}} = {{}}", facts.without, Plus(change), facts.without + change)

    return Topic(
        "Effects",
        (
            say("One thing of the run is changed, and all that follows is computed again: what A − B loses is what the thing did for it."),
            say("It is a cause, on this prompt: others may need other parts, and two parts can stand in for each other."),
        ),
        ("M = logit A − logit B, at the last token", "effect = M with the change − M without", "below 0: it was needed"),
        worked(),
        ("ln_final.normalized",),
        ((sweeps.sweep, "without"),),
        (("unembedding", ("V", "d")),),
    )
