"""A lesson's live values: each computed from the run on screen, so that no number in a lesson can be wrong for the model in use."""

from __future__ import annotations

from dataclasses import replace

from txexplain.engine.attribution import read_stream
from txexplain.engine.changes import parse as parse_change
from txexplain.engine.effects import LEAST_DIFFERENCE
from txexplain.engine.sampling import Distribution, distribution, uniform
from txexplain.engine.trace import Trace
from txexplain.errors import InterventionError, LessonError, LocationError, NotRecorded
from txexplain.explorer.lesson import COMPARED, TRIED, Live, Page, fault, pieces, unquoted
from txexplain.explorer.location import STAGES, Dims, Location, check, parse
from txexplain.facts import mlp
from txexplain.facts.direct import direct
from txexplain.facts.head import grid, row, sink
from txexplain.facts.heads import ranked
from txexplain.facts.output import reaching
from txexplain.facts.product import moved
from txexplain.facts.prompt import surprise
from txexplain.facts.vector import vector
from txexplain.text import shown
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.scene import Scene


class NotThere(Exception):
    """Half a sentence: what this model or prompt lacks of what a live value names."""


def fill(text: str, scene: Scene, where: str = "lesson", key: str = "text") -> str:
    """A text with its live values filled in. Raises LessonError where this model or prompt lacks one."""
    return "".join(each if isinstance(each, str) else value(each, scene, where, key) for each in pieces(text, where, key))


def value(live: Live, scene: Scene, where: str = "lesson", key: str = "text") -> str:
    """One live value, as it is written for people. What was computed for this run and setting isn't again. Raises LessonError."""
    what, question = ("tried live values", tries(scene)) if live.name in TRIED else ("live values", setting(scene))
    known = scene.result.last(what, question, dict[Live, str])
    try:
        if live not in known:
            known[live] = computed(live, scene)
        return known[live]
    except NotRecorded as missing:
        raise fault(where, key, f"{live} needs {missing.what}, which this run doesn't have.") from None
    except NotThere as wrong:
        raise fault(where, key, f"{live}: {wrong.args[0]}.") from None


def setting(scene: Scene) -> tuple[object, ...]:
    """What live values depend on beside their run."""
    state, palette = scene.state, scene.palette
    sampling = (scene.distribution, *state.sampling.values(), state.seed)
    return (*sampling, state.location, scene.contrast, state.other, scene.model_name, palette.ascii, palette.console)


def tries(scene: Scene) -> tuple[object, ...]:
    """What those depend on that take a run of their own: not on where one is, which changes with each key."""
    return scene.contrast, scene.state.other, scene.palette.ascii


def place(page: Page, scene: Scene, dims: Dims, where: str) -> Location:
    """Where a page looks, its heads found in this run. Raises LessonError."""
    return located(page.at, scene, dims, where, "at")


def located(text: str, scene: Scene, dims: Dims, where: str, key: str) -> Location:
    try:
        found = parse(fill(text, scene, where, key))
        check(found, dims)
    except LocationError as error:
        raise fault(where, key, str(error)) from None
    return found


