"""A view in words and a plain table: for screen readers, logs, and the help page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.explorer import choice
from txexplain.explorer.location import MEASURES, breadcrumb, place_of
from txexplain.explorer.places.lens import column as stream_of
from txexplain.facts import mlp
from txexplain.facts.direct import listed
from txexplain.facts.effects import EffectsFacts
from txexplain.facts.embed import nearest
from txexplain.facts.flow import by_size, held
from txexplain.facts.head import grid, row, score
from txexplain.facts.heads import ranked
from txexplain.facts.output import candidate, known
from txexplain.facts.product import moved, moved_reading
from txexplain.facts.residual import changes
from txexplain.facts.vector import VectorFacts, vector
from txexplain.viz.flow import LINE_FROM
from txexplain.viz.numbers import Figure, count, exact, number, percent, points, several, shape
from txexplain.viz.scene import Scene
from txexplain.viz.tables import plain_table
from txexplain.viz.views.atlas import figures, listed_heads, nothing
from txexplain.viz.views.block import TILES
from txexplain.viz.views.chrome import contrast_name, known_sizes
from txexplain.viz.views.direct import facts_of
from txexplain.viz.views.edits import changes_text, effect_text
from txexplain.viz.views.effects import lacking, progress, require_known, selected_name
from txexplain.viz.views.effects import nothing as nothing_patched
from txexplain.viz.views.embed import story
from txexplain.viz.views.head import BEFORE_MASK, NAMES
from txexplain.viz.views.lens import facts_of as lens_facts
from txexplain.viz.views.lens import names_of
from txexplain.viz.views.linear import dot_of, map_of, meaning
from txexplain.viz.views.model import MODES, traced
from txexplain.viz.views.norms import steps_of
from txexplain.viz.views.output import MEANT, stage_names, stages
from txexplain.viz.views.panel import sampling_text
from txexplain.viz.views.residual import GIVES, parts_of

VIEWS: dict[str, str] = {
    "model": "The whole model: rows are tokens, columns are blocks. Ribbons show what reached the selected token, traced back from the "
    "last block, the widest of them; numbers on the rows, which part of it each token held there; the bars below, how much attention (A) "
    "and MLP (M) added to its residual stream.",
    "embed": "Where a token becomes numbers: its row of wte plus its position's row of wpe.",
    "block": "One block in its order: attention and MLP branch off the residual stream and are added back to it.",
    "ln1": "The LayerNorm before attention: the token's vector, centred, divided by its spread, stretched and shifted.",
    "qkv": "Query, key and value of every head, made from the normalised vector by one matrix.",
    "attn": "The block's heads. Each picture is a head's real softmax pattern: queries down, keys to the right.",
    "proj": "The heads' results, side by side, through W_O: what attention adds to the residual stream.",
    "ln2": "The LayerNorm before the MLP.",
    "mlp": "The MLP: up to n_inner neurons, an activation, and back down to the residual stream.",
    "neuron": "One neuron of the MLP, before and after its activation.",
    "heads": "Every head of every block, each with its real softmax pattern, and what it does on this prompt: its share to the token "
    "itself, the one before, the first, and the one after an earlier copy (induction), and its entropy; means over all queries but the "
    "first.",
    "head": "One head: each row is a query token, each column a key token that it may look at.",
    "product": "One query times one key, element by element, the score that it makes, and what this share of attention moves.",
    "final": "The final LayerNorm, whose result meets every row of the unembedding.",
    "residual": "The selected token's residual stream: every part that was added to it, from the embedding to the last block.",
    "direct": "What each part that was added to the selected token's stream gives to the difference of two tokens' logits, straight "
    "to the end: a reading, not a cause.",
    "lens": "The logit lens: what each token's stream would say next if it were read after each block, with its own mean and spread: a "
    "reading, not a cause.",
    "effects": "By how much the difference of two tokens' logits changes where one head, MLP, edge or token is switched off, and all "
    "that follows is computed again: causes, on this prompt.",
    "output": "Every stage from logit to probability, for the likeliest tokens.",
}
CANDIDATES = 10
MOVES = 2  # ribbons of a block that are named

Row = tuple[str, ...]


def describe(scene: Scene) -> str:
    """The view of a finished scene: sentences, then its numbers as a table, then the next token."""
    config, trace = scene.config, scene.trace
    sizes = f"{config.n_layer} blocks of {config.n_head} heads, d {config.n_embd}" if scene.result.known is None else known_sizes(scene)
    tokens = ", ".join(f"{i} {quoted(scene, i)}" for i in range(scene.n_tokens))
    parts = [
        f"{scene.model_name}: {sizes}. {several(scene.n_tokens, 'token')}: {tokens}.",
        f"Place: {' > '.join(label for label, _ in breadcrumb(scene.location))}. {VIEWS[scene.location.kind]}",
        f"Selected token: {scene.token} {quoted(scene, scene.token)}.",
        *trace.notes,
        *([f"Changed: {'; '.join(filter(None, (changes_text(scene), effect_text(scene))))}."] if scene.changed else []),
    ]
    try:
        heading, rows = TABLES[scene.location.kind](scene)
        parts.append(f"{heading}\n{plain_table(rows)}")
    except NotRecorded as missing:
        parts.append(f"Not recorded: this trace has no {missing.what}.")
    if place_of(scene.location).flows:
        parts.append(flow_text(scene))
    if scene.distribution is not None and not place_of(scene.location).has_candidates:
        parts.append(f"Next token, T {scene.state.temperature:g}, {sampling_text(scene)}:\n{plain_table(next_tokens(scene))}")
    elif "logits" not in trace:
        parts.append("Next token: not recorded.")
    return "\n\n".join(parts) + "\n"


def document(scene: Scene, text_of: Callable[[int], str]) -> dict[str, Any]:
    """The same as values: what the view tells, as rows by the names of their columns. text_of: the text of a token of the vocabulary."""
    found: dict[str, Any] = {
        "at": str(scene.location),
        "token": scene.token,
        "view": VIEWS[scene.location.kind],
        "notes": list(scene.trace.notes),
        "heading": None,
        "rows": [],
        "lacks": None,
    }
    try:
        heading, rows = TABLES[scene.location.kind](scene)
        found |= {"heading": heading, "rows": records(rows, text_of)}
    except NotRecorded as missing:
        found["lacks"] = missing.what
    if place_of(scene.location).flows and scene.ribbons is not None:
        found["flow"] = [
            {
                "block": layer,
                "moves": [{"from": source, "to": target, "share": share} for source, target, share in moves],
                "before": [{"token": token, "share": share} for token, share in holders],
                "others": others,
            }
            for layer, (moves, holders, others) in enumerate(flow_of(scene))
        ]
    return found


def records(rows: Sequence[Row], text_of: Callable[[int], str]) -> list[dict[str, Any]]:
    """Rows below the first one as values by that one's names; the column without a name marks what is selected."""
    names, *others = rows
    return [
        {name or "selected": value_of(cell, text_of) if name else bool(cell) for name, cell in zip(names, row, strict=True)}
        for row in others
    ]


