"""Photos in object stores: the same as on a disk, or one line that says what is wrong."""

import pickle
import sys
import tarfile

import numpy as np
import pytest
import torch

from tests.support.mining_runs import mine_bytes
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.basics import remote
from vizcnn.basics.errors import DataError, ImageError
from vizcnn.basics.remote import RemotePath, clean_words, is_url, read_local_place, read_place
from vizcnn.mining.index import read_index
from vizcnn.mining.photo_sets import (
    FolderPhotos,
    PartOfPhotos,
    find_framing,
    find_source,
    list_left_out,
)
from vizcnn.mining.relevance import find_classes
from vizcnn.photos.images import measure_photo, photo_sha256, read_photo
from vizcnn.photos.remote_photos import RemotePhoto
from vizcnn.photos.samples import name_photo, name_source
from vizcnn.photos.stores import find_photos, open_stores

fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")

MODEL = make_model()
PREPROCESSING = MODEL.preprocessing
LAYERS = ("conv1",)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of photos with all that can be wrong with it, its archive, and shards of it."""
    home = tmp_path_factory.mktemp("disk")
    folder = home / "photos"
    names = ["dog/1.png", "dog/é ü.png", "cat <&>/2.PNG", "b[1].png", "a?.png", "deep/er/3.jpeg"]
    for number, name in enumerate(names):
        paint_photo(folder / name, number)
    (folder / "dog" / "cut.png").write_bytes((folder / "dog" / "1.png").read_bytes()[:99])
    (folder / "dog" / "empty.png").write_bytes(b"")
    for name in (".hidden.png", ".git/x.png", "notes.md", "raw.cr2"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"anything")
    with tarfile.open(home / "photos.tar", "w") as archive:
        archive.add(folder, ".")
    shards = home / "shards"
    shards.mkdir()
    for number in range(2):
        with tarfile.open(shards / f"s-{number:03d}.tar", "w") as archive:
            for name in names[number::2]:
                archive.add(folder / name, name)
    (home / "list.txt").write_text("photos/dog/1.png")
    for name in ("x.parquet", "x.tar.gz"):
        (home / name).write_bytes(b"anything")
    return home


@pytest.fixture(params=["memory", "local"])
def there(home, request):
    """The same in a store: fsspec's in memory, or its own way to a disk."""
    if request.param == "local":
        yield f"local://{home}"
        return
    store = fsspec.filesystem("memory")
    store.put(f"{home}/", "/bucket", recursive=True)
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.PhotoWarning")
def test_photos_in_a_store_are_those_of_the_disk(home, there, tmp_path):
    """Names, sizes, framing, classes, parts, and the index to the last byte."""
    wanted = mine_bytes(
        MODEL, FolderPhotos([home / "photos"], PREPROCESSING), tmp_path / "a", LAYERS
    )
    assert len(read_index(tmp_path / "a").failures) == 2
    for number, name in enumerate(("photos", "photos/", "photos.tar")):
        here = FolderPhotos([home / name], PREPROCESSING)
        far = FolderPhotos([read_place(f"{there}/{name}")], PREPROCESSING)
        assert (far.names, far.sizes) == (here.names, here.sizes)
        assert list_left_out(far) == list_left_out(here) == ("raw.cr2",)
        places = range(len(here.names))
        classes = find_classes(MODEL, here), find_classes(MODEL, far)
        assert [classes[1](n) for n in places] == [classes[0](n) for n in places]
        assert [find_source(far, n) for n in places] == [find_source(here, n) for n in places]
        assert find_framing(far, 0) == find_framing(here, 0)
        file = tmp_path / f"index {number}"
        assert mine_bytes(MODEL, far, file, LAYERS, workers=number % 2) == wanted
        part = pickle.loads(pickle.dumps(PartOfPhotos(far, 2, 3)))
        assert torch.equal(part.read(0), here.read(1))
    assert far.describe() == f"{len(far.names)} photos in '{there}/photos.tar'"


