"""Arrays and results to figures: tiles, sheets, tables, labels, words, and saving them.

In: arrays and results of measures. Out: matplotlib figures and image files.
Add a figure family as a module of its own.
"""
