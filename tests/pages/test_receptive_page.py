"""The gallery of receptive fields, end to end on a small net: pictures, page, manifest."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from tests.drawing.test_figures import CAPTION, LONG_CAPTION, check_layout, flat
from tests.gallery.test_site import NASTY, check_links, write
from tests.support.galleries import change_results
from tests.support.small_zoo import LAYERS, SIZE, list_files, make_model, paint_photo
from vizcnn.basics.codec import ManifestError, find_files
from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.basics.output import LIST_NAME
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.receptive_fields import (
    MOST_BOXES,
    FieldBox,
    choose_view,
    draw_fields,
    spread_labels,
)
from vizcnn.drawing.sheet import SLIDE_WIDTH
from vizcnn.drawing.tiles import to_bytes
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.pages.receptive import (
    ReceptiveResults,
    ReceptiveSettings,
    list_boxes,
    make_receptive_gallery,
    measure,
    parse_unit,
    show_photo,
)
from vizcnn.receptive import find_box, measure_fields
from vizcnn.zoo import load

MODEL = make_model()
PHOTO = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)


@pytest.fixture
def photo(tmp_path):
    return paint_photo(tmp_path / "café $1.png")


def make(photo, folder, **changes):
    settings = ReceptiveSettings(**changes)
    return make_receptive_gallery(MODEL, photo, folder, settings, "vizcnn receptive")


@pytest.mark.slow
def test_gallery_is_whole_and_repeats(tmp_path, photo):
    manifests = [make(photo, tmp_path / out) for out in ("one", "two")]
    assert manifests[0] == manifests[1]
    written = read_manifest(tmp_path / "one", ReceptiveResults)
    assert replace(written, settings={}) == replace(manifests[0], settings={})
    assert from_json(to_json(written), ReceptiveResults) == written
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")
    pages = {"index.html", "gallery.css", "gallery.js", "manifest.json", LIST_NAME}
    assert set(list_files(tmp_path / "one")) == {*find_files(manifests[0]), *pages}
    assert [figure.file for figure in written.figures] == ["fields.png", "corner.png"]
    (shown,) = written.photos
    assert shown.source == str(photo) and len(shown.sha256) == 64


@pytest.mark.slow
def test_manifest_holds_what_was_measured(tmp_path, photo):
    results = make(photo, tmp_path / "out").results
    fields = measure_fields(MODEL, list(LAYERS))
    assert results.layers == fields
    assert [layer.name for layer in results.layers] == list(LAYERS)
    assert [layer.name for layer in results.drawn] == [n for n in LAYERS if n.startswith("conv")]
    for layer in results.drawn:
        (field,) = [field for field in fields if field.name == layer.name]
        assert layer.middle.box == find_box(field, *layer.middle.position, clip=False)
        assert layer.middle.seen == find_box(field, *layer.middle.position)
        assert layer.corner.position == (0, 0)


@pytest.mark.slow
def test_units_are_drawn_around_one_place(tmp_path, photo):
    manifest = make(photo, tmp_path / "out", layers=("conv1", "conv4", "fc6"), position=(3, 15))
    conv1, conv4, fc6 = manifest.results.drawn
    assert manifest.results.place == "unit (3, 15) of conv4 and those nearest to it"
    assert conv4.middle.position == (3, 15) and fc6.middle.position is None
    rows, columns = (conv4.middle.box[0::2], conv4.middle.box[1::2])
    centre = (sum(rows) - 1) / 2, (sum(columns) - 1) / 2
    assert centre == (6.5, 30.5)
    assert conv1.middle.position in [(row, column) for row in (6, 7) for column in (30, 31)]
    with pytest.raises(LayerError, match=r"'conv4' has no unit at \(16, 0\)"):
        make(photo, tmp_path / "none", layers=("conv1", "conv4"), position=(16, 0))
    with pytest.raises(LayerError, match="no feature maps: leave the position out"):
        make(photo, tmp_path / "none", layers=("fc6",), position=(0, 0))
    assert not (tmp_path / "none").exists()


def test_the_middle_is_that_of_the_image(photo):
    for layer in measure(MODEL, photo, ReceptiveSettings()).drawn:
        field, (top, left, bottom, right) = layer.field, layer.middle.box
        for first, last, step in ((top, bottom, field.stride[0]), (left, right, field.stride[1])):
            assert abs((first + last) / 2 - SIZE / 2) <= step / 2


def test_of_many_layers_as_many_are_drawn_as_there_are_colours(photo):
    layers = tuple(str(number) for number in range(15) if number != 11)
    results = measure(MODEL, photo, ReceptiveSettings(layers=layers))
    assert len(results.layers) == 14
    names = [layer.name for layer in results.drawn]
    assert len(set(names)) == len(names) == MOST_BOXES == len(COLOURS)
    assert (names[0], names[-1]) == (results.layers[0].name, results.layers[-1].name)


def test_fields_that_may_be_too_large_are_called_so(photo):
    results = measure(MODEL, photo, ReceptiveSettings(layers=("conv1", "conv2")))
    unsure = tuple(
        replace(layer, field=replace(layer.field, exact=False)) for layer in results.drawn
    )
    for drawn, told in ((results.drawn, "8 px, stride 2"), (unsure, "at most 8 px, stride 2")):
        boxes = list_boxes(replace(results, drawn=drawn), corner=True)
        assert boxes[1].notes[0] == told


def test_grey_nets_show_what_they_see(photo):
    shown = show_photo(load("lenet", weights=None), photo)
    assert shown.shape == (32, 32, 3)
    torch.testing.assert_close(shown[..., 0], shown[..., 1])
    colours = show_photo(MODEL, photo)
    torch.testing.assert_close(
        torch.from_numpy(colours), MODEL.read(photo)[0].permute(1, 2, 0), rtol=0, atol=1e-5
    )


@pytest.mark.slow
def test_page_shows_figures_and_numbers(tmp_path, photo):
    manifest = make(photo, tmp_path / "o")
    page = write(manifest, tmp_path / "o")["index.html"]
    assert [image["src"] for image in page.find_all("img")] == ["fields.png", "corner.png"]
    text = " ".join(page.text.split())
    for words in ("Tiny $net: receptive fields", "conv5", "8 × 8 px", "−3", "16 × 16", "all"):
        assert words in text
    assert "At most" not in text
    rows = [row for row in page.find_all("td") if row.get("class") == "barred"]
    assert [float(row["data-value"]) for row in rows] == [
        layer.share for layer in manifest.results.layers
    ]
    check_links({"index.html": page}, tmp_path / "o")


@pytest.mark.slow
def test_page_says_where_geometry_is_unknown_and_links_what_browsers_do_not_show(tmp_path, photo):
    manifest = make(photo, tmp_path / "out", figure_format="pdf")
    layers = tuple(replace(layer, exact=False) for layer in manifest.results.layers)
    page = write(change_results(manifest, layers=layers), tmp_path / "out")["index.html"]
    assert page.text.count("at most") == len(LAYERS) and "never too small" in page.text
    assert page.find_all("img") == [] and {"fields.pdf", "corner.pdf"} <= set(page.links)


@pytest.mark.slow
@pytest.mark.parametrize("name", NASTY)
def test_everything_is_escaped(tmp_path, photo, name):
    manifest = make(photo, tmp_path / "out")

    def rename(word):
        (net,), (seen,), results = manifest.nets, manifest.photos, manifest.results
        return replace(
            manifest,
            title=word,
            command=word,
            nets=(replace(net, title=word, model=word),),
            photos=(replace(seen, source=word),),
            figures=tuple(replace(f, title=word, text=word, note=word) for f in manifest.figures),
            settings={word: word},
            results=replace(
                results,
                place=word,
                layers=tuple(replace(layer, name=word, path=word) for layer in results.layers),
            ),
        )

    usual = write(rename("word"), tmp_path / "out")["index.html"]
    page = write(rename(name), tmp_path / "out")["index.html"]
    assert page.text.count(name) == usual.text.count("word") > 20
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]


@pytest.mark.slow
def test_manifests_of_other_shapes_are_refused(tmp_path, photo):
    text = to_json(make(photo, tmp_path / "out"))
    with pytest.raises(ManifestError, match=re.escape("layers[0].size")):
        from_json(text.replace('"size": [3, 3]', '"size": [3]', 1), ReceptiveResults)


def test_a_photo_that_cannot_be_read_leaves_nothing(tmp_path):
    with pytest.raises(ImageError):
        make(tmp_path / "missing.png", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def make_boxes(count, step=9, corner=False):
    half = [2 + step * number for number in range(count)]
    return [
        FieldBox(
            (-n // 2, -n // 2, n, n) if corner else (32 - n, 32 - n, 32 + n, 32 + n),
            f"conv{number}",
            (f"{2 * n} px, stride 16", f"unit ({number}, 111): < 0.1% of the image"),
        )
        for number, n in enumerate(half)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 5, MOST_BOXES])
@pytest.mark.parametrize("step", [0, 1, 9, 90])
@pytest.mark.parametrize("corner", [False, True])
def test_labels_stand_apart_on_a_slide(count, step, corner):
    boxes = make_boxes(count, step, corner)
    figure = draw_fields(PHOTO, boxes, "ZFNet", CAPTION, "bottom" if corner else "top")
    texts = check_layout(figure)
    for box in boxes:
        assert box.name in texts and box.notes[0] in texts and box.notes[1] in texts
    assert CAPTION in flat(texts)
    width, height = figure.get_size_inches()
    assert width <= SLIDE_WIDTH and height <= 8.5


@pytest.mark.slow
def test_long_words_stay_in_their_place():
    boxes = [replace(box, name="features.denseblock4.denselayer31") for box in make_boxes(5)]
    check_layout(draw_fields(PHOTO, boxes, "ZFNet " * 40, LONG_CAPTION))


def test_boxes_lie_where_the_pixels_are():
    boxes = make_boxes(3)
    figure = draw_fields(PHOTO, boxes, "ZFNet", CAPTION)
    (axes,) = figure.axes
    framed = [patch for patch in axes.patches if isinstance(patch, Rectangle) and not patch.fill]
    drawn = {(patch.get_y() + 0.5, patch.get_x() + 0.5, patch.get_height()) for patch in framed}
    assert drawn == {(box.box[0], box.box[1], box.box[2] - box.box[0]) for box in boxes}
    np.testing.assert_array_equal(axes.images[0].get_array(), to_bytes(PHOTO))
    assert axes.images[0].get_extent() == [-0.5, 63.5, 63.5, -0.5]


@pytest.mark.parametrize(
    ("box", "top", "side"),
    [
        ((1, 1, 63, 63), 0, 64),  # inside
        ((0, 0, 64, 64), -1.28, 66.56),  # on the edge: a little room for its line
        ((-10, -3, 20, 30), -11.28, 75.28),
        ((-10, -3, 20, 80), -11.28, 92.56),
        ((-999, -999, 999, 999), -6.4, 76.8),  # too large to be drawn
    ],
)
def test_view_holds_the_image_and_the_boxes(box, top, side):
    view = choose_view([box], 64)
    assert (view.top, view.left) == pytest.approx((top, top))
    assert view.side == pytest.approx(side)


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_spread_in_order(seed):
    wanted = sorted(np.random.default_rng(seed).random(6) * 6)
    placed = spread_labels(wanted, 0.6, 6.0)
    assert all(b - a >= 0.6 - 1e-9 for a, b in pairwise(placed))
    assert placed[0] >= 0.3 - 1e-9 and placed[-1] <= 5.7 + 1e-9
    far = spread_labels([1.0, 3.0, 5.0], 0.6, 6.0)
    assert far == [1.0, 3.0, 5.0]


@pytest.mark.parametrize("text", ["", "max", "3", "3,", ",3", "-1,3", "3,4,5", "1.5,2"])
def test_places_that_are_none_are_refused(text):
    with pytest.raises(LayerError, match="needed: middle, or ROW,COLUMN"):
        parse_unit(text)
