"""The words that stand on the screen, each in a plain sentence or two, and how one is recognised there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Word:
    """A word with the other names that it goes by, and what it means. seen: the pattern of it on a screen, where its names alone
    would be found in too much."""

    names: tuple[str, ...]
    meaning: str
    seen: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        names = "|".join(rf"(?<!\w){re.escape(name)}s?(?!\w)" for name in self.names)
        return re.compile(self.seen or names)


def word(*names: str, meaning: str, seen: str = "") -> Word:
    return Word(names, meaning, seen)


# In the order of a run: text in, blocks, next token out; then what changes a run, and how the program speaks of it.
WORDS: tuple[Word, ...] = (
    word(
        "token",
        "tok",
        meaning="A piece of text that the model reads as one: a word, a part of a word, or a sign. A space belongs to the token after "
        "it, and is shown as ␣ where it matters.",
    ),
    word(
        "id",
        meaning="A token's number in the vocabulary.",
        seen=r"(?<!\w)ids?(?!\w)",
    ),
    word(
        "vocabulary",
        meaning="All tokens that the model knows. It can say nothing else.",
    ),
    word(
        "merge",
        "BPE",
        "bytes",
        meaning="How text becomes tokens: it begins as single bytes, and pairs that were frequent in training are joined, the most "
        "frequent pair first (byte pair encoding).",
    ),
    word(
        "context",
        meaning="The tokens that the model can read at once; there is a most.",
    ),
    word(
        "prompt",
        meaning="The text that the model is to go on with.",
    ),
    word(
        "weight",
        "parameter",
        meaning="A number of the model itself, learned in training; it is the same for every prompt.",
    ),
    word(
        "activation",
        "act",
        meaning="A number that is computed for this prompt. Also: the function that bends a neuron's number, GELU here.",
    ),
    word(
        "element",
        "vector",
        meaning="A vector is a list of numbers that belongs to one token; an element is one of them.",
        seen=r"(?<!\w)(elements?|vectors?)(?!\w)",
    ),
    word(
        "d",
        "dh",
        meaning="How many numbers a token's vector has. dh: how many of them each head works with.",
        seen=r"(?<!\w)(dh|d \d+)(?!\w)",
    ),
    word(
        "norm",
        "‖v‖",
        "length",
        meaning="A vector's length: the root of the sum of its squared numbers. Lengths of parts don't add up to the length of the "
        "whole, since parts may point against each other.",
        seen=r"(?<!\w)(norms?|length)(?!\w)|‖",
    ),
    word(
        "embedding",
        "embed",
        "wte",
        meaning="The table (wte) with a vector for each token of the vocabulary: where a token becomes numbers.",
    ),
    word(
        "position",
        "pos",
        "wpe",
        meaning="The table (wpe) with a vector for each place in the text, which is added to the token's: so the order is known.",
    ),
    word(
        "cosine",
        meaning="How far two vectors point the same way: 1 the same, 0 at right angles, −1 opposite.",
    ),
    word(
        "residual stream",
        "residual",
        "stream",
        "resid_pre",
        "add",
        "add1",
        "add2",
        meaning="A token's vector on its way through the model. Every block reads it and adds to it; what is added may also take away.",
    ),
    word(
        "block",
        "L0",
        meaning="One of the model's equal steps, numbered from L0: attention, then the MLP, each added to the stream.",
        seen=r"(?<!\w)(blocks?|L\d+)(?!\w)",
    ),
    word(
        "attention",
        "attn",
        "attn_out",
        meaning="The part of a block that lets a token take something over from tokens before it.",
    ),
    word(
        "head",
        "L0H0",
        meaning="One of several small attentions in a block, each with its own idea of where to look. L5H1 is head 1 of block 5.",
        seen=r"(?<!\w)(heads?|L\d+H\d+|H\d+)(?!\w)",
    ),
    word(
        "query",
        "Q",
        "q",
        meaning="What a token looks for, as dh numbers of a head.",
        seen=r"(?<!\w)(query|queries|Q\d*)(?!\w)",
    ),
    word(
        "key",
        "K",
        "k",
        meaning="What a token can be found by, as dh numbers of a head.",
        seen=r"(?<!\w)(keys?|K\d*)(?!\w)",
    ),
    word(
        "value",
        "V",
        "v",
        meaning="What a token hands over when it is looked at, as dh numbers of a head.",
        seen=r"(?<!\w)(values?|V\d*)(?!\w)",
    ),
    word(
        "QKV",
        "qkv",
        "W_QKV",
        meaning="Query, key and value, which one matrix makes for all heads.",
    ),
    word(
        "score",
        "q·k",
        "qk",
        "attn_scores",
        meaning="How well a key fits a query: their numbers multiplied one by one and added up. Only differences within a row count.",
        seen=r"(?<!\w)(scores?|qk|q·k|q[×x*]k)(?!\w)",
    ),
    word(
        "scaled",
        meaning="Scores divided by the root of dh, so that they don't spread wider the more numbers a head has.",
    ),
    word(
        "masked",
        "mask",
        meaning="Scores of later tokens are taken away: nobody looks ahead.",
    ),
    word(
        "softmax",
        "pattern",
        meaning="Turns scores into shares: e to the power of each, divided by the sum of all. The shares add up to 1.",
    ),
    word(
        "share",
        meaning="A part of a whole: how much of a query's attention a key gets, or how likely a token is.",
    ),
    word(
        "z",
        meaning="A head's result for a token: each value times its share, added up.",
        seen=r"(?<!\w)z(?!\w)",
    ),
    word(
        "W_O",
        "proj",
        meaning="The matrix that mixes the results of a block's heads into what attention adds to the stream.",
    ),
    word(
        "LayerNorm",
        "LN",
        "ln1",
        "ln2",
        "ln_final",
        "final",
        meaning="Brings a vector to one scale: its mean is taken off, it is divided by its spread, then stretched and shifted. It "
        "stands before attention, before the MLP and at the end.",
    ),
    word(
        "variance",
        "scale",
        meaning="How far a vector's numbers lie apart; its root, with a little added, is what LayerNorm divides by.",
    ),
    word(
        "gain",
        "bias",
        meaning="Learned numbers: a gain is multiplied, a bias is added.",
    ),
    word(
        "MLP",
        "mlp",
        "fc",
        "W_fc",
        "W_proj",
        meaning="The part of a block that works on each token alone: up to many neurons, a bend, and back down.",
    ),
    word(
        "neuron",
        "pre",
        "post",
        meaning="One number in the middle of the MLP: it fires where the stream fits it, and then writes its own vector. pre and post: "
        "before and after the bend.",
    ),
    word(
        "GELU",
        "gelu_new",
        meaning="The bend: what is far below 0 becomes nearly 0, what is above passes.",
    ),
    word(
        "logit",
        "unembedding",
        meaning="A token's score to be next: the last vector times that token's row of the table. Only differences count.",
    ),
    word(
        "temperature",
        "T",
        meaning="T divides the logits before softmax: below 1 the likeliest tokens gain, above 1 the others do. At 0 the likeliest is "
        "always taken.",
        seen=r"(?<!\w)(temperature|T \d|÷ ?T|T)(?!\w)",
    ),
    word(
        "full",
        meaning="Sampling from all tokens; nothing is cut.",
    ),
    word(
        "top-k",
        meaning="Sampling from the k likeliest tokens alone.",
    ),
    word(
        "top-p",
        meaning="Sampling from the fewest likeliest tokens that reach p together.",
    ),
    word(
        "greedy",
        meaning="Always the likeliest token; nothing is left to chance.",
    ),
    word(
        "exp",
        "e^",
        meaning="e to the power of a number, after the largest was taken off, which changes no share.",
        seen=r"(?<!\w)exp(?!\w)|e\^",
    ),
    word(
        "cumul.",
        "cumulative",
        meaning="The shares from the likeliest token down to this one, added up.",
        seen=r"(?<!\w)cumul",
    ),
    word(
        "rank",
        meaning="A token's place among all, the likeliest first.",
    ),
    word(
        "probability",
        "candidate",
        "likeliest",
        meaning="How likely a token is to be drawn next. Candidates are the tokens that may be.",
    ),
    word(
        "others",
        meaning="All the tokens that the list has no room for, together.",
    ),
    word(
        "bit",
        "bits",
        "entropy",
        meaning="A measure of openness: how many yes-or-no questions it takes to learn which token comes. 0 bits: it is certain.",
    ),
    word(
        "perplexity",
        meaning="2 to the power of the bits: among how many equally likely tokens one seems to choose.",
    ),
    word(
        "surprisal",
        "expected",
        meaning="How unlikely a token was that is there already: −log₂ of its probability, in bits.",
    ),
    word(
        "seed",
        "u",
        meaning="The seed makes the numbers u between 0 and 1 that decide the draws. The same seed draws the same again.",
        seen=r"(?<!\w)(seed|u \d|u =)(?!\w)",
    ),
    word(
        "drawn",
        "draw",
        meaning="Picked by chance, each token as often as its share says.",
    ),
    word(
        "ribbon",
        "band",
        "flow",
        "rollout",
        "traced",
        meaning="A band of the model view: as wide as the share of a token's vector that came from another, by lengths of what moved "
        "(norms) or by attention alone (rollout).",
        seen=r"(?<!\w)(ribbons?|bands?|flow|rollout|traced)(?!\w)",
    ),
    word(
        "self",
        "prev",
        "previous",
        "first",
        "induction",
        meaning="What a head does on this prompt: its mean share to the token itself, to the one before, to the first, and to the one "
        "that followed an earlier copy (induction).",
        seen=r"(?<!\w)(self|prev|previous|induction|1st|ind)(?!\w)",
    ),
    word(
        "atlas",
        meaning="All heads of all blocks, each as a small picture.",
    ),
    word(
        "raises",
        "lowers",
        "moves",
        meaning="Which tokens become likelier, or less likely, by what is shown.",
    ),
    word(
        "A",
        "B",
        "A − B",
        meaning="Two tokens that are compared: A's logit less B's. Unless you choose others, the likeliest two.",
        seen=r"(?<!\w)(A ?[−-] ?B|A gains|B gains|to A|to B)(?!\w)",
    ),
    word(
        "direct",
        meaning="What a part gives to A − B straight through to the end, without what later parts make of it.",
    ),
    word(
        "lens",
        meaning="The logit lens: the stream after a block, read as if it were the last.",
    ),
    word(
        "effect",
        "switched off",
        meaning="By how much A − B changes when a part is switched off: set to its mean over other texts, or to 0.",
        seen=r"(?<!\w)(effects?|switched off|at mean|at zero)(?!\w)",
    ),
    word(
        "edge",
        "cut",
        meaning="One token's look at another, in one head. Cut, it passes nothing.",
        seen=r"(?<!\w)(edges?|cut)(?!\w)",
    ),
    word(
        "patch",
        "held",
        meaning="A part of this run, set to what it was in another one: the one that is held.",
        seen=r"(?<!\w)(patch\w*|held)(?!\w)",
    ),
    word(
        "run",
        "trace",
        "recorded",
        meaning="One pass of the model over a prompt. A trace is a run kept in a file; what it lacks is said not to be recorded.",
        seen=r"(?<!\w)(traces?|recorded)(?!\w)",
    ),
)


def words_in(text: str) -> tuple[Word, ...]:
    """The words of the glossary that stand in a text."""
    return tuple(each for each in WORDS if each.pattern.search(text))
