"""Projections as pictures: the bare ones, the figure, and how notebooks and files get them."""

import sys
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vizcnn
from vizcnn.drawing.display import ShownFigure, show_figure
from vizcnn.photos.samples import find_sample


@pytest.fixture(scope="module")
def found():
    return vizcnn.load("zfnet", weights="bundled").deconv("coffee", "conv2", count=4)


def scale_by_hand(values):
    """Zero as mid grey, the 99.5 percentile of what is not zero as full contrast."""
    array = values.permute(1, 2, 0).numpy().astype(np.float64)
    limit = np.percentile(np.abs(array[array != 0]), 99.5)
    return np.clip(0.5 + array / (2 * limit), 0, 1)


def test_one_projection_is_its_window_around_mid_grey(found):
    one = found[1]
    np.testing.assert_allclose(one.array, scale_by_hand(one.windows[0]), atol=1e-5)
    assert one.array.dtype == np.float32
    assert one.array.shape == (*found.windows.shape[2:], 3)
    pixels = np.array(one.to_pil())
    np.testing.assert_allclose(pixels, scale_by_hand(one.windows[0]) * 255, atol=0.51)


def test_several_lie_in_a_grid(found):
    height, width = found.windows.shape[2:]
    grid = found.array
    assert grid.shape == (2 * height + 1, 2 * width + 1, 3)
    assert np.array_equal(grid[height + 1 :, :width], found[2].array)


def test_of_several_photos_each_has_a_row():
    net = vizcnn.load("lenet")
    found = net.deconv(["coffee", "rocket"], "conv1", count=3)
    height, width = found.windows.shape[2:]
    assert found.array.shape == (2 * height + 1, 3 * width + 2, 3)
    texts = " ".join(text.get_text() for text in found.figure().texts)
    assert "coffee, rocket" in texts
    assert "rocket: unit" in texts
    # a grey net: three equal colours, where its pixels' gradients have the tint of the luminance
    assert np.ptp(found.array, axis=2).max() == 0
    assert found.windows.std(dim=1).max() > 0


def list_words(figure):
    return [text.get_text() for text in figure.texts]


def test_the_figure_says_what_it_shows(found):
    words = list_words(found.figure())
    assert words[0] == "ZFNet conv2: coffee"
    caption = " ".join(words).replace("\n", " ")
    for told in ("deconvnet", "Zeiler & Fergus", "bundled weights", "zero is mid grey"):
        assert told in caption
    for unit, value in zip(found.units.tolist(), found.activations.tolist(), strict=True):
        assert any(f"unit {unit}\n" in word for word in words)
        assert value > 0


def test_pictures_of_whole_maps_say_so():
    net = vizcnn.load("lenet")
    of_one, of_all = (
        " ".join(list_words(net.deconv("coffee", "conv2", position=place, count=2).figure()))
        for place in ("max", "all")
    )
    assert "whole maps, each place sees 14 × 14 px" in of_all
    assert "whole maps" not in of_one and "sees 14 × 14 px" in of_one


def test_classes_go_by_their_names():
    net = vizcnn.load("zfnet", weights="bundled")
    name = net("coffee").names[0]
    words = list_words(vizcnn.Gradient(net).project("coffee", "fc8", unit=name).figure())
    assert any(word.startswith(f"{name}\n") for word in words)


def test_selectivities_stand_in_the_figure():
    net = vizcnn.load("lenet")
    found = net.deconv("coffee", "conv2", count=2, compare="all")
    words = list_words(found.own.figure())
    assert words[0].startswith("LeNet-5 conv2, own parts") or "own part" in words[0]
    assert any(f"selectivity {found.selectivity[0]:.2f}" in word for word in words)


