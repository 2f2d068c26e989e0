"""Files that ask for much more than they hold, and places where links are planted: each command ends soon, in little memory, in order.

    python -m tests.fuzz.bombs --seed 1 --start 0 --count 200

Every case is a folder and a command line, run in a process of its own that has 2 GB of address space and some seconds of processor time.
It must end with its answer, or with one sentence and exit code 2; and what lies outside its folder must be as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.vocabularies import document
from tests.sparse import CONFIG, sparse_checkpoint, sparse_file
from txexplain.errors import CheckpointError
from txexplain.text import RAW

SPACE = 2_000_000_000  # bytes of address space
LARGEST = 300_000_000  # numbers
SECONDS = 20  # of the processor
LONGEST_SENTENCE = 700
Words = list[str]
CANARY = "as it was\n"
STRANGER = 54321  # a user whom no machine has


def around(rng: Random, most: int) -> int:
    """A size up to `most`: each magnitude as often as another."""
    return min(most, int(2 ** rng.uniform(0, most.bit_length())))


def model_command(rng: Random, model: Path, vocabulary: int) -> Words:
    n = rng.choice((1, 2, 2, 7, around(rng, 5000)))
    ids = ",".join(str(rng.randrange(vocabulary)) for _ in range(n))
    at = rng.choice(("model", "L0", "L0H0", "L0.mlp", "heads", "output", "embed", "L0.attn", "final"))
    return rng.choice(
        [
            ["predict", "--ids", ids, "--model", str(model)],
            ["describe", "--ids", ids, "--at", at, "--model", str(model)],
            ["render", "--ids", ids, "--at", at, "--model", str(model), "-o", "x.svg"],
            ["head-stats", "--ids", ids, "--model", str(model)],
            ["attention", "--ids", ids, "--at", "L0H0", "--model", str(model)],
            ["models", "info", str(model)],
        ]
    )


def checkpoint(rng: Random, folder: Path) -> Words:
    """Weights that are holes in a file, of any sizes."""
    n_head = around(rng, 2048)
    config = {
        "n_layer": around(rng, 1000), "n_head": n_head, "n_embd": n_head * around(rng, 64), "n_positions": around(rng, 1 << 22),
        "vocab_size": max(2, around(rng, 1 << 20)), "n_inner": around(rng, 1 << 14),
    }  # fmt: skip
    while config["n_embd"] * (config["n_positions"] + config["vocab_size"] + 12 * config["n_layer"] * config["n_embd"]) > LARGEST:
        name = rng.choice(sorted(config))  # what can't be mapped at all tells nothing
        config[name] = max(2, config[name] // 2)
        config["n_embd"] = max(1, config["n_embd"] // config["n_head"]) * config["n_head"]
    try:
        sparse_checkpoint(folder / "model", rng.choice(("F32", "F16", "BF16")), **config)
    except (CheckpointError, OSError):  # the config is refused, or larger than a file may be
        (folder / "model").mkdir(exist_ok=True)
        (folder / "model" / "config.json").write_text(json.dumps(CONFIG | config), encoding="utf-8")
    return model_command(rng, folder / "model", config["vocab_size"])


def trace(rng: Random, folder: Path) -> Words:
    """A recorded run of holes."""
    n, n_head, dh, d = around(rng, 1 << 17), around(rng, 256), around(rng, 64), around(rng, 4096)
    layers = around(rng, 50)
    while layers * n * (n_head * (n + dh) + d) > 2 * LARGEST:
        n, n_head, d, layers = max(1, n * 3 // 4), max(1, n_head * 3 // 4), max(1, d * 3 // 4), max(1, layers // 2)
    sizes = {
        "attn.q": (n, n_head, dh), "attn.k": (n, n_head, dh), "attn.v": (n, n_head, dh), "attn.attn_scores": (n_head, n, n),
        "attn.pattern": (n_head, n, n), "resid_post": (n, n_head * dh), "mlp.pre": (n, d), "mlp.post": (n, d), "attn_out": (n, n_head * dh),
    }  # fmt: skip
    names = rng.sample(sorted(sizes), rng.randint(1, 4))
    shapes = {"ids": ("I64", (n,))} | {
        f"blocks.{layer}.{name}": (rng.choice(("F32", "F32", "F16")), sizes[name]) for layer in range(layers) for name in names
    }
    with contextlib.suppress(OSError):
        sparse_file(folder / "run.safetensors", shapes, format="txexplain-trace/1")
    path = str(folder / "run.safetensors")
    at = rng.choice(("model", "L0", "L0H0", "L0H0:qk", "L0.mlp", "heads", "L0.attn", "embed"))
    return rng.choice(
        [
            ["describe", "--trace", path, "--at", at], ["render", "--trace", path, "--at", at, "-o", "x.svg"], ["attention", "--trace", path, "--at", "L0H0"], ["predict", "--trace", path],
        ]
    )  # fmt: skip


def tokenizer(rng: Random, folder: Path) -> Words:
    """Merges that grow, tokens without end, values without number."""
    told = document()
    model, letter = told["model"], rng.choice("abc")
    kind = rng.choice(("doubled", "chain", "added", "unused", "values", "pairs"))
    n = around(rng, 20_000)
    if kind in ("doubled", "chain", "pairs"):
        pairs, whole = [], letter
        for _ in range(min(n, 22 if kind == "doubled" else 3000)):
            pairs.append([whole, whole if kind == "doubled" else letter])
            whole = "".join(pairs[-1])
        model["merges"] = pairs
        model["vocab"] = {token: id for token, id in model["vocab"].items() if len(token) == 1}
        model["vocab"] |= {"".join(pair): 300 + number for number, pair in enumerate(pairs)}
    elif kind == "added":
        told["added_tokens"] = [{"content": "x" * around(rng, 30_000_000), "id": 5}]
    elif kind == "unused":
        model["vocab"]["y" * around(rng, 1_000_000)] = 999
    else:
        told["more"] = [[]] * around(rng, 4_000_000)
    made = sparse_checkpoint(folder / "model", vocab_size=30_000)
    (made / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    return [rng.choice(("predict", "tokens", "describe")), letter * around(rng, 3000), "--model", str(made)]


def reading(rng: Random, folder: Path) -> Words:
    """A tokenizer.json that is taken as it is: parts that multiply, patterns with many ways to fail, trees of pieces and of added tokens."""
    told, letter = document(), rng.choice("abc")
    kind = rng.choice(("shown", "read", "before", "words", "pieces", "added"))
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    n = around(rng, 60_000)
    if kind in ("shown", "read"):
        what = "decoder" if kind == "shown" else "normalizer"
        parts = [{"type": "Replace", "pattern": {"String": letter}, "content": letter * around(rng, 500)}] * rng.randint(1, 9)
        told[what] = {"type": "Sequence", f"{what}s": parts}
    elif kind == "before":
        parts = [{"type": "Prepend", "prepend": letter * around(rng, 500)}] * rng.randint(1, 16)
        told["normalizer"] = {"type": "Sequence", "normalizers": parts}
        told["added_tokens"] = [{"content": "-", "id": 5} | flags]
    elif kind == "words":
        choice = f"(?:{'|'.join([letter] * around(rng, 200))})"
        told["pre_tokenizer"] = {
            "type": "Split",
            "pattern": {"Regex": f"{choice * rng.randint(1, 4)}[!?]"},
            "behavior": "Isolated",
            "invert": False,
        }
    else:
        texts = [f"{number}" + "\U0001f600" * rng.choice((2, 55)) for number in range(n)]
        if kind == "pieces":
            told["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [[text, -1.0] for text in texts]}
        else:
            told["added_tokens"] = [{"content": text, "id": id} | flags for id, text in enumerate(texts)]
    made = sparse_checkpoint(folder / "model", vocab_size=30_000)
    (made / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    (made / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="utf-8")
    return [rng.choice(("predict", "tokens", "describe")), f"{letter}-" * around(rng, 3000), "--model", str(made)]


def header(rng: Random, folder: Path) -> Words:
    """What stands before the tensors."""
    made = sparse_checkpoint(folder / "model")
    n = around(rng, 30_000_000)
    part = rng.choice(
        (b"[],", b"{},", b'"":"",', b"1,", b'\\"', b" ", b"[", b'{"a":', b'"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},')
    )
    text = rng.choice((b"", b'{"x":[', b'{"', b"{", b"[")) + (part * (n // len(part) + 1))[:n] + rng.choice((b"", b"1]}", b'":1}', b"]"))
    if rng.random() < 0.2:
        text = text[:1000]
        n = around(rng, 120_000_000)
    (made / "model.safetensors").unlink()
    with (made / "model.safetensors").open("wb") as file:
        file.write(max(n, len(text)).to_bytes(8, "little") + text)
        file.truncate(8 + max(n, len(text)))
    return [*rng.choice((["models", "info"], ["predict", "--ids", "1", "--model"])), str(made)]


PARTS = (
    "[", "![", "`", "*", "**a ", "*a ", "**a*b", "*a [b", "[a](", "- ", "- a\n", "* a\n - b\n", "1) ", "# ", "a\n\n", "\\", "{{", "{", "{bits 1} ",
    "{probability 1 0.37} ", "{head induction}", "x", "é", "日", "a\u0301", "\u0301", "```\n", "<!--", "<!-- -->", "{T}" * 50, "~~~\n", "> ", "|", "&amp;",
)  # fmt: skip


def lesson(rng: Random, folder: Path) -> Words:
    """A page, or many, of one thing again and again."""
    text = "# " + "x" * around(rng, 1000) + "\n"
    for number in range(rng.choice((1, 1, 2, around(rng, 3000)))):
        body = (rng.choice(PARTS) * 200_000)[: rng.choice((around(rng, 200_000), 19_000, 50))]
        text += f'+++\ntitle = "Page {number}"\nprompt = "a b a b a b {"a " * around(rng, 200)}"\n+++\n{body}\n'
        if len(text) > 1_100_000:
            break
    path = folder / "evil.md"
    path.write_text(text, encoding="utf-8")
    page = str(rng.randint(1, 2))
    return rng.choice(
        [
            ["lessons", "check", str(path)], ["describe", "--lesson", str(path), "--page", page],
            ["render", "--lesson", str(path), "--page", page, "--size", rng.choice(("80x24", "120x36", "60x16")), "-o", "x.txt"],
        ]
    )  # fmt: skip


def planted(rng: Random, folder: Path) -> Words:
    """A folder in which links wait under names that a program might write to on its way, or, where two users can be had, under its own."""
    outside = folder.parent / "outside"
    target = rng.choice(("out.svg", "out.safetensors", "out.txt"))
    for name in (f".{target}.part", f".{target}", f"{target}.part", f"{target}.tmp", f".{target}.tmp", f"{target}~"):
        (folder / name).symlink_to(outside)
    for number in range(os.getpid() - 3, os.getpid() + 40):
        for name in (f".{target}.{number}", f"{target}.{number}"):
            (folder / name).symlink_to(outside)
    path = folder / target
    if os.geteuid() == 0 and rng.random() < 0.7:
        path = strangers(rng, folder, path)
    path = str(path)
    if target.endswith("svg"):
        return rng.choice([["render", "hi", "-o", path], ["poster", "hi", "-o", path], ["render", "--lesson", "transformer", "-o", path]])
    return ["trace", "hi", "-o", path] if target.endswith("safetensors") else ["render", "hi", "-o", path]


def strangers(rng: Random, folder: Path, path: Path) -> Path:
    """A way to a file on which another user made a link, or gave a file of the reader's a second name."""
    outside, theirs, way = folder.parent / "outside", folder / "theirs", folder / "way"
    match rng.choice(("file", "new", "own", "circle", "folder", "up", "hard")):
        case "hard":
            os.link(outside, path)
            return path
        case "own":  # the reader's own link leads to theirs
            path.symlink_to(theirs)
            theirs.symlink_to(outside)
            os.lchown(theirs, STRANGER, STRANGER)
            return path
        case "folder" | "up" as kind:
            way.symlink_to(folder.parent if kind == "folder" else "..")
            os.lchown(way, STRANGER, STRANGER)
            return way / rng.choice(("", "./", "case/../")) / f"new{path.suffix}"
        case kind:
            path.symlink_to({"file": outside, "new": folder.parent / "new", "circle": path}[kind])
            os.lchown(path, STRANGER, STRANGER)
            return path


