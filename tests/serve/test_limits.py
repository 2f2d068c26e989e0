"""How much a guest may ask for."""

from __future__ import annotations

import pytest

from txexplain.serve import limits
from txexplain.serve.limits import SPARE, Bucket, Limits, Seats, turned_away


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(limits, "monotonic", lambda: now[0])
    return now


def test_a_bucket_gives_its_rate_in_the_long_run_and_no_more(clock: list[float]) -> None:
    bucket, taken = Bucket(10, 5), 0
    for _ in range(1000):
        taken += bucket.takes()
        clock[0] += 0.01
    assert 100 <= taken <= 106
    clock[0] += 1e6
    assert sum(bucket.takes() for _ in range(100)) == 5


def test_what_does_not_fit_is_not_counted(clock: list[float]) -> None:
    bucket = Bucket(1, 4)
    assert not bucket.takes(5)
    assert bucket.takes(4)


def test_seats_are_counted_by_address_and_in_all(clock: list[float]) -> None:
    seats = Seats(Limits(sessions=3, of_one=2))
    for address in ("a", "a", "b"):
        assert not seats.refusal(address)
        seats.take(address)
    assert "All 3 seats" in seats.refusal("c")
    seats.leave("b")
    assert "seats for your address" in seats.refusal("a")
    assert not seats.refusal("c")


def test_a_rush_at_the_door_waits(clock: list[float]) -> None:
    seats = Seats(Limits(connects=2))
    assert [bool(seats.refusal("a")) for _ in range(8)] == [False] * 6 + [True] * 2
    clock[0] += 0.5
    assert not seats.refusal("a")


def test_connections_without_a_guest_are_bounded_by_address_and_in_all_and_the_eldest_go() -> None:
    limits = Limits(sessions=10, of_one=5)
    one, all = SPARE + 10, SPARE + 20
    assert turned_away([("a", i / 1000) for i in range(one)], limits, 1.0) == []
    flood = [("a", i / 1000) for i in range(one + 40)]
    assert sorted(turned_away([("b", 0.0), *flood], limits, 1.0)) == list(range(1, 41)), "the other address stays"
    many = [(str(i), i / 1000) for i in range(all + 7)]
    assert sorted(turned_away(many, limits, 1.0)) == list(range(7))


def test_a_connection_that_says_nothing_for_long_is_closed() -> None:
    limits = Limits()
    assert turned_away([("a", 0.0), ("b", 5.0)], limits, limits.silent + 1) == [0]
