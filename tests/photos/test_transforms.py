"""Photos moved, scaled and turned: against other ways to the same pixels."""

import numpy as np
import pytest
from PIL import Image

from tests.support.small_zoo import draw_noise, make_model
from vizcnn.basics.errors import ImageError
from vizcnn.photos.framing import frame_photo
from vizcnn.photos.transforms import (
    BORDERS,
    KINDS,
    STILL,
    Transform,
    parse_amounts,
    see_after,
    shrink_window,
    transform_photo,
)

SIZE = 24
PHOTO = draw_noise(80, 60)
FRAMING = frame_photo("crop", PHOTO.size, SIZE, 30)


def move(transform, border="reflect", framing=FRAMING, photo=PHOTO, fill=(0.2, 0.4, 0.6)):
    moved = transform_photo(photo, framing, [transform], border, fill)
    return moved.pixels[0].transpose(1, 2, 0), moved.known[0]


STILL_PIXELS, _ = move(STILL)


def test_a_photo_that_is_not_moved_is_what_the_net_is_shown():
    model = make_model()
    shown = model.read(PHOTO)[0].permute(1, 2, 0).numpy()
    for border in BORDERS:
        framing = model.preprocessing.frame(PHOTO)
        pixels, known = move(STILL, border, framing)
        assert known.all()
        # resized with more of the photo around it, Pillow rounds some of its weights otherwise
        assert np.abs(pixels - shown).max() <= 1.01 / 255
        assert (pixels == shown).mean() > 0.95


@pytest.mark.parametrize("by", [-7, 3, 23])
def test_movements_by_whole_pixels_move_pixels(by):
    pixels, known = move(Transform("shift", by))
    expected = np.pad(STILL_PIXELS, [(SIZE, SIZE), (0, 0), (0, 0)], mode="symmetric")
    assert np.array_equal(pixels, expected[SIZE - by : 2 * SIZE - by])
    rows = np.arange(SIZE) - by
    assert np.array_equal(known, np.repeat(((rows >= 0) & (rows < SIZE))[:, None], SIZE, axis=1))
    wrapped, known = move(Transform("shift", by), "wrap")
    assert np.array_equal(wrapped, np.roll(STILL_PIXELS, by, axis=0)) and known.all()


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns_are_those_of_numpy(turns):
    pixels, known = move(Transform("rotate", 90.0 * turns))
    assert np.allclose(pixels, np.rot90(STILL_PIXELS, turns), atol=1e-6)
    assert known.all()


def test_other_turns_are_those_of_scikit_image():
    skimage = pytest.importorskip("skimage.transform")
    pixels, known = move(Transform("rotate", 30), "black")
    turned = skimage.rotate(STILL_PIXELS.astype(np.float64), 30, order=3, mode="symmetric")
    inner = np.hypot(*(np.indices((SIZE, SIZE)) - (SIZE - 1) / 2)) < SIZE / 2 - 3
    assert np.allclose(pixels[inner], turned.clip(0, 1)[inner], atol=1e-5)
    assert known[inner].all() and not known[0, 0]


def test_fractions_of_a_pixel_lie_between_pixels():
    smooth = Image.linear_gradient("L").convert("RGB")
    framing = frame_photo("crop", smooth.size, SIZE, 2 * SIZE)
    first, _ = move(Transform("shift", 2), "photo", framing, smooth)
    half, _ = move(Transform("shift", 2.5), "photo", framing, smooth)
    last, _ = move(Transform("shift", 3), "photo", framing, smooth)
    assert np.allclose(half, (first + last) / 2, atol=2 / 255)
    assert first.mean() > half.mean() > last.mean()  # what comes in from above is darker


def test_an_enlarged_photo_is_the_crop_of_a_larger_one():
    """From the photo's own pixels: a window of half the side, seen at twice the scale."""
    pixels, known = move(Transform("scale", 2))
    left, top, right, bottom = FRAMING.used
    quarter = (right - left) / 4
    box = (left + quarter, top + quarter, right - quarter, bottom - quarter)
    expected = np.asarray(PHOTO.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box)) / 255
    assert np.abs(pixels - expected).max() <= 1.01 / 255 and known.all()
    twice, _ = move(STILL, framing=shrink_window(FRAMING, 0.5))
    assert np.abs(pixels - twice).max() <= 1.01 / 255


def test_what_comes_in_is_what_was_asked_for():
    down = Transform("shift", 5)
    masked, known = move(down, "mask")
    assert not known[:5].any() and known[5:].all()
    assert np.allclose(masked[:5], (0.2, 0.4, 0.6))
    assert not move(down, "black")[0][:5].any()
    larger, known = move(Transform("shift", 2), "photo")
    assert known.all()  # the photo has 3 pixels above the window
    lower = (FRAMING.used[0], FRAMING.used[1] - 2 * 2, FRAMING.used[2], FRAMING.used[3] - 2 * 2)
    expected = np.asarray(PHOTO.resize((SIZE, SIZE), Image.Resampling.LANCZOS, lower)) / 255
    assert np.abs(larger - expected).max() <= 1.01 / 255
    for border in BORDERS:
        small, known = move(Transform("scale", 0.5), border)
        assert known.all() == (border == "wrap")
        assert known[6:18, 6:18].all() and small.shape == (SIZE, SIZE, 3)


def test_where_the_photo_ends_is_told():
    _, known = move(Transform("shift", 12), "photo")
    assert not known[:9].any() and known[9:].all()
    panorama = draw_noise(4000, 30)
    framing = frame_photo("crop", panorama.size, SIZE, SIZE)
    pixels, known = move(Transform("rotate", 45), "photo", framing, panorama)
    assert 0.5 < known.mean() < 1 and pixels.max() <= 1 and pixels.min() >= 0


def test_pixels_in_sight_after_a_transform():
    assert see_after(Transform("shift", -3), 9)[:3].sum() == 0
    assert see_after(Transform("rotate", 90), 9).all()
    assert see_after(Transform("scale", 3), 9).sum() == 9


def test_a_photo_in_a_part_of_the_input_is_refused():
    framing = frame_photo("pad", (80, 40), SIZE, SIZE)
    with pytest.raises(ImageError, match="use fit crop or squash"):
        transform_photo(PHOTO, framing, [STILL])


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("0..1", "shift", "needed: FIRST..LAST:STEP"),
        ("5..1:1", "shift", "the lower first"),
        ("0..9:0", "shift", "a step above 0"),
        ("0..9999:0.001", "shift", "at most 1000 amounts"),
        ("-1", "scale", "needed: 0.1 to 10"),
        ("1e3", "rotate", "needed"),
        ("", "rotate", "needed"),
        ("1,,2", "rotate", "needed"),
        ("9" * 5000, "shift", "needed"),
        ("0,9000", "rotate", "-3600 to 3600"),
    ],
)
def test_odd_amounts_are_told_in_a_line(text, kind, told):
    with pytest.raises(ImageError, match=told) as caught:
        parse_amounts(text, kind)
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


def test_amounts_are_read_to_their_ends():
    assert parse_amounts("-4..4:2", "shift") == (-4, -2, 0, 2, 4)
    assert parse_amounts("1..1.8:0.1", "scale")[-1] == 1.8
    assert parse_amounts("None", "rotate") == ()
    assert parse_amounts("3, 1,3", "rotate") == (1, 3)
    assert set(KINDS) == {"shift", "scale", "rotate"}
