"""The pages of vectors and matrices: their numbers are read back from the text and held to the trace, by plain arithmetic."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.viz.reading import FIGURE, STAGES, hits, in_points, line_with, scene_at, shows, stage_at, unit, value
from txexplain.engine.derive import Result, head_parts
from txexplain.engine.ops import ACTIVATIONS
from txexplain.facts.residual import residual
from txexplain.viz.canvas import Board, Canvas
from txexplain.viz.numbers import points
from txexplain.viz.palette import Palette
from txexplain.viz.views import paint_stage

sizes = pytest.mark.parametrize("size", STAGES)


def picks(result: Result, seed: int, n: int = 3) -> list[tuple[int, int, int]]:
    """Random (layer, token, number): the number is for whatever else is chosen."""
    rng, c = np.random.default_rng(seed), result.config
    return [(int(rng.integers(c.n_layer)), int(rng.integers(result.trace.n_tokens)), int(rng.integers(1 << 30))) for _ in range(n)]


def weights(result: Result, layer: int) -> dict[str, np.ndarray]:
    assert result.model is not None
    return {name: np.asarray(array, dtype=np.float64) for name, array in result.model.blocks[layer].items()}


def last_number(canvas: Canvas, name: str) -> str:
    """The number at the right end of the row of a strip, which is the row after its heading where it has one."""
    rows = canvas.text()
    y = next(y for y, row in enumerate(rows) if y and row.startswith(f" {name} "))
    for row in rows[y : y + 2]:
        if (found := re.search(rf"(?<=[ ])({FIGURE}) *$", row)) and ", norm " not in row:
            return found[1]
    raise AssertionError((name, rows))


def is_exactly(text: str, x: float) -> bool:
    return math.isclose(value(text), float(np.float32(x)), rel_tol=2e-6, abs_tol=1e-7)


@sizes
@pytest.mark.parametrize("page", ["ln1", "ln2", "final"])
def test_a_layer_norm(result: Result, page: str, size: str) -> None:
    c = result.config
    assert result.model is not None
    for layer, token, number in picks(result, 1):
        e = number % c.n_embd
        at = f"final[{e}]@{token}" if page == "final" else f"L{layer}.{page}[{e}]@{token}"
        canvas = stage_at(result, at, STAGES[size])
        if page == "final":
            source, norm, prefix = f"blocks.{c.n_layer - 1}.resid_post", "ln_final", "ln_f"
        else:
            source = f"blocks.{layer}.resid_{'pre' if page == 'ln1' else 'mid'}"
            norm, prefix = f"blocks.{layer}.{page}", f"h.{layer}.ln_{page[-1]}"
        x = result.trace[source][token].astype(np.float64)
        gain, bias = (float(result.model.weights[f"{prefix}.{part}"][e]) for part in ("weight", "bias"))
        mean, scale = x.mean(), math.sqrt(x.var() + c.layer_norm_epsilon)
        made = float(result.trace[f"{norm}.normalized"][token, e])
        steps = {"x": x[e], "x − mean": x[e] - mean, "÷ scale": (x[e] - mean) / scale, "gain": gain, "bias": bias, "result": made}
        for name, want in steps.items():
            got = value(last_number(canvas, name))
            assert math.isclose(got, want, rel_tol=1e-4, abs_tol=1e-5), (at, name)
        shared = line_with(canvas, rf"mean ({FIGURE}) +variance ({FIGURE}) .*= ({FIGURE})")
        for figure, want in zip(shared.groups(), (mean, x.var(), scale), strict=True):
            assert shows(figure, want, 1e-4) or abs(value(figure) - want) < 1e-6
        line = line_with(canvas, rf"element {e}: .*= ({FIGURE})")
        assert shows(line[1], made, 1e-4)
        assert f"element {e} of {c.n_embd}" in "\n".join(canvas.text())


@sizes
def test_the_embedding(result: Result, size: str) -> None:
    for _, token, number in picks(result, 2):
        e = number % result.config.n_embd
        canvas = stage_at(result, f"embed[{e}]@{token}", STAGES[size])
        assert result.model is not None
        id_ = result.trace.ids[token]
        wte, wpe = (float(result.model.weights[f"{name}.weight"][row, e]) for name, row in (("wte", id_), ("wpe", token)))
        for name, want in (("wte", wte), ("wpe", wpe), ("wte + wpe", wte + wpe)):
            assert is_exactly(last_number(canvas, name), want), (token, e, name)
        assert f"id {id_:,}" in canvas.text()[0]


def test_the_story_of_a_token(story_result: Result) -> None:
    from txexplain.viz.views.embed import story

    assert story_result.model is not None
    tokenizer = story_result.model.tokenizer
    for token, id_ in enumerate(story_result.trace.ids):
        canvas = stage_at(story_result, f"embed@{token}", (148, 31))
        told = bytes.fromhex(line_with(canvas, r"bytes +((?:[0-9a-f]{2} ?)+)")[1].strip())
        assert told == tokenizer.token_bytes(id_)
        steps = dict(story(canvas_scene(story_result, token), id_)).get("merges", "").split(" → ")
        if len(told) > 1:
            assert steps[-1].replace("␣", " ") == tokenizer.display(id_) or not told.isascii()


def canvas_scene(result: Result, token: int):  # type: ignore[no-untyped-def]
    return scene_at(result, f"embed@{token}", (148, 31))


@sizes
def test_the_nearest_tokens(result: Result, size: str) -> None:
    assert result.model is not None
    wte = result.model.weights["wte.weight"].astype(np.float64)
    unit_rows = wte / np.linalg.norm(wte, axis=1, keepdims=True)
    for _, token, _ in picks(result, 3, 2):
        id_ = result.trace.ids[token]
        cosines = unit_rows @ unit_rows[id_]
        order = [i for i in np.argsort(-cosines, kind="stable").tolist() if i != id_]
        canvas = stage_at(result, f"embed:nearest@{token}", STAGES[size])
        rows = [row for row in canvas.text()[3:-1] if re.search(rf" {FIGURE} +[█▏▎▍▌▋▊▉]*", row)]
        shown = [float(value(m[1])) for row in rows if (m := re.search(rf"^.{{18,}}? ({FIGURE}) ", row + " "))]
        assert len(shown) >= 5
        for got, i in zip(shown, order, strict=False):
            assert abs(got - cosines[i]) <= 0.51 * 10.0 ** (math.floor(math.log10(abs(cosines[i]))) - 2) + 1e-6, (token, i)


@sizes
@pytest.mark.parametrize("page", ["qkv", "proj"])
def test_one_element_of_a_product(result: Result, page: str, size: str) -> None:
    c = result.config
    for layer, token, number in picks(result, 4):
        w = weights(result, layer)
        matrix, bias = (w[f"attn.c_{'attn' if page == 'qkv' else 'proj'}.{part}"] for part in ("weight", "bias"))
        e, s = number % matrix.shape[1], number // 7 % matrix.shape[0]
        name = f"blocks.{layer}.ln1.normalized" if page == "qkv" else f"blocks.{layer}.attn.z"
        x = result.trace[name][token].astype(np.float64).reshape(-1)
        canvas = stage_at(result, f"L{layer}.{page}[{s},{e}]@{token}", STAGES[size])
        letter = "x" if page == "qkv" else "z"
        for row, want in ((letter, x[s]), ("weights", matrix[s, e]), (f"{letter} × w", x[s] * matrix[s, e])):
            assert is_exactly(last_number(canvas, row), want), (layer, token, s, e, row)
        line = line_with(canvas, rf"= ({FIGURE}) \+ bias \(?({FIGURE})\)? = ({FIGURE})")
        total = float(x @ matrix[:, e])
        assert shows(line[1], total, 1e-4) or abs(value(line[1]) - total) < 1e-4
        assert shows(line[2], bias[e])
        if page == "qkv":
            part, rest = divmod(e, c.n_embd)
            recorded = float(result.trace[f"blocks.{layer}.attn.{'qkv'[part]}"][token].reshape(-1)[rest])
            assert f"{'QKV'[part]} of H{rest // c.head_dim}, {rest % c.head_dim}" in canvas.text()[1]
            if not any(row.startswith(" head query") for row in canvas.text()):  # there all heads stand below the sum
                assert is_exactly(last_number(canvas, "qkv"[part]), recorded)
        else:
            recorded = float(result.trace[f"blocks.{layer}.attn_out"][token, e])
            assert is_exactly(last_number(canvas, "attn_out"), recorded)
        assert is_exactly(line[3], recorded)
        assert abs(total + bias[e] - recorded) < 1e-4 * max(1.0, np.abs(x * matrix[:, e]).sum())
        terms = line_with(canvas, rf"({FIGURE}|\({FIGURE}\))×.* from the other (\d+)")[0]
        numbers = re.findall(rf"\(?({FIGURE})\)?×\(?({FIGURE})\)?", terms)
        biggest = np.argsort(-np.abs(x * matrix[:, e]))[: len(numbers)]
        for (a, b), i in zip(numbers, biggest, strict=True):
            assert shows(a, x[i], 1e-4)
            assert shows(b, matrix[i, e], 1e-4)
        rest_ = value(re.search(rf"({FIGURE})\)? from the other", terms)[1])  # type: ignore[index]
        assert abs(sum(x[i] * matrix[i, e] for i in biggest) + rest_ - total) < 0.006 * max(1.0, abs(rest_))


@sizes
def test_heads_shares_of_the_projection(result: Result, size: str) -> None:
    assert result.model is not None
    for layer, token, _ in picks(result, 5, 2):
        text = "\n".join(stage_at(result, f"L{layer}.proj@{token}", STAGES[size]).text())
        parts = head_parts(result.model, result.trace, layer, token)
        for h, part in enumerate(parts):
            told = re.search(rf"H{h} +({FIGURE})", text)
            assert told, (h, text)
            assert shows(told[1], float(np.linalg.norm(part)), 1e-4)
        bias, out = weights(result, layer)["attn.c_proj.bias"], result.trace[f"blocks.{layer}.attn_out"][token]
        np.testing.assert_allclose(sum(parts) + bias, out, rtol=1e-3, atol=1e-4)
        whole = re.search(rf"bias ({FIGURE}); their sum, attn_out, ({FIGURE})", text)
        assert whole
        assert shows(whole[1], float(np.linalg.norm(bias)), 1e-4) or not bias.any()
        assert shows(whole[2], float(np.linalg.norm(out)), 1e-4)


@sizes
@pytest.mark.parametrize("page", ["qkv", "proj"])
def test_the_matrix(result: Result, page: str, size: str) -> None:
    for layer, token, number in picks(result, 6):
        matrix = weights(result, layer)[f"attn.c_{'attn' if page == 'qkv' else 'proj'}.weight"]
        s, e = number // 7 % matrix.shape[0], number % matrix.shape[1]
        canvas = stage_at(result, f"L{layer}.{page}:matrix[{s},{e}]@{token}", STAGES[size])
        line = line_with(canvas, rf"W\[{s},{e}\] = ({FIGURE})")
        assert is_exactly(line[1], matrix[s, e])
        cells = [hit for hit in canvas.hits if getattr(hit.target, "source", None) is not None and hit.width == 8]
        assert len(cells) > 20
        rng = np.random.default_rng(number)
        for hit in (cells[i] for i in rng.integers(len(cells), size=12)):
            inside = "".join(canvas.chars[hit.y, hit.x : hit.x + 8]).strip("[] ")
            want = matrix[hit.target.source, hit.target.element]
            assert abs(value(inside) - want) <= 0.51 * unit(inside) + 1e-6 * abs(want), (hit.target, inside)
            heads = "".join(canvas.chars[1, hit.x : hit.x + 8]).strip()
            assert heads == str(hit.target.element)
            assert "".join(canvas.chars[hit.y, 1:6]).strip() == str(hit.target.source)


@sizes
@pytest.mark.parametrize("by", ["post", "pre", "added"])
def test_the_list_of_neurons(result: Result, by: str, size: str) -> None:
    for layer, token, number in picks(result, 7, 2):
        pre, post = (result.trace[f"blocks.{layer}.mlp.{part}"][token].astype(np.float64) for part in ("pre", "post"))
        adds = np.abs(post) * np.linalg.norm(weights(result, layer)["mlp.c_proj.weight"], axis=1)
        key = {"post": post, "pre": pre, "added": adds}[by].astype(np.float32)
        order = np.argsort(-key, kind="stable").tolist()
        chosen = order[number % 9]
        canvas = stage_at(result, f"L{layer}.mlp:{by}[{chosen}]@{token}", STAGES[size])
        rows = [m for row in canvas.text() if (m := re.match(rf" (\d+) +({FIGURE}) +({FIGURE}) +({FIGURE}) ", row))]
        shown = [int(m[1]) for m in rows]
        assert chosen in shown
        assert [adds[i] for i in shown] == [adds[i] for i in order[order.index(shown[0]) :][: len(shown)]] or by != "added"
        assert shown == order[order.index(shown[0]) :][: len(shown)] or by == "added"  # where rounding may swap equals
        for m in rows:
            for figure, want in zip(m.groups()[1:], (pre[int(m[1])], post[int(m[1])], adds[int(m[1])]), strict=True):
                assert shows(figure, want, 1e-4) or abs(value(figure) - want) < 1e-6, m[0]
        assert int(line_with(canvas, r"([\d,]+) above 0")[1].replace(",", "")) == int((post > 0).sum())


@sizes
def test_a_neuron(result: Result, size: str) -> None:
    activation = ACTIVATIONS[result.config.activation_function]
    for layer, token, number in picks(result, 8):
        neuron = number % result.config.n_inner
        pre, post = (result.trace[f"blocks.{layer}.mlp.{part}"][:, neuron] for part in ("pre", "post"))
        canvas = stage_at(result, f"L{layer}.mlp[{neuron}]@{token}", STAGES[size])
        assert is_exactly(line_with(canvas, rf"x · w \+ b = .* = ({FIGURE})")[1], float(pre[token]))
        assert is_exactly(line_with(canvas, rf"{result.config.activation_function}\(.*\) = ({FIGURE})")[1], float(post[token]))
        assert math.isclose(float(activation(pre[token : token + 1])[0]), float(post[token]), rel_tol=1e-4, abs_tol=1e-6)
        rows = {hit.target[1]: hit.y for hit in canvas.hits if isinstance(hit.target, tuple)}
        assert token in rows
        for position, y in rows.items():
            figure = re.search(rf"^.{{17}} *({FIGURE})", canvas.text()[y])
            assert figure
            assert shows(figure[1], float(post[position]), 1e-4) or abs(value(figure[1]) - post[position]) < 1e-6
        row = weights(result, layer)["mlp.c_proj.weight"][neuron].astype(np.float64)
        moved = in_points(result, post[token] * row, token)
        for mark, extreme in (("▲", int(moved.argmax())), ("▼", int(moved.argmin()))):
            if not moved.any():
                assert line_with(canvas, rf"{mark} nothing")
                continue
            told = line_with(canvas, rf"{mark} *(\S*) ([+−]{FIGURE})%")
            assert told[1] == result.weights().tokenizer.display(extreme).strip()
            assert shows(told[2].lstrip("+"), 100 * float(moved[extreme]), 0.05)


@sizes
def test_the_residual_stream(result: Result, size: str) -> None:
    c, trace = result.config, result.trace
    for layer, token, number in picks(result, 9):
        half = ("attn", "mlp")[number % 2]
        canvas = stage_at(result, f"residual[L{layer}.{half}]@{token}", STAGES[size])
        final = trace[f"blocks.{c.n_layer - 1}.resid_post"][token].astype(np.float64)
        seen = 0
        for at in range(c.n_layer):
            for which, added, after in (("attn", "attn_out", "resid_mid"), ("mlp", "mlp_out", "resid_post")):
                row = next((row for row in canvas.text() if re.match(rf" L{at}\.{which} ", row)), None)
                if row is None:
                    continue
                seen += 1
                stream = trace[f"blocks.{at}.{after}"][token].astype(np.float64)
                cosine = stream @ final / (np.linalg.norm(stream) * np.linalg.norm(final))
                wants = (np.linalg.norm(trace[f"blocks.{at}.{added}"][token]), np.linalg.norm(stream), cosine)
                figures = re.findall(rf"(?<![\w.])({FIGURE})(?![\w.])", row[9:])
                for figure, want in zip(figures, wants, strict=False):
                    assert shows(figure, float(want), 1e-3), (row, want)
        assert seen >= min(2 * c.n_layer, 6)


@sizes
def test_what_the_selected_part_of_the_stream_moves(result: Result, size: str) -> None:
    """Against the formula: p (e − Σ p e) of the part's logits e, read through the last LayerNorm with its scale held."""
    weights, trace, token = result.weights(), result.trace, result.trace.n_tokens - 1
    part = f"L{result.config.n_layer - 1}.mlp"
    text = "\n".join(stage_at(result, f"residual[{part}]", STAGES[size]).text())
    if f"what {part} moves" not in text:
        assert size != "large"
        return
    adds = trace[f"blocks.{result.config.n_layer - 1}.mlp_out"][token].astype(np.float64)
    u = weights.unembedding.astype(np.float64)
    logits = u @ trace["ln_final.normalized"][token]
    p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    e = u @ ((adds - adds.mean()) / float(trace["ln_final.scale"][token, 0]) * weights.weights["ln_f.weight"])
    change = p * (e - p @ e)
    for extreme in (int(change.argmax()), int(change.argmin())):
        assert re.search(rf"{re.escape(points(float(change[extreme])))} ", text), (extreme, change[extreme])


