"""Words that nobody bears, and the patterns that say them again, for teaching.py: what can't be known can only be copied.

A tenth of all such words, by their hash, never comes in training; the questions are made of those alone.
"""

from __future__ import annotations

import random
import zlib

HELD_OUT = 10  # one word in so many

ONSETS = """b b bl br c ch cl cr d dr f fl fr g gl gr h j k kl kn kr l m n p ph pl pr qu r s sc sh sk sl sm sn sp spl st str sw t th thr tr tw v
vl vr w wr y z zw""".split()
VOWELS = "a a a e e e i i i o o o u u ai ea ee oo ou y".split()
CODAS = """b ck d f ft g k l lb ld lf lk ll lm lp lt m mb mp n nd ng nk nt p pt r rb rd rf rg rk rl rm rn rp rsh rt rv s sh sk sp st t th v x z
zz""".split()
LINKS = "b bb d dd f g gg k kl l ld ll lm m mb mm mp n nd ng nn nt p r rb rd rf rg rl rm rn rr rt rv s sk ss st t tt v x z".split()
ENDINGS = "a al an ar bl do el en er et ey ia ic ik il in ing ish it ix le li lo mo na o ock on or os ot ow ty um us y".split()


def nonce(rng: random.Random, held: bool = False) -> str:
    """A word of one to three syllables, most often of two to four tokens; from the held-out ones or from the others."""
    while True:
        shape = rng.random()
        word = rng.choice(ONSETS) * (rng.random() < 0.93) + rng.choice(VOWELS)
        if shape < 0.3:
            word += rng.choice(CODAS)
        elif shape < 0.65:
            word += rng.choice(LINKS) + rng.choice(ENDINGS)
        elif shape < 0.85:
            word += rng.choice(LINKS) + rng.choice(VOWELS) + rng.choice(CODAS)
        else:
            word += rng.choice(LINKS) + rng.choice(VOWELS) + rng.choice(LINKS) + rng.choice(ENDINGS)
        if len(word) > 2 and is_held(word) == held:
            return word


def is_held(word: str) -> bool:
    """Whether a word belongs to those that training never has, however it is written."""
    return zlib.crc32(f"nonce|{word.lower()}".encode()) % HELD_OUT == 0


def code(rng: random.Random, held: bool = False) -> str:
    """A number plate, a file's name, a product: letters and digits."""
    while True:
        letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=rng.randint(1, 3)))
        found = rng.choice(["{l}{n}", "{l}-{n}", "{n}{l}", "{l} {n}", "{n}"]).format(l=letters, n=rng.randint(2, 9999))
        if is_held(found) == held:
            return found


