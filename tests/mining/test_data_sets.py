"""One set of photos in a folder, an archive, shards, a list or Python objects: one index."""

import multiprocessing
import shutil
import subprocess
import tarfile
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torch.utils.data.distributed import DistributedSampler

from tests.support.mining_runs import mine_bytes
from tests.support.small_zoo import draw_noise, make_model, paint_photo
from vizcnn.basics.errors import DataError, ImageError, PhotoWarning
from vizcnn.mining import lots
from vizcnn.mining.dataset_photos import DatasetPhotos
from vizcnn.mining.index import read_index
from vizcnn.mining.lots import read_lots
from vizcnn.mining.photo_sets import (
    FolderPhotos,
    SamplePatches,
    choose_part,
    find_source,
    list_left_out,
)
from vizcnn.zoo.torchvision_nets import import_torchvision

MODEL = make_model()
LAYERS = ("conv1", "conv3")


@pytest.fixture
def folder(tmp_path):
    """Seven photos in classes, one of them empty, one damaged, and what is left out."""
    for number in range(7):
        paint_photo(tmp_path / "photos" / f"class {number % 3}" / f"{number}.png", seed=number)
    cut = (tmp_path / "photos" / "class 0" / "0.png").read_bytes()[:100]
    (tmp_path / "photos" / "class 1" / "cut.png").write_bytes(cut)
    (tmp_path / "photos" / "class 1" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "class-1.tif").write_bytes(b"no photo")
    (tmp_path / "photos" / "notes.md").write_text("no photo")
    (tmp_path / "photos" / "raw.cr2").write_bytes(b"anything")
    return tmp_path / "photos"


def pack(folder, path, kind):
    """Pack a folder as users do."""
    command = {
        "folder": ["-C", folder.parent, folder.name],
        "inside": ["-C", folder, "."],
        "files": ["-C", folder, *sorted(entry.name for entry in folder.iterdir())],
    }[kind]
    subprocess.run(["tar", "-cf", path, *command], check=True)
    return path


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.PhotoWarning")
def test_shards_of_one_name_in_different_folders(tmp_path, folder):
    """Told apart by their folders, by path or as the folder that holds both."""
    for home in ("a", "b"):
        (tmp_path / "sets" / home).mkdir(parents=True)
        with tarfile.open(tmp_path / "sets" / home / "train.tar", "w") as archive:
            archive.add(folder / "class 0" / "0.png", "0.png")
    wanted = ("a/train/0.png", "b/train/0.png")
    shards = [tmp_path / "sets" / home / "train.tar" for home in ("a", "b")]
    for paths in (shards, shards[::-1], [tmp_path / "sets"]):
        assert FolderPhotos(paths, MODEL.preprocessing).names == wanted
    with pytest.raises(DataError, match="is there twice"):
        FolderPhotos([shards[0], shards[0]], MODEL.preprocessing)


def test_an_archive_of_a_folder_gives_the_index_of_the_folder(tmp_path, folder):
    photos = FolderPhotos([folder], MODEL.preprocessing)
    wanted = mine_bytes(MODEL, photos, tmp_path / "index", LAYERS)
    assert len(read_index(tmp_path / "index").failures) == 3
    for kind in ("folder", "inside", "files"):
        path = pack(folder, tmp_path / "photos.tar", kind)
        packed = FolderPhotos([path], MODEL.preprocessing)
        assert (packed.names, packed.sizes) == (photos.names, photos.sizes)
        assert packed.left_out == photos.left_out == ("raw.cr2",)
        assert mine_bytes(MODEL, packed, tmp_path / f"index {kind}", LAYERS) == wanted
    workers = mine_bytes(MODEL, packed, tmp_path / "index of workers", LAYERS, workers=2)
    assert workers == wanted
    names = "\n".join(photos.names)
    (folder / "list.txt").write_text(names)
    listed = FolderPhotos([folder / "list.txt"], MODEL.preprocessing)
    assert mine_bytes(MODEL, listed, tmp_path / "index of list", LAYERS) == wanted


