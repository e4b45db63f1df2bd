"""Galleries of photos and of filters, end to end on a small net."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vizcnn
from tests.support.small_zoo import SIZE, list_files, make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import LayerError, VizcnnError
from vizcnn.basics.output import LIST_NAME
from vizcnn.drawing.tiles import robust_limit, scale_signed, to_bytes
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.pages.deconv import DeconvResults, DeconvSettings, make_deconv_gallery, measure
from vizcnn.projection.deconvnet import Projector

pytestmark = pytest.mark.slow

MODEL = make_model()
SHORT = DeconvSettings(layers=("conv2",), top=2)


@pytest.fixture
def photo(tmp_path):
    return paint_photo(tmp_path / "photos" / "a b $1.png")


def make(tmp_path, photos, out="out", progress=None, **changes):
    settings = replace(SHORT, **changes)
    options = {} if progress is None else {"progress": progress}
    return make_deconv_gallery(MODEL, photos, settings, tmp_path / out, "vizcnn deconv", **options)


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_gallery_is_whole_and_its_manifest_comes_back(tmp_path, photo):
    layers = ("conv1", "conv3", "conv5")
    manifest = make(tmp_path, [photo], layers=layers, top=3, save_arrays=True)
    out = tmp_path / "out"
    named = find_files(manifest)
    assert all((out / name).is_file() for name in named)
    pages = {"index.html", "gallery.css", "gallery.js", "manifest.json", LIST_NAME}
    assert set(list_files(out)) == {*named, *pages}
    assert read_manifest(out, DeconvResults) == from_json(to_json(manifest), DeconvResults)
    assert replace(read_manifest(out, DeconvResults), settings={}) == replace(manifest, settings={})
    (photo,), (section,), (net,) = manifest.photos, manifest.results.photos, manifest.nets
    assert [layer.name for layer in section.layers] == list(layers)
    assert [len(layer.tiles) for layer in section.layers] == [3, 3, 3]
    assert photo.name == "a b $1.png"
    assert section.size == (48, 40)
    assert net.input_size == (SIZE, SIZE)
    assert sum(share for _, share in section.predictions) == pytest.approx(1.0)
    assert load(out / photo.image).shape == (640, 640, 3)
    assert net.weights.describe() == "random weights (untrained)"
    assert net.options == {"width": 10}
    assert set(manifest.versions) >= {"torch", "numpy", "python"}
    assert manifest.failures == ()


def test_tiles_say_what_was_projected(tmp_path, photo):
    manifest = make(tmp_path, [photo], layers=("conv2", "conv5"), top=4, method="guided")
    pixels = MODEL.read(photo)
    for layer in manifest.results.photos[0].layers:
        wanted = Projector(MODEL, "guided").project(pixels, layer.name, count=4)
        assert [tile.unit for tile in layer.tiles] == wanted.units.tolist()
        assert [tile.activation for tile in layer.tiles] == wanted.activations.tolist()
        assert [list(tile.position) for tile in layer.tiles] == wanted.positions.tolist()
        assert [list(tile.box) for tile in layer.tiles] == wanted.boxes.tolist()
        assert (layer.maps, layer.map_size) == (10, (16, 16))
        assert layer.path == MODEL.layers[layer.name]
        for row, tile in enumerate(layer.tiles):
            top, left, bottom, right = tile.box
            patch = to_bytes(pixels[0, :, top:bottom, left:right].permute(1, 2, 0).numpy())
            assert np.array_equal(load(tmp_path / "out" / tile.patch), patch)
            cut = wanted.pixels[row, :, top:bottom, left:right].permute(1, 2, 0).numpy()
            shown = to_bytes(scale_signed(cut, robust_limit(cut)))
            assert np.array_equal(load(tmp_path / "out" / tile.projection), shown)
            assert (tile.height_px, tile.width_px) == patch.shape[:2]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_run_gives_the_same_bytes(tmp_path, photo, kind):
    for out in ("one", "two"):
        make(tmp_path, [photo], out, figure_format=kind, save_arrays=True)
    one, two = list_files(tmp_path / "one"), list_files(tmp_path / "two")
    assert one == two
    assert [name for name in one if name.endswith(f"strip.{kind}")] == [
        f"photo-001/conv2/strip.{kind}"
    ]


def test_a_run_over_an_earlier_one_leaves_only_the_new(tmp_path, photo):
    make(tmp_path, [photo], layers=("conv1", "conv2"), figure_format="svg")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    make(tmp_path, [photo])
    make(tmp_path, [photo], "fresh")
    files = list_files(tmp_path / "out")
    assert files.pop("notes.txt") == b"mine"
    assert files == list_files(tmp_path / "fresh")


def test_shared_scale_keeps_the_ratio_of_units(tmp_path, photo):
    contrast = {}
    for scaling in ("unit", "shared"):
        manifest = make(tmp_path, [photo], scaling, scaling=scaling, units=(0, 1, 2, 3, 4, 5))
        (layer,) = manifest.results.photos[0].layers
        tiles = [load(tmp_path / scaling / tile.projection) for tile in layer.tiles]
        contrast[scaling] = [int(abs(tile.astype(int) - 128).max()) for tile in tiles]
        assert ("units' largest" in layer.scaling) == (scaling == "shared")
    active = [index for index, value in enumerate(contrast["unit"]) if value > 5]
    assert len(active) > 1
    assert all(contrast["unit"][index] >= 127 for index in active)
    assert max(contrast["shared"]) >= 127
    assert min(contrast["shared"][index] for index in active) < 120


def test_of_a_grey_net_the_page_says_that_it_sees_no_colour(tmp_path, photo):
    model, settings = vizcnn.load("lenet"), DeconvSettings(layers=("conv1",), top=1)
    made = make_deconv_gallery(model, [photo], settings, tmp_path / "grey", "vizcnn deconv")
    assert made.results.photos[0].used.endswith("used; the net sees the luminance alone")
    assert "the net sees the luminance alone" in (tmp_path / "grey" / "index.html").read_text()


def test_units_are_taken_in_order_and_once(tmp_path, photo):
    manifest = make(tmp_path, [photo], units=(7, 0, 7))
    assert [tile.unit for tile in manifest.results.photos[0].layers[0].tiles] == [7, 0]


@pytest.mark.parametrize(("position", "place"), [("all", None), ((3, 5), (3, 5)), ("max", ...)])
def test_positions(tmp_path, photo, position, place):
    (layer,) = make(tmp_path, [photo], position=position).results.photos[0].layers
    for tile in layer.tiles:
        if place is ...:
            assert tile.position is not None
        else:
            assert tile.position == place
        if position == "all":
            assert tile.box == (0, 0, SIZE, SIZE)


def test_fully_connected_units_see_the_whole_photo(tmp_path, photo):
    (layer,) = make(tmp_path, [photo], layers=("fc6",)).results.photos[0].layers
    assert (layer.maps, layer.map_size) == (11, None)
    assert all(tile.position is None and tile.box == (0, 0, SIZE, SIZE) for tile in layer.tiles)


def test_units_of_the_last_layer_are_named_by_their_class(tmp_path, photo):
    below, last = make(tmp_path, [photo], layers=("fc6", "fc7"), top=4).results.photos[0].layers
    assert [tile.name for tile in last.tiles] == [make_model().classes[t.unit] for t in last.tiles]
    assert {tile.name for tile in below.tiles} == {""}
    assert "cat &lt;&amp;&gt;" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_a_silent_unit_has_no_place(tmp_path, photo):
    (layer,) = make(tmp_path, [photo], layers=("conv5",), top=10).results.photos[0].layers
    silent = [tile for tile in layer.tiles if tile.activation == 0]
    assert silent, "this net and photo have silent units"
    assert all(tile.position is None for tile in silent)
    assert all(tile.position is not None for tile in layer.tiles if tile.activation > 0)


def test_more_units_than_there_are_and_module_paths_as_names(tmp_path, photo):
    (layer,) = make(tmp_path, [photo], layers=("3#1",), top=99).results.photos[0].layers
    assert len(layer.tiles) == 10
    assert "3#1" in layer.tiles[0].patch


def test_arrays_hold_the_projection(tmp_path, photo):
    (layer,) = make(tmp_path, [photo], save_arrays=True, top=5).results.photos[0].layers
    wanted = Projector(MODEL, "deconvnet").project(MODEL.read(photo), "conv2", count=5)
    with np.load(tmp_path / "out" / layer.arrays) as arrays:
        assert set(arrays) == {"pixels", "units", "activations", "positions", "boxes"}
        for name in arrays:
            assert np.array_equal(arrays[name], getattr(wanted, name).numpy()), name


def test_each_layer_is_shown_as_soon_as_it_is_measured(photo):
    seen = []

    def see(shown, layer):
        assert shown.layers == ()
        seen.append((layer.section.name, shown.name, shown.section.figure))

    settings = DeconvSettings(("conv2", "conv1"), top=1)
    found = measure(Projector(MODEL, "deconvnet"), MODEL, photo, settings, "home", see)
    names = [layer.section.name for layer in found.layers]
    assert names == [layer.name for layer in found.section.layers] == ["conv2", "conv1"]
    assert seen == [(name, found.name, "home/summary.png") for name in names]


def test_bad_photos_are_listed_and_the_others_go_through(tmp_path, photo):
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.png"
    text.write_text("no photo")
    empty.touch()
    second = paint_photo(tmp_path / "z.webp", seed=1)
    photos = [text, photo, tmp_path / "missing.jpg", second, empty]
    manifest = make(tmp_path, photos)
    assert [section.source for section in manifest.photos] == [str(photo), str(second)]
    assert [failure.source for failure in manifest.failures] == [
        str(path) for path in (text, photos[2], empty)
    ]
    assert all("\n" not in failure.error for failure in manifest.failures)
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"photo-001", "photo-002"}
    assert "missing.jpg" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_without_one_good_photo_nothing_is_written(tmp_path, count):
    photos = [tmp_path / f"missing-{index}.jpg" for index in range(count)]
    with pytest.raises(VizcnnError) as caught:
        make(tmp_path, photos, "a/out")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 150 + 3 * 2 * len(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": (99,)}, "layer conv2: unit 99 does not exist"),
        ({"position": (16, 0)}, "layer conv2: position"),
        ({"layers": ("conv9",)}, "conv9"),
        ({"layers": ()}, "no layer is named"),
        ({"top": 0}, "needed: 1 or more"),
    ],
)
def test_settings_that_do_not_fit_leave_nothing(tmp_path, photo, changes, message):
    with pytest.raises(LayerError, match=message):
        make(tmp_path, [photo], **changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_exception_in_the_middle_leaves_the_former_gallery(tmp_path, photo, error):
    make(tmp_path, [photo])
    before = list_files(tmp_path)

    def fail_second(items, **_):
        yield items[0]
        raise error

    with pytest.raises(type(error)):
        make(tmp_path, [photo, photo], progress=fail_second, layers=("conv1",))
    assert list_files(tmp_path) == before


def test_progress_is_told_of_every_photo(tmp_path, photo):
    told = []

    def progress(items, *, label, total=None, unit="it"):
        told.append((label, total, unit))
        return iter(items)

    make(tmp_path, [photo], progress=progress)
    assert told == [("project", 1, "photo")]


def test_the_model_stays_as_it_was(tmp_path, photo):
    before = {name: value.clone() for name, value in MODEL.module.state_dict().items()}
    make(tmp_path, [photo])
    assert all(torch.equal(value, before[n]) for n, value in MODEL.module.state_dict().items())
    assert all(parameter.grad is None for parameter in MODEL.module.parameters())


def test_manifest_is_plain_json(tmp_path, photo):
    make(tmp_path, [photo])
    text = (tmp_path / "out" / "manifest.json").read_text(encoding="ascii")
    assert json.loads(text)["settings"]["layers"] == ["conv2"]
    assert str(tmp_path / "out") not in text  # the folder may be moved
