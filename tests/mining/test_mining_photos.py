"""Photos to mine: folders with odd names, parts, the sample patches; what a worker hands over."""

import os
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

from tests.support.mining_runs import NoisePhotos, make_photos
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.basics.errors import DataError, ImageError
from vizcnn.mining.index import read_index
from vizcnn.mining.lots import LOT, read_lots
from vizcnn.mining.photo_sets import (
    FolderPhotos,
    PartOfPhotos,
    PhotoSet,
    SamplePatches,
    choose_part,
    open_photos,
)
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.photos.images import read_photo
from vizcnn.photos.patches import cut_patches, find_samples

MODEL = make_model()
ODD_NAMES = (
    "plain.jpg",
    'it\'s "quoted" & <b>.png',
    "deep/er/photo.PNG",
    "deep-er.png",
    "Ünïcödé 写真 🌲.png",
    "two\nlines.png",
    "tab\t.png",
    "-rf.png",
    "$(reboot) `x`.png",
    os.fsdecode(b"bytes \xff\xfe.png"),
)


def paint_odd_photos(folder):
    for number, name in enumerate(ODD_NAMES):
        paint_photo(folder / "made.png", seed=number)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "made.png", folder / name)
    return folder


def test_odd_names_go_through_to_the_index(tmp_path):
    folder = paint_odd_photos(tmp_path / "photos")
    (folder / "broken\n\"'.jpg").write_bytes(b"")
    photos = FolderPhotos([folder], MODEL.preprocessing)
    assert photos.names == tuple(sorted([*ODD_NAMES, "broken\n\"'.jpg"]))
    assert photos.sizes == tuple((folder / name).stat().st_size for name in photos.names)
    settings = MiningSettings(layers=("conv1",), top=20, workers=2)
    index = mine(MODEL, photos, tmp_path / "index", settings)
    found = read_index(tmp_path / "index")
    assert found.photos == index.photos == photos.names
    ((name, why),) = found.failures
    assert name == "broken\n\"'.jpg"
    assert why.startswith(f"{name!r} is empty")
    assert str(tmp_path) not in why
    assert len(why.splitlines()) == 1
    assert sorted(found.layers["conv1"].photos[0].tolist())[-10:] == [0, 1, *range(3, 11)]


def test_the_folders_own_place_is_not_in_the_index(tmp_path):
    """Machines that have mounted one folder at different places make the same bytes."""
    for home in ("here", "far/away"):
        paint_odd_photos(tmp_path / home)
        (tmp_path / home / "cut.png").write_bytes((tmp_path / home / "tab\t.png").read_bytes()[:99])
        photos = FolderPhotos([tmp_path / home], MODEL.preprocessing)
        settings = MiningSettings(layers=("conv1",), workers=0)
        mine(MODEL, photos, tmp_path / f"{len(home)}", settings)
    assert (tmp_path / "4").read_bytes() == (tmp_path / "8").read_bytes()
    assert len(read_index(tmp_path / "4").failures) == 1


@pytest.mark.parametrize("size", [(48, 40), (32, 32), (20, 700), (1, 1), (33, 32)])
@pytest.mark.parametrize("resize", [32, 40])
def test_pixels_are_those_that_the_net_reads(tmp_path, size, resize):
    preprocessing = replace(MODEL.preprocessing, resize=resize)
    model = replace(MODEL, preprocessing=preprocessing)
    path = paint_photo(tmp_path / "photo.png", size=size)
    pixels = FolderPhotos([tmp_path], preprocessing).read(0)
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels.float()[None] / 255, model.read(path))


def test_several_folders_and_files(tmp_path):
    paint_photo(tmp_path / "one" / "a.png")
    paint_photo(tmp_path / "two" / "sub" / "b.png", seed=1)
    single = paint_photo(tmp_path / "c.png", seed=2)
    paths = [tmp_path / "two", tmp_path / "one", single]
    photos = FolderPhotos(paths, MODEL.preprocessing)
    assert photos.names == ("a.png", "c.png", "sub/b.png")
    assert torch.equal(photos.read(1).float()[None] / 255, MODEL.read(single))
    assert photos.describe().startswith("3 photos in ")
    paint_photo(tmp_path / "one" / "sub" / "b.png")
    with pytest.raises(DataError, match=r"'sub/b.png' .* give the folder that holds both"):
        FolderPhotos(paths, MODEL.preprocessing)
    with pytest.raises(DataError, match="is given twice"):
        FolderPhotos([single, single], MODEL.preprocessing)


