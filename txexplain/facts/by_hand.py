"""Whether the formula of a step still holds in a run: what was changed by hand isn't what its formula makes of what the step reads.

The one place where facts ask. An activation's own numbers are always those of the run that is shown; what is worked out from others,
to say how it came about or what it went into, holds only where nobody put something else in its place.
"""

from __future__ import annotations

from txexplain.engine.derive import Result
from txexplain.errors import ChangedByHand


def recomputable(result: Result, *names: str, head: int | None = None, row: int | None = None) -> bool:
    """Whether these activations are what their formulas make: none was changed by hand. With a head or a row, that part alone counts."""
    return not any(result.trace.changed(name, head=head, row=row) for name in names)


def require_formula(result: Result, *names: str, head: int | None = None, row: int | None = None) -> None:
    """Raise ChangedByHand for the first of these activations, or of their parts, that isn't what its formula makes."""
    for name in names:
        if not recomputable(result, name, head=head, row=row):
            raise ChangedByHand(name)
