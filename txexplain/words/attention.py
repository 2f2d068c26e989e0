"""Attention explained: queries, keys and values, scores, shares, and what the heads add."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from txexplain.engine import derive, gpt2, measures, ops
from txexplain.explorer import choice
from txexplain.facts import head as in_head
from txexplain.facts import heads as of_heads
from txexplain.facts import linear
from txexplain.facts import product as one
from txexplain.facts.linear import PROJ, QKV
from txexplain.words.told import TOPICS, Line, Look, Made, Plus, Share, Token, Topic, say


@TOPICS.of("qkv")
def qkv(look: Look) -> Topic:
    """Queries, keys and values: one element under the cursor, or all three in general."""
    config, e = look.result.config, look.element
    part, inside = divmod(e, config.n_embd)
    head, i = divmod(inside, config.head_dim)
    letter, word = (("q", "query"), ("k", "key"), ("v", "value"))[part]

    def worked() -> Iterator[Line]:
        yield say(f"{letter}[{{}}] of head {{}} = {{}}", i, head, look.row(look.name(f"attn.{letter}"))[inside])
        yield from weighed(look, QKV, "x")

    roles = {
        "query": "The query is what {} looks for in itself and the tokens before it",
        "key": "The key is what {} can be found by",
        "value": "The value is what {} hands on to the tokens that look at it",
    }
    if look.place.element is None:
        sentences = (
            say("In each head {} gets a query (what it looks for), a key (what it is found by) and a value (what it hands on).", look.here),
            say("One matrix makes all three, the same for every token."),
        )
    else:
        sentences = (
            say(f"{roles[word]}; this is element {{}} of it in head {{}}.", look.here, i, head),
            say("Each output weighs all {} numbers of the normalised vector, with the same weights for every token.", config.n_embd),
        )
    return Topic(
        f"L{look.place.block}: query, key, value",
        sentences,
        ("q, k, v = LayerNorm(x) W + b",),
        worked(),
        tuple(look.name(name) for name in ("ln1.normalized", "attn.q", "attn.k", "attn.v")),
        ((gpt2.block, f"attn.{letter}"), (ops.linear, "y")),
        (("W", ("d", "3·d")),),
    )


def weighed(look: Look, made: str, letter: str) -> Iterator[Line]:
    """One output of a linear layer: the sum over its inputs, the bias, and the input under the cursor or the one that counts most."""
    dot = linear.dot(look.result, look.place.block, made, look.token, look.element)
    yield say(f"Σ {letter} × w over {{}} inputs = {{}}", len(dot.x), dot.total)
    yield say("{} {} = {}", dot.total, Plus(dot.bias), dot.result)
    j = choice.source(look.place, dot)
    what = "largest term" if look.place.source is None else "one term"
    yield say(f"{what}: {letter}[{{}}] × w = {{}} × {{}} = {{}}", j, dot.x[j], dot.weights[j], dot.terms[j])


@TOPICS.of("attn")
def heads(look: Look) -> Topic:
    """A head of a block, seen whole: where the selected token looks most."""
    place = look.place

    def worked() -> Iterator[Line]:
        key = in_head.row(look.result, place.block, place.head, look.token).strongest
        yield say("query {}, key {}:", look.here, Token(key))
        yield from score_lines(look, look.token, key, "softmax")

    return Topic(
        f"L{place.block}H{place.head}: one head",
        (
            say("A head lets each token read from those before it; a row holds one token's shares, which add up to 100%."),
            *most(look),
        ),
        ("pattern = softmax(q·k × scale)",),
        worked(),
        tuple(look.name(name) for name in ("attn.q", "attn.k", "attn.pattern")),
        ((gpt2.block, "attn.pattern"), (ops.softmax, "return")),
    )


def attention(look: Look) -> Topic:
    """All heads of a block, by the one in which the selected token gives the largest share."""
    head = 0
    if look.name("attn.pattern") in look.result.trace:
        head = in_head.sharpest(look.result, look.place.block, look.token)
    look = replace(look, place=replace(look.place, head=head))
    sentence = say("Each of {} heads lets a token read from those before it, and gives each of them a share.", look.result.config.n_head)
    title = f"L{look.place.block}: attention, the sharpest head {head}"
    return replace(heads(look), title=title, sentences=(sentence, *most(look, f"In head {head}")))


def most(look: Look, where: str = "Here") -> tuple[Line, ...]:
    """Where the selected token looks most in a head, as a sentence; nothing where the pattern wasn't recorded."""
    name = look.name("attn.pattern")
    if name not in look.result.trace:
        return ()
    row = in_head.row(look.result, look.place.block, look.place.head, look.token)
    if row.strongest == look.token:
        return (say(f"{where} {{}} looks most at itself, with {{}} of its attention.", look.here, Share(row.largest)),)
    said = f"{where} {{}} looks most at {{}}, with {{}} of its attention."
    return (say(said, look.here, Token(row.strongest), Share(row.largest)),)


