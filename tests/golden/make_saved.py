"""Writes tests/golden/saved: tiny GPT-2s as transformers 5 saves them, with their tokenizer, and what it makes of them itself.

python tests/golden/make_saved.py    (in a venv with torch, transformers and tokenizers)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

FOLDER = Path(__file__).parent / "saved"
TEXT = "Once upon a time there was a cat. The cat sat upon the mat, and the time was good; once there was a hat. Café, 日本!"
PROMPT = "Once upon a café there was a cat, 日本"


def main() -> None:
    assert transformers.__version__.startswith("5."), transformers.__version__
    shutil.rmtree(FOLDER, ignore_errors=True)
    learnt = ByteLevelBPETokenizer()
    learnt.train_from_iterator([TEXT] * 4, vocab_size=300, min_frequency=2, special_tokens=["<|endoftext|>"])
    work = FOLDER / "work"
    work.mkdir(parents=True)
    learnt.save_model(str(work))
    tokenizer = GPT2TokenizerFast(vocab=str(work / "vocab.json"), merges=str(work / "merges.txt"))
    shutil.rmtree(work)
    torch.manual_seed(0)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=2, n_head=2, initializer_range=0.4, bos_token_id=end, eos_token_id=end
    )
    model = GPT2LMHeadModel(config).eval()
    for name, size in (("one", "5GB"), ("sharded", "12KB")):
        model.save_pretrained(FOLDER / name, max_shard_size=size)
        tokenizer.save_pretrained(FOLDER / name)
    ids = tokenizer(PROMPT)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1].tolist()
    expected = {"prompt": PROMPT, "ids": ids, "logits": [round(x, 6) for x in logits], "transformers": transformers.__version__}
    (FOLDER / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


if __name__ == "__main__":
    main()
