"""One pass over any number of photos: where each unit of a net is strongest.

In: a net, layers and photos. Out: an index of the strongest places from
:func:`vizcnn.mining.run.mine`, or of those first by another rank (ranks.py), with each unit's range
over all photos (ranges.py) where it is asked for; indexes of several machines are joined by
:func:`vizcnn.mining.merging.merge_files`, a pool of processes mines parts and joins them in
:func:`vizcnn.mining.cluster.mine_with`, launchers.py reads which part a process was started for,
and machine_kinds.py says what computed an index. Photos in memory are ranked by
:func:`vizcnn.mining.search.rank_pixels`. Add a kind of photos in photo_sets.py.
"""
