"""How many examples a property is tried on: few each time, all where `--hypothesis-profile=thorough` is asked for, as CI does."""

from __future__ import annotations

from hypothesis import settings

FEW = 20  # that the short run tries of a property


def examples(many: int) -> settings:
    """A property's own number of examples, of which the short run takes a tenth. For properties without one the profile decides."""
    return settings(max_examples=max(10, many // 10) if settings.default.max_examples == FEW else many)
