"""Galleries of other ranks than the strongest places, and of units' ranges."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.small_zoo import SIZE, list_files
from tests.support.top_runs import MODEL, cut_tiles, load, make, write_noise
from vizcnn.basics.errors import DataError
from vizcnn.drawing.tiles import robust_limit, scale_signed, to_bytes
from vizcnn.drawing.unit_sheets import LABELS, draw_silent
from vizcnn.gallery.manifest import read_manifest
from vizcnn.mining.merging import merge_files
from vizcnn.mining.photo_sets import FolderPhotos, PartOfPhotos
from vizcnn.mining.ranks import PERCENTILES
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.pages.layers.job import TopSettings
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.layers.work_folder import WORK_NAME
from vizcnn.projection.deconvnet import Projector

LAYERS = ("conv1", "fc6")
FOLDERS = ("dog", "cat <&>", "elsewhere")
LOWEST = TopSettings(layers=LAYERS, top=4, workers=0, compare=2, rank="lowest", ranges=True)
SITES = {
    "lowest": LOWEST,
    "median": replace(LOWEST, rank="median", ranges=False, poster=True, poster_units=3),
    "random": replace(LOWEST, rank="random", seed=5, ranges=False),
    "relevance": replace(LOWEST, rank="relevance", ranges=False),
    "activation": replace(LOWEST, rank="activation"),
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(24):
        write_noise(folder / FOLDERS[number % 3] / f"{number:02d}.png", number)
    return folder


@pytest.fixture(scope="module")
def sites(tmp_path_factory, photos):
    home = tmp_path_factory.mktemp("sites")
    return {
        name: (home / name, make(photos, home / name, wanted)) for name, wanted in SITES.items()
    }


@pytest.fixture(scope="module")
def peaks(photos):
    """By layer each photo's maxima, (photos, units), from passes of one photo each."""
    files = sorted(photos.rglob("*.png"), key=lambda file: file.relative_to(photos).as_posix())
    projector = Projector(MODEL, "deconvnet")
    found: dict[str, list[torch.Tensor]] = {layer: [] for layer in LAYERS}
    for file in files:
        recording = projector.record(MODEL.read(file), list(LAYERS))
        for layer in LAYERS:
            maps = recording.find_output(projector.find_path(layer))[0].detach()
            found[layer].append(maps.flatten(1).amax(dim=1) if maps.ndim > 1 else maps)
    names = [file.relative_to(photos).as_posix() for file in files]
    return names, {layer: torch.stack(rows).numpy() for layer, rows in found.items()}


@pytest.mark.parametrize("rank", ["lowest", "median"])
def test_photos_are_those_of_sorted_maxima(sites, peaks, rank):
    manifest, (names, maxima) = sites[rank][1], peaks
    for layer in manifest.results.layers:
        for unit in layer.units:
            column = maxima[layer.name][:, unit.unit]
            order = np.argsort(column, kind="stable")
            if rank == "median":
                order = np.argsort(-column, kind="stable")[[12, 11, 13, 10]]
            shown = [manifest.photos[place.photo].name for place in unit.places]
            wanted = column[order[:4]]
            assert [place.activation for place in unit.places] == pytest.approx(wanted, rel=1e-5)
            if (np.diff(np.sort(column)) > 1e-5).all():
                assert shown == [names[number] for number in order[:4]]
            for place in unit.places:
                assert place.silent == (place.activation == 0)


