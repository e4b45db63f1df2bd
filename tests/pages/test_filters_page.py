"""Galleries of filters, end to end on a small net."""

from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.small_zoo import list_files, make_model
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import LayerError, ModelError, VizcnnError
from vizcnn.basics.output import LIST_NAME
from vizcnn.drawing.filter_grids import show_channels, sort_filters
from vizcnn.drawing.tiles import scale_signed, to_bytes
from vizcnn.gallery.manifest import read_manifest
from vizcnn.measures.filter_numbers import number_filters, split_parts
from vizcnn.pages.filters import (
    MOST_BLOCKS,
    FilterResults,
    FilterSettings,
    make_filter_gallery,
    measure_net,
)
from vizcnn.zoo.provenance import Provenance

pytestmark = pytest.mark.slow

MODEL = make_model()
OTHER = replace(MODEL, title="Other", name="other")
STORED = MODEL.module.get_parameter("0.weight").detach()
WEIGHT = MODEL.preprocessing.to_pixel_gradient(STORED)


def make(folder, models=MODEL, **changes):
    return make_filter_gallery(models, folder, FilterSettings(**changes), "vizcnn filters")


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_gallery_is_whole_and_repeats(tmp_path):
    manifests = [make(tmp_path / out) for out in ("one", "two")]
    assert manifests[0] == manifests[1]
    written = read_manifest(tmp_path / "one", FilterResults)
    assert replace(written, settings={}) == replace(manifests[0], settings={})
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")
    pages = {"index.html", "gallery.css", "gallery.js", "manifest.json", LIST_NAME}
    assert set(list_files(tmp_path / "one")) == {*find_files(manifests[0]), *pages}
    (net,) = manifests[0].results.nets
    assert [tile.index for tile in net.filters] == list(range(12))
    assert load(tmp_path / "one" / net.filters[0].image).shape == (3, 3, 3)
    assert (net.kernel, net.channels, net.stride, net.first) == ((3, 3), 3, (1, 1), True)
    assert [figure.file for figure in manifests[0].figures] == ["filters.png", "numbers.png"]


@pytest.mark.parametrize("scaling", ["unit", "shared", "zf"])
def test_tiles_are_the_filters_on_pixels_in_the_asked_scaling(tmp_path, scaling):
    (net,) = make(tmp_path / "out", scaling=scaling).results.nets
    middle, limits = 0.0, WEIGHT.abs().amax(dim=(1, 2, 3))
    if scaling == "shared":
        limits = limits.max().expand(12)
    if scaling == "zf":
        middle = (WEIGHT.max() + WEIGHT.min()).item() / 2
        limits = ((WEIGHT.max() - WEIGHT.min()) / 2).expand(12)
    for tile in net.filters:
        filter = WEIGHT[tile.index].permute(1, 2, 0).numpy() - middle
        shown = to_bytes(scale_signed(filter, limits[tile.index].item())).astype(int)
        assert np.abs(load(tmp_path / "out" / tile.image) - shown).max() <= 1


def test_numbers_of_the_manifest_are_the_measures(tmp_path):
    (net,) = make(tmp_path / "out").results.nets
    numbers = number_filters(WEIGHT)
    for tile in net.filters:
        for name, value in asdict(numbers[tile.index]).items():
            assert getattr(tile, name) == value
    assert net.summary.filters == 12
    assert net.summary.low == pytest.approx(fmean(filter.low for filter in numbers))


def test_colour_part_is_shown_but_the_whole_is_measured(tmp_path):
    (net,) = make(tmp_path / "out", part="colour").results.nets
    colour = split_parts(WEIGHT)[1][0].permute(1, 2, 0).numpy()
    shown = to_bytes(scale_signed(colour, float(np.abs(colour).max()))).astype(int)
    assert np.abs(load(tmp_path / "out" / net.filters[0].image) - shown).max() <= 1
    assert net.filters[0].energy == number_filters(WEIGHT)[0].energy


@pytest.mark.parametrize("order", ["frequency", "energy"])
def test_filters_stand_in_the_asked_order_with_their_numbers(tmp_path, order):
    manifest = make(tmp_path / "out", order=order)
    expected = sort_filters(number_filters(WEIGHT), order)
    assert [tile.index for tile in manifest.results.nets[0].filters] == expected != list(range(12))
    assert manifest.results.notes[0].startswith("sorted by")
    panel = measure_net(MODEL, None, "Tiny", FilterSettings(order=order)).make_panel(False)
    assert panel.labels == tuple(str(index) for index in expected)


def test_deeper_layers_show_the_strongest_filters_by_channel(tmp_path):
    (net,) = make(tmp_path / "out", layers=("conv2",)).results.nets
    weight = MODEL.module.get_parameter("3.weight").detach()
    assert (net.path, net.first, net.channels, net.unit) == ("3", False, 12, "cycles/map px")
    assert len(net.filters) == 10  # of 12 the layer has no more
    scaled = 0.5 + weight[4:5] / (2 * weight[4].abs().max())
    (block,) = show_channels(scaled)
    shown = load(tmp_path / "out" / net.filters[4].image).astype(int)
    assert np.abs(shown - to_bytes(block)).max() <= 1
    energy = weight[4].double().square().sum(dim=(1, 2))
    assert net.filters[4].strongest_channel == energy.argmax().item()
    assert net.filters[4].strongest_share == pytest.approx((energy.max() / energy.sum()).item())
    assert net.filters[4].colour is None


