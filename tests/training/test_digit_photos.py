"""The digits that come with the package: those that scikit-learn's training is on."""

import numpy as np
import pytest

from tests.support.small_zoo import make_model
from vizcnn.basics.errors import WeightsError
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.training import digit_photos
from vizcnn.training.digit_photos import DIGITS_FILE, DigitPhotos
from vizcnn.training.digits import write_digits
from vizcnn.zoo.preprocessing import make_preprocessing


def test_they_are_the_training_photos_to_the_bit(tmp_path):
    pytest.importorskip("sklearn", reason="the digits are compared with scikit-learn's")
    write_digits(tmp_path / "digits")
    preprocessing = make_preprocessing("grey", 32)
    written = FolderPhotos([tmp_path / "digits" / "train"], preprocessing)
    shipped = DigitPhotos(preprocessing)
    assert shipped.names == tuple(f"train/{name}" for name in written.names)
    for number in range(0, len(shipped.names), 7):
        np.testing.assert_array_equal(shipped.read(number), written.read(number))


def test_every_net_can_look_at_them():
    photos = DigitPhotos(make_model().preprocessing)
    assert photos.read(3).shape == (3, 32, 32)
    assert len(photos.names) == len(photos.sizes) == 1442
    assert list(photos.names) == sorted(set(photos.names))


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    content = bytearray(DIGITS_FILE.read_bytes())
    content[-1] ^= 1
    (tmp_path / DIGITS_FILE.name).write_bytes(content)
    (tmp_path / "sha256.json").write_bytes(DIGITS_FILE.with_name("sha256.json").read_bytes())
    monkeypatch.setattr(digit_photos, "DIGITS_FILE", tmp_path / DIGITS_FILE.name)
    with pytest.raises(WeightsError, match="damaged"):
        DigitPhotos(make_model().preprocessing)
