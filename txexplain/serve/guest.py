"""What a guest's process is: the app on a terminal of its own, with everything else taken away."""

from __future__ import annotations

import base64
import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from textual.binding import Binding, BindingType

import txexplain
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.reading import Reads
from txexplain.explorer.session.events import Led, Load
from txexplain.explorer.session.value import Session
from txexplain.explorer.state import ExplorerState
from txexplain.files import tell_system
from txexplain.front.medium import GLYPHS
from txexplain.front.options import UiOptions
from txexplain.serve.address import AddressError, query_of, state_of
from txexplain.serve.follow import FOLLOW, STILL
from txexplain.serve.wire import Lines, Message, packed
from txexplain.ui.app import ExplorerApp
from txexplain.ui.deeds import next_theme
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.palette import THEMES
from txexplain.viz.screen import paint_screen
from txexplain.viz.svg import svg

if TYPE_CHECKING:
    from txexplain.serve.zygote import Served

MEMORY = 600_000_000  # bytes of its own that a guest may take; the bundled model's longest prompt takes some 150 MB
HANDLES = 64
# Actions that reach the machine: its models, its disk, its shell. `screenshot` and `theme` are done otherwise.
CLOSED = {"models": "the lecturer's model is the one that is served", "suspend": "there is no shell here"}
ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "ESCDELAY": "25", "HOME": "/nonexistent"}
# What Python tells of before it does it (sys.audit), and a guest never does.
REFUSED = (
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.get", "subprocess.", "os.exec", "os.fork",
    "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link",
    "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.utime", "os.setxattr", "os.kill", "os.killpg", "os.ptrace", "shutil.",
    "tempfile.", "pty.", "mmap.",
)  # fmt: skip
READ = ("open", "os.listdir", "os.scandir", "ctypes.dlopen")  # where what they name lies within the program
SHARED = "Not in a class: {}."


class Terminal(NamedTuple):
    """The handles that a guest is given: its end of the terminal, and of the channel."""

    screen: int
    channel: int


def become(served: Served, asked: Message, terminal: Terminal) -> NoReturn:
    """From a fork of the warmed parent to a guest, and to its end."""
    code, channel = 1, socket.socket(fileno=terminal.channel)
    try:
        take(terminal.screen)
        os.environ.clear()
        os.environ.update(ENVIRONMENT)
        limit()
        close_doors()
        code = run(served, asked, channel)
    except BaseException as error:  # a fork must not go on in the parent's code, whatever happened
        with suppress(OSError):
            channel.sendall(packed({"crash": "".join(traceback.format_exception(error))}))
    finally:
        os._exit(code)


def take(screen: int) -> None:
    """Lead a session of its own on that terminal, which becomes standard input, output and error."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(screen, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(screen, number)
    os.close(screen)
    sys.stdin, sys.stdout, sys.stderr = (open(n, mode, closefd=False) for n, mode in enumerate(("r", "w", "w")))  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc, assignment]  # Textual's


def limit() -> None:
    """What the system itself holds a guest to: no file grows, few are open, no core is left, and memory has an end; where the machine's
    is used up, guests go before anything else."""
    import resource

    with suppress(OSError):
        tell_system(Path("/proc/self/oom_score_adj"), "1000")
    for what, most in (
        (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, HANDLES),
        (resource.RLIMIT_DATA, data_now() + MEMORY),
    ):  # fmt: skip
        resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def data_now() -> int:
    """Bytes of private data that this process maps at present (Linux tells)."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmData:")).split()[1])
    return MEMORY