def test_every_heads_query_key_and_value_stand_below_their_sum(result: Result) -> None:
    c, token = result.config, result.trace.n_tokens - 1
    canvas = stage_at(result, "L1.qkv[1]", (146, 50))
    seen = 0
    for part, letter in enumerate("qkv"):
        values = result.trace[f"blocks.1.attn.{letter}"][token]  # [H, dh]
        row = next(row for row in canvas.text() if re.search(r"^ head query ", row))
        ends = re.findall(rf"({FIGURE}) to ({FIGURE})", row)[part]
        assert shows(ends[0], float(values.min()), 1e-2)
        assert shows(ends[1], float(values.max()), 1e-2)
        top = canvas.text().index(row) + 1
        boards = [area for area in canvas.areas if isinstance(area, Board) and area.y == top]
        board = boards[part]
        for hit in board.hits():
            head, inside = divmod(hit.target.element - part * c.n_embd, c.head_dim)
            beside = values[head]
            assert 0 <= head < c.n_head
            assert canvas.text()[hit.y - (hit.y - board.y) % hit.height].strip().startswith(f"H{head}")
            seen += int(beside[inside] == np.abs(beside).max() or beside[inside] == -np.abs(beside).max())
    assert seen == 3 * c.n_head, "the largest of each head's vector is shown"


