"""Neighbours of units, by sets of photos."""

import numpy as np
import torch

from tests.support.mining_runs import NoisePhotos, mine_bytes
from tests.support.small_zoo import make_model
from vizcnn.mining.index import LayerRanking, read_index
from vizcnn.mining.neighbours import NOBODY, find_neighbours


def compare_sets(ranking, top, count):
    """By sets and Python's sort, from the strongest places that are above zero."""
    places = zip(ranking.values[:, :top].tolist(), ranking.photos[:, :top].tolist(), strict=True)
    photos = [
        {p for v, p in zip(values, row, strict=True) if v > 0 and p >= 0} for values, row in places
    ]
    found = []
    for unit, own in enumerate(photos):
        others = [(-len(own & p), k) for k, p in enumerate(photos) if k != unit and own & p]
        found.append([(k, -shared) for shared, k in sorted(others)[:count]])
    return found, [len(own) for own in photos]


def test_neighbours_share_most_of_their_strongest_photos(tmp_path):
    photos = NoisePhotos({f"photo {number:02d}": number for number in range(40)})
    file = tmp_path / "index"
    mine_bytes(make_model(), photos, file, layers=("conv1", "conv5"), top=6, per_photo=2)
    for ranking in read_index(file).layers.values():
        for top, count in ((6, 3), (4, 50)):
            found = find_neighbours(ranking, top, count)
            wanted, sizes = compare_sets(ranking, top, count)
            given = [
                [(k, n) for k, n in zip(units, shared, strict=True) if k != NOBODY]
                for units, shared in zip(found.units.tolist(), found.shared.tolist(), strict=True)
            ]
            assert given == wanted
            assert found.photos.tolist() == sizes
            assert any(given)


def test_silent_units_have_no_neighbours():
    values = torch.tensor([[0.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    photos = torch.tensor([[0, 1], [0, 1], [1, 0]])
    ranking = LayerRanking("fc", "fc", None, values, photos, torch.full((3, 2, 2), -1))
    found = find_neighbours(ranking)
    assert found.units.tolist() == [[NOBODY] * 3, [2, NOBODY, NOBODY], [1, NOBODY, NOBODY]]
    assert np.array_equal(found.photos, [0, 2, 1])
