"""Photos as users have them, of every kind that works (the rest: test_images_damaged.py)."""

import hashlib
import struct
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.support.photo_files import BLUE, GREEN, RED, WHITE, paint, read, save, write_png
from vizcnn.basics.errors import ImageError
from vizcnn.photos.images import centre_square, measure_photo, photo_sha256, read_photo


def make_palette(transparent: bytes | int | None = None) -> tuple[Image.Image, dict]:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putdata([0, 1])
    return image, {} if transparent is None else {"transparency": transparent}


def make_half_transparent(mode: str) -> Image.Image:
    """Left pixel opaque, middle half, right invisible."""
    image = Image.new("LA" if mode == "LA" else "RGBA", (3, 1))
    colour = (0,) if mode == "LA" else RED
    image.putdata([(*colour, 255), (*colour, 128), (*colour, 0)])
    return image


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGBA", [RED, (255, 127, 127), WHITE]),
        ("LA", [(0, 0, 0), (127, 127, 127), WHITE]),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_transparency_is_laid_over_white(tmp_path, mode, expected, suffix):
    lossless = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = save(make_half_transparent(mode), tmp_path / f"a{suffix}", **lossless)
    np.testing.assert_allclose(read(path)[0], expected, atol=1)


@pytest.mark.parametrize(
    ("transparent", "expected"),
    [
        (None, [RED, BLUE]),
        (1, [RED, WHITE]),
        (bytes([128, 255]), [(255, 127, 127), BLUE]),
    ],
    ids=["opaque", "one colour", "alpha per colour"],
)
def test_palette(tmp_path, transparent, expected):
    image, options = make_palette(transparent)
    path = save(image, tmp_path / "a.png", **options)
    np.testing.assert_allclose(read(path)[0], expected, atol=1)


def test_palette_gif_with_transparency(tmp_path):
    image, _ = make_palette()
    path = save(image, tmp_path / "a.gif", transparency=1)
    np.testing.assert_array_equal(read(path)[0], [RED, WHITE])


def test_colour_key_transparency(tmp_path):
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    path = save(image, tmp_path / "a.png", transparency=BLUE)
    np.testing.assert_array_equal(read(path)[0], [RED, WHITE])


SIXTEEN_BITS = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", "<u2"), (".tif", "<u2"), (".tif", ">u2")])
def test_16_bit_greyscale(tmp_path, suffix, dtype):
    image = Image.fromarray(SIXTEEN_BITS.astype(dtype))
    assert image.mode.startswith("I;16")
    grey = read(save(image, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(grey[0], np.repeat([[0], [1], [128], [255]], 3, axis=1))


def test_16_bit_colour_png(tmp_path):
    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 32896, 65535)
    path = write_png(tmp_path / "a.png", 2, 1, depth=16, colour=2, rows=row)
    np.testing.assert_allclose(read(path)[0], [RED, (0, 128, 255)], atol=1)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (200, 30, 90), ".jpg", (200, 30, 90)),
        ("RGB", (200, 30, 90), ".png", (200, 30, 90)),
        ("RGB", (200, 30, 90), ".webp", (200, 30, 90)),
        ("RGB", (200, 30, 90), ".bmp", (200, 30, 90)),
        ("RGB", (200, 30, 90), ".tiff", (200, 30, 90)),
        ("RGB", (200, 30, 90), ".ppm", (200, 30, 90)),
        ("RGB", (200, 30, 90), ".jp2", (200, 30, 90)),
        ("L", 77, ".jpg", (77, 77, 77)),
        ("L", 77, ".png", (77, 77, 77)),
        ("L", 77, ".gif", (77, 77, 77)),
        ("1", 1, ".png", WHITE),
        ("CMYK", (0, 255, 255, 0), ".jpg", RED),
        ("CMYK", (255, 0, 0, 128), ".tiff", (0, 127, 127)),
        ("YCbCr", (76, 85, 255), ".jpg", (254, 0, 0)),
    ],
)
def test_colours_of_common_formats(tmp_path, mode, colour, suffix, expected):
    path = save(Image.new(mode, (16, 8), colour), tmp_path / f"a{suffix}")
    photo = read(path)
    assert photo.shape == (8, 16, 3)
    np.testing.assert_allclose(photo[4, 8], expected, atol=6)


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    for suffix in (".gif", ".webp", ".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(read(path)[0, 0], RED, atol=6)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, orientation, suffix):
    # the tag says where row 0 and column 0 of the stored pixels lie; undo it by its definition
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16], upright[:8, 16:], upright[8:, :16] = RED, GREEN, BLUE
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, dict[str, Any]] = {
        ".webp": {"lossless": True},
        ".jpg": {"subsampling": 0, "quality": 95},
    }
    path = tmp_path / f"a{suffix}"
    image = Image.fromarray(np.ascontiguousarray(stored))
    photo = read(save(image, path, exif=exif, **options.get(suffix, {})))
    np.testing.assert_allclose(photo, upright, atol=8)


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"\0"])
def test_broken_exif_does_not_matter(tmp_path, exif):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8), BLUE).save(path, exif=exif)
    np.testing.assert_allclose(read(path)[0, 0], BLUE, atol=6)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_unknown_exif_rotation_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.new("RGB", (8, 4), RED), tmp_path / "a.jpg", exif=exif)
    assert read(path).shape == (4, 8, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 2)])
