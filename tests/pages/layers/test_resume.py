"""Galleries of whole layers that are broken off: they go on, and end with the same bytes."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from tests.support.small_zoo import list_files
from tests.support.top_runs import (
    MODEL,
    POSTED,
    SETTINGS,
    make,
    make_and_die,
    write_noise,
    write_photos,
)
from vizcnn.basics.errors import DataError, VizcnnError, VizcnnWarning
from vizcnn.basics.output import LIST_NAME
from vizcnn.basics.progress import silent
from vizcnn.mining.index import INDEX_NAME, read_index, write_index
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.pages.layers.gallery import find_strongest
from vizcnn.pages.layers.work_folder import WORK_NAME, open_work

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Photos, and the files of a run that went through."""
    folder = tmp_path_factory.mktemp("whole")
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    write_photos(folder / "photos")
    make(folder / "photos", folder / "out")
    torch.set_num_threads(former)
    return folder / "photos", list_files(folder / "out")


def stop_at(wanted, count, error):
    """Make a progress that raises in a step's item."""

    def show(items, *, label, total=None, unit="it", initial=0):
        for number, item in enumerate(items):
            yield item
            if label == wanted and number + 1 == count:
                raise error

    return show


def count_steps(counts):
    """Make a progress that counts the items of each step."""

    def show(items, *, label, total=None, unit="it", initial=0):
        for item in items:
            counts[label] = counts.get(label, 0) + 1
            yield item

    return show


@pytest.mark.parametrize(
    ("label", "count", "left"),
    [
        ("mine", 35, {"mine": 40, "project": 3, "draw": 33}),
        ("project", 2, {"project": 1, "draw": 33}),
        ("draw", 14, {"draw": 19}),
        ("move", 1, {}),
        ("move", 60, {}),
    ],
)
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(whole, tmp_path, label, count, left):
    photos, wanted = whole
    out = tmp_path / "out"
    make_and_die(photos, out, label, count)
    assert (out / WORK_NAME / INDEX_NAME).exists()
    counts = {}
    make(photos, out, progress=count_steps(counts))
    assert list_files(out) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    # units that were drawn are not drawn again; a few more may have been than were counted
    assert counts.pop("draw", 0) <= left.pop("draw", 0)
    assert counts.pop("check", 0) in (0, 40)  # that the photos are those that were mined
    assert counts == {**left, "pages": 1 + 3 + 33}


def test_a_run_that_is_killed_at_a_poster_goes_on(tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    make_and_die(photos, tmp_path / "out", "posters", 1, POSTED)
    make(photos, tmp_path / "out", POSTED)
    make(photos, tmp_path / "whole", POSTED)
    assert list_files(tmp_path / "out") == list_files(tmp_path / "whole")


def test_what_is_done_is_not_done_again(whole, tmp_path):
    photos, wanted = whole
    made = tmp_path / "out" / WORK_NAME / "site"
    with pytest.raises(KeyboardInterrupt):
        make(photos, tmp_path / "out", progress=stop_at("draw", 20, KeyboardInterrupt()))
    times = {path: path.stat().st_mtime_ns for path in made.rglob("*.webp")}
    assert len(times) > 40
    with pytest.raises(KeyboardInterrupt):
        make(photos, tmp_path / "out", progress=stop_at("draw", 1, KeyboardInterrupt()))
    now = {path: path.stat().st_mtime_ns for path in made.rglob("*.webp")}
    assert times.items() <= now.items()
    make(photos, tmp_path / "out")
    assert list_files(tmp_path / "out") == wanted


def test_a_former_site_stays_until_the_new_one_is_whole(whole, tmp_path):
    photos, wanted = whole
    make(photos, tmp_path / "out", replace(SETTINGS, layers=("conv1",)))
    (tmp_path / "out" / "my notes.txt").write_text("mine")
    former = list_files(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        make(photos, tmp_path / "out", progress=stop_at("draw", 9, KeyboardInterrupt()))
    now = list_files(tmp_path / "out")
    assert {name: now[name] for name in former} == former
    assert all(name.startswith(WORK_NAME) for name in set(now) - set(former))
    make(photos, tmp_path / "out")
    assert list_files(tmp_path / "out") == {**wanted, "my notes.txt": b"mine"}


def test_other_settings_keep_what_was_mined_and_say_so(whole, tmp_path):
    photos, _ = whole
    with pytest.raises(KeyboardInterrupt):
        make(photos, tmp_path / "out", progress=stop_at("draw", 20, KeyboardInterrupt()))
    told = []
    counts = {}
    changed = replace(SETTINGS, method="guided", scaling="shared")
    make(photos, tmp_path / "out", changed, notice=told.append, progress=count_steps(counts))
    assert len(told) == 1
    assert "method 'deconvnet' -> 'guided', scaling 'unit' -> 'shared'" in told[0]
    assert "mine" not in counts
    make(photos, tmp_path / "fresh", changed, notice=told.append)
    assert list_files(tmp_path / "out") == list_files(tmp_path / "fresh")
    assert len(told) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"top": 5}, "top: 4, not 5"), ({"layers": ("conv2",)}, "layers: conv1")],
)
def test_what_another_run_has_mined_is_not_thrown_away(whole, tmp_path, changes, words):
    photos, _ = whole
    with pytest.raises(KeyboardInterrupt):
        make(photos, tmp_path / "out", progress=stop_at("mine", 33, KeyboardInterrupt()))
    before = list_files(tmp_path / "out")
    with pytest.raises(DataError, match=words) as caught:
        make(photos, tmp_path / "out", replace(SETTINGS, **changes))
    assert "remove the folder, or choose another --out" in str(caught.value)
    assert list_files(tmp_path / "out") == before
    with pytest.raises(DataError, match=r"\(this one has an index\)"):
        make(photos, tmp_path / "out", index=tmp_path / "any")
    other = write_photos(tmp_path / "other", 3)
    with pytest.raises(DataError, match=r"3 photo\(s\) of another size|gone"):
        make(other, tmp_path / "out")