def test_the_parts_of_the_stream_make_it_and_the_difference(result: Result) -> None:
    """At any row: the parts, the LayerNorm's bias and nothing else make A − B."""
    last = result.trace.n_tokens - 1
    for token, a, b in ((last, 3, 17), (last, int(result.trace.last_logits.argmax()), 5), (2, 5, 9)):
        facts = residual(result, token, (a, b))
        assert facts.direct is not None
        final = result.trace[f"blocks.{result.config.n_layer - 1}.resid_post"][token]
        np.testing.assert_allclose(
            sum(part.adds.values.astype(np.float64) for part in facts.parts), final, rtol=1e-4, atol=1e-4 * np.abs(final).max()
        )
        u = result.weights().unembedding[a].astype(np.float64) - result.weights().unembedding[b]
        always = float(result.weights().weights["ln_f.bias"].astype(np.float64) @ u)
        total = sum(part.gives or 0.0 for part in facts.parts) + always
        assert total == pytest.approx(float(result.trace["ln_final.normalized"][token] @ u), rel=1e-4, abs=1e-4)
    scene = scene_at(result, "residual", STAGES["large"])
    text = "\n".join(paint_stage(scene).text())
    assert scene.contrast is not None
    a, b = scene.contrast
    said = re.search(rf"straight to the end, its scale held; with [+−]{FIGURE} of the LayerNorm's bias the sum is ([+−]{FIGURE})", text)
    assert said is not None, text
    assert shows(said[1].replace("+", ""), float(result.trace.last_logits[a] - result.trace.last_logits[b]), 1e-3)


