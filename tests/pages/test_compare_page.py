"""The page of methods, end to end on a small net: its numbers computed anew, figure, manifest."""

import re
from dataclasses import replace
from typing import Any

import captum
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from tests.drawing.test_figures import check_layout, flat
from tests.gallery.test_site import NASTY, check_links, write
from tests.support.small_zoo import LAYERS, make_model, paint_photo
from vizcnn.attribution.attributions import ATTRIBUTIONS, find_attributions
from vizcnn.attribution.question import ask
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import ImageError, LayerError, UnsupportedOperationError, VizcnnError
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.measures.method_evidence import ShuffledNet
from vizcnn.pages.compare import (
    Columns,
    CompareResults,
    CompareSettings,
    draw,
    make_compare_page,
    measure,
)

pytestmark = pytest.mark.slow
MODEL = make_model()
QUICK = ("deconvnet", "gradient-x-input", "layer-cam", "occlusion", "own-gradient")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    home = tmp_path_factory.mktemp("photos")
    return [paint_photo(home / f"{name}.png", seed) for seed, name in enumerate(("a", "b $1"))]


def make(photos, folder, model=MODEL, **changes):
    settings = CompareSettings(**{"steps": 4, "side": 4, "stride": 4, **changes})
    return make_compare_page(model, photos, settings, folder, "vizcnn compare")


def without_times(manifest):
    results = manifest.results

    def still(numbers):
        return replace(numbers, seconds=0.0)

    methods = tuple(replace(m, medians=still(m.medians)) for m in results.methods)
    sections = tuple(
        replace(photo, maps=tuple(replace(m, numbers=still(m.numbers)) for m in photo.maps))
        for photo in results.photos
    )
    return replace(manifest, results=replace(results, methods=methods, photos=sections))