def test_default_of_a_deeper_layer_is_the_twelve_of_largest_energy(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.Conv2d(5, 40, 3))
    model = replace(MODEL, module=module, layers={})
    (net,) = make(tmp_path / "out", model, layers=("1",)).results.nets
    energy = module[1].weight.detach().square().sum(dim=(1, 2, 3))
    assert [tile.index for tile in net.filters] == sorted(energy.topk(MOST_BLOCKS).indices.tolist())
    assert net.shown == "the 12 of 40 filters with the largest energy"
    assert net.summary.filters == 40  # of the whole layer


@pytest.mark.parametrize("layers", [(), ("conv2",)])
def test_units_are_those_asked_for(tmp_path, layers):
    (net,) = make(tmp_path / "out", layers=layers, units=(7, 2, 7)).results.nets
    assert [tile.index for tile in net.filters] == [2, 7]
    assert net.shown.startswith("2 of 1") and net.shown.endswith("as asked for")


def test_several_nets_stand_side_by_side(tmp_path):
    manifest = make(tmp_path / "out", (MODEL, OTHER), layers=("conv1", "conv2"))
    assert [net.title for net in manifest.nets] == ["Tiny $net conv1", "Other conv2"]
    assert [net.path for net in manifest.results.nets] == ["0", "3"]
    assert manifest.title == "Tiny $net and Other: filters of conv1 and conv2"
    files = find_files(manifest)
    assert len(files) == 2 + 2 * (12 + 10) == len(set(files))
    assert all((tmp_path / "out" / name).is_file() for name in files)


def test_the_same_net_twice_is_told_apart_by_its_weights(tmp_path):
    bundled = replace(MODEL, provenance=Provenance("bundled"))
    titles = [net.title for net in make(tmp_path / "a", (MODEL, bundled)).nets]
    assert titles == ["Tiny $net, random", "Tiny $net, bundled"]
    titles = [net.title for net in make(tmp_path / "b", (MODEL, MODEL)).nets]
    assert titles == ["Tiny $net, 1", "Tiny $net, 2"]


def test_clipping_is_a_figure_of_its_own_and_changes_nothing_else(tmp_path):
    rms = STORED.square().mean(dim=(1, 2, 3)).sqrt()
    radius = rms.median().item()
    clipped, plain = make(tmp_path / "a", clip=radius), make(tmp_path / "b")
    assert [figure.file for figure in clipped.figures][1] == "clipping.png"
    assert clipped.results.nets[0].clipped == int((rms > radius * 1.001).sum()) > 0
    assert replace(clipped.results.nets[0], clipped=None) == plain.results.nets[0]


def test_clipped_panels_say_how_many_exceed():
    exhibit = measure_net(MODEL, None, "Tiny", FilterSettings())
    rms = STORED.square().mean(dim=(1, 2, 3)).sqrt().sort().values
    without, clipped = exhibit.make_clipped_panels(rms[8:10].mean().item())
    assert without.notes[0].startswith("3 of 12 filters exceed an RMS of")
    assert clipped.notes == ("3 filters scaled back",)
    # one scale for all: what was clipped no longer dominates
    assert any(not np.array_equal(a, b) for a, b in zip(without.tiles, clipped.tiles, strict=True))
    without, clipped = exhibit.make_clipped_panels(100.0)
    assert without.notes[0].startswith("no filter exceeds an RMS of 100")
    assert clipped.notes == ("the same: nothing to scale back",)
    assert all(np.array_equal(a, b) for a, b in zip(without.tiles, clipped.tiles, strict=True))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"layers": ("conv2",), "part": "colour"}, LayerError, "conv2 of tiny has no colour part"),
        ({"layers": ("conv9",)}, LayerError, "no layer 'conv9'"),
        ({"layers": ("fc6",)}, LayerError, "fully connected"),
        ({"layers": ("conv1", "conv2")}, VizcnnError, "2 layers for 1 net"),
        ({"units": (12,)}, LayerError, "filter 12 does not exist: the first layer of tiny has"),
        ({"units": (-1,)}, LayerError, "filters 0..11"),
        ({"clip": 0.0}, VizcnnError, "clipping radius of 0 makes no sense"),
        ({"clip": float("nan")}, VizcnnError, "clipping radius of nan"),
        ({"clip": float("inf")}, VizcnnError, "clipping radius of inf"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_written(tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        make(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_no_net_and_nets_without_colours_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no net is named"):
        make(tmp_path / "out", ())
    for module in (torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(3, 4)):
        with pytest.raises(ModelError):
            make(tmp_path / "out", replace(MODEL, module=module))
    assert not (tmp_path / "out").exists()
