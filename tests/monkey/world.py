"""What a walk walks in: models, recorded runs, and the states that an app begins from. Nothing in it goes to the network."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from txexplain.engine.config import GPT2Config
from txexplain.engine.cores import CORES
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.reference import reference
from txexplain.engine.trace import Trace
from txexplain.errors import ModelNotFound
from txexplain.explorer import edits
from txexplain.explorer.lesson import load as load_lesson
from txexplain.explorer.lesson import shipped
from txexplain.explorer.location import FACES, MEASURES, PLACES, STAGES, TILES
from txexplain.explorer.reading import Reads
from txexplain.explorer.runs import run
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.front.options import UiOptions
from txexplain.models import load_model
from txexplain.models.hub import Progress
from txexplain.models.report import Entry, local_entry
from txexplain.viz.palette import THEMES

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = {"tiny": GOLDEN / "parity" / "default", "one": GOLDEN / "saved" / "one"}  # without a tokenizer; with a vocabulary of 300
MODELS = ("storyteller", *FOLDERS)
TRACES = ("whole", "every", "tiny", "attention", "bare", "logits")
BROKEN = "owner/broken"  # a model of the list that can't be opened
KINDS = {
    "storyteller": ("storyteller", BROKEN),
    "tiny": ("tiny", BROKEN),
    "trace": (*MODELS, BROKEN),
    "switch": (*MODELS, BROKEN),
    "lessons": ("storyteller", "one", BROKEN),
    "changed": ("storyteller", "tiny", BROKEN),
}  # what each kind of walk finds in the list of models
PROMPTS = (
    "Once upon a time there was a", "a", "The cat sat on the mat. The cat", "x" * 40, "1 2 3 4 5 6 7 8 9 10", "Tom and Lily ran. Tom saw a",
    "é日本🙂 \t[red] and [/]", "\n\n  \n", "Lily had a red ball. " * 6,
)  # fmt: skip
SIZES = ((80, 24), (120, 36), (60, 16), (200, 60), (40, 10), (100, 30), (20, 5), (161, 41), (99, 50), (72, 18), (140, 24))
KEPT = 12  # fresh runs that are kept for the next look


@dataclass(frozen=True)
class Start:
    """What an app begins from; JSON keeps it."""

    kind: str = "storyteller"
    flags: dict[str, Any] = field(default_factory=dict)  # those of a command line
    size: tuple[int, int] = (120, 36)
    theme: str = "dark"
    color: str = "truecolor"
    ascii: bool = False
    animated: bool = False
    toasts: bool = False
    lesson: int | None = None  # of the shipped ones
    page: int = 1
    lecture: bool = False
    clock: bool = False

    @property
    def state(self) -> ExplorerState:
        return from_flags(**{name: tuple(value) if name == "ids" else value for name, value in self.flags.items()})

    @property
    def options(self) -> UiOptions:
        return UiOptions(theme=self.theme, ascii=self.ascii, color=self.color)

    @property
    def reads(self) -> Reads:
        lesson = None if self.lesson is None else load_lesson(str(shipped()[self.lesson]))
        return Reads(lesson, self.page, self.lecture, 0.02, self.clock)

    def to_dict(self) -> dict[str, Any]:
        """What differs from the usual."""
        usual = asdict(Start())
        return {name: value for name, value in asdict(self).items() if name == "kind" or value != usual[name]}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Start:
        return cls(**{**told, "size": tuple(told.get("size", (120, 36)))})

    def again(self, state: ExplorerState, size: tuple[int, int], theme: str) -> Start:
        """The app begun anew by the command line of a state."""
        return replace(self, flags=flags_of(state), size=size, theme=theme)


def flags_of(state: ExplorerState) -> dict[str, Any]:
    """The arguments of `from_flags` that a state's command line gives."""
    told: dict[str, Any] = {"model": state.model, "revision": state.revision, "trace": state.trace}
    told |= {"ids": state.ids, "prompt": None if state.ids is not None or state.trace is not None else state.prompt}
    told |= {"at": str(state.location), "seed": state.seed, "flow": state.flow, "temperature": state.temperature}
    told |= {"edits": read_back(state) or None, "other": state.other, "other_ids": state.other_ids}
    told |= {"answer": state.answer, "against": state.against, "tokenizer": state.tokenizer, "specials": state.specials}
    told |= {"top_k": state.k if state.mode == "top-k" else None, "top_p": state.p if state.mode == "top-p" else None}
    return {name: value for name, value in told.items() if value is not None}


def read_back(state: ExplorerState) -> list[tuple[str, str]]:
    """The changes as flags, each with its text."""
    flags = edits.flags_of(state.edits)
    return list(zip(flags[::2], flags[1::2], strict=True))


