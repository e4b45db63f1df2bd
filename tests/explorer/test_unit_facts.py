"""What the explorer says of units, against computations of its own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.explorer_answers import open_picture, read_array
from tests.support.small_zoo import CONVOLUTIONS, SIZE, make_model
from tests.support.top_runs import SETTINGS, make, write_photos
from vizcnn.basics.errors import LayerError
from vizcnn.explorer.patch_sheets import PatchSheets
from vizcnn.explorer.strongest_sources import open_strongest
from vizcnn.explorer.unit_facts import KERNELS, NONE, UnitFacts
from vizcnn.mining.mined_photos import open_mined_photos
from vizcnn.receptive.fields import measure_fields

MODEL = make_model()
NET: Any = MODEL.module
LAYERS = ["conv1", "conv3", "conv4", "fc6", "fc7"]
FIELDS = measure_fields(MODEL, LAYERS)
PHOTOS = [MODEL.read(name) for name in ("coffee", "chelsea", "rocket")]


def read(answer, place, kind, *shape):
    return read_array(answer, place, kind).reshape(*shape)


@pytest.fixture(scope="module")
def facts():
    return UnitFacts(MODEL, FIELDS, PHOTOS)


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """A gallery of two layers, and its photos."""
    home = tmp_path_factory.mktemp("mined")
    photos = write_photos(home / "photos", 30)
    make(photos, home / "gallery")
    return home / "gallery", photos


@pytest.fixture(scope="module")
def mined_facts(mined):
    gallery, photos = mined
    source = open_mined_photos(MODEL, gallery / "strongest.safetensors", [photos])
    return UnitFacts(MODEL, FIELDS, PHOTOS, source)


def test_filters_of_the_first_layer_are_its_weights_on_pixels(facts):
    answer = facts.answer("conv1")
    fields = answer.fields["filters"]
    assert (fields["first"], fields["path"], fields["kernel"]) == (True, "0", (3, 3))
    shown = read(answer, fields["images"], "u1", 12, 3, 3, 3) / 255
    # per pixel of 0..1: the chain rule through (pixel - mean) / deviation
    weight = NET[0].weight.detach().numpy() / np.array([0.2, 0.3, 0.4])[:, None, None]
    limits = np.abs(weight).reshape(12, -1).max(axis=1)[:, None, None, None]
    assert np.abs(shown - (0.5 + weight / (2 * limits)).transpose(0, 2, 3, 1)).max() < 0.51 / 255
    stored = NET[0].weight.detach().numpy().reshape(12, -1)
    assert read(answer, fields["rms"], "f4", 12) == pytest.approx(np.sqrt((stored**2).mean(1)))
    colour = read(answer, fields["colour"], "f4", 12)
    grey = weight.mean(axis=1, keepdims=True)
    wanted = ((weight - grey) ** 2).sum((1, 2, 3)) / (weight**2).sum((1, 2, 3))
    assert colour == pytest.approx(wanted, rel=1e-5)


def test_kernels_of_a_deeper_layer_name_the_units_that_they_read(facts):
    answer = facts.answer("conv4")
    fields = answer.fields["filters"]
    assert fields["reads"] == {"name": "conv3", "layer": 1}
    count = fields["count"]
    assert count == min(KERNELS, 10)
    inputs = read(answer, fields["inputs"], "u2", 10, count)
    shown = read(answer, fields["images"], "u1", 10, count, 3, 3) / 255
    shares = read(answer, fields["shares"], "f4", 10, count)
    weight = NET[7].weight.detach().numpy()
    for unit, filter in enumerate(weight):
        energy = (filter**2).sum((1, 2))
        assert inputs[unit].tolist() == np.argsort(-energy, kind="stable")[:count].tolist()
        assert shares[unit] == pytest.approx(np.sort(energy)[::-1][:count] / energy.sum())
        scaled = 0.5 + filter[inputs[unit]] / (2 * np.abs(filter).max())
        assert np.abs(shown[unit] - scaled).max() < 0.51 / 255


def test_effective_field_holds_the_gradient_of_the_middle(facts):
    answer = facts.answer("conv3")
    field = answer.fields["field"]
    total = np.zeros((SIZE, SIZE))
    for photo in PHOTOS:
        image = photo.clone().requires_grad_()
        maps = NET[:7](MODEL.preprocessing.normalise(image))
        (slope,) = torch.autograd.grad(maps[:, :, 7:9, 7:9].mean(dim=(2, 3)).sum(), image)
        total += slope.abs().sum(dim=(0, 1)).double().numpy()
    rows, columns = np.nonzero(total)
    top, left, bottom, right = field["box"]
    assert (rows.min(), columns.min()) == (top, left)
    assert (rows.max() + 1, columns.max() + 1) == (bottom, right)
    middle = (SIZE - 1) / 2
    distance = np.maximum(*np.abs(np.mgrid[:SIZE, :SIZE] - middle))
    for share, side in field["sides"]:
        held = total[distance <= (side - 1) / 2].sum() / total.sum()
        smaller = total[distance <= (side - 3) / 2].sum() / total.sum()
        assert smaller < share <= held + 1e-9
    picture = open_picture(answer, field["image"]).astype(int).sum(axis=2)
    assert picture.shape == (bottom - top, right - left)
    # the colours grow lighter with the values
    peak = np.unravel_index(total[top:bottom, left:right].argmax(), picture.shape)
    assert picture[peak] == picture.max()
    assert field["photos"] == 3


def test_classes_are_those_that_the_logits_grow_most_with(facts):
    answer = facts.answer("fc6")
    classes = answer.fields["classes"]
    with torch.no_grad():
        inputs = torch.cat([MODEL.preprocessing.normalise(photo) for photo in PHOTOS])
        values = NET[:14](inputs).mean(dim=0)
    use = (values[:, None] * NET[14].weight.detach().T).numpy()
    numbers = read(answer, classes["numbers"], "u2", 11, classes["count"])
    added = read(answer, classes["values"], "f4", 11, classes["count"])
    assert classes["count"] == 4 and classes["photos"] == 3
    for unit in range(11):
        order = np.argsort(-use[unit], kind="stable")
        assert numbers[unit].tolist() == [k if use[unit, k] > 0 else NONE for k in order]
        assert added[unit] == pytest.approx(use[unit, order], abs=1e-6)
    assert {k: MODEL.classes[k] for k in set(numbers[numbers != NONE].tolist())} == classes["names"]


def test_what_a_layer_has_not_is_told_in_its_place(facts, monkeypatch):
    fields = facts.answer("fc6").fields
    assert "fully connected" in fields["filters"]["error"]
    for name in ("top", "neighbours"):
        assert fields[name]["error"] == "No index of strongest places was given."
        assert "--index" in fields[name]["way_out"]
    assert "--gallery" in facts.answer_patches("conv1", 0).fields["way_out"]
    assert facts.count_parts("conv1") == 0
    monkeypatch.setattr("vizcnn.explorer.unit_facts.MOST_MULTIPLICATIONS", 10_000)
    poor = UnitFacts(MODEL, FIELDS, PHOTOS)
    assert "billion multiplications" in poor.answer("conv1").fields["classes"]["error"]
    assert "error" not in poor.answer("fc6").fields["classes"]


def test_facts_are_small_and_the_same_each_time(facts):
    again = UnitFacts(MODEL, FIELDS, PHOTOS)
    for layer in LAYERS:
        assert again.answer(layer).to_bytes() == facts.answer(layer).to_bytes()


def find_box(layer, place):
    """The pixels that a place depends on, by gradients of a net without rectifiers."""
    split = int(CONVOLUTIONS[layer]) + 1
    image = torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    maps: Any = image
    for part in NET[:split]:
        name = type(part).__name__
        if name == "Conv2d":
            maps = torch.nn.functional.conv2d(maps, part.weight.double().abs(), padding=1)
        elif name == "MaxPool2d":
            maps = torch.nn.functional.avg_pool2d(maps, 2)
    (slope,) = torch.autograd.grad(maps[0, :, place[0], place[1]].sum(), image)
    rows, columns = np.nonzero(slope[0].sum(dim=0).numpy())
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def list_maxima(layer, photos):
    """The largest value of each unit in each photo, by name: (value, row, column)."""
    split = int(CONVOLUTIONS[layer]) + 1
    found: dict[int, list[Any]] = {}
    for file in sorted(photos.rglob("*.png")):
        pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            maps = NET[:split](MODEL.preprocessing.normalise(pixels))[0]
        name = file.relative_to(photos).as_posix()
        for unit, values in enumerate(maps):
            row, column = divmod(int(values.argmax()), values.shape[1])
            found.setdefault(unit, []).append((values.max().item(), name, row, column))
    return {unit: sorted(rows, reverse=True) for unit, rows in found.items()}


@pytest.mark.parametrize("layer", ["conv1", "conv3"])
def test_patches_are_the_fields_of_the_strongest_places(mined, mined_facts, layer):
    _, photos = mined
    top = mined_facts.answer(layer).fields["top"]
    assert (top["parts"], top["count"], top["photos"], top["exact"]) == (1, 4, 30, True)
    answer = mined_facts.answer_patches(layer, 0)
    fields, units = answer.fields, answer.fields["units"][1]
    numbers = read(answer, fields["photos"], "u2", units, 4)
    values = read(answer, fields["values"], "f4", units, 4)
    places = read(answer, fields["places"], "u2", units, 4, 2)
    height, width = top["tile"]
    maxima = list_maxima(layer, photos)
    for unit in range(units):
        wanted = [entry for entry in maxima[unit][:4] if entry[0] > 0]
        shown = [fields["names"][number] for number in numbers[unit] if number != NONE]
        assert shown == [name for _, name, _, _ in wanted]
        if not wanted:
            assert fields["images"][unit] is None
            continue
        assert values[unit][: len(wanted)] == pytest.approx([entry[0] for entry in wanted])
        assert places[unit][: len(wanted)].tolist() == [list(entry[2:]) for entry in wanted]
        sheet = open_picture(answer, fields["images"][unit]).astype(float)
        for slot, (_, name, row, column) in enumerate(wanted):
            box = find_box(layer, (row, column))
            patch = np.array(Image.open(photos / name))[box[0] : box[2], box[1] : box[3]]
            # a photo's beginning cuts a patch at its beginning: what is seen lies at the tile's end
            down = height - len(patch) if box[0] == 0 else 0
            right = width - patch.shape[1] if box[1] == 0 else 0
            tile = np.full((height, width, 3), 128.0)
            tile[down : down + len(patch), right : right + patch.shape[1]] = patch
            y, x = slot // 3 * height, slot % 3 * width
            assert np.array_equal(sheet[y : y + height, x : x + width], tile)


def test_neighbours_are_told_with_the_photos_that_they_share(mined, mined_facts):
    _, photos = mined
    answer = mined_facts.answer("conv3")
    fields = answer.fields["neighbours"]
    maxima = list_maxima("conv3", photos)
    strongest = [{e[1] for e in maxima[unit][:4] if e[0] > 0} for unit in range(10)]
    units = read(answer, fields["units"], "u2", 10, fields["count"])
    shared = read(answer, fields["shared"], "u1", 10, fields["count"])
    for unit, own in enumerate(strongest):
        others = [(-len(own & some), k) for k, some in enumerate(strongest) if k != unit]
        wanted = sorted(entry for entry in others if entry[0])[: fields["count"]]
        pairs = zip(shared[unit].tolist(), units[unit].tolist(), strict=True)
        found = [(-count, number) for count, number in pairs if number != NONE]
        assert found == wanted
    assert shared.max() > 0


def test_layers_that_the_index_has_not_are_told(mined_facts):
    assert "does not hold conv4" in mined_facts.answer("conv4").fields["top"]["error"]
    assert mined_facts.count_parts("conv4") == 0
    with pytest.raises(LayerError, match="no part 7"):
        mined_facts.answer_patches("conv3", 7)


def test_an_index_of_two_kinds_of_machines_is_told(mined):
    gallery, _ = mined
    (source,) = open_strongest([MODEL], galleries=[gallery])
    assert source
    mixed = replace(source, index=replace(source.index, machines=("A100", "H100")))
    told = PatchSheets(MODEL, FIELDS, mixed).describe("conv3")["mixed"]
    assert told == "computed by 2 kinds of machines, whose last digits may differ: A100; H100"


def test_a_gallery_gives_its_own_photos(mined, mined_facts):
    gallery, _ = mined
    (source,) = open_strongest([MODEL], galleries=[gallery])
    facts = UnitFacts(MODEL, FIELDS, PHOTOS, source)
    top = facts.answer("conv3").fields["top"]
    assert (top["exact"], top["mixed"]) == (False, "")
    one, other = (some.answer_patches("conv3", 0) for some in (facts, mined_facts))
    alike = ("names", "units")
    assert [one.fields[name] for name in alike] == [other.fields[name] for name in alike]
    for name, kind in (("values", "f4"), ("photos", "u2"), ("places", "u2")):
        arrays = (read(answer, answer.fields[name], kind, -1) for answer in (one, other))
        np.testing.assert_array_equal(*arrays)
    for mine, theirs in zip(one.fields["images"], other.fields["images"], strict=True):
        if mine is not None:
            seen, wanted = (
                open_picture(answer, place).astype(float).mean(axis=2).ravel()
                for answer, place in ((one, mine), (other, theirs))
            )
            assert (
                np.corrcoef(seen, wanted)[0, 1] > 0.8
            )  # of noise the codec loses some; another photo gives about 0


def test_large_patches_are_whole_photos_made_smaller(mined, mined_facts, monkeypatch):
    _, photos = mined
    monkeypatch.setattr("vizcnn.explorer.patch_sheets.LARGEST_TILE", SIZE - 8)
    top = mined_facts.answer("fc6").fields["top"]
    assert top["tile"] == (SIZE - 8, SIZE - 8)
    answer = mined_facts.answer_patches("fc6", 0)
    assert set(read(answer, answer.fields["places"], "u2", -1).tolist()) == {NONE}
    numbers = read(answer, answer.fields["photos"], "u2", 11, SETTINGS.top)
    for unit, place in enumerate(answer.fields["images"]):
        if place is not None:
            seen = Image.fromarray(open_picture(answer, place)).crop((0, 0, SIZE - 8, SIZE - 8))
            photo = Image.open(photos / answer.fields["names"][numbers[unit, 0]])
            small, shown = (
                np.asarray(image.resize((8, 8), Image.Resampling.BOX).convert("L")).ravel()
                for image in (photo, seen)
            )
            # of noise the codec loses some; another photo gives about 0
            assert np.corrcoef(small, shown)[0, 1] > 0.9


def test_others_are_answered_between_photos():
    breaths = []
    facts = UnitFacts(MODEL, FIELDS, PHOTOS, None, lambda: breaths.append(0))
    facts.answer("fc6")
    # after each photo of the field and of the classes, and after each of five parts
    assert len(breaths) == 2 * len(PHOTOS) + 5
