"""Preprocessing and classes as a user tells them, against arithmetic of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vizcnn
from vizcnn.basics.errors import ModelError, VizcnnError
from vizcnn.zoo.adjusting import settle_preprocessing
from vizcnn.zoo.preprocessing import imagenet_preprocessing
from vizcnn.zoo.torchvision_nets import import_torchvision

USUAL = imagenet_preprocessing(224, 256)
PIXELS = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("told", "mean", "std", "scale", "swap"),
    [
        ("mean=104,117,123,std=1,order=bgr,range=255", (104, 117, 123), (1, 1, 1), 255, True),
        ("caffe", (104, 117, 123), (1, 1, 1), 255, True),
        ("mean=0.5,std=0.25", (0.5,) * 3, (0.25,) * 3, 1, False),
        ({"mean": [0.1, 0.2, 0.3], "std": 2}, (0.1, 0.2, 0.3), (2,) * 3, 1, False),
        ("std=0.5", (0.485, 0.456, 0.406), (0.5,) * 3, 1, False),
        ("order=bgr", (0.406, 0.456, 0.485), (0.225, 0.224, 0.229), 1, True),
        ("order=bgr,std=1,2,3", (0.406, 0.456, 0.485), (1, 2, 3), 1, True),
        ("caffe,order=rgb", (123, 117, 104), (1, 1, 1), 255, False),
        ("Order=RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1, False),
    ],
)
def test_a_text_says_what_numpy_computes(
    told: Any, mean: tuple[float, ...], std: tuple[float, ...], scale: float, swap: bool
) -> None:
    values = PIXELS.numpy()[:, ::-1] if swap else PIXELS.numpy()
    column = (1, 3, 1, 1)
    wanted = (values * scale - np.reshape(mean, column)) / np.reshape(std, column)
    found = settle_preprocessing(told, USUAL)
    assert (found.input_size, found.resize) == (224, 256)
    np.testing.assert_allclose(found.normalise(PIXELS).numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_torchvisions_own_transforms_say_the_same() -> None:
    import_torchvision()
    from torchvision.transforms._presets import ImageClassification

    preset = ImageClassification(crop_size=96, resize_size=110, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    found = settle_preprocessing(preset, USUAL)
    photo = torch.rand(3, 110, 110)
    wanted = preset(photo)
    crop = photo[None, :, 7:103, 7:103]
    assert (found.input_size, found.resize) == (96, 110)
    torch.testing.assert_close(found.normalise(crop)[0], wanted)


def test_sizes_and_styles_come_before_what_is_told_beside_them() -> None:
    found = settle_preprocessing("half,size=112,resize=120,mean=0.25", USUAL)
    assert (found.input_size, found.resize, found.mean) == (112, 120, (0.25,) * 3)
    assert settle_preprocessing("size=112", USUAL).resize == 128
    assert settle_preprocessing("grey,mean=0.1307", USUAL).channels == 1
    assert settle_preprocessing(found.to_dict(), USUAL) == found


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("mena=0.5", "no setting 'mena': did you mean 'mean'"),
        ("0.5", "does not say what '0.5' is"),
        ("mean=a", "mean 'a' is not a number"),
        ("mean=1,2", "mean '1,2' is not a number, or one for each channel"),
        ("mean=nan", "mean 'nan' is not a number"),
        ("std=0", "std"),
        ("std=1,std=2", "settles std twice"),
        ("size=12.5", "size 12.5 is no number of pixels"),
        ("size=0", "size 0 is no number of pixels"),
        ("order=rbg", "order 'rbg' is not known; needed: rgb, bgr or grey"),
        ("order=grey", "3 channels in mean"),
        (
            "range=255",
            "range=255 was given without mean and std, which are of the range 0..1: give both",
        ),
        ("caffe,range=1,mean=0.5", "without std, which are of the range 0..255"),
        (7, "got 7 as preprocessing"),
    ],
)
def test_what_cannot_be_read_is_told(told: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        settle_preprocessing(told, USUAL)
    assert message in str(caught.value)


def test_classes_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    names = [f"digit {number}" for number in range(10)]
    file = tmp_path / "names.txt"
    file.write_text("\ufeff" + "\n\n".join(names) + "\n", "utf-8")
    for told in (names, file, str(file)):
        model = vizcnn.load("lenet", weights=None, classes=told)
        assert model.classes == tuple(names)
    assert len(vizcnn.load("lenet", weights=None, classes=4).classes) == 4


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"one\ntwo\n", "2 names of classes"),
        (b"", "is empty"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
    ],
)
def test_other_lists_are_refused(tmp_path: Path, lines: bytes, message: str) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes(lines)
    with pytest.raises(ModelError, match=message):
        vizcnn.load("lenet", weights=None, classes=file)
    with pytest.raises(VizcnnError, match=r"gone\.txt"):
        vizcnn.load("lenet", weights=None, classes=tmp_path / "gone.txt")


def test_a_net_of_one_channel_keeps_it() -> None:
    with pytest.raises(ModelError, match="takes 1 channel"):
        vizcnn.load("lenet", weights=None, preprocessing="imagenet")
    assert vizcnn.load("lenet", weights=None, preprocessing="mean=0.13").preprocessing.grey