def computed(live: Live, scene: Scene) -> str:
    """Raises NotRecorded, NotThere."""
    config, arguments, ascii = scene.config, live.arguments, scene.palette.ascii
    match live.name:
        case "T":
            return f"{scene.state.temperature:g}"
        case "seed":
            return str(scene.state.seed)
        case "model":
            return scene.model_name
        case "tokens":
            return count(scene.n_tokens)
        case "vocabulary":
            return count(config.vocab_size)
        case "blocks" | "heads" | "d" | "dh" | "m" | "context":
            sizes = {"blocks": config.n_layer, "heads": config.n_head, "d": config.n_embd, "dh": config.head_dim, "m": config.n_inner}
            return count((sizes | {"context": config.n_positions})[live.name])
        case "token":
            return word(scene.trace.ids[position(arguments[0], scene)], scene)
        case "id":
            return str(scene.trace.ids[position(arguments[0], scene)])
        case "bits":
            return number(bits_of(position(arguments[0], scene), scene), ascii=ascii)
        case "head":
            return "L{}H{}".format(*head_that(arguments, scene))
        case "share":
            block, head = head_that(arguments, scene)
            share = float(scene.result.measures.of(arguments[0])[block, head])
            return number(share, ascii=ascii) if arguments[0] == "entropy" else percent(share, ascii=ascii)
        case "cell":
            query, key = (position(each, scene) for each in arguments[1].split(","))
            block, head, stage = head_named(arguments[0], scene)
            cell = float(grid(scene.result, block, head, stage)[query, key])
            return percent(cell, ascii=ascii) if stage == "softmax" else number(cell, ascii=ascii)
        case "moved":
            query, key = (position(each, scene) for each in arguments[1].split(","))
            block, head, _ = head_named(arguments[0], scene)
            if key > query:
                raise NotThere("nothing moves from a token to one before it")
            return number(moved(scene.result, block, head, query, key).length, ascii=ascii)
        case "strongest":
            block, head, stage = head_named(arguments[0], scene)
            query = position(arguments[1], scene)
            return word(scene.trace.ids[row(scene.result, block, head, query, stage).strongest], scene)
        case "sink":
            block = block_named(arguments[0], scene)
            scene.trace[f"blocks.{block}.attn.pattern"]  # says what is missing
            if scene.n_tokens < 2:
                raise NotThere("one token has no other to attend to")
            return percent(sink(scene.result, block), ascii=ascii)
        case "norm":
            at = position(arguments[1], scene) if len(arguments) > 1 else scene.token
            return number(vector(scene.result, part_named(arguments[0], scene), at).length, ascii=ascii)
        case "spread":
            name = "ln_final" if arguments[0] == "final" else f"blocks.{block_named(arguments[0].partition('.')[0], scene)}"
            name += "" if arguments[0] == "final" else "." + arguments[0].partition(".")[2]
            return number(float(scene.trace[f"{name}.scale"][scene.token, 0]), ascii=ascii)
        case "before" | "after" | "effect" | "restored" | "direct" | "lens":
            return of_causes(live, scene)
        case "firing" | "neuron":
            block = block_named(arguments[0], scene)
            if live.name == "firing":
                return count(mlp.firing(scene.result, block, scene.token))
            return str(mlp.neurons(scene.result, block, scene.token, "post").order[0])
    return of_distribution(live, scene)


def of_causes(live: Live, scene: Scene) -> str:
    """What was changed in the run, and what that did to A − B."""
    result, arguments, ascii = scene.result, live.arguments, scene.palette.ascii
    plain = result.trace if result.plain is None else result.plain.trace
    if scene.contrast is None:
        raise NotRecorded("logits")
    if live.name == "lens":
        at = position(arguments[1], scene) if len(arguments) > 1 else scene.token
        stream = scene.trace[f"blocks.{block_named(arguments[0], scene)}.resid_post"][at : at + 1]  # [1, d]
        return word(int(read_stream(result.weights(), stream)[0].argmax()), scene)
    if live.name == "direct":
        parts = direct(result, scene.n_tokens - 1, *scene.contrast).parts
        if arguments[0] not in parts:
            raise NotThere(f"A − B has the parts {', '.join(list(parts)[:4])}, and so on, up to {list(parts)[-3]}")
        return number(parts[arguments[0]], ascii=ascii, sign=True)
    if live.name == "before" and arguments:
        if scene.distribution is None:
            raise NotRecorded("the next token's probabilities")
        known = distribution(plain.last_logits)
        return percent(float(known.full_probability[candidate(arguments, known, scene)]), ascii=ascii)
    before, after = (difference(run, scene.contrast) for run in (plain, scene.trace))
    if live.name == "restored":
        return number(restored(arguments[0], after, scene), ascii=ascii)
    if live.name == "effect" and arguments:
        tried = changed(arguments[0], scene, None)
        return number(difference(tried, scene.contrast) - after, ascii=ascii, sign=True)
    return number({"before": before, "after": after, "effect": after - before}[live.name], ascii=ascii, sign=True)


