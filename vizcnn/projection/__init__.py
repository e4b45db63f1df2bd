"""Units projected back to pixels: rules, methods, targets, cones of windows, the full image.

In: a recording, and targets made of a layer's maps. Out: a `Projection` (windows, their corners).
Add a rule as an entry of `RULES` in rules.py; `METHODS`, `--method` and the pages follow. A method
that is no rule of rectifiers is a class with what `ProjectionMethod` asks for (name, source,
project) in a file of its own, and a line of `METHODS` in methods.py.
"""
