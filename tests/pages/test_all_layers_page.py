"""The page on all layers: numbers that come from the run, kept parts, what is said of weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.models import prepare
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.basics.errors import ImageError, ModelError, VizcnnError
from vizcnn.drawing.words import percent
from vizcnn.gallery.manifest import read_manifest, to_json
from vizcnn.measures.layer_folding import measure_photo, sum_photos
from vizcnn.measures.subsampling import find_subsamplings
from vizcnn.pages.all_layers import (
    AllLayersResults,
    AllLayersSettings,
    make_all_layers_page,
    say_net,
)
from vizcnn.photos.patches import read_samples, spread
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance, SourceKind

SIZE = 48


def make_net(title: str = "Net <&>", stride: int = 2, source: SourceKind = "random") -> ZooModel:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=stride),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    return ZooModel(
        name=title.lower(),
        title=title,
        module=prepare(net, SIZE),
        preprocessing=Preprocessing((0.5,) * 3, (0.5,) * 3, 1.0, False, SIZE, SIZE),
        layers={"conv1": "1"},
        classes=("a", "b", "c"),
        provenance=Provenance(source, data="some <photos>", licence="none", note="seed"),
        options={},
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    return [paint_photo(folder / f"{name}.png", seed) for seed, name in enumerate("abc")]


def count_passes(model: ZooModel) -> list[int]:
    """Count the forward passes of a net from here on."""
    passes = [0]

    def count(*_) -> None:
        passes[0] += 1

    model.module.register_forward_hook(count)
    return passes


@pytest.fixture(scope="module")
def page(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    nets = [make_net(), make_net("Other", stride=3, source="file")]
    manifest = make_all_layers_page(nets, folder, photos, command="vizcnn aliasing")
    return folder, manifest, nets


def test_the_numbers_are_those_that_are_measured_photo_by_photo(page, photos):
    _, manifest, nets = page
    for model, told in zip(nets, manifest.results.nets, strict=True):
        steps, others = find_subsamplings(model.module, torch.zeros(1, 3, SIZE, SIZE))
        found = [measure_photo(model, steps, model.read(photo)) for photo in photos]
        expected = sum_photos(model, steps, others, found)
        assert [layer.shares for layer in told.layers] == [
            layer.shares for layer in expected.layers
        ]
        assert len(told.layers[0].photo_shares) == 3
    assert [step.reason[:6] for step in manifest.results.nets[0].left_out] == ["global"]


def test_the_manifest_is_read_back(page):
    folder, manifest, _ = page
    read = read_manifest(folder, AllLayersResults)
    assert to_json(read) == to_json(manifest)
    assert read.settings["most_photos"] == 16
    assert [photo.name for photo in read.photos] == ["a.png", "b.png", "c.png"]


def test_the_page_shows_each_net_and_the_comparison_and_escapes(page):
    folder, manifest, _ = page
    html = (folder / "index.html").read_text()
    assert [figure.file for figure in manifest.figures] == [
        *("comparison.png", "net-01.png", "net-02.png")
    ]
    assert "<&>" not in html and "Net &lt;&amp;&gt;" in html
    for layer in manifest.results.nets[1].layers:
        assert percent(layer.shares[0]) in html
        assert percent(layer.passed[2]) in html
    assert "global: one value of each map is left" in html


def test_random_weights_are_said_in_words(page):
    folder, manifest, _ = page
    comparison, first, second = manifest.figures
    assert "Random weights, which have learned nothing: Net <&>." in comparison.note
    assert first.title == "Net <&>, random weights" and "a trained net differs" in first.note
    assert "andom" not in second.title + second.note
    html = (folder / "index.html").read_text()
    assert html.count('<span class="note">random weights</span>') == 1  # of two nets
    assert html.count('<span class="quiet">random</span>') == 2  # of four layers


def test_nothing_is_left_beside_it(page):
    folder, _, nets = page
    assert not [name for name in list_files(folder) if name.endswith(".part")]
    assert not any(part._forward_hooks for net in nets for part in net.module.modules())


def test_the_worst_layer_is_named_with_what_is_left_of_it(photos, tmp_path):
    manifest = make_all_layers_page([make_net()], tmp_path / "out", photos)
    (net,) = manifest.results.nets
    first, second = net.layers
    worst = first if first.shares[0] > second.shares[0] else second
    assert say_net(net).startswith(
        f"Most folds in {worst.step.name}: {percent(worst.shares[0])} of the energy"
    )
    assert [figure.file for figure in manifest.figures] == ["net-01.png"]


def test_patches_of_the_samples_are_spread(tmp_path):
    settings = AllLayersSettings(most_photos=2)
    model = make_net()
    manifest = make_all_layers_page([model], tmp_path / "out", (), settings)
    assert manifest.results.photos.startswith("2 patches of 7 photos")
    patches = read_samples()
    steps, others = find_subsamplings(model.module, torch.zeros(1, 3, SIZE, SIZE))
    few = [patches[number] for number in spread(len(patches), 2)]
    found = [measure_photo(model, steps, model.read(patch)) for patch in few]
    expected = sum_photos(model, steps, others, found).layers[0].shares
    assert manifest.results.nets[0].layers[0].shares == expected


def stop_at(number: int, label: str):
    """Make a progress that ends the run like Ctrl-C, before an item of a net."""

    def progress(items, *, label: str, total=None, unit="it", initial=0, wanted=label):
        for place, item in enumerate(items):
            if place == number and label == wanted:
                raise KeyboardInterrupt
            yield item

    return progress


@pytest.mark.usefixtures("one_thread")
def test_an_interrupted_run_goes_on_and_ends_alike(photos, tmp_path):
    nets = [make_net("One"), make_net("Two", stride=3)]
    whole = tmp_path / "whole"
    make_all_layers_page(nets, whole, photos)
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_all_layers_page(nets, folder, photos, progress=stop_at(2, "measure Two"))
    assert not (folder / "index.html").exists()
    passes = [count_passes(net) for net in nets]
    make_all_layers_page(nets, folder, photos)
    assert passes == [[1], [2]], "one pass to find the layers, and one photo of the second net"
    assert list_files(folder) == list_files(whole)


def test_other_weights_are_measured_anew(photos, tmp_path):
    net, folder = make_net(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_all_layers_page([net], folder, photos, progress=stop_at(2, f"measure {net.title}"))
    with torch.no_grad():
        next(net.module.parameters()).mul_(2)
    passes = count_passes(net)
    make_all_layers_page([net], folder, photos)
    assert passes == [1 + 3]


def test_a_photo_that_cannot_be_read_is_left_out_and_told_once(photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no photo")
    nets = [make_net("One"), make_net("Two")]
    manifest = make_all_layers_page(nets, tmp_path / "out", [*photos, bad])
    assert [Path(failure.source).name for failure in manifest.failures] == ["bad.png"]
    assert manifest.results.photos == "3 photos"
    with pytest.raises(VizcnnError, match="is not an image that can be read"):
        make_all_layers_page(nets, tmp_path / "none", [bad])


def test_what_cannot_be_measured_is_refused(photos, tmp_path):
    plain = replace(make_net(), module=nn.Conv2d(3, 4, 3).eval())
    with pytest.raises(ModelError, match="nothing in Net <&> can be measured"):
        make_all_layers_page([plain], tmp_path / "out", photos)
    with pytest.raises(ModelError, match="25 nets are named; needed: 1 to 24"):
        make_all_layers_page([make_net()] * 25, tmp_path / "out", photos)
    preprocessing = make_net().preprocessing.fit_otherwise("none", None)
    unfitted = replace(make_net(), preprocessing=preprocessing)
    with pytest.raises(ImageError, match="fit none leaves each its own"):
        make_all_layers_page([unfitted], tmp_path / "out", photos)
    assert list(tmp_path.iterdir()) == []


def test_silent_maps_are_said_to_be_silent(photos, tmp_path):
    dead = make_net()
    with torch.no_grad():
        next(dead.module.parameters()).zero_()
    manifest = make_all_layers_page([dead], tmp_path / "out", photos)
    (net,) = manifest.results.nets
    assert [layer.shares for layer in net.layers] == [(None,) * 3] * 2
    assert "All of its maps are silent" in manifest.figures[0].note
