"""Half-precision weights that sessions share: the same numbers, made once, used only for the files that they were made from."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from tests.test_files import of_a_stranger
from txexplain.cli import cli
from txexplain.engine import checkpoint as engine_checkpoint
from txexplain.engine import memory, safetensors
from txexplain.engine.checkpoint import Checkpoint, open_checkpoint, read_layout, weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.safetensors import Stored
from txexplain.errors import CheckpointError
from txexplain.files import megabytes
from txexplain.models import bundled_path, report, widened
from txexplain.models.widened import open_shared

CONFIG = GPT2Config(vocab_size=70, n_positions=9, n_embd=8, n_layer=2, n_head=2, n_inner=12)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, which takes the smallest model, and files that were written just now."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(widened, "LEAST", 0)
    monkeypatch.setattr(widened, "SETTLED", -1)
    monkeypatch.setattr(widened, "DISK", 0)
    return tmp_path / "cache" / "txexplain" / "weights"


def weights(seed: int = 0, dtype: Any = np.float16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in weight_shapes(CONFIG, with_head=False).items()}


def write(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model", weights())


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*.safetensors")) if cache.exists() else []


def is_mapped(array: np.ndarray) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    return isinstance(base, np.memmap)


def same(checkpoint: Checkpoint, path: Path) -> None:
    """The numbers are those that the engine widens alone, to the bit, and can't be written to."""
    alone = open_checkpoint(path)
    assert list(checkpoint.tensors) == list(alone.tensors)
    for name, array in alone.tensors.items():
        assert checkpoint.tensors[name].tobytes() == array.tobytes(), name
        assert checkpoint.tensors[name].shape == array.shape
        assert not checkpoint.tensors[name].flags.writeable
    assert (checkpoint.config, checkpoint.files, checkpoint.dtype) == (alone.config, alone.files, alone.dtype)


def shared(path: Path) -> bool:
    """Whether a checkpoint's copy is mapped; its numbers are right either way."""
    checkpoint = open_shared(path)
    same(checkpoint, path)
    return all(is_mapped(array) for array in checkpoint.tensors.values())


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("not asked for")


