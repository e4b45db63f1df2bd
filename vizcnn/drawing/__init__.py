"""Arrays and results to figures: tiles, sheets, tables, labels, words, and saving them.

In: arrays and results of measures. Out: matplotlib figures and image files, in the style (light or
dark, slide or paper) that is entered where they are drawn. Add a figure family as a module of its
own; let it ask :mod:`vizcnn.drawing.style` for its greys and sizes.
"""

from vizcnn.basics.errors import VizcnnError

try:
    import matplotlib as matplotlib
except (OSError, ValueError) as error:  # it reads the user's settings as soon as it is loaded
    raise VizcnnError(
        f"matplotlib cannot read its settings ({error}): mend or remove the file matplotlibrc, in "
        "the current folder, where MATPLOTLIBRC says, or in matplotlib's own folder"
    ) from error