def test_pages_of_a_trace_alone_say_what_they_lack(tiny_result: Result) -> None:
    bare = Result(tiny_result.trace, None)
    for at, says in (
        ("L1.ln1", "gain and bias: not recorded"),
        ("L1.qkv", "not recorded: the weights and biases"),
        ("L1.proj", "not recorded: the weights and biases"),
        ("L1.qkv:matrix", "not recorded: the weights and biases"),
        ("L1.mlp[3]", "not recorded, those are weights"),
        ("embed", "not recorded: this trace came without its tokenizer"),
        ("embed:nearest", "Not recorded"),
        ("residual", "not recorded, that takes the logits and the weights"),
    ):
        scene_text = "\n".join(stage_at(tiny_result, at, STAGES["narrow"]).text())
        assert says not in scene_text

        scene = replace(scene_at(tiny_result, at, STAGES["narrow"]), shown=bare, display=None)
        assert says in "\n".join(paint_stage(scene).text()), at


@pytest.mark.parametrize("palette", [Palette("dark", "none"), Palette("dark", "none", ascii=True), Palette("light", "16")])
def test_pages_say_the_same_without_colours(tiny_result: Result, palette: Palette) -> None:
    for at in ("embed[3]", "L1.ln1[3]", "L1.qkv[2,40]", "L0.proj:matrix[1,2]", "L1.mlp:post[3]", "L1.mlp[3]", "residual"):
        coloured, plain = (stage_at(tiny_result, at, STAGES["narrow"], p).text() for p in (Palette(), palette))
        numbers = re.compile(r"\d+\.\d+")
        assert [numbers.findall(row) for row in plain] == [numbers.findall(row) for row in coloured], at


