"""Odd photos, units and settings of galleries of whole layers, and mistakes in what is asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.models import prepare
from tests.support.small_zoo import SIZE, make_model
from tests.support.top_runs import (
    MODEL,
    POSTED,
    SETTINGS,
    cut_tiles,
    load,
    make,
    write_noise,
    write_photos,
)
from vizcnn.basics.errors import DataError, LayerError, UnsupportedOperationError, VizcnnError
from vizcnn.drawing.tiles import robust_limit, scale_signed, to_bytes
from vizcnn.mining.mined_photos import refuse_changed
from vizcnn.projection.deconvnet import Projector
from vizcnn.zoo.model import ZooModel

pytestmark = pytest.mark.usefixtures("one_thread")


def make_uneven() -> ZooModel:
    """A net whose units do not all see equally much, some of them the mirrored edge."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d((7, 9)),
        torch.nn.Conv2d(6, 8, (3, 1), stride=(2, 1)),
        torch.nn.ReLU(),
    )
    layers = {"conv1": "1", "conv2": "4"}
    return replace(MODEL, module=prepare(net, SIZE), layers=layers, classes=())


@pytest.mark.slow
def test_fields_of_several_sizes_fit_the_windows(tmp_path):
    model = make_uneven()
    photos = write_photos(tmp_path / "photos", 30)
    settings = replace(SETTINGS, layers=("conv1", "conv2"))
    manifest = make(photos, tmp_path / "out", settings, model)
    shown = manifest.results.layers[1]
    assert shown.computed == "full image"
    sizes = set()
    projector = Projector(model, "deconvnet")
    for unit in filter(lambda unit: unit.places, shown.units):
        left, _ = cut_tiles(load(tmp_path / "out" / unit.large), shown)
        for rank, place in enumerate(unit.places):
            pixels = model.read(photos / manifest.photos[place.photo].name)
            full = projector.project(pixels, "conv2", unit.unit, place.position)
            image = full.pixels[0].permute(1, 2, 0).numpy()
            (top, start), (height, width) = place.corner, shown.window
            sizes.add((place.box[2] - place.box[0], place.box[3] - place.box[1]))
            cut = image[top : top + height, start : start + width]
            assert np.count_nonzero(cut) == np.count_nonzero(image) > 0
            wanted = to_bytes(scale_signed(cut, robust_limit(cut)))
            times = left[rank].shape[0] // height
            assert np.abs(left[rank][::times, ::times] - wanted).mean() < 12
    assert len(sizes) > 1


@pytest.mark.slow
def test_several_places_of_a_photo(tmp_path):
    write_photos(tmp_path / "photos", 2)
    settings = replace(SETTINGS, layers=("conv1",), per_photo=2)
    manifest = make(tmp_path / "photos", tmp_path / "out", settings)
    photos = [[place.photo for place in unit.places] for unit in manifest.results.layers[0].units]
    assert any(len(numbers) == 4 and len(set(numbers)) == 2 for numbers in photos)


def silence(model: ZooModel, path: str, units: slice) -> ZooModel:
    layer = model.module.get_submodule(path)
    assert isinstance(layer, torch.nn.Conv2d)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight[units], layer.bias[units] = 0, -1
    return model


@pytest.mark.slow
def test_silent_units_and_a_silent_layer(tmp_path):
    model = silence(silence(make_model(), "0", slice(3, 5)), "5", slice(None))
    write_photos(tmp_path / "photos", 5)
    manifest = make(tmp_path / "photos", tmp_path / "out", replace(SETTINGS, top=9), model)
    conv1, conv3, _ = manifest.results.layers
    for unit in (*conv1.units[3:5], *conv3.units):
        assert (unit.places, unit.small, unit.large, unit.spread) == ((), None, None, None)
    assert not list((tmp_path / "out").glob("conv3/*.webp"))
    assert "nothing could be projected" in conv3.notes[0]
    assert "fewer than nine places" in conv1.notes[0]
    loud = conv1.units[0]
    sheet = load(tmp_path / "out" / loud.large)
    assert len(loud.places) == 5
    for half in cut_tiles(sheet, conv1):
        assert [bool((tile == 235).all()) for tile in half] == [False] * 5 + [True] * 4