def test_tiny_and_narrow(tmp_path, size):
    path = save(Image.new("RGB", size, GREEN), tmp_path / "a.png")
    square = centre_square(read_photo(path), 64)
    assert square.shape == (3, 64, 64)
    assert square[:, 32, 32].tolist() == list(GREEN)


def test_centre_square_cuts_the_middle():
    image = Image.new("RGB", (30, 10), RED)
    image.paste(BLUE, (10, 0, 20, 10))
    assert (centre_square(image, 10)[2] == 255).all()


def test_photo_sha256(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    assert photo_sha256(path) == hashlib.sha256(b"photo").hexdigest()
    with pytest.raises(ImageError, match="no file"):
        photo_sha256(tmp_path / "missing.jpg")


def turned(orientation: int) -> dict[str, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("phone.jpg", paint(), turned(6)),
        ("turned.png", Image.fromarray(np.array(paint().convert("L"), np.uint16) * 257), turned(8)),
        ("rgba.png", make_half_transparent("RGBA"), {}),
        ("la.webp", make_half_transparent("LA"), {"lossless": True}),
        ("palette.png", *make_palette(bytes([128, 255]))),
        ("palette.gif", make_palette()[0], {"transparency": 1}),
        ("key.png", Image.new("RGB", (2, 1), RED), {"transparency": RED}),
        ("deep.png", Image.fromarray(SIXTEEN_BITS), {}),
        ("deep.tif", Image.fromarray(np.array([[0, 40_000]], np.int32) * 40_000), {}),
        ("float.tif", Image.fromarray(np.array([[-0.5, 0.5]], np.float32)), {}),
        ("cmyk.tif", Image.new("CMYK", (3, 2), (0, 255, 255, 0)), {}),
        ("bits.png", Image.new("1", (3, 2), 1), {}),
    ],
)
@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.PhotoWarning")
def test_a_pil_image_becomes_what_its_file_becomes(tmp_path, name, image, options):
    path = save(image, tmp_path / name, **options)
    expected = read_photo(path)
    with Image.open(path) as opened:
        before = opened.copy()
        assert read_photo(opened) == expected
        assert opened.mode == before.mode  # the user's own image stays as it is
        assert opened.getexif().get(0x0112) == options.get("exif", {}).get(0x0112)
        loaded = opened.copy()
        loaded.info = dict(opened.info)
    if not name.startswith("turned"):  # a copy of a PNG has lost its EXIF
        assert read_photo(loaded) == expected
    assert read_photo(expected) == expected  # nothing is turned a second time


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_colours_multiplied_by_their_opacity_are_laid_over_white(mode):
    plain = Image.new(mode.upper(), (4, 4), (100,) * (len(mode) - 1) + (51,))
    red, green, blue = np.asarray(read_photo(plain.convert(mode)))[1, 1].astype(float)
    # 100 at a fifth of opacity, four fifths of white; Pillow stores 8 bits of the product
    assert red == green == blue and abs(red - (0.2 * 100 + 0.8 * 255)) <= 2


def test_what_is_no_photo_at_all_is_refused_in_one_line(tmp_path):
    things: list[Any] = [np.zeros((2, 2, 3)), 3, None]
    for thing in things:
        with pytest.raises(ImageError, match=r"^got \w+ .*; needed: the path of a photo, or a PIL"):
            read_photo(thing)
    with pytest.raises(ImageError, match="the image has 0 x 5 pixels: there is nothing in it"):
        read_photo(Image.new("RGB", (0, 5)))
    path = save(paint(), tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[:120])
    with Image.open(path) as opened, pytest.raises(ImageError, match="cut off, damaged"):
        read_photo(opened)
    with pytest.raises(ImageError, match="the image has 20 x 20 = more than 0 million"):
        read_photo(Image.new("RGB", (20, 20)), largest=300)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_photo_is_that_of_the_upright_one(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(paint(24, 12), tmp_path / "a.jpg", exif=exif)
    assert measure_photo(path) == read_photo(path).size
    (tmp_path / "b.jpg").write_bytes(b"no photo")
    for name in ("b.jpg", "gone.jpg"):
        with pytest.raises(ImageError):
            measure_photo(tmp_path / name)
