"""Recorded passes are kept within a budget of bytes; their size against all tensors that live."""

import gc

import pytest
import torch

import vizcnn
from tests.support.explorer_clients import make_pictures
from vizcnn.explorer.explored import ExploredNet, explore_image
from vizcnn.explorer.recording_size import measure_recording
from vizcnn.explorer.sights import Sights

LAYERS = ("conv1", "conv2", "conv3")


@pytest.fixture(scope="module")
def net():
    model = vizcnn.load("lenet", weights="bundled")
    return ExploredNet("lenet", model, LAYERS)


@pytest.fixture(scope="module")
def photos():
    return [explore_image(picture, str(number)) for number, picture in enumerate(make_pictures(6))]


def list_living():
    """All memory of tensors that Python can reach."""
    kinds = torch.Tensor, torch.nn.Parameter  # and none of the kinds that have no memory
    living = [thing for thing in gc.get_objects() if type(thing) in kinds]
    storages = [tensor.untyped_storage() for tensor in living]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def test_the_size_of_a_recording_is_that_of_the_tensors_it_keeps_alive(net, photos):
    Sights().find(net, photos[0])  # what a first pass leaves behind for the next ones
    gc.collect()
    sight = Sights().find(net, photos[0])
    measured = measure_recording(sight.recording, net.net.module)
    alive = list_living()
    size = sight.pixels.nbytes
    del sight
    gc.collect()
    after = list_living()
    freed = sum(size for place, size in alive.items() if place not in after)
    assert measured == freed - size
    assert measured > 50_000


def test_the_last_one_is_kept_and_others_while_they_fit(net, photos):
    one = Sights().find(net, photos[0])
    size = measure_recording(one.recording, net.net.module) + one.pixels.nbytes
    for budget, most in ((0, 1), (size - 1, 1), (2 * size, 2), (3 * size + 5, 3)):
        sights = Sights(budget)
        found = [sights.find(net, photo) for photo in photos]
        assert sights.find(net, photos[-1]) is found[-1]
        for photo, former in list(zip(photos, found, strict=True))[-most:]:
            assert sights.find(net, photo) is former
        for photo, former in list(zip(photos, found, strict=True))[:-most]:
            assert sights.find(net, photo) is not former


def test_what_is_kept_of_a_photo_can_be_let_go(net, photos):
    sights = Sights(10**9)
    first, second = (sights.find(net, photo) for photo in photos[:2])
    for photo in photos[:1]:
        sights.drop(photo)
    assert sights.find(net, photos[1]) is second
    assert sights.find(net, photos[0]) is not first
    sights.drop(photos[1])
    assert sights.find(net, photos[1]) is not second
