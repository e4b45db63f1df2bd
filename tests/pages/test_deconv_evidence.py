"""What the pictures of ``vizcnn deconv`` say of themselves, against numpy's own decomposition."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.small_zoo import list_files, make_model, paint_photo
from vizcnn.basics.errors import VizcnnError
from vizcnn.drawing.tiles import to_bytes
from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery
from vizcnn.projection.deconvnet import Projector

pytestmark = pytest.mark.slow

MODEL = make_model()
SHORT = DeconvSettings(layers=("conv2",), top=3, compare="all")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return paint_photo(tmp_path_factory.mktemp("photos") / "a.png")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photo):
    """A run that compares all and shows whole pictures: its layer, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return get_layers(make(folder, photo, save_arrays=True))[0], folder / "out"


def make(tmp_path, photo, out="out", model=MODEL, **changes):
    settings = replace(SHORT, **changes)
    return make_deconv_gallery(model, [photo], settings, tmp_path / out, "vizcnn deconv")


def get_layers(manifest):
    return manifest.results.photos[0].layers


def load(path):
    return np.asarray(Image.open(path))


def run_layer(photo, layer):
    """The layer's maps, by torch alone."""
    end = int(MODEL.layers[layer]) + 1
    with torch.no_grad():
        return MODEL.module[:end](MODEL.preprocessing.normalise(MODEL.read(photo)))[0]


def project_place(photo, layer, place, method="deconvnet"):
    """The pictures of all units that are active at a place, flat, by unit."""
    maps = run_layer(photo, layer)
    values = maps[(slice(None), *place)] if maps.ndim == 3 else maps
    units = [unit for unit in range(len(values)) if values[unit] > 0]
    projector = Projector(MODEL, method)
    position = place if maps.ndim == 3 else "max"
    pixels = projector.project(MODEL.read(photo), layer, units, position).pixels
    return dict(zip(units, pixels.flatten(1).double().numpy(), strict=True)), values


def decompose(pictures):
    """The common picture and the effective number, by numpy's singular values."""
    rows = np.stack([row / np.linalg.norm(row) for row in pictures.values() if row.any()])
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    shares = values**2 / (values**2).sum()
    return vectors[0], 1 / (shares**2).sum()


def find_cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_tiles_and_layers_carry_the_numbers_of_a_plain_decomposition(tmp_path, photo, method):
    layers = get_layers(make(tmp_path, photo, layers=("conv4",), method=method))
    for layer in layers:
        for tile in layer.tiles:
            pictures, _ = project_place(photo, layer.name, tile.position, method)
            common, number = decompose(pictures)
            cosine = find_cosine(pictures[tile.unit], common)
            assert tile.selectivity == pytest.approx(1 - cosine**2, abs=1e-5)
            assert tile.compared == tile.active == len(pictures) > 2
            if tile is layer.strongest:
                assert layer.effective_number == pytest.approx(number, rel=1e-5)
        assert layer.strongest.activation == max(tile.activation for tile in layer.tiles)
    page = (tmp_path / "out/index.html").read_text("utf-8")
    for layer in layers:
        tile = layer.strongest
        row, column = tile.position
        assert (
            f"The {tile.active} active units make {layer.effective_number:.1f} different picture"
            in page
        )
        assert f"at the place of unit {tile.unit} (row {row}, column {column})." in page
        assert page.count(f"selectivity {tile.selectivity:.2f}</span>") >= 2  # tile and control


