"""The shipped lessons: each page on the screen of two models, and each claim computed or cited."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

import txexplain
from txexplain import Cut, Set
from txexplain.engine import ops
from txexplain.engine.attribution import direct
from txexplain.engine.checkpoint import Checkpoint, weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result, head_parts
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, uniform
from txexplain.engine.trace import Trace
from txexplain.errors import LessonError
from txexplain.explorer.lesson import MEASURES, Lesson, Page, load, parse_lesson, shipped, state_of
from txexplain.explorer.location import parse
from txexplain.explorer.runs import required_run
from txexplain.explorer.state import ExplorerState
from txexplain.facts.head import grid
from txexplain.front.lessons import check_lesson, check_page, read
from txexplain.front.scenes import scene_of, surprisal_of
from txexplain.viz.live import amount, fill, filled
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import layout, paint_screen
from txexplain.viz.views.lesson import overflow

LESSONS = [load(str(path)) for path in shipped()]
PAGES = [pytest.param(lesson, page, id=f"{lesson.name}-{page.number}") for lesson in LESSONS for page in lesson.pages]
SIZES = ((80, 24), (120, 36))
Read = Callable[[Page], tuple[ExplorerState, Result]]


@pytest.fixture(scope="session")
def random_model(storyteller: GPT2) -> GPT2:
    """GPT-2 124M's shape with random weights: what it says is noise, but every page must stand."""
    config, rng = GPT2Config(), np.random.default_rng(0)
    noise = rng.standard_normal(1 << 22, dtype=np.float32) * np.float32(0.02)
    tensors = {}
    for name, shape in weight_shapes(config, with_head=False).items():
        size = int(np.prod(shape))
        tensors[name] = np.resize(np.roll(noise, len(tensors) * 997), size).reshape(shape)
    return GPT2(Checkpoint(config, tensors, Path(), (), "F32"), storyteller.tokenizer, "random")


@pytest.fixture(scope="session", params=["storyteller", pytest.param("random_model", marks=pytest.mark.long)])
def run(request: pytest.FixtureRequest) -> Read:
    """A page's state and run in either model; a prompt is run once."""
    model, runs = request.getfixturevalue(request.param), {}

    def ran(page: Page) -> tuple[ExplorerState, Result]:
        state = state_of(page, ExplorerState(model=model.name))
        if state.asked not in runs:
            runs[state.asked] = required_run(state, model)
        return state, runs[state.asked]

    return ran


def page_on_screen(lesson: Lesson, page: Page, run: Read, size: tuple[int, int], palette: Palette | None = None) -> Scene:
    state, result = run(page)
    state, reading = read(lesson, page, state, result, palette or Palette())
    roomy = surprisal_of(result) if size == SIZES[1] else None
    return scene_of(
        state, palette or Palette(), size, result, distribution=reading.distribution, side="lesson", reading=reading, surprisal=roomy,
        ribbons=None if result.flow_lacks("norms") else tuple(result.flow("norms")),
    )  # fmt: skip


def in_side(scene: Scene) -> Scene:
    """The scene as the side pane gets it."""
    rect = layout(scene.width, scene.height, scene.side)["side"]
    return replace(scene, width=rect.width, height=rect.height)


@pytest.mark.parametrize(("lesson", "page"), PAGES)
def test_every_page_stands_on_both_screens_without_overflow(lesson: Lesson, page: Page, run: Read) -> None:
    _, result = run(page)
    if page.other is not None and result.trace.model != page.model:
        pytest.skip("noise says the same of both prompts, so that no part of the way to the other can be told")
    check_page(lesson, page, result.trace.model, result, Palette())
    for size in SIZES:
        scene = page_on_screen(lesson, page, run, size)
        assert overflow(in_side(scene)) == 0
        for number in range(1, len(page.answers) + 1):  # the reason is read with the answers
            assert scene.reading is not None
            given = replace(scene, reading=replace(scene.reading, given=number))
            assert overflow(in_side(given)) == 0
        text = paint_screen(scene).text()
        assert "Not recorded" not in "\n".join(text)
        assert f"{page.number}/{len(lesson.pages)}" in "\n".join(text)


