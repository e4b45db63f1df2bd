"""Grey values of 16 and 32 bits and floating-point ones: their range, and the word about it."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tests.support.photo_files import save
from vizcnn.basics.errors import PhotoWarning
from vizcnn.photos.images import PhotoReader, read_photo

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("dtype", "values", "expected", "word"),
    [
        ("uint16", [0, 257, 65535], [0, 1, 255], ""),
        ("uint16", [0, 16384, 32768], [0, 64, 128], ""),
        ("uint16", [0, 2048, 4095], [0, 128, 255], "0..4095 in 16 bits: 0 is taken as black, 4095"),
        ("uint16", [0, 2048, 3000], [0, 128, 187], "4095 as white"),
        ("uint16", [3, 128, 255], [3, 128, 255], "255 as white"),
        ("uint16", [0, 512, 1023], [0, 128, 255], "1023 as white"),
        ("uint16", [0, 8192, 16383], [0, 128, 255], "16383 as white"),
        ("uint16", [0, 0, 0], [0, 0, 0], ""),
        ("int32", [0, 32768, 65535], [0, 128, 255], "in 32 bits: 0 is taken as black, 65535"),
        ("int32", [0, 128, 255], [0, 128, 255], "0 is taken as black, 255 as white"),
        ("int32", [0, 1_000_000, 2_000_000], [0, 128, 255], "2e+06 as white"),
        ("int32", [-1000, 500, 2000], [0, 128, 255], "-1000 is taken as black, 2000 as white"),
        ("float32", [0.0, 0.5, 1.0], [0, 128, 255], ""),
        ("float32", [0.1, 0.2, 0.4], [26, 51, 102], ""),
        ("float32", [-0.01, 0.5, 1.02], [0, 128, 255], ""),
        ("float32", [-1.0, 0.0, 1.0], [0, 128, 255], "-1 is taken as black, 1 as white"),
        ("float32", [-0.75, 0.0, 0.5], [32, 128, 191], "-1 is taken as black, 1 as white"),
        ("float32", [0.0, 128.0, 255.0], [0, 128, 255], "0 is taken as black, 255 as white"),
        ("float32", [0.0, 1.25, 2.5], [0, 128, 255], "floating point: 0 is taken as black, 2.5"),
        ("float32", [NAN, -3.5, 2.5], [0, 0, 255], "-3.5 is taken as black, 2.5 as white"),
        ("float32", [NAN, INFINITE, -INFINITE], [0, 255, 0], ""),
        ("float32", [0.0, 0.0, 0.0], [0, 0, 0], ""),
    ],
)
def test_values_and_word(tmp_path, dtype, values, expected, word):
    image = Image.fromarray(np.array([values], dtype=dtype))
    for photo in (image, save(image, tmp_path / "a.tif")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            grey = np.asarray(read_photo(photo))
        np.testing.assert_array_equal(grey[0], np.repeat(np.array(expected)[:, None], 3, axis=1))
        assert [warning.category for warning in caught] == [PhotoWarning] * bool(word)
        assert all(word in str(warning.message) for warning in caught)


def test_what_the_file_itself_states_needs_no_word(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + np.array([0, 2048], ">u2").tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.asarray(read_photo(tmp_path / "a.pgm"))[0, :, 0].tolist() == [0, 128]


def test_a_set_is_told_of_once(tmp_path):
    reader = PhotoReader()
    image = Image.fromarray(np.array([[0, 4000]], dtype=np.uint16))
    with pytest.warns(PhotoWarning, match="others of the set likewise") as caught:
        for number in range(3):
            reader.read(save(image, tmp_path / f"{number}.png"))
    assert len(caught) == 1


def test_a_transparent_value_is_laid_over_white(tmp_path):
    image = Image.fromarray(np.array([[0, 30_000, 65_535]], dtype=np.uint16))
    path = save(image, tmp_path / "a.png", transparency=30_000)
    assert np.asarray(read_photo(path))[0, :, 0].tolist() == [0, 255, 255]
    with Image.open(path) as opened:
        assert read_photo(opened) == read_photo(path)
