"""A checkpoint with its tokenizer, ready to run: what it is given is checked, what an earlier run shares is reused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import index
from typing import Any

import numpy as np

from txexplain.engine.changes import Change, resolved
from txexplain.engine.checkpoint import Checkpoint
from txexplain.engine.gpt2 import Weights, gpt2, unembed
from txexplain.engine.interventions import Intervention
from txexplain.engine.kept import Kept
from txexplain.engine.kv_cache import ROOM, KVCache
from txexplain.engine.ops import Array
from txexplain.engine.room import lack_for_run
from txexplain.engine.run import Recording, Stopped, require_sound
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.trace import GROWING, Parts, Run, Trace, followed
from txexplain.errors import NonFinite, PromptError
from txexplain.text import shown

COUNTED = 8  # contexts: of a longer prompt only so much is encoded, enough to say that it is too long


class GPT2:
    """A GPT-2 checkpoint with its tokenizer, ready to run.

    `weights` are the checkpoint's own read-only arrays under GPT-2's names, without the `transformer.` prefix.
    """

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer, name: str) -> None:
        self.config = checkpoint.config
        self.tokenizer = tokenizer
        self.name = name
        self.checkpoint = checkpoint
        self.weights: Weights = {key: np.asarray(array) for key, array in checkpoint.tensors.items()}
        self.blocks = [block_weights(self.weights, layer) for layer in range(self.config.n_layer)]
        self.kept = Kept()  # what was computed of the model itself
        self.unembedding = self.weights.get("lm_head.weight", self.weights["wte.weight"])  # [V, d]

    def __reduce__(self) -> tuple[Any, ...]:
        return GPT2, (self.checkpoint, self.tokenizer, self.name)

    def __repr__(self) -> str:
        return f"GPT2({self.name}, {self.config.n_layer} blocks × {self.config.n_head} heads, d {self.config.n_embd})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader is told about this model before its numbers: what its files hold that isn't shown."""
        return (*self.checkpoint.notes, *([self.tokenizer.note] if self.tokenizer.note else []))

    @cached_property
    def row_lengths(self) -> Array:
        """The length of each token's row of wte. Shapes: -> [V]."""
        wte = self.weights["wte.weight"]  # [V, d]
        return np.sqrt(np.vecdot(wte, wte))  # [V]

    def prompt_ids(self, text: str) -> list[int]:
        """The ids of a prompt; an empty one is GPT-2's own start token. Raises TokenizerError, and PromptError for a text that is
        far too long, of which only the beginning is read."""
        context = self.config.n_positions
        ids = self.tokenizer.encode(text, limit=COUNTED * context)
        if len(ids) > COUNTED * context:
            raise PromptError(f"The prompt has more than {len(ids) - 1} tokens, but {self.name} reads at most {context}; shorten it.")
        return ids or [self.config.bos_token_id]

    def forward(
        self,
        ids: Sequence[int],
        *,
        interventions: Sequence[Intervention | Change | str] = (),
        donor: Trace | None = None,
        all_logits: bool = False,
        prefix: Trace | None = None,
    ) -> Trace:
        """Run the model on T token ids and keep every activation.

        interventions: what is changed on the way, in this order: see Set and Cut, or texts as changes.py says, like "L5H1=zero".
        donor: the run that texts with =from take values of.
        all_logits: logits [T, V] of every position instead of the last one's [V].
        prefix: an earlier Trace of this model; the rows of its shared beginning are reused, with the same result to rounding.
        Raises PromptError for ids that this model can't take, InterventionError for what it can't change,
        NonFinite for an activation that isn't finite, or far beyond any GPT-2's.
        """
        changes = resolved(interventions, self, len(ids), donor)
        trace = self.stoppable_forward(ids, interventions=changes, all_logits=all_logits, prefix=prefix)
        assert trace is not None
        return trace

    def stoppable_forward(
        self,
        ids: Sequence[int],
        *,
        should_stop: Callable[[], bool] | None = None,
        all_logits: bool = False,
        prefix: Trace | None = None,
        interventions: Sequence[Intervention] = (),
    ) -> Trace | None:
        """forward(), or None once `should_stop`, which is asked before each block, says True. Raises PromptError also for too long
        a run for the memory that is free, before it begins."""
        ids = self.checked(ids)
        edits = [edit for each in interventions for edit in each.edits(self.config)]
        shared = self.shared(prefix, ids, interventions)
        n = len(ids) - shared
        limit = self.config.n_positions
        if n and (lack := lack_for_run(self.config, n, len(ids), self.name, all_logits=all_logits)):
            raise PromptError(lack)
        if shared and prefix is not None:
            rows = prefix.kv_cache.claim(shared, n, limit)
            kept = prefix.rows(shared) if n else prefix.rows(shared) | rows.cache.named(shared)
        else:
            rows = KVCache(self.config.n_layer, self.config.n_head, 3 * self.config.n_embd, min(limit, n + ROOM)).claim(0, n, limit)
            kept = {}
        new = Recording(rows, self.name, edits, should_stop)
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                if n:
                    gpt2(new, ids[shared:], self.weights, self.blocks, self.config, rows)
                    new.end_block()
                parts = append_parts(kept, new)
                last = parts["ln_final.normalized"]
                logits = unembed(np.concatenate(last) if all_logits else last[-1][-1], self.unembedding)  # [T, V] or [V]
                require_sound({name: new[name] for name in new if name.startswith("ln_final")} | {"logits": logits}, shared, self.name)
            except Stopped:
                rows.release()
                return None
            except NonFinite as error:
                rows.release()
                raise NonFinite(f"{error}: {self.at_fault(changed=bool(interventions))}.") from None
            except MemoryError:
                rows.release()
                raise PromptError(f"The system has too little memory for {len(ids)} tokens of {self.name}; shorten the prompt.") from None
        parts["logits"] = (logits,)
        tokens = tuple(self.tokenizer.display(i) for i in ids)
        prompt = self.tokenizer.decode(ids)
        return Trace(
            ids,
            parts,
            config=self.config,
            model=self.name,
            prompt=prompt,
            tokens=tokens,
            origin=self,
            kv_cache=rows.cache,
            interventions=tuple(interventions),
        )

    def at_fault(self, *, changed: bool) -> str:
        """Why a run made a number that isn't finite: the first weight that isn't, and of which token or position it is."""
        for name, array in self.weights.items():
            finite = np.isfinite(array)
            if not finite.all():
                place = [int(i) for i in np.unravel_index(int(finite.argmin()), array.shape)]
                rows = {"wpe.weight": f", of position {place[0]}"}
                rows |= dict.fromkeys(("wte.weight", "lm_head.weight"), f", of token {place[0]} ({self.tokenizer.display(place[0])})")
                return f"its weight {name}{place}{rows.get(name, '')} isn't finite; fetch or save the model again"
        return f"its weights are finite, but {'what was changed in the run is' if changed else 'they are'} far too large"

    def checked(self, ids: Sequence[int]) -> list[int]:
        """The ids as plain ints. Raises PromptError where there are none, too many, or one outside the vocabulary."""
        try:
            ids = [index(i) for i in ids]
        except TypeError:
            raise PromptError(f"Token ids are whole numbers, and {shown(ids, 40)} isn't a list of them; encode a text first.") from None
        vocabulary, context = self.config.vocab_size, self.config.n_positions
        if not ids:
            raise PromptError("There are no token ids to run the model on; give at least one.")
        if len(ids) > context:
            raise PromptError(
                f"The prompt has {len(ids)} tokens, but {self.name} reads at most {context}; shorten it by {len(ids) - context}."
            )
        for i in ids:
            if not 0 <= i < vocabulary:
                raise PromptError(f"Token id {i} is not in the vocabulary of {self.name}; its ids go from 0 to {vocabulary - 1}.")
        return ids

    def shared(self, prefix: Trace | None, ids: Sequence[int], interventions: Sequence[Intervention] = ()) -> int:
        """How many tokens at the beginning an earlier trace has in common with ids: none where it was edited otherwise."""
        if prefix is None:
            return 0
        if prefix.origin is not self:
            raise ValueError("prefix must be a trace that this same model made with forward")
        return Run(self, tuple(ids), tuple(interventions)).shared(prefix.run)


def block_weights(weights: Weights, layer: int) -> Weights:
    """One block's weights, by their names inside the block."""
    prefix = f"h.{layer}."
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


def append_parts(kept: Mapping[str, Parts], new: Mapping[str, Array]) -> dict[str, Parts]:
    """The parts of a longer trace."""
    parts = dict(kept)
    for name, array in new.items():
        parts[name] = (array,) if name.endswith(GROWING) else followed(name, kept.get(name, ()), array)
    return parts