@pytest.mark.parametrize("size", [(60, 16), (99, 50), (100, 16), (160, 40), (250, 70)])
@pytest.mark.parametrize("look", [Palette(), Palette("light", "16"), Palette("contrast", "none", ascii=True)])
def test_a_page_stands_on_any_screen(run: Read, size: tuple[int, int], look: Palette) -> None:
    """Small ones may scroll; where T stands beside the likeliest token, neither is cut."""
    lesson = LESSONS[0]
    for page in (lesson.pages[5], lesson.pages[8]):
        for lecture in (False, True):
            scene = replace(page_on_screen(lesson, page, run, size, look), lecture=lecture)
            text = paint_screen(scene).text()
            assert [cell_len(row) for row in text] == [size[0]] * size[1]
            assert not look.ascii or "".join(text).isascii()
            assert f"T {page.temperature:.2f}" in "\n".join(text)
            if size[0] < 100 and not (lecture and page.at == "output"):  # where the bars stand in the stage's place
                assert text[-2].rstrip(" -─◂<").endswith("%")


def test_every_page_is_on_screen_word_for_word(run: Read) -> None:
    for lesson in LESSONS:
        page = lesson.pages[0]
        for size in SIZES:
            scene = page_on_screen(lesson, page, run, size)
            rect = layout(*size, "lesson")["side"]
            rows = [row[rect.x + 1 : rect.x + rect.width] for row in paint_screen(scene).text()[rect.y + 1 : rect.y + rect.height]]
            shown = " ".join(" ".join(rows).replace("•", " ").split())
            said = " ".join(re.sub(r"[*`]|^- ", "", fill(page.text, scene), flags=re.MULTILINE).split())
            assert said in shown


def test_there_are_seven_lessons_of_fifty_pages_and_more_with_questions_and_marks() -> None:
    assert [lesson.name for lesson in LESSONS] == ["transformer", "attention", "rest", "sampling", "weights", "cause", "since"]
    assert sum(len(lesson.pages) for lesson in LESSONS) >= 50
    for lesson in LESSONS:
        assert 2 <= sum(bool(page.question) for page in lesson.pages) <= 4
        assert all(page.highlight for page in lesson.pages)


def test_every_page_has_claims_and_each_names_a_test_of_this_file_or_a_source() -> None:
    for lesson in LESSONS:
        for page in lesson.pages:
            assert page.claims, (lesson.name, page.number)
            for claim in page.claims:
                name = re.search(r" test: (\w+)$", claim)
                assert name is not None or re.search(r" cite: \S.*$", claim), claim
                assert name is None or callable(globals().get(name[1])), claim


# The claims, each by its own reckoning


@pytest.fixture(scope="session")
def once(storyteller: GPT2) -> Result:
    return result_of(storyteller, "Once upon a time there was a")


def result_of(model: GPT2, text: str) -> Result:
    trace = model.forward(model.prompt_ids(text))
    assert trace is not None
    return Result(trace, model)


def test_probabilities_cover_the_vocabulary(storyteller: GPT2) -> None:
    for text in ("Once upon a time there was a", "The capital of Atlantis is"):
        shares = distribution(result_of(storyteller, text).trace["logits"]).probability
        assert len(shares) == storyteller.config.vocab_size == 50257
        assert shares.sum() == pytest.approx(1, abs=1e-9)
        assert (shares >= 0).all()


def test_a_token_is_not_a_word(storyteller: GPT2) -> None:
    text, encode = "Unbelievably, Rapunzel untangled her hair", storyteller.tokenizer.encode
    ids = encode(text)
    assert len(text.split()) == 5 < len(ids)
    assert storyteller.tokenizer.decode(ids) == text
    assert len(encode(" hair")) == len(encode(" her")) == 1
    assert encode(" her")[0] in ids
    assert len(encode("hair,")) == 2
    assert len(encode(" Rapunzel")) > 1


