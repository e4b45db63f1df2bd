"""Galleries of whole layers against a naive loop over units and photos, and their odd cases."""

import hashlib
import itertools
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.support.small_zoo import SIZE, list_files
from tests.support.top_runs import (
    LAYERS,
    MODEL,
    ROOM,
    SETTINGS,
    cut_tiles,
    load,
    make,
    write_photos,
)
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import PhotoWarning
from vizcnn.drawing.tiles import robust_limit, scale_signed, to_bytes
from vizcnn.gallery.manifest import read_manifest
from vizcnn.mining.index import read_index
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.projection.deconvnet import Projector

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("top")
    write_photos(folder / "photos")
    return folder, make(folder / "photos", folder / "out")


@cache
def search(folder, layer, method="deconvnet", top=4):
    """Rank one photo after another, each through the net alone; one unit after another."""
    files = sorted(folder.rglob("*.png"), key=lambda file: file.relative_to(folder).as_posix())
    pixels = [MODEL.read(file) for file in files]
    projector = Projector(MODEL, method)
    found = {}
    for number, photo in enumerate(pixels):
        recording = projector.record(photo, [layer])
        units = recording.find_output(projector.find_path(layer)).shape[1]
        projection = projector.project_recording(recording, layer, list(range(units)))
        for row in range(units):
            value = projection.activations[row].item()
            if value > 0:
                facts = (projection.positions[row].tolist(), projection.boxes[row].tolist())
                found.setdefault(row, []).append(
                    (value, number, *facts, projection.pixels[row].permute(1, 2, 0).numpy())
                )
    names = [file.relative_to(folder).as_posix() for file in files]
    best = {unit: sorted(all_, key=lambda p: (-p[0], p[1]))[:top] for unit, all_ in found.items()}
    return best, names, [photo[0].permute(1, 2, 0).numpy() for photo in pixels]


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_every_place_is_that_of_a_naive_search(site, layer):
    folder, manifest = site
    wanted, names, _ = search(folder / "photos", layer)
    (shown,) = [found for found in manifest.results.layers if found.name == layer]
    assert [unit.unit for unit in shown.units] == list(range(shown.units_total))
    assert sum(bool(unit.places) for unit in shown.units) == len(wanted) > 3
    for unit in shown.units:
        places = wanted.get(unit.unit, [])
        assert [manifest.photos[place.photo].name for place in unit.places] == [
            names[number] for _, number, *_ in places
        ]
        for place, (value, _, position, box, _) in zip(unit.places, places, strict=True):
            assert place.activation == pytest.approx(value, rel=1e-5)
            assert place.position == (tuple(position) if shown.map_size else None)
            assert list(place.box) == box
            top, left = place.corner
            height, width = shown.window
            assert 0 <= top <= box[0] < box[2] <= top + height <= SIZE
            assert 0 <= left <= box[1] < box[3] <= left + width <= SIZE