def value_of(cell: str, text_of: Callable[[int], str]) -> Any:
    """What a cell was written of: a number, a token or several; or else its text, and null for an empty one."""
    if not isinstance(cell, Figure):
        return cell or None
    if isinstance(cell.value, list):
        return [{"id": each["id"], "text": text_of(each["id"]), **each} for each in cell.value]
    return {"id": cell.value["id"], "text": text_of(cell.value["id"])} if isinstance(cell.value, dict) else cell.value


def quoted(scene: Scene, position: int) -> str:
    return f"'{scene.label(position)}'"


def named(scene: Scene, position: int) -> str:
    """A token with its position, which tells two of the same text apart."""
    return Figure.of(f"{position} {quoted(scene, position)}", position)


def by_id(scene: Scene, id: int) -> str:
    """A token of the vocabulary."""
    return Figure.of(f"'{scene.id_label(id)}'", {"id": id})


def nth(n: int) -> str:
    """A whole number that counts or tells one of many."""
    return Figure.of(str(n), n)


def mark(chosen: bool) -> str:
    """What stands before the row that the reader has chosen, or that the view shows where nothing is."""
    return ">" if chosen else ""


def first_of(order: Sequence[int], chosen: int) -> list[int]:
    """The first of a list, and the chosen one behind them where it stands further down."""
    first = list(order[:CANDIDATES])
    return first if chosen in first else [*first, chosen]