def test_the_model_sees_ids(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids("Once upon a time")
    by_ids, by_text = storyteller.forward(ids), result_of(storyteller, "Once upon a time").trace
    assert by_ids is not None
    assert (by_ids["logits"] == by_text["logits"]).all()


def test_equal_tokens_have_equal_embeddings(storyteller: GPT2) -> None:
    trace = result_of(storyteller, "The dog saw the other dog").trace
    assert trace.ids[1] == trace.ids[5]
    assert (trace["embed"][1] == trace["embed"][5]).all()
    assert trace["embed"].shape == (6, storyteller.config.n_embd)


def test_tokens_used_alike_lie_close(storyteller: GPT2) -> None:
    table = storyteller.weights["wte.weight"]
    pairs = [(" boy", " girl"), (" king", " queen"), (" red", " blue"), (" said", " asked"), (" one", " two")]
    ids = [[storyteller.tokenizer.encode(word)[0] for word in pair] for pair in pairs]
    unit = {i: table[i] / np.linalg.norm(table[i]) for pair in ids for i in pair}
    alike = np.mean([unit[a] @ unit[b] for a, b in ids])
    others = np.mean([unit[a] @ unit[b] for n, (a, _) in enumerate(ids) for m, (_, b) in enumerate(ids) if n != m])
    assert alike > others + 0.1


def test_the_stream_begins_with_token_plus_position(storyteller: GPT2) -> None:
    trace = result_of(storyteller, "The dog saw the other dog").trace
    np.testing.assert_allclose(trace["blocks.0.resid_pre"], trace["embed"] + trace["pos_embed"], atol=1e-6)
    np.testing.assert_array_equal(trace["pos_embed"], storyteller.weights["wpe.weight"][:6])
    assert not np.allclose(trace["blocks.0.resid_pre"][1], trace["blocks.0.resid_pre"][5])


def test_the_context_is_the_position_table(storyteller: GPT2) -> None:
    assert storyteller.weights["wpe.weight"].shape[0] == storyteller.config.n_positions


def test_nothing_comes_from_later_tokens(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids("Once upon a time there was a")
    one, other = storyteller.forward(ids), storyteller.forward([*ids[:5], 1000, 2000])
    assert one is not None
    assert other is not None
    for layer in range(storyteller.config.n_layer):
        name = f"blocks.{layer}.resid_post"
        np.testing.assert_allclose(one[name][:5], other[name][:5], rtol=1e-4, atol=1e-4)
        assert not np.allclose(one[name][6], other[name][6], atol=1e-2)


def test_the_mlp_works_on_each_token_alone(storyteller: GPT2, once: Result) -> None:
    weights = storyteller.blocks[2]
    for token in (0, 3, 6):
        x = once.trace["blocks.2.ln2.normalized"][token].astype(np.float64)
        inner = x @ weights["mlp.c_fc.weight"] + weights["mlp.c_fc.bias"]
        bent = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        out = bent @ weights["mlp.c_proj.weight"] + weights["mlp.c_proj.bias"]
        np.testing.assert_allclose(once.trace["blocks.2.mlp_out"][token], out, rtol=1e-3, atol=1e-3)


def test_the_stream_is_a_sum(storyteller: GPT2, once: Result) -> None:
    trace = once.trace
    total = trace["embed"].astype(np.float64) + trace["pos_embed"]
    for layer in range(storyteller.config.n_layer):
        total = total + trace[f"blocks.{layer}.attn_out"]
        np.testing.assert_allclose(trace[f"blocks.{layer}.resid_mid"], total, rtol=1e-4, atol=2e-3)
        total = total + trace[f"blocks.{layer}.mlp_out"]
        np.testing.assert_allclose(trace[f"blocks.{layer}.resid_post"], total, rtol=1e-4, atol=2e-3)


def test_logits_are_products_with_the_token_table(storyteller: GPT2, once: Result) -> None:
    assert storyteller.unembedding is storyteller.weights["wte.weight"]
    by_hand = storyteller.weights["wte.weight"].astype(np.float64) @ once.trace["ln_final.normalized"][-1]
    np.testing.assert_allclose(once.trace.last_logits, by_hand, rtol=1e-4, atol=1e-3)


def test_softmax_sees_differences_only(once: Result) -> None:
    dist = distribution(once.trace.last_logits)
    a, b = (int(i) for i in dist.order[:2])
    ratio = np.exp(float(dist.logits[a]) - float(dist.logits[b]))
    assert dist.probability[a] / dist.probability[b] == pytest.approx(ratio, rel=1e-9)
    np.testing.assert_allclose(distribution(once.trace.last_logits + 3).probability, dist.probability, atol=1e-5)


def test_temperature_changes_shares_only(once: Result) -> None:
    cold, usual, hot = (distribution(once.trace.last_logits, t) for t in (0.5, 1.0, 2.0))
    assert (cold.logits == hot.logits).all()
    assert (cold.order == hot.order).all()
    top = int(usual.order[0])
    assert cold.probability[top] > usual.probability[top] > hot.probability[top]


def test_top_p_keeps_the_least_that_reach_p(once: Result) -> None:
    whole, kept = distribution(once.trace.last_logits), distribution(once.trace.last_logits, top_p=0.9)
    ranked = np.sort(whole.probability)[::-1]
    assert ranked[: kept.kept_count].sum() >= 0.9 > ranked[: kept.kept_count - 1].sum()
    assert kept.probability.sum() == pytest.approx(1)
    assert kept.probability.max() > whole.probability.max()


def test_the_draw_is_where_the_number_falls(once: Result) -> None:
    page = next(page for lesson in LESSONS for page in lesson.pages if page.title == "The draw")
    dist = distribution(once.trace.last_logits)
    ranked = dist.probability[dist.order]
    drawn = [dist.draw(uniform(seed, once.trace.n_tokens)) for seed in range(20)]
    for each in drawn:
        assert ranked[: each.rank].sum() <= each.uniform < ranked[: each.rank + 1].sum()
    assert {each.rank == 0 for each in drawn} == {True, False}
    assert drawn[page.seed].rank > 0


def test_rows_sum_to_one(storyteller: GPT2) -> None:
    for text in ("Once upon a time there was a", "Nora has a drum. Tom has a bell. Nora has a"):
        trace = result_of(storyteller, text).trace
        for layer in range(storyteller.config.n_layer):
            np.testing.assert_allclose(trace[f"blocks.{layer}.attn.pattern"].sum(axis=-1), 1, atol=1e-5)


def test_qkv_is_one_matrix(storyteller: GPT2, once: Result) -> None:
    config, weights = storyteller.config, storyteller.blocks[1]
    assert weights["attn.c_attn.weight"].shape == (config.n_embd, 3 * config.n_embd)
    whole = once.trace["blocks.1.ln1.normalized"] @ weights["attn.c_attn.weight"] + weights["attn.c_attn.bias"]
    for part, name in enumerate("qkv"):
        made = whole[:, part * config.n_embd : (part + 1) * config.n_embd].reshape(7, config.n_head, config.n_embd // config.n_head)
        np.testing.assert_allclose(once.trace[f"blocks.1.attn.{name}"], made, rtol=1e-3, atol=1e-3)


def scores_by_hand(result: Result, layer: int, head: int) -> np.ndarray:
    q, k = (result.trace[f"blocks.{layer}.attn.{name}"][:, head].astype(np.float64) for name in "qk")
    return np.array([[sum(a * b for a, b in zip(query, key, strict=True)) for key in k] for query in q])


def test_a_score_is_a_dot_product(once: Result) -> None:
    np.testing.assert_allclose(grid(once, 3, 1, "qk"), scores_by_hand(once, 3, 1), rtol=1e-3, atol=1e-3)


def test_scores_are_scaled_by_the_root_of_the_head_size(once: Result) -> None:
    np.testing.assert_allclose(grid(once, 3, 1, "scaled"), scores_by_hand(once, 3, 1) / np.sqrt(once.config.head_dim), rtol=1e-3, atol=1e-3)


def test_the_mask_covers_what_comes_later(once: Result) -> None:
    later = np.triu(np.ones((7, 7), dtype=bool), 1)
    for layer in range(once.config.n_layer):
        assert np.isneginf(once.trace[f"blocks.{layer}.attn.attn_scores"][:, later]).all()
        assert (once.trace[f"blocks.{layer}.attn.pattern"][:, later] == 0).all()


def test_the_pattern_is_the_softmax_of_the_scores(once: Result) -> None:
    scores = scores_by_hand(once, 2, 4)[6] / np.sqrt(once.config.head_dim)
    shares = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(once.trace["blocks.2.attn.pattern"][4, 6], shares, atol=1e-4)


def test_what_moves_is_share_times_value(once: Result) -> None:
    share, v = once.trace["blocks.2.attn.pattern"][2], once.trace["blocks.2.attn.v"][:, 2].astype(np.float64)
    np.testing.assert_allclose(grid(once, 2, 2, "values"), share * np.sqrt((v**2).sum(axis=1)), rtol=1e-4, atol=1e-5)


def test_the_heads_parts_add_up(storyteller: GPT2, once: Result) -> None:
    tokens = range(once.trace.n_tokens)
    parts = np.stack([head_parts(storyteller, once.trace, 2, token).astype(np.float64).sum(axis=0) for token in tokens])
    whole = parts + storyteller.blocks[2]["attn.c_proj.bias"]
    np.testing.assert_allclose(once.trace["blocks.2.attn_out"], whole, rtol=1e-3, atol=1e-3)


def test_heads_are_chosen_by_measuring(storyteller: GPT2) -> None:
    text = "The little fox lost her red ball. She looked for her red"
    result = result_of(storyteller, text)
    ids, n = result.trace.ids, result.trace.n_tokens
    best: dict[str, tuple[float, str]] = dict.fromkeys(("previous", "induction"), (-1.0, ""))
    for layer in range(result.config.n_layer):
        for head in range(result.config.n_head):
            rows = result.trace[f"blocks.{layer}.attn.pattern"][head].astype(np.float64)
            back = [rows[i, i - 1] for i in range(1, n)]
            after = [[j + 1 for j in range(i) if ids[j] == ids[i]] for i in range(n)]
            copied = [sum(rows[i, j] for j in keys) for i, keys in enumerate(after) if keys]
            for name, shares in (("previous", back), ("induction", copied)):
                best[name] = max(best[name], (float(np.mean(shares)), f"L{layer}H{head}"))
    scene = scene_of(ExplorerState(), Palette(), (80, 24), result)
    for name, (share, head) in best.items():
        assert fill(f"{{head {name}}}", scene) == head
        assert float(fill(f"{{share {name}}}", scene).strip("%>")) == pytest.approx(100 * share, abs=0.06)
    assert set(MEASURES) >= set(best)


def test_the_bundled_model_copies(storyteller: GPT2) -> None:
    def share(text: str) -> float:
        trace = result_of(storyteller, text).trace
        return float(distribution(trace["logits"]).probability[storyteller.tokenizer.encode(" ball")[0]])

    assert share("The little fox lost her red ball. She looked for her red") > 2 * share(
        "The little fox lost her red. She looked for her red"
    )


def test_the_bundled_model_agrees(storyteller: GPT2) -> None:
    def plural(text: str) -> float:
        shares = distribution(result_of(storyteller, text).trace["logits"]).probability
        many, one = (float(shares[storyteller.tokenizer.encode(word)[0]]) for word in (" are", " is"))
        return many / (many + one)

    assert plural("The keys of the old house") > plural("The key of the old house") + 0.2


def test_layernorm_is_what_the_page_says(storyteller: GPT2, once: Result) -> None:
    x = once.trace["blocks.2.resid_pre"].astype(np.float64)
    scale = np.sqrt(x.var(axis=1, keepdims=True) + storyteller.config.layer_norm_epsilon)
    weights = storyteller.blocks[2]
    made = (x - x.mean(axis=1, keepdims=True)) / scale * weights["ln_1.weight"] + weights["ln_1.bias"]
    np.testing.assert_allclose(once.trace["blocks.2.ln1.scale"], scale, rtol=1e-4)
    np.testing.assert_allclose(once.trace["blocks.2.ln1.normalized"], made, rtol=1e-3, atol=1e-4)


def test_two_matrices_are_one() -> None:
    a, b, x = (np.random.default_rng(n).standard_normal((5, 5)) for n in range(3))
    np.testing.assert_allclose((x @ a) @ b, x @ (a @ b))


def test_gelu_bends() -> None:
    x = np.array([-9.0, -1.0, 0.0, 9.0], dtype=np.float32)
    made = ops.gelu_new(x.copy())
    assert made[0] == pytest.approx(0, abs=1e-5)
    assert made[1] < -0.1
    assert made[2] == 0
    assert made[3] == pytest.approx(9, abs=1e-4)


def test_a_drawn_token_is_just_more_prompt(storyteller: GPT2) -> None:
    result = result_of(storyteller, "Once upon a time")
    drawn = distribution(result.trace.last_logits).draw(uniform(1, result.trace.n_tokens)).id
    longer = storyteller.forward([*result.trace.ids, drawn])
    assert longer is not None
    assert longer.ids == (*result.trace.ids, drawn)
    assert not np.allclose(longer.last_logits, result.trace.last_logits)


def test_the_cache_changes_nothing(storyteller: GPT2, once: Result) -> None:
    ids = [*once.trace.ids, 1310]
    continued, fresh = storyteller.forward(ids, prefix=once.trace), storyteller.forward(ids)
    assert continued is not None
    assert fresh is not None
    np.testing.assert_allclose(continued.last_logits, fresh.last_logits, rtol=1e-4, atol=1e-4)
    for layer in range(storyteller.config.n_layer):
        for name in ("attn.k", "attn.v", "resid_post"):
            np.testing.assert_array_equal(continued[f"blocks.{layer}.{name}"][:7], once.trace[f"blocks.{layer}.{name}"])


def test_pages_hold_what_they_claim(storyteller: GPT2) -> None:
    """`holds` is tried by checking a lesson; a page that says what isn't so is refused."""
    pages = [(lesson, page) for lesson in LESSONS for page in lesson.pages if page.holds]
    assert len(pages) >= 8
    for lesson, page in pages:
        check_lesson(replace(lesson, pages=(page,)), storyteller.name, lambda _: storyteller, Palette())
        turned = tuple(text.translate(str.maketrans("<>", "><")) for text in page.holds)
        with pytest.raises(LessonError, match="isn't so here"):
            check_lesson(replace(lesson, pages=(replace(page, holds=turned),)), storyteller.name, lambda _: storyteller, Palette())


def test_the_steps_of_sampling_in_their_order(once: Result) -> None:
    logits = once.trace["logits"].astype(np.float64)
    shares = np.exp(logits / 0.8 - logits.max() / 0.8)
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(shares[order]), 0.9)) + 1]
    wanted = np.zeros_like(shares)
    wanted[kept] = shares[kept] / shares[kept].sum()
    np.testing.assert_allclose(distribution(once.trace["logits"], 0.8, top_p=0.9).probability, wanted, atol=1e-12)