class World:
    """The models, loaded once; the traces, as files of the present folder; and runs of both that no app has touched."""

    def __init__(self) -> None:
        CORES.keep()
        self.models: dict[str, GPT2] = {}
        self.fresh: OrderedDict[tuple[Any, ...], Result] = OrderedDict()

    def model(self, name: str) -> GPT2:
        if name not in self.models:
            self.models[name] = load_model(str(FOLDERS.get(name, name)))
            if not self.models[name].tokenizer.has_no_text:
                reference(self.models[name])  # once, and not while a key waits
        return self.models[name]

    def record(self) -> None:
        """Write the traces, where they aren't yet."""
        if Path("logits").exists():
            return
        story, tiny = self.model("storyteller"), self.model("tiny")
        ids = story.prompt_ids(PROMPTS[0])
        whole, every, small = story.forward(ids), story.forward(ids, all_logits=True), tiny.forward([5, 17, 42, 3, 17, 42])
        assert whole is not None
        assert every is not None
        assert small is not None
        whole.save("whole")
        every.save("every")
        small.save("tiny")
        whole.save("attention", only=[name for name in whole.names if ".attn." in name])
        Trace(small.ids, {name: (small[name],) for name in small.names if "blocks.1" not in name}).save("bare")  # nor its config, nor names
        whole.save("logits", only=["logits"])

    def opened(self, state: ExplorerState) -> GPT2 | Result:
        """What a command line opens."""
        return self.model(state.model) if state.trace is None else Result(Trace.load(state.trace), None)

    def entries(self, kind: str) -> list[Entry]:
        """The list of models."""
        broken = Entry(BROKEN, "to download", 12, 34, None)
        return [broken if name == BROKEN else local_entry(name, "cached", self.model(name).checkpoint.folder) for name in KINDS[kind]]

    def open_model(self, name: str, progress: Progress) -> GPT2:
        """Opening another model takes a moment, and one can't be opened."""
        for part in range(8):
            progress(part, 8)
            time.sleep(0.002)
        if name == BROKEN:
            raise ModelNotFound(f"There is no model {name} here.")
        return self.model(name)

    def result(self, state: ExplorerState, ids: tuple[int, ...]) -> Result:
        """The run of some ids by itself; of a trace, the file read again."""
        asked = (state.edits, state.other, state.other_ids)
        key = (state.trace, state.model if state.trace is None else None, ids, asked)
        if key not in self.fresh:
            if state.trace is not None:
                self.fresh[key] = Result(Trace.load(state.trace), None)
            else:
                result = run(replace(state, ids=ids), self.model(state.model))
                assert result is not None
                self.fresh[key] = result
            while len(self.fresh) > KEPT:
                self.fresh.popitem(last=False)
        self.fresh.move_to_end(key)
        return self.fresh[key]


Pick = Callable[..., Any]


def picking(rng: np.random.Generator) -> Pick:
    """Picks one of several."""
    return lambda *choices: choices[int(rng.integers(len(choices)))]


def anywhere(rng: np.random.Generator, config: GPT2Config, n_tokens: int) -> str:
    """A Location of a model and a prompt, each kind of view as likely as another."""
    pick = picking(rng)

    def below(size: int) -> int:
        return int(rng.integers(max(1, size)))

    b, h, d, n = below(config.n_layer), below(config.n_head), config.n_embd, below(config.n_inner)
    q, k, e = below(n_tokens), below(n_tokens), below(d)
    end = pick("", "", f"@{below(n_tokens)}")
    kind = pick(*PLACES)
    match kind:
        case "model":
            return kind + pick("", f"[L{b}]", "[embed]", "[final]", "[output]") + end
        case "heads":
            face = pick(*FACES[kind])
            least = pick("", "", ".10", ".25", ".50") if face in MEASURES else ""
            return "heads" + pick("", f":{face}{least}") + pick("", f"[{b}.{h}]") + end
        case "block":
            return f"L{b}" + pick("", f"[{pick(*TILES)}]") + end
        case "attn":
            return f"L{b}.attn" + pick("", f"[{h}]") + end
        case "neuron":
            return f"L{b}.mlp[{n}]" + end
        case "mlp":
            return f"L{b}.mlp:{pick(*FACES[kind])}" + pick("", f"[{n}]") + end
        case "head":
            return f"L{b}H{h}:{pick(*STAGES)}" + pick(end, f"[{q},{k}]")
        case "product":
            return f"L{b}H{h}[{q},{k}]"
        case "qkv" | "proj":
            output = below(3 * d if kind == "qkv" else d)
            return f"L{b}.{kind}:{pick(*FACES[kind])}" + pick("", f"[{output}]", f"[{e},{output}]") + end
        case "ln1" | "ln2":
            return f"L{b}.{kind}" + pick("", f"[{e}]") + end
        case "residual":
            return "residual" + pick("", "[pos]", f"[L{b}.attn]", f"[L{b}.mlp]") + end
        case "lens":
            return f"lens:{pick(*FACES[kind])}" + pick("", f"[L{b}]") + end
        case "direct":
            part = pick("", "[always]", f"[L{b}H{h}]", f"[L{b}.bias]", f"[L{b}.mlp]")
            return f"direct:{pick(*FACES[kind])}{part}{end}"
        case "effects":
            return f"effects:{pick(*FACES[kind])}" + pick("", f"[L{b}H{h}]", f"[L{b}.mlp]") + end
        case "embed":
            return "embed" + pick("", ":nearest") + pick("", f"[{e}]") + end
        case "final":
            return "final" + pick("", f"[{e}]") + end
    return kind + end