def test_photos_that_changed_are_named_and_never_shown(whole, tmp_path):
    photos = write_photos(tmp_path / "photos")
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(photos, out, progress=stop_at("mine", 40, KeyboardInterrupt()))
    (changed,) = photos.rglob("photo 1.png")
    pixels, index = changed.read_bytes(), tmp_path / "index.safetensors"
    index.write_bytes((out / WORK_NAME / INDEX_NAME).read_bytes())
    write_noise(changed, 999)
    changed.write_bytes(changed.read_bytes() + bytes(1))
    with pytest.raises(DataError, match=r"photo 'part 1/photo 1.png' changed since mining"):
        make(photos, tmp_path / "other", index=index)
    with pytest.raises(
        DataError, match=r"1 photo.s. of another size, such as 'part 1/photo 1.png'"
    ):
        make(photos, out)
    changed.unlink()
    with pytest.raises(DataError, match=r"photo 'part 1/photo 1.png' .* is not in 39 photos"):
        make(photos, tmp_path / "other", index=index)
    assert not (tmp_path / "other").exists()
    changed.write_bytes(pixels)
    make(photos, out)
    sheets = {name: file for name, file in list_files(out).items() if name.endswith(".webp")}
    assert sheets == {name: file for name, file in whole[1].items() if name.endswith(".webp")}


def mine_noise(folder):
    """Mine six photos, 0.bmp to 5.bmp; gives their folder and the index."""
    photos, index = folder / "photos", folder / "index.safetensors"
    for number in range(6):
        write_noise(photos / f"{number}.bmp", number)
    pictures = FolderPhotos([photos], MODEL.preprocessing)
    mine(MODEL, pictures, index, MiningSettings(layers=SETTINGS.layers, top=4, workers=0))
    return photos, index


def test_another_photo_of_the_same_size_is_found_out_by_its_activations(tmp_path):
    photos, index = mine_noise(tmp_path)
    size = (photos / "3.bmp").stat().st_size
    write_noise(photos / "3.bmp", 77)
    assert (photos / "3.bmp").stat().st_size == size
    with pytest.raises(DataError, match=r"^photo '3.bmp' changed since mining"):
        make(photos, tmp_path / "out", index=index)
    (photos / "3.bmp").write_bytes(bytes(size))
    with pytest.raises(DataError, match=r"'3.bmp' is not an image .*when it was mined"):
        make(photos, tmp_path / "out", index=index)


def test_a_photo_that_changed_slightly_is_found_out_by_its_pixels(tmp_path):
    """By a single grey level of a single pixel, which no unit answers to by much."""
    photos, index = mine_noise(tmp_path)
    content = bytearray((photos / "3.bmp").read_bytes())
    content[-1] ^= 1
    (photos / "3.bmp").write_bytes(content)
    with pytest.raises(DataError, match=r"^photo '3.bmp' changed since mining"):
        make(photos, tmp_path / "out", index=index)
    assert list((tmp_path / "out").glob("*.html")) == []


