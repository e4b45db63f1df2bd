"""One pass over any number of photos: where each unit of a net is strongest.

In: a net, layers and photos. Out: an index of the strongest places from
:func:`vizcnn.mining.run.mine`; those of several machines are joined by
:func:`vizcnn.mining.ranking.merge_indexes`, and photos in memory are ranked by
:func:`vizcnn.mining.search.rank_pixels`. Add a kind of photos in photo_sets.py.
"""