def test_entropy_grows_with_temperature(once: Result) -> None:
    bits = [distribution(once.trace["logits"], t).entropy_bits for t in (0.2, 0.5, 1.0, 2.0)]
    assert bits == sorted(bits)
    assert bits[0] < bits[-1] / 3


def test_greedy_keeps_the_likeliest(once: Result) -> None:
    logits = once.trace["logits"]
    greedy = distribution(logits, 0.0)
    assert greedy.probability[np.argmax(logits)] == 1
    assert greedy.probability.sum() == 1


def test_the_nucleus_is_wider_where_the_answer_is_open(storyteller: GPT2, once: Result) -> None:
    clear = result_of(storyteller, "The capital of Norway is")
    kept = [distribution(result.trace.last_logits, top_p=0.9).kept_count for result in (clear, once)]
    assert kept[0] < kept[1]


def test_the_number_of_a_draw_is_fixed() -> None:
    assert uniform(7, 7) == np.random.default_rng([7, 7]).random()
    assert len({uniform(seed, 7) for seed in range(50)}) == len({uniform(7, count) for count in range(50)}) == 50


def test_many_draws_come_near_the_shares(storyteller: GPT2) -> None:
    dist = distribution(result_of(storyteller, "The king was").trace.last_logits)
    drawn = np.bincount([dist.draw(uniform(seed, 3)).id for seed in range(2000)], minlength=len(dist.order))
    for token in dist.order[:5]:
        p = float(dist.probability[token])
        assert abs(drawn[token] / 2000 - p) < 5 * np.sqrt(p * (1 - p) / 2000)