def test_a_copy_is_made_once_and_then_mapped(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared(model)
    assert len(files(cache)) == 1
    assert stat.S_IMODE((cache / files(cache)[0]).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [path.name for path in cache.glob(".*.part")] == []
    monkeypatch.setattr(widened, "write", never)
    monkeypatch.setattr(Stored, "chunks", never)
    assert all(is_mapped(array) for array in open_shared(model).tensors.values())


def of_dtype(path: Path, dtype: str) -> None:
    """Say of a file's bytes that they are another kind of number of the same size."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = json.dumps({name: fields | {"dtype": dtype} for name, fields in header.items()}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_half_is_widened_exactly(tmp_path: Path, dtype: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(-1, 8)
    folder = write(tmp_path / "halves", weights() | {"wte.weight": every})
    (folder / "config.json").write_text(json.dumps(dataclasses.replace(CONFIG, vocab_size=len(every)).to_dict()))
    of_dtype(folder / "model.safetensors", dtype)
    assert shared(folder)


def test_float32_as_stored_is_mapped_itself(tmp_path: Path, cache: Path) -> None:
    assert shared(write(tmp_path / "whole", weights(dtype=np.float32)))
    assert files(cache) == []
    mixed = weights() | {"wte.weight": np.ones((70, 8), np.float32)}
    assert shared(write(tmp_path / "mixed", mixed))
    assert "wte.weight" not in safetensors.read_safetensors(cache / files(cache)[0])[0]


def rewrite(model: Path) -> None:
    write(model, weights(seed=1))


def touch(model: Path) -> None:
    os.utime(model / "model.safetensors", ns=(0, 0))


def other_names(model: Path) -> None:
    save_file({f"transformer.{name}": array for name, array in weights(seed=2).items()}, model / "model.safetensors")


@pytest.mark.parametrize("change", [rewrite, touch, other_names])
def test_another_file_in_the_same_place_gets_a_copy_of_its_own(model: Path, cache: Path, change: Callable[[Path], None]) -> None:
    assert shared(model)
    before = (cache / files(cache)[0]).stat().st_ino
    change(model)
    assert shared(model)
    assert len(files(cache)) == 1, "the old one's place is taken"
    assert (cache / files(cache)[0]).stat().st_ino != before


def cut_short(copy: Path) -> None:
    os.truncate(copy, copy.stat().st_size - 4)


def emptied(copy: Path) -> None:
    os.truncate(copy, 0)


def linked(copy: Path) -> None:
    shutil.move(copy, copy.with_suffix(".elsewhere"))
    copy.symlink_to(copy.with_suffix(".elsewhere"))


def open_to_all(copy: Path) -> None:
    copy.chmod(0o666)


def of_something_else(copy: Path) -> None:
    shutil.copy(bundled_path() / "model.safetensors", copy)
    copy.chmod(0o600)


@pytest.mark.parametrize("harm", [cut_short, emptied, linked, open_to_all, of_something_else])
def test_a_copy_that_is_not_whole_or_not_ones_own_is_made_again(model: Path, cache: Path, harm: Callable[[Path], None]) -> None:
    assert shared(model)
    copy = cache / files(cache)[0]
    harm(copy)
    assert shared(model)
    assert not copy.is_symlink()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_copy_of_another_user_is_not_used(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared(model)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not shared(model)


def no_folder(cache: Path, patch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file")


def others_may_write(cache: Path, patch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)


def full(cache: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(widened, "DISK", 1 << 60)


def full_meanwhile(cache: Path, patch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    patch.setattr(os, "fsync", fails)


def too_large(cache: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(widened, "MOST", 100)


def too_small(cache: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(widened, "LEAST", 1 << 30)


def no_home(cache: Path, patch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> Path:
        raise RuntimeError("no home")

    patch.delenv("XDG_CACHE_HOME")
    patch.setattr(Path, "expanduser", fails)


def just_written(cache: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(widened, "SETTLED", 1 << 62)


def being_made(cache: Path, patch: pytest.MonkeyPatch) -> None:
    import fcntl

    cache.mkdir(parents=True, mode=0o700)
    lock = (cache / ".lock").open("w")  # held as long as the test
    patch.setattr(widened, "kept_open", lock, raising=False)
    fcntl.flock(lock, fcntl.LOCK_EX)
    patch.setattr(widened, "PATIENCE", 0.0)


HINDRANCES = [no_folder, others_may_write, full, full_meanwhile, too_large, too_small, no_home, just_written, being_made]


@pytest.mark.parametrize("hinder", HINDRANCES)
def test_where_no_copy_can_be_made_the_weights_are_widened_alone(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, hinder: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    hinder(cache, monkeypatch)
    checkpoint = open_shared(model)
    assert not any(is_mapped(array) for array in checkpoint.tensors.values())
    same(checkpoint, model)
    left = [path.name for path in cache.iterdir()] if cache.is_dir() else []
    assert [name for name in left if name != ".lock"] == []


def test_the_cache_keeps_its_bound_and_lets_the_oldest_go(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [write(tmp_path / f"m{number}", weights(number)) for number in range(3)]
    monkeypatch.setattr(widened, "MOST", int(2.5 * read_layout(models[0]).copied_bytes))
    first, second = (widened.place_of(read_layout(each)) for each in models[:2])
    for each in models[:2]:
        assert shared(each)
    os.utime(first, (2000, 2000))
    os.utime(second, (1000, 1000))
    (cache / ".old.part").write_bytes(b"half")
    os.utime(cache / ".old.part", (1000, 1000))
    (cache / ".new.part").write_bytes(b"half")
    assert shared(models[2])
    assert files(cache) == sorted([first.name, widened.place_of(read_layout(models[2])).name])
    assert [path.name for path in cache.glob(".*.part")] == [".new.part"], "another session may be writing that"
    os.utime(first, (1000, 1000))
    assert shared(models[0])
    assert first.stat().st_mtime > 10_000, "a copy that is used is young"


def test_sessions_that_start_at_once_make_one_copy(model: Path, cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from txexplain.models import widened\n"
        "widened.LEAST, widened.SETTLED, widened.DISK = 0, -1, 0\n"
        "write = widened.write\n"
        "def counted(*a): print('made', flush=True); write(*a)\n"
        "widened.write = counted\n"
        "widened.open_shared(Path(sys.argv[1]))"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(model)], stdout=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert b"".join(said) == b"made\n"
    assert len(files(cache)) == 1


def test_the_bundled_model_is_shared(cache: Path) -> None:
    assert all(is_mapped(array) for array in open_shared(bundled_path()).tensors.values())
    assert len(files(cache)) == 1


# Headers alone


def test_info_reads_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of 50 GB that takes no room on the disk: whoever looked at its numbers would not come back."""
    config = dataclasses.replace(CONFIG, n_positions=1 << 24, n_embd=1536)
    shapes = weight_shapes(config, with_head=False)
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    folder = tmp_path / "sparse"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(folder / "model.safetensors", 8 + len(text) + at)
    monkeypatch.setattr(safetensors, "as_array", never)
    monkeypatch.setattr(widened, "write", never)
    found = report.info(str(folder))
    assert found["parameters"] == sum(int(np.prod(shape)) for shape in shapes.values())
    assert (found["dtype"], found["architecture"]["n_positions"]) == ("F16", 1 << 24)
    # Nor is a number read where so much memory isn't there.
    monkeypatch.setattr(engine_checkpoint, "free_memory", lambda: 3_000_000_000)
    with pytest.raises(CheckpointError) as caught:
        open_shared(folder)
    said = str(caught.value)
    assert "F16" in said
    assert f"{megabytes(4 * found['parameters'])} of memory" in said
    assert "3,000 MB are free" in said
    assert "at most 8,590 MB" in said
    assert str(folder) in said


def test_the_list_of_models_opens_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "map_safetensors", never)
    assert report.known_models()[0].bytes == (bundled_path() / "model.safetensors").stat().st_size


def test_a_lack_of_memory_is_said_in_one_sentence(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(engine_checkpoint, "free_memory", lambda: None)
    monkeypatch.setattr(Stored, "chunks", fails)
    with pytest.raises(CheckpointError, match="the system doesn't give that"):
        open_checkpoint(model)


def test_an_equal_head_is_found_a_few_numbers_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "AT_ONCE", 7)
    tensors = weights()
    folder = write(tmp_path / "m", tensors | {"lm_head.weight": tensors["wte.weight"].astype(np.float32)})
    assert "lm_head.weight" not in open_shared(folder).tensors
    other = tensors["wte.weight"].copy()
    other[-1, -1] += 1
    folder = write(tmp_path / "n", tensors | {"lm_head.weight": other})
    assert open_shared(folder).tensors["lm_head.weight"][-1, -1] == other[-1, -1]


def test_what_memory_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (groups / "user" / "me").mkdir(parents=True)
    monkeypatch.setattr(memory, "PROC", proc)
    monkeypatch.setattr(memory, "GROUPS", groups)
    assert memory.free_memory() is None
    (proc / "meminfo").write_text("MemTotal:       9000 kB\nMemAvailable:       6000 kB\nSwapFree:       1000 kB\n")
    assert memory.free_memory() == 7000 * 1024
    (proc / "self" / "cgroup").write_text("4:memory:/x\n0::/user/me\n")
    (groups / "user" / "me" / "memory.max").write_text("max\n")
    (groups / "user" / "memory.max").write_text("5000000\n")
    (groups / "user" / "memory.current").write_text("4000000\n")
    (groups / "user" / "memory.stat").write_text("anon 1\nactive_file 100\ninactive_file 20\n")
    assert memory.free_memory() == 1_000_120


# The commands


def test_the_cache_is_listed_and_cleared(model: Path, cache: Path) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["models", "cache", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert said() == f"{cache}: 0.0 MB, at most 8,590 MB are kept\n"
    assert shared(model)
    size = (cache / files(cache)[0]).stat().st_size
    assert said().splitlines()[1].split()[0] == str(model)
    assert json.loads(said("--json")) == {
        "schema": "txexplain-models-cache/1",
        "folder": str(cache),
        "bytes": size,
        "most": widened.MOST,
        "removed": False,
        "copies": [{"of": str(model), "file": files(cache)[0], "bytes": size}],
    }
    mapped = open_shared(model)
    assert said("--clear").endswith(" removed\n")
    assert files(cache) == []
    same(mapped, model)  # who has it open keeps it


@pytest.mark.skipif(os.name != "posix", reason="links that belong to somebody")
def test_a_link_of_another_user_has_no_file_removed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "mine.safetensors").write_bytes(b"precious")
    cache.parent.mkdir(parents=True)
    cache.symlink_to(mine)
    of_a_stranger(cache, monkeypatch)
    for arguments in (["--clear"], []):
        done = CliRunner().invoke(cli, ["models", "cache", *arguments])
        assert done.exit_code == 2
        assert "can't be looked at" in done.output
    assert (mine / "mine.safetensors").exists()


def test_verify_compares_the_copy_with_the_weights(model: Path, cache: Path) -> None:
    assert "shared copy" in dict(checks(model))
    copy = cache / files(cache)[0]
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.raises(CheckpointError, match="held other numbers than the weights"):
        dict(checks(model))
    assert not copy.exists()
    assert "shared copy" in dict(checks(model))


def checks(model: Path) -> list[tuple[str, str]]:
    return list(report.verify(str(model)))