def difference(run: Trace, pair: tuple[int, int]) -> float:
    """A − B at a run's last token."""
    a, b = (float(run.last_logits[token]) for token in pair)
    return a - b


def changed(text: str, scene: Scene, donor: Trace | None) -> Trace:
    """The page's run with one change more. Raises NotThere."""
    result, change = scene.result, parse_change(text)
    try:
        change.check(scene.config, scene.model_name, scene.n_tokens)
        more = [*scene.trace.interventions, change]
        return result.weights().forward(scene.trace.ids, interventions=more, donor=donor, prefix=scene.trace)
    except InterventionError as wrong:
        raise NotThere(str(wrong).removesuffix(".")) from None


def restored(text: str, here: float, scene: Scene) -> float:
    """Which part of the way to the other run's A − B a patch goes. Raises NotThere."""
    assert scene.contrast is not None
    if scene.state.other is None:
        raise NotThere('there is no other run; add its prompt to the page, as from = "…"')
    model = scene.result.weights()
    donor = scene.result.last("other run", scene.state.other, lambda: model.forward(model.prompt_ids(scene.state.other or "")))
    far = difference(donor, scene.contrast) - here
    if abs(far) < LEAST_DIFFERENCE:
        raise NotThere("both runs have nearly the same A − B, so that no part of the way can be told")
    return (difference(changed(f"{text}=from" if "=" not in text else text, scene, donor), scene.contrast) - here) / far


def of_distribution(live: Live, scene: Scene) -> str:
    distribution, arguments, ascii = scene.distribution, live.arguments, scene.palette.ascii
    if distribution is None:
        raise NotRecorded("the next token's probabilities")
    match live.name:
        case "kept":
            return count(distribution.kept_count)
        case "u":
            return f"{uniform(scene.state.seed, scene.n_tokens):.4f}"
        case "draw":
            return word(distribution.draw(uniform(scene.state.seed, scene.n_tokens)).id, scene)
        case "top":
            return word(int(distribution.order[rank(arguments[0], distribution) if arguments else 0]), scene)
        case "entropy":
            return number(at_temperature(distribution, scene, arguments).entropy_bits, ascii=ascii)
        case "reach":
            wanted = at_temperature(distribution, scene, arguments[1:])
            return count(reaching(wanted, float(arguments[0])))
        case "rank":
            return count(distribution.rank_of(candidate(arguments, distribution, scene)) + 1)
        case "logit":
            return number(float(distribution.logits[candidate(arguments, distribution, scene)]), ascii=ascii)
        case "probability" | "full":
            token = candidate(arguments, distribution, scene)
            wanted = at_temperature(distribution, scene, arguments[1:])
            shares = wanted.probability if live.name == "probability" else wanted.full_probability
            return percent(float(shares[token]), ascii=ascii)
    raise NotThere("nothing computes it")


def at_temperature(distribution: Distribution, scene: Scene, arguments: tuple[str, ...]) -> Distribution:
    """The distribution at another temperature, where one is named, and otherwise as it is sampled on screen."""
    return distribution.at(**(scene.state.sampling | {"temperature": float(arguments[0])})) if arguments else distribution


def word(token_id: int, scene: Scene) -> str:
    """A token in running text: in quotes, without the space that begins it."""
    label = scene.id_label(token_id)
    return f"“{label.strip() or label}”"


def rank(text: str, distribution: Distribution) -> int:
    at = int(text) - 1
    if not 0 <= at < len(distribution.order):
        raise NotThere(f"ranks go from 1 to {count(len(distribution.order))}")
    return at


