"""Photos in lists, tar archives and tables, and patterns of their names."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from vizcnn.basics.errors import DataError, ImageError, PhotoWarning
from vizcnn.photos.arrow_tables import TablePhotos
from vizcnn.photos.images import photo_sha256, read_photo
from vizcnn.photos.samples import name_photo, name_source
from vizcnn.photos.stored import StoredPhoto
from vizcnn.photos.stores import expand_braces, find_photos, open_stores
from vizcnn.photos.tars import TarPhotos


def encode(colour: int = 0, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (9, 7), (colour, 0, 0)).save(content, kind)
    return content.getvalue()


def write_tar(path: Path, members: dict[str, bytes], kind: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, kind) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_members_are_read_where_they_lie(tmp_path):
    long = "/".join(["deep" * 20] * 3) + "/é 写真.jpg"  # of more than a header holds
    photos = {"a.png": encode(1), long: encode(2, "JPEG"), "b/c.PNG": encode(3), "d.png": b""}
    others = {"a.cls": b"7", "b/c.json": b"{}", ".hidden.png": encode(), "x/.git/y.png": encode()}
    path = write_tar(tmp_path / "shard.tar", {**photos, **others, "odd.nef": b"", "raw": encode()})
    store = TarPhotos(path)
    assert store.names == tuple(photos)
    assert store.sizes.tolist() == [len(content) for content in photos.values()]
    assert store.left_out == ("odd.nef", "raw")
    for number, (name, content) in enumerate(photos.items()):
        photo = store.locate(number)
        assert photo.read() == content
        assert (photo.container, photo.member) == (path, name)
        assert pickle.loads(pickle.dumps(photo)).read() == content
    photo = store.locate(2)
    assert read_photo(photo).getpixel((0, 0)) == (3, 0, 0)
    assert photo_sha256(photo) == hashlib.sha256(encode(3)).hexdigest()
    assert name_photo(photo) == "c.PNG"
    assert name_source(photo) == f"{path}: b/c.PNG"
    with pytest.raises(ImageError, match=r"shard.tar: d.png' is empty \(0 bytes\)"):
        read_photo(store.locate(3))


def test_links_and_devices_in_archives_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(encode())
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind, target in (
            ("soft.png", tarfile.SYMTYPE, str(tmp_path / "secret.png")),
            ("hard.png", tarfile.LNKTYPE, "good.png"),
            ("pipe.png", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    store = TarPhotos(tmp_path / "a.tar")
    assert store.names == ()
    assert store.left_out == (
        "hard.png (a link, which is not followed in an archive)",
        "pipe.png (no plain file)",
        "soft.png (a link, which is not followed in an archive)",
    )
    assert store.explain_none().startswith("only 3 other files ('hard.png (a link")


def test_names_are_relative_to_the_folder_that_was_packed(tmp_path):
    for members, wanted in (
        (("photos/a.png", "photos/b/c.png"), ("a.png", "b/c.png")),
        (("./a.png", "./b/c.png"), ("a.png", "b/c.png")),
        (("./photos/a.png",), ("a.png",)),
        (("cat/a.png", "cat/b.png"), ("cat/a.png", "cat/b.png")),
        (("photos/a.png", "b.png"), ("photos/a.png", "b.png")),
    ):
        for name in ("photos.tar", "photos.TAR"):
            path = write_tar(tmp_path / name, dict.fromkeys(members, b"x"))
            assert TarPhotos(path).names == wanted


def test_damaged_archives_are_refused(tmp_path):
    whole = write_tar(tmp_path / "a.tar", {"a.png": encode(), "b.png": encode()}).read_bytes()
    path = tmp_path / "b.tar"
    second = 2 * 512  # a header, and a block of content
    assert whole[second:].startswith(b"b.png")
    for content in (
        b"no archive" * 100,
        whole[:300],
        whole[: second - 400],
        whole[: second + 300],
        whole[: second + 520],
        whole[:second] + b"rubbish!" * 64 + whole[second + 512 :],
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"b.tar' is no tar archive, or is cut off or damaged"):
            TarPhotos(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        TarPhotos(path)
    path.write_bytes(whole[: 2 * second])  # some programs leave the end out
    assert TarPhotos(path).names == ("a.png", "b.png")


def test_headers_that_claim_gigabytes_are_refused(tmp_path):
    claimed = tarfile.TarInfo("././@LongLink")
    claimed.type, claimed.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(claimed.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1 << 34)  # a file with holes, which takes no room
    with pytest.raises(DataError, match="a member's header claims 8,589,934,592 bytes"):
        TarPhotos(path)


def test_members_of_gigabytes_are_not_read(tmp_path):
    member = tarfile.TarInfo("a.png")
    member.size = 5 << 30
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(member.tobuf())
        file.truncate(6 << 30)
    with pytest.raises(ImageError, match=r"'a.png' has 5,368,709,120 bytes; needed: at most"):
        read_photo(TarPhotos(path).locate(0))


def test_an_archive_that_changed_is_told(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.png": encode()})
    photo = TarPhotos(path).locate(0)
    path.write_bytes(path.read_bytes()[:550])
    with pytest.raises(ImageError, match=r"'a.png' is cut off in .*a.tar"):
        read_photo(photo)
    path.unlink()
    with pytest.raises(ImageError, match="no archive"):
        read_photo(photo)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.xz", "a.tar.zst"])
def test_compressed_archives_are_refused_with_the_way_out(tmp_path, name):
    write_tar(tmp_path / name, {"a.png": b"x"})
    with pytest.raises(DataError, match=r"is compressed.*: unpack it, or make a plain .tar"):
        open_stores(tmp_path / name)


@pytest.mark.parametrize("kind", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_archives_are_known_without_their_names(tmp_path, kind):
    write_tar(tmp_path / "a.tar", {"a.png": encode()}, kind)
    with pytest.raises(DataError, match=r"a.tar' is compressed.*: unpack it"):
        open_stores(tmp_path / "a.tar")


def test_lists_name_photos_a_line_each(tmp_path):
    names = ["b.png", "sub/a.png", " odd name .png", os.fsdecode(b"\xff\xfe.png"), "gone.png"]
    for number, name in enumerate(names[:-1]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(number))
    lines = [names[0], "", f"./{names[1]}", *names[2:], "b.png"]
    path = tmp_path / "list.txt"
    path.write_bytes("\r\n".join(lines).encode("utf-8", errors="surrogateescape"))
    (store,) = open_stores(path)
    assert list(store.names) == names
    assert list(store.sizes) == [*((tmp_path / name).stat().st_size for name in names[:-1]), 0]
    assert find_photos([path]) == [tmp_path / name for name in names]
    (tmp_path / "photo.txt").write_bytes(encode())  # a photo in spite of its name
    assert find_photos([tmp_path / "photo.txt"]) == [tmp_path / "photo.txt"]
    path.write_bytes(b"\0\1\2")
    with pytest.raises(DataError, match="is no text"):
        open_stores(path)


def test_patterns_stand_for_files(tmp_path):
    for number in range(3):
        write_tar(tmp_path / f"s-{number:03d}.tar", {f"{number}.png": encode(number)})
    for pattern in ("s-{000..002}.tar", "s-*.tar", "s-00?.tar", "s-{000,001,002}.tar", "."):
        stores = open_stores(tmp_path / pattern)
        assert [store.path.name for store in stores] == ["s-000.tar", "s-001.tar", "s-002.tar"]
    assert [str(photo).rsplit("/")[-1] for photo in find_photos([tmp_path / "s-*.tar"])] == [
        f"s-00{number}.tar: {number}.png" for number in range(3)
    ]
    for pattern, told in (
        ("s-{000..003}.tar", "no file .*s-003.tar', for which"),
        ("t-*.tar", "no file has a name like"),
        ("s-{0..999999999}.tar", "stands for more than"),
        ("{1..999}{1..999}.tar", "stands for more than"),
    ):
        with pytest.raises(DataError, match=told):
            open_stores(tmp_path / pattern)


def test_brackets_in_a_pattern_are_letters(tmp_path):
    """Only braces, * and ? are promised; folders such as "trip [2024]" are common."""
    for number in range(2):
        write_tar(tmp_path / "trip [12]" / f"s-{number}.tar", {"1.png": encode()})
        write_tar(tmp_path / "trip 1" / f"s-{number}.tar", {"1.png": encode()})
    stores = open_stores(tmp_path / "trip [12]" / "s-*.tar")
    assert [store.path for store in stores] == [
        tmp_path / "trip [12]" / f"s-{number}.tar" for number in range(2)
    ]


def test_names_that_no_file_can_have_are_photos_that_are_missing(tmp_path):
    names = [Path("x" * 300), Path("y" * 300 + ".png"), tmp_path / "good.png"]
    assert find_photos(names) == names
    with pytest.raises(DataError, match="check the path"):
        open_stores(names[0])


def test_braces():
    """As bash writes them out."""
    for text, wanted in (
        ("{8..11}", "8 9 10 11"),
        ("{008..011}", "008 009 010 011"),
        ("a{1..2}{x,y}", "a1x a1y a2x a2y"),
        ("{a}", "{a}"),
        ("plain", "plain"),
        ("{a,}b", "ab b"),
    ):
        assert expand_braces(text) == wanted.split(" ")


def test_a_folder_of_archives_is_that_of_their_photos(tmp_path):
    write_tar(tmp_path / "sub" / "b.tar", {"1.png": encode()})
    write_tar(tmp_path / "a.tar", {"2.png": encode()})
    assert [str(photo) for photo in find_photos([tmp_path])] == [
        f"{tmp_path / 'a.tar'}: 2.png",
        f"{tmp_path / 'sub' / 'b.tar'}: 1.png",
    ]
    (tmp_path / "3.png").write_bytes(encode())
    with pytest.warns(PhotoWarning, match=r"'a.tar \(beside photos: give it"):
        assert find_photos([tmp_path]) == [tmp_path / "3.png"]


def write_parquet(path, values, group=2, **columns):
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    parquet.write_table(pa.table({"image": values, **columns}), path, row_group_size=group)
    return path


STRUCTS = [{"bytes": encode(number), "path": f"{number}.png"} for number in range(5)]


def test_rows_of_parquet_are_photos(tmp_path):
    bare = [encode(number) for number in range(5)]
    for values in (STRUCTS, bare):
        path = write_parquet(tmp_path / "train-0.parquet", values, label=list(range(5)))
        store = TablePhotos(path)
        assert store.names == tuple(f"train-0/000000{number}" for number in range(5))
        for number in (4, 0, 3, 1):
            photo = store.locate(number)
            assert photo.read() == bare[number]
            assert pickle.loads(pickle.dumps(photo)).read() == bare[number]
    assert str(photo).endswith("train-0.parquet: train-0/0000001")
    assert isinstance(photo, StoredPhoto)
    assert find_photos([path])[2] == store.locate(2)
    path = write_parquet(
        tmp_path / "b.parquet", [None, {"bytes": None, "path": "x.png"}, STRUCTS[0]]
    )
    for number in range(2):
        with pytest.raises(ImageError, match=r"is empty \(0 bytes\)"):
            read_photo(TablePhotos(path).locate(number))


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_rows_of_arrow_are_photos(tmp_path, kind):
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    table = pa.table({"image": STRUCTS, "label": list(range(5))})
    path = tmp_path / "data.arrow"
    make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    store = TablePhotos(path)
    assert [store.locate(number).read() for number in range(5)] == [
        struct["bytes"] for struct in STRUCTS
    ]


def test_tables_that_are_none_are_refused(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", STRUCTS)
    content = path.read_bytes()
    (tmp_path / "b.parquet").write_bytes(content[:-200])
    (tmp_path / "c.arrow").write_bytes(b"no table" * 100)
    for name in ("b.parquet", "c.arrow"):
        with pytest.raises(DataError, match="cannot be read as a table"):
            TablePhotos(tmp_path / name)
    write_parquet(tmp_path / "d.parquet", [1, 2])
    with pytest.raises(DataError, match=r"no column of images \(it has image\)"):
        TablePhotos(tmp_path / "d.parquet")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"one": [b"x"], "two": [b"y"]}), tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"several columns of images \(one, two\)"):
        TablePhotos(tmp_path / "e.parquet")


def test_damaged_pages_of_a_table_fail_by_name(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [os.urandom(3000) for _ in range(4)], group=2)
    content = bytearray(path.read_bytes())
    content[100:200] = struct.pack("<25I", *range(25))
    content[4:60] = bytes(56)
    path.write_bytes(content)
    store = TablePhotos(path)
    with pytest.raises(ImageError, match="'a/0000000'"):
        store.locate(0).read()
    assert len(store.locate(3).read()) == 3000
