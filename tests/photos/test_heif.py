"""HEIC photos, as phones write them, through the extra vizcnn[heif]."""

import sys

import numpy as np
import pytest
from PIL import Image

from tests.support.photo_files import fail, paint, read
from vizcnn.basics.errors import ImageError
from vizcnn.photos.images import read_photo
from vizcnn.photos.stores import find_photos

HEIF = pytest.importorskip("pillow_heif", reason="the extra vizcnn[heif] is not installed")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_read_upright(tmp_path, orientation):
    upright = paint(64, 32)
    back = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]  # degrees, counter-clockwise
    stored = upright.rotate(back, expand=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "IMG_0001.HEIC"
    HEIF.from_pillow(stored).save(path, quality=-1, exif=exif.tobytes())
    photo = read(path)
    np.testing.assert_allclose(photo, np.asarray(upright).astype(int), atol=6)
    assert find_photos([tmp_path]) == [path]


@pytest.mark.slow
def test_heic_without_the_extra_is_told(tmp_path, monkeypatch):
    path = tmp_path / "a.heic"
    HEIF.from_pillow(paint()).save(path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"is HEIF, .*: pip install 'vizcnn\[heif\]'"):
        read_photo(path)
    path.write_text("no photo")
    with pytest.raises(ImageError, match="is not an image"):
        read_photo(path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_heic_that_is_cut_off(tmp_path, share):
    path = tmp_path / "a.heic"
    HEIF.from_pillow(paint(64, 64)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "cut off, damaged" in fail(path)
