"""The lab's page: pictures, captions and table that come from the run and nothing else."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.small_zoo import paint_photo
from vizcnn.basics.errors import ImageError, LayerError, ModelError, VizcnnError
from vizcnn.drawing.words import percent
from vizcnn.gallery.manifest import read_manifest, to_json
from vizcnn.measures.first_layer import find_first_layer
from vizcnn.measures.shares import measure_power, measure_shares
from vizcnn.measures.study import LabSettings, check_net, read_pixels
from vizcnn.pages.aliasing import AliasingResults, make_aliasing_page, name_apart
from vizcnn.photos.patches import cut_patches, read_samples
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance

SIZE = 64
SETTINGS = LabSettings(
    units=4, most_photos=2, shifts=4, frequencies=(0.1, 0.2, 0.4), orientations=(0.0, 45.0)
)


def make_net(title: str, size: int, stride: int, weight: torch.Tensor | None = None) -> ZooModel:
    """Two convolutions, the first of a given size and stride; conv2 sees at least 24 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(size)
        net = nn.Sequential(
            nn.Conv2d(3, 6, size, stride=stride),
            nn.ReLU(),
            nn.Conv2d(6, 5, 5 if stride == 4 else 11, padding=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 3),
        )
    if weight is not None:
        first = net[0]
        assert isinstance(first, nn.Conv2d)
        with torch.no_grad():
            first.weight.copy_(weight)
    return ZooModel(
        name=title.lower(),
        title=title,
        module=net.eval(),
        preprocessing=Preprocessing((0.5,) * 3, (0.5,) * 3, 1.0, False, SIZE, 72),
        layers={"conv1": "1", "conv2": "3"},
        classes=("a", "b", "c"),
        provenance=Provenance("random", data="none", licence="none", note="seed"),
        options={},
    )


def mean_filters(size: int) -> torch.Tensor:
    return torch.ones(6, 3, size, size)


def sharp_filters(size: int) -> torch.Tensor:
    """A checkerboard: all of its response lies at the highest frequency."""
    line = torch.tensor([(-1.0) ** index for index in range(size)])
    return torch.outer(line, line).expand(6, 3, size, size)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    return [paint_photo(folder / f"{name}.png", seed) for seed, name in enumerate("abc")]


@pytest.fixture(scope="module")
def models() -> list[ZooModel]:
    return [make_net("Coarse <b>", 11, 4), make_net("Fine", 7, 2)]


@pytest.fixture(scope="module")
def page(models, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    before = [copy.deepcopy(model.module.state_dict()) for model in models]
    manifest = make_aliasing_page(models, folder, photos, SETTINGS, "vizcnn aliasing")
    for model, state in zip(models, before, strict=True):
        assert all(
            torch.equal(state[name], value) for name, value in model.module.state_dict().items()
        )
        assert not any(m._forward_hooks or m._backward_hooks for m in model.module.modules())
        assert not any(value.grad is not None for value in model.module.parameters())
    return folder, manifest


@pytest.mark.slow
def test_ten_pictures_with_captions(page):
    folder, manifest = page
    assert len(manifest.figures) == 10
    for figure in manifest.figures:
        assert (folder / figure.file).read_bytes().startswith(b"\x89PNG")
        assert figure.note and figure.text and "nan" not in figure.note


def test_manifest_is_read_back(page):
    folder, manifest = page
    assert to_json(read_manifest(folder, AliasingResults)) == to_json(manifest)
    assert manifest.results.period == 4
    assert len({photo.sha256 for photo in manifest.photos}) == 3


def test_table_holds_what_an_own_measurement_gives(page, models, photos):
    _, manifest = page
    rows = {row.name: row.values for row in manifest.results.table}
    for index, model in enumerate(models):
        layer = find_first_layer(model)
        pixels, _, _ = read_pixels(model, photos)
        few = pixels[[0, 1]]
        expected = measure_shares(measure_power(layer, few), layer.stride)
        assert rows["alias share, photos"][index] == pytest.approx(expected.layer_share)
        assert list(manifest.results.nets[index].measured) == pytest.approx(
            expected.shares.tolist()
        )
    assert rows["stride"] == (4, 2)
    assert rows["top-1"] == (None, None)
    assert all(value >= 0 for value in rows["distance, conv2"])
    assert all(value is not None for value in rows["grid artefact"])


def test_captions_quote_the_table(page):
    _, manifest = page
    rows = {row.name: row.values for row in manifest.results.table}
    captions = {figure.file: figure.note for figure in manifest.figures}
    for value in rows["alias share, theory"]:
        assert percent(value) in captions["spectra.png"]
    for value in rows["alias share, photos"]:
        assert percent(value) in captions["shares.png"]
    for value in rows["grid artefact"]:
        assert f"{value:.2f}" in captions["grids.png"]
    for value in rows["consistency"]:
        assert percent(value) in captions["shifts.png"]


def test_page_is_escaped(page):
    folder, _ = page
    text = (folder / "index.html").read_text("utf-8")
    assert "Coarse &lt;b&gt;" in text
    assert "Coarse <b>" not in text


@pytest.mark.slow
def test_page_says_when_a_measure_goes_the_other_way(photos, tmp_path):
    """The coarse stride after a low pass, the fine one after the highest frequency alone."""
    nets = [
        make_net("Smooth", 11, 4, mean_filters(11)),
        make_net("Sharp", 7, 2, sharp_filters(7)),
    ]
    manifest = make_aliasing_page(nets, tmp_path / "out", photos, SETTINGS)
    captions = {figure.file: figure.note for figure in manifest.figures}
    assert "The finer stride has more, unlike what theory predicts." in captions["shares.png"]
    assert "The finer stride has more, unlike" in captions["spectra.png"]


@pytest.mark.slow
def test_a_net_alone_is_compared_with_nothing(photos, tmp_path):
    manifest = make_aliasing_page([make_net("Alone", 7, 2)], tmp_path / "out", photos, SETTINGS)
    assert not any("stride has" in figure.note for figure in manifest.figures)


def test_nothing_is_left_of_a_failed_run(models, photos, tmp_path):
    settings = LabSettings(layer="conv9", most_photos=2, shifts=2)
    with pytest.raises(LayerError, match="conv9"):
        make_aliasing_page(models, tmp_path / "out", photos, settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 7])
