"""Where a guest is, as the end of a link: `?at=L3H5&prompt=Once+upon`. It says what a command line of this view says."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from txexplain.engine.sampling import check_settings
from txexplain.errors import ExplainError, InterventionError, LocationError, PromptError
from txexplain.explorer.state import FLOWS, ExplorerState, from_flags
from txexplain.text import shown

LARGEST_SEED = (1 << 64) - 1
LONGEST = 8_000  # characters; browsers and proxies take this much
CHANGES = ("ablate", "cut", "patch")
FLAGS = (
    *CHANGES, "at", "prompt", "ids", "seed", "flow", "temperature", "top-k", "top-p", "greedy", "from", "from-ids", "answer", "against",
)  # fmt: skip
SERVED = ("--model", "--revision", "--trace")  # what the house decides, not a link


class AddressError(ExplainError):
    """A link says something that can't be shown."""


def query_of(state: ExplorerState) -> str:
    """The end of the link that brings back this view; "" for the usual one, and where it would be too long."""
    pairs, flags = [], iter(state.arguments())
    for flag in flags:
        value = "1" if flag == "--greedy" else next(flags)
        if flag not in SERVED:
            pairs.append((flag.removeprefix("--"), value))
    query = urlencode(pairs, errors="replace")
    return query if len(query) <= LONGEST else ""


def state_of(query: str, model: str) -> ExplorerState:
    """The view that a link asks for, of the served model. Raises AddressError with a sentence for what can't be read."""
    if len(query) > LONGEST:
        raise AddressError(f"This link is longer than {LONGEST} characters.")
    pairs = [*known(parse_qsl(query, keep_blank_values=True))]
    given = dict(pairs)
    try:
        seed = int(given.get("seed", "0"))
        if not 0 <= seed <= LARGEST_SEED:
            raise ValueError
        warmth = float(given.get("temperature", "1"))
        top_k = int(given["top-k"]) if "top-k" in given else None
        top_p = float(given["top-p"]) if "top-p" in given else None
        check_settings(warmth, top_k, top_p)
        return from_flags(
            model=model,
            prompt=given.get("prompt"),
            ids=numbers(given.get("ids")),
            at=given.get("at"),
            temperature=warmth,
            top_k=top_k,
            top_p=top_p,
            greedy="greedy" in given,
            seed=seed,
            edits=[(f"--{name}", text) for name, text in pairs if name in CHANGES],
            other=given.get("from"),
            other_ids=numbers(given.get("from-ids")),
            answer=given.get("answer"),
            against=given.get("against"),
            flow=FLOWS[FLOWS.index(given.get("flow", FLOWS[0]))],
        )
    except (LocationError, PromptError, InterventionError) as error:
        raise AddressError(str(error)) from None
    except ValueError:
        raise AddressError(f"This link can't be read: {shown(query)}. Open the one that the lecturer gave.") from None


def numbers(text: str | None) -> list[int] | None:
    """Ids apart by commas. Raises ValueError."""
    return None if text is None else [int(each) for each in text.split(",")]


def known(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """What a link may say; other programs add words of their own to links, which mean nothing here."""
    return ((name, value) for name, value in pairs if name in FLAGS)