def test_a_trace_alone_shows_the_vectors_that_it_has(tiny_result: Result) -> None:
    bare = Result(tiny_result.trace, None)
    for at, name, tensor in (
        ("L1.qkv[4]@2", "k", "attn.k"),
        ("L1.qkv[4]@2", "x", "ln1.normalized"),
        ("L0.proj[4]@2", "attn_out", "attn_out"),
    ):
        canvas = paint_stage(replace(scene_at(tiny_result, at, STAGES["narrow"]), shown=bare))
        want = tiny_result.trace[f"blocks.{at[1]}.{tensor}"][2].reshape(-1)[4]
        assert is_exactly(last_number(canvas, name), float(want)), (at, name)


@pytest.mark.parametrize("ascii", [False, True], ids=["unicode", "ascii"])
def test_a_negative_number_is_no_bar_to_the_right(result: Result, ascii: bool) -> None:
    """Where a neuron fires, and the neurons by what they are before the activation: signs can be told without colour."""
    palette = Palette("dark", "none", ascii=ascii)
    full, line_ = palette.glyphs.bars[-1], palette.glyphs.vertical
    post = result.trace["blocks.1.mlp.post"]
    silent = int((post <= 0).all(axis=0).argmax())
    mixed = int(((post < -0.05).any(axis=0) & (post > 0.2).any(axis=0)).argmax())
    for neuron in (silent, mixed):
        canvas = stage_at(result, f"L1.mlp[{neuron}]", STAGES["wide"], palette)
        text = "\n".join(canvas.text())
        assert ("it fires at no token of the prompt" in text) == (not (post[:, neuron] > 0).any())
        lengths = {}
        for hit in hits(canvas, lambda at: isinstance(at, tuple) and at[0] == "token"):
            token, value = hit.target[1], float(post[hit.target[1], neuron])
            bars = canvas.text()[hit.y][27:]
            left, _, right = bars.partition(line_)
            assert (full in left, bool(right.strip())) == (value < 0, value > 0), (neuron, token, bars)
            lengths[token] = left.count(full) + right.count(full)
        assert len(lengths) >= 5
        largest = max(lengths, key=lambda token: abs(post[token, neuron]))
        for token, length in lengths.items():  # one scale on both sides
            want = lengths[largest] * abs(post[token, neuron] / post[largest, neuron])
            assert abs(length - want) <= 1.5 + 0.05 * want, (neuron, token)
    pre = result.trace["blocks.1.mlp.pre"][2]
    lowest = int(pre.argmin())
    canvas = stage_at(result, f"L1.mlp:pre[{lowest}]@2", STAGES["wide"], palette)
    row = next(line for line in canvas.text() if re.match(rf" {lowest} ", line))
    assert pre[lowest] < 0
    assert re.search(rf"\{full}\{line_}", row[:120]), row