@pytest.mark.parametrize("layer", ["conv2", "conv3", "fc6"])
def test_the_control_is_the_strongest_other_unit_of_the_very_place(tmp_path, photo, layer):
    (section,) = get_layers(make(tmp_path, photo, layers=(layer,)))
    strongest, control = section.strongest, section.control
    pictures, values = project_place(photo, layer, strongest.position)
    first, other = control.units
    others = {unit: float(values[unit]) for unit in pictures if unit != strongest.unit}
    assert (first.unit, first.activation) == (strongest.unit, strongest.activation)
    assert other.unit == max(others, key=others.get)
    assert other.activation == pytest.approx(others[other.unit])
    assert first.selectivity == strongest.selectivity  # compared with the very same units
    pair = [pictures[first.unit], pictures[other.unit]]
    assert control.cosine == pytest.approx(find_cosine(*pair), abs=1e-5)
    common, _ = decompose(pictures)
    own = [picture - (picture @ common) * common for picture in pair]
    assert control.own_cosine == pytest.approx(find_cosine(*own), abs=1e-3)
    out = tmp_path / "out"
    assert np.array_equal(load(out / first.whole), load(out / strongest.projection))
    top, left, bottom, right = strongest.box
    for unit, values in ((first, own[0]), (other, own[1])):
        cut = values.reshape(3, 32, 32)[:, top:bottom, left:right].transpose(1, 2, 0)
        limit = np.percentile(np.abs(cut[np.abs(cut) > 1e-12]), 99.5)
        shown = to_bytes(np.clip(0.5 + cut / 2 / limit, 0, 1)).astype(int)
        assert np.abs(load(out / unit.own) - shown).max() <= 2
    page = (out / "index.html").read_text("utf-8")
    assert f"Beside unit {first.unit} stands unit {other.unit}," in page
    assert f"Whole pictures: cosine {control.cosine:.2f}." in page
    assert f"Own parts: cosine {control.own_cosine:.2f}." in page


def test_a_sample_of_the_units_is_marked(tmp_path, photo, whole):
    every, _ = whole
    (some,) = get_layers(make(tmp_path, photo, "some", compare=2))
    for tile, exact in zip(some.tiles, every.tiles, strict=True):
        assert (tile.unit, tile.active) == (exact.unit, exact.active)
        assert tile.compared < tile.active
        assert tile.label.startswith("selectivity ≈") and "≈" not in exact.label
        assert tile.among == f"among {tile.compared} of {tile.active} active units"
        assert exact.among == f"among {exact.active} active units"
    page = (tmp_path / "some/index.html").read_text("utf-8")
    assert f"active units make about {some.effective_number:.1f} different picture" in page


@pytest.mark.parametrize("part", ["own", "common"])
def test_a_part_is_shown_saved_and_said(tmp_path, photo, whole, part):
    manifest = make(tmp_path, photo, part, part=part, save_arrays=True)
    (layer,), (plain, folder) = get_layers(manifest), whole
    assert manifest.results.part == part
    assert [tile.selectivity for tile in layer.tiles] == [t.selectivity for t in plain.tiles]
    with np.load(tmp_path / part / layer.arrays) as arrays:
        saved = {name: arrays[name].astype(float) for name in arrays}
    with np.load(folder / plain.arrays) as arrays:
        assert {name: arrays[name].astype(float).tolist() for name in arrays} == {
            name: values.tolist() for name, values in saved.items()
        }
    assert saved["own"] + saved["common"] == pytest.approx(saved["pixels"], abs=1e-6)
    for row, tile in enumerate(layer.tiles):
        pictures, _ = project_place(photo, "conv2", tile.position)
        common, _ = decompose(pictures)
        picture = saved["pixels"][row].flatten()
        along = (picture @ common) * common
        assert saved["common"][row].flatten() == pytest.approx(along, abs=1e-5)
        assert saved["selectivity"][row] == tile.selectivity
        top, left, bottom, right = tile.box
        cut = saved[part][row, :, top:bottom, left:right].transpose(1, 2, 0)
        limit = np.percentile(np.abs(cut[cut != 0]), 99.5)
        shown = to_bytes(np.clip(0.5 + cut / 2 / limit, 0, 1)).astype(int)
        assert np.abs(load(tmp_path / part / tile.projection) - shown).max() <= 1
    page = (tmp_path / part / "index.html").read_text("utf-8")
    assert f"Each pair: the <b>{part} part</b> of a unit" in page
    assert f"<dt>Shown</dt><dd>{part} parts: " in page
    assert f"{part.capitalize()} part of unit {layer.tiles[0].unit} of conv2" in page


