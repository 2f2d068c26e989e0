"""Trace files between txexplain and TransformerLens, what was changed by hand kept in them, and the same run giving the same bytes."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from tests.engine.odd_checkpoints import BASE, IDS
from txexplain.cli import cli
from txexplain.engine.derive import Result
from txexplain.engine.interventions import Cut, Intervention, Set
from txexplain.engine.model import GPT2
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.trace import Trace, activation_names
from txexplain.errors import CheckpointError, TraceError
from txexplain.facts.norm import norm
from txexplain.models import load_model

CACHES = Path(__file__).parents[1] / "golden" / "transformerlens"
NORMS = ("blocks.0.ln1", "blocks.0.ln2", "blocks.1.ln1", "blocks.1.ln2", "ln_final")


@pytest.fixture(scope="module")
def base() -> GPT2:
    return load_model(BASE)


@pytest.fixture
def run(base: GPT2) -> Trace:
    return base.forward(IDS, all_logits=True)


def close(have: np.ndarray, want: np.ndarray, name: str) -> None:
    seen = np.isfinite(want)
    np.testing.assert_allclose(have[seen], want[seen], rtol=0, atol=2e-5 * float(np.abs(want[seen]).max()), err_msg=name)


def plain(path: Path) -> dict[str, np.ndarray]:
    """A cache's tensors under their names without hook_; its mask's lowest number is −inf here."""
    found = {name.replace("hook_", ""): array for name, array in load_file(path).items()}
    return {name: np.where(array < -1e38, -np.inf, array) if name.endswith("attn_scores") else array for name, array in found.items()}


# TransformerLens


@pytest.mark.parametrize("version", ["4", "2"])
def test_a_whole_cache_is_the_run_name_for_name(version: str, run: Trace) -> None:
    cache = Trace.load(CACHES / f"{version}.safetensors")
    assert cache.names == run.names
    assert cache.ids == IDS
    for name in run.names:
        close(cache[name], run[name], name)


def test_what_no_run_here_has_is_left_out_and_counted() -> None:
    known = {name for name in plain(CACHES / "4.safetensors") if name in activation_names(2) and ".normalized" not in name}
    left = len(load_file(CACHES / "4.safetensors")) - len(known) - len(NORMS) - 1  # the results under `out`, and ids
    (note,) = Trace.load(CACHES / "4.safetensors").notes
    assert note.startswith(f"{left} of its tensors aren't shown")
    assert Trace.load(CACHES / "2.safetensors").notes == ()


def test_what_transformerlens_4_calls_normalized_is_before_gain_and_bias() -> None:
    """In its own cache: the two differ, `out` is what is `normalized` here, and what it calls so is what a view divides."""
    theirs, trace = plain(CACHES / "4.safetensors"), Trace.load(CACHES / "4.safetensors")
    result = Result(trace, None)
    for name in NORMS:
        np.testing.assert_array_equal(trace[f"{name}.normalized"], theirs[f"{name}.out"][0])
        np.testing.assert_array_equal(trace[f"{name}.out"], theirs[f"{name}.out"][0])
        assert np.abs(theirs[f"{name}.out"] - theirs[f"{name}.normalized"]).max() > 0.1
        close(norm(result, name, 2).divided.values, theirs[f"{name}.normalized"][0, 2], name)


def test_a_run_written_here_has_transformerlens_4s_names_too(run: Trace, tmp_path: Path) -> None:
    run.save(tmp_path / "t.safetensors")
    ours, theirs = load_file(tmp_path / "t.safetensors"), plain(CACHES / "4.safetensors")
    for name in theirs.keys() & ours.keys():
        if name != "ids" and not name.endswith(".normalized"):
            close(ours[name], theirs[name][0], name)
    assert {f"{name}.out" for name in NORMS} <= theirs.keys() & ours.keys()
    for name in NORMS:  # and where its `normalized` is wanted, it follows from what is recorded
        x = ours["blocks.1.resid_post" if name == "ln_final" else f"{name[:-4]}.resid_{'pre' if name.endswith('1') else 'mid'}"]
        close((x - x.mean(-1, keepdims=True)) / ours[f"{name}.scale"], theirs[f"{name}.normalized"][0], name)


def test_a_cache_without_out_is_taken_as_what_it_shows_itself_to_be(tmp_path: Path) -> None:
    tensors = load_file(CACHES / "4.safetensors")
    classical = {name: array for name, array in tensors.items() if not name.endswith(("hook_in", "hook_out"))}
    save_file(classical, tmp_path / "classical")
    assert "before gain and bias" in Trace.load(tmp_path / "classical").notes[-1]
    marked = {name: array for name, array in tensors.items() if not name.endswith("ln1.hook_out")}
    save_file(marked, tmp_path / "marked")
    trace = Trace.load(tmp_path / "marked")
    assert "blocks.0.ln1.normalized" not in trace, "of a cache of TransformerLens 4 it isn't what it is here"
    assert "blocks.0.ln2.normalized" in trace
    assert "before gain and bias" in Trace.load(CACHES / "2-folded.safetensors").notes[0]
    assert Trace.load(CACHES / "2.safetensors").notes == (), "TransformerLens 2 means what is meant here"


def test_ids_and_logits_under_transformerlens_4s_own_names(run: Trace, tmp_path: Path) -> None:
    tensors = {name: array for name, array in load_file(CACHES / "4.safetensors").items() if name not in ("ids", "logits")}
    save_file(tensors, tmp_path / "t")
    trace = Trace.load(tmp_path / "t")
    assert trace.ids == IDS
    close(trace["logits"], run["logits"], "logits")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_a_cache_in_another_precision_opens(dtype: Any, run: Trace, tmp_path: Path) -> None:
    tensors = {
        name: array if array.dtype == np.int64 else array.astype(dtype) for name, array in load_file(CACHES / "2.safetensors").items()
    }
    save_file(tensors, tmp_path / "t")
    trace = Trace.load(tmp_path / "t")
    assert all(trace[name].dtype == np.float32 and not trace[name].flags.writeable for name in trace.names)
    np.testing.assert_allclose(trace["blocks.1.attn.z"], run["blocks.1.attn.z"], rtol=2e-2, atol=2e-3)


def test_only_takes_names_with_their_hook_and_results_by_either_name(tmp_path: Path) -> None:
    file = str(tmp_path / "t.safetensors")
    wanted = ["--only", "blocks.*.attn.hook_pattern", "--only", "blocks.1.ln2.hook_out"]
    done = CliRunner().invoke(cli, ["trace", "Once", "-o", file, *wanted])
    assert done.exit_code == 0, done.stderr
    found = set(load_file(file)) - {"ids"}
    assert found == {*(f"blocks.{n}.attn.pattern" for n in range(6)), "blocks.1.ln2.normalized", "blocks.1.ln2.out"}
    assert f"{len(found)} tensors of 1 token" in done.stdout


def test_commands_say_what_was_left_out() -> None:
    file = str(CACHES / "4.safetensors")
    assert "of its tensors aren't shown" in CliRunner().invoke(cli, ["describe", "--trace", file]).stdout
    done = CliRunner().invoke(cli, ["predict", "--trace", file, "--json"])
    assert json.loads(done.stdout)["next"]
    assert "of its tensors aren't shown" in done.stderr


# The same run, the same bytes


def test_the_same_run_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = "import sys, txexplain; txexplain.load_model(sys.argv[1]).forward([1, 22, 3]).save(sys.argv[2])"
    for name in ("a", "b", "c"):
        subprocess.run([sys.executable, "-c", code, str(BASE), str(tmp_path / name)], check=True)
    assert len({(tmp_path / name).read_bytes() for name in ("a", "b", "c")}) == 1
    Trace.load(tmp_path / "a").save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_file_is_written_a_tensor_at_a_time(run: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []

    def taken(_: Path, data: Any) -> None:
        pieces.extend(len(bytes(piece)) for piece in data)

    monkeypatch.setattr("txexplain.engine.tracefile.write_whole", taken)
    run.save(tmp_path / "t.safetensors")
    assert max(pieces[1:]) == max(run[name].nbytes for name in run.names)


@pytest.mark.parametrize("name", ["t.npz", "t.pt", "t.json", "-", "t.safetensors.gz"])
def test_a_name_that_promises_another_kind_is_refused(name: str, run: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TraceError, match="safetensors"):
        run.save(name)
    done = CliRunner().invoke(cli, ["trace", "Once", "-o", name])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


# Tokens


def test_gpt2s_tokens_are_shown_where_the_prompt_encodes_to_the_ids(tmp_path: Path) -> None:
    gpt2 = Tokenizer.gpt2()
    text = "Once upon a café, 日本"
    ids = gpt2.encode(text)
    own = tuple(gpt2.display(i) for i in ids)
    for n, (given, prompt, tokens) in enumerate(
        [(ids, text, own), ([50256, *ids], text, ("<|endoftext|>", *own)), (ids[:-1], text, None), (ids, "Once", None), (ids, "", None)]
    ):
        save_file({"ids": np.array(given), "embed": np.ones((len(given), 4), np.float32)}, tmp_path / str(n), {"prompt": prompt})
        assert Trace.load(tmp_path / str(n)).tokens == tokens, (n, prompt)


def test_logits_of_the_last_position_may_have_a_batch_of_one(base: GPT2, tmp_path: Path) -> None:
    base.forward(IDS).save(tmp_path / "t.safetensors")
    told = load_file(tmp_path / "t.safetensors")
    save_file(told | {"logits": told["logits"][None]}, tmp_path / "t.safetensors")
    np.testing.assert_array_equal(Trace.load(tmp_path / "t.safetensors")["logits"], told["logits"])


def test_arrays_in_an_archive_are_no_trace_and_the_sentence_says_how_to_make_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", ids=np.arange(3))
    (tmp_path / "t.pkl").write_bytes(pickle.dumps({"ids": [1, 2, 3], "x": "x" * 20}))
    for name in ("t.npz", "t.pkl"):
        with pytest.raises(TraceError, match=r"a pickle, or an archive of arrays .*safetensors\.numpy\.save_file"):
            Trace.load(tmp_path / name)


# What was changed by hand

CHANGES: dict[str, list[Intervention]] = {
    "a number": [Set("blocks.0.attn.z", 0, head=1)],
    "a vector and places": [Set("blocks.1.resid_mid", np.linspace(-1, 1, 24), rows=[1, 3]), Set("blocks.0.mlp.post", 0.1, index=[2, 5])],
    "a row for each": [Set("blocks.0.mlp_out", np.arange(48, dtype=np.float32).reshape(2, 24) / 7, each=True)],
    "edges": [Cut(1, edges=[(3, 0), (4, 2)], head=[0, 2])],
    "edges without their share": [Cut(0, edges=[(2, 1)], raw=True)],
    "a query with nothing left": [Cut(1, edges=[(2, 0), (2, 1), (2, 2)])],
    "the first token's only edge": [Cut(0, edges=[(0, 0)], head=1)],
    "several in their order": [Cut(0, edges=[(4, 0)]), Set("blocks.0.attn.pattern", 0.25, rows=4, head=0, index=1), Cut(0, edges=[(4, 1)])],
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_kept_and_read_back(name: str, base: GPT2, tmp_path: Path) -> None:
    trace = base.forward(IDS, interventions=CHANGES[name])
    trace.save(tmp_path / "t.safetensors")
    back = Trace.load(tmp_path / "t.safetensors")
    assert back.interventions == trace.interventions
    for each in trace.names:
        np.testing.assert_array_equal(back[each], trace[each], err_msg=each)
        assert back.changed(each) == trace.changed(each), each
    again = base.forward(back.ids, interventions=back.interventions)
    np.testing.assert_array_equal(again["logits"], trace["logits"])


SAID = {
    "a number": "L0H1 at zero",
    "a vector and places": "L1.mid@1+3 at given numbers, L0.mlp[2+5] at 0.1",
    "a row for each": "L0.mlp at given numbers",
    "edges": "2 edges of L1H0+2 cut",
    "edges without their share": "L0[2,1] cut, its share lost",
    "a query with nothing left": "L1[2,0-2] cut",
    "the first token's only edge": "L0H1[0,0] cut",
    "several in their order": "L0[4,0] cut, blocks.0.attn.pattern[1], heads 0@4 set, L0[4,1] cut",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_said_of_a_trace(name: str, base: GPT2, tmp_path: Path) -> None:
    base.forward(IDS, interventions=CHANGES[name]).save(tmp_path / "t.safetensors")
    done = CliRunner().invoke(cli, ["describe", "--trace", str(tmp_path / "t.safetensors")])
    assert f"Changed: {SAID[name]}." in done.stdout
    done = CliRunner().invoke(cli, ["describe", "--trace", str(tmp_path / "t.safetensors"), "--json"])
    assert ", ".join(json.loads(done.stdout)["changes"]) == SAID[name]


TYPED = ["--ablate", "L3H5", "--ablate", "L2-4.mlp", "--cut", "[*,0]", "--patch", "L4.resid@2", "--from", "Once more"]


def test_what_was_typed_is_said_of_its_trace_as_in_the_run_itself(tmp_path: Path) -> None:
    path = str(tmp_path / "t.safetensors")
    assert CliRunner().invoke(cli, ["trace", "Once upon a time", *TYPED, "-o", path]).exit_code == 0
    live, back = (
        CliRunner().invoke(cli, ["describe", *args, "--at", "output"]).stdout for args in (["Once upon a time", *TYPED], ["--trace", path])
    )
    assert "Changed: L3H5 at mean, L2-4.mlp at mean, [*,0] cut, L4.resid@2 patched;" in live
    assert "Changed: L3H5 at mean, L2-4.mlp at mean, L0-5[1-255,0] cut, L4.resid@2 patched." in back


def test_a_view_of_it_says_what_was_changed(base: GPT2, tmp_path: Path) -> None:
    base.forward(IDS, interventions=[Cut(1, edges=[(3, 0)], head=0)]).save(tmp_path / "t.safetensors")
    done = CliRunner().invoke(cli, ["describe", "--trace", str(tmp_path / "t.safetensors"), "--at", "L1H0:softmax[3,0]"])
    assert done.exit_code == 0, done.stderr
    for place in ("model", "L1", "L1.attn", "heads", "L1H0:masked[3,0]", "L1H0[3,0]", "output"):
        done = CliRunner().invoke(cli, ["describe", "--trace", str(tmp_path / "t.safetensors"), "--at", place])
        assert done.exit_code == 0, (place, done.stderr)


def written(base: GPT2, folder: Path, **metadata: Any) -> Path:
    """A run with an edge cut, its metadata changed."""
    base.forward(IDS, interventions=[Cut(1, edges=[(3, 0)])]).save(folder / "t.safetensors")
    header = json.loads((data := (folder / "t.safetensors").read_bytes())[8 : 8 + int.from_bytes(data[:8], "little")])
    kept = {key: value for key, value in (header["__metadata__"] | metadata).items() if value is not None}
    save_file(load_file(folder / "t.safetensors"), folder / "t.safetensors", kept)
    return folder / "t.safetensors"


def edit(**fields: Any) -> str:
    return json.dumps([{"set": "blocks.0.attn.z", "value": 0, "rows": None, "head": None, "index": None, "each": False} | fields])


def cut(**fields: Any) -> str:
    return json.dumps([{"cut": 1, "head": None, "edges": [[3, 0]], "raw": False} | fields])


LIES: dict[str, tuple[str | None, str]] = {
    "nothing": (None, "aren't finite"),
    "another edge": (cut(edges=[[3, 1]]), "aren't finite"),
    "another head": (cut(head=[0]), "aren't finite"),
    "another block": (cut(cut=0), "aren't finite"),
    "a block that isn't there": (cut(cut=7), "block 7"),
    "the future": (cut(edges=[[1, 3]]), "sees itself"),
    "no list": ("3", "can't be read"),
    "no JSON": ("[", "can't be read"),
    "words": ('["x"]', "can't be read"),
    "no edges": (cut(edges=[]), "no edge"),
    "edges of three": (cut(edges=[[1, 2, 3]]), "can't be read"),
    "an edge without an end": (cut(edges=[[10**400, 0]]), "aren't finite|can't be read"),
    "many edges": (cut(edges=[[3, 0]] * 200_000), "can't be read"),
    "another name": (edit(set="blocks.0.attn.query"), "can't be set"),
    "no number": (edit(value="NaN"), "can't be read|can't be set"),
    "not a number": ('[{"set": "embed", "value": NaN, "rows": null, "head": null, "index": null, "each": false}]', "isn't finite"),
    "an array of other bytes": (edit(value={"shape": [3], "float32": "AAAA"}), "can't be read"),
    "an array without an end": (edit(value={"shape": [10**9, 10**9], "float32": "AAAAAA=="}), "can't be read"),
    "no base64": (edit(value={"shape": [1], "float32": "%%%"}), "can't be read"),
    "a row below": (edit(rows=[-1]), "numbers go from 0"),
    "a field missing": ('[{"set": "embed"}]', "can't be read"),
}


@pytest.mark.parametrize("name", LIES)
def test_changes_that_a_run_cant_have_had_are_refused(name: str, base: GPT2, tmp_path: Path) -> None:
    told, words = LIES[name]
    with pytest.raises(TraceError, match=words) as caught:
        Trace.load(written(base, tmp_path, interventions=told))
    assert "t.safetensors" in str(caught.value)


def test_changes_without_a_config_are_refused(base: GPT2, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="its config is missing"):
        Trace.load(written(base, tmp_path, config=None))


# To another process


def told(trace: Trace) -> tuple[int, Trace]:
    return len(trace), trace


def forward(model: GPT2) -> Trace:
    return model.forward(IDS, interventions=[Cut(1, edges=[(3, 0)])])


def test_a_trace_and_a_model_go_to_another_process_and_come_back(base: GPT2, run: Trace) -> None:
    with ProcessPoolExecutor(1) as pool:
        number, back = pool.submit(told, run).result()
        changed = pool.submit(forward, base).result()
    assert (number, back.ids, back.names, back.tokens) == (len(run), run.ids, run.names, run.tokens)
    for name in run.names:
        np.testing.assert_array_equal(back[name], run[name])
        assert not back[name].flags.writeable
    assert changed.interventions == (Cut(1, edges=[(3, 0)]),)
    np.testing.assert_array_equal(changed["logits"], forward(base)["logits"])
    assert repr(back).endswith(f"{len(back)} tensors)")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))], ids=["deepcopy", "pickle"])
def test_copies_are_equal_and_share_the_weights_that_are_mapped(again: Any, base: GPT2, run: Trace, storyteller: GPT2) -> None:
    model, trace = again(base), again(run)
    np.testing.assert_array_equal(model.forward(IDS)["logits"], base.forward(IDS)["logits"])
    np.testing.assert_array_equal(trace["logits"], run["logits"])
    assert len(pickle.dumps(base)) < 100_000, "where the weights lie, not the weights"
    tale = again(storyteller)
    assert (tale.name, tale.tokenizer.encode("Once upon")) == (storyteller.name, storyteller.tokenizer.encode("Once upon"))
    assert len(pickle.dumps(run)) < 1.2 * sum(run[name].nbytes for name in {n for n in run.names if n != "blocks.1.resid_pre"})


@pytest.mark.parametrize("name", ["saved/one", "saved/sharded", "parity/default"])
def test_a_tokenizer_of_any_kind_goes_along(name: str) -> None:
    model = load_model(BASE.parents[1] / name)
    back = pickle.loads(pickle.dumps(model)).tokenizer
    if model.tokenizer.has_no_text:
        assert (back.has_no_text, back.why) == (True, model.tokenizer.why)
        return
    for tokenizer, other in ((model.tokenizer, back), (model.tokenizer.plain(), back.plain())):
        assert other.encode("Once upon a <|endoftext|>") == tokenizer.encode("Once upon a <|endoftext|>")


def test_weights_that_changed_meanwhile_are_not_taken_for_the_same(tmp_path: Path) -> None:
    for path in BASE.glob("[cm]*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    kept = pickle.dumps(load_model(tmp_path))
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({name: array + 1 for name, array in tensors.items()}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="changed since"):
        pickle.loads(kept)