def test_patterns_stand_for_objects(home, there):
    here = FolderPhotos([home / "shards"], PREPROCESSING)
    for pattern in ("shards/s-{000..001}.tar", "shards/s-*.tar", "sh?rds/s-00?.tar", "shards"):
        far = FolderPhotos([read_place(f"{there}/{pattern}")], PREPROCESSING)
        assert (far.names, far.sizes) == (here.names, here.sizes)
        assert torch.equal(far.read(3), here.read(3))
    assert find_source(far, 0) == find_source(here, 0) != ""
    (one,) = open_stores(read_place(f"{there}/photos/b[1].*"))
    assert list(one.names) == ["b[1].png"]
    for pattern, told in (
        ("shards/s-{000..002}.tar", r"no file '.*s-002.tar', for which '.*' stands as well"),
        ("shards/t-*.tar", r"no file has a name like '.*/t-\*.tar': check the pattern"),
        ("shards/u.tar", r"no folder '.*/shards/u.tar': check the path"),
    ):
        with pytest.raises(DataError, match=told):
            open_stores(read_place(f"{there}/{pattern}"))


def test_a_photo_by_itself(home, there):
    place = read_place(f"{there}/photos/dog/1.png")
    (photo,) = find_photos([place])
    assert isinstance(photo, RemotePhoto)
    file = home / "photos" / "dog" / "1.png"
    assert name_photo(photo) == "1.png"
    assert str(photo) == name_source(photo) == f"{there}/photos/dog/1.png"
    assert photo_sha256(photo) == photo_sha256(file)
    assert measure_photo(photo) == (48, 40)
    for way in (photo, str(photo)):
        assert np.array_equal(np.asarray(read_photo(way)), np.asarray(read_photo(file)))
    assert FolderPhotos([place], PREPROCESSING).names == ("1.png",)
    every = find_photos([read_place(f"{there}/photos")])
    files = find_photos([home / "photos"])
    assert [str(one).removeprefix(there) for one in every] == [
        str(one).removeprefix(str(home)) for one in files
    ]


def test_photos_that_are_missing_empty_or_too_large_fail_by_name(home, there, monkeypatch):
    (gone,) = find_photos([read_place(f"{there}/photos/gone.png")])
    with pytest.raises(ImageError, match=r"^no file 'gone.png': check the path$"):
        read_photo(gone)
    (empty,) = find_photos([read_place(f"{there}/photos/dog/empty.png")])
    with pytest.raises(ImageError, match=r"/photos/dog/empty.png' is empty \(0 bytes\)"):
        read_photo(empty)
    place = read_place(f"{there}/photos/dog/1.png")
    with pytest.raises(DataError, match=r"/photos/dog/1.png' is given twice"):
        FolderPhotos([place, place], PREPROCESSING)
    monkeypatch.setattr("vizcnn.photos.remote_photos.LARGEST_STORED", 100)
    (large,) = find_photos([read_place(f"{there}/photos/dog/1.png")])
    with pytest.raises(ImageError, match=r"'1.png' has [0-9,]+ bytes; needed: at most 100"):
        read_photo(large)


def test_what_is_not_read_in_a_store_is_refused_by_name(home, there):
    for name, told in (
        ("list.txt", "is a list, which is not read in an object store"),
        ("x.parquet", "is a table, which is not read in an object store"),
        ("x.tar.gz", "is compressed"),
        ("photos/notes.md", "is not an image that can be read"),
    ):
        with pytest.raises((DataError, ImageError), match=told) as caught:
            read_photo(find_photos([read_place(f"{there}/{name}")])[0])
        assert len(str(caught.value).splitlines()) == 1
    (home / "urls.txt").write_text("a.png\ns3://me:secret@bucket/b.png")
    with pytest.raises(DataError, match=r"urls.txt' names 1 URLs; needed: paths") as caught:
        open_stores(home / "urls.txt")
    (home / "urls.txt").unlink()
    assert "secret" not in str(caught.value)