def make_shards(folder, tmp_path, rename=lambda name, shard: name):
    files = sorted(path for path in folder.rglob("*.png") if path.stat().st_size > 100)
    for shard in range(3):
        with tarfile.open(tmp_path / f"s-{shard}.tar", "w") as archive:
            for path in files[shard::3]:
                name = path.relative_to(folder).as_posix()
                archive.add(path, rename(name, shard))
    return files


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.PhotoWarning")
def test_shards_give_the_index_of_one_folder_and_know_where_photos_lie(tmp_path, folder):
    files = make_shards(folder, tmp_path)
    for other in folder.rglob("*"):
        if other.is_file() and other not in files:
            other.unlink()
    whole = FolderPhotos([folder], MODEL.preprocessing)
    shards = FolderPhotos([tmp_path / "s-{0..2}.tar"], MODEL.preprocessing)
    assert shards.names == whole.names
    wanted = mine_bytes(MODEL, whole, tmp_path / "a", LAYERS)
    assert mine_bytes(MODEL, shards, tmp_path / "b", LAYERS) == wanted
    assert find_source(shards, 1) == "s-1.tar: class 0/3.png"
    assert find_source(choose_part(shards, "2/2"), 0) == "s-1.tar: class 0/3.png"
    assert find_source(whole, 1) == ""
    assert find_source(choose_part(whole, "2/2"), 0) == ""


def test_shards_that_count_anew_are_told_apart(tmp_path, folder):
    make_shards(folder, tmp_path, lambda name, shard: name[-5:])
    with tarfile.open(tmp_path / "s-0.tar", "w") as archive:
        archive.add(folder / "class 0" / "6.png", "3.png")
    photos = FolderPhotos([tmp_path / "s-*.tar"], MODEL.preprocessing)
    assert photos.names == tuple(
        f"s-{shard}/{n}.png" for shard, n in ((0, 3), (1, 3), (1, 4), (2, 2), (2, 6))
    )
    with tarfile.open(tmp_path / "s-0.tar", "a") as archive:
        archive.add(folder / "class 0" / "0.png", "3.png")
    with pytest.raises(DataError, match=r"s-0\.tar: 3\.png' is there twice"):
        FolderPhotos([tmp_path / "s-*.tar"], MODEL.preprocessing)


def test_photos_that_keep_their_sizes_are_no_set(tmp_path, folder):
    own = MODEL.preprocessing.fit_otherwise("none")
    for make in (
        lambda: FolderPhotos([folder], own),
        lambda: SamplePatches(own),
        lambda: DatasetPhotos([Image.new("RGB", (9, 9))], own),
    ):
        with pytest.raises(DataError, match="need one size, and fit none"):
            make()


def test_photos_of_which_little_is_used_are_told_of_once(tmp_path):
    for number in range(3):
        draw_noise(200, 40).save(tmp_path / f"{number}.png")
    photos = FolderPhotos([tmp_path], MODEL.preprocessing)
    with pytest.warns(PhotoWarning, match="less than 40 % is used") as caught:
        for number in range(3):
            photos.read(number)
    assert len(caught) == 1
    padded = FolderPhotos([tmp_path], MODEL.preprocessing.fit_otherwise("pad"))
    assert padded.read(0)[:, 0, 0].tolist() == [128, 102, 76]


def test_a_part_of_a_set_leaves_out_the_same(tmp_path, folder):
    with pytest.warns(PhotoWarning):
        photos = FolderPhotos([folder], MODEL.preprocessing)
    assert list_left_out(choose_part(photos, "1/2")) == ("raw.cr2",)


