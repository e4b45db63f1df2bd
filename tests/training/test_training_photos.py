"""Photos for training: found, read, left out, refused, drawn."""

import pytest
import torch
from PIL import Image

from tests.support.training_data import COUNTS, make_data
from vizcnn.basics.errors import DataError
from vizcnn.training.photos import PhotoFolder, draw_epoch, open_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def test_photos_and_classes_are_found_in_order(data):
    photos, validation = open_photos(data, 72)
    assert photos.classes == validation.classes == ["ant", "bee", "cat"]
    assert photos.class_counts.tolist() == list(COUNTS["train"].values())
    photos.load()
    pixels, labels = next(photos.batches([[0, 13]]))
    assert pixels.shape == (2, 3, 72, 72)
    assert pixels.dtype == torch.uint8
    assert labels.tolist() == [0, 2]
    # the class's colour is the brightest
    assert pixels.float().mean(dim=(2, 3)).argmax(dim=1).tolist() == [0, 2]


def test_photos_that_do_not_fit_are_decoded_anew(data):
    kept, anew = PhotoFolder(data / "val", 60), PhotoFolder(data / "val", 60, memory=1000)
    kept.load()
    anew.load()
    order = [[6, 0, 0], [3]]
    for one, other in zip(kept.batches(order), anew.batches(order), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_unreadable_photos_are_left_out_and_listed(tmp_path):
    data = make_data(tmp_path)
    (data / "train" / "bee" / "0.png").write_bytes(b"")
    (data / "train" / "bee" / "z.jpg").write_text("no photo")
    (data / "train" / "bee" / "notes.txt").write_text("not even meant to be one")
    photos = PhotoFolder(data / "train", 72)
    assert len(photos) == 15
    photos.load()
    photos.load()  # nothing happens twice
    assert len(photos) == 13
    assert photos.class_counts.tolist() == [8, 3, 2]
    assert [path.name for path in photos.paths[8:11]] == ["1.png", "2.png", "3.png"]
    assert len(photos.unreadable) == 2
    assert "is empty" in photos.unreadable[0]
    assert "is not an image" in photos.unreadable[1]


def test_photos_in_folders_of_a_class_count(tmp_path):
    data = make_data(tmp_path)
    (data / "train" / "ant" / "more").mkdir()
    Image.new("RGB", (9, 9)).save(data / "train" / "ant" / "more" / "a.png")
    (data / "train" / ".cache").mkdir()
    photos = PhotoFolder(data / "train", 72)
    assert photos.class_counts.tolist() == [9, 4, 2]


def remove_class(data):
    for path in (data / "val" / "cat").iterdir():
        path.unlink()
    (data / "val" / "cat").rmdir()


def rename_class(data):
    (data / "val" / "cat").rename(data / "val" / "dog")


def empty_class(data):
    for path in (data / "train" / "bee").iterdir():
        path.unlink()


def damage_all(data):
    for path in (data / "val").rglob("*.png"):
        path.write_text("gone")


def remove_val(data):
    (data / "val").rename(data / "test")


def hide_classes(data):
    for path in list((data / "train").iterdir()):
        path.rename(path.with_name("." + path.name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_class, "only in .*train': 'cat'"),
        (rename_class, "only in .*train': 'cat'; only in .*val': 'dog'"),
        (empty_class, "no photos in .*bee'"),
        (damage_all, "none of the 7 photos in .*val' can be read"),
        (remove_val, "no folder .*val'; needed: DATA/train and DATA/val"),
        (hide_classes, "no folders in .*train'"),
    ],
)
def test_data_that_cannot_be_used_is_refused(tmp_path, change, message):
    data = make_data(tmp_path)
    change(data)
    with pytest.raises(DataError, match=message) as caught:
        for folder in open_photos(data, 72):
            folder.load()
    assert "\n" not in str(caught.value)


def test_draw_depends_on_seed_and_epoch_only(data):
    photos, _ = open_photos(data, 72)
    draw = draw_epoch(photos, 4, seed=1, epoch=2)
    assert [len(batch) for batch in draw] == [4, 4, 4]
    torch.rand(5)
    assert draw_epoch(photos, 4, seed=1, epoch=2) == draw
    assert draw_epoch(photos, 4, seed=1, epoch=3) != draw
    assert draw_epoch(photos, 4, seed=2, epoch=2) != draw


def test_draw_holds_at_least_one_batch(data):
    photos, _ = open_photos(data, 72)
    assert [len(batch) for batch in draw_epoch(photos, 100, seed=0, epoch=0)] == [100]


def test_every_photo_is_drawn_once_where_classes_are_not_balanced(data):
    photos, _ = open_photos(data, 72)
    drawn = [index for batch in draw_epoch(photos, 2, seed=0, epoch=0) for index in batch]
    assert sorted(drawn) == list(range(14))


def test_classes_are_drawn_by_the_root_of_their_size(data):
    photos, _ = open_photos(data, 72)
    [batch] = draw_epoch(photos, 5_000, seed=0, epoch=0, class_balance=0.5)
    drawn = torch.bincount(photos.labels[torch.tensor(batch)]).double()
    roots = photos.class_counts.double().sqrt()
    torch.testing.assert_close(drawn / drawn.sum(), roots / roots.sum(), atol=0.02, rtol=0)
