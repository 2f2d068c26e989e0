"""python -m tests.monkey: long walks, and a fault seen again."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time

from tests.monkey.walk import Fault, parsed, replay, shortened, told, walk
from tests.monkey.world import KINDS, World

SHORTENING = 300.0  # seconds that a fault's way may take to become shorter


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.monkey",
        description="Press random keys, click, paste and resize, and look at the app's promises after each step. "
        "A fault prints the shortest way to it that was found, as a --replay command.",
    )
    parser.add_argument("--steps", type=int, default=20_000, help="of each walk (default: 20000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all", help="what is walked in (default: one walk in each)")
    parser.add_argument("--replay", metavar="JSON", help="the start and the steps that a fault printed, or a file of them")
    parser.add_argument("--shorten", type=float, default=SHORTENING, metavar="SECONDS", help="that shortening a fault's way may take")
    args = parser.parse_args()
    faulthandler.enable()
    world = World()
    try:
        if args.replay:
            say(replay(world, *parsed(args.replay)).report())
        for kind in [] if args.replay else KINDS if args.kind == "all" else [args.kind]:
            say(f"{kind}: {args.steps} steps, seed {args.seed}")
            begun = time.monotonic()
            seen = walk(world, kind, args.steps, args.seed, tell=say)
            say(f"{seen.report()}\n{kind}: no fault in {args.steps} steps, {time.monotonic() - begun:.0f} s")
    except Fault as fault:
        import traceback

        say("".join(traceback.format_exception(fault.error)))
        say(told(fault, args.seed))
        if args.shorten and not args.replay:
            say(told(shortened(world, fault, args.shorten), args.seed))
        return 1
    except AssertionError as error:
        say(f"seed {args.seed}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
