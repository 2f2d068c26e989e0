"""The next token explained, and the panes around the stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from txexplain.engine import gpt2, sampling
from txexplain.engine.sampling import Distribution, Draw
from txexplain.engine.surprisal import surprises
from txexplain.explorer.lesson import lives
from txexplain.facts import output as out
from txexplain.facts.by_hand import recomputable
from txexplain.facts.prompt import mean_surprisal
from txexplain.words.attention import LESS
from txexplain.words.told import TOPICS, Entry, Line, Look, Made, Plus, Share, Topic, Value, entry, say

FILTERS = {
    "full": "Softmax turns the logits of all {} tokens, divided by the temperature, into probabilities.",
    "top-k": "Of {} tokens only the likeliest {} are kept, and softmax turns their logits into probabilities.",
    "top-p": "Of {} tokens only the likeliest that reach {} together are kept, and softmax turns their logits into probabilities.",
    "greedy": "At temperature 0 nothing is drawn: of {} tokens the one with the largest logit gets everything.",
}


@TOPICS.of("output")
def output(look: Look) -> Topic:
    """A candidate's way from logit to probability."""
    distribution = look.distribution
    mode = distribution.mode if distribution is not None else "full"
    settings: tuple[Value, ...] = (look.result.config.vocab_size,)
    if distribution is not None:
        settings += {"top-k": (distribution.kept_count,), "top-p": (distribution.p or 0.0,)}.get(mode, ())

    def worked() -> Iterator[Line]:
        known = out.known(distribution)
        chosen = out.candidate(known, look.candidate)
        if recomputable(look.result, "logits"):
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


TEMPERATURES = "T divides the logits before softmax. At 0 the likeliest token is taken, at 1 the shares are as trained, at 10 nearly alike."
PILED = 5  # tokens whose shares are told at several temperatures, as the panel's picture shows them
SWEPT = (0.1, 1.0, 10.0)


def panel(look: Look) -> Topic:
    """The next token's probabilities as the panel shows them, and every figure beside them."""
    distribution, result = look.distribution, look.result

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
            seed, count = look.seed, result.trace.n_tokens
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
            say("The list has the likeliest of {} tokens, by their logits: whatever T is, their order stays.", result.config.vocab_size),
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
    result, token, known = look.result, look.token, look.surprisal or ()

    def worked() -> Iterator[Line]:
        yield say(
            "{} is token {} of 0 to {}, number {} of the vocabulary",
            look.here,
            str(token),
            str(result.trace.n_tokens - 1),
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
            say("The text is cut into {} tokens, each with a number; that is all the model reads, at most {}.", result.trace.n_tokens,
                result.config.n_positions),
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