def test_folders_that_hold_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("no photo")
    paint_photo(tmp_path / ".hidden" / "a.png")
    with pytest.raises(DataError, match="no photos in"):
        FolderPhotos([tmp_path], MODEL.preprocessing)
    with pytest.raises(DataError, match="no photos in no folder"):
        FolderPhotos([], MODEL.preprocessing)
    with pytest.raises(DataError, match="no folder"):
        FolderPhotos([tmp_path / "missing"], MODEL.preprocessing)


def test_a_photo_that_vanishes_is_left_out(tmp_path):
    path = paint_photo(tmp_path / "a.png")
    photos = FolderPhotos([tmp_path], MODEL.preprocessing)
    path.unlink()
    with pytest.raises(ImageError, match=r"^no file 'a.png': check the path$"):
        photos.read(0)


def test_jpegs_are_decoded_in_full(tmp_path):
    """Pillow's draft mode, which decodes a JPEG at a half or a quarter, has other pixels."""
    path = paint_photo(tmp_path / "large.jpg", size=(640, 512))
    with Image.open(path) as image:
        wanted = MODEL.preprocessing.fit(image.convert("RGB"))
        image.draft("RGB", (64, 64))
    assert torch.equal(FolderPhotos([tmp_path], MODEL.preprocessing).read(0), wanted)


@pytest.mark.slow
def test_sample_patches():
    photos = SamplePatches(MODEL.preprocessing)
    assert list(photos.names) == sorted(set(photos.names))
    assert len(photos.names) == sum(len(cut_patches(read_photo(path))) for path in find_samples())
    coffee = read_photo(next(path for path in find_samples() if path.stem == "coffee"))
    side = min(coffee.size) // 2
    top, left = side // 2, 2 * (side // 2)
    number = photos.names.index(f"coffee/{top:04d},{left:04d}")
    patch = coffee.crop((left, top, left + side, top + side))
    assert torch.equal(photos.read(number).float()[None] / 255, MODEL.read(patch))
    assert photos.sizes[number] == 3 * side * side
    assert "sample photos" in photos.describe()


def test_open_photos(tmp_path):
    paint_photo(tmp_path / "a.png")
    assert isinstance(open_photos([tmp_path], MODEL.preprocessing), FolderPhotos)
    assert isinstance(open_photos([], MODEL.preprocessing), SamplePatches)


@pytest.mark.parametrize("parts", [1, 2, 4, 10])
def test_parts_share_all_photos(parts):
    photos = make_photos(10)
    shares = [choose_part(photos, f"{part}/{parts}") for part in range(1, parts + 1)]
    assert sorted(name for share in shares for name in share.names) == list(photos.names)
    for part, share in enumerate(shares, start=1):
        assert list(share.names) == list(photos.names[part - 1 :: parts])
        assert list(share.sizes) == list(photos.sizes[part - 1 :: parts])
        for number, name in enumerate(share.names):
            assert torch.equal(share.read(number), photos.read(photos.names.index(name)))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "1/2/3", "-1/2", "", "²/3"])
def test_parts_that_do_not_exist(text):
    with pytest.raises(DataError):
        choose_part(make_photos(4), text)


def test_a_part_without_photos_is_refused():
    with pytest.raises(DataError, match="part 4/4 of 3 photos is empty"):
        PartOfPhotos(make_photos(3), 4, 4)


def test_photo_sets_survive_pickling(tmp_path):
    paint_photo(tmp_path / "a.png")
    samples = SamplePatches(MODEL.preprocessing)
    sets: list[PhotoSet] = [FolderPhotos([tmp_path], MODEL.preprocessing), samples]
    for photos in [*sets, PartOfPhotos(samples, 2, 3)]:
        again = pickle.loads(pickle.dumps(photos))
        assert again.names == photos.names
        assert torch.equal(again.read(0), photos.read(0))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_lots_are_of_one_size(workers):
    looks = {f"{number:02d}": number for number in range(70)} | {"40": None}
    photos = NoisePhotos(looks)
    state = torch.random.get_rng_state()
    lots = list(read_lots(photos, LOT, 32, workers, pin=False))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [(lot.first, lot.count) for lot in lots] == [(32, 32), (64, 6)]
    assert all(lot.pixels.shape == (LOT, 3, 32, 32) for lot in lots)
    assert lots[0].failures == ((40, "'40' is broken"),)
    assert lots[0].usable.logical_not().nonzero().flatten().tolist() == [8]
    assert lots[1].usable.nonzero().flatten().tolist() == list(range(6))
    assert not lots[1].pixels[6:].any()
    assert torch.equal(lots[1].pixels[5], photos.read(69))
