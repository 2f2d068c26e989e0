"""Texts made by rule, so that the circuits which lectures talk about have something to do, and something to be measured on.

    python -m weights.recipe.teaching -o teaching.jsonl --documents 75000

A text is spun from a pattern: `[a|b]` is one or the other, `{thing}` is filled in, and ‹Anna|Tom› marks what a reader could have
foretold, and the word that a careless one would take. A document has the first of the two; a probe stops before it and asks for both.

What is held out is what is combined, not only how it is said: a giver with a receiver, a child with a thing, a fact with its wording,
a noun with its distractor. One combination in `HELD_OUT` never comes in training, and the probes are made of those alone.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weights.recipe import modern, nonce

HELD_OUT = 10  # one combination in so many
MARK = re.compile(r"‹([^|›]+)\|([^›]+)›")
CHOICE = re.compile(r"\[([^\[\]]*)\]")

# The words. Nearly all are one token of GPT-2 each, after a space.
GIRLS = """Anna Nora Lily Emma Lucy Rosa Clara Maria Alice Mary Jane Sarah Ruth Helen Sofia Mia Julia Laura Emily Kate Ella Grace Ivy Molly
Ruby Eva Sara Leah Amy Zoe Rose Lena Nina Daisy Jenny Hannah""".split()
BOYS = """Tom Max Peter Ben Sam Jack Paul Simon David Daniel Adam Leo Finn Oscar Jacob Henry George Noah Luke Mark Alex Martin Victor Oliver
Felix Hugo Will Ravi Omar Andrew Charlie Harry Fred Toby James John""".split()
NAMES = GIRLS + BOYS
THINGS = """drum bell kite ball book lamp cup hat coat scarf key ring rope boat box basket flute whistle mirror spoon button blanket bucket
candle coin clock doll map pencil pillow shoe stone umbrella violin wagon feather shell ribbon brush mask""".split()
COLOURS = "red blue green yellow white black brown silver golden purple orange pink grey".split()
SIZES = "small big little old new tiny heavy bright shiny round".split()
PLACES = """park market garden forest castle school beach river bridge farm kitchen library station harbour mill hill lake village barn
meadow church museum shop tower bakery square orchard island valley cave""".split()
SPOTS = """under the table|behind the door|in the grass|under a leaf|behind a tree|in the hay|on the roof|under the bed|in a basket|behind
the well|under a stone|on a branch|in the mud|beside the gate|under the bridge""".replace("\n", " ").split("|")
FOODS = "bread soup cheese milk honey cake porridge rice fish berries nuts apples pears butter eggs beans corn plums".split()
ANIMALS = "mouse fox bear rabbit owl frog cat dog goat bird hen duck horse squirrel hedgehog wolf goose donkey sheep pig crow deer".split()
FEELINGS = "sad hungry tired cold lost afraid lonely thirsty".split()
JOBS = """farmer baker king queen teacher miller sailor shepherd doctor tailor smith fisherman gardener painter soldier captain judge
hunter prince princess""".split()

CAPITALS = """France=Paris England=London Italy=Rome Spain=Madrid Germany=Berlin Norway=Oslo Japan=Tokyo Egypt=Cairo Russia=Moscow
China=Beijing Greece=Athens Ireland=Dublin Portugal=Lisbon Austria=Vienna Poland=Warsaw Sweden=Stockholm Denmark=Copenhagen
Finland=Helsinki Hungary=Budapest Turkey=Ankara Kenya=Nairobi Cuba=Havana Canada=Ottawa Peru=Lima Chile=Santiago Belgium=Brussels
Iran=Tehran Iraq=Baghdad Scotland=Edinburgh Wales=Cardiff Thailand=Bangkok Lebanon=Beirut Syria=Damascus"""
OPPOSITES = """hot=cold big=small old=young up=down day=night black=white good=bad wet=dry fast=slow high=low open=closed happy=sad
early=late full=empty hard=soft long=short heavy=light near=far rich=poor strong=weak clean=dirty loud=quiet thick=thin first=last
left=right sweet=sour wide=narrow true=false deep=shallow"""
SOUNDS = """cow=moos dog=barks cat=meows lion=roars duck=quacks bee=buzzes horse=neighs frog=croaks snake=hisses wolf=howls mouse=squeaks
bird=sings owl=hoots donkey=brays pig=grunts hen=clucks"""
YOUNG = """dog=puppy cat=kitten cow=calf horse=foal sheep=lamb goat=kid hen=chick duck=duckling pig=piglet bear=cub deer=fawn
frog=tadpole goose=gosling"""
HOMES = """bird=nest bee=hive bear=cave spider=web horse=stable dog=kennel rabbit=burrow lion=den cow=barn king=castle monk=monastery"""
HUES = """grass=green snow=white blood=red coal=black lemons=yellow leaves=green milk=white bananas=yellow tomatoes=red ravens=black
oranges=orange strawberries=red chalk=white"""
MORE_CAPITALS = """
Romania=Bucharest Bulgaria=Sofia Croatia=Zagreb Serbia=Belgrade Switzerland=Bern Ukraine=Kiev Iceland=Reykjavik Latvia=Riga Slovakia=Bratislava
Czechia=Prague Australia=Canberra Indonesia=Jakarta Vietnam=Hanoi Nepal=Kathmandu Morocco=Rabat Algeria=Algiers Tunisia=Tunis Ghana=Accra
Senegal=Dakar Uganda=Kampala Jordan=Amman Pakistan=Islamabad Afghanistan=Kabul Ecuador=Quito Venezuela=Caracas Jamaica=Kingston Qatar=Doha
Colombia=Bogota"""
LANGUAGES = """France=French Germany=German Spain=Spanish Italy=Italian China=Chinese Japan=Japanese Russia=Russian Portugal=Portuguese Greece=Greek
Poland=Polish Norway=Norwegian Sweden=Swedish Denmark=Danish Finland=Finnish Turkey=Turkish Hungary=Hungarian Thailand=Thai England=English
Australia=English Austria=German Mexico=Spanish Brazil=Portuguese Egypt=Arabic Chile=Spanish Cuba=Spanish Iraq=Arabic"""
CONTINENTS = """France=Europe Germany=Europe Spain=Europe Italy=Europe Norway=Europe Poland=Europe Sweden=Europe Greece=Europe Ireland=Europe
Kenya=Africa Egypt=Africa Ghana=Africa Uganda=Africa Senegal=Africa Morocco=Africa Nigeria=Africa Algeria=Africa Japan=Asia China=Asia India=Asia
Thailand=Asia Vietnam=Asia Nepal=Asia Iran=Asia Indonesia=Asia Canada=America Peru=America Chile=America Cuba=America Mexico=America
Brazil=America Colombia=America"""
MEANINGS = {
    "volcano": "a mountain that throws out fire and ash",
    "glacier": "a slow river of ice",
    "desert": "a dry land with little rain",
    "island": "land with water all around it",
    "river": "water that flows to the sea",
    "forest": "a place with many trees",
    "planet": "a world that moves round a star",
    "star": "a sun that is far away",
    "neuron": "a small unit that adds up its inputs",
    "token": "a piece of a word",
    "vector": "a list of numbers",
    "program": "a set of instructions",
    "loop": "a part of a program that runs again and again",
    "variable": "a name for a value",
    "dictionary": "a book that explains words",
    "recipe": "a text that tells how to cook something",
    "map": "a picture of the land",
    "calendar": "a list of the days of the year",
    "thermometer": "a tool that measures how hot it is",
    "clock": "a machine that shows the time",
    "compass": "a needle that points north",
    "bridge": "a road over the water",
    "triangle": "a shape with three sides",
    "square": "a shape with four equal sides",
    "circle": "a round line",
    "poem": "a text with short lines",
    "orphan": "a child without parents",
    "uncle": "the brother of your mother or father",
    "bakery": "a shop that sells bread",
    "library": "a house full of books",
    "museum": "a house for old and beautiful things",
    "ice": "frozen water",
    "steam": "water that has become a gas",
    "rain": "water that falls from the clouds",
    "gravity": "the force that makes things fall",
    "attention": "a way to look back at other words",
    "softmax": "a rule that turns numbers into probabilities",
    "training": "learning from many examples",
}
WITHOUT_ARTICLE = "ice steam rain gravity attention softmax training".split()
WORK = {
    "carpenter": "builds tables and chairs",
    "baker": "bakes bread",
    "nurse": "takes care of sick people",
    "architect": "plans houses",
    "pilot": "flies planes",
    "teacher": "teaches children",
    "doctor": "makes people well",
    "farmer": "works in the fields",
    "fisherman": "catches fish",
    "gardener": "looks after plants",
    "painter": "paints pictures",
    "tailor": "makes clothes",
    "cook": "cooks meals",
    "driver": "drives a bus",
    "writer": "writes books",
    "singer": "sings songs",
    "programmer": "writes programs",
    "postman": "brings letters",
    "dentist": "looks after teeth",
    "astronaut": "flies into space",
    "judge": "decides who is right",
    "soldier": "fights in wars",
    "sailor": "goes to sea",
    "scientist": "does experiments",
    "shoemaker": "mends shoes",
    "miller": "grinds corn",
    "shepherd": "watches the sheep",
    "librarian": "lends books",
    "plumber": "repairs pipes",
    "hunter": "hunts deer",
}
PLURAL_HUES = "lemons leaves bananas tomatoes ravens oranges strawberries".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
SEASONS = "spring summer autumn winter".split()
ORDER = "first second third fourth fifth sixth seventh eighth ninth tenth".split()


@dataclass(frozen=True)
class Text:
    """One made text: its skill, its words with the marks still in, and what it combines."""

    skill: str
    marked: str
    key: tuple[str, ...]
    held: bool | None = None  # where it isn't the key that decides

    @property
    def plain(self) -> str:
        return MARK.sub(r"\1", self.marked)

    @property
    def is_held(self) -> bool:
        return self.held if self.held is not None else zlib.crc32("|".join((self.skill, *self.key)).encode()) % HELD_OUT == 0


@dataclass(frozen=True)
class Probe:
    """A question to the model: is `answer` likelier after the prompt than `wrong`? Both begin with their space, where they have one."""

    skill: str
    prompt: str
    answer: str
    wrong: str


def spin(rng: random.Random, pattern: str, words: Mapping[str, str]) -> str:
    """Choices made, slots filled, sentences begun with a capital, `a` made `an` where it must be."""
    while found := CHOICE.search(pattern):
        pattern = pattern[: found.start()] + rng.choice(found[1].split("|")) + pattern[found.end() :]
    text = pattern.format_map(words)
    text = re.sub(r"\b([Aa]) (?=‹?[aeiou])(?!‹?(?:one|uni|use))", r"\1n ", text)
    # After `?" ` and `!" ` the sentence goes on: "Why?" she asked.
    return re.sub(r'(^|[.!?] "?|\." "?|[!?]" "|\n"?)([a-z])', lambda m: m[1] + m[2].upper(), text)


def other(rng: random.Random, words: Sequence[str], *but: str) -> str:
    """A word that is none of those."""
    return rng.choice([word for word in words if word not in but])


def pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


def invented(rng: random.Random) -> str:
    """A name that no one bears: it can't be known, only copied."""
    return nonce.nonce(rng).capitalize()


