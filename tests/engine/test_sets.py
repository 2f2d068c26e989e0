"""Effects over many prompts, and a prompt's strongest ones: each number is that of the prompts taken alone."""

from __future__ import annotations

import numpy as np
import pytest

from txexplain import Cut, Set, distribution, effects
from txexplain.engine.model import GPT2
from txexplain.engine.reference import Reference
from txexplain.engine.scan import Scan, scan
from txexplain.engine.sets import Example, OverExamples, answers, effects_over, read_examples
from txexplain.errors import InterventionError, PromptError

TOLD = "The key near the houses\tThe keys near the houses\t is\t are"
EXAMPLES = (
    Example("The key near the houses", "The keys near the houses", " is", " are"),
    Example("The keys near the house", "The key near the house", " are", " is"),
    Example("The key near the houses", "", " are", " is"),  # the first the other way: one of both is right
)


def ran(model: GPT2, prompt: str, *changes: Set | Cut) -> np.ndarray:
    return model.forward(model.prompt_ids(prompt), interventions=changes)["logits"].astype(np.float64)


def id_of(model: GPT2, word: str) -> int:
    return model.tokenizer.encode(word)[0]


def difference(model: GPT2, example: Example, *changes: Set | Cut) -> float:
    logits = ran(model, example.prompt, *changes)
    return float(logits[id_of(model, example.answer)] - logits[id_of(model, example.against)])


def test_examples_are_lines_of_a_table() -> None:
    text = f"prompt\tother\tanswer\tagainst\n# agreement\n\n{TOLD}\nOne\t\t two\t three\n"
    assert read_examples(text, "x.tsv") == (EXAMPLES[0], Example("One", "", " two", " three"))


@pytest.mark.parametrize("line", ["one", "one\ttwo\tthree", "\ta\tb\tc", "a\tb\t\tc", "a\tb\tc\t", "a\tb\tc\td\te"])
def test_a_line_that_is_no_example_is_named(line: str) -> None:
    with pytest.raises(PromptError, match=r"^x\.tsv, line 2, .*\.$"):
        read_examples(f"{TOLD}\n{line}\n", "x.tsv")
    with pytest.raises(PromptError, match=r"^x\.tsv holds 0 examples"):
        read_examples("# nothing\n", "x.tsv")


def test_effects_over_examples_are_those_of_each(storyteller: GPT2) -> None:
    told = list(effects_over(storyteller, EXAMPLES, "heads", to="zero"))
    assert [len(each.without) for each in told] == [1, 2, 3]
    assert np.isnan(told[0].spread).all()
    last = told[-1]
    for i, example in enumerate(EXAMPLES):
        alone = effects(storyteller, storyteller.forward(storyteller.prompt_ids(example.prompt)), "heads", to="zero",
                        answer=example.answer, against=example.against)  # fmt: skip
        np.testing.assert_allclose(last.change[i], alone.change, atol=1e-4)
    own = [difference(storyteller, example) for example in EXAMPLES]
    off = [difference(storyteller, example, Set("blocks.4.attn.z", 0, head=3)) for example in EXAMPLES]
    changes = np.subtract(off, own)
    assert last.mean[4, 3] == pytest.approx(changes.mean(), abs=1e-4)
    assert last.spread[4, 3] == pytest.approx(np.sqrt(((changes - changes.mean()) ** 2).sum() / 2), abs=1e-4)
    assert last.right_before == pytest.approx(np.mean(np.array(own) > 0))
    assert last.right_after[4, 3] == pytest.approx(np.mean(np.array(off) > 0))
    assert 0 < last.right_before < 1


def test_patches_over_examples_come_from_each_ones_other_prompt(storyteller: GPT2) -> None:
    *_, by_row = effects_over(storyteller, EXAMPLES[:2], "resid")
    *_, by_head = effects_over(storyteller, EXAMPLES[:2], "heads", to="other")
    for i, example in enumerate(EXAMPLES[:2]):
        donor = storyteller.forward(storyteller.prompt_ids(example.other))
        z = Set("blocks.4.attn.z", donor["blocks.4.attn.z"][:, 3], head=3, each=True)
        changed = difference(storyteller, example, z)
        assert by_head.without[i] + by_head.change[i, 4, 3] == pytest.approx(changed, abs=1e-4)
        row = Set("blocks.2.resid_pre", donor["blocks.2.resid_pre"][1], rows=1)
        assert by_row.without[i] + by_row.change[i, 2, 1] == pytest.approx(difference(storyteller, example, row), abs=1e-4)
        assert not by_row.change[i, :, 0].any()
    with pytest.raises(InterventionError, match="no other prompt"):
        list(effects_over(storyteller, EXAMPLES, "resid"))


