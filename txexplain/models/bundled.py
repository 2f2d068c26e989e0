"""Where the files that come with the package lie."""

from __future__ import annotations

from pathlib import Path

NAME = "storyteller"


def weights_dir() -> Path:
    """The folder of the bundled weights: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def bundled_path() -> Path:
    """The bundled model's checkpoint folder."""
    return weights_dir() / NAME
