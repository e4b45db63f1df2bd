"""Units projected back to pixels: rules, targets, cones of windows, the full image, the mirror.

In: a recording and targets. Out: a `Projection` (windows, corners, pixels).
Add a rule in rules.py.
"""
