"""Names and files that make trouble: each works, or gets one clear line."""

import os
import random
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.photo_files import RED, fail, read, save, write_png
from vizcnn.basics.errors import ImageError
from vizcnn.photos.images import LARGEST_PHOTO, read_photo
from vizcnn.photos.stores import find_photos

NAMES = [
    "a b",
    "it's",
    'say "hi"',
    "<b>bold",
    "two\nlines",
    "Größe-写真",
    "100%",
    "{x}",
    "-rf",
    "a\tb",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_works(tmp_path, name):
    path = save(Image.new("RGB", (2, 2), RED), tmp_path / f"{name}.png")
    assert read(path)[0, 0].tolist() == list(RED)
    assert find_photos([tmp_path]) == [path]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_fails_in_one_line(tmp_path, name):
    assert "no file" in fail(tmp_path / f"{name}.png")
    (tmp_path / f"{name}.jpg").write_text("not\na\nphoto")
    assert "is not an image" in fail(tmp_path / f"{name}.jpg")


def test_name_of_bytes_that_are_no_text(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    try:
        path.write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes text only")
    assert fail(path).isascii()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"Dear photo,\nhow are you?\n", "is not an image"),
        ("page.png", b"<!doctype html><html>404</html>", "is not an image"),
        ("pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "is not an"),
        ("start.png", b"\x89PNG\r\n\x1a\n", "not an image"),
        ("zeros.jpg", bytes(500), "is not an image"),
        ("start.jpg", b"\xff\xd8\xff\xe0", "is not an image"),
    ],
)
def test_what_is_not_a_photo(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    assert message in fail(path)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.eps"])
def test_what_would_start_another_program_is_not_opened(tmp_path, monkeypatch, name):
    def start(*args, **kwargs):
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr(subprocess, "Popen", start)
    path = tmp_path / name
    path.write_bytes(EPS)
    with Image.open(path) as image:  # Pillow by itself takes it for what its bytes say
        assert image.format == "EPS"
    message = fail(path)
    assert "is not an image that can be read; needed: JPEG, PNG, WebP, GIF, BMP, TIFF" in message


def test_missing_folder_and_pipe(tmp_path):
    assert "no file" in fail(tmp_path / "missing.jpg")
    assert "no file" in fail(tmp_path / "no" / "such" / "folder.jpg")
    assert "is a folder" in fail(tmp_path)
    assert "cannot be opened" in fail(tmp_path / ("x" * 300))
    assert fail(Path("zero\0byte.jpg"))
    (tmp_path / "file.jpg").write_bytes(b"x")
    assert "cannot be opened" in fail(tmp_path / "file.jpg" / "inside.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a plain file" in fail(tmp_path / "pipe.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = save(Image.new("RGB", (2, 2)), tmp_path / "a.png")
    path.chmod(0)
    assert "may not be read" in fail(path)


def test_refused_permission_is_told(tmp_path, monkeypatch):
    path = save(Image.new("RGB", (2, 2)), tmp_path / "a.png")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "may not be read" in fail(path)


def make_noise(width: int = 64, height: int = 64) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(tmp_path, suffix, share):
    path = save(make_noise(), tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = fail(path)
    assert "cut off, damaged" in message or "is not an image" in message


def test_damaged_bytes_never_escape_as_another_error(tmp_path):
    generator = random.Random(0)
    for suffix in (".jpg", ".png", ".gif", ".tif", ".webp"):
        whole = save(make_noise(16, 16), tmp_path / f"whole{suffix}").read_bytes()
        for _ in range(60):
            content = bytearray(whole)
            for _ in range(8):
                content[generator.randrange(len(content))] = generator.randrange(256)
            path = tmp_path / f"damaged{suffix}"
            path.write_bytes(content)
            try:
                # damaged sizes can be large and legal; 100 megapixels of nothing take a while
                read_photo(path, largest=100_000)
            except ImageError as error:
                assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize(
    ("width", "height"),
    [(60_000, 60_000), (LARGEST_PHOTO // 10_000 + 1, 10_000), (2_000_000_000, 2_000_000_000)],
    ids=["bomb", "just above the limit", "absurd"],
)
def test_photo_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path, width, height):
    path = write_png(tmp_path / "a.png", width, height, depth=8, colour=0, rows=b"\0")
    assert "million pixels" in fail(path)


@pytest.mark.slow
def test_photo_at_the_limit_is_decoded(tmp_path):
    # one bit a pixel keeps this fast; more than Pillow's own warning, which must stay silent
    width, height = 12_000, LARGEST_PHOTO // 12_000
    path = save(Image.new("1", (width, height)), tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(path).size == (width, height)


def test_reading_in_threads_leaves_the_warning_filters_alone(tmp_path):
    path = save(Image.new("RGB", (2, 2)), tmp_path / "a.png")
    former = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_photo, [path] * 200))
    assert list(warnings.filters) == former