class Rows:
    """A data set as Hugging Face's: rows by number, streamed nowhere."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        if self.rows[number] is None:
            raise KeyError("no such row\nhere")
        return self.rows[number]


def test_items_of_data_sets_are_photos_in_many_forms(tmp_path):
    photo = draw_noise(40, 30)
    photo.save(tmp_path / "a.png")
    array = np.asarray(photo)
    content = (tmp_path / "a.png").read_bytes()
    wanted = MODEL.preprocessing.fit(photo)
    items = [
        photo,
        (photo, 3),
        [photo, "label"],
        {"image": photo, "label": 3},
        {"img": {"bytes": content, "path": "a.png"}},
        content,
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        array,
        (torch.from_numpy(array.copy()).permute(2, 0, 1), 1),
        torch.from_numpy(array.copy()).permute(2, 0, 1) / 255,
        array / 255,
    ]
    photos = DatasetPhotos(Rows(items), MODEL.preprocessing)
    assert photos.names == tuple(f"{number:02d}" for number in range(12))
    for number in range(12):
        assert torch.equal(photos.read(number), wanted), number
    assert photos.describe() == "12 photos of Rows"
    assert find_source(photos, 0) == ""


def test_items_that_are_no_photos_fail_by_number():
    normalised = (torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.4) / 0.2
    items = [normalised, None, {"label": 3}, torch.zeros(2, 8, 8), 7, ()]
    photos = DatasetPhotos(Rows(items), MODEL.preprocessing)
    for number in range(len(items)):
        with pytest.raises(ImageError, match=rf"^photo {number}[: ]") as caught:
            photos.read(number)
        assert len(str(caught.value).splitlines()) == 1


def test_what_is_no_data_set_is_refused():
    for wrong, told in (
        (7, "got int"),
        ("photos", "got str"),
        ({"a": 1}, "got dict"),
        (iter([1]), "got list_iterator"),
        ([], "has 0 photos"),
    ):
        with pytest.raises(DataError, match=told):
            DatasetPhotos(wrong, MODEL.preprocessing)


def test_shares_that_repeat_photos_are_refused_with_the_reason():
    """DistributedSampler deals 10 photos out to 4 processes as 12, two of them twice."""
    photos: Any = Rows([Image.new("RGB", (9, 9))] * 10)
    shares: list[list[int]] = [
        list(DistributedSampler(photos, 4, rank, shuffle=False)) for rank in range(4)
    ]
    assert sorted(chain.from_iterable(shares)) == [
        0,
        0,
        1,
        1,
        *range(2, 10),
    ]  # what is refused, and why
    sampler: Any = DistributedSampler(photos, 4, 0)
    wrongs: list[Any] = [sampler, DataLoader(photos, sampler=sampler), DataLoader(photos)]
    for wrong in wrongs:
        with pytest.raises(DataError, match=r"may repeat photos.*DistributedSampler.*PartOfPhotos"):
            DatasetPhotos(wrong, MODEL.preprocessing)
    told = r"item 0 twice \(as photos 0 and 8\).*DistributedSampler"
    joint: Any = Subset(photos, shares[0] + shares[1] + shares[2])
    with pytest.raises(DataError, match=told):
        DatasetPhotos(joint, MODEL.preprocessing)
    with pytest.raises(DataError, match=r"item 0 twice \(as photos 1 and 2\)"):
        DatasetPhotos(Subset(joint, [3, 0, 8]), MODEL.preprocessing)
    with pytest.raises(DataError, match=r"item 9 twice \(as photos 0 and 1\)"):
        DatasetPhotos(Subset(photos, [-1, 9]), MODEL.preprocessing)
    kinds: list[Any] = [[3, 0, 7], torch.tensor([3, 0, 7]), np.array([3, 0, 7])]
    for indices in kinds:
        assert len(DatasetPhotos(Subset(photos, indices), MODEL.preprocessing).names) == 3
    assert len(DatasetPhotos(Subset(joint, [3, 0]), MODEL.preprocessing).names) == 2


def test_rows_of_a_table_are_mined_by_workers(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    for number in range(40):
        paint_photo(tmp_path / "photos" / f"{number:02d}.png", seed=number)
    contents = [path.read_bytes() for path in sorted((tmp_path / "photos").iterdir())]
    rows = pa.table({"image": [{"bytes": content, "path": None} for content in contents]})
    parquet.write_table(rows, tmp_path / "a.parquet", row_group_size=7)
    table = FolderPhotos([tmp_path / "a.parquet"], MODEL.preprocessing)
    files = FolderPhotos([tmp_path / "photos"], MODEL.preprocessing)
    assert torch.equal(table.read(0), files.read(0))  # which opens the table before it is copied
    mine_bytes(MODEL, table, tmp_path / "a", LAYERS, workers=2)
    mine_bytes(MODEL, files, tmp_path / "b", LAYERS)
    one, other = read_index(tmp_path / "a"), read_index(tmp_path / "b")
    assert torch.equal(one.digests, other.digests)
    assert torch.equal(one.layers["conv3"].photos, other.layers["conv3"].photos)
    assert find_source(table, 8) == "a.parquet: a/0000008"


def test_a_set_that_cannot_be_sent_to_workers_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(lots, "can_fork", lambda: False)  # as on Windows and macOS
    former = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        photos = DatasetPhotos(Rows([lambda: 0]), MODEL.preprocessing)
        with pytest.raises(DataError, match=r"cannot be sent to .*\(workers=0\)"):
            read_lots(photos, 0, 32, workers=1, pin=False)
    finally:
        multiprocessing.set_start_method(former, force=True)


@pytest.mark.slow
def test_torchvisions_folders_give_the_digests_of_ours(tmp_path):
    for number in range(5):
        paint_photo(tmp_path / "photos" / f"{number % 2}" / f"{number}.png", seed=number)
    dataset = import_torchvision().datasets.ImageFolder(tmp_path / "photos")
    photos = DatasetPhotos(dataset, MODEL.preprocessing)
    files = FolderPhotos([tmp_path / "photos"], MODEL.preprocessing)
    mine_bytes(MODEL, photos, tmp_path / "a", LAYERS, workers=1)
    mine_bytes(MODEL, files, tmp_path / "b", LAYERS)
    one, other = read_index(tmp_path / "a"), read_index(tmp_path / "b")
    assert torch.equal(one.digests, other.digests)  # both go class by class
    assert torch.equal(one.layers["conv3"].photos, other.layers["conv3"].photos)
