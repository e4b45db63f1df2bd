"""Arrays and results to figures: tiles, sheets, tables, labels, words, and saving them.

In: arrays and results of measures. Out: matplotlib figures and image files, in the style (light or
dark, slide or paper) that is entered where they are drawn. Add a figure family as a module of its
own; let it ask :mod:`vizcnn.drawing.style` for its greys and sizes.
"""
