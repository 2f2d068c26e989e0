"""The residual stream explained: what enters it, what is added to it, and the LayerNorms that read it."""

from __future__ import annotations

from collections.abc import Iterator

from txexplain.engine import gpt2, ops
from txexplain.facts import embed, flow, residual
from txexplain.facts.norm import norm
from txexplain.facts.norm import source_of as read_by
from txexplain.facts.once import wanted
from txexplain.words.told import TOPICS, Entry, Line, Look, Made, Plus, Share, Token, Topic, entry, say


def block(look: Look) -> Topic:
    """A whole block, as the model's view shows it."""
    layer = look.place.block

    def worked() -> Iterator[Line]:
        names = ("resid_pre", "attn_out", "mlp_out", "resid_post")
        before, fetched, made, after = (look.row(look.name(name)).length for name in names)
        yield say("lengths: attention adds {}, the MLP {}", fetched, made)
        yield say("the stream was {} long, now {}", before, after)
        if look.ribbons is not None and look.token:
            reached = flow.came(look.ribbons[layer], look.token)
            yield say("ribbons: {} of it stayed, {} came from {}", Share(reached.stayed), Share(reached.came), Token(reached.other))

    return Topic(
        f"L{layer}: a block",
        (
            say("The block reads the stream of {} and adds to it twice: what attention fetches, then what the MLP makes of it.", look.here),
            say("Lengths, √(Σ x²), don't add up: what points against the stream shortens it."),
        ),
        ("mid = x + attention(LayerNorm(x))", "out = mid + MLP(LayerNorm(mid))"),
        worked(),
        tuple(look.name(name) for name in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")),
        ((gpt2.block, "resid_post"),),
    )


def embedding(look: Look) -> Topic:
    """From a token to a vector."""

    def worked() -> Iterator[Line]:
        e = look.element
        word, position, total = (look.row(name)[e] for name in ("embed", "pos_embed", "blocks.0.resid_pre"))
        yield look.holding("blocks.0.resid_pre", e, total) or say("element {}: {} {} = {}", e, word, Plus(position), total)

    return Topic(
        "The embedding",
        (
            say("The model knows {} as number {}: that row of wte is all that it is given of the token.", look.here, str(entry(look).id)),
            say("Row {} of wpe says where the token stands, and their sum enters the first block.", look.token),
        ),
        ("x = wte[id] + wpe[position]",),
        worked(),
        ("embed", "pos_embed", "blocks.0.resid_pre"),
        ((gpt2.gpt2, "x"),),
        (("wte", ("V", "d")), ("wpe", ("context", "d"))),
    )


def nearest(look: Look) -> Topic:
    """The tokens whose embeddings are most like the selected one's."""

    def worked() -> Iterator[Line]:
        own = entry(look)
        found = embed.nearest(look.result, own.id)
        for other in found.tokens[:1]:
            yield say("the nearest of all to {} is {}:", own, Entry(other.id))
            yield say("{} ÷ ({} × {}) = {}", other.product, found.length, other.length, other.cosine)

    return Topic(
        "Nearest embeddings",
        (
            say("Rows of wte that point the same way as that of {} belong to tokens that are used alike.", look.here),
            say("A cosine of 1 means the same direction, 0 a right angle, −1 the opposite."),
        ),
        ("cos(a, b) = a·b ÷ (‖a‖ × ‖b‖)",),
        worked(),
        ("embed",),
        ((gpt2.gpt2, "embed"),),
        (("wte", ("V", "d")),),
    )


@TOPICS.of("embed")
def embedded(look: Look) -> Topic:
    """The embedding, or what lies nearest to it."""
    return nearest(look) if look.place.face == "nearest" else embedding(look)


def entering(look: Look) -> Topic:
    """What enters a block."""
    layer = look.place.block

    def worked() -> Iterator[Line]:
        x = look.row(look.name("resid_pre"))
        yield say("length √(Σ x²) = {}; element {} = {}", x.length, look.element, x[look.element])

    return Topic(
        f"L{layer}: what enters",
        (
            say("This is the residual stream of {}: what the blocks so far made of it, and of what may come after it.", look.here),
            say("Each block reads this vector and changes it only by adding, which may also cancel."),
        ),
        ("x = wte[id] + wpe[position]" if layer == 0 else f"x = the output of L{layer - 1}",),
        worked(),
        (look.name("resid_pre"),),
        ((gpt2.block, "resid_pre"),),
    )


def layer_norm(look: Look, which: str) -> Topic:
    """A LayerNorm: "ln1", "ln2" or "final"."""
    last = which == "final"
    own = "ln_final" if last else look.name(which)
    source = read_by(look.result, own)

    def worked() -> Iterator[Line]:
        steps, e, eps = norm(look.result, own, look.token), look.element, look.result.epsilon
        yield say("mean of {} elements = {}", len(steps.x), steps.x.mean)
        yield say("scale = √({} + {}) = {}", steps.x.variance, "ε" if eps is None else eps, steps.scale)
        yield say("element {}: ({} {}) ÷ {} = {}", e, steps.x[e], Plus(-steps.x.mean), steps.scale, steps.divided[e])
        gain, bias = (wanted(weights, "weights") for weights in (steps.gain, steps.bias))
        yield say("{} × {} {} = {}", steps.divided[e], gain[e], Plus(bias[e]), steps.result[e])

    what = "The last LayerNorm" if last else "LayerNorm"
    end = "so that it can be compared with every token of the vocabulary" if last else "so that the next step meets numbers of one size"
    return Topic(
        "The final LayerNorm" if last else f"L{look.place.block}: LayerNorm before {'attention' if which == 'ln1' else 'the MLP'}",
        (
            say(f"{what} brings the vector of {{}} to a common scale, {end}.", look.here),
            say("Its mean is taken off, it is divided by its spread, and each element gets a learned gain and bias."),
        ),
        ("y = (x − mean) ÷ scale × gain + bias", "scale = √(variance + ε)"),
        worked(),
        (source, f"{own}.scale", f"{own}.normalized"),
        ((gpt2.gpt2 if last else gpt2.block, f"{own}.normalized" if last else f"{which}.normalized"), (ops.layer_norm, "scale")),
        (("gain, bias", ("d",)),),
    )


def added(look: Look, what: str, source: str, addend: str, result: str) -> Topic:
    """An addition to the residual stream."""

    def worked() -> Iterator[Line]:
        x, change, y = (look.row(look.name(name)) for name in (source, addend, result))
        e = look.element
        yield look.holding(look.name(result), e, y[e]) or say("element {}: {} {} = {}", e, x[e], Plus(change[e]), y[e])
        yield say("lengths: {} and {} make {}", x.length, change.length, y.length)

    return Topic(
        f"L{look.place.block}: add {what}",
        (
            say(f"What {what} made for {{}} is added to its residual stream, element by element.", look.here),
            say("Nothing else changes the stream; what points against it takes away from it."),
        ),
        (f"{result} = {source} + {addend}",),
        worked(),
        tuple(look.name(name) for name in (source, addend, result)),
        ((gpt2.block, result),),
    )


@TOPICS.of("residual")
def part(look: Look) -> Topic:
    """A part of the selected token's residual stream."""
    select = look.place.select or "embed"
    known = residual.part_of(select)
    made: Made
    if select in ("embed", "pos"):
        said = {
            "embed": "The first part of the stream of {}: what wte knows of the token alone.",
            "pos": "The second part of the stream of {}: what wpe knows of its place.",
        }[select]
        made = (gpt2.gpt2, known.adds)
    else:
        block, _, half = select.partition(".")
        what = "attention" if half == "attn" else "the MLP"
        did = "fetched from the tokens that it sees" if half == "attn" else "made of the vector that it found"
        said = f"What {what} of block {block[1:]} {did}, added to the stream of {{}}."
        made = (gpt2.block, known.adds.removeprefix(f"blocks.{block[1:]}."))

    def worked() -> Iterator[Line]:
        yield say("length of this part: {}", look.row(known.adds).length)
        if known.before is not None:
            yield say("the stream was {} long, now {}", look.row(known.before).length, look.row(known.after).length)
            turn = residual.turn(look.result, select, look.token)
            yield say("cosine to what was there: {}" + (", so it takes away" if turn < 0 else ""), turn)

    return Topic(
        f"Residual stream: {select}",
        (say(said, look.here), say("The stream is the sum of all its parts, so each can be read by every later block.")),
        ("x = wte[id] + wpe[position] + Σ of all added",),
        worked(),
        tuple(dict.fromkeys(each for each in (known.before, known.adds, known.after) if each is not None)),
        (made,),
    )
