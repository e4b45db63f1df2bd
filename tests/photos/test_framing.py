"""How photos are brought to a net: what is used of them, what is padding, and the pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from tests.support.models import prepare
from tests.support.small_zoo import draw_noise, make_model
from vizcnn.basics.errors import ImageError, ModelError, WeightsError
from vizcnn.drawing.used_part import DIMMED, show_used_part
from vizcnn.photos.framing import FITS, frame_photo
from vizcnn.zoo.preprocessing import Preprocessing, imagenet_preprocessing, make_preprocessing

SMALL = imagenet_preprocessing(20, 20)


def fit(photo: Image.Image, preprocessing: Preprocessing = SMALL, **how: object) -> np.ndarray:
    fitted = preprocessing.fit_otherwise(**how).fit(photo)  # type: ignore[arg-type]
    assert fitted.dtype == torch.uint8
    return fitted.permute(1, 2, 0).numpy()


def test_a_padded_photo_is_whole_and_its_margins_have_the_mean_colour():
    seen = fit(Image.new("RGB", (40, 20), (250, 0, 0)), fit="pad")
    assert seen.shape == (20, 20, 3)
    assert (seen[5:15] == (250, 0, 0)).all()
    for margin in (seen[:5], seen[15:]):
        assert (margin == (124, 116, 104)).all()  # 255 times 0.485, 0.456, 0.406
    upright = fit(Image.new("RGB", (10, 40), (0, 9, 0)), fit="pad")
    columns = (upright == (0, 9, 0)).all(axis=(0, 2)).nonzero()[0].tolist()
    assert columns == [7, 8, 9, 10, 11]
    left, right = draw_noise(30, 15), draw_noise(30, 15).resize((20, 10), Image.Resampling.LANCZOS)
    assert np.array_equal(fit(left, fit="pad")[5:15], np.asarray(right))


@pytest.mark.parametrize(
    ("style", "colour"),
    [("caffe", (123, 117, 104)), ("half", (128, 128, 128)), ("grey", (128, 128, 128))],
)
def test_the_mean_colour_is_what_the_net_takes_for_nothing(style, colour):
    preprocessing = make_preprocessing(style, 16)
    assert preprocessing.fill == colour
    shown = torch.tensor(colour).view(1, 3, 1, 1) / 255
    level = preprocessing.scale / 255 / min(preprocessing.std)
    assert preprocessing.normalise(shown).abs().max() <= 0.51 * level


def test_a_squashed_photo_is_whole_and_distorted():
    photo = draw_noise(50, 10)
    wanted = np.asarray(photo.resize((20, 20), Image.Resampling.LANCZOS))
    assert np.array_equal(fit(photo, fit="squash"), wanted)


def test_a_photo_that_keeps_its_size_keeps_its_pixels():
    photo = draw_noise(31, 17)
    assert np.array_equal(fit(photo, fit="none"), np.asarray(photo))


@pytest.mark.parametrize("how", FITS[:3])
def test_another_size_keeps_the_share_of_border(how):
    photo = draw_noise(300, 200)
    large = imagenet_preprocessing(224, 256).fit_otherwise(how, 112)
    assert large.fit(photo).shape == (3, 112, 112)
    assert (large.resize, large.fitting) == (128, how)


@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    how=st.sampled_from(FITS),
    size=st.integers(1, 50),
    border=st.integers(0, 20),
)
def test_framings_say_what_happens(width, height, how, size, border):
    """Of photos whose pixels say where they were, the pixels that come out are of the used part."""
    framing = frame_photo(how, (width, height), size, size + border)
    across = np.broadcast_to(np.arange(width), (height, width)) / max(width - 1, 1) * 200
    down = np.broadcast_to(np.arange(height)[:, None], (height, width)) / max(height - 1, 1) * 200
    photo = np.stack([across, down, np.zeros_like(down)], axis=2).round().astype(np.uint8)
    preprocessing = Preprocessing((0.0, 0.0, 1.0), (1.0,) * 3, 1.0, False, size, size + border)
    seen = replace(preprocessing, fitting=how).fit(Image.fromarray(photo)).numpy()
    assert seen.shape == (3, *framing.input_size[::-1])
    inside = np.zeros(seen.shape[1:], bool)
    inside[framing.inside[0] : framing.inside[2], framing.inside[1] : framing.inside[3]] = True
    assert np.array_equal(seen[2] < 128, inside)
    left, top, right, bottom = framing.used
    for axis, first, last, whole in ((0, left, right, width), (1, top, bottom, height)):
        values = seen[axis][inside]
        # LANCZOS overshoots a little, and looks at pixels around
        assert values.min() >= (first - 1) / max(whole - 1, 1) * 200 - 40
        assert values.max() <= (last + 1) / max(whole - 1, 1) * 200 + 40
    share = (right - left) * (bottom - top) / (width * height)
    assert framing.share == pytest.approx(share)
    assert framing.is_cut == (how == "crop" and share < 1)


@given(
    box=st.tuples(*[st.integers(0, 30)] * 4), width=st.integers(1, 90), height=st.integers(1, 90)
)
def test_padding_is_counted_pixel_by_pixel(box, width, height):
    framing = frame_photo("pad", (width, height), 30, 30)
    top, bottom, left, right = (*sorted(box[::2]), *sorted(box[1::2]))
    padded = np.ones((30, 30), bool)
    padded[framing.inside[0] : framing.inside[2], framing.inside[1] : framing.inside[3]] = False
    cut = padded[top:bottom, left:right]
    wanted = cut.mean() if cut.size else 0.0
    assert framing.find_padding((top, left, bottom, right)) == pytest.approx(wanted)


def test_words():
    for how, photo, wanted in (
        ("crop", (1000, 100), "the middle 10 % of the photo was used"),
        ("crop", (100, 100), "the whole photo was used"),
        ("crop", (100_000, 100), "the middle 0.1 % of the photo was used"),
        ("pad", (200, 100), "the whole photo was used; 50 % of the input is padding"),
        ("pad", (100, 100), "the whole photo was used"),
        ("squash", (200, 100), "the whole photo was used, squashed to 0.50 of its width"),
        ("squash", (100, 250), "the whole photo was used, squashed to 0.40 of its height"),
        ("none", (200, 100), "the whole photo was used, in its own size"),
    ):
        assert frame_photo(how, photo, 64, 64).describe() == wanted  # type: ignore[arg-type]


def test_what_was_cut_is_shown_dimmed():
    photo = Image.new("RGB", (800, 200), (200, 200, 200))
    shown = show_used_part(photo, frame_photo("crop", photo.size, 32, 32), side=400)
    assert shown.shape == (100, 400, 3)
    value = 200 / 255
    assert np.allclose(shown[50, :140], value * DIMMED)
    assert np.allclose(shown[50, 150:250], value)
    assert np.allclose(shown[50, 260:], value * DIMMED)
    assert shown[50, 149, 0] == 1
    assert shown[50, 146, 0] == 0


def test_settings_of_before_stay_as_they_were():
    """Indexes and weight files hold these values, and are compared with them."""
    assert "fitting" not in SMALL.to_dict()
    padded = SMALL.fit_otherwise("pad")
    for settings in (SMALL, padded):
        assert Preprocessing.from_dict(settings.to_dict()) == settings
    with pytest.raises(WeightsError):
        Preprocessing.from_dict({**SMALL.to_dict(), "fitting": "fill"})


def test_what_cannot_be_is_refused():
    for how, told in (
        ({"fit": "zoom"}, "fit='zoom' is not known; needed: crop, pad, squash, none"),
        ({"fit": "none", "size": 64}, "leave one out"),
        ({"size": 0}, "got 0 as size"),
        ({"size": 2.5}, "got 2.5 as size"),
    ):
        with pytest.raises(ImageError, match=told):
            SMALL.fit_otherwise(**how)


def test_a_net_reads_photos_in_every_way(tmp_path):
    model = make_model()
    draw_noise(60, 30).save(tmp_path / "a.png")
    assert model.read(tmp_path / "a.png").shape == (1, 3, 32, 32)
    assert model.read(tmp_path / "a.png", fit="none").shape == (1, 3, 30, 60)
    assert model.read(tmp_path / "a.png", size=48).shape == (1, 3, 48, 48)
    padded = model.read(tmp_path / "a.png", fit="pad")
    assert torch.equal(padded, model.fit_photos("pad").read(tmp_path / "a.png"))
    assert torch.allclose(padded[0, :, 0, 0] * 255, torch.tensor([128.0, 102, 76]), atol=0.6)
    assert model.fit_photos() is model
    assert model.fit_photos("crop") is model


def test_a_net_that_needs_its_size_refuses_another_by_name():
    model = make_model()
    for how in ({"size": 40}, {"fit": "none"}):
        with pytest.raises(ModelError, match=r"^Tiny \$net: .*fully connected.*, 32 x 32 px"):
            model.fit_photos(**how)
    averaging = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)
    )
    free = replace(model, module=prepare(averaging, 32))
    assert free.fit_photos(size=40).input_size == 40
    assert free.fit_photos(size=40).preprocessing.resize == 40
    assert free.fit_photos("none").preprocessing.fitting == "none"
