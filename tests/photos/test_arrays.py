"""Arrays and tensors as photos: what their values are is made out, or refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vizcnn.basics.errors import ImageError
from vizcnn.photos.arrays import list_photos, name_photos, read_values, to_photo

BYTES = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
SHARES = (BYTES / 255).astype(np.float32)
PLANES = torch.from_numpy(SHARES.transpose(2, 0, 1).copy())[None]
"""The same photo as pixels, (1, 3, 5, 7)."""

SAME = {
    "bytes": BYTES,
    "whole numbers": BYTES.astype(np.int64),
    "shares": SHARES,
    "shares, double": SHARES.astype(np.float64),
    "0..255 as floats": BYTES.astype(np.float32),
    "channels first": BYTES.transpose(2, 0, 1),
    "a batch": BYTES[None],
    "turned over twice": BYTES[::-1].copy()[::-1],
    "of another byte order": SHARES.astype(">f4"),
    "a tensor of bytes": torch.from_numpy(BYTES.transpose(2, 0, 1).copy()),
    "a tensor of shares": PLANES[0],
    "a batch of them": PLANES,
    "a tensor of 0..255": PLANES * 255,
    "a tensor with channels last": torch.from_numpy(BYTES),
}


@pytest.mark.parametrize("values", SAME.values(), ids=SAME)
def test_every_form_of_a_photo_gives_the_same_pixels(values):
    pixels = read_values(values)
    assert pixels.shape == PLANES.shape
    torch.testing.assert_close(pixels, PLANES, check_dtype=False, atol=1e-6, rtol=0)


def test_pixels_are_not_touched():
    assert read_values(PLANES) is PLANES


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (1, 5, 7)])
def test_grey_is_spread_over_the_colours(shape):
    pixels = read_values(BYTES[:, :, 0].reshape(shape))
    assert pixels.shape == (1, 3, 5, 7)
    assert (pixels * 255 == torch.from_numpy(BYTES[:, :, 0])).all()


def test_transparency_is_laid_over_white():
    see_through = np.dstack([BYTES, np.full((5, 7), 51, np.uint8)])
    expected = SHARES * 0.2 + 0.8
    found = read_values(see_through)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
WRONG = {
    "normalised": ((SHARES - MEAN) / STD, "no pixels of 0..1 or 0..255: if they were normalised"),
    "bright and normalised": ((0.9 + SHARES / 10 - MEAN) / STD, "if they were normalised"),
    "centred on zero": (SHARES - 0.5, r"values of -0\.[45]"),
    "minus a mean colour": (BYTES.astype(np.float32) - 117, "denormalise"),
    "above 255": (BYTES.astype(np.float32) * 2, "no pixels"),
    "whole numbers above 255": (BYTES.astype(np.int32) * 2, "needed: pixels of 0..255"),
    "16 bits": (BYTES.astype(np.uint16), "uint8"),
    "truth": (BYTES > 7, "uint8"),
    "complex": (SHARES * 1j, "uint8"),
    "text": (np.array([["a"]]), "uint8"),
    "not finite": (np.full((5, 7, 3), np.nan), "not finite"),
    "five channels": (np.zeros((5, 7, 5)), "1, 3 or 4 channels"),
    "a batch of grey ones": (np.zeros((5, 8, 7)), r"of grey ones \(N, H, W, 1\)"),
    "one dimension": (np.zeros(3), "1, 3 or 4 channels"),
    "nothing": (np.zeros((0, 7, 3)), "nothing in it"),
    "a tensor without values": (torch.zeros(3, 5, 7, device="meta"), "needed: pixels"),
}


@pytest.mark.parametrize(("values", "told"), WRONG.values(), ids=WRONG)
def test_what_may_be_no_photo_is_refused_with_the_way_out(values, told):
    with pytest.raises(ImageError, match=told) as raised:
        read_values(values)
    assert str(tuple(values.shape)) in str(raised.value)


def test_an_image_of_pixels_has_their_bytes():
    assert np.array_equal(np.array(to_photo(PLANES[0])), BYTES)


def test_lists_are_flattened_and_named():
    image = Image.new("RGB", (3, 3))
    photos = list_photos(iter(["a/b.jpg", [Path("c.png"), image], (PLANES, BYTES)]))
    assert photos[:3] == ["a/b.jpg", Path("c.png"), image]
    assert name_photos(photos) == ("b.jpg", "c.png", "photo 3", "photo 4", "photo 5")
    assert name_photos(["coffee", torch.zeros(2, 3, 4, 4)]) == ("coffee", "photo 2", "photo 3")
    with pytest.raises(ImageError, match="no photo"):
        list_photos([[], []])
