"""The page of the checks: figures, tables and captions that come from the run."""

import copy
import re
from dataclasses import replace

import pytest
import torch

from tests.support.check_nets import make_convolution
from tests.support.small_zoo import list_files, make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import DataError, ImageError, LayerError, ModelError, VizcnnError
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.measures.bootstrap import estimate
from vizcnn.measures.checks import CheckSettings, draw_photos
from vizcnn.measures.occlusion_control import study_control
from vizcnn.mining.photo_sets import open_photos
from vizcnn.pages.check import CheckResults, make_check_page, name_nets

pytestmark = pytest.mark.slow

MODEL = make_model()
METHODS = ("guided", "gradient-x-input")
SETTINGS = CheckSettings(
    layers=("conv2", "conv3"), methods=METHODS, photos=3, compare=3, top="conv4", seed=5
)


def untrain(model, seed=1):
    """The same net with other weights."""
    module = copy.deepcopy(model.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    origin = replace(model.provenance, source="file", location="/somewhere/epoch-3.safetensors")
    return replace(model, module=module, provenance=origin)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(5):
        paint_photo(folder / f"{seed} <b>.png", seed)
    (folder / "bad.png").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def page(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    nets = [MODEL, untrain(MODEL)]
    before = [copy.deepcopy(net.module.state_dict()) for net in nets]
    manifest = make_check_page(nets, folder, [photos], SETTINGS, "vizcnn check")
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(state[name], v) for name, v in net.module.state_dict().items())
        assert not any(part._forward_hooks for part in net.module.modules())
    return folder, manifest


def test_every_check_has_its_figure(page):
    folder, manifest = page
    assert [figure.file for figure in manifest.figures] == [
        *("place-1.png", "place-2.png", "sameness.png"),
        *(f"cascade-{kind}-{net}.png" for net in (1, 2) for kind in ("recomputed", "trained")),
        *("cascade.png", "control-1.png", "control-2.png", "agreement.png"),
    ]
    for figure in manifest.figures:
        assert (folder / figure.file).read_bytes().startswith(b"\x89PNG")
        assert figure.note and figure.text and "nan" not in figure.note
    assert {*find_files(manifest)} < {*list_files(folder)}


def test_manifest_is_read_back(page):
    folder, manifest = page
    written = read_manifest(folder, CheckResults)
    assert to_json(written) == to_json(manifest)
    assert from_json(to_json(written), CheckResults) == written
    assert [net.title for net in written.nets] == ["Tiny $net untrained", "Tiny $net epoch-3"]
    assert len({photo.sha256 for photo in written.photos}) == 3


def test_tables_are_complete(page):
    results = page[1].results
    tables, methods = results.tables, METHODS
    assert results.methods == methods
    assert len(tables.sameness) == 2 * 3 * len(methods)
    assert len(tables.cascade) == 2 * len(methods) * 2 * 5
    assert len(tables.edges) == len(tables.control) == 2 * len(methods)
    for row in tables.cascade:
        if not row.shuffled:
            assert (row.rank.value, row.similarity.value) == pytest.approx((1, 1))
    (classes,) = {row.layer for row in tables.sameness if row.active is None}
    assert classes == "fc7"


def test_numbers_are_those_of_the_measures(page, photos):
    results = page[1].results
    drawn, failures = draw_photos(open_photos([photos], MODEL.preprocessing), 3, 5)
    assert len(failures) <= 1 and len(drawn) == 3
    names = open_photos([photos], MODEL.preprocessing).names
    assert [photo.name for photo in page[1].photos] == [names[number] for number in drawn]
    pixels = torch.cat([MODEL.read(photos / names[number]) for number in drawn])
    control = study_control(MODEL, pixels, "conv3", ["guided"], 5)
    (row,) = [r for r in results.tables.control if (r.net, r.method) == (0, "guided")]
    assert row.own == estimate(control.own["guided"], 5)
    assert row.gap == estimate(control.own["guided"] - control.other["guided"], 5)
    shown = {figure.file: figure.note for figure in page[1].figures}["agreement.png"]
    assert f"guided {row.own.value:.2f} own against {row.other.value:.2f} another's" in shown
    # medians of the two say nothing of the photos' own differences
    assert f"another's ({row.gap.value:+.2f} photo by photo)" in shown.replace("−", "-")


def test_page_is_escaped_and_whole(page):
    text = (page[0] / "index.html").read_text("utf-8")
    assert "<b>.png" not in text and "Tiny $net" in text
    assert text.count("<table") == 5  # four of numbers, one of settings
    assert "drawn with seed 5" in text


def test_what_cannot_be_read_is_drawn_again(photos):
    everything = open_photos([photos], MODEL.preprocessing)
    drawn, failures = draw_photos(everything, 9, seed=0)
    assert drawn == [0, 1, 2, 3, 4] and len(failures) == 1
    assert failures[0][0] == "bad.png" and "not an image" in failures[0][1]
    draws = {tuple(draw_photos(everything, 2, seed)[0]) for seed in range(8)}
    assert len(draws) > 3


def test_no_photo_no_page(tmp_path, photos):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "bad.png").write_bytes(b"no photo")
    with pytest.raises(ImageError, match="none of 1 photos can be read"):
        make_check_page([MODEL], tmp_path / "out", [tmp_path / "only"], SETTINGS)
    with pytest.raises(DataError, match="no folder"):
        make_check_page([MODEL], tmp_path / "out", [tmp_path / "missing"], SETTINGS)
    with pytest.raises(ModelError, match="0 nets are named"):
        make_check_page([], tmp_path / "out", [photos], SETTINGS)
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        make_check_page([MODEL], tmp_path / "out", [photos], replace(SETTINGS, top="conv9"))
    assert not (tmp_path / "out").exists()


