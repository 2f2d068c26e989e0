"""What a place shows, explained: two sentences, the formula with this prompt's numbers in it, the shapes, and the engine's own lines.

An Explanation holds numbers and tokens as they are; `viz` writes them. Every number is read from the trace or computed from it
by the engine; where something wasn't recorded, the explanation says so and goes no further.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from txexplain.engine import derive, gpt2, measures, ops, sampling
from txexplain.engine.derive import Doubles, Lens
from txexplain.engine.errors import NotRecorded
from txexplain.engine.ops import ACTIVATIONS
from txexplain.engine.sampling import Distribution, Draw
from txexplain.engine.steps import activation_letters, sizes
from txexplain.engine.surprisal import Surprise, surprises
from txexplain.explorer import choice
from txexplain.explorer.lesson import Lesson, Page, lives
from txexplain.explorer.location import Level, Location
from txexplain.explorer.source import Source, source_of
from txexplain.facts import embed, flow, linear, mlp, residual
from txexplain.facts import head as in_head
from txexplain.facts import heads as of_heads
from txexplain.facts import output as out
from txexplain.facts import product as one
from txexplain.facts.by_hand import recomputable
from txexplain.facts.linear import FC, OUT, PROJ, QKV
from txexplain.facts.norm import norm
from txexplain.facts.norm import source_of as read_by
from txexplain.facts.once import wanted
from txexplain.facts.prompt import mean_surprisal
from txexplain.facts.vector import VectorFacts, vector


@dataclass(frozen=True)
class Share:
    """A number shown as a percentage."""

    value: float


@dataclass(frozen=True)
class Plus:
    """A number that is added, shown with its operator: + 0.3 or − 0.3."""

    value: float


@dataclass(frozen=True)
class Token:
    """The prompt's token at a position."""

    position: int


@dataclass(frozen=True)
class Entry:
    """A token of the vocabulary."""

    id: int


Value = float | int | str | Share | Plus | Token | Entry


@dataclass(frozen=True)
class Line:
    """Words with the places of values in them as {}."""

    text: str
    values: tuple[Value, ...] = ()


def say(text: str, *values: Value) -> Line:
    return Line(text, values)


@dataclass(frozen=True)
class Shape:
    """A tensor's name and shape in letters and in numbers; `recorded` is None for weights, which a trace never holds."""

    name: str
    letters: tuple[str, ...]
    sizes: tuple[int, ...]
    recorded: bool | None


@dataclass(frozen=True)
class Explanation:
    """A place explained. `missing` names what stopped the worked formula: an activation, or "weights"."""

    title: str
    sentences: tuple[Line, ...]
    formula: tuple[str, ...]
    worked: tuple[Line, ...]
    missing: str
    shapes: tuple[Shape, ...]
    sources: tuple[Source, ...]


Made = tuple[Callable[..., Any], str]  # a function and what is made in it: see source_of


@dataclass(frozen=True)
class Topic:
    """An explanation as it is written: `worked` gives its lines one by one, and may raise NotRecorded on the way.

    `names` are the trace's tensors that the place shows, `weights` the shapes of the weights that it uses.
    """

    title: str
    sentences: tuple[Line, ...]
    formula: tuple[str, ...]
    worked: Iterator[Line]
    names: tuple[str, ...]
    made: tuple[Made, ...]
    weights: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Look:
    """What the reader looks at, and what is known of it."""

    place: Location
    lens: Lens
    distribution: Distribution | None = None
    candidate: int = 0  # the rank of the candidate that is selected
    ribbons: Sequence[Doubles] | None = None  # the shares that flow, where they are traced
    measured: bool = True  # whether what every head does may be asked for
    pane: str = "stage"  # the pane that is explained: stage, panel, prompt or lesson
    present: bool = True  # whether the distribution is the one that the next token is drawn from
    seed: int = 0
    draw: Draw | None = None  # the last draw, while its token is the prompt's last
    full_bar: float = 1.0  # the share that a full bar stands for
    surprisal: Sequence[Surprise | None] | None = None  # of the first tokens, as far as known; None where the strip is shut
    appended: int = 0  # how many tokens at the end were drawn or chosen
    hint: str = ""  # what to look for in an example
    lesson: Lesson | None = None  # the one that is open
    page: Page | None = None
    given: Mapping[int, int] = field(default_factory=dict)  # its answers: page -> answer

    @property
    def token(self) -> int:
        return self.place.token_index(self.lens.trace.n_tokens)

    @property
    def here(self) -> Token:
        return Token(self.token)

    @property
    def element(self) -> int:
        """The element under the cursor; where there is none, the one that the view shows."""
        try:
            return choice.element(self.lens, self.place)
        except NotRecorded:  # the view says what isn't recorded
            return 0

    def name(self, name: str) -> str:
        """A block's tensor by its name inside the block."""
        return f"blocks.{self.place.block}.{name}"

    def row(self, name: str) -> VectorFacts:
        """The selected token's row of a tensor, as one vector."""
        return vector(self.lens, name, self.token)

    def holding(self, name: str, element: int, value: float) -> Line | None:
        """None as long as an activation is what its formula makes; else what there is to say of its element."""
        return None if recomputable(self.lens, name, row=self.token) else say("element {} = {}: changed by hand", element, value)