def next_tokens(scene: Scene) -> list[Row]:
    distribution = known(scene.distribution)
    rows: list[Row] = [("rank", "token", "logit", "of all", "probability")]
    for rank in range(min(CANDIDATES, len(distribution.order))):
        each = candidate(distribution, rank)
        kept = percent(each.probability) if each.kept else "cut"
        rows.append((str(rank + 1), f"'{scene.id_label(each.id)}'", number(each.logit), percent(each.full), kept))
    return rows


def output_table(scene: Scene) -> tuple[str, list[Row]]:
    """The likeliest tokens at every stage from logit to probability, in the order in which these are computed."""
    distribution = known(scene.distribution)
    names = stage_names(distribution)
    rows: list[Row] = [("", "rank", "token", *names)]
    for rank in first_of(range(len(distribution.order)), min(scene.candidate, len(distribution.order) - 1)):
        each = candidate(distribution, rank)
        texts = stages(each)
        rows.append((mark(rank == scene.candidate), nth(rank + 1), by_id(scene, each.id), *(texts[name] for name in names)))
    heading = f"T {scene.state.temperature:g}, {sampling_text(scene)}, {count(scene.config.vocab_size)} tokens."
    return f"{heading} {MEANT}:", rows


def block_table(scene: Scene) -> tuple[str, list[Row]]:
    prefix = f"blocks.{scene.location.block}."
    steps = [(tile.tile, prefix + tile.name) for tile in TILES if tile.name != "attn.pattern"]
    return "Its steps, for the selected token:", tensor_rows(scene, steps)


def tensor_rows(scene: Scene, names: list[tuple[str, str]]) -> list[Row]:
    rows: list[Row] = [("what", "shape", "least", "greatest", "mean", "norm")]
    for shown, name in names:
        if name not in scene.trace:
            rows.append((shown, "not recorded", "", "", "", ""))
            continue
        row = vector(scene.result, name, scene.token)
        rows.append((shown, shape(scene.trace[name].shape), *map(number, (row.least, row.greatest, row.mean, row.length))))
    return rows


def norm_table(scene: Scene) -> tuple[str, list[Row]]:
    steps = steps_of(scene)
    heading = (
        f"mean {exact(steps.x.mean)}, variance {number(steps.x.variance)}, scale {exact(steps.scale)}. Each step, for the selected token:"
    )
    vectors = {"x": steps.x, "x - mean": steps.centred, "divided": steps.divided, "gain": steps.gain, "bias": steps.bias}
    return heading, vector_rows(vectors | {"result": steps.result}, choice.element(scene.result, scene.location))


def linear_table(scene: Scene) -> tuple[str, list[Row]]:
    map_of(scene)  # says what is missing
    element = choice.element(scene.result, scene.location)
    dot = dot_of(scene, element)
    source = choice.source(scene.location, dot)
    heading = f"{meaning(scene, element)}: {number(dot.total)} + bias {exact(dot.bias)} = {exact(dot.result)}. Its largest terms:"
    rows: list[Row] = [("", "input", "x", "weight", "x × weight")]
    for i in first_of(dot.terms.order.tolist(), source):
        rows.append((mark(i == source), nth(i), exact(dot.x[i]), exact(dot.weights[i]), number(dot.terms[i])))
    return heading, rows


