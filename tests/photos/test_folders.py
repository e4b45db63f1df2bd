"""Photos in folders: every one is found, or named as left out."""

import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.support.photo_files import fail, save
from vizcnn.basics.errors import DataError, ImageError, PhotoWarning
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.photos.folders import survey_folder
from vizcnn.photos.formats import OTHER_SUFFIXES, PHOTO_FORMATS, PHOTO_SUFFIXES
from vizcnn.photos.stores import find_photos
from vizcnn.training.photos import PhotoFolder
from vizcnn.zoo.preprocessing import imagenet_preprocessing
from vizcnn.zoo.torchvision_nets import import_torchvision

SMALL = imagenet_preprocessing(8, 8)


def test_find_photos(tmp_path):
    names = ["b.JPG", "a.jpeg", "notes.md", ".hidden.jpg", "sub/c.webp", ".git/d.png", "._a.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty").mkdir()
    inside = [tmp_path / "a.jpeg", tmp_path / "b.JPG", tmp_path / "sub" / "c.webp"]
    assert survey_folder(tmp_path).photos == tuple(inside)
    odd, missing, empty = tmp_path / "notes.md", tmp_path / "missing.jpg", tmp_path / "empty"
    given = [odd, missing, tmp_path, inside[0], empty]
    assert find_photos(given) == [odd, missing, *inside, empty]
    assert "is a folder" in fail(empty)
    assert find_photos([]) == []


def test_what_is_a_photo_in_a_folder_is_what_can_be_opened(tmp_path):
    for suffix in PHOTO_SUFFIXES:
        (tmp_path / f"a{suffix.upper()}").write_bytes(b"x")
    assert len(survey_folder(tmp_path).photos) == len(PHOTO_SUFFIXES)
    known = Image.registered_extensions()
    for name, suffixes in PHOTO_FORMATS.items():
        if name.upper() in Image.OPEN:  # older Pillows have no AVIF
            pillows = {known[suffix] for suffix in suffixes}
            assert pillows <= {name.upper(), "MPO"}  # two JPEGs in one file


def test_hidden_parents_do_not_hide_photos(tmp_path):
    folder = tmp_path / ".cache" / "photos"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"x")
    assert survey_folder(folder).photos == (folder / "a.jpg",)


def make_photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(Image.new("RGB", (9, 9), (len(path.name), 0, 0)), path)


@pytest.fixture
def linked(tmp_path):
    """Classes a (a folder), b (a link to one), c (a link to a file in it), and a loop."""
    make_photo(tmp_path / "data" / "a" / "1.png")
    make_photo(tmp_path / "data" / "a" / "deep" / "2.jpg")
    make_photo(tmp_path / "store" / "b" / "3.png")
    make_photo(tmp_path / "store" / "b" / "4.ppm")
    (tmp_path / "data" / "b").symlink_to("../store/b")
    (tmp_path / "data" / "c").mkdir()
    (tmp_path / "data" / "c" / "5.png").symlink_to("../../store/b/3.png")
    return tmp_path / "data"


@pytest.mark.slow
def test_links_are_followed_as_imagefolder_does(linked):
    datasets = import_torchvision().datasets
    expected = [(Path(file), label) for file, label in datasets.ImageFolder(linked).samples]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_photos([linked]) == [file for file, _ in expected]
        photos = PhotoFolder(linked, 8)
        mined = FolderPhotos([linked], SMALL)
    assert list(zip(photos.paths, photos.labels.tolist(), strict=True)) == expected
    assert [linked / name for name in mined.names] == [file for file, _ in expected]


def test_loops_of_links_end(linked):
    once = find_photos([linked])
    (linked / "a" / "deep" / "up").symlink_to("..")
    (linked / "a" / "itself").symlink_to("itself")
    (linked / "all").symlink_to(linked)
    with pytest.warns(PhotoWarning) as caught:
        assert find_photos([linked]) == once
    line = str(caught[0].message)
    assert "'a/itself (a link that leads nowhere)'" in line
    assert "'a/deep/up (the folder a once more)'" in line
    assert "'all (the folder . once more)'" in line


def test_folders_that_links_lead_to_in_many_ways_are_read_once(tmp_path):
    data = tmp_path / "data"
    folders = [tmp_path / "store" / f"{number:02d}" for number in range(12)]
    photos = [make_photo(folder / "1.png") for folder in folders]
    for folder in folders:
        for other in folders:
            (folder / f"to {other.name}").symlink_to(other)
    (data / "a").mkdir(parents=True)
    (data / "a" / "to b").symlink_to("../b")
    photos.append(make_photo(data / "b" / "1.png"))
    (data / "store").symlink_to(folders[0])
    found = survey_folder(data)
    assert {path.resolve() for path in found.photos} == set(photos)
    assert len(found.photos) == len(photos)
    assert data / "b" / "1.png" in found.photos  # under its own name, not that of the link
    assert data / "store" / "to 11" / "1.png" in found.photos
    assert len(found.left_out) == 1 + 12**2 - 11
    assert found.left_out[0] == "a/to b (the folder b once more)"


