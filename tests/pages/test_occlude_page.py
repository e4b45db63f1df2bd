"""The page of hidden squares, end to end on a small net."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.gallery.test_site import Page, check_links
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import DataError, ImageError, LayerError
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.mining.photo_sets import open_photos
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.pages.occlude import OccludeResults, OccludeSettings, make_occlude_gallery

MODEL = make_model()
QUICK = {"side": 8, "stride": 8}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    home = tmp_path_factory.mktemp("photos")
    return [
        paint_photo(home / folder / f"{name}.png", seed)
        for seed, (folder, name) in enumerate((("dog", "a"), ("b $1", "c <&>"), ("dog", "d")))
    ]


def make(photos, folder, model=MODEL, **changes):
    given = {name: changes.pop(name) for name in ("index", "data", "progress") if name in changes}
    settings = OccludeSettings(**{**QUICK, **changes})
    return make_occlude_gallery(model, photos, folder, settings, "vizcnn occlude", **given)


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "out"
    return folder, make(photos[:2], folder)


def test_page_names_photo_unit_class_and_choices(made):
    folder, manifest = made
    check_links({file.name: Page(file) for file in folder.glob("*.html")}, folder)
    assert all((folder / name).is_file() for name in find_files(manifest))
    assert manifest == read_manifest(folder, OccludeResults)
    assert from_json(to_json(manifest), OccludeResults).results == manifest.results
    first, second = manifest.results.photos
    assert manifest.results.layer == "conv5"
    assert (first.class_name, first.class_basis) == ("dog", "the photo's folder")
    assert second.class_basis == "predicted"
    assert second.class_name == second.predicted
    page = (folder / "index.html").read_text()
    assert "state neither side nor step" in page
    assert "r + side / 2" in page
    assert "No index was given" in page
    assert "c &lt;&amp;&gt;.png" in page


def test_arrays_are_the_nets_values_by_the_centre(made, photos):
    folder, manifest = made
    section = manifest.results.photos[0]
    arrays = np.load(folder / section.arrays)
    assert arrays["rows"].tolist() == [4, 12, 20, 28]
    assert arrays["columns"].tolist() == [4, 12, 20, 28]
    image = MODEL.read(photos[0])
    row, column = np.unravel_index(arrays["probability"].argmin(), (4, 4))
    hidden = image.clone()
    hidden[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 0.5
    with torch.no_grad():
        wanted, whole = (MODEL.logits(pixels).softmax(1)[0, 1].item() for pixels in (hidden, image))
    assert arrays["probability"][row, column] == pytest.approx(wanted, abs=1e-6)
    drop = section.probability
    assert drop.whole == pytest.approx(whole, abs=1e-6)
    assert drop.drop == pytest.approx(max(whole - wanted, 0), abs=1e-6)
    if drop.drop:
        assert drop.centre == (8 * row + 4, 8 * column + 4)
    shares = {region.number: region.share for region in section.regions}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == {
        number: (arrays["best"] == number).mean() for number in np.unique(arrays["best"])
    }


def test_a_run_that_was_stopped_goes_on(made, photos, tmp_path):
    folder, begun = tmp_path / "out", []

    def show(items, *, label, **_):
        if label == "hide squares":
            begun.append(label)
            if len(begun) == stop:
                raise KeyboardInterrupt
        return iter(items)

    stop = 2
    with pytest.raises(KeyboardInterrupt):
        make(photos[:2], folder, progress=show)
    assert not (folder / "index.html").exists()
    stop, begun = 0, []
    resumed = make(photos[:2], folder, progress=show)
    assert len(begun) == 1  # the first photo was kept
    assert resumed.results == made[1].results
    stop, begun = 1, []
    with pytest.raises(KeyboardInterrupt):  # nothing is kept of what is done
        make(photos[:1], folder, progress=show)


@pytest.fixture(scope="module")
def index(photos, tmp_path_factory):
    file = tmp_path_factory.mktemp("mined") / "index.safetensors"
    home = photos[0].parents[1]
    settings = MiningSettings(layers=("conv5",), top=3)
    mine(MODEL, open_photos([home], MODEL.preprocessing), file, settings)
    return file, home


def test_other_photos_are_the_strongest_of_the_index(photos, index, tmp_path):
    file, home = index
    manifest = make(photos[:1], tmp_path / "out", index=file, data=[home])
    (section,) = manifest.results.photos
    unit, maps = section.unit, {}
    for photo in photos[1:]:
        with torch.no_grad():
            pixels = MODEL.preprocessing.normalise(MODEL.read(photo))
            values = MODEL.module[:11](pixels)[0, unit]
        maps[f"{photo.parent.name}/{photo.name}"] = values.max().item()
    wanted = sorted((value, name) for name, value in maps.items() if value > 0)[::-1]
    assert wanted
    assert [other.name for other in section.others] == [name for _, name in wanted]
    for other, (value, _) in zip(section.others, wanted, strict=True):
        assert other.activation == pytest.approx(value, rel=1e-5)
    assert manifest.results.index == file.name


def test_an_index_that_does_not_fit_is_refused(photos, index, tmp_path):
    file, home = index
    with pytest.raises(DataError, match="holds no photos: give those that it was mined from"):
        make(photos[:1], tmp_path / "a", index=file)
    with pytest.raises(DataError, match=r"holds no unit .* of conv3; it holds: conv5"):
        make(photos[:1], tmp_path / "b", layer="conv3", index=file, data=[home])
    module = make_model().module
    with torch.no_grad():
        module[0].bias.add_(1)
    with pytest.raises(DataError, match="mined with other weights"):
        other = replace(MODEL, module=module)
        make(photos[:1], tmp_path / "c", model=other, index=file, data=[home])
    with pytest.raises(DataError, match="is not in"):
        make(photos[:1], tmp_path / "d", index=file, data=[photos[1].parent])
    assert not any(tmp_path.glob("*/*"))


def test_layers_of_classes_and_bad_choices(photos, tmp_path):
    manifest = make(photos[:1], tmp_path / "out", layer="fc7", unit=1, class_name="cat <&>")
    (section,) = manifest.results.photos
    assert section.unit_name == "dog"
    assert (section.class_number, section.class_basis) == (0, "asked for")
    assert section.total is None
    assert section.position is None
    with pytest.raises(LayerError, match="no class"):
        make(photos[:1], tmp_path / "a", class_name="zebra")
    with pytest.raises(ImageError, match="never hidden"):
        make(photos[:1], tmp_path / "b", side=2, stride=3)
    with pytest.raises(ImageError, match="needed: mean, grey"):
        OccludeSettings(fill="pink")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    left = make([broken, photos[0]], tmp_path / "c")
    assert [len(left.photos), len(left.failures)] == [1, 1]


def test_photos_of_their_own_size_are_hidden_whole(tmp_path):
    from torch import nn

    import vizcnn

    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    torch.manual_seed(0)
    model = vizcnn.wrap(net.eval(), input_size=24).fit_photos("none")
    file = tmp_path / "wide.png"
    colours = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
    Image.fromarray(colours).save(file)
    (section,) = make([file], tmp_path / "out", model=model, side=5, stride=5).results.photos
    assert section.places == (4, 7)


def test_an_index_of_another_rank_holds_no_strongest_photos(photos, index, tmp_path):
    _, home = index
    mined = tmp_path / "lowest.safetensors"
    settings = MiningSettings(layers=("conv5",), top=3, rank="lowest")
    mine(MODEL, open_photos([home], MODEL.preprocessing), mined, settings)
    with pytest.raises(DataError, match="has photos with the lowest maximum first"):
        make(photos[:1], tmp_path / "out", index=mined, data=[home])