def test_damaged_archives_in_a_store_are_refused(home):
    content = (home / "photos.tar").read_bytes()
    for number, damaged in enumerate((b"", b"no archive" * 99, content[:700])):
        fsspec.filesystem("memory").pipe(f"/odd/{number}.tar", damaged)
        with pytest.raises(DataError, match="is no tar archive, or is cut off or damaged"):
            open_stores(read_place(f"memory://odd/{number}.tar"))
    fsspec.filesystem("memory").rm("/odd", recursive=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://me:secret@bucket/a", "with a password"),
        ("s3://me:sec/ret@bucket/a", "with a password"),
        ("https://host/a.jpg?X-Amz-Signature=secret", "is of the web"),
        ("s3://bucket/a.jpg?X-Amz-Signature=secret%2F", "with a query"),
        ("az://c/a.jpg?sv=1&sig=secret", "with a query"),
        ("simplecache::s3://bucket/secret", "in another one"),
        ("zip://a.jpg::s3://bucket/secret.zip", "in another one"),
        ("file://host/secret.png", "is of another machine"),
        ("s3:///", "names no bucket"),
    ],
)
def test_urls_that_are_not_taken_are_refused_without_what_they_hide(text, told):
    assert is_url(text)
    with pytest.raises(DataError, match=told) as caught:
        read_place(text)
    assert len(str(caught.value).splitlines()) == 1
    if "host/secret" not in text:
        assert "secret" not in str(caught.value)


def test_places_are_paths_but_of_no_file():
    place = read_place("s3://bucket/photos//b/")
    assert isinstance(place, RemotePath)
    assert str(place) == "s3://bucket/photos/b" and place.parent.name == "photos"
    assert str(pickle.loads(pickle.dumps(place))) == str(place)
    assert str(RemotePath("local:///a/b") / "c") == "local:///a/b/c"
    with pytest.raises(TypeError, match="no file of this machine"):
        open(place)  # noqa: PTH123, SIM115
    with pytest.raises(DataError, match="needed here: a folder on this machine"):
        read_local_place("s3://bucket/x", "folder")
    assert str(read_local_place("file:///a%20b")) == "/a b"
    words = clean_words(OSError("GET s3://me:pass@bucket/a?X-Sign=1 'b?sig=2'"))
    assert words == "GET s3://bucket/a 'b'"


@pytest.fixture
def flaky():
    """A store that fails so often before it answers, with a photo in it."""
    from fsspec.implementations.memory import MemoryFileSystem

    class Flaky(MemoryFileSystem):  # type: ignore[misc]
        protocol, failures, asked = "flaky", 0, 0
        error: Exception

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.replace("flaky://", "memory://"))

        def cat_file(self, *args, **options):
            Flaky.asked += 1
            if Flaky.asked <= Flaky.failures:
                raise Flaky.error
            return super().cat_file(*args, **options)

    fsspec.register_implementation("flaky", Flaky, clobber=True)
    yield Flaky
    fsspec.filesystem("memory").rm("/shop", recursive=True)


def test_a_store_that_does_not_answer_ends_a_run_and_is_no_unreadable_photo(
    flaky, tmp_path, monkeypatch
):
    monkeypatch.setattr(remote, "PAUSE", 0.0)
    fsspec.filesystem("memory").pipe("/shop/a.png", paint_photo(tmp_path / "a.png").read_bytes())
    photos = FolderPhotos([RemotePath("flaky://shop")], PREPROCESSING)
    flaky.error = ConnectionError("reset by flaky://me:secret@shop/a.png?sig=secret\nthere")
    flaky.failures = 2
    photos.read(0)  # at the third attempt
    flaky.failures, flaky.asked = 99, 0
    with pytest.raises(DataError, match=r"cannot be reached .*: check the network") as caught:
        mine_bytes(MODEL, photos, tmp_path / "index", LAYERS)
    assert "secret" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert flaky.asked == remote.ATTEMPTS
    flaky.error, flaky.asked = PermissionError("Forbidden"), 0
    with pytest.raises(DataError, match="check what the store lets you do"):
        photos.read(0)
    assert flaky.asked == 1


def test_what_is_not_installed_or_known_is_told_in_a_line(monkeypatch):
    with pytest.raises(DataError, match="of no kind of store that fsspec knows"):
        open_stores(RemotePath("nosuchstore://bucket/a"))
    with pytest.raises(DataError, match=r"needs a package of its own \(.*install"):
        open_stores(RemotePath("dropbox://bucket/a"))
    for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"pip install 'vizcnn\[remote\]'"):
        open_stores(RemotePath("memory://bucket/a"))
