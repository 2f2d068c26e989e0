"""The tensors of a pickle, as a safetensors file on standard output: a program of its own, for a Python that has PyTorch.

`python -I unpickle.py FILE...` unpickles with weights_only=True, which makes tensors and plain values and nothing else. It runs apart from
txexplain, so that a file which breaks that breaks no more than this process; whoever reads its output believes nothing of it.
Exit codes: 3 without a PyTorch that can do this, 4 for a file that holds something else, each with why on standard error.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

OLDEST = (2, 6)  # before it, weights_only=True could be made to run code (CVE-2025-32434)
STATES = ("model", "state_dict", "model_state_dict", "module", "net", "ema")  # under which names trainers keep the weights
SIZES = ("model_args", "config", "hparams", "hyper_parameters")  # and what they were made with
DTYPES = {"torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}
CHUNK = 1 << 24


def main(paths: list[str]) -> None:
    try:
        import torch
    except ImportError:
        end(3, "PyTorch isn't installed there")
    found = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if found < OLDEST:
        end(3, f"its PyTorch is {torch.__version__}, and weights_only=True holds from {OLDEST[0]}.{OLDEST[1]} on")
    tensors: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                zipped = file.read(2) == b"PK"
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        except Exception as error:
            end(4, why(error))
        tensors.update(state(loaded, torch.Tensor))
        sizes.update(plain(loaded))
    write(tensors, sizes, torch)


def why(error: Exception) -> str:
    """Why a pickle wasn't read; without PyTorch's advice, which is to let the file run what it likes."""
    if type(error).__name__ == "UnpicklingError":
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        return f"it asks for {named[1]}" if named else "it holds more than tensors and plain values"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def state(loaded: Any, kind: type) -> dict[str, Any]:
    """The weights among what was loaded: itself, or what lies under one of a trainer's names."""
    for each in (loaded, *(loaded.get(name) for name in STATES if isinstance(loaded, dict))):
        found = {name: value for name, value in each.items() if isinstance(value, kind)} if isinstance(each, dict) else {}
        if any(isinstance(name, str) and name.endswith("weight") for name in found):
            return found
    return end(4, "no tensors under names that end in weight")


def plain(loaded: Any) -> dict[str, Any]:
    """The sizes that a trainer keeps beside the weights."""
    kept = [loaded[name] for name in SIZES if isinstance(loaded, dict) and isinstance(loaded.get(name), dict)]
    return {key: value for each in reversed(kept) for key, value in each.items() if isinstance(value, (int, float, str))}


def write(tensors: dict[str, Any], sizes: dict[str, Any], torch: Any) -> None:
    """A safetensors file; a head that is the embedding under a second name is left out."""
    wte = {tensor.data_ptr() for name, tensor in tensors.items() if name.endswith("wte.weight")}
    header: dict[str, Any] = {"__metadata__": {"sizes": json.dumps(sizes)}}
    chosen = []
    at = 0
    for name, tensor in tensors.items():
        if str(tensor.dtype) in DTYPES and not (name.endswith("lm_head.weight") and tensor.data_ptr() in wte):
            size = tensor.numel() * tensor.element_size()
            if size > tensor.untyped_storage().nbytes():  # one number, said to be a matrix of any size
                end(4, f"{name} is larger than what is stored of it")
            header[name] = {"dtype": DTYPES[str(tensor.dtype)], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
            chosen.append(tensor)
            at += size
    text = json.dumps(header).encode("ascii")
    sys.stdout.buffer.write(len(text).to_bytes(8, "little") + text)
    for tensor in chosen:
        data = tensor.detach().contiguous().flatten().view(torch.uint8).numpy()
        for start in range(0, len(data), CHUNK):
            sys.stdout.buffer.write(data[start : start + CHUNK].tobytes())
    sys.stdout.buffer.flush()


def end(code: int, why: str) -> NoReturn:
    sys.stderr.write(why)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