def test_an_index_of_other_maps_is_refused(whole, tmp_path):
    photos, _ = whole
    file = tmp_path / "index.safetensors"
    pictures = FolderPhotos([photos], MODEL.preprocessing)
    index = mine(MODEL, pictures, file, MiningSettings(layers=SETTINGS.layers, top=4, workers=0))
    layer = replace(index.layers["conv1"], map_size=(900, 900))
    write_index(replace(index, layers=index.layers | {"conv1": layer}), file)
    with pytest.raises(DataError, match=r"12 units of conv1 with maps of .900, 900.*mine anew"):
        make(photos, tmp_path / "out", index=file)


def test_an_index_of_something_else_is_refused(whole, tmp_path):
    photos, _ = whole
    index = tmp_path / "index.safetensors"
    pictures = FolderPhotos([photos], MODEL.preprocessing)
    mine(MODEL, pictures, index, MiningSettings(layers=("conv1",), top=2, workers=0))
    with pytest.raises(DataError, match=r"top: 2, not 4.*mine anew"):
        make(photos, tmp_path / "out", index=index)
    with pytest.raises(DataError, match="no index 'nothing'"):
        make(photos, tmp_path / "out", index=type(index)("nothing"))
    assert not (tmp_path / "out").exists()


def test_a_strict_run_does_not_go_on_with_what_another_kind_of_machine_mined(whole, tmp_path):
    photos, _ = whole
    pictures = FolderPhotos([photos], MODEL.preprocessing)
    settings = MiningSettings(layers=SETTINGS.layers, top=4, workers=0)

    def find(strict):
        with open_work(tmp_path / "out") as work:
            return find_strongest(MODEL, pictures, SETTINGS, work, None, silent, strict=strict)[1]

    with pytest.raises(KeyboardInterrupt), open_work(tmp_path / "out") as work:
        with pytest.raises(KeyboardInterrupt):
            interrupt = stop_at("mine", 32, KeyboardInterrupt)
            mine(MODEL, pictures, work.index, settings, interrupt)
        index = read_index(work.index)
        write_index(replace(index, machines=("elsewhere",)), work.index)
        raise KeyboardInterrupt
    before = work.index.read_bytes()
    with pytest.raises(DataError, match=r"mixes 2 kinds of machines.*'elsewhere' .so far."):
        find(strict=True)
    assert work.index.read_bytes() == before
    with pytest.warns(VizcnnWarning, match="another kind of machine"):
        assert "elsewhere" in find(strict=False).machines


HOLD = """
import sys, time
from pathlib import Path
from vizcnn.pages.layers.work_folder import open_work
with open_work(Path(sys.argv[1])):
    print("at work", flush=True)
    sys.stdin.read()
"""


def test_two_runs_in_one_folder_do_not_mix(whole, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin and other.stdout
        assert other.stdout.readline() == "at work\n"
        with pytest.raises(VizcnnError, match="another vizcnn is at work"):
            make(whole[0], tmp_path / "out")
        assert (tmp_path / "out" / WORK_NAME).is_dir()
        other.stdin.close()
    assert not (tmp_path / "out" / WORK_NAME).exists()
    make(whole[0], tmp_path / "out")
    assert list_files(tmp_path / "out") == whole[1]


def test_a_folder_of_others_is_refused_before_any_work(whole, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(VizcnnError, match="holds files that are not vizcnn's"):
        make(whole[0], tmp_path)
    assert list_files(tmp_path) == {"thesis.tex": b"mine"}


@pytest.mark.parametrize("name", ["", "finished.txt", "site", "spool", "strongest.safetensors"])
def test_a_link_in_the_working_folder_reaches_nothing_outside(whole, tmp_path, name):
    outside, link = tmp_path / "outside", tmp_path / "out" / WORK_NAME / name
    outside.mkdir()
    (outside / "precious").write_text("mine")
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "precious" if "." in name else outside)
    with pytest.raises(VizcnnError, match=r"is a link, and links in a folder of results"):
        make(whole[0], tmp_path / "out")
    assert list_files(outside) == {"precious": b"mine"}
    assert link.is_symlink()
    link.unlink()
    make(whole[0], tmp_path / "out")
    assert list_files(tmp_path / "out") == whole[1]


def test_a_full_disk_is_one_line_and_the_run_goes_on(whole, tmp_path, monkeypatch):
    photos, wanted = whole

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", fail)
        with pytest.raises(VizcnnError, match="No space left on device"):
            make(photos, tmp_path / "out")
    make(photos, tmp_path / "out")
    assert list_files(tmp_path / "out") == wanted
    assert LIST_NAME in wanted
