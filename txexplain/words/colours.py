"""What the colours stand for."""

from __future__ import annotations

# Of the colours of a view, those that no word beside them tells; the role, and what it stands for.
LEGENDS: dict[str, tuple[tuple[str, str], ...]] = {
    "model": (("residual", "kept"), ("attention", "brought by attention")),
    "block": (("attention", "attention"), ("mlp", "MLP")),
    "embed": (("positive", "above 0"), ("negative", "below 0")),
}
# Everywhere alike.
COLOURS: tuple[tuple[str, str], ...] = (
    ("query", "a query, what a token looks for"),
    ("key", "a key, what it is found by"),
    ("value", "a value, what it hands over"),
    ("attention", "attention: shares, and what it brought"),
    ("mlp", "the MLP and its neurons"),
    ("residual", "the residual stream: what was kept"),
    ("drawn", "a token that was drawn"),
    ("positive", "a number above 0, or above the middle of its scale"),
    ("negative", "a number below 0, or below the middle"),
    ("accent", "what the keys go to; in a lesson, what the run gave"),
    ("warning", "what a lesson points at, or what is not as it was"),
)
