"""The pictures and tables of the places, each registered in its view's file under `views`."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.explorer.places.by_place import ByPlace
from txexplain.viz.canvas import Canvas
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Table

PICTURES: ByPlace[Callable[[Scene], Canvas]] = ByPlace()
TABLES: ByPlace[Callable[[Scene], Table]] = ByPlace()