def test_of_one_photo_the_page_shows_numbers_without_intervals(tmp_path, photos):
    settings = replace(SETTINGS, photos=1, methods=("guided",), layers=("conv3,conv2",))
    manifest = make_check_page([MODEL], tmp_path / "out", [photos], settings)
    assert manifest.results.nets[0].layers == ("conv2", "conv3")
    assert manifest.results.nets[0].control == "conv3"
    row = next(row for row in manifest.results.tables.sameness if row.layer == "conv2")
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert f"<td>{row.cosine.value:.2f}</td>" in page
    assert not re.search(r"[0-9] to -?[0-9]", page)


@pytest.mark.parametrize("wrong", [{"photos": 0}, {"photos": 2.5}, {"seed": -1}])
def test_numbers_out_of_bounds_are_refused(wrong):
    with pytest.raises(VizcnnError, match=f"{next(iter(wrong))}.*needed"):
        CheckSettings(**wrong)


def test_nets_of_one_title_are_told_apart():
    nets = [MODEL, replace(MODEL, provenance=replace(MODEL.provenance, source="bundled"))]
    assert [net.title for net in name_nets([*nets, untrain(MODEL)])] == [
        "Tiny $net untrained",
        "Tiny $net bundled",
        "Tiny $net epoch-3",
    ]
    assert [net.title for net in name_nets([MODEL])] == ["Tiny $net"]
    assert len({net.title for net in name_nets([MODEL, MODEL])}) == 2


def test_a_units_cascade_and_a_layer_without_another_unit(tmp_path, photos):
    model = make_convolution()
    with torch.no_grad():
        model.module[0].weight[1:] = 0
        model.module[0].bias[:] = torch.tensor([9.0, *[-1.0] * 7])
    settings = CheckSettings(
        layers=("conv1",), methods=METHODS, photos=2, top="conv1", figure_format="svg"
    )
    manifest = make_check_page([model], tmp_path / "out", [photos], settings)
    assert [figure.file for figure in manifest.figures] == [
        *("place.svg", "sameness.svg", "cascade-recomputed.svg", "cascade-trained.svg"),
        *("cascade.svg", "agreement.svg"),
    ]
    (row, *_) = manifest.results.tables.sameness
    assert row.cosine.value is None and row.active == 1
    assert all(row.other.value is None for row in manifest.results.tables.control)
    note = {figure.file: figure.note for figure in manifest.figures}["cascade-trained.svg"]
    assert "unit 0 of conv1" in note and "nan" not in "".join(f.note for f in manifest.figures)