def some_changes(rng: np.random.Generator, config: GPT2Config, n_tokens: int) -> list[tuple[str, str]]:
    """Flags that switch something off, or cut it."""
    block, head, neuron = (int(rng.integers(size)) for size in (config.n_layer, config.n_head, config.n_inner))
    query = int(rng.integers(n_tokens))
    key = int(rng.integers(query + 1))
    could = [
        ("--ablate", f"L{block}H{head}=zero"), ("--ablate", f"L{block}.mlp=zero"), ("--ablate", f"L{block}.mlp[{neuron}]=3.5"),
        ("--ablate", f"L{block}.attn@last=zero"), ("--cut", f"L{block}H{head}[{query},{key}]"), ("--cut", f"[*,{key}]"),
        ("--cut", f"L{block}[{query},*]"), ("--cut", f"[{query},{key}]=raw"), ("--ablate", "embed@0=zero"),
    ]  # fmt: skip
    return [could[int(i)] for i in rng.integers(0, len(could), int(rng.integers(1, 4)))]


def some_patches(rng: np.random.Generator, config: GPT2Config, n_tokens: int) -> list[tuple[str, str]]:
    """Flags that take something of another run."""
    block, head, row = (int(rng.integers(size)) for size in (config.n_layer, config.n_head, n_tokens))
    name = f"L{block}H{head}"
    could = [name, f"{name}.v", f"{name}.q@{row}", f"L{block}.resid@{row}", f"L{block}.mlp", f"L{block}.attn@0"]
    return [("--patch", f"{could[int(i)]}=from") for i in rng.integers(0, len(could), int(rng.integers(1, 3)))]


def a_start(rng: np.random.Generator, kind: str, world: World) -> Start:
    """Where a life begins."""
    pick = picking(rng)
    flags: dict[str, Any] = {"seed": int(rng.integers(100)), "flow": pick("norms", "rollout")}
    flags |= pick({}, {}, {"temperature": pick(0.0, 0.3, 1.7, 10.0)}, {"top_k": pick(1, 3, 7)}, {"top_p": pick(0.3, 0.9)})
    if kind == "trace":
        flags["trace"] = pick(*TRACES)
        result = Result(Trace.load(flags["trace"]), None)
        config, n_tokens = result.config, result.trace.n_tokens
    else:
        model = world.model(flags.setdefault("model", pick(*MODELS) if kind == "switch" else KINDS[kind][0]))
        config, n_tokens = model.config, int(rng.integers(1, 12))
        if flags["model"] == "tiny" or pick(False, False, True):
            flags["ids"] = rng.integers(0, config.vocab_size, n_tokens).tolist()
        else:
            flags["prompt"] = pick(*PROMPTS)
            n_tokens = len(model.prompt_ids(flags["prompt"]))
    flags["at"] = anywhere(rng, config, n_tokens)
    if kind == "changed" or (kind != "trace" and pick(False, False, True)):
        flags["edits"] = some_changes(rng, config, n_tokens)
    if kind == "changed" and pick(False, True):
        other = rng.integers(0, config.vocab_size, int(rng.integers(1, 12))).tolist()
        flags |= {"edits": [*flags["edits"], *some_patches(rng, config, n_tokens)], "other_ids": (*flags.get("ids", ()), *other)}
    start = Start(kind, flags, pick(*SIZES), pick(*THEMES), animated=rng.random() < 0.1, toasts=rng.random() < 0.4)
    if rng.random() < 0.2:
        start = replace(start, color=pick("256", "16", "none"), ascii=pick(False, True))
    if kind == "lessons" and rng.random() < 0.8:
        number = int(rng.integers(len(shipped())))
        page = int(rng.integers(1, 1 + len(load_lesson(str(shipped()[number])).pages)))
        start = replace(start, lesson=number, page=page, lecture=pick(False, True), clock=pick(False, True), flags={"model": "storyteller"})
    return start
