"""Near-duplicates: planted ones are found, by numpy's own correlation, and no others."""

from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from vizcnn.measures.near_duplicates import (
    AT_ONCE,
    SIDE,
    Overlap,
    find_overlaps,
    find_twins,
    keep_nearest,
    make_thumbnails,
)
from vizcnn.photos.patches import read_samples


def to_pixels(photos, side=128):
    arrays = [np.asarray(photo.resize((side, side), Image.Resampling.LANCZOS)) for photo in photos]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def compress(photo):
    file = BytesIO()
    photo.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def patches():
    return read_samples()[::9]


def test_correlations_are_numpys(patches):
    pixels = to_pixels(patches[:5])
    small = make_thumbnails(pixels)
    blocks = pixels.numpy().reshape(5, 3, SIDE, 4, SIDE, 4).mean(axis=(3, 5), dtype=np.float64)
    assert np.allclose(small @ small.T, np.corrcoef(blocks.reshape(5, -1)), atol=1e-5)


def test_planted_duplicates_are_found_and_nothing_else(patches):
    planted = [
        compress(patches[2]),
        ImageEnhance.Brightness(patches[5]).enhance(0.6),
        patches[7].resize((60, 60)),
    ]
    small = make_thumbnails(to_pixels([*patches, *planted]))
    count = len(patches)
    found = find_twins(small)
    assert [(one.photo, one.other) for one in found] == [(count, 2), (count + 1, 5), (count + 2, 7)]
    assert all(0.95 <= one.correlation <= 1 for one in found)
    against = find_overlaps(make_thumbnails(to_pixels(planted)), small[:count], first=100)
    assert [(one.photo, one.other) for one in against] == [(0, 102), (1, 105), (2, 107)]


def test_of_those_that_stay_no_two_are_near():
    generator = np.random.default_rng(0)
    small = generator.normal(size=(AT_ONCE + 60, 6)).astype(np.float32)
    small[AT_ONCE + 30] = small[4]  # in another block
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    found = find_twins(small, 0.97)
    gone = {one.photo for one in found}
    assert AT_ONCE + 30 in gone
    staying = [number for number in range(len(small)) if number not in gone]
    near = small.astype(np.float64) @ small.astype(np.float64).T
    assert all(near[one, other] < 0.97 for one, other in combinations(staying, 2))
    for one in found:  # and each that goes is near the nearest of those that stay before it
        before = [number for number in staying if number < one.photo]
        assert one.other == max(before, key=lambda number: near[one.photo, number])
        assert one.correlation == pytest.approx(near[one.photo, one.other], abs=1e-5)
    assert 10 < len(found) < 560


def test_a_photo_of_one_colour_is_like_no_other():
    small = make_thumbnails(torch.full((2, 3, 40, 40), 90, dtype=torch.uint8))
    assert not small.any()
    assert find_twins(small) == []
    assert find_overlaps(small, small) == []


def test_the_nearest_of_several_parts_is_kept():
    found = [Overlap(3, 7, 0.96), Overlap(1, 2, 0.99), Overlap(3, 900, 0.98), Overlap(3, 901, 0.98)]
    assert keep_nearest(found) == [Overlap(1, 2, 0.99), Overlap(3, 900, 0.98)]
