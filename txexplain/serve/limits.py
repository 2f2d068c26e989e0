"""How much a guest may ask for: keys and bytes a second, sessions an address, and how many there are in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

SPARE = 50  # connections


@dataclass
class Bucket:
    """So much a second, and `burst` at once (a token bucket)."""

    rate: float
    burst: float

    def __post_init__(self) -> None:
        self.left, self.at = self.burst, monotonic()

    def takes(self, amount: float = 1.0) -> bool:
        """Whether so much may pass now; it is counted then."""
        now = monotonic()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if amount > self.left:
            return False
        self.left -= amount
        return True


@dataclass(frozen=True)
class Limits:
    """sessions: in all; of_one: of one address, where a school may stand behind a single one. idle: seconds without a key.
    back: seconds in which a page that is loaded anew finds its session. message: bytes."""

    sessions: int = 300
    of_one: int = 300
    idle: float = 1800.0
    back: float = 60.0
    message: int = 65_536
    connects: float = 20.0  # new sessions a second, of all
    keys: float = 200.0  # messages a second of one guest; a held key sends 30, a moving pointer 60
    bytes: float = 200_000.0
    silent: float = 30.0  # seconds that a connection may stay without a guest; a slow phone fetches the page meanwhile

    @property
    def crowd(self) -> int:
        """Connections without a guest, in all: a browser opens some for the page's parts."""
        return SPARE + 2 * self.sessions

    @property
    def crowd_of_one(self) -> int:
        return SPARE + 2 * self.of_one


def turned_away(waiting: Sequence[tuple[str, float]], limits: Limits, now: float) -> list[int]:
    """Which connections without a guest are closed, of (address, since when): those that are silent for long, and the eldest where too
    many stand there; who means to come in needs a moment only."""
    gone, of_one, kept = [], Counter[str](), 0
    for i in sorted(range(len(waiting)), key=lambda i: waiting[i][1], reverse=True):
        address, since = waiting[i]
        if now - since > limits.silent or of_one[address] >= limits.crowd_of_one or kept >= limits.crowd:
            gone.append(i)
        else:
            of_one[address] += 1
            kept += 1
    return gone


class Seats:
    """Who may come in."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.taken: Counter[str] = Counter()
        self.door = Bucket(limits.connects, 3 * limits.connects)

    def refusal(self, address: str) -> str:
        """Why nobody can come in from this address now; "" where somebody can."""
        if self.taken.total() >= self.limits.sessions:
            return f"All {self.limits.sessions} seats of this class are taken. Try again when somebody has left."
        if self.taken[address] >= self.limits.of_one:
            return f"All {self.limits.of_one} seats for your address are taken. Close another tab with this class first."
        if not self.door.takes():
            return "Very many come in at once. Wait a moment, then reload this page."
        return ""

    def take(self, address: str) -> None:
        self.taken[address] += 1

    def leave(self, address: str) -> None:
        self.taken[address] -= 1
        self.taken += Counter()  # without those that hold none