def test_comparing_changes_no_picture(tmp_path, photo, whole):
    (layer,) = get_layers(make(tmp_path, photo, compare=None))
    compared, plain = list_files(whole[1]), list_files(tmp_path / "out")
    for name in (layer.overlay, *(tile.projection for tile in layer.tiles)):
        assert compared[name] == plain[name]
    assert not [name for name in plain if "control" in name]
    page = plain["index.html"].decode()
    assert "electivity" not in page and "Control" not in page and "active units" not in page
    tile = json.loads(plain["manifest.json"])["results"]["photos"][0]["layers"][0]["tiles"][0]
    assert tile["selectivity"] is tile["compared"] is tile["active"] is None
    assert "unit-selectivity" in compared["index.html"].decode()


def make_lone():
    """A net with a single active unit in conv2, at every place and on every photo."""
    model = make_model()
    with torch.no_grad():
        model.module[3].bias.fill_(-1e3)
        model.module[3].bias[4] = 1e3
    return model


def test_a_unit_alone_at_its_place_says_so(tmp_path, photo):
    (layer,) = get_layers(make(tmp_path, photo, model=make_lone(), top=2))
    alone, silent = layer.tiles
    assert (alone.unit, alone.active, alone.compared, alone.selectivity) == (4, 1, 1, None)
    assert alone.label == "selectivity –" and silent.selectivity is None
    assert layer.control is None
    assert layer.missing_control == "No control: no other unit is active at the place of unit 4."
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert layer.missing_control in page
    assert "No other unit is active at this place: nothing to compare with." in page
    assert "A single unit is active at the place of unit 4" in page


def test_own_parts_of_the_only_two_units_are_not_compared(tmp_path, photo):
    model = make_lone()
    with torch.no_grad():
        model.module[3].bias[1] = 1e2
    (layer,) = get_layers(make(tmp_path, photo, model=model, top=2))
    control = layer.control
    assert [unit.unit for unit in control.units] == [4, 1]
    assert abs(control.cosine) < 0.999  # else nothing but rounding would be left of either
    assert control.own_cosine is None
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert "Own parts: cosine –.</b>" in page
    assert "Own parts of only two pictures always lie on one line" in page


def test_a_silent_unit_has_no_control(tmp_path, photo):
    (layer,) = get_layers(make(tmp_path, photo, model=make_lone(), units=(0,)))
    assert layer.control is None
    assert layer.missing_control == "No control: unit 0, the strongest of these, is not active."
    assert layer.missing_control in (tmp_path / "out/index.html").read_text("utf-8")


def test_a_silent_unit_has_no_place_at_which_pictures_are_counted(tmp_path, photo):
    model = make_model()
    with torch.no_grad():
        model.module[3].bias[0] = -1e3
    (layer,) = get_layers(make(tmp_path, photo, model=model, units=(0,)))
    assert layer.tiles[0].activation == 0 and layer.tiles[0].position is None
    assert layer.effective_number is None
    assert "different picture" not in (tmp_path / "out/index.html").read_text("utf-8")
    (whole,) = get_layers(make(tmp_path, photo, "all", model, units=(0,), position="all"))
    assert "over their whole maps" in whole.describe_pictures("deconvnet")


def test_whole_maps_are_compared_as_well(tmp_path, photo):
    (layer,) = get_layers(make(tmp_path, photo, position="all"))
    maps = run_layer(photo, "conv2").flatten(1).amax(dim=1)
    order = maps.argsort(descending=True).tolist()
    assert [unit.unit for unit in layer.control.units] == order[:2]
    assert layer.strongest.active == int((maps > 0).sum())
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert "different pictures by the deconvnet over their whole maps." in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": "own", "compare": None}, "the own part of a picture .* compare is none; needed"),
        ({"part": "common", "compare": None}, "the common part of a picture"),
        ({"part": "half"}, "no part 'half'; needed: whole, own, common"),
        ({"compare": 0}, "got 0 as compare; needed"),
        ({"compare": "some"}, "compare='some' is not known"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(VizcnnError, match=message):
        replace(SHORT, **changes)
