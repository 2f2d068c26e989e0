"""Makes the reference files that hold our tokenizer to transformers' (Rust `tokenizers`). Needs transformers; not part of the suite.

    python tests/golden/make_tokenizer.py       # tokenizer.json and the two folders in tokenizer/

GPT-2's vocab.json and merges.txt are derived from the ranks here: a token's merge is the pair that it is two pieces of, when BPE with
the ranks below its own has done all it can to the token's bytes.
"""

from __future__ import annotations

import base64
import json
import random
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2TokenizerFast

HERE = Path(__file__).parent
RANKS = HERE.parents[1] / "weights" / "gpt2.tiktoken"
TEXTS = [
    "Hello world",
    "Once upon a time there was a",
    " little",
    "",
    " ",
    "  ",
    "   x",
    "x   ",
    "\n",
    "\n\nThe cat\n  sat\t\ton\r\nthe \n mat  \n",
    " \n \n",
    "a\n b",
    "don't you'll I've we're he'd I'm it's DON'T 'sup 's ''s !'s \n's",
    "x = [i**2 for i in range(10)]  # squares",
    "1234567890 3.14159 2,000 1st 2nd",
    '    if (a != b) { return "c"; }',
    "https://example.org/a?b=c&d=e#f",
    "naïve café Ångström ﬁ ½ ² Ⅷ",
    "Привет, мир! Γειά σου",
    "こんにちは世界、漢字とカタカナ。",
    "안녕하세요",
    "مرحبا שלום",
    "नमस्ते दुनिया ภาษาไทย",
    "👩‍👩‍👧 🇩🇪 👍🏽 ❤️ 😀😀",
    "e\u0301\u0301 \u0301 a\u200db \u202eabc\u202c",
    "a\u00a0b\u2003c\u3000d\u2028e\u0085f",
    "\x00\x1b[31m\x07\x7f\u0080\u009b",
    "\x1c\x1d\x1e\x1f x",
    "\ufeff\ufffd\u0378\ue000",
    "<|endoftext|>",
    "two<|endoftext|>texts <|endoftext|> apart",
    "[/] [red] [@click=app.quit]x[/]",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "----------------------------------------------------------------------=====",
    "                                                  end",
    "ÃÂÃÂÃÂÃÂ SolidGoldMagikarp rawdownloadcloneembedreportprint",
    "antidisestablishmentarianism floccinaucinihilipilification",
    "Data visualization empowers users to",
    "“Quotes” — and … dashes–‘here’",
    "\u1680\u180e\u2060x\u202fy",
]


def main() -> None:
    ranks = [base64.b64decode(line.split()[0]) for line in RANKS.read_bytes().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        write_gpt2(ranks, Path(folder))
        tokenizer = GPT2TokenizerFast.from_pretrained(folder)
        # typed <|endoftext|> is ordinary text with us: the special token is matched by neither
        plain = Tokenizer(models.BPE.from_file(f"{folder}/vocab.json", f"{folder}/merges.txt"))
        plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        cases = []
        for text in TEXTS:
            ids = plain.encode(text).ids
            assert "<|endoftext|>" in text or ids == tokenizer(text)["input_ids"], text
            cases.append({"text": text, "ids": ids})
    (HERE / "tokenizer.json").write_text(json.dumps(cases, ensure_ascii=True, indent=0) + "\n")
    write_small(HERE / "tokenizer" / "json", HERE / "tokenizer" / "merges")


def write_gpt2(ranks: list[bytes], folder: Path) -> None:
    """vocab.json and merges.txt of OpenAI's release, but for the file's order."""
    rank_of = {token: i for i, token in enumerate(ranks)}
    letter = bytes_to_letters()
    name = lambda token: "".join(letter[b] for b in token)  # noqa: E731
    merges = []
    for token in ranks[256:]:
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            _, i = min((rank_of.get(parts[i] + parts[i + 1], 10**9), i) for i in range(len(parts) - 1))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        merges.append(f"{name(parts[0])} {name(parts[1])}")
    vocab = {name(token): i for i, token in enumerate(ranks)} | {"<|endoftext|>": len(ranks)}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def write_small(json_folder: Path, merges_folder: Path) -> None:
    """A tokenizer of 900 tokens trained here, whose ids aren't in the order of its merges, with added tokens; and the same in the
    older files. Beside each what transformers makes of the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|endoftext|>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([Path(__file__).read_text(), *TEXTS], trainer)
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    numbers = list(range(len(vocab)))
    random.Random(0).shuffle(numbers)
    shuffled = {token: numbers[i] for token, i in vocab.items()}
    state["model"]["vocab"] = shuffled
    for added in state["added_tokens"]:
        added["id"] = shuffled[added["content"]]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([AddedToken("[SEP]", special=True)])
    fast = GPT2TokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>", unk_token="<|endoftext|>")
    texts = [text for text in TEXTS if "<|endoftext|>" not in text]
    cases = [{"text": text, "ids": fast(text)["input_ids"]} for text in texts]
    json_folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(json_folder)
    for path in json_folder.iterdir():
        if path.name != "tokenizer.json":
            path.unlink()
    merges_folder.mkdir(parents=True, exist_ok=True)
    tokenizer.model.save(str(merges_folder))
    (merges_folder / "added_tokens.json").write_text(json.dumps({"[SEP]": len(vocab)}) + "\n")
    for folder in (json_folder, merges_folder):
        (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=True, indent=0) + "\n")


def bytes_to_letters() -> dict[int, str]:
    """The byte alphabet as the `tokenizers` library has it: U+0100 on for the 68 bytes that aren't printable Latin-1."""
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or (b >= 0xA1 and b != 0xAD)]
    others = [b for b in range(256) if b not in printable]
    letters = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    assert set(letters.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    return letters


if __name__ == "__main__":
    main()