def config(rng: Random, folder: Path) -> Words:
    """A config file of the reader's that somebody else wrote."""
    (folder / "txexplain").mkdir()
    part = rng.choice(("[", "a.", "x = 1\n", 'theme = "', "# ", "[a]\n", "k = [", "[[a]]\n", "a = {"))
    (folder / "txexplain" / "config.toml").write_text((part * 30_000_000)[: around(rng, 30_000_000)])
    return ["keys"]


KINDS: dict[str, Callable[[Random, Path], Words]] = {
    each.__name__: each for each in (checkpoint, trace, tokenizer, reading, header, lesson, planted, config)
}


def run(words: Words, folder: Path) -> tuple[int, str, float]:
    """A command in a child of this process, which has the program loaded: how it ended, what it said on stderr, and its seconds."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.environ |= {"XDG_CACHE_HOME": os.devnull, "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
            os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
            for number, name in enumerate(("in", "out", "err")):
                os.dup2(os.open(folder / f".{name}", os.O_RDWR | os.O_CREAT), number)
            resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            from txexplain.cli import cli

            cli.main(words)
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), (folder / ".err").read_text("utf-8", "replace"), used.ru_utime + used.ru_stime


def fault_of(code: int, said: str, outside: Path) -> str:
    """What is wrong with an end, or nothing."""
    if outside.read_text() != CANARY or {path.name for path in outside.parent.iterdir()} - {"outside", "case"}:
        return "something outside was written"
    if code < 0:
        return f"{signal.Signals(-code).name} after {SECONDS} s" if -code == signal.SIGXCPU else signal.Signals(-code).name
    if code not in (0, 2) or "Traceback" in said:
        return f"exit code {code}"
    if "option" in said:
        return "the case itself is wrong"
    if code == 2 and (said.count("\n") != 1 or len(said) > LONGEST_SENTENCE or RAW.search(said.strip())):
        return "not one sentence"
    return ""


def case(seed: int, number: int, root: Path, kind: str | None = None) -> tuple[Words, int, str, float, str]:
    """One case: its command, how it ended, what it said, its seconds of the processor, and what is wrong."""
    rng = Random(f"bombs:{seed}:{number}")
    folder, outside = root / "case", root / "outside"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    outside.write_text(CANARY)
    words = KINDS[kind or sorted(KINDS)[number % len(KINDS)]](rng, folder)
    code, said, seconds = run(words, folder)
    return words, code, said, seconds, fault_of(code, said, outside)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.bombs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="the first case's number [0]")
    parser.add_argument("--count", type=int, default=200, help="cases [200]")
    parser.add_argument("--kind", choices=sorted(KINDS), help="one kind only")
    parser.add_argument("--tell", action="store_true", help="say how each case ended")
    args = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: a fork has no threads
    import txexplain.engine.model
    import txexplain.front.render
    import txexplain.models  # noqa: F401

    faults, ends = 0, {0: 0, 2: 0}
    with tempfile.TemporaryDirectory(prefix="bombs-") as name:
        for number in range(args.start, args.start + args.count):
            words, code, said, seconds, wrong = case(args.seed, number, Path(name), args.kind)
            ends[code] = ends.get(code, 0) + 1
            if wrong or args.tell:
                shown = " ".join(word if len(word) < 80 else word[:77] + "…" for word in words)
                sys.stdout.write(
                    f"{'FAULT: ' + wrong if wrong else code} case {number}, {seconds:.1f} s: {shown}\n    {said[-600:].strip()}\n"
                )
                sys.stdout.flush()
            faults += bool(wrong)
    sys.stdout.write(f"{args.count} cases: {ends.get(0)} opened, {ends.get(2)} refused, {faults} faults\n")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