def test_a_silent_photo_has_no_projection_and_is_shown_whole(sites):
    folder, manifest = sites["lowest"]
    layer = manifest.results.layers[1]  # fc6: a unit sees all of the photo
    counts = {True: 0, False: 0}
    for unit in layer.units:
        left, right = cut_tiles(load(folder / unit.large), layer)
        for rank, place in enumerate(unit.places):
            counts[place.silent] += 1
            wanted = draw_silent(left[rank].shape[:2])
            is_word = np.abs(left[rank] - wanted).mean() < 2
            assert is_word == place.silent
            if place.silent:
                assert place.box == (0, 0, SIZE, SIZE)
                assert (place.position, place.selectivity, place.compared) == (None, None, None)
                photo = load(folder / manifest.photos[place.photo].image)
                small = right[rank].reshape(SIZE, right[rank].shape[0] // SIZE, SIZE, -1, 3)
                assert np.abs(small.mean(axis=(1, 3)) - photo).mean() < 8
    assert min(counts.values()) > 3
    for unit in layer.units:
        page = (folder / layer.folder / f"unit-{unit.unit:04d}.html").read_text()
        assert page.count("<td>silent</td>") == sum(place.silent for place in unit.places)
    assert any("the unit is silent: there is no projection" in note for note in layer.notes)


def test_a_range_shows_numpys_percentiles(sites, peaks):
    for rank in ("lowest", "activation"):
        manifest = sites[rank][1]
        for layer in manifest.results.layers:
            maxima = peaks[1][layer.name]
            wanted = np.percentile(maxima, PERCENTILES, axis=0, method="inverted_cdf")
            for unit in layer.units:
                column = maxima[:, unit.unit]
                if unit.range is None:
                    assert column.max() == 0
                    continue
                places = unit.range.places
                assert [place.percentile for place in places] == list(PERCENTILES)
                values = [place.activation for place in places]
                assert values == pytest.approx(wanted[:, unit.unit], rel=1e-5)
                assert unit.range.silent == (column <= 0).mean()


def test_a_strip_shows_the_projections_and_patches_of_its_places(sites, photos):
    folder, manifest = sites["activation"]
    layer = manifest.results.layers[0]
    projector = Projector(MODEL, "deconvnet")
    height, width = layer.window
    for unit in layer.units[:4]:
        assert unit.range is not None
        strip = load(folder / unit.range.image)
        assert strip.shape[1::-1] == layer.range_px
        side, gap = 96, layer.large_gaps[0]
        assert strip[:LABELS].min() < 100  # letters
        strip = strip[LABELS:]
        for number, place in enumerate(unit.range.places):
            tile = strip[:side, number * (side + gap) :][:, :side]
            below = strip[side + gap :, number * (side + gap) :][:, :side]
            if place.silent:
                assert np.abs(tile - draw_silent((side, side))).mean() < 2
                continue
            pixels = MODEL.read(photos / manifest.photos[place.photo].name)
            image = projector.project(pixels, layer.name, unit=unit.unit, position=place.position)
            picture = image.pixels[0].permute(1, 2, 0).numpy()
            top, left = place.corner
            window = (slice(top, top + height), slice(left, left + width))
            wanted = to_bytes(scale_signed(picture[window], robust_limit(picture)))
            times = side // height
            assert np.abs(tile[times // 2 :: times, times // 2 :: times] - wanted).max() <= 1
            patch = to_bytes(pixels[0].permute(1, 2, 0).numpy()[window])
            assert np.abs(below[times // 2 :: times, times // 2 :: times] - patch).max() <= 1


def test_relevance_counts_what_has_no_class_and_names_the_others(sites):
    folder, manifest = sites["relevance"]
    assert manifest.results.data.unclassed == 8
    assert "8 left out as their folders name no class" in (folder / "index.html").read_text()
    places = [
        (place, manifest.photos[place.photo].name)
        for layer in manifest.results.layers
        for unit in layer.units
        for place in unit.places
    ]
    weight = MODEL.module.get_submodule("14").weight
    assert isinstance(weight, torch.Tensor)
    for place, name in places:
        assert place.true_class == name.split("/")[0] in MODEL.classes
        assert place.relevance is not None
        assert place.relevance > 0
    for unit in manifest.results.layers[1].units:
        for place in unit.places:
            assert place.relevance is not None
            own = weight[MODEL.classes.index(place.true_class), unit.unit].item()
            assert place.relevance == pytest.approx(own * place.activation, rel=1e-5)
    for unit in manifest.results.layers[0].units:
        page = (folder / "conv1" / f"unit-{unit.unit:04d}.html").read_text()
        cats = sum(place.true_class == "cat <&>" for place in unit.places)
        assert page.count("<td>cat &lt;&amp;&gt;</td>") == cats
        assert "<td>cat <&>" not in page


def test_pages_and_posters_say_what_was_ranked(sites):
    texts = {
        "lowest": "the photos in which the unit’s maximum is lowest",
        "median": "the photos around the median of the unit’s maxima",
        "random": "photos drawn at random for the unit (seed 5)",
        "relevance": "activation × gradient of its logit",
    }
    for rank, text in texts.items():
        folder = sites[rank][0]
        for page in ("index.html", "conv1/index.html", "conv1/unit-0000.html"):
            content = (folder / page).read_text()
            assert text in content, (rank, page)
            assert "strongest places" not in content
    poster = sites["median"][0] / "posters" / "conv1.svg"
    assert "for each the four photos around the median of its maxima" in poster.read_text()
    assert "Ranked by" not in (sites["activation"][0] / "conv1/unit-0000.html").read_text()


def test_a_manifest_is_read_back(sites):
    for folder, manifest in sites.values():
        assert read_manifest(folder, LayersResults).results == manifest.results
    settings = sites["activation"][1].settings
    assert "rank" not in settings
    assert settings["ranges"] is True
    assert sites["random"][1].settings["rank"] == "random"


@pytest.mark.parametrize(("name", "label", "count"), [("lowest", "mine", 1), ("lowest", "draw", 3)])
def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path, sites, photos, name, label, count):
    def stop(items, *, label, total=None, unit="it", initial=0):
        for number, item in enumerate(items):
            if label == wanted and number == count:
                raise KeyboardInterrupt
            yield item

    wanted, out = label, tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(photos, out, SITES[name], progress=stop)
    make(photos, out, replace(SITES[name], workers=2))
    assert list_files(out) == list_files(sites[name][0])


def test_missing_maxima_are_mined_anew(tmp_path):
    def stop(items, *, label, total=None, unit="it", initial=0):
        for number, item in enumerate(items, start=1):
            if label == "mine" and number == 20:
                raise KeyboardInterrupt
            yield item

    many = tmp_path / "photos"
    for number in range(45):
        write_noise(many / f"{number}.png", number % 24)
    out, told = tmp_path / "out", []
    with pytest.raises(KeyboardInterrupt):
        make(many, out, LOWEST, progress=stop)
    (out / WORK_NAME / "strongest.safetensors.maxima").unlink()
    make(many, out, LOWEST, notice=told.append)
    assert any("maxima' is missing or damaged: the photos are mined anew" in line for line in told)
    make(many, tmp_path / "other", LOWEST)
    assert list_files(out) == list_files(tmp_path / "other")


def test_merged_parts_make_the_gallery_of_the_whole(tmp_path, sites, photos):
    whole = FolderPhotos([photos], MODEL.preprocessing)
    settings = MiningSettings(LAYERS, 4, workers=0, rank="lowest", ranges=True)
    for part in (1, 2):
        mine(MODEL, PartOfPhotos(whole, part, 2), tmp_path / f"{part}", settings)
    merge_files([tmp_path / "2", tmp_path / "1"], tmp_path / "all")
    make(photos, tmp_path / "out", LOWEST, index=tmp_path / "all")
    assert list_files(tmp_path / "out") == list_files(sites["lowest"][0])


def test_an_index_of_another_rank_is_refused_and_one_with_ranges_will_do(tmp_path, sites, photos):
    index = sites["lowest"][0] / "strongest.safetensors"
    fewer = replace(LOWEST, ranges=False, top=2, layers=("conv1",))
    manifest = make(photos, tmp_path / "fewer", fewer, index=index)
    assert manifest.results.layers[0].units[0].range is None
    for wanted, told in (
        (replace(LOWEST, rank="activation"), "rank: 'lowest', not 'activation'"),
        (replace(LOWEST, rank="random", seed=2), "rank: 'lowest', not 'random'; seed: 0, not 2"),
    ):
        with pytest.raises(DataError, match=told):
            make(photos, tmp_path / "out", wanted, index=index)
    plain = sites["relevance"][0] / "strongest.safetensors"
    with pytest.raises(DataError, match="ranges: False, not True"):
        make(photos, tmp_path / "out", replace(SITES["relevance"], ranges=True), index=plain)
    with pytest.raises(DataError, match=r"2 places of one photo.*'lowest' takes the maximum"):
        replace(LOWEST, per_photo=2)


def test_a_folder_of_no_class_is_refused_before_anything_is_written(tmp_path, photos):
    with pytest.raises(DataError, match="no photo lies in a folder named after a class"):
        make(photos / "elsewhere", tmp_path / "out", SITES["relevance"])
    assert not (tmp_path / "out").exists()


def test_a_folder_of_one_class_is_known_by_its_path(tmp_path, photos):
    manifest = make(photos / "dog", tmp_path / "out", SITES["relevance"])
    classes = {
        place.true_class
        for layer in manifest.results.layers
        for unit in layer.units
        for place in unit.places
    }
    assert classes == {"dog"}
