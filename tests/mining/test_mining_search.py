"""The search of photos in memory: the same ranking as an index of the same photos."""

import pytest
import torch

from tests.support.mining_runs import make_photos
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.mining.search import rank_pixels

LAYERS = ("conv3", "fc6")


def read_pixels(photos):
    return torch.stack([photos.read(number) for number in range(len(photos.names))]) / 255


def test_a_search_in_memory_is_that_of_the_index(tmp_path):
    model, photos = make_model(), make_photos(40)
    settings = MiningSettings(layers=LAYERS, top=5, per_photo=2, workers=0)
    index = mine(model, photos, tmp_path / "index.safetensors", settings)
    found = rank_pixels(model, read_pixels(photos), LAYERS, top=5, per_photo=2)
    for name in LAYERS:
        assert torch.equal(found[name].values, index.layers[name].values)
        assert torch.equal(found[name].photos, index.layers[name].photos)
        assert torch.equal(found[name].positions, index.layers[name].positions)
        assert found[name].map_size == index.layers[name].map_size


def test_few_photos_leave_empty_places():
    found = rank_pixels(make_model(), read_pixels(make_photos(3)), ["conv3"], top=5)["conv3"]
    assert bool((found.photos[:, 3:] == -1).all())
    assert bool((found.values[:, 3:] == -torch.inf).all())
    assert sorted(found.photos[0, :3].tolist()) == [0, 1, 2]


def test_values_that_are_not_finite_are_refused_by_the_photos_number():
    pixels = read_pixels(make_photos(3))
    pixels[1] = torch.inf
    with pytest.raises(DataError, match="not finite for the photo '1'"):
        rank_pixels(make_model(), pixels, ["conv3"])
