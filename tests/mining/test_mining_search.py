"""The search of photos in memory, and what a lot costs: a GPU must not be waited for."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.mining_runs import make_photos
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError
from vizcnn.mining.lots import LOT
from vizcnn.mining.passes import measure_layers
from vizcnn.mining.ranking import (
    find_hopeful,
    find_peaks,
    find_places,
    make_ranking,
    update_ranking,
)
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.mining.search import LOTS_AT_A_TIME, FiniteCheck, make_black, rank_pixels, search_layers

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


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do."""

    def __init__(self):
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("per_photo", [1, 3])
def test_nothing_in_a_lot_depends_on_a_value(per_photo):
    """The meta device has no values at all: whatever asks it for one fails there."""
    real = make_model()
    model, paths = real.to("meta"), {name: real.layers[name] for name in LAYERS}
    shapes = measure_layers(real.module, make_black(real), paths)
    rankings = {name: make_ranking(name, paths[name], shapes[name], 5, "meta") for name in LAYERS}
    pixels = torch.zeros(LOT, 3, 32, 32, dtype=torch.uint8)
    usable = torch.ones(LOT, dtype=torch.bool)
    with search_layers(model, paths) as search, Operations() as bare:
        search.forward(search.prepare(pixels), lambda name, maps: None)
    with search_layers(model, paths) as search, Operations() as seen:
        found = search.find(pixels, usable, rankings, per_photo)
        for name, ranking in rankings.items():
            update_ranking(ranking, found.places[name], 64)
    extra = (seen.counts - bare.counts).total()
    assert 0 < extra <= 70 * len(LAYERS)  # with all views
    assert seen.counts["_to_copy"] <= bare.counts["_to_copy"] + 1  # which of them are photos


def test_a_search_that_asks_for_values_would_be_noticed():
    maps = torch.zeros(LOT, 4, 3, 3, device="meta")
    usable = torch.ones(LOT, dtype=torch.bool, device="meta")
    chosen = find_hopeful(torch.zeros(4, 2, device="meta"), find_peaks(maps), usable)
    with pytest.raises((NotImplementedError, RuntimeError)):
        find_places(maps, *chosen, 1, every=False)


def test_values_on_a_gpu_are_looked_at_many_lots_at_a_time():
    check = FiniteCheck(torch.device("cuda"))
    good, bad = torch.ones(LOT, dtype=torch.bool), torch.arange(LOT) < 2
    for number in range(LOTS_AT_A_TIME - 1):
        check.add([f"{number}.{slot}" for slot in range(LOT)], {"conv1": good, "conv2": good})
        assert not check.is_due
    check.add([f"late.{slot}" for slot in range(LOT)], {"conv1": good, "conv2": bad})
    assert check.is_due
    with pytest.raises(DataError, match=r"'conv2' .* not finite for the photo 'late\.2'"):
        check.look()
    check.look()


def test_values_on_a_cpu_are_looked_at_after_each_lot():
    check = FiniteCheck(torch.device("cpu"))
    check.add(["a"], {"conv1": torch.ones(LOT, dtype=torch.bool)})
    assert check.is_due
    check.look()