def explain(look: Look) -> Explanation:
    """The explanation of any Location."""
    topic = topic_of(look)
    lines: list[Line] = []
    missing = ""
    try:
        lines.extend(topic.worked)
    except NotRecorded as error:
        missing = error.what
    shapes = [shape_of(look.lens, name) for name in topic.names]
    shapes += [Shape(name, letters, sizes(letters, look.lens.config), None) for name, letters in topic.weights]
    return Explanation(topic.title, topic.sentences, topic.formula, tuple(lines), missing, tuple(shapes), sources_of(topic.made))


def sources_of(made: Sequence[Made]) -> tuple[Source, ...]:
    """The sources, where this installation has them."""
    try:
        return tuple(source_of(function, target) for function, target in made)
    except OSError:
        return ()


def topic_of(look: Look) -> Topic:
    """What is selected, and so what there is to explain."""
    return PANES[look.pane](look) if look.pane in PANES else PAGES[look.place.level](look)


def column(look: Look) -> Topic:
    """A column of the model."""
    select = look.place.select or "L0"
    if select in ENDS:
        return ENDS[select](look)
    return block(Look(Location(Level.BLOCK, block=int(select[1:]), token=look.place.token), look.lens, ribbons=look.ribbons))


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
            say("The longer the added vector, the more the block has changed."),
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
            say(
                "The model knows {} as number {}: that row of wte is all it has learned of the token alone.", look.here, str(entry(look).id)
            ),
            say("Row {} of wpe says where the token stands, and their sum enters the first block.", look.token),
        ),
        ("x = wte[id] + wpe[position]",),
        worked(),
        ("embed", "pos_embed", "blocks.0.resid_pre"),
        ((gpt2.gpt2, "x"),),
        (("wte", ("V", "d")), ("wpe", ("context", "d"))),
    )


def entry(look: Look) -> Entry:
    """The selected token as one of the vocabulary."""
    return Entry(look.lens.trace.ids[look.token])


def nearest(look: Look) -> Topic:
    """The tokens whose embeddings are most like the selected one's."""

    def worked() -> Iterator[Line]:
        own = entry(look)
        found = embed.nearest(look.lens, own.id)
        for other in found.tokens[:1]:
            yield say("the nearest of all to {} is {}:", own, Entry(other.id))
            yield say("{} ÷ ({} × {}) = {}", other.product, found.length, other.length, other.cosine)

    return Topic(
        "Nearest embeddings",
        (
            say("Tokens whose rows of wte point the same way as that of {} are alike to the model.", look.here),
            say("A cosine of 1 means the same direction, 0 that they have nothing in common."),
        ),
        ("cos(a, b) = a·b ÷ (‖a‖ × ‖b‖)",),
        worked(),
        ("embed",),
        ((gpt2.gpt2, "embed"),),
        (("wte", ("V", "d")),),
    )


