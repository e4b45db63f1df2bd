"""Maps of what a unit's value depends on: gradients, class activation maps, hidden squares.

In: a net of the zoo, a photo, units at a place (a `Question`). Out: a map for each unit, over the
photo's pixels.
Add a method as an entry of `ATTRIBUTIONS` in attributions.py; `vizcnn compare` follows.
"""