def test_surprisal_is_large_where_the_text_turns(storyteller: GPT2) -> None:
    text = "The little fox lost her red ball. She looked for her red piano"
    trace = storyteller.forward(storyteller.prompt_ids(text), all_logits=True)
    shares = [distribution(row).probability[token] for row, token in zip(trace["logits"], trace.ids[1:], strict=False)]
    bits = -np.log2(shares)
    assert int(np.argmax(bits)) == len(bits) - 1
    assert bits[-1] > 10


def test_weights_are_the_same_for_every_text(storyteller: GPT2) -> None:
    before = {name: each.copy() for name, each in storyteller.weights.items()}
    one, other = (result_of(storyteller, text).trace["logits"] for text in ("Once upon", "The king"))
    assert not np.array_equal(one, other)
    assert all(np.array_equal(before[name], each) for name, each in storyteller.weights.items())


def test_parameters_are_counted(storyteller: GPT2) -> None:
    config, weights = storyteller.config, storyteller.weights
    d, m = config.n_embd, config.n_inner
    assert weights["h.0.attn.c_attn.weight"].size + weights["h.0.attn.c_proj.weight"].size == 4 * d * d
    assert weights["h.0.mlp.c_fc.weight"].size + weights["h.0.mlp.c_proj.weight"].size == 2 * d * m == 8 * d * d
    assert weights["wte.weight"].size == config.vocab_size * d > sum(each.size for each in weights.values()) / 2