def mlp_table(scene: Scene) -> tuple[str, list[Row]]:
    place = scene.location
    by = place.face or "post"
    pre, post = (vector(scene.result, f"blocks.{place.block}.mlp.{part}", scene.token) for part in ("pre", "post"))
    if place.kind == "neuron":
        neuron = place.neuron or 0
        everywhere = mlp.everywhere(scene.result, place.block, neuron)
        rows: list[Row] = [("token", "post")]
        rows += [(named(scene, i), exact(everywhere[i])) for i in range(len(everywhere))]
        return f"Neuron {neuron}: pre {exact(pre[neuron])}, post {exact(post[neuron])}. Where it fires:", rows
    here = choice.neuron(scene.result, place)
    rows = [("", "neuron", "pre", "post")]
    for neuron in first_of(mlp.neurons(scene.result, place.block, scene.token, by).order, here):
        rows.append((mark(neuron == here), nth(neuron), exact(pre[neuron]), exact(post[neuron])))
    return f"Its first neurons by {by}, for the selected token:", rows


def embed_table(scene: Scene) -> tuple[str, list[Row]]:
    id_ = scene.trace.ids[scene.token]
    if scene.location.face == "nearest":
        rows: list[Row] = [("token", "cosine")]
        rows += [(by_id(scene, near.id), exact(near.cosine)) for near in nearest(scene.result, id_).tokens[:CANDIDATES]]
        return "The nearest tokens by the cosine of their rows of wte:", rows
    heading = "; ".join([f"id {id_}", *(f"{name} {text}" for name, text in story(scene, id_))])
    names = {"wte": "embed", "wpe": "pos_embed", "wte + wpe": "blocks.0.resid_pre"}
    vectors = {shown: vector(scene.result, name, scene.token) for shown, name in names.items()}
    return f"{heading}. Its rows:", vector_rows(vectors, scene.location.element)


def vector_rows(vectors: Mapping[str, VectorFacts | None], at: int | None) -> list[Row]:
    """Vectors by their least, greatest and length, and by one element where one is shown."""
    rows: list[Row] = [("what", "least", "greatest", "norm", *([f"element {at}"] if at is not None else []))]
    for name, each in vectors.items():
        if each is None:
            rows.append((name, "not recorded", "", "", *([""] if at is not None else [])))
            continue
        figures = map(number, (each.least, each.greatest, each.length))
        rows.append((name, *figures, *([exact(each[at])] if at is not None else [])))
    return rows


def residual_table(scene: Scene) -> tuple[str, list[Row]]:
    rows: list[Row] = [("", "part", "adds", "stream", "cosine", GIVES)]
    here = scene.location.select or "embed"
    for part in parts_of(scene).parts:
        gives = "" if part.gives is None else number(part.gives, sign=True)
        norms = map(number, (part.adds.length, part.after.length))
        rows.append((mark(part.name == here), part.name, *norms, number(part.cosine), gives))
    heading = "What each part added (norms), and the cosine of the stream after it with the last block's"
    heading += ":" if scene.contrast is None else f"; what it gives to the logit of {contrast_name(scene)}, straight to the end:"
    return heading, rows


def direct_table(scene: Scene) -> tuple[str, list[Row]]:
    facts = facts_of(scene)
    names, values = list(facts.parts), list(facts.parts.values())
    order = listed(facts, scene.location.face)
    here = names.index(scene.location.select) if scene.location.select in names else order[0]
    rows: list[Row] = [("", "part", "gives")]
    rows += [(mark(n == here), names[n], number(values[n], sign=True)) for n in first_of(order, here)]
    sum_ = f"{number(facts.direct.total, sign=True)} = logits {number(facts.a)} − {number(facts.b)}"
    return f"{contrast_name(scene)}, the sum of all {len(order)} parts is {sum_}. The largest:", rows