def test_of_a_plain_module_the_pictures_stand_alone():
    torch.manual_seed(0)
    for channels in (1, 3):
        plain = nn.Sequential(nn.Conv2d(channels, 12, 3), nn.ReLU())
        found = vizcnn.Deconvnet(plain).project(torch.rand(2, channels, 9, 9), "1", count=10)
        words = list_words(found.figure())
        assert words[0] == "1"
        assert sum("unit " in word for word in words) == 20
        assert any("image 1: unit" in word for word in words)
        assert found[0].array.shape == (3, 3, 3)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Conv2d(4, 2, 3), (1, 4, 9, 9)), (nn.Conv1d(3, 2, 3), (1, 3, 9))]
)
def test_what_is_no_picture_is_refused(layer, shape):
    found = vizcnn.Deconvnet(nn.Sequential(layer, nn.ReLU())).project(torch.rand(shape), "1")
    with pytest.raises(vizcnn.VizcnnError, match=r"make no picture.*their values are in \.windows"):
        _ = found.array


def test_nothing_makes_no_picture(found):
    with pytest.raises(vizcnn.VizcnnError, match="no projection to draw"):
        found[:0].figure()


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_it_is_saved_by_the_ending_and_the_same_each_time(found, kind, tmp_path):
    paths = [tmp_path / f"{name}.{kind}" for name in "ab"]
    found.save(paths[0])
    found.save(str(paths[1]))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    assert paths[0].read_bytes().startswith(start)


def test_another_ending_is_refused(found, tmp_path):
    with pytest.raises(vizcnn.VizcnnError, match="no figure format 'txt'"):
        found.save(tmp_path / "picture.txt")
    with pytest.raises(vizcnn.VizcnnError, match="as a file; needed: a path that ends in"):
        found.save(7)
    assert not list(tmp_path.iterdir())


def test_notebooks_get_a_png_of_projections_and_of_every_figure(found):
    for content in (found._repr_png_(), found.figure()._repr_png_()):
        with Image.open(BytesIO(content)) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100
    assert isinstance(found.figure(), ShownFigure)


def test_showing_goes_to_the_notebook_or_to_a_window(found, monkeypatch):
    published: list[dict[str, bytes]] = []
    opened: list[tuple[Image.Image, str]] = []
    monkeypatch.setattr(Image.Image, "show", lambda self, title: opened.append((self, title)))
    shell = SimpleNamespace(display_pub=SimpleNamespace(publish=published.append))
    interactive = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", interactive)
    show_figure(found.figure())  # a terminal: no kernel
    assert [title for _, title in opened] == ["vizcnn"]
    shell.kernel = object()
    found.show()
    assert published[0]["image/png"].startswith(b"\x89PNG")
    assert len(opened) == 1


def test_photos_stand_below_in_the_units_boxes(found):
    """The patch of the first unit is the photo's, cut at its box."""
    with Image.open(str(find_sample("coffee"))) as opened:
        photo = vizcnn.load("zfnet", weights="bundled").read(opened)[0]
    assert torch.equal(found.scene.photos[0], photo)
    stored = [
        np.asarray(image.get_array()) for axes in found.figure().axes for image in axes.images
    ]
    for row, one in enumerate(found):
        top, left, bottom, right = one.boxes[0].tolist()
        patch = photo[:, top:bottom, left:right].permute(1, 2, 0).numpy()
        wanted = [patch, scale_by_hand(found.cut(row))]
        for picture in wanted:
            same = [one for one in stored if one.shape == picture.shape]
            assert any(np.allclose(one / 255, picture, atol=0.51 / 255) for one in same), row


@pytest.mark.parametrize(("count", "across"), [(1, 3), (2, 6), (4, 8), (5, 5), (9, 9), (12, 9)])
def test_units_of_a_photo_are_not_torn_apart_by_those_of_the_next(count, across):
    model = vizcnn.load("lenet")
    seen = model.deconv(["coffee", "astronaut", "chelsea"], "conv2", unit=list(range(count)))
    pictures = [len(row.images) for row in seen.figure().axes]
    assert pictures[0] == 2 * across  # each projection, and the patch below it
    assert sum(pictures) == 2 * 3 * count


def test_photos_of_a_unit_are_not_torn_apart_by_those_of_the_next():
    model = vizcnn.load("lenet")
    seen = model.deconv(["coffee", "astronaut", "chelsea", "rocket"], "conv2", unit=[0, 1, 2])
    by_unit = seen[seen.units.argsort(stable=True).tolist()]
    assert [len(row.images) for row in by_unit.figure().axes] == [2 * 8, 2 * 4]
