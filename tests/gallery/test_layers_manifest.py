"""The manifest of a net's gallery: what it holds, and what is refused."""

import json
from dataclasses import replace

import pytest

from tests.support.top_galleries import (
    LARGE_GAPS,
    TOP,
    change_layer,
    make_top_layer,
    make_top_manifest,
)
from vizcnn.basics.codec import ManifestError, find_files
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.layers.records import LayerSheets
from vizcnn.pages.layers.site_pages import LayersResults, measure_half


def test_manifest_survives_the_round_trip_and_names_every_file(tmp_path):
    manifest = make_top_manifest(tmp_path, units=4, silent=(2,))
    assert from_json(to_json(manifest), LayersResults) == manifest
    written = {f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*") if f.is_file()}
    assert set(find_files(manifest)) == written
    write_gallery(manifest, tmp_path)
    assert read_manifest(tmp_path, LayersResults) == manifest
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    write_gallery(manifest, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_box_is_one_line_of_the_file(tmp_path):
    text = to_json(make_top_manifest(tmp_path, units=1, silent=()))
    assert text.count('"box": [') == text.count('"position": [') == 2 * TOP
    assert '"box": [0, 0, 20, 24],\n' in text
    assert json.loads(text)["results"]["layers"][0]["units"][0]["places"][1]["box"] == [
        1,
        2,
        21,
        26,
    ]


def test_missing_sheet_is_named_and_nothing_is_written(tmp_path):
    manifest = make_top_manifest(tmp_path, units=2, silent=())
    (tmp_path / "conv2/sheets/1-large.webp").unlink()
    with pytest.raises(ManifestError, match=r"1 file\(s\).*'conv2/sheets/1-large.webp' first"):
        write_gallery(manifest, tmp_path)
    assert not list(tmp_path.rglob("*.html")) and not (tmp_path / "manifest.json").exists()


def damage_place(layer: LayerSheets, photo: int) -> dict[str, object]:
    place = replace(layer.units[0].places[0], photo=photo)
    return {"units": (replace(layer.units[0], places=(place,)),)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda layer: {"folder": "conv2"}, "layer 'conv1' has the folder 'conv2': needed is one"),
        (lambda layer: {"folder": "CONV2"}, "needed is one folder for each layer"),
        (lambda layer: {"folder": "a/b"}, "has the folder 'a/b'"),
        (lambda layer: {"units": layer.units * 2}, "layer 'conv1' holds a unit twice"),
        (lambda layer: damage_place(layer, 12), "unit 0 names a photo that is none of the 12"),
        (lambda layer: damage_place(layer, -1), "unit 0 names a photo that is none of the 12"),
        (lambda layer: {"grid": (2, 4)}, "unit 0 has 9 places: a sheet of 2 × 4 tiles"),
        (lambda layer: {"large_gaps": (2, 500)}, "have no room for 3 × 3 tiles"),
        (
            lambda layer: {"units": (replace(layer.units[0], large=None),)},
            "unit 0 has places but no sheets",
        ),
    ],
)
def test_manifest_that_makes_no_sense_is_refused_in_one_line(tmp_path, change, said):
    manifest = make_top_manifest(tmp_path, units=2, silent=())
    with pytest.raises(ManifestError, match=said) as caught:
        write_gallery(change_layer(manifest, **change(manifest.results.layers[0])), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.html"))


def test_folder_outside_the_gallery_is_refused_when_read(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=())
    with pytest.raises(ManifestError, match=r"layers\[0\]\.folder: needed is a file"):
        to_json(change_layer(manifest, folder=".."))


def test_half_of_a_sheet_has_its_tiles_where_they_were_pasted(tmp_path):
    layer = make_top_layer(tmp_path, "conv1", "conv1", 1)
    half = measure_half(layer)
    # 24 pixels wide and 20 high, 2 between them, 10 between the halves
    assert (half.width_px, half.height_px, LARGE_GAPS) == (3 * 24 + 4, 3 * 20 + 4, (2, 10))
    mark = half.marks[5]  # second row, third column
    pixels = (mark.left * 0.76, mark.top * 0.64, mark.width * 0.76, mark.height * 0.64)
    assert pixels == pytest.approx((2 * 26, 22, 24, 20))
    assert half.share == pytest.approx((2 * 76 + 10) / 76)