def test_every_photo_that_is_not_read_is_named(tmp_path):
    whole = make_photo(tmp_path / "a.png").read_bytes()
    (tmp_path / "raw.CR2").write_bytes(b"anything")
    (tmp_path / "hashed").write_bytes(whole)
    (tmp_path / "copy.png~").write_bytes(whole)
    (tmp_path / "notes.txt").write_text("BM, P3, not a photo")
    (tmp_path / "class").symlink_to("gone")
    for number in range(10):
        (tmp_path / f"z{number}.nef").touch()
    with pytest.warns(PhotoWarning) as caught:
        assert find_photos([tmp_path]) == [tmp_path / "a.png"]
    (line,) = (str(warning.message) for warning in caught)
    names = ["class (a link that leads nowhere)", "copy.png~", "hashed", "raw.CR2"]
    names += [f"z{number}.nef" for number in range(6)]
    assert line.startswith(f"14 other files ({', '.join(map(repr, names))} and 4 more) in ")
    assert "left out: photos end in .jpg" in line


def test_photos_under_any_other_name_are_found_however_many_files_there_are(tmp_path):
    whole = make_photo(tmp_path / "a.png").read_bytes()
    for number in range(40):
        (tmp_path / f"note {number:02d}.txt").write_text("no photo")
    (tmp_path / "zz.txt").write_bytes(whole)
    found = survey_folder(tmp_path)
    assert found.left_out == ("zz.txt",)
    assert len(found.others) == 40
    with pytest.warns(PhotoWarning):
        assert FolderPhotos([tmp_path], SMALL).left_out == ("zz.txt",)


@pytest.mark.parametrize("name", ["pipe.jpg", "pipe.txt", "pipe.nef"])
def test_pipes_are_not_waited_for(tmp_path, name):
    make_photo(tmp_path / "a.png")
    os.mkfifo(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhotoWarning)
        photos = FolderPhotos([tmp_path], SMALL)
    assert (name in photos.names) == name.endswith("jpg")
    assert (name in photos.left_out) == name.endswith("nef")
    if name in photos.names:
        with pytest.raises(ImageError, match=r"^'pipe.jpg' is not a plain file"):
            photos.read(1)


def test_links_to_photos_that_are_gone_fail_by_name(tmp_path):
    (tmp_path / "a.png").symlink_to("gone.png")
    assert find_photos([tmp_path]) == [tmp_path / "a.png"]
    assert "is a link that leads nowhere" in fail(tmp_path / "a.png")
    photos = FolderPhotos([tmp_path], SMALL)
    assert photos.sizes == (0,)
    with pytest.raises(ImageError, match=r"^'a.png' is a link that leads nowhere"):
        photos.read(0)


def test_a_folder_of_unknown_files_is_told_with_their_names(tmp_path):
    (tmp_path / "cat" / "more").mkdir(parents=True)
    for name in ("a.xyz", "more/b.cr2"):
        (tmp_path / "cat" / name).touch()
    told = r"no photos in .*cat', only 2 other files \('more/b.cr2', 'a.xyz'\)"
    with pytest.raises(DataError, match=told):
        FolderPhotos([tmp_path / "cat"], SMALL)
    with pytest.raises(DataError, match=told):
        PhotoFolder(tmp_path, 8)
    assert "is a folder without photos, only 2 other files (" in fail(tmp_path / "cat")


def test_photos_beside_the_classes_are_named(tmp_path):
    make_photo(tmp_path / "cat" / "a.png")
    make_photo(tmp_path / "loose.png")
    (tmp_path / "cat" / "b.dng").touch()
    (tmp_path / "dog").symlink_to("gone")
    with pytest.warns(PhotoWarning, match=r"3 other files \('dog', 'loose.png', 'cat/b.dng'\)"):
        assert PhotoFolder(tmp_path, 8).classes == ["cat"]


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    make_photo(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    scan = os.scandir
    closed = [str(tmp_path / "sub")]

    def refuse(path):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in refuse(path)])
    assert survey_folder(tmp_path).left_out == ("sub (cannot be read)",)
    closed.append(str(tmp_path))
    with pytest.raises(ImageError, match="cannot be read"):
        survey_folder(tmp_path)


def test_a_folder_whose_names_may_be_read_and_no_more(tmp_path, monkeypatch):
    make_photo(tmp_path / "a.png")
    make_photo(tmp_path / "sub" / "b.png")
    (tmp_path / "sub" / "class").mkdir()
    scan = os.scandir

    class Closed:
        def __init__(self, entry):
            self.name, self.path = entry.name, entry.path

        def stat(self):
            raise PermissionError(13, "Permission denied")

    @contextmanager
    def refuse(path):
        with scan(path) as entries:
            yield map(Closed, entries) if Path(path) == tmp_path / "sub" else entries

    monkeypatch.setattr(os, "scandir", refuse)
    found = survey_folder(tmp_path)
    assert found.left_out == ("sub/class (cannot be read)",)
    assert found.photos == (tmp_path / "a.png", tmp_path / "sub" / "b.png")


def test_suffixes_of_all_that_pillow_reads_are_known():
    """What Pillow's plugins for pictures of pixels claim is read or named; the rest is listed."""
    drawings = ".bufr .cur .emf .eps .gbr .grib .h5 .hdf .icns .ico .mpeg .mpg .palm .pdf .ps .wmf"
    icons_and_screens = (
        ".blp .bw .dcx .dds .flc .fli .ftc .ftu .icb .iim .im .msp .pcd .pxr .ras .rgb .rgba .vda "
        ".vst .xbm .xpm"
    )
    passed_over = {*drawings.split(), *icons_and_screens.split()}
    assert set(Image.registered_extensions()) - passed_over <= {*PHOTO_SUFFIXES, *OTHER_SUFFIXES}