MEASURED = {
    "self": ("The number of a head is the attention that a token keeps for itself, averaged over the prompt.", "pattern[i, i]"),
    "previous": (
        "The number of a head is the attention that a token gives to the one before it, averaged over the prompt.",
        "pattern[i, i − 1]",
    ),
    "first": (
        "The number of a head is the attention that a token gives to the first one; heads that find nothing may rest there.",
        "pattern[i, 0]",
    ),
    "induction": (
        "The number of a head is the attention that a repeated token gives to what followed it before: so it can copy a phrase.",
        "Σ pattern[i, j] with token[j − 1] = token[i]",
    ),
    "entropy": (
        "The number of a head is how widely it spreads its attention: 0 bits for one key, log₂ n for n equal shares.",
        "−Σ share × log₂ share",
    ),
}


def measured(look: Look, measure: str) -> Topic:
    """A head of the atlas by what it is sorted by."""
    place, result = look.place, look.result
    sentence, formula = MEASURED[measure]

    def worked() -> Iterator[Line]:
        result.trace[look.name("attn.pattern")]  # says what is missing
        if not look.measured:
            yield say("not measured yet")
            return
        told = of_heads.measure(result, place.block, place.head, measure, look.token)
        if math.isnan(told.mean):
            short = "one token has no one to choose from" if result.trace.n_tokens < 2 else "no token of this prompt comes twice"
            yield say(f"not to be measured here: {short}")
            return
        value, unit = ((lambda x: x), " bits") if measure == "entropy" else (Share, "")
        yield say(f"sum {{}} ÷ {{}} counted = {{}}{unit}", told.total, told.counted, value(told.mean))
        if told.own is not None:
            yield say(f"{{}} alone: {{}}{unit}", look.here, value(told.own))

    return Topic(
        f"L{place.block}H{place.head}: {measure}",
        (say(sentence), say("The first token has no choice, so it isn't counted.")),
        (f"mean over queries of {formula}",),
        worked(),
        (look.name("attn.pattern"),),
        ((measures.block_measures, measure),),
    )


@TOPICS.of("heads")
def in_the_atlas(look: Look) -> Topic:
    """A head of the atlas, by what it is sorted by where it is."""
    return measured(look, look.place.face) if look.place.face else heads(look)


def score_lines(look: Look, query: int, key: int, stage: str) -> Iterator[Line]:
    """From q·k to a share, as far as a stage; a trace that holds the later steps alone begins with them."""
    place, result = look.place, look.result
    cell = (place.block, place.head, query, key)
    later = stage in ("masked", "softmax")
    if not later or result.has(look.name("attn.q"), look.name("attn.k")):
        score = in_head.score(result, *cell)
        yield say("q·k = {}", score.raw)
        if stage == "qk":
            return
        if score.scale is not None and score.scaled is not None:
            yield say("× scale: {} × {} = {}", score.raw, score.scale, score.scaled)
        if stage == "scaled":
            return
        if not score.holds:
            yield say("the scores were changed by hand")
    share = in_head.share(result, *cell)
    if key > query:
        yield say("the key comes later: score {}, share {}", -math.inf, Share(0.0))
    elif stage == "masked":
        yield say("the key isn't later: {} stays", share.score)
    else:
        worked = say("e^({} {}) ÷ {} = {}", share.score, Plus(-share.most), share.total, Share(share.share))
        yield worked if share.holds else say("share {}: changed by hand", Share(share.share))