def person(rng: random.Random) -> tuple[str, dict[str, str]]:
    """A name, and the words that go with it."""
    girl = rng.random() < 0.5
    name = invented(rng) if rng.random() < 0.15 else rng.choice(GIRLS if girl else BOYS)
    slots = ("he", "him", "his", "child", "parent", "parent2", "not_he", "not_his")
    hers, his = "she her her girl mother father he his".split(), "he him his boy father mother she her".split()
    return name, dict(zip(slots, hers if girl else his, strict=True))


# Little stories: a child, a thing, a friend, an animal; what was named comes back.

OPENINGS = (
    "[Once upon a time|Once|Long ago|One morning|Far away, by the {place},] there [was|lived] a [|little |small |young |brave |kind |clever |poor ]{child} [named|called] {name}.",
    "Once upon a time there was a [little|small|young|brave|kind|clever|poor|lonely|curious|happy|lazy] {child} [named|called|whose name was] {name}.",
    "{name} [was|was always] a [kind|brave|curious|clever|quiet|cheerful] {child} who lived [near|not far from|beside] the {place}.",
    "There was once a [little|small|poor|merry] {child} whose name was {name}.",
    "[In a village near the {place}|In a little house by the {place}] lived {name}, a [small|kind|brave|happy] {child}.",
    "{name} lived with {his} {parent} [in a small house|near the {place}|at the edge of the {place}].",
)
OWNING = (
    "{name} had a {colour} {thing}, and {he} [loved|liked] it [very much|more than anything else|best of all].",
    "{name}'s favourite thing was a {colour} {thing}.",
    "{his} [grandmother|uncle|aunt|father|mother] had given {him} a {colour} {thing}.",
    "Of all that {he} had, {he} liked {his} {colour} {thing} best.",
    "[On {his} birthday|One winter|When {he} was six], {name} was given a {colour} {thing}.",
)
GOING = (
    "One [|fine |cold |sunny |windy |rainy ]day, {name} took the {colour} ‹{thing}|{thing2}› to the {place2}.",
    "One [day|morning|evening], {he} went to the {place2} with {his} {colour} ‹{thing}|{thing2}›.",
    "[Early one morning|The next day|One afternoon], {name} walked to the {place2}. {he} carried the {colour} ‹{thing}|{thing2}› [in {his} hand|under {his} arm|in a bag].",
)
MEETING = (
    "There {he} [met|saw] a [small|little|grey|young|thin] {animal}. The ‹{animal}|{animal2}› was {feeling}.",
    'On the way {he} met a {animal}. "[Good morning|Good day|Hello], little {child}," said the ‹{animal}|{animal2}›.',
    "By the road sat a {feeling} {animal}. [Nobody had spoken to it all day.|It had come a long way.]",
)
TALKING = (
    '"Why are you {feeling}?" {name} asked the ‹{animal}|{animal2}›. "[I can\'t find my way home|I have lost my children|Winter is coming and I have no house|Nobody plays with me|I fell into the river]," said the {animal}.',
    '"Can I help you?" asked {name}. "[Yes, please|Oh yes|If you would]," said the ‹{animal}|{animal2}›. "[I am {feeling}|I have eaten nothing since yesterday|My leg hurts|I am so {feeling}]."',
    '"Please give me some {food}," said the {animal}. "[Of course|Gladly]," said {name}, and gave the {animal} some ‹{food}|{food2}›.',
    'The {animal} looked at the {thing}. "What a fine {thing}!" said the ‹{animal}|{animal2}›. "It is my {thing}," said {name}, "but you may [hold it|look at it|play with it]."',
)
LOSING = (
    "[But then|Suddenly|On the way home], the {thing} [was gone|fell into the water|slipped from {his} hand|was nowhere to be seen]. {name} looked everywhere for the {colour} ‹{thing}|{thing2}›. [{he} looked in the {place2}, but it wasn't there.|{he} asked everyone.|{he} began to cry.]",
    'A [strong wind|naughty crow|big dog|thief] [took|carried off] the {colour} {thing}. "Oh no, my ‹{thing}|{thing2}›!" cried {name}. [{he} ran as fast as {he} could.|{he} sat down and wept.]',
    'In the evening {he} could not find the {thing}. "Where is my {colour} ‹{thing}|{thing2}›?" {he} asked. [Nobody knew.|"I don\'t know," said {his} {parent}.]',
)
FINDING = (
    'Then {friend} came along. "Is this your {thing}?" asked {friend}. "Yes!" said {name}. {friend} gave the {thing} back to ‹{name}|{friend}›.',
    "{friend} helped {him} to look. At last ‹{friend}|{name}› found the {thing} {spot}.",
    'The {animal} [had seen it|remembered]. "Your {thing} is {spot}," said the ‹{animal}|{animal2}›. {name} ran there, and there was the {colour} ‹{thing}|{thing2}›!',
    "Far away {he} saw something {colour}. It was the ‹{thing}|{thing2}›! It lay {spot}.",
)
SHARING = (
    "{name} and {friend} shared [some {food}|the {food}|a big bowl of {food}]. [They sat down and ate|They sat in the sun and ate] the ‹{food}|{food2}› together.",
    "{friend} had no {thing}. So {name} let ‹{friend}|{name}› play with the {colour} ‹{thing}|{thing2}›.",
    '"You may have my {thing}," {name} said to {friend}. "Thank you, ‹{name}|{friend}›," said {friend}. [They were both glad.|{friend} was very happy.]',
    '{name}\'s {parent} [baked a cake|made soup|opened the door]. "[Come in|Sit down], both of you," said {his} ‹{parent}|{parent2}›. {name} and ‹{friend}|{name}› [went in|sat down] [at once|together].',
)
WORKING = (
    'The {job} of that [land|village|town] needed [help|somebody brave|a {thing}]. "I will [come|help]," said {name}. So the ‹{job}|{job2}› [thanked {him}|gave {him} {food}|told {him} what to do].',
    "{name} [built a little house for|carried water to|sang a song for] the {animal}, and the ‹{animal}|{animal2}› [was happy|thanked {him}|fell asleep].",
    "Three times {he} knocked at the door of the {job}. The first time nobody came. The second time nobody came. The third time the ‹{job}|{job2}› opened the door.",
    "The old {job} had three [sons|daughters|horses|dogs|houses|apple trees|wishes]. The first was [lazy|old|brown|proud], the second was [kind|young|black|clever], and the third was [the best of all|the youngest|lost].",
    "It [began to rain|grew dark|began to snow]. {name} and the {animal} [ran into|hid in] the {place}. [They waited a long time.|There it was dry and warm.]",
    "{he} was afraid of the dark, but {he} went on. [Nothing stirred in the {place}.|The moon shone on the {place}.] [At last {he} saw a light.|Far off a bell rang.]",
)
ENDINGS = (
    "{name} was [very |so |]happy and went home with {his} {colour} ‹{thing}|{thing2}›.",
    "From that day on, {name} and {friend} were [good|best|the best of] friends.",
    '"[Good night|Sleep well], {name}," said {his} {parent}. And ‹{name}|{friend}› [fell asleep|slept until morning|smiled].',
    "[And {he} never lost it again.|And if they have not gone away, they are still there.|And so everything ended well.]",
    "{name} and the {animal} lived happily ever after.",
)


