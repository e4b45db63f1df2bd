"""What draws projections: a room above this one, which says so here, since imports go down only.

``vizcnn/__init__.py`` introduces the artist; it is looked for when a picture is asked for, so that
projecting loads nothing that draws.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vizcnn.basics.errors import VizcnnError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from vizcnn.projection.projection import Projection


class Artist(Protocol):
    """What makes pictures of projections; :mod:`vizcnn.drawing.projections` is one."""

    def paint_projection(self, projection: "Projection") -> "NDArray[np.float32]":
        """Give the bare pictures in a grid, (H, W, 3), 0..1, zero as mid grey."""

    def draw_projection(self, projection: "Projection") -> "Figure":
        """Draw the pictures as a figure."""

    def save_figure(self, figure: "Figure", path: Path) -> None:
        """Write a figure as PNG, SVG or PDF."""

    def encode_figure(self, figure: "Figure") -> bytes:
        """Give a figure as the bytes of a PNG."""

    def show_figure(self, figure: "Figure") -> None:
        """Show a figure in a notebook, or in a window."""


_FINDERS: list[Callable[[], Artist]] = []


def introduce_artist(find: Callable[[], Artist]) -> None:
    """Say who draws projections from now on.

    Args:
        find: Gives the artist; called when a picture is asked for.
    """
    _FINDERS[:] = [find]


def find_artist() -> Artist:
    """Give the artist.

    Raises:
        VizcnnError: If none was introduced.
    """
    if not _FINDERS:
        raise VizcnnError("nothing here draws projections: import vizcnn as a whole")
    return _FINDERS[0]()
