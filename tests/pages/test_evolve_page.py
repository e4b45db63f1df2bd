"""The page of a training: each epoch is the gallery of its net, and is computed a second time."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.small_zoo import list_files, make_model
from vizcnn.basics.errors import ImageError, LayerError, VizcnnError, WeightsError
from vizcnn.drawing.evolution_blocks import EvolutionCell, EvolutionRow, draw_block
from vizcnn.drawing.style import make_style, use_style
from vizcnn.drawing.tiles import scale_projections, to_bytes
from vizcnn.gallery.manifest import read_manifest
from vizcnn.mining.photo_sets import PartOfPhotos
from vizcnn.pages.evolution_figures import describe_course
from vizcnn.pages.evolution_records import EvolveResults
from vizcnn.pages.evolve import (
    EvolveSettings,
    choose_evolved_units,
    make_evolve_gallery,
    measure,
)
from vizcnn.pages.layers.gallery import make_top_gallery
from vizcnn.pages.layers.job import TopSettings
from vizcnn.projection.deconvnet import Projector
from vizcnn.training.digit_photos import DigitPhotos
from vizcnn.training.moments import find_run, list_moments
from vizcnn.zoo.preprocessing import make_preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")

RUN = find_run("lenet")
SOME = replace(RUN, moments=tuple(moment for moment in RUN.moments if moment.epoch in (0, 5, 64)))
PHOTOS = PartOfPhotos(DigitPhotos(make_preprocessing("grey", 32)), 1, 24)
SETTINGS = EvolveSettings(
    layers=("conv1", "conv2"), units=(0, 2, 4, 5), compare=3, workers=0, seed=3
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evolve") / "out"
    torch.set_num_threads(1)
    return folder, make_evolve_gallery(SOME, PHOTOS, folder, SETTINGS, "vizcnn evolve")


class Parts:
    """Keeps nothing."""

    def get(self, name, compute):
        return compute()


@pytest.fixture(scope="module")
def evolution(tmp_path_factory):
    torch.set_num_threads(1)
    layers, scratch = SETTINGS.layers, tmp_path_factory.mktemp("scratch")
    found = measure(SOME, PHOTOS, layers, SETTINGS, Parts(), scratch)
    assert list(scratch.iterdir()) == []
    return found


@pytest.mark.parametrize("at", range(3))
def test_an_epoch_is_the_gallery_of_its_net(at, page, evolution, tmp_path):
    model = SOME.moments[at].load()
    for number, layer in enumerate(page[1].results.layers):
        settings = TopSettings(
            layers=(layer.name,), units=SETTINGS.units, top=1, compare=3, workers=0
        )
        folder = tmp_path / layer.name
        gallery = make_top_gallery(model, PHOTOS, settings, folder)
        sheets = gallery.results.layers[0]
        for row, (unit, sheet) in enumerate(zip(layer.units, sheets.units, strict=True)):
            cell = unit.cells[at]
            if not sheet.places:
                assert cell.photo == "" and cell.activation <= 0
                continue
            (place,) = sheet.places
            names = ("activation", "position", "box", "selectivity", "compared", "active")
            for name in names:
                assert getattr(cell, name) == getattr(place, name), name
            assert cell.photo == gallery.photos[place.photo].name
            window, patch = evolution.pictures[number][row][at]
            if layer.name == "conv1":  # whose sheets are stored without loss
                read = np.asarray(Image.open(folder / sheet.large).convert("RGB"))
                half = (read.shape[1] - sheets.large_gaps[1]) // 2
                times = half // patch.shape[1]
                shown = to_bytes(scale_projections([window], "unit")[0])
                for tile, wanted in ((read[:, :half], shown), (read[:, -half:], patch)):
                    np.testing.assert_array_equal(
                        tile, wanted.repeat(times, axis=0).repeat(times, axis=1)
                    )


def test_places_and_pictures_are_those_of_a_plain_search(page, evolution):
    """All photos through the net one by one, the largest value, and a projection of it alone."""
    for at, moment in enumerate(SOME.moments):
        model = moment.load()
        pixels = torch.stack([PHOTOS.read(n) for n in range(len(PHOTOS.names))]).float() / 255
        for number, layer in enumerate(page[1].results.layers):
            maps = []
            part = model.module.get_submodule(layer.path)
            hook = part.register_forward_hook(lambda _, __, output, maps=maps: maps.append(output))
            for photo in pixels:
                model.logits(photo[None])
            hook.remove()
            values = torch.cat(maps)
            for row, unit in enumerate(layer.units):
                cell = unit.cells[at]
                best = values[:, unit.unit].max()
                assert cell.activation == pytest.approx(best.item(), rel=1e-5, abs=1e-6)
                if best <= 0:
                    continue
                photo, y, x = np.unravel_index(
                    int(values[:, unit.unit].argmax()), values[:, 0].shape
                )
                assert (cell.photo, cell.position) == (PHOTOS.names[photo], (y, x))
                seen = Projector(model, "deconvnet").project(
                    pixels[photo][None], layer=layer.name, unit=unit.unit, position=(int(y), int(x))
                )
                full = model.preprocessing.to_visible(seen.pixels)[0].permute(1, 2, 0).numpy()
                top, left, bottom, right = cell.box
                window, _ = evolution.pictures[number][row][at]
                whole = np.zeros_like(full)
                whole[top:bottom, left:right] = full[top:bottom, left:right]
                np.testing.assert_array_equal(whole, full)  # nothing lies outside of the box
                assert cell.peak == pytest.approx(np.abs(full).max(), rel=1e-4)
                assert np.abs(window).sum() == pytest.approx(np.abs(full).sum(), rel=2e-3)


def test_cosines_are_those_of_the_projections(page, evolution):
    for number, layer in enumerate(page[1].results.layers):
        for row, unit in enumerate(layer.units):
            pictures = evolution.pictures[number][row]
            for cell, pair in zip(unit.cells, pictures, strict=True):
                if pair is None or pictures[-1] is None:
                    assert cell.cosine is None
                    continue
                if {cell.box[2] - cell.box[0], cell.box[3] - cell.box[1]} != {layer.field[0]}:
                    continue  # cut by an edge: tests/measures has those
                a, b = pair[0].ravel(), pictures[-1][0].ravel()
                last = unit.cells[-1].box
                if {last[2] - last[0], last[3] - last[1]} == {layer.field[0]}:
                    assert cell.cosine == pytest.approx(
                        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), abs=1e-5
                    )
            assert unit.cells[-1].cosine in (None, pytest.approx(1.0))


def test_changes_are_told(page):
    for layer in page[1].results.layers:
        for unit in layer.units:
            names = [cell.photo for cell in unit.cells]
            changed = [one != other for one, other in zip(names[1:], names[:-1], strict=True)]
            assert [cell.changed for cell in unit.cells] == [False, *changed]
            epochs = [e for e, new in zip((5, 64), changed, strict=True) if new]
            assert unit.last_change == (epochs[-1] if epochs else None)


def test_the_page_and_the_manifest_say_all(page):
    folder, manifest = page
    read = read_manifest(folder, EvolveResults)
    assert read.results == manifest.results
    assert [net.title for net in read.nets] == [f"LeNet-5 after epoch {n}" for n in (0, 5, 64)]
    assert len({net.weights.sha256 for net in read.nets}) == 3
    shown = {cell.photo for layer in read.results.layers for u in layer.units for cell in u.cells}
    assert {photo.name for photo in read.photos} == shown - {""}
    first = read.photos[0]
    pixels = PHOTOS.read(PHOTOS.names.index(first.name)).permute(1, 2, 0).contiguous().numpy()
    assert first.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert [figure.file for figure in read.figures] == ["conv1.png", "conv2.png", "courses.png"]
    html = (folder / "index.html").read_text("utf-8")
    for words in ("kept at epochs 0, 5, 64", "Half-life", "only at the last", "zero is mid grey"):
        assert words in html
    assert list(folder.glob(".*.part")) == []


def test_units_are_drawn_by_the_seed_for_each_layer_anew():
    def draw(layer, seed):
        return choose_evolved_units(layer, 120, EvolveSettings(count=9, seed=seed))

    assert draw("conv2", 0) == draw("conv2", 0)
    assert len({draw("conv2", 0), draw("conv2", 1), draw("conv3", 0)}) == 3
    assert len(set(draw("conv2", 0))) == 9
    assert set(range(120)) > set(draw("conv2", 0))


@pytest.mark.parametrize(("epochs", "units"), [(2, 1), (9, 30), (30, 3)])
@pytest.mark.parametrize("style", ["page", "slide"])
def test_blocks_of_any_size_can_be_drawn(epochs, units, style):
    tile = np.full((3, 3, 3), 0.5, dtype=np.float32)
    cells = [
        EvolutionCell(tile, tile if at % 2 else None, at % 2 == 1, "1.00") for at in range(epochs)
    ]
    rows = [EvolutionRow(f"unit {unit}", "", tuple(cells)) for unit in range(units)]
    with use_style(make_style(style)):
        figure = draw_block(rows, range(epochs), "title", "words", "caption")
    width, height = figure.get_size_inches()
    assert width / height == pytest.approx(16 / 9) if style == "slide" else width >= 13
    frames = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert len(frames) == units * (epochs // 2)


class CountedPhotos:
    """Counts what is read, and stops a run in its midst."""

    def __init__(self, most=10**9):
        self.names, self.sizes, self.read_so_far, self.most = PHOTOS.names, PHOTOS.sizes, 0, most

    def read(self, number):
        self.read_so_far += 1
        if self.read_so_far > self.most:
            raise KeyboardInterrupt
        return PHOTOS.read(number)

    def describe(self):
        return PHOTOS.describe()


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path):
    settings = replace(SETTINGS, layers=("conv1",))
    whole = CountedPhotos()
    make_evolve_gallery(SOME, whole, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        make_evolve_gallery(SOME, CountedPhotos(2 * len(PHOTOS.names)), tmp_path / "out", settings)
    assert not (tmp_path / "out" / "index.html").exists()
    rest = CountedPhotos()
    make_evolve_gallery(SOME, rest, tmp_path / "out", settings)
    assert rest.read_so_far < whole.read_so_far - len(PHOTOS.names)
    assert list_files(tmp_path / "out") == list_files(tmp_path / "whole")


def test_another_net_at_an_epoch_is_measured_anew(tmp_path):
    settings = replace(SETTINGS, layers=("conv1",))
    with pytest.raises(KeyboardInterrupt):
        make_evolve_gallery(SOME, CountedPhotos(2 * len(PHOTOS.names)), tmp_path / "out", settings)
    other = replace(
        SOME, moments=(replace(SOME.moments[0], load=RUN.moments[1].load), *SOME.moments[1:])
    )
    made = make_evolve_gallery(other, PHOTOS, tmp_path / "out", settings)
    alone = make_evolve_gallery(other, PHOTOS, tmp_path / "alone", settings)
    assert made.results == alone.results


def test_what_a_photo_is_called_is_escaped_and_nets_stay_as_they_are(tmp_path):
    nets = [make_model(), make_model()]
    with torch.no_grad():
        nets[1].module[0].weight.mul_(2)
    before = [{k: v.clone() for k, v in net.module.state_dict().items()} for net in nets]
    run = list_moments("<b>mine", "tiny", {number: lambda n=number: nets[n] for number in (0, 1)})

    class Named(CountedPhotos):
        def __init__(self):
            super().__init__()
            self.names = tuple(f"<i>{name}" for name in self.names)

    settings = EvolveSettings(
        layers=("conv1", "fc7"), count=3, compare=None, workers=0, scaling="row"
    )
    made = make_evolve_gallery(run, Named(), tmp_path / "out", settings)
    html = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "&lt;b&gt;mine" in html and "&lt;i&gt;train" in html
    assert "<i>" not in html and "<b>" not in html
    assert made.results.layers[1].units[0].name in nets[0].classes
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(state[k], v) for k, v in net.module.state_dict().items())
        assert not any(part._forward_hooks for part in net.module.modules())
    # twice the weights: the same picture, twice the activation but for the bias
    strong, weak = (made.results.layers[0].units[0].cells[at] for at in (1, 0))
    assert strong.activation > weak.activation


def test_the_first_layers_projection_is_the_filter_times_the_activation(tmp_path):
    run = find_run("alexnet-7x7")
    run = replace(run, moments=(run.moments[0], run.moments[-1]))
    photos = PartOfPhotos(DigitPhotos(run.moments[0].load().preprocessing), 1, 300)
    settings = EvolveSettings(count=4, compare=None, workers=0)
    found = measure(run, photos, ("conv1",), settings, Parts(), tmp_path)
    layer = found.results.layers[0]
    compared = 0
    for at, moment in enumerate(run.moments):
        model = moment.load()
        weight = next(model.module.parameters()).detach()
        for row, unit in enumerate(layer.units):
            cell = unit.cells[at]
            if (cell.box[2] - cell.box[0], cell.box[3] - cell.box[1]) != (7, 7):
                continue
            picture = cell.activation * weight[unit.unit]
            # back through the preprocessing, which divided by the standard deviation
            wanted = (picture.permute(1, 2, 0) / torch.tensor(model.preprocessing.std)).numpy()
            got = found.pictures[0][row][at][0]
            np.testing.assert_allclose(got, wanted, atol=2e-3 * np.abs(wanted).max())
            compared += 1
    assert compared >= 2
    assert "vizcnn train FOLDER --model alexnet-7x7" in found.results.needed


def test_a_layer_that_was_not_kept_is_refused(tmp_path):
    photos = PartOfPhotos(DigitPhotos(make_preprocessing("imagenet", 128)), 1, 700)
    settings = EvolveSettings(layers=("conv2",))
    with pytest.raises(LayerError, match=r"of zfnet only conv1 was kept .* conv2 needs whole nets"):
        make_evolve_gallery(find_run("zfnet"), photos, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_nets_that_see_photos_differently_are_refused(tmp_path):
    model = make_model()
    other = replace(model, preprocessing=replace(model.preprocessing, mean=(0.1, 0.1, 0.1)))
    run = list_moments("mine", "tiny", {0: lambda: model, 3: lambda: other})
    settings = EvolveSettings(layers=("conv1",), compare=None, workers=0)
    with pytest.raises(WeightsError, match="shown photos in different ways"):
        make_evolve_gallery(run, PHOTOS, tmp_path / "out", settings)


def test_photos_that_cannot_be_read_are_told_once(tmp_path):
    class Broken(CountedPhotos):
        def read(self, number):
            if number == 5:
                raise ImageError("it is no photo")
            return super().read(number)

    settings = replace(SETTINGS, layers=("conv1",))
    made = make_evolve_gallery(SOME, Broken(), tmp_path / "out", settings)
    assert [failure.source for failure in made.failures] == [PHOTOS.names[5]]
    assert made.results.data.count == len(PHOTOS.names) - 1
    assert "it is no photo" in (tmp_path / "out" / "index.html").read_text("utf-8")


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 51}, {"part": "own", "compare": None}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(VizcnnError, match="needed"):
        EvolveSettings(**wrong)


def test_photos_that_never_changed_are_not_said_to_have_changed(evolution):
    layer = evolution.results.layers[0]
    for last_change, told in [
        (0, "strongest photos were the last ones from epoch 0 on, and"),
        (5, "strongest photos changed for the last time at epoch 5, and"),
    ]:
        course = replace(layer.course, last_change=last_change)
        assert told in describe_course(replace(layer, course=course), SOME.epochs)