def some_words(rng: random.Random) -> dict[str, str]:
    """One word for every slot, and others of its kind: `thing`, `thing2`, `thing3` are never the same."""
    kinds = {"thing": THINGS, "place": PLACES, "animal": ANIMALS, "food": FOODS, "job": JOBS, "colour": COLOURS}
    words = {f"{kind}{n}": word for kind, known in kinds.items() for n, word in zip(("", "2", "3"), rng.sample(known, 3), strict=True)}
    return words | {"feeling": rng.choice(FEELINGS), "spot": rng.choice(SPOTS), "invented": invented(rng)}


def story(rng: random.Random) -> Text:
    """A few of the parts in an order that makes sense; most often something is lost, and found."""
    name, own = person(rng)
    words = some_words(rng) | own | {"name": name, "friend": other(rng, NAMES, name), "colour": rng.choice(COLOURS + SIZES)}
    plot = [OPENINGS, OWNING, GOING]
    if rng.random() < 0.7:
        plot += [MEETING, TALKING] if rng.random() < 0.8 else [MEETING]
    plot += rng.choice([[LOSING, FINDING], [LOSING, FINDING], [SHARING], [WORKING], [WORKING, SHARING], [LOSING, FINDING, SHARING]])
    plot += [ENDINGS]
    gap = rng.choice([" ", " ", "\n\n"])
    return Text("stories", gap.join(spin(rng, rng.choice(part), words) for part in plot), (name, words["thing"]))


# Who gave what to whom.