def candidate(arguments: tuple[str, ...], distribution: Distribution, scene: Scene) -> int:
    """The token that is named by its text or its rank; the likeliest where none is."""
    if not arguments:
        return int(distribution.order[0])
    if not arguments[0].startswith('"'):
        return int(distribution.order[rank(arguments[0], distribution)])
    text = unquoted(arguments[0]) or ""
    ids = scene.result.weights().tokenizer.candidates(text)
    if len(ids) != 1:
        raise NotThere(f"{shown(repr(text))} is {len(ids)} tokens; name one token, with the space that begins it")
    return ids[0]


def position(text: str, scene: Scene) -> int:
    if int(text) >= scene.n_tokens:
        raise NotThere(f"the prompt's tokens go from 0 to {scene.n_tokens - 1}")
    return int(text)


def bits_of(at: int, scene: Scene) -> float:
    """How surprising a token of the prompt was, in bits."""
    if at == 0:
        raise NotThere("nothing comes before the first token")
    return surprise(scene.result, at).bits


def head_that(arguments: tuple[str, ...], scene: Scene) -> tuple[int, int]:
    """The block and head that has most of a measure on this prompt, or the second, third …"""
    order = ranked(scene.result, arguments[0])
    at = int(arguments[1]) - 1 if len(arguments) > 1 else 0
    if at >= len(order):
        raise NotThere(f"there are {len(order)} heads" if order else f"this prompt tells no head by {arguments[0]}")
    block, head = divmod(order[at], scene.config.n_head)
    return block, head


def head_named(text: str, scene: Scene) -> tuple[int, int, str]:
    """The block, head and stage of L3H5:qk or induction:scaled."""
    name, _, stage = text.partition(":")
    if not name.startswith("L"):
        return *head_that((name,), scene), stage or STAGES[3]
    block, head = (int(each) for each in name[1:].split("H"))
    block_named(f"L{block}", scene)
    if head >= scene.config.n_head:
        raise NotThere(f"the model has heads H0 to H{scene.config.n_head - 1} in each block")
    return block, head, stage or STAGES[3]


def block_named(text: str, scene: Scene) -> int:
    if int(text[1:]) >= scene.config.n_layer:
        raise NotThere(f"the model has blocks L0 to L{scene.config.n_layer - 1}")
    return int(text[1:])


def part_named(text: str, scene: Scene) -> str:
    """The activation that a part of the residual stream is."""
    if not text.startswith("L"):
        return {"embed": "embed", "pos": "pos_embed", "start": "blocks.0.resid_pre"}[text]
    name, _, half = text.partition(".")
    return f"blocks.{block_named(name, scene)}." + {"": "resid_post", "attn": "attn_out", "mlp": "mlp_out"}[half]


def filled(page: Page, scene: Scene, where: str) -> Page:
    """A page whose every text has its live values. Raises LessonError."""

    def done(key: str, text: str) -> str:
        return fill(text, scene, where, key)

    return replace(
        page, title=done("title", page.title), text=done("text", page.text), question=done("question", page.question),
        answers=tuple(done("answers", each) for each in page.answers), why=tuple(done("why", each) for each in page.why),
    )  # fmt: skip


def require_true(page: Page, scene: Scene, where: str) -> None:
    """Raise LessonError where something that the page says of the model isn't so."""
    for text in page.holds:
        said = fill(text, scene, where, "holds")
        found = COMPARED.fullmatch(said)
        assert found is not None
        left, sign, right = found.groups()
        if sign == "=":
            true = left == right
        else:
            true = (amount(left, where) < amount(right, where)) == (sign == "<") and amount(left, where) != amount(right, where)
        if not true:
            raise fault(where, "holds", f"{text} isn't so here: {said}.")


def amount(text: str, where: str) -> float:
    """A number as live values write it: with a sign, thousands apart, or in percent."""
    plain = text.strip().replace("−", "-").replace(",", "")
    try:
        return float(plain[:-1]) / 100 if plain.endswith("%") else float(plain)
    except ValueError:
        raise fault(where, "holds", f"{shown(text)} is no number to compare.") from None


__all__ = ["LessonError", "fill", "filled", "located", "place", "require_true", "value"]
