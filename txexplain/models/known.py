"""The well-known GPT-2s: where they live, how large they are, and under which licence they were published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One published checkpoint; `megabytes` is its model.safetensors, rounded: what a download will cost."""

    repo: str
    parameters: int  # a tied output counts once
    megabytes: int
    licence: str


KNOWN = {
    "gpt2": Known("openai-community/gpt2", 124_439_808, 548, "mit"),
    "gpt2-medium": Known("openai-community/gpt2-medium", 354_823_168, 1520, "mit"),
    "gpt2-large": Known("openai-community/gpt2-large", 774_030_080, 3250, "mit"),
    "gpt2-xl": Known("openai-community/gpt2-xl", 1_557_611_200, 6430, "mit"),
    "distilgpt2": Known("distilbert/distilgpt2", 81_912_576, 353, "apache-2.0"),
}