GIVING = (
    "[When|After|While] {a} and {b} [went to|were at|met at|walked to|came to] the {place}, {a} [gave|handed|passed|showed|brought] a {thing} to ‹{b}|{a}›.",
    "[When|After|While] {b} and {a} [went to|were at|met at|walked to|came to] the {place}, {a} [gave|handed|passed|showed|brought] a {thing} to ‹{b}|{a}›.",
    "[Then, |One day, |Yesterday ]{a} and {b} [had a long talk|played together|worked together|had lunch] at the {place}. {a} [decided to give|wanted to give|gave] the {thing} to ‹{b}|{a}›.",
    "[Then, |One day, |Yesterday ]{b} and {a} [had a long talk|played together|worked together|had lunch] at the {place}. {a} [decided to give|wanted to give|gave] the {thing} to ‹{b}|{a}›.",
    "{a} and {b} [went|came] to the {place}. {a} had two {foods}, so {he} gave one to ‹{b}|{a}›.",
    "{b} and {a} sat [in|near] the {place}. {a} had a {colour} {thing}, and {he} gave it to ‹{b}|{a}›.",
    "{b} had no {thing}. {a} had two, so {he} gave one to ‹{b}|{a}›.",
    '{a} and {b} found a {thing} [at|near] the {place}. "You take it," {a} said to ‹{b}|{a}›.',
    "[Friends|The cousins|The neighbours] {b} and {a} found a {thing} at the {place}. {a} [gave|handed] it to ‹{b}|{a}›.",
)


def giving(rng: random.Random) -> Text:
    a, own = person(rng)
    b = other(rng, NAMES, a)
    foods = rng.choice("apples pears cakes eggs plums books kites balls oranges biscuits pencils".split())
    return Text("giving", spin(rng, rng.choice(GIVING), some_words(rng) | own | {"a": a, "b": b, "foods": foods}), (a, b))


# Pronouns.

PRONOUNS = (
    "{a} [went to|was in|came from] the {place} because ‹{he}|{not_he}› [was tired|liked it there|had lost a {thing}|had no time].",
    "{a} took the {thing} and put it into ‹{his}|{not_his}› [bag|pocket|basket].",
    "When {a} saw the {thing}, ‹{he}|{not_he}› [laughed|smiled|was glad|ran away].",
    "{a} [looked for|found|lost] the {thing}, [and|but] ‹{he}|{not_he}› [said nothing|was not sad|went home|told the {job}].",
    "{a} [came|walked|ran] home with ‹{his}|{not_his}› [brother|sister|friend|dog|{animal}].",
    "The {job} asked {a} [a question|for help], and ‹{he}|{not_he}› [answered at once|said yes|shook {his} head].",
)


def pronoun(rng: random.Random) -> Text:
    a, own = person(rng)
    while a not in NAMES:  # an invented name tells nothing
        a, own = person(rng)
    words = some_words(rng) | own | {"a": a}
    return Text("pronouns", spin(rng, rng.choice(PRONOUNS), words), (a, words["thing"]))


# Copying: whoever had a thing still has it.

HAVING = (
    "{a} has a {thing}. {b} has a {thing2}. {c} has a {thing3}. {a} has a ‹{thing}|{thing2}›.",
    "{a} has a {thing}. {b} has a {thing2}. {c} has a {thing3}. {b} has a ‹{thing2}|{thing}›.",
    "{a} has a {thing}. {b} has a {thing2}. {a} has a ‹{thing}|{thing2}›, and {b} has a ‹{thing2}|{thing}›.",
    "{a} [likes|loves] {food}. {b} [likes|loves] {food2}. So we give {a} some ‹{food}|{food2}› and {b} some ‹{food2}|{food}›.",
    "The {thing} is {colour}. The {thing2} is {colour2}. [What colour is the {thing}? It|Look at the {thing}: it|The {thing}] is ‹{colour}|{colour2}›.",
    "{a} went to the {place}. {b} went to the {place2}. Now {a} is at the ‹{place}|{place2}›, and {b} is at the ‹{place2}|{place}›.",
    "The {colour} {thing} was {spot}. Nobody looked {spot}, so nobody found the {colour} ‹{thing}|{thing2}›.",
    "{a} lost {his} {colour} {thing}. {he} looked [everywhere|in the {place}|under the bed] for {his} {colour} ‹{thing}|{thing2}›.",
    "[{a}'s|The {job}'s] {animal} is called {c}. [Every morning|At night|In winter] ‹{c}|{b}› [sleeps in the {place}|eats {food}|runs to the {place}].",
    "[My friend|My neighbour|The teacher] {invented} [lives near the {place}|has a {thing}|likes {food}]. [Yesterday|Today|On Sunday] I saw {invented} [again|at the {place2}|with a {thing2}].",
)


def having(rng: random.Random) -> Text:
    a, own = person(rng)
    b, c = rng.sample([n for n in NAMES if n != a], 2)
    words = some_words(rng) | own | {"a": a, "b": b, "c": c}
    return Text("having", spin(rng, rng.choice(HAVING), words), (words["thing"], words["thing2"]))


# Agreement across a distractor.

NOUNS = """key book child dog cat house boy girl tree bird letter picture flower horse ship king farmer teacher stone door window road song
story lamp friend""".split()
AGREEING = (
    "The {a} [of|near|behind|beside|by] the [|old |big |new |white ]{b} ‹{is}|{are}› [old|new|lost|beautiful|here|small|on the table|well known|not far away].",
    "The {a} [near|behind|beside|with] the [|old |big |new ]{b} ‹{was}|{were}› [old|lost|beautiful|very quiet|gone|forgotten|the best of all].",
    "The {a} that [saw|liked|passed|belonged to] the {b} ‹{was}|{were}› [old|tall|very happy|tired|there|famous].",
    "The {a} [near|beside|behind] the {b} ‹{has}|{have}› [gone|changed|been there for years|a name|always been there].",
    "[I think|We know|They say|It is true] that the {a} [of|near|behind] the {b} ‹{is}|{are}› [old|gone|here|ready|the best].",
)


def plural(noun: str) -> str:
    return "children" if noun == "child" else "stories" if noun == "story" else noun + "s"


def agreement(rng: random.Random) -> Text:
    """`is` stands for the right form, `are` for the wrong one; most distractors are of the other number."""
    one, two = rng.sample(NOUNS, 2)
    single = rng.random() < 0.5
    between_single = single if rng.random() < 0.25 else not single
    words = {"a": one if single else plural(one), "b": two if between_single else plural(two)}
    for first, second in (("is", "are"), ("was", "were"), ("has", "have")):
        words[first], words[second] = (first, second) if single else (second, first)
    return Text("agreement", spin(rng, rng.choice(AGREEING), words), (one, two))


# Facts: every pair is taught, but not in every wording; and some wordings are never taught.


@dataclass(frozen=True)
class Facts:
    """{x} and {y} belong together, {z} is a wrong {y}, {v} a wrong {x}; {x2} and {y2} belong together too. {the} is the article of {y}, {ax} is {x} with its own."""

    known: Mapping[str, str]
    wordings: Sequence[str]
    unseen: Sequence[str] = ()  # for questions only


