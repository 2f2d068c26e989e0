"""Broken files at the product's doors: each is opened and right, or refused in one clear sentence; never anything else.

    python -m tests.fuzz checkpoints --runs 200000 --seed 1              # a long run; each fault is written to a file
    python -m tests.fuzz all --runs 200000 --seed 1 --minutes 3          # every target, three minutes each
    python -m tests.fuzz traces --runs 200000 --seed 1 --start 81000     # goes on where a run ended
    python -m tests.fuzz checkpoints --sweep                             # every base file cut at every byte, every bit of its head flipped
    python -m tests.fuzz --replay fuzz-found/checkpoints-0.json          # one case again, with its traceback

Execution I of seed N is always the same case. "Right" is what an independent reader says: the safetensors library, Python's json and
tomllib, a plain byte-pair encoder, a plain GPT-2 in float64. An execution has 2 s of processor time, and the process 1 GB beyond
what it began with.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.cases import Case, clear, from_json, to_json
from tests.fuzz.harness import Outcome, Target, execute
from tests.fuzz.targets import TARGETS, sweep

MOST_SECONDS = 2.0
MOST_MEMORY = 1 << 30
SHM = Path("/dev/shm")


class Tally:
    """What came of a run."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.stricter: Counter[str] = Counter()
        self.faults: dict[str, tuple[Case, Outcome]] = {}
        self.slowest = 0.0
        self.kept: dict[str, Case] = {}

    def add(self, case: Case, outcome: Outcome) -> None:
        self.kinds[outcome.kind] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        site = f"{outcome.kind} {outcome.site}"
        if outcome.kind == "refused":
            self.sites[outcome.site] += 1
            self.said.setdefault(outcome.site, outcome.sentence)
            self.stricter[outcome.site] += outcome.also
            if outcome.also and self.stricter[outcome.site] == 1:
                self.said[outcome.site] = outcome.sentence
        if outcome.is_fault:
            self.faults.setdefault(site, (case, outcome))
        if size(case) < size(self.kept.get(site)):
            self.kept[site] = case

    def __str__(self) -> str:
        return ", ".join(f"{self.kinds[kind]} {kind}" for kind in ("opened", "refused", "skipped", "fault"))


def size(case: Case | None) -> int:
    return 1 << 60 if case is None else len(json.dumps(to_json(case)))


def run(target: Target, root: Path, args: argparse.Namespace, out: Path) -> Tally:
    tally, began, told = Tally(), time.monotonic(), time.monotonic()
    number = args.start
    source = sweep(target) if args.sweep else None
    while source is not None or number < args.runs:
        if args.minutes and time.monotonic() - began > 60 * args.minutes:
            say(f"{target.name}: time is up; go on with --start {number}")
            break
        if source is None:
            case = target.make(Random(f"{target.name}:{args.seed}:{number}"))
        elif (case := next(source, None)) is None:  # type: ignore[assignment]
            break
        before = len(tally.faults)
        tally.add(case, execute(target, case, root, most=MOST_SECONDS, stricter=args.stricter))
        number += 1
        if len(tally.faults) > before:
            site, (_, outcome) = list(tally.faults.items())[-1]
            file = out / f"{target.name}-{len(tally.faults) - 1}.json"
            out.mkdir(exist_ok=True)
            file.write_text(json.dumps({"target": target.name, "fault": site, **to_json(case)}))
            say(f"FAULT {target.name} seed {args.seed} execution {number - 1}: {site}\n  {file}\n  {outcome.sentence[-700:]}")
        if time.monotonic() - told > 30:
            told = time.monotonic()
            say(f"{target.name}: {number} of {args.runs}, {tally}")
    seconds = time.monotonic() - began
    say(
        f"{target.name}: {number - args.start} executions in {seconds:.0f} s, {tally}, {len(tally.faults)} different; slowest {tally.slowest:.2f} s"
    )
    return tally


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def bound_memory() -> None:
    """A gigabyte beyond what the process has: who asks for more gets a MemoryError, which is a fault."""
    if sys.platform == "linux":
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=(*TARGETS, "all"), help="what to fuzz")
    parser.add_argument("--runs", type=int, default=200_000, help="executions, counted from 0 [200000]")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other cases [1]")
    parser.add_argument("--start", type=int, default=0, help="the first execution's number [0]")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long; it says how to go on [no limit]")
    parser.add_argument(
        "--sweep", action="store_true", help="instead of random changes: every base file cut at each byte, each bit of its head flipped"
    )
    parser.add_argument(
        "--stricter", action="store_true", help="also ask the independent reader about each refusal, and count where it would open"
    )
    parser.add_argument("--sites", action="store_true", help="print how often each refusal was reached, and one sentence of each")
    parser.add_argument(
        "--keep", metavar="FILE", help="add to this file the smallest case of each outcome that it lacks (tests/fuzz/corpus/TARGET.jsonl)"
    )
    parser.add_argument("--out", default="fuzz-found", help="the folder for faults [fuzz-found]")
    parser.add_argument("--replay", metavar="FILE", help="open one case that was written for a fault")
    args = parser.parse_args()
    warnings.simplefilter("error")
    found = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=SHM if SHM.is_dir() else None) as name:
        root = Path(name)
        root.chmod(0o755)
        if args.replay:
            told = json.loads(Path(args.replay).read_text())
            outcome = execute(TARGETS[told["target"]](), from_json(told), root)
            say(f"{outcome.kind} {outcome.site}\n{outcome.sentence}")
            return int(outcome.is_fault)
        if args.target is None:
            parser.error("name a target, or all")
        bound_memory()
        for each in TARGETS if args.target == "all" else (args.target,):
            tally = run(TARGETS[each](), root, args, Path(args.out))
            found += len(tally.faults)
            if args.sites:
                for site, times in tally.sites.most_common():
                    say(f"{times:7} {tally.stricter[site]:6} {site}\n                {tally.said[site]}")
            if args.keep:
                keep(Path(args.keep), tally)
        clear(root)
    return int(found > 0)


def keep(path: Path, tally: Tally) -> None:
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    have = {entry["outcome"] for entry in known}
    new = [
        {"outcome": site, **to_json(case)} for site, case in sorted(tally.kept.items()) if site not in have and not site.startswith("fault")
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in [*known, *new]))
    say(f"{path}: {len(new)} more cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
