"""Maps of occlusion: a plain loop, Captum, and nets whose answer is known in closed form."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from scipy.stats import spearmanr
from torch import nn

import vizcnn
from tests.support.attributing import make_photo, make_plain, run_plainly
from vizcnn.attribution.filling import FILLINGS, check_filling, fill_photo
from vizcnn.attribution.question import ask
from vizcnn.basics.errors import ImageError
from vizcnn.measures.occlusion_maps import (
    Grid,
    OcclusionMaps,
    compare_pictures,
    find_drop,
    measure_occlusion,
    place_grid,
)

PHOTO = make_photo()
SIZE = PHOTO.shape[-1]


def hide(top, left, side, filling):
    image = PHOTO.clone()
    image[..., top : top + side, left : left + side] = filling[
        ..., top : top + side, left : left + side
    ]
    return image


@pytest.mark.parametrize("fill", ["mean", "gray", "blur", "black", "200", "255,0,51"])
def test_maps_are_those_of_a_plain_loop(fill):
    model = make_plain("in place")
    question, value = ask(model, PHOTO, "conv2", unit=3)
    grid = place_grid(SIZE, SIZE, side=5, stride=4)
    maps = measure_occlusion(question, 2, grid, fill)
    filling = fill_photo(model, PHOTO, fill, 5)
    for row, top in enumerate(grid.tops):
        for column, left in enumerate(grid.lefts):
            seen = run_plainly(model, hide(top, left, 5, filling))
            unit = seen["relu2"][0, 3]
            wanted = {
                "total": unit.sum().item(),
                "value": unit[question.position].item(),
                "probability": seen["head"][0].softmax(0)[2].item(),
            }
            for name, right in wanted.items():
                got = getattr(maps, name)[row, column]
                assert got == pytest.approx(right, rel=2e-5, abs=1e-6), name
            assert maps.best[row, column] == seen["head"][0].argmax().item()
    assert maps.whole_value == pytest.approx(value, rel=1e-6)
    again = OcclusionMaps.from_arrays(maps.to_arrays())
    assert np.array_equal(again.total, maps.total)
    assert again.computed == maps.computed == "windows only, in full from flatten on"


@pytest.mark.parametrize("side", [6, 8])
def test_drops_are_captums_where_squares_do_not_overlap(side):
    model, photo = make_plain().to(dtype=torch.float64), PHOTO.double()
    question, _ = ask(model, PHOTO, "fc", unit=2)
    maps = measure_occlusion(question, 2, place_grid(SIZE, SIZE, side, side), "grey")
    forward = lambda pixels: run_plainly(model, pixels)["head"]  # noqa: E731
    with torch.no_grad():
        wanted = Occlusion(forward).attribute(
            photo, (3, side, side), (3, side, side), baselines=0.5, target=2
        )
    drops = maps.whole_value - maps.value
    assert np.allclose(drops, wanted[0, 0, ::side, ::side].numpy(), rtol=0, atol=1e-6)


def make_linear(weight):
    """A net that is one filter as large as the photo, with no preprocessing to speak of."""
    last = nn.Linear(3 * SIZE * SIZE, 2, bias=False)
    last.weight.data = torch.stack([weight.flatten(), -weight.flatten()])
    net = nn.Sequential(nn.Flatten(), last)
    return vizcnn.wrap(net, preprocessing=f"mean=0,std=1,size={SIZE}", input_size=SIZE)


def test_a_linear_net_falls_by_weight_times_what_is_hidden():
    weight = torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    model = make_linear(weight)
    question, _ = ask(model, PHOTO, "1", unit=0)
    grid = place_grid(SIZE, SIZE, side=4, stride=3)
    maps = measure_occlusion(question, 0, grid, "51")
    products = (weight * (PHOTO[0] - 0.2)).sum(0).double().numpy()
    for row, top in enumerate(grid.tops):
        for column, left in enumerate(grid.lefts):
            wanted = products[top : top + 4, left : left + 4].sum()
            got = maps.whole_value - maps.value[row, column]
            assert got == pytest.approx(wanted, rel=1e-4, abs=2e-4)


@pytest.mark.parametrize(("side", "place"), [(3, (11, 7)), (4, (0, 23)), (5, (23, 12))])
def test_a_detector_of_one_pixel_falls_just_where_the_square_hides_it(side, place):
    weight = torch.zeros(3, SIZE, SIZE)
    weight[:, place[0], place[1]] = 1.0
    question, _ = ask(make_linear(weight), PHOTO, "1", unit=0)
    grid = place_grid(SIZE, SIZE, side=side, stride=1)
    drops = measure_occlusion(question, 0, grid, "black")
    fell = drops.whole_value - drops.value != 0
    wanted = np.zeros_like(fell)
    for row in range(max(place[0] - side + 1, 0), min(place[0], SIZE - side) + 1):
        for column in range(max(place[1] - side + 1, 0), min(place[1], SIZE - side) + 1):
            wanted[row, column] = True
    assert np.array_equal(fell, wanted)
    # a centre is half a side from each edge of its square
    centres = [grid.find_centre(row, column) for row, column in np.argwhere(fell)]
    for centre in centres:
        for middle, pixel in zip(centre, place, strict=True):
            assert abs(middle - (pixel + 0.5)) <= side / 2 - 0.5


def test_nothing_falls_where_the_square_does_not_reach_the_receptive_field():
    question, _ = ask(make_plain(), PHOTO, "conv2", unit=3, position=(2, 8))
    grid = place_grid(SIZE, SIZE, side=2, stride=1)
    maps = measure_occlusion(question, 0, grid, "black")
    top, left, bottom, right = question.box
    assert (bottom - top) < SIZE > (right - left)
    changed = maps.value != maps.whole_value
    assert changed.any()
    for row, column in np.argwhere(changed):
        assert top - 2 < row < bottom
        assert left - 2 < column < right


def test_squares_lie_in_the_photo_and_hide_all_of_it():
    for height, width, side, stride in [
        (24, 30, 5, 4),
        (10, 10, 10, 10),
        (9, 7, 2, 2),
        (8, 8, 1, 1),
    ]:
        grid = place_grid(height, width, side, stride)
        hits = np.zeros((height, width), dtype=int)
        for top, left in grid.squares.corners:
            assert top + side <= height
            assert left + side <= width
            hits[top : top + side, left : left + side] += 1
        assert hits.min() > 0
        assert grid.shape == (len(grid.tops), len(grid.lefts))
    assert place_grid(224, 224).side == 28
    assert place_grid(5, 5) == Grid(1, 1, tuple(range(5)), tuple(range(5)))


@pytest.mark.parametrize(
    ("side", "stride", "words"), [(25, 1, "does not fit"), (3, 4, "never hid")]
)
def test_squares_that_make_no_sense_are_refused(side, stride, words):
    with pytest.raises(ImageError, match=words):
        place_grid(24, 24, side, stride)


def test_squares_are_sorted_by_the_field():
    grid, box = place_grid(12, 12, side=3, stride=2), (2, 4, 9, 8)
    inside, reaching, contained = (
        find(box) for find in (grid.find_inside, grid.find_reaching, grid.find_contained)
    )
    for (row, column), found in np.ndenumerate(inside):
        top, left = grid.tops[row], grid.lefts[column]
        pixels = {(r, c) for r in range(top, top + 3) for c in range(left, left + 3)}
        field = {(r, c) for r in range(2, 9) for c in range(4, 8)}
        assert found == ((top + 1, left + 1) in field)  # its middle pixel
        assert reaching[row, column] == bool(pixels & field)
        assert contained[row, column] == (pixels <= field)


def test_a_quantity_that_falls_nowhere_has_no_place():
    grid = place_grid(4, 4, side=2, stride=2)
    drop = find_drop(np.full((2, 2), 5.0), 5.0, grid, (0, 0, 4, 4))
    assert (drop.drop, drop.centre, drop.inside) == (0.0, None, None)


def test_agreement_is_scipys_and_another_units_is_another():
    model = make_plain()
    question, _ = ask(model, PHOTO, "conv2", compare=4)
    grid = place_grid(SIZE, SIZE, side=2, stride=1)
    maps = measure_occlusion(question, 0, grid, "grey")
    found = compare_pictures(question, maps.value, maps.whole_value, grid, ["gradient"])
    assert found.whole_squares
    assert found.other in question.company.tolist()
    assert found.other != int(question.units)
    pixels = PHOTO.clone().requires_grad_()
    top, left, bottom, right = question.box
    seen = run_plainly(model, pixels)["relu2"]
    row, column = question.position
    for unit, score in ((int(question.units), "picture"), (found.other, "other")):
        (gradient,) = torch.autograd.grad(seen[0, unit, row, column], pixels, retain_graph=True)
        magnitudes, sums, drops = gradient[0].abs().sum(0).numpy(), [], []
        for (place, value), (y, x) in zip(
            np.ndenumerate(maps.value), grid.squares.corners, strict=True
        ):
            assert place == (grid.tops.index(y), grid.lefts.index(x))
            if top <= y and y + 2 <= bottom and left <= x and x + 2 <= right:
                sums.append(magnitudes[y : y + 2, x : x + 2].sum())
                drops.append(maps.whole_value - value)
        assert found.squares == len(drops)
        wanted = spearmanr(drops, sums).statistic
        assert getattr(found.methods[0], score) == pytest.approx(wanted, abs=0.02)
    assert found.methods[0].own != found.methods[0].picture


def test_fillings_are_pixel_values_not_the_nets():
    model = make_plain()  # whose mean and standard deviation are not 0 and 1
    shades = {"black": 0.0, "gray": 0.5, "white": 1.0, "51": 0.2, "127.5": 0.5}
    for word, shade in shades.items():
        filled = fill_photo(model, PHOTO, word, 4)
        assert filled.shape == PHOTO.shape
        assert torch.allclose(filled, torch.full_like(PHOTO, shade))
    colours = fill_photo(model, PHOTO, "255, 0,51", 4)[0, :, 0, 0]
    assert colours.tolist() == pytest.approx([1.0, 0.0, 0.2])
    mean = model.preprocessing.normalise(fill_photo(model, PHOTO, "mean", 4))
    assert mean.abs().max() < 1e-5
    blurred = fill_photo(model, PHOTO, "blur", 8)
    assert blurred.std() < PHOTO.std() / 2
    assert blurred.mean().item() == pytest.approx(PHOTO.mean().item(), abs=0.02)
    assert set(FILLINGS) >= {"mean", "grey", "blur", "black"}


@pytest.mark.parametrize("text", ["", "256", "-1", "1,2", "1,2,3,4", "nan", "red", "1e3", "0x1"])
def test_fillings_that_are_none_are_refused(text):
    with pytest.raises(ImageError, match="needed: mean, grey"):
        check_filling(text)