# {n}, {m}, {o}: names. {w}, {u}, {t}: nouns. {verb}, {to}: the same wherever they come in one text. These hold for real words too …
COPYING = (
    "{n} {verb} {to} a {w}. {n} {verb} {to} a ‹{w}|{u}›",
    "{n} {verb} {to} a {w}. {m} {verb} {to} a {u}. {n} {verb} {to} a ‹{w}|{u}›",
    "{n} {verb} {to} a {w}. {m} {verb} {to} a {u}. {m} {verb} {to} a ‹{u}|{w}›",
    "{n} has a {w}. {m} has a {u}. {n} has a ‹{w}|{u}›, and {m} has a ‹{u}|{w}›",
    "{n} has a {w}. {m} has a {u}. {o} has a {t}. {m} has a ‹{u}|{t}›",
    "{n} likes {w}. {m} likes {u}. {n} likes ‹{w}|{u}›",
    "{n} likes {w}. {m} likes {u}. {m} likes ‹{u}|{w}›",
    "{n} said {w}. {m} said {u}. [What did {n} say?|So] {n} said ‹{w}|{u}›",
    "{n} and {m} came to the {place}. {n} had a {w}. {m} had none, so {n} gave the ‹{w}|{u}› to ‹{m}|{n}›",
    "There was once a {w} that lived near the {place}. One day the ‹{w}|{u}› met a {u}. \"Good day,\" said the ‹{w}|{place}› to the ‹{u}|{w}›",
    "There was once a [little|young|small|poor] {child} [named|called] {n}. [One day|One morning] ‹{n}|{m}› went to the {place}",
    "{n} was looking for a {w}. \"Have you seen my ‹{w}|{u}›?\" asked ‹{n}|{m}›. \"[No|Yes], {n},\" said {m}, \"the ‹{w}|{u}› is [not here|in the {place}]\"",
    "{thing}: {w}\n{thing2}: {u}\n{thing3}: {t}\n{thing2}: ‹{u}|{t}›",
    "{thing} = {w}\n{thing2} = {u}\n{thing} = ‹{w}|{u}›",
    "My name is {n}. [My friends call me|Please call me|You may call me] ‹{n}|{m}›",
    "[Doctor|Professor|Captain|Mr|Mrs|Miss] {n} [knocked|came in|waited|sat down]. \"You are late, [Doctor|Professor|Captain|Sir] ‹{n}|{m}›,\" said {m}. \"I am sorry, ‹{m}|{n}›,\" said ‹{n}|{m}›",
    "First put the {w} into the {u}. When the ‹{w}|{t}› is in the ‹{u}|{w}›, close the ‹{u}|{t}›",
    "The {w} is {colour}, the {u} is {colour2}. The ‹{colour}|{colour2}› one is the ‹{w}|{u}›",
    "{n} is taller than {m}. So {m} is [smaller|shorter] than ‹{n}|{m}›",
    "{n} is the [teacher|friend|neighbour|cousin] of {m}. {m} [visits|loves|looks like|wrote to] ‹{n}|{m}›",
    "The [code|number|password|ticket|room|file|order] is {c}. [Please enter|Please remember|Write down|Again, it is|It was] ‹{c}|{d}›",
    "{n} has [number|room|seat|ticket] {c}. {m} has [number|room|seat|ticket] {d}. {m} goes to ‹{d}|{c}›, and {n} goes to ‹{c}|{d}›",
    "Dear {n},\n[Thank you|Many thanks] for the {w}. [I have put|I put] the ‹{w}|{u}› [in the {place}|on the table]. [Yours|Greetings from|Love from], {m}",
    "{n}: Where is the {w}?\n{m}: The ‹{w}|{u}› is in the {place}.\n‹{n}|{m}›: Thank you, ‹{m}|{n}›",
)  # fmt: skip
# … and these would say what isn't so of real ones.
DEFINING = (
    "A {w} is a kind of {animal}. [In the {place}|Yesterday|In the night] we saw a ‹{w}|{u}›",
    "A {w} is a [small|large|heavy|useful] {thing}. {n} [uses|needs|wants|bought] a ‹{w}|{u}› [every day|for work|at home]",
    "In the language of {n}, a {thing} is called a {w}. \"Give me the ‹{w}|{u}›,\" [said the {job}|they say]",
    "The word for {thing} is {w}. The word for {thing2} is {u}. So {thing} is ‹{w}|{u}›, and {thing2} is ‹{u}|{w}›",
    "{thing} means {w}. {thing2} means {u}. {thing2} means ‹{u}|{w}›",
    "\"What is your name?\" asked the {job}. \"{n},\" [said|answered] the {child}. \"[Good morning|Come in|Sit down], ‹{n}|{m}›,\" said the {job}",
    "[This is|Here is|Here comes|Do you know] {n}. ‹{n}|{m}› [lives|works|was born] in {w}. [Everybody in|The people of|The streets of] ‹{w}|{u}› [know|like|remember] ‹{n}|{m}›",
    "{n} lives in {w}. {m} lives in {u}. [Last week|Yesterday], {n} [left|came back to|wrote from] ‹{w}|{u}›",
    "The village of {w} lies near the {place}. There are [two|three|many] houses in ‹{w}|{u}›",
    "The company {n} [makes|sells|repairs] {w}s. [Last year|This year] ‹{n}|{m}› [sold|made] [a hundred|a thousand|many] ‹{w}s|{u}s›",
    "[Install|Open|Start|Download] {n}. When ‹{n}|{m}› is [open|ready|installed], [press the button|choose a file|type your name]",
    "The program {n} reads a {w} and writes a {u}. If the ‹{w}|{u}› is missing, ‹{n}|{m}› stops",
    "{n} {w}ed the {thing}. Then {m} ‹{w}ed|{u}ed› it [too|again]",
    "We {w} every day. Today we ‹{w}|{u}›, and tomorrow we will ‹{w}|{u}› [again|too]",
    "Is it a {w} or a {u}? It is not a {u}, so it is a ‹{w}|{u}›",
    "All {w}s are {colour}. This is a ‹{w}|{u}›, so it is ‹{colour}|{colour2}›",
)  # fmt: skip
# After a text of these, one or two other sentences may stand before the last part, which begins at the bar.
FAR = (
    "A {w} stood in the {place}.|Nobody touched the ‹{w}|{u}›",
    "{n} came home late.|\"Where have you been, ‹{n}|{m}›?\" asked {m}",
    "The {w} belonged to {n}, the {u} to {m}.|\"Give me back my ‹{w}|{u}›,\" said ‹{n}|{m}›",
    "On Monday {n} lost a {w}.|On Friday {m} found the ‹{w}|{u}› and gave it to ‹{n}|{m}›",
    "{n} keeps a {w} and a {u}.|[At night|In winter], the ‹{w}|{n}› and the ‹{u}|{w}› sleep in the {place}",
    "[The teacher|The doctor|My aunt] is called {n}.|[We like|We asked|We thanked] ‹{n}|{m}›",
)  # fmt: skip
VERBS = "gave brought showed sent sold lent offered handed passed threw promised fetched".split()
RECEIVERS = "me us him her them".split()