@TOPICS.of("head")
def head(look: Look) -> Topic:
    """One cell of a head's grid at a stage."""
    place, result = look.place, look.result
    query, key = choice.cursor(result, place)
    q, k, hidden = Token(query), Token(key), key > query
    later = say("{} comes after {}, so the mask will hide this one.", k, q)
    scores: tuple[str, ...] = ("attn.q", "attn.k")
    formula: str
    tensors: tuple[str, ...]
    made: tuple[Made, ...]

    def lengths() -> Iterator[Line]:
        value = in_head.value(result, place.block, place.head, query, key)
        yield say("share {} × ‖v‖ {} = {}", Share(value.share), value.length, value.taken)

    match place.stage:
        case "qk":
            sentences = (
                say("How well the query of {} fits the key of {}: their numbers multiplied in pairs, and added up.", q, k),
                later if hidden else say("Only differences within a row count: {} reads most where its row is largest.", q),
            )
            formula, tensors = "q·k = Σ q × k", scores
            made = ((ops.attention_scores, "raw"), (gpt2.block, "attn.attn_scores"))
        case "scaled":
            sentences = (
                say("Every product is multiplied by 1 ÷ √dh: a sum of more products spreads wider."),
                later if hidden else say("Without it softmax might give nearly all to one token."),
            )
            formula, tensors = "score = q·k × scale", scores
            made = ((ops.attention_scores, "scaled"), (ops.attention_scale, "scale"))
        case "masked":
            sentences = (
                say("A token may only look back: the scores of later tokens become −∞, and softmax makes that nothing."),
                say("{} comes after {}, so it is hidden.", k, q) if hidden else say("Here {} keeps its score.", k),
            )
            formula, tensors = "score = −∞ where the key comes later", ("attn.attn_scores",)
            made = ((ops.attention_scores, "causal_mask()"), (ops.causal_mask, "return"), (ops.future, "return"))
        case "values":
            sentences = (
                say("What {} takes from {}: its share times the length of the value that {} hands on.", q, k, k),
                say("It comes later, so nothing is taken.") if hidden else say("A large share of a short value moves little."),
            )
            formula, tensors = "share × ‖v‖", ("attn.pattern", "attn.v")
            made = ((derive.weighted_value_norms, "return"), (gpt2.block, "attn.z"), (ops.weighted_values, "z"))
        case _:
            given = look.name("attn.pattern") in result.trace
            share = float(in_head.grid(result, place.block, place.head, "softmax")[query, key]) if given else math.nan
            told = (say("{} gives {} {} of its attention.", q, k, Share(share)),) if given else ()
            sentences = (
                say("Softmax turns a row of scores into shares: e to the power of each, divided by the sum of them all."),
                *((say("{} comes after {}: it is masked and gets nothing.", k, q),) if hidden else told),
            )
            formula, tensors = "share = e^(score − max) ÷ Σ e^(score − max)", ("attn.attn_scores", "attn.pattern")
            made = ((gpt2.block, "attn.pattern"), (ops.softmax, "return"))
    return Topic(
        f"L{place.block}H{place.head}: {STAGE_NAMES[place.stage]}",
        sentences,
        (formula, LESS) if place.stage == "softmax" else (formula,),
        lengths() if place.stage == "values" else score_lines(look, query, key, place.stage),
        tuple(look.name(name) for name in tensors),
        made,
    )


LESS = "max, the largest of them, is taken off: that changes no share"
STAGE_NAMES = {"qk": "query · key", "scaled": "scaled", "masked": "masked", "softmax": "shares of attention", "values": "weighted values"}


@TOPICS.of("product")
def product(look: Look) -> Topic:
    """One query times one key, and what it moves."""
    place, result = look.place, look.result
    query, key = choice.cursor(result, place)
    q, k = Token(query), Token(key)
    cell = (place.block, place.head, query, key)

    def worked() -> Iterator[Line]:
        pairs = one.pairs(result, *cell)
        i = pairs.terms.largest
        said = "largest of {} pairs: q[{}] × k[{}] = {} × {} = {}"
        yield say(said, len(pairs.q), i, i, pairs.q[i], pairs.k[i], pairs.terms[i])
        yield from score_lines(look, query, key, "softmax")
        if key <= query:
            yield say("moves a vector of length {}", one.moved(result, *cell).length)

    return Topic(
        f"L{place.block}H{place.head}: one product",
        (
            say("The query of {} times the key of {}, number by number: their sum, scaled, becomes a share of attention.", q, k),
            say("{} comes after {}, so the mask hides it, and nothing moves.", k, q)
            if key > query
            else say("That share of the value of {}, sent through W_O, is what this head carries over.", k),
        ),
        ("share = softmax(q·k × scale)", "moved = share × v W_O"),
        worked(),
        tuple(look.name(name) for name in ("attn.q", "attn.k", "attn.attn_scores", "attn.pattern", "attn.v")),
        ((gpt2.block, "attn.attn_scores"), (ops.attention_scores, "raw"), (derive.moved_vector, "return")),
        (("W_O of a head", ("dh", "d")),),
    )


@TOPICS.of("proj")
def projection(look: Look) -> Topic:
    """What attention adds: the heads' results through W_O."""

    def worked() -> Iterator[Line]:
        yield say("element {} of attn_out = {}", look.element, look.row(look.name("attn_out"))[look.element])
        yield from weighed(look, PROJ, "z")
        if look.place.source is None:
            parts = linear.dot(look.result, look.place.block, PROJ, look.token, look.element).heads(look.result.config.n_head)  # [H]
            yield say("most of it is from head {}: {}", parts.largest, parts[parts.largest])

    return Topic(
        f"L{look.place.block}: what attention adds",
        (
            say("What the heads fetched for {} stands side by side, and one matrix, W_O, makes a single vector of it.", look.here),
            say("Each head has rows of W_O of its own, so each adds its own part to every element."),
        ),
        ("attn_out = z W_O + b",),
        worked(),
        tuple(look.name(name) for name in ("attn.z", "attn_out")),
        ((gpt2.block, "attn_out"), (ops.linear, "y")),
        (("W_O", ("d", "d")),),
    )