def test_grids_of_several_lengths_are_not_put_together(storyteller: GPT2) -> None:
    longer = Example("The keys near the old house", "", " are", " is")
    with pytest.raises(InterventionError, match="one length"):
        list(effects_over(storyteller, [EXAMPLES[0], longer], "rows"))
    assert len(list(effects_over(storyteller, [EXAMPLES[0], longer], "mlps", to="zero"))) == 2


def test_a_set_that_nobody_waits_for_counts_whole_examples_alone(storyteller: GPT2) -> None:
    told: list[OverExamples] = []
    told += effects_over(storyteller, EXAMPLES, "mlps", to="zero", should_stop=lambda: len(told) == 0)
    assert told == []
    assert answers(storyteller, EXAMPLES, (), should_stop=lambda: True) is None


def test_answers_with_and_without(storyteller: GPT2) -> None:
    changes = [Set("blocks.5.mlp_out", 0), Cut(3, edges=[(4, 1)])]
    found = answers(storyteller, EXAMPLES, changes)
    assert found is not None
    for i, example in enumerate(EXAMPLES):
        before, after = ran(storyteller, example.prompt), ran(storyteller, example.prompt, *changes)
        a = id_of(storyteller, example.answer)
        assert found.without[i] == pytest.approx(difference(storyteller, example), abs=1e-4)
        assert found.change[i] == pytest.approx(difference(storyteller, example, *changes) - found.without[i], abs=1e-4)
        assert (found.top_before[i], found.top_after[i]) == (before.argmax() == a, after.argmax() == a)
    assert found.right_before == pytest.approx((found.without > 0).mean())
    assert found.right_after == pytest.approx((found.within > 0).mean())


def last_of(told: list[Scan]) -> Scan:
    assert [each.done for each in told] == [False] * (len(told) - 1) + [True]
    return told[-1]


def test_a_scan_holds_the_strongest_of_all_kinds_and_each_can_be_done(tiny: GPT2) -> None:
    trace, donor = tiny.forward([3, 9, 27, 20, 60]), tiny.forward([3, 9, 4, 20, 60])
    found = last_of(list(scan(tiny, trace, to="zero", donor=donor, answer=5, against=7, n=12)))
    sizes = [abs(each.change) for each in found.findings]
    assert len(sizes) == 12
    assert sizes == sorted(sizes, reverse=True)
    swept = {"mlps", "attns", "heads", "rows", "resid", "z", "q", "k", "v", "pattern", "edges", "neurons L1", "neurons L0"}
    assert {each.partition(" (")[0] for each in found.tried} == swept
    before = trace["logits"]
    for each in found.findings:
        after = tiny.forward(trace.ids, interventions=each.do)["logits"]
        assert float(after[5] - after[7]) - float(before[5] - before[7]) == pytest.approx(each.change, abs=1e-4), each.place
        p = [float(distribution(logits).full_probability[5]) for logits in (before, after)]
        assert p[1] - p[0] == pytest.approx(each.probability, abs=1e-5)
    strongest = max(
        float(np.nanmax(np.abs(effects(tiny, trace, of, to=to, answer=5, against=7).change)))
        for of, to in (("mlps", "zero"), ("attns", "zero"), ("heads", "zero"), ("rows", None), ("edges", None))
    )
    assert sizes[0] >= strongest - 1e-4


def test_a_scan_tries_the_neurons_that_add_most(tiny: GPT2) -> None:
    trace = tiny.forward([3, 9, 27])
    added = np.abs(trace["blocks.1.mlp.post"]).max(axis=0) * np.linalg.norm(tiny.blocks[1]["mlp.c_proj.weight"], axis=1)
    found = last_of(list(scan(tiny, trace, to="zero", n=500)))
    tried = {each.place for each in found.findings if each.place.startswith("L1.mlp[")}
    assert tried == {f"L1.mlp[{i}]" for i in np.argsort(-added)[:16]}
    assert "neurons L1 (16 of 96)" in found.tried


def test_a_long_prompt_is_scanned_by_its_last_query(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("txexplain.engine.scan.EDGES", 4)
    assert "edges [4]" in last_of(list(scan(tiny, tiny.forward([3, 9, 27, 20, 60]), to="zero"))).tried


def test_a_scan_may_end_early_and_means_ask_for_a_tokenizer(tiny: GPT2) -> None:
    trace = tiny.forward([3, 9, 27])
    assert list(scan(tiny, trace, to="zero", should_stop=lambda: True)) == []
    with pytest.raises(InterventionError, match="no tokenizer"):
        list(scan(tiny, trace))
    with pytest.raises(InterventionError, match="no tokenizer"):
        effects(tiny, trace, "heads")
    assert isinstance(effects(tiny, trace, "heads", to=Reference("none", 1, {name: trace[name][0] for name in trace.names})).to, str)
