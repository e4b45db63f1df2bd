"""Galleries that are projected and drawn by several processes: the same, and as safe."""

import multiprocessing
import os
from dataclasses import replace
from itertools import count

import pytest

from tests.support.small_zoo import list_files
from tests.support.top_runs import MODEL, POSTED, ROOM, SETTINGS, make, write_photos
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.processes import can_fork
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.pages.layers.gallery import make_top_gallery

pytestmark = [
    pytest.mark.skipif(not can_fork(), reason="copies are made on Linux only"),
    pytest.mark.usefixtures("one_thread"),
]
TWO = replace(SETTINGS, workers=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The files of a gallery that this process made alone."""
    out = tmp_path_factory.mktemp("whole")
    make(photos, out)
    return list_files(out)


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_makes_the_same_files(photos, whole, tmp_path, workers):
    make(photos, tmp_path, replace(SETTINGS, workers=workers))
    assert list_files(tmp_path) == whole


def test_units_of_posters_are_drawn_by_workers_too(photos, tmp_path):
    make(photos, tmp_path / "one", POSTED)
    make(photos, tmp_path / "two", replace(POSTED, workers=2))
    assert list_files(tmp_path / "two") == list_files(tmp_path / "one")


def test_the_sizes_of_lots_change_no_picture(photos, whole, tmp_path):
    """Single values differ by rounding, which eight bits and four decimals do not show here."""
    make(photos, tmp_path, TWO, room=replace(ROOM, photos=7))
    files = list_files(tmp_path)
    changed = {name for name in whole if whole[name] != files[name]}
    assert changed == set()


def test_all_is_projected_before_it_is_drawn_and_drawn_before_pages(photos, tmp_path):
    order = []

    def note(items, *, label, total=None, unit="it", initial=0):
        for item in items:
            order.append(label)
            yield item

    make(photos, tmp_path, TWO, progress=note)
    assert list(dict.fromkeys(order)) == ["mine", "project", "draw", "pages"]
    assert order.count("project") == 3  # of 40 photos by 16


@pytest.mark.parametrize(("step", "last"), [("project", 1), ("draw", 5)])
def test_a_run_that_is_interrupted_leaves_no_process_and_goes_on(
    photos, whole, tmp_path, step, last
):
    def stop(items, *, label, total=None, unit="it", initial=0):
        for number, item in zip(count(1), items, strict=False):
            yield item
            if (label, number) == (step, last):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(photos, tmp_path, TWO, progress=stop)
    assert not multiprocessing.active_children()
    done = {}

    def see(items, *, label, total=None, unit="it", initial=0):
        done[label] = initial
        return iter(items)

    make(photos, tmp_path, TWO, progress=see)
    assert done[step] >= last  # silent units count as drawn
    assert list_files(tmp_path) == whole


class Deadly(FolderPhotos):
    """Photos of which reading one ends every process but that in which they were opened."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.home = os.getpid()
        self.is_deadly = False

    def read(self, number):
        if self.is_deadly and number == 30 and os.getpid() != self.home:
            os._exit(1)
        return super().read(number)


def test_a_worker_that_dies_is_one_line_and_the_run_goes_on(photos, whole, tmp_path):
    opened = Deadly([photos], MODEL.preprocessing)

    def turn(items, *, label, total=None, unit="it", initial=0):
        yield from items
        opened.is_deadly = label == "mine"  # when all is mined, and before others are started

    with pytest.raises(VizcnnError, match="a process that projects was ended from outside") as told:
        make_top_gallery(MODEL, opened, TWO, tmp_path, progress=turn, room=ROOM)
    assert "\n" not in str(told.value)
    assert not multiprocessing.active_children()
    make(photos, tmp_path, TWO)
    assert list_files(tmp_path) == whole


def test_a_photo_that_changed_is_named_from_a_worker_too(tmp_path):
    photos = write_photos(tmp_path / "photos")
    files = sorted(photos.rglob("*.png"))

    def change(items, *, label, total=None, unit="it", initial=0):
        yield from items
        if label == "mine":
            for file in files[1:]:
                file.write_bytes(files[0].read_bytes())

    with pytest.raises(DataError, match="changed since mining"):
        make(photos, tmp_path / "out", TWO, progress=change)


def test_the_disk_has_every_picture_before_the_gallery_is_whole(photos, tmp_path, monkeypatch):
    written, sync = set(), os.fsync

    def note(file):
        written.add(os.fstat(file).st_ino)
        sync(file)

    monkeypatch.setattr(os, "fsync", note)
    make(photos, tmp_path, replace(TWO, layers=("conv1",)))
    pictures = list(tmp_path.rglob("*.webp"))
    assert len(pictures) > 20
    assert {path.stat().st_ino for path in pictures} <= written