def entering(look: Look) -> Topic:
    """What enters a block."""
    layer = look.place.block

    def worked() -> Iterator[Line]:
        x = look.row(look.name("resid_pre"))
        yield say("length √(Σ x²) = {}; element {} = {}", x.length, look.element, x[look.element])

    return Topic(
        f"L{layer}: what enters",
        (
            say("This vector holds all that the model has gathered about {} up to here: its residual stream.", look.here),
            say("Each block reads this vector and adds to it; nothing is overwritten."),
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
    source = read_by(look.lens, own)

    def worked() -> Iterator[Line]:
        steps, e, eps = norm(look.lens, own, look.token), look.element, look.lens.epsilon
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


def qkv(look: Look) -> Topic:
    """Queries, keys and values: one element under the cursor, or all three in general."""
    config, e = look.lens.config, look.element
    part, inside = divmod(e, config.n_embd)
    head, i = divmod(inside, config.head_dim)
    letter, word = (("q", "query"), ("k", "key"), ("v", "value"))[part]

    def worked() -> Iterator[Line]:
        yield say(f"{letter}[{{}}] of head {{}} = {{}}", i, head, look.row(look.name(f"attn.{letter}"))[inside])
        yield from weighed(look, QKV, "x")

    roles = {
        "query": "The query is what {} looks for in the tokens before it",
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
    dot = linear.dot(look.lens, look.place.block, made, look.token, look.element)
    yield say(f"Σ {letter} × w over {{}} inputs = {{}}", len(dot.x), dot.total)
    yield say("{} {} = {}", dot.total, Plus(dot.bias), dot.result)
    j = choice.source(look.place, dot)
    what = "largest term" if look.place.source is None else "one term"
    yield say(f"{what}: {letter}[{{}}] × w = {{}} × {{}} = {{}}", j, dot.x[j], dot.weights[j], dot.terms[j])


def heads(look: Look) -> Topic:
    """A head of a block, seen whole: where the selected token looks most."""
    place = look.place

    def worked() -> Iterator[Line]:
        key = in_head.row(look.lens, place.block, place.head, look.token).strongest
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
    if look.name("attn.pattern") in look.lens.trace:
        head = in_head.sharpest(look.lens, look.place.block, look.token)
    look = replace(look, place=replace(look.place, head=head))
    sentence = say("Each of {} heads lets a token read from those before it, and gives each of them a share.", look.lens.config.n_head)
    title = f"L{look.place.block}: attention, the sharpest head {head}"
    return replace(heads(look), title=title, sentences=(sentence, *most(look, f"In head {head}")))


def most(look: Look, where: str = "Here") -> tuple[Line, ...]:
    """Where the selected token looks most in a head, as a sentence; nothing where the pattern wasn't recorded."""
    name = look.name("attn.pattern")
    if name not in look.lens.trace:
        return ()
    row = in_head.row(look.lens, look.place.block, look.place.head, look.token)
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
        "The number of a head is the attention that a token gives to the first one, where heads rest that find nothing.",
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
    place, lens = look.place, look.lens
    sentence, formula = MEASURED[measure]

    def worked() -> Iterator[Line]:
        lens.trace[look.name("attn.pattern")]  # says what is missing
        if not look.measured:
            yield say("not measured yet")
            return
        told = of_heads.measure(lens, place.block, place.head, measure, look.token)
        if math.isnan(told.mean):
            short = "one token has no one to choose from" if lens.trace.n_tokens < 2 else "no token of this prompt comes twice"
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


def score_lines(look: Look, query: int, key: int, stage: str) -> Iterator[Line]:
    """From q·k to a share, as far as a stage; a trace that holds the later steps alone begins with them."""
    place, lens = look.place, look.lens
    cell = (place.block, place.head, query, key)
    later = stage in ("masked", "softmax")
    if not later or lens.has(look.name("attn.q"), look.name("attn.k")):
        score = in_head.score(lens, *cell)
        yield say("q·k = {}", score.raw)
        if stage == "qk":
            return
        if score.scale is not None and score.scaled is not None:
            yield say("× scale: {} × {} = {}", score.raw, score.scale, score.scaled)
        if stage == "scaled":
            return
        if not score.holds:
            yield say("the scores were changed by hand")
    share = in_head.share(lens, *cell)
    if key > query:
        yield say("the key comes later: score {}, share {}", -math.inf, Share(0.0))
    elif stage == "masked":
        yield say("the key isn't later: {} stays", share.score)
    else:
        worked = say("e^({} {}) ÷ {} = {}", share.score, Plus(-share.most), share.total, Share(share.share))
        yield worked if share.holds else say("share {}: changed by hand", Share(share.share))


def head(look: Look) -> Topic:
    """One cell of a head's grid at a stage."""
    place, lens = look.place, look.lens
    query, key = place.cursor(lens.trace.n_tokens)
    q, k, hidden = Token(query), Token(key), key > query
    later = say("{} comes after {}, so the mask will hide this one.", k, q)
    scores: tuple[str, ...] = ("attn.q", "attn.k")
    formula: str
    tensors: tuple[str, ...]
    made: tuple[Made, ...]

    def lengths() -> Iterator[Line]:
        value = in_head.value(lens, place.block, place.head, query, key)
        yield say("share {} × ‖v‖ {} = {}", Share(value.share), value.length, value.taken)

    match place.stage:
        case "qk":
            sentences = (
                say("How well the query of {} fits the key of {}: their numbers multiplied in pairs, and added up.", q, k),
                later if hidden else say("The larger it is, the more {} will read from {}.", q, k),
            )
            formula, tensors = "q·k = Σ q × k", scores
            made = ((ops.attention_scores, "raw"), (gpt2.block, "attn.attn_scores"))
        case "scaled":
            sentences = (
                say("Every product is multiplied by the same scale, because longer vectors make larger sums."),
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
            given = look.name("attn.pattern") in lens.trace
            share = float(in_head.grid(lens, place.block, place.head, "softmax")[query, key]) if given else math.nan
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


def product(look: Look) -> Topic:
    """One query times one key, and what it moves."""
    place, lens = look.place, look.lens
    query, key = place.cursor(lens.trace.n_tokens)
    q, k = Token(query), Token(key)
    cell = (place.block, place.head, query, key)

    def worked() -> Iterator[Line]:
        pairs = one.pairs(lens, *cell)
        i = pairs.terms.largest
        said = "largest of {} pairs: q[{}] × k[{}] = {} × {} = {}"
        yield say(said, len(pairs.q), i, i, pairs.q[i], pairs.k[i], pairs.terms[i])
        yield from score_lines(look, query, key, "softmax")
        if key <= query:
            yield say("moves a vector of length {}", one.moved(lens, *cell).length)

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


def projection(look: Look) -> Topic:
    """What attention adds: the heads' results through W_O."""

    def worked() -> Iterator[Line]:
        yield say("element {} of attn_out = {}", look.element, look.row(look.name("attn_out"))[look.element])
        yield from weighed(look, PROJ, "z")
        if look.place.source is None:
            parts = linear.dot(look.lens, look.place.block, PROJ, look.token, look.element).heads(look.lens.config.n_head)  # [H]
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
            say("Nothing is replaced: later blocks still find what earlier ones wrote."),
        ),
        (f"{result} = {source} + {addend}",),
        worked(),
        tuple(look.name(name) for name in (source, addend, result)),
        ((gpt2.block, result),),
    )


def fitting(look: Look) -> Topic:
    """The MLP's first half: every neuron's fit, and the best one's in numbers."""

    def worked() -> Iterator[Line]:
        n = mlp.neurons(look.lens, look.place.block, look.token, "pre").order[0]
        yield say("neuron {} fits best:", n)
        yield from neuron_lines(look, n, "pre")

    return Topic(
        f"L{look.place.block}: the neurons, before",
        (
            say(
                "The MLP works on each token alone: {} neurons each weigh the whole vector of {}.",
                look.lens.config.n_inner,
                look.here,
            ),
            say("A large result means that a neuron has found the pattern that it looks for."),
        ),
        ("pre = LayerNorm(x) W_fc + b",),
        worked(),
        tuple(look.name(name) for name in ("ln2.normalized", "mlp.pre")),
        ((gpt2.block, "mlp.pre"), (ops.linear, "y")),
        (("W_fc", ("d", "m")),),
    )


def activating(look: Look) -> Topic:
    """The MLP's activation, and the neuron that fires most in numbers."""

    def worked() -> Iterator[Line]:
        n = mlp.neurons(look.lens, look.place.block, look.token, "post").order[0]
        yield say("neuron {} fires most:", n)
        yield from neuron_lines(look, n, "post")

    return Topic(
        f"L{look.place.block}: the activation",
        (
            say(f"{ACTIVATION_WORDS[activation_name(look)]}: that decides which neurons of {{}} speak.", look.here),
            say("Without this bend the MLP's two matrices would act as one."),
        ),
        (f"post = {activation_name(look)}(pre)", *activation_formula(look)),
        worked(),
        tuple(look.name(name) for name in ("mlp.pre", "mlp.post")),
        ((gpt2.block, "mlp.post"), *activation_made(look)),
    )


def activation_made(look: Look) -> tuple[Made, ...]:
    """The engine's function, where it is known."""
    name = look.lens.activation
    return () if name is None else ((ACTIVATIONS[name], ""),)


def activation_name(look: Look) -> str:
    """The engine's own name of the activation: some have two in a config."""
    name = look.lens.activation
    return UNKNOWN if name is None else ACTIVATIONS[name].__name__


def activation_formula(look: Look) -> tuple[str, ...]:
    name = activation_name(look)
    return () if name == UNKNOWN else (f"{name}(x) = {ACTIVATION_FORMULAS[name]}",)


SOFT = "The activation lets large numbers through and presses negative ones to almost nothing"
UNKNOWN = "activation"  # a trace without its config and with one half of its neurons
ACTIVATION_WORDS = {
    "gelu_new": SOFT, "gelu": SOFT, "silu": SOFT, UNKNOWN: "The activation bends every number",
    "relu": "The activation lets positive numbers through and makes negative ones 0",
    "tanh": "The activation squeezes every number between −1 and 1",
}  # fmt: skip
ACTIVATION_FORMULAS = {
    "gelu_new": "x ÷ 2 × (1 + tanh(0.798 × (x + 0.0447 × x³)))",
    "gelu": "x × Φ(x)",
    "relu": "max(x, 0)",
    "silu": "x ÷ (1 + e^−x)",
    "tanh": "(e^x − e^−x) ÷ (e^x + e^−x)",
}


def activation_line(look: Look, x: float, y: float) -> Line:
    """The activation of one number, with that number in it."""
    name = activation_name(look)
    inside = mlp.inside(name, x)
    if inside is not None:
        return {
            "gelu_new": say("post = {} ÷ 2 × (1 + tanh {}) = {}", x, inside, y),
            "gelu": say("post = {} × Φ = {} × {} = {}", x, x, inside, y),
            "silu": say("post = {} ÷ (1 + {}) = {}", x, inside, y),
        }[name]
    return say({"relu": "post = max({}, 0) = {}", UNKNOWN: "post = activation({}) = {}"}.get(name, "post = tanh {} = {}"), x, y)


def neuron_lines(look: Look, n: int, end: str) -> Iterator[Line]:
    """One neuron's numbers: its fit ("pre"), its activation ("post"), and what it adds ("added")."""
    lens, layer = look.lens, look.place.block
    pre = look.row(look.name("mlp.pre"))[n]
    if end == "pre":
        look.row(look.name("ln2.normalized"))  # says what is missing
        yield say("pre = {}", pre)
    if not recomputable(lens, look.name("mlp.pre"), row=look.token):
        yield say("pre = {}: changed by hand", pre)
    elif end == "pre" or (end == "added" and lens.model is not None):
        dot = linear.dot(lens, layer, FC, look.token, n)
        yield say("Σ x × w + b = {} {} = {}", dot.total, Plus(dot.bias), dot.result)
    if end == "pre":
        return
    post = look.row(look.name("mlp.post"))[n]
    holds = recomputable(lens, look.name("mlp.post"), row=look.token)
    yield activation_line(look, pre, post) if holds else say("post = {}: changed by hand", post)
    if end == "added":
        yield say("it adds a vector of length |{}| × {} = {}", post, float(mlp.reach(lens, layer)[n]), mlp.adds(lens, layer, look.token)[n])


def writing(look: Look) -> Topic:
    """The MLP's second half: what the neurons add together."""

    def worked() -> Iterator[Line]:
        yield say("element {} of mlp_out = {}", look.element, look.row(look.name("mlp_out"))[look.element])
        yield from weighed(look, OUT, "post")

    return Topic(
        f"L{look.place.block}: what the MLP adds",
        (
            say("Each neuron has a vector of its own, and adds as much of it to {} as the neuron fires.", look.here),
            say("The sum of all, with a bias, goes into the residual stream."),
        ),
        ("mlp_out = post W_proj + b",),
        worked(),
        tuple(look.name(name) for name in ("mlp.post", "mlp_out")),
        ((gpt2.block, "mlp_out"), (ops.linear, "y")),
        (("W_proj", ("m", "d")),),
    )


LISTED = {
    None: "how strongly they fire for {}, after the activation",
    "pre": "how well they fit the vector of {}, before the activation",
    "added": "the length of the vector that they add for {}",
}


def neuron_list(look: Look) -> Topic:
    """The MLP's neurons as a list, and the one that is selected in numbers."""
    place = look.place

    def worked() -> Iterator[Line]:
        n = choice.neuron(look.lens, place)
        yield say("neuron {}:", n)
        yield from neuron_lines(look, n, "added")

    return Topic(
        f"L{place.block}: the MLP's neurons",
        (
            say(f"The {{}} neurons of this MLP, sorted by {LISTED[place.face]}.", look.lens.config.n_inner, look.here),
            say("Each looks for one pattern in the vector and, where it finds it, adds a vector of its own."),
        ),
        ("post = activation(LayerNorm(x) W_fc + b)", "mlp_out = post W_proj + b"),
        worked(),
        tuple(look.name(name) for name in ("ln2.normalized", "mlp.pre", "mlp.post", "mlp_out")),
        ((gpt2.block, "mlp.pre" if place.face == "pre" else "mlp.post"), *activation_made(look)),
    )


def neuron(look: Look) -> Topic:
    """One neuron."""
    n = look.place.neuron or 0
    return Topic(
        f"L{look.place.block}: neuron {n}",
        (
            say("Neuron {} compares the vector of {} with a pattern of weights; how well they fit decides how it fires.", n, look.here),
            say("It then adds that much of its own vector, which has the same direction for every token."),
        ),
        ("pre = LayerNorm(x) · w_in + b", f"post = {activation_name(look)}(pre)", "adds post × w_out"),
        neuron_lines(look, n, "added"),
        tuple(look.name(name) for name in ("ln2.normalized", "mlp.pre", "mlp.post")),
        ((gpt2.block, "mlp.post"), *activation_made(look)),
        (("w_in, w_out", ("d",)),),
    )


FILTERS = {
    "full": "Softmax turns the logits of all {} tokens, divided by the temperature, into probabilities.",
    "top-k": "Of {} tokens only the likeliest {} are kept, and softmax turns their logits into probabilities.",
    "top-p": "Of {} tokens only the likeliest that reach {} together are kept, and softmax turns their logits into probabilities.",
    "greedy": "At temperature 0 nothing is drawn: of {} tokens the one with the largest logit gets everything.",
}


def output(look: Look) -> Topic:
    """A candidate's way from logit to probability."""
    distribution = look.distribution
    mode = distribution.mode if distribution is not None else "full"
    settings: tuple[Value, ...] = (look.lens.config.vocab_size,)
    if distribution is not None:
        settings += {"top-k": (distribution.kept_count,), "top-p": (distribution.p or 0.0,)}.get(mode, ())

    def worked() -> Iterator[Line]:
        known = out.known(distribution)
        chosen = out.candidate(known, look.candidate)
        if recomputable(look.lens, "logits"):
            yield say("{}: logit x · row {} = {}", Entry(chosen.id), str(chosen.id), chosen.logit)
        else:
            yield say("{}: logit {}, changed by hand", Entry(chosen.id), chosen.logit)
        yield say("÷ T: {} ÷ {} = {}", chosen.logit, known.shown_temperature, chosen.scaled)
        yield share_line(known, chosen)

    kept: dict[str, tuple[Made, ...]] = {"top-p": ((sampling.nucleus_size, ""),)}
    return Topic(
        "The next token",
        (
            say("A logit says how well the last vector fits a token: its product with the row of that token in the unembedding."),
            Line(FILTERS[mode], settings),
        ),
        ("logit = LayerNorm(x) · wte[token]", "p = e^(logit ÷ T − max) ÷ Σ e^(logit ÷ T − max)", LESS),
        worked(),
        ("ln_final.normalized", "logits"),
        ((gpt2.unembed, "return"), (sampling.settle, "weights"), *kept.get(mode, ()), (getter("_kept_ranked"), "return")),
        (("unembedding", ("V", "d")),),
    )


def share_line(distribution: Distribution, chosen: out.CandidateFacts, front: str = "", *values: Value) -> Line:
    """How a token comes to its probability; front: words before it, with their values."""
    if not chosen.kept:
        return say(f"{front}{distribution.mode} cuts it: {{}}; of all it had {{}}", *values, Share(0.0), Share(chosen.full))
    if distribution.mode == "greedy":
        return say(f"{front}the largest: {{}}; at T 1 it has {{}}", *values, Share(1.0), Share(chosen.full))
    worked = (chosen.scaled, Plus(-chosen.most), chosen.total, Share(chosen.probability))
    return say(f"{front}e^({{}} {{}}) ÷ {{}} = {{}}", *values, *worked)


def getter(name: str) -> Callable[..., Any]:
    """The function behind a Distribution's computed field."""
    return vars(Distribution)[name].func


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
            yield say("cosine to what was there: {}", residual.turn(look.lens, select, look.token))

    return Topic(
        f"Residual stream: {select}",
        (say(said, look.here), say("The stream is the sum of all its parts, so each can be read by every later block.")),
        ("x = wte[id] + wpe[position] + Σ of all added",),
        worked(),
        tuple(dict.fromkeys(each for each in (known.before, known.adds, known.after) if each is not None)),
        (made,),
    )


# The panes around the stage

TEMPERATURES = "T divides the logits before softmax. At 0 the likeliest token is taken, at 1 the shares are as trained, at 10 nearly alike."
PILED = 5  # tokens whose shares are told at several temperatures, as the panel's picture shows them
SWEPT = (0.1, 1.0, 10.0)


def panel(look: Look) -> Topic:
    """The next token's probabilities as the panel shows them, and every figure beside them."""
    distribution, lens = look.distribution, look.lens

    def worked() -> Iterator[Line]:
        known = out.known(distribution)
        chosen, size = out.candidate(known, look.candidate), len(known.order)
        yield share_line(known, chosen, "{}, rank {}: ", Entry(chosen.id), chosen.rank + 1)
        yield say("a full bar is {}: the first round share that holds the largest", Share(look.full_bar))
        bits, open_ = known.entropy_bits, known.perplexity
        yield say("{} bits; 2^{} = {}: as open as among {} equally likely tokens", bits, bits, open_, open_)
        if known.mode == "full":
            yield say("full: each of {} tokens may be drawn", size)
        else:
            before = out.candidate(known, known.kept_count - 1).cumulative
            yield say(f"{known.mode}: {{}} of {{}} tokens kept, which had {{}} together", known.kept_count, size, Share(before))
        if look.draw is not None:
            drawn = look.draw
            yield say("{} was drawn: u = {} fell between {} and {}", Entry(drawn.id), *figures_apart(drawn))
        if look.present:
            seed, count = look.seed, lens.trace.n_tokens
            coming = known.draw(sampling.uniform(seed, count))
            u, low, high = figures_apart(coming)
            yield say("seed {} gives token {} the number u = {}: between {} and {}", str(seed), str(count), u, low, high)
            yield say("so a draw takes {}", Entry(coming.id))
        for temperature in SWEPT:
            piled = out.candidate(known.at(temperature), PILED - 1).cumulative
            yield say("at T {} the top {} have {} together", f"{temperature:g}", min(PILED, size), Share(piled))

    return Topic(
        "The panel: what may come next",
        (
            say("The list has the likeliest of {} tokens, by their logits: whatever T is, their order stays.", lens.config.vocab_size),
            say(TEMPERATURES),
        ),
        ("p = e^(logit ÷ T) ÷ Σ e^(logit ÷ T)", "entropy = −Σ p × log₂ p, in bits", "perplexity = 2^entropy"),
        worked(),
        ("logits",),
        ((sampling.settle, "weights"), (getter("entropy_bits"), "return"), (Distribution.draw, "rank"), (sampling.uniform, "return")),
    )


def figures_apart(drawn: Draw) -> tuple[str, str, str]:
    """A draw's number and the ends of the interval that it fell in, with as many decimals as tell the three apart."""
    texts = ("", "", "")
    for decimals in range(4, 17):
        texts = (f"{drawn.uniform:.{decimals}f}", f"{drawn.low:.{decimals}f}", f"{drawn.high:.{decimals}f}")
        if len(set(texts)) == len({drawn.uniform, drawn.low, drawn.high}):
            break
    return texts


def prompt(look: Look) -> Topic:
    """The prompt's tokens, and how surprising each was."""
    lens, token, known = look.lens, look.token, look.surprisal or ()

    def worked() -> Iterator[Line]:
        yield say(
            "{} is token {} of 0 to {}, number {} of the vocabulary",
            look.here,
            str(token),
            str(lens.trace.n_tokens - 1),
            str(entry(look).id),
        )
        surprise = known[token] if token < len(known) else None
        if look.surprisal is None:
            yield say("the surprisal isn't shown: x opens its strip")
        elif token == 0:
            yield say("nothing came before it, so nothing foretold it")
        elif surprise is None:
            yield say("its surprisal isn't computed yet")
        else:
            yield say("p = {}, rank {}: −log₂ p = {} bits", Share(surprise.probability), surprise.rank + 1, surprise.bits)
            if surprise.rank:
                yield say("likelier than all was {}, with {}", Entry(surprise.expected), Share(surprise.expected_probability))
        mean = mean_surprisal(known)
        if mean is not None:
            said = "mean of {} tokens: {} bits; 2^{} = {}, this text's perplexity"
            yield say(said, mean.counted, mean.bits, mean.bits, mean.perplexity)
        if look.appended:
            yield say("the last {} were drawn or chosen", look.appended)

    told = (say("An example. {}", look.hint),) if look.hint else ()
    return Topic(
        "The prompt",
        (
            *told,
            say("The text is cut into {} tokens, each with a number; that is all the model reads, at most {}.", lens.trace.n_tokens,
                lens.config.n_positions),
            say("The height at a token tells how surprising it was after those before it, at T 1: a token with p = 1 has 0 bits."),
        ),
        ("surprisal = −log₂ p(token | all before it)",),
        worked(),
        ("ln_final.normalized",),
        ((surprises, "log_p"),),
    )  # fmt: skip


def lesson(look: Look) -> Topic:
    """The lesson's page that is open."""
    assert look.lesson is not None
    assert look.page is not None
    whole, page = look.lesson, look.page
    questions = [each for each in whole.pages if each.question]
    right = sum(look.given.get(each.number) == each.answer for each in questions)

    def worked() -> Iterator[Line]:
        yield say("page {} of {}", page.number, len(whole.pages))
        yield say("values of this page that are computed: {}", sum(1 for _ in lives(page.prose)))
        yield say("the page's own setting: T {}, seed {}", f"{page.temperature:g}", str(page.seed))
        if questions:
            yield say("questions in the lesson: {}; answered {}, right {}", len(questions), len(look.given), right)

    return Topic(
        f"The lesson: {whole.title}",
        (
            say("A page moves the screen to what it speaks of, and marks it; its coloured values are computed from the page's own run."),
            say("Wherever you go meanwhile, the page stays. Once the lesson is closed, your own prompt, setting and place are back."),
        ),
        (),
        worked(),
        (),
        (),
    )


PANES: dict[str, Callable[[Look], Topic]] = {"panel": panel, "prompt": prompt, "lesson": lesson}


def shape_of(lens: Lens, name: str) -> Shape:
    """A trace's tensor with its shape: as recorded, or as it would be."""
    recorded = name in lens.trace
    if name == "logits":
        own = lens.trace[name].shape if recorded else (lens.config.vocab_size,)
        return Shape(name, ("T", "V")[-len(own) :], own, recorded)
    letters = activation_letters(lens.config.n_layer)[name]
    own = lens.trace[name].shape if recorded else sizes(letters, lens.config, lens.trace.n_tokens)
    return Shape(name, letters, own, recorded)


TILES: dict[str, Callable[[Look], Topic]] = {
    "resid_pre": entering,
    "ln1": partial(layer_norm, which="ln1"),
    "qkv": qkv,
    "attn": attention,
    "proj": projection,
    "add1": partial(added, what="attention", source="resid_pre", addend="attn_out", result="resid_mid"),
    "ln2": partial(layer_norm, which="ln2"),
    "fc": fitting,
    "act": activating,
    "out": writing,
    "add2": partial(added, what="the MLP", source="resid_mid", addend="mlp_out", result="resid_post"),
}
ENDS: dict[str, Callable[[Look], Topic]] = {"embed": embedding, "final": partial(layer_norm, which="final"), "output": output}
# A place's explanation, by what is selected or which face is shown where that decides.
PAGES: dict[Level, Callable[[Look], Topic]] = {
    Level.MODEL: column,
    Level.EMBED: lambda look: nearest(look) if look.place.face == "nearest" else embedding(look),
    Level.BLOCK: lambda look: TILES[look.place.select or "attn"](look),
    Level.LN1: TILES["ln1"],
    Level.QKV: qkv,
    Level.ATTN: heads,
    Level.PROJ: projection,
    Level.LN2: TILES["ln2"],
    Level.MLP: neuron_list,
    Level.NEURON: neuron,
    Level.HEADS: lambda look: measured(look, look.place.face) if look.place.face else heads(look),
    Level.HEAD: head,
    Level.PRODUCT: product,
    Level.FINAL: ENDS["final"],
    Level.OUTPUT: output,
    Level.RESIDUAL: part,
}