def test_needs_one_net_and_not_too_many(count, tmp_path):
    nets = [make_net("Net", 7, 2)] * count
    with pytest.raises(ModelError, match=f"{count} nets are named; needed: 1 to 6"):
        make_aliasing_page(nets, tmp_path / "out")


def test_nets_of_one_title_are_numbered():
    nets = [make_net("Net", 7, 2), make_net("Other", 7, 2), make_net("Net", 11, 4)]
    assert [net.title for net in name_apart(nets)] == ["Net (1)", "Other", "Net (2)"]


def test_another_ones_folder_is_refused_before_any_work(models, photos, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(VizcnnError, match="not vizcnn's"):
        make_aliasing_page(models, tmp_path, [tmp_path / "missing.png"], SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (LabSettings(layer="6"), "6 has no feature maps"),
        (LabSettings(shifts=64), "shifts of 0 to 64 pixels"),
        (LabSettings(layer="conv7"), "no layer 'conv7'"),
    ],
)
def test_impossible_settings_are_found_before_any_work(settings, words, models):
    with pytest.raises(VizcnnError, match=words):
        check_net(models[0], settings)


@pytest.mark.slow
def test_a_stride_of_three_and_nets_of_different_layers(photos, tmp_path):
    """The first layer alone is common to both nets; one has no canonical names beyond it."""
    odd = make_net("Odd", 9, 3)
    short = replace(make_net("Short", 7, 2), layers={"conv1": "1"})
    settings = replace(SETTINGS, layer="3", figure_format="svg")
    manifest = make_aliasing_page([odd, short], tmp_path / "out", photos, settings)
    names = [row.name for row in manifest.results.table]
    assert "distance, conv1" in names and "distance, conv2" not in names
    assert "no unit" not in " ".join(figure.note for figure in manifest.figures)
    assert all(figure.file.endswith(".svg") for figure in manifest.figures)
    assert manifest.results.period == 3


@pytest.mark.slow
def test_a_silent_layer_has_no_distance(photos, tmp_path):
    net = make_net("Silent", 7, 2)
    last = net.module[2]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-1)
    manifest = make_aliasing_page([net], tmp_path / "out", photos, SETTINGS)
    rows = {row.name: row.values for row in manifest.results.table}
    assert rows["distance, conv2"] == (None,)
    assert rows["grid artefact"] == (None,)
    assert rows["consistency"] == (1.0,)


@pytest.mark.slow
def test_photos_that_were_left_out_are_not_counted(models, photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a photo")
    manifest = make_aliasing_page(models[1:], tmp_path / "out", [broken, *photos], SETTINGS)
    assert manifest.results.photos == "3 photos"
    assert [photo.source for photo in manifest.photos] == [str(path) for path in photos]
    assert [failure.source for failure in manifest.failures] == [str(broken)]


def test_captions_count_what_was_drawn(page):
    _, manifest = page
    captions = {figure.file: figure.note for figure in manifest.figures}
    assert "units drawn, evenly spread: Coarse <b> 4, Fine 4" in captions["second-layer.png"]
    assert "(Coarse <b> 1, Fine 1)" in captions["cure.png"]


def test_samples_make_about_a_hundred_square_patches():
    patches = read_samples()
    assert 50 < len(patches) < 200
    assert all(patch.width == patch.height >= 128 for patch in patches)


def test_patches_overlap_by_half(tmp_path):
    from PIL import Image

    photo = Image.linear_gradient("L").resize((40, 20)).convert("RGB")
    patches = cut_patches(photo)
    assert len(patches) == 3 * 7
    assert patches[0].crop((0, 5, 10, 10)).tobytes() == patches[7].crop((0, 0, 10, 5)).tobytes()


def test_refuses_when_no_photo_can_be_read(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a photo")
    with pytest.raises(ImageError, match="none of 1 photos can be read"):
        read_pixels(make_net("Net", 7, 2), [tmp_path / "broken.jpg"])