def lens_table(scene: Scene) -> tuple[str, list[Row]]:
    facts, t = lens_facts(scene), scene.token
    rows: list[Row] = [("", "stream", "likeliest", "share", "rank of A", "A − B", "bits")]
    for n, name in enumerate(names_of(scene)):
        each = facts.stream(n)
        figures = number(float(each.difference[t]), sign=True), number(float(each.bits[t]))
        shown = f"'{scene.id_label(int(each.top[t]))}'", percent(float(each.share[t])), count(int(each.rank[t]) + 1)
        rows.append((mark(n == stream_of(scene.location)), name, *shown, *figures))
    return f"The selected token's streams; A − B is {contrast_name(scene)}:", rows


def effects_table(scene: Scene) -> tuple[str, list[Row]]:
    require_known(scene)
    facts, here = scene.found, selected_name(scene)
    rows: list[Row] = [("", "what", "changes it by")]
    if facts is None:
        return nothing_patched(scene), [*rows, (mark(True), here, "")]
    names = list(facts.by_name)
    rows += [(mark(names[n] == here), names[n], effect(facts, names[n])) for n in first_of(facts.order, names.index(here))]
    how = facts.to if facts.to in ("cut", "patched") else f"set to {facts.to}"
    now = number(facts.without, sign=True)
    return f"{contrast_name(scene)} is {now} here; what changes it most where it is {how} ({progress(facts)}):", rows


def effect(facts: EffectsFacts, name: str) -> str:
    """A change of A − B."""
    change = facts.by_name[name]
    return lacking(facts) if change != change else number(change, sign=True)


def model_table(scene: Scene) -> tuple[str, list[Row]]:
    rows: list[Row] = [("block", "attention adds", "MLP adds")]
    for layer, pair in enumerate(changes(scene.result, scene.token)):
        rows.append((f"L{layer}", *map(number, pair)))
    return "Norms of what each block adds to the selected token's stream:", rows


def flow_text(scene: Scene) -> str:
    """The ribbons in words: for each block what moved most in it, and which tokens held before it what reaches the selected one."""
    if scene.ribbons is None:
        lacking = scene.result.flow_lacks(scene.state.flow)
        return f"Where it came from: not recorded: {lacking}." if lacking else "Where it came from: being traced."
    rows: list[Row] = [("block", "what moved most in it", "what reaches the selected token, before the block, was in")]
    for layer, (moves, before, others) in enumerate(flow_of(scene)):
        told = [f"{named(scene, source)} → {named(scene, target)} {percent(share)}" for source, target, share in moves]
        holders = [f"{named(scene, token)} {percent(share)}" for token, share in before]
        holders += [f"others {percent(others)}"] if others else []
        rows.append((f"L{layer}", ", ".join(told) or "nothing", ", ".join(holders)))
    return f"Where it came from, traced back from the last block ({MODES[scene.state.flow]}):\n{plain_table(rows)}"


def flow_of(scene: Scene) -> Iterator[tuple[list[tuple[int, int, float]], list[tuple[int, float]], float]]:
    """Of each block: what moved most in it (from, to, share); which tokens held a share before it; and what all others held together."""
    columns, between = traced(scene)
    for column, ribbons in zip(columns, between, strict=False):
        moves = [i for i in by_size(ribbons.share) if ribbons.source[i] != ribbons.target[i]][:MOVES]
        before = held(column, LINE_FROM)
        told = [(int(ribbons.source[i]), int(ribbons.target[i]), float(ribbons.share[i])) for i in moves]
        yield told, [(token, float(column[token])) for token in before.tokens], before.others


def heads_table(scene: Scene) -> tuple[str, list[Row]]:
    layer = scene.location.block
    rows: list[Row] = [("", "head", "strongest key", "share")]
    for head in range(scene.config.n_head):
        each = row(scene.result, layer, head, scene.token)
        lit = mark(head == scene.location.head)
        rows.append((lit, f"L{layer}H{head}", named(scene, each.strongest), number(each.largest)))
    return "Where each head looks most from the selected token:", rows