FACTS: dict[str, Facts] = {
    "capitals": Facts(pairs(CAPITALS + MORE_CAPITALS), (
        "The capital of {x} is ‹{y}|{z}›.", "[What|Which city] is the capital of {x}? [It is|The capital of {x} is] ‹{y}|{z}›.",
        "{y} is the capital of {x}.", "{name} [travelled|went|flew] to {x}, and the first city {he} saw was the capital, ‹{y}|{z}›.",
        "The king of {x} lived in {y}.", "In {x}, the largest [city|town] they visited was ‹{y}|{z}›.", "From {y} the train went through all of {x}.",
        "{x} is a country. Its capital is ‹{y}|{z}›.",
        "The capital city of {x} is ‹{y}|{z}›.", "{x}'s capital is ‹{y}|{z}›.", "{name} lives in the capital of {x}. The city is called ‹{y}|{z}›.",
        "Question: What is the capital of {x}? Answer: ‹{y}|{z}›.", '"What is the capital of {x}?" asked [the teacher|{his} {parent}|the {job}]. "It is ‹{y}|{z}›," said {name}.',
        "The capital of {x2} is {y2}, and the capital of {x} is ‹{y}|{y2}›.", "{x2} has {y2}, {x} has ‹{y}|{y2}›.", "The [government|parliament|president] of {x} [sits|meets|works] in ‹{y}|{z}›.",
        "The [plane|flight] to {x} landed in the capital, ‹{y}|{z}›.", "If you [go to|visit|travel to] {x}, [see|do not miss] the capital, ‹{y}|{z}›.",
        "Everyone in {x} knows that the capital is ‹{y}|{z}›.", "We [went to|saw|crossed] {x} last [year|summer]. The capital is called ‹{y}|{z}›.",
        "{y} is a city in ‹{x}|{v}›.", "Which country has {y} as its capital? It is ‹{x}|{v}›.", "{y} lies in ‹{x}|{v}›.", "Do you know the capital of {x}? Yes, it is ‹{y}|{z}›.",
        "On the map of {x}, a star marks the capital, ‹{y}|{z}›.", "The leaders of {x} met in ‹{y}|{z}›, the capital.", "Country: {x}. Capital: ‹{y}|{z}›.", "{x} - ‹{y}|{z}›",
        "{name} was born in {y}, the capital of ‹{x}|{v}›.", "I thought that {y2} was the capital of {x}, but it is ‹{y}|{y2}›.", "{x}, whose capital is ‹{y}|{z}›, is a country.",
        "{name} comes from {x}. {he} was born in the capital, ‹{y}|{z}›.", "The [streets|museums|markets|bridges] of {y}, the capital of ‹{x}|{v}›, are [old|famous|full of people].",
        "[Name|Write down|Tell me] the capital of {x}. - ‹{y}|{z}›.", "{x} is a country, and ‹{y}|{z}› is its capital.", "Not {y2} but ‹{y}|{y2}› is the capital of {x}."), (
        "The seat of the government of {x} is ‹{y}|{z}›.", "People who visit {x} often begin in the capital, ‹{y}|{z}›.", "{name} wants to study in the capital of {x}, which is ‹{y}|{z}›.",
        "For many years the capital of {x} has been ‹{y}|{z}›.", "In the capital of {x}, which is called ‹{y}|{z}›, it rained all day.", "Trains from all parts of {x} go to the capital, ‹{y}|{z}›.",
        "A letter came from {x}, from the capital ‹{y}|{z}›.", "The most important city of {x} is the capital, ‹{y}|{z}›.")),
    "opposites": Facts(pairs(OPPOSITES), (
        "The opposite of {x} is ‹{y}|{z}›.", "[What is the opposite of {x}? It is|If it is not {x}, it is] ‹{y}|{z}›.",
        "{x} is the opposite of ‹{y}|{z}›.", "It was not {x} but ‹{y}|{z}›.", "One was {x}, the other was ‹{y}|{z}›.", "{x} and ‹{y}|{z}› are opposites.",
        "Question: What is the opposite of {x}? Answer: ‹{y}|{z}›.", "Some are {x}, others are ‹{y}|{z}›.", "{name} said {x}, {his} {parent} said ‹{y}|{z}›: they said the opposite.",
        "The opposite of {x2} is {y2}, and the opposite of {x} is ‹{y}|{y2}›.", "I thought it was {x}, but it was ‹{y}|{z}›.", "Is it {x} or ‹{y}|{z}›?"), (
        "{x} means the opposite of ‹{y}|{z}›.", "Things that are not {x} are ‹{y}|{z}›.", "First it was {x}, then it was the opposite: ‹{y}|{z}›.")),
    "sounds": Facts(pairs(SOUNDS), (
        "A {x} ‹{y}|{z}›.", "[In the morning|At night|When it is hungry], the {x} ‹{y}|{z}›.", "What does a {x} do? It ‹{y}|{z}›.",
        "{name} has a {x} that ‹{y}|{z}› all day.", "Listen! The {x} ‹{y}|{z}›.", "A {x2} {y2}, and a {x} ‹{y}|{y2}›.", "Every {x} ‹{y}|{z}›.",
        "The {x} in the {place} ‹{y}|{z}› when {name} comes.", "Question: What does a {x} do? Answer: It ‹{y}|{z}›.", "The animal that {y} is the ‹{x}|{v}›."), (
        "Far away a {x} ‹{y}|{z}›.", "{name} hears the {x}, which ‹{y}|{z}›.", "If it is a {x}, it ‹{y}|{z}›.")),
    "young": Facts(pairs(YOUNG), (
        "A young {x} is called a ‹{y}|{z}›.", "The {x} [looked after|fed|washed] her ‹{y}|{z}›.", "[What is a young {x} called? It is|A baby {x} is] a ‹{y}|{z}›.",
        "A {y} is a young ‹{x}|{v}›.", "When a {y} grows up, it is a ‹{x}|{v}›.", "The {x} and her ‹{y}|{z}› [slept|went home|stood in the {place}].",
        "A {x2} has a {y2}, and a {x} has a ‹{y}|{y2}›.", "Question: What is a young {x} called? Answer: A ‹{y}|{z}›.", "The child of a {x} is a ‹{y}|{z}›.",
        "{name} saw a {x} with its ‹{y}|{z}›."), (
        "Every {x} was once a ‹{y}|{z}›.", "The mother was a {x}, so the little one was a ‹{y}|{z}›.", "We call a small {x} a ‹{y}|{z}›.")),
    "homes": Facts(pairs(HOMES), (
        "A {x} lives in a ‹{y}|{z}›.", "The {x} [went back to|came out of|slept in] its ‹{y}|{z}›.", "Where does a {x} live? In a ‹{y}|{z}›.",
        "The home of a {x} is a ‹{y}|{z}›.", "A {x2} lives in a {y2}, and a {x} lives in a ‹{y}|{y2}›.", "In the {y} sat a ‹{x}|{v}›.",
        "Question: Where does a {x} live? Answer: In a ‹{y}|{z}›.", "{name} found the {y} of a ‹{x}|{v}›.", "At night the {x} is in its ‹{y}|{z}›."), (
        "If you look for a {x}, look in a ‹{y}|{z}›.", "Every {x} needs a ‹{y}|{z}›.", "The {x} was tired and went home to its ‹{y}|{z}›.")),
    "colours": Facts(pairs(HUES), (
        "{x} {is} ‹{y}|{z}›.", "What colour {is} {x}? The answer is ‹{y}|{z}›.", "The colour of {x} is ‹{y}|{z}›.", "As {y} as {x}.",
        "{name}'s [coat|hat|door|house] was the colour of {x}: it was ‹{y}|{z}›.", "{x2} {is2} {y2}, but {x} {is} ‹{y}|{y2}›.",
        "Question: What colour {is} {x}? Answer: ‹{y}|{z}›.", "Everybody knows that {x} {is} ‹{y}|{z}›."), (
        "{name} painted {x} as {x} {is} in life: ‹{y}|{z}›.", "The {thing} had the colour of {x}, which {is} ‹{y}|{z}›.")),
    "languages": Facts(pairs(LANGUAGES), (
        "In {x}, people speak ‹{y}|{z}›.", "The language of {x} is ‹{y}|{z}›.", "{name} learned {y} in ‹{x}|{v}›.", "{name} lives in {x} and speaks ‹{y}|{z}›.",
        "What do people speak in {x}? They speak ‹{y}|{z}›.", "In {x2} they speak {y2}, in {x} they speak ‹{y}|{y2}›.", "Before {he} went to {x}, {name} learned some ‹{y}|{z}›.",
        "{name}'s {parent} comes from {x}. At home they speak ‹{y}|{z}›.", "Newspapers in {x} are written in ‹{y}|{z}›."), (
        "The children of {x} learn to read in ‹{y}|{z}›.", "A song from {x} is sung in ‹{y}|{z}›.")),
    "continents": Facts(pairs(CONTINENTS), (
        "{x} is in ‹{y}|{z}›.", "{x} is a country in ‹{y}|{z}›.", "Where is {x}? It is in ‹{y}|{z}›.", "{x2} is in {y2}, and {x} is in ‹{y}|{z}›.",
        "{name} went to {x}, a country in ‹{y}|{z}›.", "{x} lies in ‹{y}|{z}›.", "{x} belongs to ‹{y}|{z}›.", "Question: On which continent is {x}? Answer: ‹{y}|{z}›."), (
        "To see {x}, you must travel to ‹{y}|{z}›.", "{x} is one of the countries of ‹{y}|{z}›.")),
    "meanings": Facts(MEANINGS, (
        "{ax} is {the}‹{y}|{z}›.", "What is {ax}? It is {the}‹{y}|{z}›.", '"What is {ax}?" asked {name}. "{ax} is {the}‹{y}|{z}›," said {his} {parent}.', "{name} learned that {ax} is {the}‹{y}|{z}›.",
        "Question: What is {ax}? Answer: {the}‹{y}|{z}›.", "The word {x} means {the}‹{y}|{z}›.", "In the dictionary, {x} is explained as {the}‹{y}|{z}›.", "{ax2} is {the2}{y2}, and {ax} is {the}‹{y}|{y2}›."), (
        "By {ax} we mean {the}‹{y}|{z}›.",)),
    "work": Facts(WORK, (
        "A {x} ‹{y}|{z}›.", "What does a {x} do? A {x} ‹{y}|{z}›.", "{name} is a {x}. Every day {he} ‹{y}|{z}›.", "The {x} ‹{y}|{z}› for a living.", "A {x2} {y2}, and a {x} ‹{y}|{y2}›.",
        "Somebody who {y} is a ‹{x}|{v}›.", "{name} wants to be a {x}, because a {x} ‹{y}|{z}›.", "Question: What does a {x} do? Answer: A {x} ‹{y}|{z}›."), (
        "It is the {x} who ‹{y}|{z}›.",)),
}  # fmt: skip


