"""The reader's own theme and keys: read, checked, and written only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.harness import COLOURS, ONCE, drive, pane_text, press, screen_text
from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS, GLYPHS, key_name, key_of, rebound
from txexplain.front.config import Config, ConfigError, config_path, read_config, remember_theme
from txexplain.front.options import UiOptions
from txexplain.ui.app import ExplorerApp
from txexplain.ui.help import HelpScreen
from txexplain.viz.palette import THEMES


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "txexplain" / "config.toml"


def put(home: Path, text: str | bytes) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_bytes(text.encode() if isinstance(text, str) else text)


def test_without_a_file_all_is_as_it_comes(home: Path) -> None:
    assert read_config() == Config(None, {})
    assert config_path() == home
    assert not home.parent.exists()


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_a_home_that_is_none_is_the_usual_one(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", value)
    assert config_path() == Path("~/.config/txexplain/config.toml").expanduser()


def test_theme_and_keys(home: Path) -> None:
    put(home, 'theme = "light"\nglyphs = "half"\n[keys]\ndraw = "d ["\nout = "ctrl+o"\natlas = "shift+up €"\n'.replace(" €", ""))
    config = read_config()
    assert (config.theme, config.glyphs) == ("light", "half")
    assert config.keys == {"draw": ("d", "left_square_bracket"), "out": ("ctrl+o",), "atlas": ("shift+up",)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("theme = light", "isn't TOML"),
        (b"theme = '\xff'", "isn't TOML"),
        ("theme = 'pink'", "theme is 'pink'; it is one of auto, dark, light, contrast"),
        ("theme = 3", "theme is 3; it is one of"),
        ("glyphs = 'sextants'", "glyphs is 'sextants'; it is one of edge, half, ascii"),
        ("glyphs = ['half']", "glyphs is ['half']; it is one of"),
        ("colour = 'red'", "colour is none of its settings"),
        ("keys = 3", "keys is a table"),
        ("[keys]\nfly = 'x'", "no action is called fly"),
        ("[keys]\ndraw = ''", "draw needs one key or several"),
        ("[keys]\ndraw = 3", "draw needs one key or several"),
        ("[keys]\ndraw = 'hyper+x'", "draw = hyper+x is no key"),
        ("[keys]\ndraw = 'ä'", "draw = ä is no key"),
        ("[keys]\ndraw = 'x'\nundo = 'y x'", "x is both draw and undo"),
        ("[keys]\n'\\u001b[31m' = 'x'", "no action is called"),
        ("a" + "[" * 3000, "isn't TOML"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_the_screen_is_taken(home: Path, text: str | bytes, says: str) -> None:
    put(home, text)
    with pytest.raises(ConfigError) as raised:
        read_config()
    message = str(raised.value)
    assert says in message
    assert str(home) in message
    assert message.isprintable()
    assert len(message) < 400
    done = CliRunner().invoke(cli, ["keys"])
    assert done.exit_code == 2
    assert done.stdout == ""


def test_a_folder_in_its_place_says_so(home: Path) -> None:
    home.mkdir(parents=True)
    with pytest.raises(ConfigError, match="can't be read"):
        read_config()


def test_a_theme_is_remembered_and_nothing_else_is_touched(home: Path) -> None:
    remember_theme("light")
    assert home.read_text() == 'theme = "light"\n'
    put(home, '# mine\ntheme="dark" # once\n\n[keys]\ndraw = "d"\n')
    remember_theme("contrast")
    assert home.read_text() == '# mine\ntheme = "contrast"\n\n[keys]\ndraw = "d"\n'
    assert read_config() == Config("contrast", {"draw": ("d",)})
    put(home, '[keys]\ndraw = "d"\n')
    remember_theme("light")
    assert read_config() == Config("light", {"draw": ("d",)})
    assert [path.name for path in home.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[keys]\ntheme = "x"\n', 'theme = "light"\n[keys]\ntheme = "x"\n'),  # a key of the action that is called theme
        ('"theme" = "dark"\n', 'theme = "light"\n'),
        ('theme = "dark"\r\n[keys]\r\ndraw = "d"\r\n', 'theme = "light"\r\n[keys]\r\ndraw = "d"\r\n'),
        ('\ufefftheme = "dark"\n', 'theme = "light"\n'),
    ],
)
def test_a_remembered_theme_takes_no_other_line_for_its_own(home: Path, before: str, after: str) -> None:
    put(home, before.encode())
    keys = read_config().keys
    remember_theme("light")
    assert home.read_bytes().decode() == after
    assert read_config() == Config("light", keys)


def test_a_file_that_is_a_link_stays_one(home: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles.toml").write_text('theme = "dark"\n', encoding="utf-8")
    home.parent.mkdir(parents=True)
    home.symlink_to(tmp_path / "dotfiles.toml")
    remember_theme("light")
    assert home.is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text(encoding="utf-8") == 'theme = "light"\n'


@given(
    st.dictionaries(
        st.sampled_from([action.id for action in ACTIONS]), st.lists(st.sampled_from("xyzXYZ"), min_size=1, max_size=2, unique=True)
    )
)
def test_a_key_does_one_thing_wherever_it_is_put(asked: dict[str, list[str]]) -> None:
    keys, used = {}, set()
    for id, own in asked.items():
        if left := tuple(key for key in own if key not in used):
            keys[id] = left
            used |= set(left)
    actions = rebound(ACTIONS, keys)
    every = [key for action in actions for key in action.keys]
    assert len(every) == len(set(every))
    assert [action.id for action in actions] == [action.id for action in ACTIONS]
    assert all(action.keys == keys[action.id] for action in actions if action.id in keys)


def test_what_the_table_of_keys_shows_can_be_written() -> None:
    for action in ACTIONS:
        for key in action.keys:
            assert key_of(key_name(key)) == key
            assert key_of(key) == key
    assert key_of("ctrl+x") == "ctrl+x"
    assert {key_of(text) for text in ("", "é", "ctrl+", "f0", "f25", "xx")} == {None}
    assert len(set(GLYPHS.values())) == len(GLYPHS)


def test_own_keys_do_it_and_the_old_ones_do_not(storyteller: GPT2) -> None:
    """Also in the footer and in the help, and a key that was another action's is taken from it."""

    async def test(app: ExplorerApp, hand: object) -> None:
        await press(app, hand, "space")  # type: ignore[arg-type]
        assert len(app.state.ids or ()) in (0, 7)
        await press(app, hand, "d")  # type: ignore[arg-type]
        assert app.result is not None
        assert app.result.trace.n_tokens == 8
        assert str(app.state.location) == "model"
        await press(app, hand, "Z")  # type: ignore[arg-type]
        assert str(app.state.location) == "heads"
        footer = " ".join(pane_text(app, "footer"))
        assert "d draw" in footer
        assert "Z atlas" in footer
        await press(app, hand, "question_mark")  # type: ignore[arg-type]
        help_ = app.screen
        assert isinstance(help_, HelpScreen)
        page = help_.page(width=500).plain.splitlines()
        assert [line.split()[0] for line in page if line.endswith("Draw one token and append it")] == ["d"]
        assert not any("residual stream" in line and line.split()[0] == "d" for line in page)

    drive(test, storyteller, ExplorerState(prompt=ONCE), options=UiOptions(color="truecolor", keys={"draw": ("d",), "atlas": ("Z",)}))  # type: ignore[arg-type]