def atlas_table(scene: Scene) -> tuple[str, list[Row]]:
    place, lens = scene.location, scene.result
    if not any(f"blocks.{layer}.attn.pattern" in scene.trace for layer in range(scene.config.n_layer)):
        raise NotRecorded("blocks.0.attn.pattern")
    order = listed_heads(scene)
    rows: list[Row] = [("", "head", *MEASURES)]
    for each in order:
        layer, head = divmod(each, scene.config.n_head)
        lit = mark((layer, head) == (place.block, place.head))
        if f"blocks.{layer}.attn.pattern" not in scene.trace:
            rows.append((lit, f"L{layer}H{head}", "not recorded", *[""] * (len(MEASURES) - 1)))
            continue
        rows.append((lit, f"L{layer}H{head}", *figures(lens.measures, layer, head).values()))
    if place.face is None:
        return "All heads, in the model's order:", rows
    if not order or not ranked(lens, place.face):
        return nothing(scene), rows
    return f"Heads by {place.face}, greatest first" + (f", those of {place.least}% or more:" if place.least else ":"), rows


def head_table(scene: Scene) -> tuple[str, list[Row]]:
    place = scene.location
    query, key = choice.cursor(scene.result, place)
    values = grid(scene.result, place.block, place.head, place.stage)[query].tolist()
    rows: list[Row] = [("", "key", NAMES[place.stage])]
    for j, value in enumerate(values):
        masked = j > query and place.stage not in BEFORE_MASK
        rows.append((mark(j == key), named(scene, j), "masked" if masked else exact(value)))
    return f"Row of query {query} {quoted(scene, query)}:", rows


def product_table(scene: Scene) -> tuple[str, list[Row]]:
    place = scene.location
    query, key = choice.cursor(scene.result, place)
    lens, cell = scene.result, (place.block, place.head, query, key)
    found = score(lens, *cell)
    heading = f"Query {query} {quoted(scene, query)}, key {key} {quoted(scene, key)}:"
    rows: list[Row] = [("what", "number"), ("q·k", exact(found.raw))]
    rows.append(("scale", "not recorded" if found.scale is None else number(found.scale)))
    if found.scaled is not None:
        told = exact(found.scaled) + ("" if found.holds else ", but the scores were changed by hand")
        rows.append(("score", Figure.of(told, found.scaled)))
    if key > query:
        return heading, [*rows, ("share", "masked: the key comes after the query")]
    rows.append(("share", exact(row(lens, place.block, place.head, query).values[key])))
    if lens.model is None:
        return heading, [*rows, ("norm moved", "not recorded: it takes the weights W_O")]
    told = "norm moved"
    try:
        rows.append((told, exact(moved(lens, *cell).length)))
        told = "makes likelier"
        reading = moved_reading(lens, *cell)
    except ChangedByHand as changed:
        return heading, [*rows, (told, f"not told: {changed.name} was changed by hand")]
    for name, tokens in ((told, reading.raises), ("less likely", reading.lowers)):
        text = ", ".join(f"'{scene.id_label(i)}' {points(change)}" for i, change in tokens) or "nothing"
        rows.append((name, Figure.of(text, [{"id": i, "change": change} for i, change in tokens])))
    return heading, rows


# What a place shows, as a heading and rows.
TABLES: dict[str, Callable[[Scene], tuple[str, list[Row]]]] = {
    "model": model_table,
    "embed": embed_table,
    "block": block_table,
    "ln1": norm_table,
    "qkv": linear_table,
    "attn": heads_table,
    "proj": linear_table,
    "ln2": norm_table,
    "mlp": mlp_table,
    "neuron": mlp_table,
    "heads": atlas_table,
    "head": head_table,
    "product": product_table,
    "final": norm_table,
    "output": output_table,
    "residual": residual_table,
    "direct": direct_table,
    "lens": lens_table,
    "effects": effects_table,
}