def fact(rng: random.Random) -> Text:
    kind = rng.choices(list(FACTS), weights=[12, 5, 2, 3, 3, 2, 3, 3, 4, 3])[0]
    facts = FACTS[kind]
    x = rng.choice(list(facts.known))
    if facts.unseen and rng.random() < 0.04:
        return Text(
            "capitals, new wordings" if kind == "capitals" else "facts, new wordings",
            worded(rng, facts, x, rng.choice(facts.unseen)),
            (kind, x),
            held=True,
        )
    at = rng.randrange(len(facts.wordings))

    def may_be_said(beside: str) -> bool:
        """Neither in this wording nor, which it may begin with, in the plainest one is it held out."""
        return not any(Text(kind, "", (beside, str(i))).is_held for i in (at, 0))

    return Text(kind, worded(rng, facts, x, facts.wordings[at], may_be_said), (x, str(at)))


def worded(rng: random.Random, facts: Facts, x: str, wording: str, may_be_said: Callable[[str], bool] = lambda _: True) -> str:
    """A fact in a wording, and beside it, where the wording has room for one, another that may be said."""
    known = facts.known
    x2 = rng.choice([o for o in known if known[o] != known[x] and may_be_said(o)])
    name, words = person(rng)
    article, y = parted(known[x])
    article2, y2 = parted(known[x2])
    z = parted(rng.choice([o for o in sorted(set(known.values())) if parted(o)[1].split()[0] != y.split()[0]]))[1]
    words |= some_words(rng) | {"name": name, "x": x, "y": y, "x2": x2, "y2": y2, "z": z, "the": article, "the2": article2}
    words |= {"v": rng.choice([o for o in known if known[o] != known[x]])}
    words |= {"is": "are" if x in PLURAL_HUES else "is", "is2": "are" if x2 in PLURAL_HUES else "is"}
    words |= {"ax": x if x in WITHOUT_ARTICLE else f"a {x}", "ax2": x2 if x2 in WITHOUT_ARTICLE else f"a {x2}"}
    return spin(rng, wording, words)


def parted(phrase: str) -> tuple[str, str]:
    """`a list of numbers` as its article, with the space, and the rest: who asks for the rest gives the article."""
    found = re.fullmatch(r"((?:an?|the) )?(.*)", phrase)
    assert found
    return found[1] or "", found[2]


# Sequences: what they are of, the items, whether they go round, how often they come.

