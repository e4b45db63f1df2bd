"""Figures that show themselves: in notebooks, and in a window where there is none."""

import sys
from io import BytesIO

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from vizcnn.drawing.saving import METADATA
from vizcnn.drawing.style import plain_style

NOTEBOOK_DPI = 100
"""Pixels per inch of figures in notebooks: a slide's width fills a cell."""


class ShownFigure(Figure):
    """A figure that notebooks show without pyplot, which ours never meet."""

    def _repr_png_(self) -> bytes:
        return encode_figure(self)


def encode_figure(figure: Figure) -> bytes:
    """Give a figure as the bytes of a PNG.

    Example:
        >>> encode_figure(Figure(figsize=(1, 1)))[1:4]
        b'PNG'
    """
    file = BytesIO()
    # what fits was measured at another resolution: letters are as wide there if none is hinted
    with plain_style(), matplotlib.rc_context({"text.hinting": "no_hinting"}):
        figure.savefig(file, format="png", dpi=NOTEBOOK_DPI, metadata=METADATA["png"])
    return file.getvalue()


def show_figure(figure: Figure) -> None:
    """Show a figure below a notebook's cell; elsewhere in the program that shows pictures here."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive else None
    if shell is not None and hasattr(shell, "kernel"):
        shown = {"image/png": encode_figure(figure), "text/plain": repr(figure)}
        shell.display_pub.publish(shown)
    else:
        Image.open(BytesIO(encode_figure(figure))).show("vizcnn")
