"""One pass over any number of photos: where each unit of a net is strongest.

In: a net, photos and layers. Out: an index of places, which can be merged with others.

:func:`vizcnn.mining.run.mine` makes an index, :mod:`vizcnn.mining.index` says what is in it,
:mod:`vizcnn.mining.photo_sets` gives photos, :mod:`vizcnn.mining.index` reads and writes, and
:func:`vizcnn.mining.ranking.merge_indexes` joins what several machines have mined.
"""