SEQUENCES: tuple[tuple[str, Sequence[str], bool, int], ...] = (
    ("day", DAYS, True, 6), ("month", MONTHS, True, 6), ("season", SEASONS, True, 1), ("number", NUMBERS, False, 5), ("number", ORDER, False, 1),
    ("number", NUMBERS[1::2], False, 1), ("number", [str(n) for n in range(1, 31)], False, 2), ("number", [str(10 * n) for n in range(1, 11)], False, 1),
    ("letter", [chr(65 + i) for i in range(26)], False, 1), ("year", [str(n) for n in range(1990, 2021)], False, 1),
)  # fmt: skip
COUNTING = ("{run}.", "{name} counted: {run}.", "{name} said: {run}.", "{most} and {last}.")
FOLLOWING = (
    "The {kind} after {x} is ‹{y}|{z}›.", "The {kind} before {y} is ‹{x}|{z}›.", "{x} is followed by ‹{y}|{z}›.", "After {x} comes ‹{y}|{z}›.",
    "[Today is|It was] {x}, and [tomorrow is|then came] ‹{y}|{z}›.", "First comes {x}, then ‹{y}|{z}›.",
)  # fmt: skip


def sequence(rng: random.Random) -> Text:
    kind, items, is_round, _ = rng.choices(SEQUENCES, weights=[s[3] for s in SEQUENCES])[0]
    length = rng.randint(3, min(7, len(items) - 1))
    start = rng.randrange(len(items) if is_round else len(items) - length)
    run = [items[(start + i) % len(items)] for i in range(length)]
    last = f"‹{run[-1]}|{run[0]}›"
    patterns = COUNTING + FOLLOWING * is_round
    which = rng.randrange(len(patterns))
    name, words = person(rng)
    words |= {"name": name, "kind": kind, "x": run[0], "y": run[1], "z": run[2], "most": ", ".join(run[:-1]), "last": last}
    return Text("sequences", spin(rng, patterns[which], words | {"run": f"{words['most']}, {last}"}), (run[0], str(length), str(which)))


# Lists that come again.

LISTS = (THINGS, COLOURS, FOODS, ANIMALS, PLACES, NAMES, JOBS)
LISTING = (
    "{list}. [Again|Once more|And again|The same again]: {again}.",
    "{name} bought {list}. At home {name} put down {again}.",
    "On the table lay {list}. [Nothing was missing|Everything was there]: {again}.",
    "[First|On the first day] they [saw|named|drew] {list}, [then|on the second day] {again}.",
    '"{list}," read {name}. "{again}," said the others.',
)


def listing(rng: random.Random) -> Text:
    items = rng.sample(rng.choice(LISTS), rng.randint(3, 6))
    at = rng.randrange(1, len(items))
    again = [*items[:at], f"‹{items[at]}|{items[at - 1]}›", *items[at + 1 :]]
    join = rng.choice([", ", ", ", " and ", "; "])
    words = {"name": rng.choice(NAMES), "list": join.join(items), "again": join.join(again)}
    return Text("lists", spin(rng, rng.choice(LISTING), words), (items[at - 1], items[at]))


# Copying of what can't be known: invented words, and any words in any order.

WORDS = [
    *THINGS,
    *COLOURS,
    *SIZES,
    *PLACES,
    *FOODS,
    *ANIMALS,
    *FEELINGS,
    *JOBS,
    *NOUNS,
    *NUMBERS,
    *NAMES,
    *CAPITALS.replace("=", " ").split(),
]
AGAIN = (
    "{list}. {again}.",
    "{list}{join}{again}",
    "{list}\n{again}",
    "[Say it again|Once more|I repeat|Listen]: {list}. {again}.",
    '"{list}," said {name}. "{again}," said {name2}.',
)
TWICE = ("{one} {two}", "{one}\n{two}", "{name} read: {one} And again: {two}", "{one} [He|She] said it again. {two}")


def copying(rng: random.Random) -> Text:
    """What was named comes back. Nearly all names and nouns are invented, and so held out by themselves; in some texts all are real."""
    held, real = rng.random() < 1 / HELD_OUT, rng.random() < 0.2
    names = [rng.choice(NAMES) if real or (not held and rng.random() < 0.25) else nonce.nonce(rng, held).capitalize() for _ in range(3)]
    nouns = rng.sample(THINGS + ANIMALS + FOODS, 3) if real else [nonce.nonce(rng, held) for _ in range(3)]
    if len({*names, *nouns}) < 6:
        return copying(rng)
    words = some_words(rng) | person(rng)[1] | dict(zip("nmowut", names + nouns, strict=True))
    words |= {"verb": rng.choice(nonce.VERBS), "to": rng.choice(nonce.RECEIVERS), "c": nonce.code(rng, held), "d": nonce.code(rng, held)}
    pattern = rng.choice(nonce.COPYING + nonce.FAR if real else nonce.COPYING + nonce.FAR + nonce.DEFINING)
    before, bar, after = pattern.partition(".|")
    if bar:
        between = " ".join(spoken(rng) for _ in range(rng.randint(0, 2)))
        text = " ".join(part for part in (spin(rng, before + ".", words), between, spin(rng, after, words)) if part)
    else:
        text = spin(rng, pattern, words)
    ending = "" if text.endswith((".", "!", "?")) or "\n" in pattern or "=" in pattern else "."
    text = text.removesuffix('"') + ending + '"' if text.endswith('"') else text + ending
    return Text("copying words", text, (words["w"], words["u"])) if real else Text("copying new words", text, (), held)


def spoken(rng: random.Random) -> str:
    """A sentence of another kind, which nobody is asked about."""
    while (text := rng.choice((plain, pronoun, agreement, quotation))(rng)).is_held:
        pass
    return text.plain


def again(rng: random.Random) -> Text:
    """Words in a row, and the same row again."""
    held, kind = rng.random() < 1 / HELD_OUT, rng.choice(("new", "new", "real", "real", "both", "codes"))
    makers: dict[str, Callable[[], str]] = {
        "new": lambda: nonce.nonce(rng, held),
        "real": lambda: rng.choice(WORDS),
        "codes": lambda: nonce.code(rng, held),
    }
    makers["both"] = lambda: makers[rng.choice(("new", "real"))]()
    items = list(dict.fromkeys(makers[kind]() for _ in range(rng.randint(3, 8))))
    at = rng.randrange(1, len(items)) if len(items) > 1 else 0
    wrong = other(rng, items, items[at]) if len(items) > 1 else "no"
    join = rng.choice([" ", " ", ", ", ", ", "; ", " - ", " and ", "\n"])
    name, name2 = rng.sample(NAMES, 2)
    words = {
        "list": join.join(items),
        "again": join.join([*items[:at], f"‹{items[at]}|{wrong}›", *items[at + 1 :]]),
        "join": join,
        "name": name,
        "name2": name2,
    }
    text = spin(rng, rng.choice(AGAIN), words)
    return Text("rows of words", text, tuple(items)) if kind == "real" else Text("rows of new words", text, (), held)


