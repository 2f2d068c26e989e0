"""The MLP explained: how its neurons fit, fire and write."""

from __future__ import annotations

from collections.abc import Iterator

from txexplain.engine import gpt2, ops
from txexplain.engine.ops import ACTIVATIONS
from txexplain.explorer import choice
from txexplain.facts import linear, mlp
from txexplain.facts.by_hand import recomputable
from txexplain.facts.linear import FC, OUT
from txexplain.words.attention import weighed
from txexplain.words.told import TOPICS, Line, Look, Made, Plus, Topic, say


def fitting(look: Look) -> Topic:
    """The MLP's first half: every neuron's fit, and the best one's in numbers."""

    def worked() -> Iterator[Line]:
        n = mlp.neurons(look.result, look.place.block, look.token, "pre").order[0]
        yield say("neuron {} fits best:", n)
        yield from neuron_lines(look, n, "pre")

    return Topic(
        f"L{look.place.block}: the neurons, before",
        (
            say(
                "The MLP works on each token alone: {} neurons each weigh the whole vector of {}.",
                look.result.config.n_inner,
                look.here,
            ),
            say("A large result means that the vector fits what a neuron weighs; many neurons answer to several things."),
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
        n = mlp.neurons(look.result, look.place.block, look.token, "post").order[0]
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
    name = look.result.activation
    return () if name is None else ((ACTIVATIONS[name], ""),)


def activation_name(look: Look) -> str:
    """The engine's own name of the activation: some have two in a config."""
    name = look.result.activation
    return UNKNOWN if name is None else ACTIVATIONS[name].__name__


def activation_formula(look: Look) -> tuple[str, ...]:
    name = activation_name(look)
    return () if name == UNKNOWN else (f"{name}(x) = {ACTIVATION_FORMULAS[name]}",)


SOFT = "The activation lets large numbers through and presses negative ones to almost nothing"
UNKNOWN = "activation"  # a trace without its config and with one half of its neurons
ACTIVATION_WORDS = {
    "gelu_new": SOFT, "gelu": SOFT, "gelu_10": SOFT, "quick_gelu": SOFT, "silu": SOFT, UNKNOWN: "The activation bends every number",
    "relu": "The activation lets positive numbers through and makes negative ones 0",
    "tanh": "The activation squeezes every number between −1 and 1",
}  # fmt: skip
ACTIVATION_FORMULAS = {
    "gelu_new": "x ÷ 2 × (1 + tanh(0.798 × (x + 0.0447 × x³)))",
    "gelu": "x × Φ(x)",
    "gelu_10": "x × Φ(x), at least −10, at most 10",
    "quick_gelu": "x ÷ (1 + e^(−1.702 x))",
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
            "gelu_10": say("post = {} × Φ = {} × {}, at most 10 = {}", x, x, inside, y),
            "quick_gelu": say("post = {} ÷ (1 + {}) = {}", x, inside, y),
            "silu": say("post = {} ÷ (1 + {}) = {}", x, inside, y),
        }[name]
    return say({"relu": "post = max({}, 0) = {}", UNKNOWN: "post = activation({}) = {}"}.get(name, "post = tanh {} = {}"), x, y)


def neuron_lines(look: Look, n: int, end: str) -> Iterator[Line]:
    """One neuron's numbers: its fit ("pre"), its activation ("post"), and what it adds ("added")."""
    result, layer = look.result, look.place.block
    pre = look.row(look.name("mlp.pre"))[n]
    if end == "pre":
        look.row(look.name("ln2.normalized"))  # says what is missing
        yield say("pre = {}", pre)
    if not recomputable(result, look.name("mlp.pre"), row=look.token):
        yield say("pre = {}: changed by hand", pre)
    elif end == "pre" or (end == "added" and result.model is not None):
        dot = linear.dot(result, layer, FC, look.token, n)
        yield say("Σ x × w + b = {} {} = {}", dot.total, Plus(dot.bias), dot.result)
    if end == "pre":
        return
    post = look.row(look.name("mlp.post"))[n]
    holds = recomputable(result, look.name("mlp.post"), row=look.token)
    yield activation_line(look, pre, post) if holds else say("post = {}: changed by hand", post)
    if end == "added":
        yield say(
            "it adds a vector of length |{}| × {} = {}", post, float(mlp.reach(result, layer)[n]), mlp.adds(result, layer, look.token)[n]
        )


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


@TOPICS.of("mlp")
def neuron_list(look: Look) -> Topic:
    """The MLP's neurons as a list, and the one that is selected in numbers."""
    place = look.place

    def worked() -> Iterator[Line]:
        n = choice.neuron(look.result, place)
        yield say("neuron {}:", n)
        yield from neuron_lines(look, n, "added")

    return Topic(
        f"L{place.block}: the MLP's neurons",
        (
            say(f"The {{}} neurons of this MLP, sorted by {LISTED[place.face]}.", look.result.config.n_inner, look.here),
            say("Each weighs the vector in its own way and, by how it fires, adds a vector of its own: a negative result takes it away."),
        ),
        ("post = activation(LayerNorm(x) W_fc + b)", "mlp_out = post W_proj + b"),
        worked(),
        tuple(look.name(name) for name in ("ln2.normalized", "mlp.pre", "mlp.post", "mlp_out")),
        ((gpt2.block, "mlp.pre" if place.face == "pre" else "mlp.post"), *activation_made(look)),
    )


@TOPICS.of("neuron")
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
