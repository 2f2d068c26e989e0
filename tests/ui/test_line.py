"""How much may be on its way to a terminal: a line that counts bytes on a clock of its own, and the app behind one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyte
import pytest
from textual.pilot import Pilot

from tests.ui.harness import press
from tests.ui.recorder import Recorded, record
from tests.ui.test_wire import look
from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState
from txexplain.ui.terminal.line import DEAF, EVERY, FIRST, MOST, QUESTION, Line
from txexplain.ui.terminal.wire import BEGIN, END

SLOW = 9600.0  # bytes a second
STEP = 0.01  # seconds
SIZE = (100, 30)
PROMPT = "The little fox lost her red ball. She looked everywhere for her red"


class Far:
    """A terminal at the end of a line of some speed and length: it shows what it has read, and answers once it has read a question."""

    def __init__(self, speed: float, latency: float = 0.0, *, answers: bool = True) -> None:
        self.speed, self.latency, self.answers = speed, latency, answers
        self.now = self.credit = 0.0
        self.waiting = self.read = ""
        self.asked = 0
        self.coming: list[float] = []  # answers, by the time at which they arrive
        self.total = self.most = 0  # bytes: of all that was sent, and that were on their way at once
        self.line = Line(lambda: self.now)
        self.screen = pyte.Screen(*SIZE)
        self.stream = pyte.Stream(self.screen)

    def take(self, data: str) -> None:
        """What is sent; all of it is ASCII but signs that count as one byte here."""
        self.waiting += data
        self.total += len(data)
        self.most = max(self.most, len(self.waiting))

    def run(self) -> bool:
        """Let a moment pass; whether an answer came."""
        self.now += STEP
        self.credit = self.credit + self.speed * STEP if self.waiting else 0.0
        read, self.waiting = self.waiting[: int(self.credit)], self.waiting[int(self.credit) :]
        self.credit -= len(read)
        self.stream.feed(read)
        self.read += read
        asked = self.read.count(QUESTION)
        self.coming += [self.now + self.latency] * (asked - self.asked) * self.answers
        self.asked = asked
        came = [when for when in self.coming if when <= self.now]
        self.coming = self.coming[len(came) :]
        for _ in came:
            self.line.answered()
        return bool(came)

    def send(self, size: int) -> None:
        """An update of so many bytes, and a question behind it where one is due."""
        self.take("." * size)
        self.line.wrote(size)
        if self.line.due(waits=False):
            self.ask()

    def ask(self) -> None:
        self.take(QUESTION)
        self.line.ask()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.run()


def met(far: Far) -> Far:
    """Once the terminal has answered the first question."""
    far.ask()
    far.wait(far.latency + 2 * STEP)
    return far


@pytest.mark.parametrize("speed", [1200.0, SLOW, 30_000.0])
@pytest.mark.parametrize("latency", [0.0, 0.05, 0.3])
def test_a_slow_line_is_filled_for_a_moment_and_no_longer(speed: float, latency: float) -> None:
    far = met(Far(speed, latency))
    for _ in range(40):
        room = far.line.room()
        assert room is not None
        if room:
            far.send(room)
        far.wait(0.1)
    assert far.line.speed == pytest.approx(speed, rel=0.35)
    assert far.most <= max(0.5 * speed, FIRST) + 100
    assert far.total - len(far.waiting) >= 0.6 * speed * min(far.now, 4.0) / (1 + 2 * latency), "and it isn't left idle"


def test_a_line_that_is_long_and_fast_takes_whole_frames() -> None:
    far = met(Far(5e6, 0.2))
    far.send(FIRST)
    far.wait(0.3)
    for _ in range(8):
        room = far.line.room()
        assert room is not None
        assert room >= 30_000
        far.send(30_000)
        far.wait(0.3)
    assert far.line.room() == MOST


def test_where_nobody_answers_nothing_is_held_back_and_nobody_asked_again() -> None:
    far = met(Far(SLOW, answers=False))
    for _ in range(5):
        assert far.line.room() is None
        far.send(30_000)
    assert far.read.count(QUESTION) + far.waiting.count(QUESTION) == 1


def test_a_terminal_that_falls_silent_is_waited_for_ever_longer_and_then_no_more() -> None:
    far = met(Far(SLOW))
    far.answers = False
    waited = []
    while far.line.answers:
        far.send(EVERY)
        waited.append(far.line.patience())
        far.line.give_up()
        assert far.line.quiet.is_set()
    assert waited == [1.0, 2.0, 4.0]
    assert len(waited) == DEAF
    assert far.line.room() is None
    far.line.answered()  # it is back
    assert far.line.room() == FIRST


def test_an_answer_to_a_question_that_was_given_up_answers_no_other() -> None:
    far = met(Far(SLOW))
    far.send(EVERY)
    far.line.give_up()
    far.send(FIRST)
    taken = far.line.taken
    far.line.answered()  # the first question's
    assert far.line.taken == taken
    assert not far.line.quiet.is_set()
    far.line.answered()
    assert far.line.taken == far.line.sent
    assert far.line.quiet.is_set()


def test_little_updates_add_up_until_the_terminal_is_asked() -> None:
    far = met(Far(SLOW))
    questions = far.read.count(QUESTION)
    for _ in range(10):
        far.send(EVERY // 4)
    assert (far.read + far.waiting).count(QUESTION) == questions + 2


# The app


class Session:
    """An app whose driver writes to a far terminal."""

    def __init__(self, app: Recorded, far: Far) -> None:
        self.app, self.far, self.seen = app, far, len(app.written)
        self.driver: Any = app._driver
        far.stream.feed("".join(app.written))
        self.driver.line = far.line
        self.driver.wait = lambda: None  # the clock on the wall has no say here
        self.driver.ask()
        self.pump(0.1)

    def hand_over(self) -> None:
        for part in self.app.written[self.seen :]:
            self.far.take(part)
        self.seen = len(self.app.written)

    def pump(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.hand_over()
            if self.far.run():
                self.driver.go_on()
        self.hand_over()

    def settle(self) -> float:
        """Until nothing is on its way any more; how long that took."""
        began = self.far.now
        while self.far.waiting or self.driver.wire.wanted or not self.far.line.quiet.is_set():
            assert self.far.now - began < 100
            self.pump(STEP)
        return self.far.now - began

    def cells(self) -> list[list[tuple[object, ...]]]:
        return [[look(self.far.screen.buffer[y][x]) for x in range(SIZE[0])] for y in range(SIZE[1])]


def on_a_line(model: GPT2, speed: float, test: Callable[[Session, Pilot[None]], Any]) -> None:
    async def go(app: Recorded, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        await pilot.pause()
        session = Session(app, Far(speed))
        await test(session, pilot)
        session.settle()  # else the end would wait for answers

    record(go, model, ExplorerState(prompt=PROMPT), size=SIZE)


@pytest.mark.long
def test_ten_draws_send_little_more_than_the_last(storyteller: GPT2) -> None:
    async def test(session: Session, pilot: Pilot[None]) -> None:
        app, far = session.app, session.far
        app._sync_available = True
        before = far.total
        await press(app, pilot, "space")
        await pilot.pause()
        session.settle()
        frame = far.total - before
        assert frame > 6_000, "a draw changes much of the picture"

        before, far.most = far.total, 0
        for _ in range(10):
            await press(app, pilot, "space")
            await pilot.pause()
            session.pump(0.2)
        on_its_way = far.most
        settling = session.settle()
        assert far.total - before <= 10 * 0.2 * SLOW + 1.1 * frame, "what the line took meanwhile, and the last"
        assert settling <= 1.1 * frame / SLOW + 0.5, "within one frame of the last draw"
        assert on_its_way <= 0.7 * SLOW, "so q, as any key, is seen to act within a second"
        assert far.read.count(BEGIN) == far.read.count(END) > 3

        shown = session.cells()
        assert "14 tok" not in "\n".join(far.screen.display), "the last of the draws stands there"
        session.driver.line = Line()  # which holds nothing back
        app.action_do("repaint")
        await pilot.pause()
        session.hand_over()
        far.speed = 1e9
        far.run()
        assert session.cells() == shown

    on_a_line(storyteller, SLOW, test)


def test_a_key_shows_while_a_picture_is_on_its_way(storyteller: GPT2) -> None:
    """The newest of each row is sent when its turn comes: a temperature that was set meanwhile comes with the picture, not behind it."""

    async def test(session: Session, pilot: Pilot[None]) -> None:
        app, far = session.app, session.far
        await press(app, pilot, "space")
        await press(app, pilot, "right_square_bracket", "right_square_bracket")
        await pilot.pause()
        before = far.total
        session.settle()
        assert "T 1.20" in "\n".join(far.screen.display)
        assert "T 1.10" not in far.read
        assert far.total - before <= 40_000

    on_a_line(storyteller, SLOW, test)


def test_the_end_drops_what_waits_and_waits_for_the_answer(storyteller: GPT2) -> None:
    """No picture is sent to a shell's screen, and no answer comes when the shell reads."""

    async def test(session: Session, pilot: Pilot[None]) -> None:
        app, far, driver = session.app, session.far, session.driver
        await press(app, pilot, "space")
        await pilot.pause()
        assert driver.wire.wanted
        assert not far.line.quiet.is_set()
        order: list[str] = []
        driver.line.quiet.wait = lambda seconds: order.append(f"waited {seconds:g}")
        driver.disable_input()
        assert order == ["waited 1"]
        assert not driver.wire.wanted
        sent = len(app.written)
        driver.go_on()
        app.action_do("repaint")
        await pilot.pause()
        assert QUESTION not in "".join(app.written[sent:])
        driver.closing = False
        session.hand_over()
        far.speed = 1e9

    on_a_line(storyteller, SLOW, test)