def close_doors() -> None:
    """From here on Python refuses what a guest has no business with. What the app needs is imported; a hook can't be taken out again."""
    program = {Path(txexplain.__file__).parent, *map(Path, sys.path)}  # -P: without the folder in which the house was opened
    roots = tuple(f"{path.resolve()}/" for path in program)

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event in READ:
            path, *how = args
            if isinstance(path, int | None):
                return
            writes = event == "open" and (set(how[0] or "") & set("wax+") or how[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if writes or not f"{os.path.realpath(os.fsdecode(path))}/".startswith(roots):
                raise PermissionError(f"A guest can't open {os.fsdecode(path)}.")
        elif event.startswith(REFUSED):
            raise PermissionError(f"A guest can't do this: {event}.")

    sys.addaudithook(refuse)


def run(served: Served, asked: Message, channel: socket.socket) -> int:
    """The app, until the guest leaves it or is gone; the exit code."""
    try:
        state, wrong = state_of(asked["query"], served.name), ""
    except AddressError as error:
        state, wrong = state_of("", served.name), str(error)
    theme = asked["theme"] if asked["theme"] in THEMES else "dark"
    medium = None if asked["cell"] is None else ("iterm", tuple(asked["cell"]))  # pixels are a key away: cells are quicker for a class
    options = UiOptions(theme=theme, color="truecolor", picture=GLYPHS, medium=medium)
    reads = Reads(served.lesson, model=served.name) if served.lesson is not None else None
    app = GuestApp(state, options, served, channel, reads)
    app.wrong = wrong
    app.run()
    return app.return_code or 0


class GuestApp(ExplorerApp):
    """The app, for somebody who isn't at this machine."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(",".join(FOLLOW.keys), "do('follow')", FOLLOW.label, show=False)]
    place_led: Message | None

    def __init__(
        self, state: ExplorerState, options: UiOptions, served: Served, channel: socket.socket, reads: Reads | None = None
    ) -> None:
        super().__init__(state, options, lambda progress: served.model, reads)
        self.actions = tuple(each for each in self.actions if each.id not in CLOSED)
        self.served = served
        self.channel, self.told, self.wrong = channel, "", ""
        self.following, self.place_led = True, None
        self.told_answers: set[tuple[str, int]] = set()
        own = {"theme": self.change_theme, "screenshot": self.send_picture, "copy": self.copy_link, "follow": self.follow}
        self.deeds |= own
        self.sending = threading.Lock()

    def on_mount(self) -> None:
        super().on_mount()
        threading.Thread(target=self.hear, name="txexplain channel", daemon=True).start()
        if self.wrong:
            self.say(self.wrong)

    def hear(self) -> None:
        """What the house says to this guest; its end is the guest's."""
        lines = Lines()
        with suppress(OSError, ValueError, RuntimeError):
            while data := self.channel.recv(1 << 16):
                for message in lines.feed(data):
                    if "repaint" in message:
                        self.call_from_thread(self.repaint)
                    elif "lead" in message:
                        self.call_from_thread(self.led, message["lead"])
        os._exit(0)

    def tell(self, message: Message) -> None:
        with self.sending, suppress(OSError):
            self.channel.sendall(packed(message))

    def paint(self, width: int = 0, height: int = 0) -> None:
        super().paint(width, height)
        if (query := query_of(self.state)) != self.told:
            self.told = query
            self.tell({"at": query})
        lesson = self.session.reader.lesson
        for page, answer in self.session.reader.given.items() if lesson is not None else ():
            if lesson is not None and (lesson.name, page) not in self.told_answers:
                self.told_answers.add((lesson.name, page))
                self.tell({"answer": [lesson.name, page, answer]})

    # Following the lecturer

    def led(self, place: Message) -> None:
        """The lecturer is somewhere else now."""
        if self.place_led is None:
            self.actions = (*self.actions, FOLLOW)
        self.place_led = place
        if self.following:
            self.go_along()

    def go_along(self) -> None:
        """Show what the lecturer shows."""
        place = self.place_led
        if place is None:
            return
        lesson = next((each for each in (self.served.lesson, *shipped_lessons()) if each and each.name == place["lesson"]), None)
        state = None
        with suppress(AddressError):
            state = state_of(place["at"], self.served.name)
        self.happen(Led(state, lesson, place["page"]))

    def let_go(self) -> None:
        """From here on the guest looks around alone."""
        if self.following and self.place_led is not None:
            self.following = False
            self.say("You look around on your own now; F follows the lecturer again.")

    def follow(self) -> None:
        if self.place_led is None:
            self.say("Nobody leads this class.")
        elif self.following:
            self.let_go()
        else:
            self.following = True
            self.say("You follow the lecturer's screen.")
            self.go_along()

    def on_picture_pointed(self, message: Picture.Pointed) -> None:
        if message.kind == "click":
            self.let_go()
        super().on_picture_pointed(message)

    def show(self, before: Session) -> None:
        if self.session.pane == "prompt" != before.pane:
            self.let_go()
        super().show(before)

    def perform(self, name: str, shown: str = "") -> None:
        if name not in STILL and not (name in ("up", "down", "enter") and self.session.pane == "side"):  # those answer a question
            self.let_go()
        if name in CLOSED:
            self.say(SHARED.format(CLOSED[name]))
        else:
            super().perform(name, shown)

    def load_model(self, effect: Load) -> None:
        super().load_model(replace(effect, may_fetch=False))

    def change_theme(self) -> None:
        next_theme(self)

    def send_picture(self) -> None:
        picture = svg(paint_screen(self.scene(*self.size)))
        self.tell({"download": f"{self.state.location}.svg", "data": base64.b64encode(picture.encode()).decode()})

    def copy_link(self) -> None:
        self.tell({"copy": query_of(self.state)})
        self.say("The link to this view is in the clipboard, and in the address bar.")