def test_the_theme_key_changes_every_cell_and_remembers(storyteller: GPT2, home: Path) -> None:
    async def test(app: ExplorerApp, hand: object) -> None:
        names = list(THEMES)
        for step in range(1, len(names) + 1):
            name = names[step % len(names)]
            await press(app, hand, "T")  # type: ignore[arg-type]
            assert read_config().theme == name
            ground = f"#{THEMES[name]['background']:06x}"
            strips = app.screen._compositor.render_strips()
            grounds = {
                segment.style.bgcolor.get_truecolor().hex
                for strip in strips[5:20]
                for segment in strip
                if segment.style and segment.style.bgcolor
            }
            assert ground in grounds
            assert all(f"#{THEMES[other]['background']:06x}" not in grounds for other in names if other != name)
            assert app.theme.startswith(f"txexplain-{name}-")

    drive(test, storyteller, options=COLOURS)  # type: ignore[arg-type]


def test_a_theme_that_cannot_be_remembered_still_changes(storyteller: GPT2, home: Path) -> None:
    home.parent.write_text("a file where the folder would be")

    async def test(app: ExplorerApp, hand: object) -> None:
        await press(app, hand, "T")  # type: ignore[arg-type]
        assert app.tones.theme == "light"
        assert any("can't be remembered" in line for line in screen_text(app))

    drive(test, storyteller)  # type: ignore[arg-type]


def test_the_list_of_keys_is_the_readers(home: Path) -> None:
    put(home, '[keys]\ndraw = "d"\n')
    lines = CliRunner().invoke(cli, ["keys"]).stdout.splitlines()
    assert {line.split()[0] for line in lines[1:-2]} == {action.id for action in ACTIONS}
    assert next(line for line in lines if line.startswith("draw ")).split()[1] == "d"
    assert next(line for line in lines if line.startswith("residual ")).split()[1] == "none"
    assert lines[-1] == f"{home} changes them."


def test_a_theme_of_auto_is_the_terminals_and_a_flag_counts_for_more_than_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the app is given: no theme, so that it follows the ground; or the flag's, whatever the file says."""
    wanted: list[str | None] = []
    monkeypatch.setenv("TEXTUAL_DRIVER", "elsewhere:Driver")  # so that no terminal is needed
    monkeypatch.setattr("txexplain.cli.start.elsewhere", lambda state, options, result, reads: wanted.append(options.theme))
    for text, flags in (("", []), ('theme = "auto"', []), ('theme = "light"', []), ('theme = "light"', ["--theme", "auto"])):
        put(home, text)
        CliRunner().invoke(cli, [*flags, "Once"])
    put(home, 'theme = "auto"')
    CliRunner().invoke(cli, ["--theme", "contrast", "Once"])
    assert wanted == [None, None, "light", None, "contrast"]
    remember_theme("light")
    assert home.read_text() == 'theme = "light"'