@pytest.fixture(scope="module")
def page(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    return make(photos, folder, save_arrays=True), folder


def test_all_but_the_times_repeats(page, photos, tmp_path):
    manifest, folder = page
    again = make(photos, tmp_path / "again", save_arrays=True)
    assert without_times(again) == without_times(manifest)
    written = read_manifest(folder, CompareResults)
    assert without_times(written).results == without_times(manifest).results
    assert from_json(to_json(written), CompareResults) == written
    for name in set(find_files(manifest)) - {"methods.png"}:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert [method.name for method in manifest.results.methods] == list(ATTRIBUTIONS)
    assert manifest.results.left_out == ()
    assert manifest.versions["captum"] == captum.__version__


def test_the_predicted_class_is_asked_about(page):
    manifest, _ = page
    assert manifest.results.layer == "fc7"
    for photo, section in zip(manifest.photos, manifest.results.photos, strict=True):
        logits = MODEL.logits(MODEL.read(photo.source))[0]
        assert section.unit == int(logits.argmax())
        assert section.name == MODEL.classes[section.unit]
        assert section.activation == pytest.approx(logits.max().item(), rel=1e-5)
        assert section.position is None
        assert section.box == (0, 0, 32, 32)


def run_to(layer, pixels):
    """The small net, part by part."""
    signal = MODEL.preprocessing.normalise(pixels)
    for part in list(MODEL.module.children())[: int(LAYERS[layer]) + 1]:
        signal = part(signal)
    return signal


@pytest.mark.parametrize("layer", ["fc7", "conv4"])
def test_numbers_are_those_computed_anew(layer, photos, tmp_path):
    manifest = make(photos[:1], tmp_path / "o", layer=layer, save_arrays=True)
    (section,) = manifest.results.photos
    arrays = np.load(tmp_path / "o" / section.arrays)
    question, _ = ask(MODEL, MODEL.read(photos[0]), layer)
    top, left, bottom, right = question.box
    shuffled = ShuffledNet(MODEL, layer, 0).ask(question, 8)
    assert shuffled is not None and section.stand_in == shuffled.units.item()
    settings = CompareSettings(steps=4, side=4, stride=4)

    def answer(name, question):
        return ATTRIBUTIONS[name].attribute(question, settings).numpy()

    squares = [
        (row, column)
        for row in range(0, 32, 4)
        for column in range(0, 32, 4)
        if row >= top and column >= left and row + 4 <= bottom and column + 4 <= right
    ]
    falls = {section.unit: [], section.control: []}
    for row, column in squares:
        hidden = question.pixels.clone()
        colour = torch.tensor(MODEL.preprocessing.mean).view(3, 1, 1)
        hidden[0, :, row : row + 4, column : column + 4] = colour
        maps = run_to(layer, torch.cat([question.pixels, hidden])).detach()
        for unit, fall in falls.items():
            before, after = maps[(slice(None), unit, *(section.position or ()))].tolist()
            fall.append(before - after)
    assert section.control in section.compared[1:]
    for found in section.maps:
        name, numbers = found.method, found.numbers
        values = arrays[name]
        assert values.shape == (bottom - top, right - left, 3 if ATTRIBUTIONS[name].colours else 1)
        together = answer(name, question.about(question.company))[..., top:bottom, left:right]
        flattened = together.reshape(len(together), -1).astype(np.float64)
        unit = flattened[np.abs(flattened).max(axis=1) > 0]
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        # all active units are in the company of so small a net: none stands for others
        assert section.active == len(section.compared)
        _, _, vectors = np.linalg.svd(unit)
        if numbers.selectivity is None:
            assert not flattened[0].any() or len(unit) < 2
        else:
            wanted = 1 - (unit[0] @ vectors[0]) ** 2
            assert numbers.selectivity == pytest.approx(wanted, abs=2e-4)
        single = values[..., 0] if values.shape[2] == 1 else np.abs(values).sum(axis=2)
        placed = np.zeros((32, 32))
        placed[top:bottom, left:right] = single
        sums = [placed[row : row + 4, column : column + 4].sum() for row, column in squares]
        for got, drop in zip((numbers.agreement, numbers.control), falls.values(), strict=True):
            wanted = spearmanr(sums, drop).statistic
            assert (got is None and np.isnan(wanted)) or got == pytest.approx(wanted, abs=0.01)
        after = np.abs(answer(name, shuffled)[0, :, top:bottom, left:right]).sum(0)
        if numbers.shuffled is None:
            assert not after.any() or not single.any()
        else:
            pair = [
                np.clip(image / np.percentile(image, 99.5), 0, 1)
                for image in (np.abs(values).sum(axis=2), after)
            ]
            wanted = structural_similarity(*pair, win_size=7, data_range=1.0)
            assert numbers.shuffled == pytest.approx(wanted, abs=1e-3)
        magnitudes = np.abs(values[values != 0])
        limit = np.percentile(magnitudes, 99.5) if magnitudes.size else 0.0
        assert found.limit == pytest.approx(limit, rel=1e-5)
        assert numbers.seconds > 0
    (occlusion,) = (found for found in section.maps if found.method == "occlusion")
    assert occlusion.numbers.agreement == pytest.approx(1.0)
    (integrated,) = (found for found in section.maps if found.method == "integrated-gradients")
    photo = question.pixels
    mean = torch.tensor(MODEL.preprocessing.mean).view(1, 3, 1, 1).expand_as(photo)
    maps = run_to(layer, torch.cat([photo, mean])).detach()
    first, second = maps[(slice(None), section.unit, *(section.position or ()))].tolist()
    wanted = first - second
    missed = abs(arrays["integrated-gradients"].sum() - wanted) / abs(wanted)
    assert integrated.completeness_error == pytest.approx(missed, rel=1e-3)


def test_medians_are_over_photos(page):
    results = page[0].results
    for number, method in enumerate(results.methods):
        for name in ("selectivity", "shuffled", "agreement", "control", "seconds"):
            values = [getattr(photo.maps[number].numbers, name) for photo in results.photos]
            known = [value for value in values if value is not None]
            wanted = pytest.approx(float(np.median(known))) if known else None
            assert getattr(method.medians, name) == wanted


def test_a_unit_of_a_convolution_at_a_place(photos, tmp_path):
    manifest = make(
        photos[:1], tmp_path / "o", layer="conv2", unit=3, position=(5, 6), methods=QUICK, others=3
    )
    (section,) = manifest.results.photos
    assert (section.unit, section.position, section.name) == (3, (5, 6), "")
    assert section.box == (7, 9, 15, 17)
    assert (section.width_px, section.height_px) == (8, 8)
    assert len(set(section.compared) - {3}) == 3 < section.active
    assert [method.name for method in manifest.results.methods] == list(QUICK)
    assert "captum" not in manifest.versions  # it was not used
    told = " ".join(manifest.results.choices)
    assert "of conv1, enlarged bilinearly" in told
    assert "weights of conv2" in told


def test_a_class_by_name(photos, tmp_path):
    manifest = make(photos[:1], tmp_path / "o", class_name="dog", methods=("gradient",))
    (section,) = manifest.results.photos
    assert (section.unit, section.name) == (1, "dog")


def test_what_makes_no_sense_is_left_out_and_told(photos, tmp_path):
    results = make(photos[:1], tmp_path / "o", layer="conv1").results
    left = {failure.source: failure.error for failure in results.left_out}
    assert list(left) == ["Grad-CAM", "guided Grad-CAM", "LayerCAM"]
    assert all("choose a higher layer with --layer" in error for error in left.values())
    assert len(results.methods) == len(results.photos[0].maps) == 9
    with pytest.raises(LayerError, match=r"^Grad-CAM: class activation maps need a layer"):
        make(photos[:1], tmp_path / "p", layer="conv1", methods=("gradient", "grad-cam"))
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(("side", "told"), [(4, False), (12, True)])
def test_squares_larger_than_the_field_are_told(photos, tmp_path, side, told):
    made = make(photos[:1], tmp_path / "o", layer="conv2", side=side, methods=("gradient",))
    top, left, bottom, right = made.results.photos[0].box
    assert told == (side > min(bottom - top, right - left))
    assert told == ("None fits into the receptive field" in made.results.choices[0])


def test_methods_without_a_rule_are_left_out_by_name(photos, tmp_path):
    model = make_model()
    model.module[14] = torch.nn.Sequential(model.module[14], torch.nn.Tanh())
    layers = {**LAYERS, "fc7": "14"}
    model = replace(model, layers=layers)
    results = make(photos[:1], tmp_path / "o", model).results
    names = ["deconvnet", "guided backprop", "guided Grad-CAM"]
    assert [failure.source for failure in results.left_out] == [
        *names,
        "own part: deconvnet",
        "own part: guided",
    ]
    assert all("tanh" in failure.error for failure in results.left_out)
    with pytest.raises(UnsupportedOperationError, match=r"^guided backprop: "):
        make(photos[:1], tmp_path / "p", model, methods=("guided",))
    asked = make(photos[:1], tmp_path / "q", model, methods=("guided",), unruled="gradient")
    assert [method.name for method in asked.results.methods] == ["guided"]


def test_a_photo_that_cannot_be_read_is_listed(photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    manifest = make([broken, photos[0]], tmp_path / "o", methods=("gradient",))
    assert [failure.source for failure in manifest.failures] == [str(broken)]
    assert len(manifest.results.photos) == 1
    with pytest.raises(VizcnnError, match="broken"):
        make([broken], tmp_path / "p", methods=("gradient",))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"side": 33}, ImageError, "does not fit the net's 32 px"),
        ({"class_name": "dog", "unit": 1}, LayerError, "give --class, or --layer and --unit"),
        ({"class_name": "cow"}, LayerError, "no class 'cow'"),
        ({"layer": "conv9"}, LayerError, "no layer 'conv9'"),
        ({"layer": "conv2", "unit": 10}, LayerError, "unit 10 does not exist"),
        ({"position": "all"}, LayerError, "give max or ROW,COLUMN"),
        ({"cam_layer": "conv9"}, LayerError, "no layer 'conv9'"),
        ({"cam_layer": "fc6"}, LayerError, "cannot look at 'fc6'"),
        ({"others": 1}, VizcnnError, "others"),
        ({"methods": ("gradcam",)}, VizcnnError, "did you mean 'grad-cam'"),
    ],
)
def test_bad_settings_leave_nothing(photos, tmp_path, changes, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make(photos[:1], tmp_path / "o", **changes)
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_it_all(page):
    manifest, folder = page
    renamed: Any = replace(
        manifest, photos=tuple(replace(p, name=NASTY[0]) for p in manifest.photos)
    )
    pages = write(renamed, folder)
    check_links(pages, folder)
    text = flat(pages["index.html"].text)
    for method in manifest.results.methods:
        assert method.title in text
    assert NASTY[0] in text
    for choice in manifest.results.choices:
        assert choice in text
    assert "sum misses by" in text


@pytest.mark.parametrize("count", [1, 3])
def test_the_figure_says_what_it_shows(page, photos, count):
    manifest = page[0]
    settings = CompareSettings(steps=2, side=4, stride=4)
    question, value = ask(MODEL, MODEL.read(photos[0]), "fc7")
    columns = Columns(find_attributions(()), False)
    measured = measure(question, value, columns, ShuffledNet(MODEL, "fc7", 0), settings)
    row = measured.to_row("a photo with a long name")
    texts = flat(check_layout(draw(manifest, [row] * count).figure))
    for words in ("random weights", "zero is mid grey", "99.5 percentile", "seed 0", "±"):
        assert words in texts
    for method in manifest.results.methods:
        assert method.title in texts
    for name in ("selectivity", "after shuffling", "with occlusion", "another unit's", "time"):
        assert name in texts
    assert ("the first 1 of 2 photos are drawn" in texts) == (count == 1)