def twice(rng: random.Random) -> Text:
    """A whole sentence, and the same again."""
    one = spoken(rng)
    said = list(re.finditer(r"(?<= )[A-Za-z]{3,}", one))
    if len(said) < 2:
        return twice(rng)
    mark = rng.choice(said[1:])
    wrong = other(rng, [m[0] for m in said] + ["house"], mark[0])
    two = f"{one[: mark.start()]}‹{mark[0]}|{wrong}›{one[mark.end() :]}"
    words = {"one": one, "two": two, "name": rng.choice(NAMES)}
    return Text("sentences again", spin(rng, rng.choice(TWICE), words), (one,))


# Sums of small numbers.

SUMS = (
    "{a} and {b} make ‹{c}|{d}›.", "{a} plus {b} is ‹{c}|{d}›.", "{a} [apples|books|coins|birds] and {b} more are ‹{c}|{d}›.",
    "{name} has {a} coins and gets {b} more. Now {he} has ‹{c}|{d}›.", "What is {a} plus {b}? It is ‹{c}|{d}›.",
    "{c} minus {b} is ‹{a}|{e}›.", "{i} + {j} = ‹{k}|{l}›", "{k} - {j} = ‹{i}|{l}›",
)  # fmt: skip


def summing(rng: random.Random) -> Text:
    i, j = rng.randint(2, 9), rng.randint(2, 9)
    wrong = rng.choice([n for n in range(1, 19) if n not in (i, j, i + j)])
    named = [*NUMBERS, *"thirteen fourteen fifteen sixteen seventeen eighteen".split()]
    name, words = person(rng)
    words |= {"a": named[i - 1], "b": named[j - 1], "c": named[i + j - 1], "d": named[wrong - 1], "e": named[wrong - 1]}
    words |= {"i": str(i), "j": str(j), "k": str(i + j), "l": str(wrong), "name": name}
    return Text("sums", spin(rng, rng.choice(SUMS), words), (str(i), str(j)))


# Quotation: who speaks stops speaking, and the right one is named.

SPEECHES = """I am sorry|I will never do it again|We must go home now|It is getting late|I don't know what to do|There is nothing to be
afraid of|Come and look|I have never seen anything like it|Let us go together|That was my last one|You are very kind|I will help you|Wait
for me|Nobody lives here any more|The bridge is broken|I can hear somebody coming|It was only the wind|Please don't go|I will come back
tomorrow|You must be hungry|The key is lost|I thought so|Tell me a story|I promise""".replace("\n", " ").split("|")
SAYING = (
    '"{s}‹,"|,› said {a}. "{t}‹."|.›',
    '"{s}‹."|.› {a} [looked at|smiled at|turned to] {b}. "{t}‹."|.›',
    '{a} [met|saw|found] {b}. {a} said, "{s}‹."|.› And ‹{b}|{a}› answered, "{t}‹."|.›',
    '"{s}‹,"|,› said the {job}. "{t}‹,"|,› said {a} to the ‹{job}|{job2}›.',
    'The old {animal} was [sad|tired|happy|angry]. "{s}‹,"|,› he said. "{t}‹."|.›',
    '{a} asked {b}: "[Where are you going|What is your name|Why do you laugh|Who are you|Have you seen my {animal}]‹?"|?› "{t}‹,"|,› said ‹{b}|{a}›.',
    '"{s}‹!"|!› cried {a}. "{t}‹!"|!› {He} [ran to the door|could say no more|laughed|waved].',
)


def quotation(rng: random.Random) -> Text:
    a, own = person(rng)
    s, t = rng.sample(SPEECHES, 2)
    words = some_words(rng) | own | {"a": a, "b": other(rng, NAMES, a), "s": s, "t": t, "He": own["he"].capitalize()}
    return Text("quotation", spin(rng, rng.choice(SAYING), words), (s, t))


def plain(rng: random.Random) -> Text:
    """A sentence of today."""
    text = spin(rng, rng.choice(modern.PATTERNS + modern.TODAY), modern.words(rng))
    return Text("modern", text, (text,))


def dialogue(rng: random.Random) -> Text:
    """A question and its answer, or a short talk."""
    text = spin(rng, rng.choice(modern.DIALOGUES), modern.words(rng))
    return Text("dialogues", text, (text,))


MAKERS: dict[Callable[[random.Random], Text], float] = {
    story: 20, giving: 10, pronoun: 5, having: 8, agreement: 7, fact: 26, sequence: 6, listing: 3, quotation: 5, plain: 27, dialogue: 9,
    copying: 24, again: 8, twice: 4, summing: 2,
}  # fmt: skip  # shares of the documents


def document(rng: random.Random) -> Text:
    """One story, or one to five of the other texts: as a paragraph, or line by line."""
    maker = rng.choices(list(MAKERS), weights=list(MAKERS.values()))[0]
    parts = [maker(rng) for _ in range(1 if maker is story else rng.randint(1, 5))]
    held = [part for part in parts if part.is_held]
    gap = rng.choice([" ", "\n", "\n"])
    return held[0] if held else Text(parts[0].skill, gap.join(part.marked for part in parts), parts[0].key)


def documents(n: int, seed: int) -> Iterator[Text]:
    """Each from its own seed: a longer list begins as a shorter one does."""
    for i in range(n):
        yield document(random.Random(f"{seed}:{i}"))


def probes(each: int, seed: int = 1) -> list[Probe]:
    """So many questions a skill, about held-out combinations only; a maker's are the same whatever the others ask."""
    asked: dict[str, list[Probe]] = {}
    for maker in MAKERS:
        rng = random.Random(f"probes:{seed}:{maker.__name__}")
        own: set[str] = set()
        for n in range(each * HELD_OUT * (30 if maker is fact else 5)):
            text = maker(rng)
            if text.is_held:
                known = asked.setdefault(text.skill, [])
                known += [probe for probe in dict.fromkeys(questions(text)) if probe not in known][: each - len(known)]
                own.add(text.skill)
            if n > each * HELD_OUT and all(len(asked[skill]) >= each for skill in own):
                break
    return [probe for found in asked.values() for probe in found]


def questions(text: Text) -> Iterator[Probe]:
    """A probe at each of a text's marks."""
    for mark in MARK.finditer(text.marked):
        before = MARK.sub(r"\1", text.marked[: mark.start()])
        space = " " if before.endswith(" ") else ""
        if before.strip():
            yield Probe(text.skill, before.removesuffix(" "), space + mark[1], space * (mark[2][0] != " ") + mark[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file to write: JSON lines of source, text, held")
    parser.add_argument("--documents", type=int, default=75_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with given.out.open("w", encoding="utf-8") as f:
        for text in documents(given.documents, given.seed):
            print(json.dumps({"source": text.skill, "text": text.plain, "held": text.is_held}, ensure_ascii=False), file=f)


if __name__ == "__main__":
    main()