@pytest.mark.slow
def test_the_last_layer_names_its_classes(tmp_path):
    write_photos(tmp_path / "photos", 6)
    settings = replace(SETTINGS, layers=("fc7",), top=2)
    manifest = make(tmp_path / "photos", tmp_path / "out", settings)
    assert tuple(unit.name for unit in manifest.results.layers[0].units) == MODEL.classes


@pytest.mark.slow
def test_posters_are_drawn_of_layers_that_answer(tmp_path):
    model = silence(make_model(), "5", slice(None))
    write_photos(tmp_path / "photos", 6)
    settings = replace(POSTED, layers=("conv3", "fc7"))
    conv3, fc7 = make(tmp_path / "photos", tmp_path / "out", settings, model).results.layers
    assert conv3.posters == ()
    assert fc7.posters == ("posters/fc7.png", "posters/fc7.pdf", "posters/fc7.svg")
    assert load(tmp_path / "out" / "posters" / "fc7.png").shape == (1350, 2400, 3)
    assert "<image" in (tmp_path / "out" / "posters" / "fc7.svg").read_text()
    assert (tmp_path / "out" / "posters" / "fc7.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_unreadable_photos_are_listed(tmp_path):
    write_photos(tmp_path / "photos", 6)
    (tmp_path / "photos" / "broken.png").write_bytes(b"not a photo")
    settings = replace(SETTINGS, layers=("conv1",))
    manifest = make(tmp_path / "photos", tmp_path / "out", settings)
    assert [failure.source for failure in manifest.failures] == ["broken.png"]
    assert manifest.results.data.count == 6
    for photo in (tmp_path / "photos").rglob("*.png"):
        photo.write_bytes(b"")
    with pytest.raises(DataError, match="none of 7 photos can be read"):
        make(tmp_path / "photos", tmp_path / "none", settings)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"layers": ("conv9",)}, LayerError, "conv9"),
        ({"layers": ()}, LayerError, "no layer is named"),
        ({"units": (10,)}, LayerError, r"layer conv3: no unit 10; it has units 0\.\.9"),
        ({"units": (-1,)}, LayerError, "no unit -1"),
        ({"top": 0}, LayerError, "0 places per unit"),
        ({"top": 101}, LayerError, "needed: 1 to 100"),
        ({"per_photo": 5}, LayerError, "5 places of one photo among 4"),
        ({"method": "guidded"}, VizcnnError, "did you mean 'guided'"),
        ({"poster_units": 0}, VizcnnError, "a poster of 0 units"),
    ],
)
def test_mistakes_are_told_before_any_work(tmp_path, changes, error, words):
    write_noise(tmp_path / "photos" / "a.png", 0)
    with pytest.raises(error, match=words):
        make(tmp_path / "photos", tmp_path / "out", replace(SETTINGS, **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_net_without_rules_is_refused_before_the_mining(tmp_path):
    model = make_model()
    model.module[1] = torch.nn.GELU()
    write_noise(tmp_path / "photos" / "a.png", 0)
    with pytest.raises(UnsupportedOperationError, match="gelu"):
        make(tmp_path / "photos", tmp_path / "out", model=model)
    assert not (tmp_path / "out").exists()
    settings = replace(SETTINGS, unruled="gradient", layers=("conv3",))
    assert make(tmp_path / "photos", tmp_path / "out", settings, model).results.layers


def test_changed_photos_are_named():
    with pytest.raises(DataError, match=r"^photos 'a', 'b', 'c' and 1 more changed since mining"):
        refuse_changed(list("abcd"))
