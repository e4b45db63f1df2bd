"""Parts of photo sets on their way to other processes: all that is needed, and no more."""

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from tests.support.mining_runs import make_photos
from tests.support.small_zoo import draw_noise, make_model, paint_photo
from vizcnn.basics.errors import ImageError, PhotoWarning
from vizcnn.mining.dataset_photos import DatasetPhotos
from vizcnn.mining.photo_sets import (
    ChosenPhotos,
    FolderPhotos,
    PartOfPhotos,
    PhotoSet,
    SamplePatches,
    find_framing,
    find_source,
    take_photos,
)
from vizcnn.photos.tars import TarPhotos
from vizcnn.zoo.torchvision_nets import import_torchvision

PREPROCESSING = make_model().preprocessing


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Photos in a folder, two archives, a list and a table, one of each cut off."""
    home = tmp_path_factory.mktemp("photos")
    for number in range(9):
        size = (40 + number, 30)
        paint_photo(home / "folder" / f"{number % 2}" / f"{number}.png", number, size)
    (home / "folder" / "1" / "cut.png").write_bytes(
        (home / "folder" / "0" / "8.png").read_bytes()[:90]
    )
    (home / "folder" / "odd.cr2").write_bytes(b"anything")
    files = sorted(home.rglob("*.png"))
    for shard in range(2):
        with tarfile.open(home / f"s-{shard}.tar", "w") as archive:
            for path in files[shard::2]:
                archive.add(path, path.name)
        with tarfile.open(home / f"t-{shard}.tar", "w") as archive:  # names that are there twice
            for number, path in enumerate(files[shard::2]):
                archive.add(path, f"{number}.png")
    names = [path.relative_to(home).as_posix() for path in files]
    (home / "list.txt").write_text("\n".join(["gone.png", *names[::-1]]))
    return home


def write_table(home):
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    contents = [path.read_bytes() for path in sorted((home / "folder").rglob("*.png"))]
    parquet.write_table(pa.table({"image": contents}), home / "rows.parquet", row_group_size=4)
    return [home / "rows.parquet"]


def see(photos: PhotoSet, number):
    """All that a set says of a photo; what it raises is part of it."""
    try:
        pixels: bytes | str = photos.read(number).numpy().tobytes()
        framing = find_framing(photos, number)
    except ImageError as error:
        pixels, framing = str(error), None
    place = photos.locate(number) if hasattr(photos, "locate") else None
    name, size = photos.names[number], photos.sizes[number]
    return name, size, pixels, framing, place, find_source(photos, number)


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.PhotoWarning")
@pytest.mark.parametrize("kind", ["folder", "list.txt", "s-{0,1}.tar", "t-*.tar", "mixed", "table"])
def test_a_part_that_travelled_says_of_each_photo_what_the_whole_says(home, kind):
    paths = {
        "mixed": [
            *(home / "folder" / name for name in ("0/8.png", "1/3.png", "0/0.png", "0/4.png")),
            home / "s-1.tar",
        ],
        "table": write_table(home) if kind == "table" else [],
    }.get(kind, [home / kind])
    whole = FolderPhotos(paths, PREPROCESSING)
    count = len(whole.names)
    assert count >= 9
    for part in range(1, 4):
        here = PartOfPhotos(whole, part, 3)
        there = pickle.loads(pickle.dumps(here))
        again = pickle.loads(pickle.dumps(there))  # as from a scheduler on to a worker
        for some in (here, there, again):
            assert some.describe() == f"part {part}/3 of {whole.describe()}"
            assert list(some.names) == list(whole.names[part - 1 :: 3])
            for number in range(len(some.names)):
                assert see(some, number) == see(whole, part - 1 + 3 * number)
    numbers = [1, 2, count - 1]
    some = pickle.loads(pickle.dumps(take_photos(whole, numbers)))
    assert [see(some, new) for new in range(3)] == [see(whole, number) for number in numbers]


def test_what_is_sent_grows_with_the_part_alone(tmp_path):
    """Of folders, lists, archives and tables; the names of the other photos are not in it."""
    names = [f"class {number % 70:02d}/photo number {number:06d}.jpeg" for number in range(3000)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    with tarfile.open(tmp_path / "whole.tar", "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    length = len(names[0])
    for path in (tmp_path / "list.txt", tmp_path / "whole.tar"):
        whole = FolderPhotos([path], PREPROCESSING)
        for parts, own in ((100, 30), (10, 300)):
            part = PartOfPhotos(whole, 5, parts)
            sent = pickle.dumps(part)
            assert own * length < len(sent) < own * (length + 40) + 1500
            here, elsewhere = part.names[3].encode(), whole.names[part._numbers[3] + 1].encode()
            assert here in sent and elsewhere not in sent
    photo = TarPhotos(tmp_path / "whole.tar").locate(7)
    assert len(pickle.dumps(photo)) < 1000


def test_names_of_a_table_stay_here(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    parquet.write_table(pa.table({"image": [b"x"] * 3000}), tmp_path / "rows.parquet")
    whole = FolderPhotos([tmp_path / "rows.parquet"], PREPROCESSING)
    for parts, own in ((100, 30), (10, 300)):
        sent = pickle.dumps(PartOfPhotos(whole, 5, parts))
        assert own * 12 < len(sent) < own * (12 + 40) + 2500
    assert len(pickle.dumps(whole.locate(5))) < 1000


def test_a_part_does_not_take_along_what_was_left_out(tmp_path):
    for number in range(200):
        (tmp_path / f"raw number {number}.cr2").write_bytes(b"x")
    paint_photo(tmp_path / "a.png")
    with pytest.warns(PhotoWarning):
        whole = FolderPhotos([tmp_path], PREPROCESSING)
    part = PartOfPhotos(whole, 1, 1)
    assert len(part.left_out) == 200  # which the caller tells
    sent = pickle.dumps(part)
    assert b"raw number" not in sent and pickle.loads(sent).left_out == ()


def make_folders(home: Path):
    return import_torchvision().datasets.ImageFolder(home / "folder")


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.PhotoWarning")
@pytest.mark.parametrize(
    "kind",
    [
        "list",
        "tuple",
        "array",
        "tensor",
        "subset",
        "other",
        pytest.param("folders", marks=pytest.mark.slow),
    ],
)
def test_parts_of_data_sets_have_their_items_alone(home, kind):
    photos = [draw_noise(40, 30) for _ in range(10)]
    arrays = np.stack([np.roll(np.asarray(photo), 7 * n, 1) for n, photo in enumerate(photos)])
    items = [Image.fromarray(array) for array in arrays]
    dataset = {
        "list": lambda: items,
        "tuple": lambda: tuple(items),
        "array": lambda: arrays,
        "tensor": lambda: torch.from_numpy(arrays).permute(0, 3, 1, 2),
        "subset": lambda: Subset(items, [9, 1, 8, 2, 7, 3, 6]),  # type: ignore[arg-type]
        "folders": lambda: make_folders(home),
        "other": lambda: Rows(items),
    }[kind]()
    whole = DatasetPhotos(dataset, PREPROCESSING)
    seen = [see(whole, number) for number in range(len(whole.names))]
    assert len({pixels for _, _, pixels, *_ in seen}) == len(seen)
    part = PartOfPhotos(whole, 2, 3)
    sent = pickle.dumps(part)
    again = pickle.loads(sent)
    assert [see(again, number) for number in range(len(again.names))] == seen[1::3]
    assert again.describe() == part.describe()
    if kind == "folders":
        assert [str(path).encode() in sent for path, _ in dataset.samples] == [
            number % 3 == 1 for number in range(len(seen))
        ]
    elif kind != "other":  # of whose items nothing is known
        assert len(sent) < len(pickle.dumps(whole)) / 2


class Rows:
    """A data set of which nothing is known but its items."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number]


def test_parts_of_the_samples_have_their_patches_alone():
    whole = SamplePatches(PREPROCESSING)
    part = PartOfPhotos(whole, 2, 7)
    sent = pickle.dumps(part)
    again = pickle.loads(sent)
    assert all(torch.equal(again.read(n), whole.read(1 + 7 * n)) for n in range(len(again.names)))
    assert len(sent) < len(pickle.dumps(whole)) / 6


def test_sets_of_another_kind_travel_whole():
    whole = make_photos(5)
    some = take_photos(whole, [1, 4])
    assert isinstance(some, ChosenPhotos)
    again = pickle.loads(pickle.dumps(some))
    assert again.names == ("photo 001", "photo 004")
    assert torch.equal(again.read(1), whole.read(4))
    assert again.describe() == "2 of 5 photos of noise"
    assert take_photos(PartOfPhotos(whole, 2, 2), [1]).names == ("photo 003",)
