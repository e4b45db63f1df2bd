"""How pictures of units are encoded."""

import numpy as np

from tests.support.explorer_answers import open_picture
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.webp import SMALL, encode_picture


def decode(data):
    return open_picture(Answer({}, data), (0, len(data)))


def test_small_pictures_lose_nothing_and_large_ones_little():
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (SMALL, SMALL - 1, 3), np.uint8)
    assert (decode(encode_picture(small)) == small).all()
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    large = np.stack([np.broadcast_to(ramp, (64, 64))] * 3, axis=2)
    coded = encode_picture(large)
    assert len(coded) < large.size / 20
    assert np.abs(decode(coded).astype(int) - large).mean() < 4