@pytest.mark.slow
@pytest.mark.parametrize("scaling", ["unit", "shared"])
@pytest.mark.parametrize("layer", ["conv1", "conv3"])
def test_sheets_show_the_projections_and_patches_of_their_places(site, tmp_path, layer, scaling):
    photos = site[0] / "photos"
    settings = replace(SETTINGS, layers=(layer,), scaling=scaling)
    (shown,) = make(photos, tmp_path / "out", settings).results.layers
    wanted, _, pixels = search(photos, layer)
    height, width = shown.window
    for unit in shown.units:
        if not unit.places:
            continue
        left, right = cut_tiles(load(tmp_path / "out" / unit.large), shown)
        limits = [robust_limit(image) for *_, image in wanted[unit.unit]]
        limits = [max(limits)] * len(limits) if scaling == "shared" else limits
        for rank, (_, number, _, _, image) in enumerate(wanted[unit.unit]):
            top, start = unit.places[rank].corner
            window = (slice(top, top + height), slice(start, start + width))
            tiles = (
                (left[rank], to_bytes(scale_signed(image[window], limits[rank]))),
                (right[rank], to_bytes(pixels[number][window])),
            )
            for tile, small in tiles:
                times = tile.shape[0] // height
                assert times >= 4  # so that nothing is lost in the file
                got = tile[times // 2 :: times, times // 2 :: times]
                assert np.array_equal(tile, got.repeat(times, 0).repeat(times, 1))
                assert np.abs(got - small).max() <= 1  # 16 bits on the way


def test_what_is_outside_a_window_is_zero(site):
    """Nothing of a projection is lost with what the tiles do not show."""
    folder, manifest = site
    for layer in manifest.results.layers:
        wanted, *_ = search(folder / "photos", layer.name)
        for unit in layer.units:
            for place, (*_, image) in zip(unit.places, wanted.get(unit.unit, []), strict=True):
                rest = image.copy()
                (top, left), (height, width) = place.corner, layer.window
                rest[top : top + height, left : left + width] = 0
                assert not rest.any()


def test_the_site_is_whole_and_says_what_it_is(site):
    folder, manifest = site
    out = folder / "out"
    assert all((out / name).is_file() for name in find_files(manifest))
    kept = read_manifest(out, LayersResults)
    assert kept.results.layers == manifest.results.layers
    assert json.loads((out / "manifest.json").read_text())["kind"] == "gallery"
    assert read_index(out / "strongest.safetensors").complete
    assert (out / "conv3" / "unit-0000.html").is_file()
    conv1, conv3, fc6 = manifest.results.layers
    assert (conv1.receptive_field, conv1.stride, conv1.window) == ((3, 3), (1, 1), (3, 3))
    assert (conv3.receptive_field, conv3.stride, conv3.map_size) == ((12, 12), (2, 2), (16, 16))
    assert (fc6.map_size, fc6.stride, fc6.window) == (None, None, (SIZE, SIZE))
    assert "tiles show the whole photo" in fc6.notes[0]
    assert conv1.grid == (2, 2)
    assert conv1.posters == ()
    assert "each projection's own" in conv1.scaling
    assert manifest.results.data.count == 40
    assert not any(path.name.startswith(".vizcnn-work") for path in out.iterdir())
    assert manifest.settings["top"] == 4
    assert conv3.units[3].command == "vizcnn gallery --layer conv3 --unit 3"


def test_photos_are_kept_as_the_net_saw_them(site):
    folder, manifest = site
    used = {
        p.photo for layer in manifest.results.layers for unit in layer.units for p in unit.places
    }
    assert used == set(range(len(manifest.photos)))
    for photo in manifest.photos:
        seen = load(folder / "photos" / photo.name)
        assert photo.sha256 == hashlib.sha256(seen.astype(np.uint8).tobytes()).hexdigest()
        shown = load(folder / "out" / photo.image)
        assert shown.shape == seen.shape == (SIZE, SIZE, 3)
        # colours of single pixels are what a lossy file does not hold; here they are noise
        assert np.abs(measure_blocks(shown) - measure_blocks(seen)).mean() < 4


def measure_blocks(image: np.ndarray) -> np.ndarray:
    """Mean grey of blocks of 4 x 4 pixels."""
    return image.mean(axis=2).reshape(SIZE // 4, 4, SIZE // 4, 4).mean(axis=(1, 3))


def test_spread_compares_the_strongest_place_with_the_weakest(site):
    _, manifest = site
    for layer in manifest.results.layers:
        for unit in layer.units:
            values = [place.activation for place in unit.places]
            if len(values) > 1:
                assert unit.spread == pytest.approx((values[0] - values[-1]) / values[0])
            assert values == sorted(values, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["guided", "gradient"])
def test_methods_reach_the_projections(site, tmp_path, method):
    photos = site[0] / "photos"
    settings = replace(SETTINGS, layers=("conv3",), method=method, units=(2,))
    manifest = make(photos, tmp_path / "out", settings)
    assert manifest.results.method == method
    ((unit,),) = [layer.units for layer in manifest.results.layers]
    wanted, *_ = search(photos, "conv3", method)
    left, _ = cut_tiles(load(tmp_path / "out" / unit.large), manifest.results.layers[0])
    for rank, (*_, image) in enumerate(wanted[2]):
        (top, start), (height, width) = unit.places[rank].corner, manifest.results.layers[0].window
        small = image[top : top + height, start : start + width]
        times = left[rank].shape[0] // height
        expected = to_bytes(scale_signed(small, robust_limit(small)))
        assert np.abs(left[rank][::times, ::times] - expected).max() <= 1


def measure_selectivity(photo, layer, unit, position, method, compare):
    """Project each unit by itself, and decompose by numpy; gives also C's part and the numbers."""
    projector = Projector(MODEL, method)
    recording = projector.record(MODEL.read(photo), [layer])
    maps = recording.find_output(projector.find_path(layer))[0].detach()
    width, maps = maps.shape[-1], maps.reshape(len(maps), -1)
    at = position[0] * width + position[1] if position else 0
    active = [number for number in range(len(maps)) if maps[number, at] > 0]
    drawn = active
    if compare + 1 < len(active):
        firsts = [k * len(active) // (compare + 1) for k in range(compare + 1)]
        own = max(k for k, first in enumerate(firsts) if first <= active.index(unit))
        drawn = [active[first] for k, first in enumerate(firsts) if k != own]
        drawn.append(unit)

    def project(number):
        where = position or (0, 0)
        return projector.project_recording(recording, layer, number, where).pixels[0].numpy()

    picture = project(unit)
    rows = np.stack([project(number).ravel() for number in drawn]).astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    stands_for = [
        1 if len(drawn) == len(active) or number == unit else (len(active) - 1) / (len(drawn) - 1)
        for number in drawn
    ]
    _, values, right = np.linalg.svd(rows * np.sqrt(stands_for)[:, None], full_matrices=False)
    common = (picture.ravel() @ right[0] * right[0]).reshape(picture.shape)
    square = (picture.ravel() @ right[0] / np.linalg.norm(picture)) ** 2
    if len(drawn) < len(active):  # the sample's mean is longer than that of all others would be
        own, *others = rows[[-1, *range(len(drawn) - 1)]]
        count = len(active) - 1
        pairs = np.mean([one @ other for one, other in itertools.permutations(others, 2)])
        expected = 1 + count + 2 * count * np.mean(others @ own) + count * (count - 1) * pairs
        found = np.linalg.norm(own + count * np.mean(others, axis=0)) ** 2
        square = min(square * (found / expected if found < 2 * expected else 1), 1)
    shares = values**2 / (values**2).sum()
    told = (1 - square, len(drawn), len(active), 1 / (shares**2).sum())
    return told, picture.transpose(1, 2, 0), common.transpose(1, 2, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "part", "method", "compare"),
    [
        ("conv3", "own", "deconvnet", 100),
        ("conv3", "common", "gradient", 2),
        ("conv1", "whole", "guided", "all"),
        ("fc6", "own", "deconvnet", 3),
    ],
)
def test_evidence_and_parts_are_those_of_units_projected_singly(
    site, tmp_path, layer, part, method, compare
):
    photos = site[0] / "photos"
    changes = {"layers": (layer,), "part": part, "method": method, "compare": compare}
    settings = replace(SETTINGS, units=(1, 3, 7), poster=True, **changes)
    manifest = make(photos, tmp_path / "out", settings)
    (shown,) = manifest.results.layers
    numbers = {}
    for unit in shown.units:
        left = cut_tiles(load(tmp_path / "out" / unit.large), shown)[0] if unit.places else []
        for tile, place in zip(left, unit.places, strict=False):
            told, picture, common = measure_selectivity(
                photos / manifest.photos[place.photo].name,
                layer,
                unit.unit,
                place.position,
                method,
                100 if compare == "all" else compare,
            )
            selectivity, compared, active, number = told
            assert (place.compared, place.active) == (compared, active)
            assert place.selectivity == pytest.approx(selectivity, abs=6e-5)  # four decimals
            if compared == active:  # of a sample it is an estimate, which has a test of its own
                assert place.effective_number == pytest.approx(number, rel=1e-4)
            numbers[place.photo, place.position] = place.effective_number
            wanted = {"whole": picture, "common": common, "own": picture - common}[part]
            (top, start), (height, width) = place.corner, shown.window
            small = wanted[top : top + height, start : start + width]
            times = tile.shape[0] // height
            if times >= 4:  # else the file is lossy
                expected = to_bytes(scale_signed(small, robust_limit(small)))
                assert np.abs(tile[::times, ::times] - expected).max() <= 1
        found = [place.selectivity for place in unit.places]
        assert unit.selectivity == (pytest.approx(np.median(found)) if found else None)
    assert shown.evidence.effective_number == pytest.approx(np.median(list(numbers.values())))
    assert shown.evidence.places == len(numbers) > 3
    words = (tmp_path / "out" / "posters" / f"{layer}.svg").read_text()
    assert f"{part}" in words and "selectivity" in words


@pytest.mark.slow
@pytest.mark.parametrize("compare", [2, 6, 100])
def test_a_layer_says_where_only_a_sample_was_compared(site, tmp_path, compare):
    settings = replace(SETTINGS, layers=("conv3",), compare=compare)
    (layer,) = make(site[0] / "photos", tmp_path / "out", settings).results.layers
    all_places = {(place.photo, place.position): place for u in layer.units for place in u.places}
    sampled = [place for place in all_places.values() if place.compared < place.active]
    told = layer.evidence
    assert told.sampled == len(sampled)
    assert ("all active units compared at each" in told.basis) == (not sampled)
    assert ("about" in told.describe("deconvnet")) == told.value.startswith("≈") == bool(sampled)
    if told.compared == told.active and sampled:
        assert f"some of the active units compared at {len(sampled)} of them" in told.basis


@pytest.mark.slow
def test_without_a_comparison_nothing_is_said(site, tmp_path):
    settings = replace(SETTINGS, layers=("conv3",), compare=None)
    (layer,) = make(site[0] / "photos", tmp_path / "out", settings).results.layers
    assert layer.evidence is None and not any(unit.value for unit in layer.units)
    for unit in layer.units:
        for name in filter(None, (unit.small, unit.large)):
            assert (tmp_path / "out" / name).read_bytes() == (site[0] / "out" / name).read_bytes()


@pytest.mark.slow
def test_some_units_are_those_of_the_whole_gallery(site, tmp_path):
    folder, _ = site
    settings = replace(SETTINGS, layers=("conv3",), units=(7, 2, 7))
    (layer,) = make(folder / "photos", tmp_path / "out", settings).results.layers
    assert [unit.unit for unit in layer.units] == [2, 7]
    assert layer.units_total == 10
    for unit in layer.units:
        for name in (unit.small, unit.large):
            assert (tmp_path / "out" / name).read_bytes() == (folder / "out" / name).read_bytes()
        whole = site[1].results.layers[1].units[unit.unit]
        assert [place.value for place in unit.places] == [place.value for place in whole.places]
        assert unit.selectivity == pytest.approx(whole.selectivity, abs=1e-6)


@pytest.mark.slow
def test_an_index_spares_the_mining(site, tmp_path):
    folder, _ = site
    make(folder / "photos", tmp_path / "out", index=folder / "out" / "strongest.safetensors")
    assert list_files(tmp_path / "out") == list_files(folder / "out")
    settings = replace(SETTINGS, layers=("conv3",), top=2)
    manifest = make(
        folder / "photos",
        tmp_path / "few",
        settings,
        index=folder / "out" / "strongest.safetensors",
    )
    assert [len(unit.places) for unit in manifest.results.layers[0].units][:2] == [2, 2]


@pytest.mark.slow
def test_small_portions_give_the_same_site(site, tmp_path):
    make(site[0] / "photos", tmp_path / "out", room=replace(ROOM, spool=30_000, call=12 * 3 * 3))
    assert list_files(tmp_path / "out") == list_files(site[0] / "out")


def test_what_is_beside_the_photos_is_counted_and_named_in_the_manifest(tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    for number in range(12):
        (photos / f"raw {number:02d}.cr2").touch()
    settings = replace(SETTINGS, layers=("conv1",), units=(0,))
    with pytest.warns(PhotoWarning, match="12 other files"):
        make(photos, tmp_path / "out", settings)
    data = read_manifest(tmp_path / "out", LayersResults).results.data
    assert (data.count, data.left_out) == (6, 12)
    assert data.left_out_names == tuple(f"raw {number:02d}.cr2" for number in range(10))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "12 other files or folders left out" in page