def test_one_pass_answers_at_every_position(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids("The little fox lost her red ball")
    whole = storyteller.forward(ids, all_logits=True)["logits"]
    for end in range(1, len(ids) + 1):
        np.testing.assert_allclose(whole[end - 1], storyteller.forward(ids[:end])["logits"], atol=2e-4)


def test_the_slope_of_the_loss(once: Result) -> None:
    """d(−log p(right)) / d logit = share − 1 for the right token, the share for every other: by differences, in float64."""
    logits, right, step = once.trace["logits"].astype(np.float64), 5, 1e-5

    def loss(at: int, by: float) -> float:
        moved = logits.copy()
        moved[at] += by
        return float(np.log(np.exp(moved - moved.max()).sum()) + moved.max() - moved[right])

    shares = distribution(once.trace["logits"]).probability
    for token in (right, int(np.argmax(logits))):
        slope = (loss(token, step) - loss(token, -step)) / (2 * step)
        assert slope == pytest.approx(shares[token] - (token == right), abs=1e-6)


def test_the_same_text_gives_the_same_numbers(storyteller: GPT2, once: Result) -> None:
    again = result_of(storyteller, "Once upon a time there was a")
    assert all(np.array_equal(again.trace[name], once.trace[name]) for name in once.trace.names)


def test_live_values_are_the_traces(storyteller: GPT2, once: Result) -> None:
    state = ExplorerState(temperature=2.0, seed=3)
    dist = distribution(once.trace.last_logits, 2.0)
    scene = scene_of(state, Palette(), (80, 24), once, distribution=dist)

    def number(text: str) -> float:
        return float(fill(text, scene).rstrip("%").replace("−", "-").replace(",", ""))

    little = storyteller.tokenizer.encode(" little")[0]
    assert number('{probability " little"}') == pytest.approx(100 * dist.probability[little], rel=6e-3)
    assert number('{probability " little" 1}') == pytest.approx(100 * distribution(once.trace.last_logits).probability[little], rel=6e-3)
    assert number('{logit " little"}') == pytest.approx(float(once.trace.last_logits[little]), rel=6e-3)
    assert number('{rank " little"}') == 1 + int((once.trace.last_logits > once.trace.last_logits[little]).sum())
    assert number("{cell L3H5 4,2}") == pytest.approx(100 * once.trace["blocks.3.attn.pattern"][5, 4, 2], rel=6e-3)
    assert number("{cell L3H5:qk 4,2}") == pytest.approx(scores_by_hand(once, 3, 5)[4, 2], rel=6e-3)
    assert number("{norm L2.attn}") == pytest.approx(np.linalg.norm(once.trace["blocks.2.attn_out"][6]), rel=6e-3)
    assert number("{norm pos 1}") == pytest.approx(np.linalg.norm(once.trace["pos_embed"][1]), rel=6e-3)
    assert number("{spread L2.ln2}") == pytest.approx(float(once.trace["blocks.2.ln2.scale"][6, 0]), rel=6e-3)
    assert number("{firing L2}") == int((once.trace["blocks.2.mlp.post"][6] > 0).sum())
    assert number("{neuron L2}") == int(once.trace["blocks.2.mlp.post"][6].argmax())
    assert number("{reach 0.5 1}") == 1 + int((np.cumsum(np.sort(distribution(once.trace.last_logits).probability)[::-1]) < 0.5).sum())
    config = storyteller.config
    sizes = ("blocks", "heads", "d", "dh", "m", "context", "vocabulary")
    values = (config.n_layer, config.n_head, config.n_embd, config.head_dim, config.n_inner, config.n_positions, config.vocab_size)
    for name, value in zip(sizes, values, strict=True):
        assert number(f"{{{name}}}") == value
    surprise = surprisal_of(once)
    assert surprise is not None
    assert surprise[3] is not None
    assert number("{bits 3}") == pytest.approx(surprise[3].bits, rel=6e-3)


CAUSE = """+++
title = "One head off, one edge cut, one stream patched"
model = "storyteller"
prompt = "The keys near the house"
from = "The key near the house"
do = ["L4H3=zero", "[last,3]", "L1.resid@1=from"]
pair = [" are", " is"]
+++
{before}|{after}|{effect}|{before " are"}|{full " are"}|{effect L5H0=zero}|{restored L3.resid@1}|{direct L5.mlp}|{lens L3}|{lens L4 1}
"""


def test_what_a_page_changes_is_changed_and_told(storyteller: GPT2) -> None:
    page = parse_lesson(CAUSE).pages[0]
    state = state_of(page, ExplorerState())
    scene = page_on_screen(parse_lesson(CAUSE), page, lambda page: (state, required_run(state, storyteller)), SIZES[0])
    ids, other = (storyteller.prompt_ids(f"The {noun} near the house") for noun in ("keys", "key"))
    donor, plain = storyteller.forward(other), storyteller.forward(ids)
    a, b = (storyteller.prompt_ids(text)[0] for text in (" are", " is"))
    done = [Set("blocks.4.attn.z", 0, head=3), *(Cut(block, edges=[(4, 3)]) for block in range(6))]
    done.append(Set("blocks.1.resid_pre", donor["blocks.1.resid_pre"][1], rows=1))

    def m(trace: Trace) -> float:
        return float(trace["logits"][a] - trace["logits"][b])

    with_it = storyteller.forward(ids, interventions=done)
    off = storyteller.forward(ids, interventions=[*done, Set("blocks.5.attn.z", 0, head=0)])
    patched = storyteller.forward(ids, interventions=[*done, Set("blocks.3.resid_pre", donor["blocks.3.resid_pre"][1], rows=1)])
    restored = (m(patched) - m(with_it)) / (m(donor) - m(with_it))
    shares = [float(distribution(trace["logits"]).probability[a]) for trace in (plain, with_it)]
    streams = txexplain.lens(storyteller, with_it)
    numbers = [m(plain), m(with_it), m(with_it) - m(plain), *shares, m(off) - m(with_it), restored]
    numbers.append(float(direct(storyteller, with_it, a, b).mlp[5]))
    *found, last, first = filled(page, scene, "here").text.strip().split("|")
    assert [amount(each, "here") for each in found] == pytest.approx(numbers, rel=6e-3, abs=1e-4)
    for word, (layer, row) in zip((last, first), ((3, 4), (4, 1)), strict=True):
        assert word == f"“{storyteller.tokenizer.decode([int(streams[2 * layer + 2, row].argmax())]).strip()}”"
    assert m(with_it) - m(plain) < -1


def test_what_takes_a_run_of_its_own_is_not_run_again_where_one_looks_elsewhere(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = parse_lesson(CAUSE)
    page = lesson.pages[0]
    state = state_of(page, ExplorerState())
    scene = page_on_screen(lesson, page, lambda page: (state, required_run(state, storyteller)), SIZES[0])
    filled(page, scene, "here")
    monkeypatch.setattr(GPT2, "forward", lambda *_, **__: pytest.fail("it ran again"))
    for at in ("L3H5[2,1]", "L3H5[3,1]", "output@2"):
        filled(page, replace(scene, state=replace(scene.state, location=parse(at))), "here")
