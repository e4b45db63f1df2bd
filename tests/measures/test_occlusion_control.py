"""The occlusion control against a brute loop and a linear layer, whose drops are known."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.check_nets import draw_pixels, make_convolution
from tests.support.small_zoo import make_model
from vizcnn.attribution.hidden_passes import Squares
from vizcnn.attribution.occlusion import drop_rounding, measure_drops, sum_squares
from vizcnn.measures.method_pictures import CHECKED_METHODS
from vizcnn.measures.occlusion_control import foretell, place_squares, study_control

MODEL = make_model()
PIXELS = draw_pixels(2, MODEL.input_size)


@pytest.mark.parametrize("box", [(0, 0, 128, 128), (31, 0, 128, 128), (3, 4, 10, 11), (0, 0, 1, 1)])
def test_squares_lie_in_the_box_and_overlap_by_half(box):
    squares = place_squares(box)
    corners = np.array(squares.corners)
    assert (corners >= box[:2]).all() and (corners + squares.side <= box[2:]).all()
    assert corners[0].tolist() == list(box[:2])
    longer = max(box[2] - box[0], box[3] - box[1])
    assert squares.side == max(round(longer / 8), 1)
    steps = np.diff(np.unique(corners[:, 1]))
    assert (steps == max(squares.side // 2, 1)).all()


def test_what_rounding_makes_of_a_square_that_changes_nothing_is_no_drop():
    """A net on a photo that is grey already: no drop, and so no rank to agree with."""
    grey = torch.full((1, 3, MODEL.input_size, MODEL.input_size), 0.5)
    squares = place_squares((0, 0, MODEL.input_size, MODEL.input_size))
    units = torch.tensor([4])
    assert not measure_drops(MODEL, grey, "conv3", units, (7, 8), squares, "grey").any()
    slightly = drop_rounding(torch.tensor([1e-7, -2e-6, 1e-3]), torch.tensor(1.0))
    assert slightly.tolist() == pytest.approx([0, 0, 1e-3])


def test_sums_are_those_of_the_pixels():
    values = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    squares = Squares(3, ((0, 0), (2, 5), (6, 6)))
    expected = [values[top : top + 3, left : left + 3].sum() for top, left in squares.corners]
    assert sum_squares(values, squares) == pytest.approx(expected, abs=1e-5)


def test_drops_are_those_of_a_plain_loop():
    squares = Squares(5, tuple((row, column) for row in (0, 9, 20) for column in range(0, 27, 2)))
    drops = measure_drops(
        MODEL, PIXELS[:1], "conv3", torch.tensor([4, 9]), (7, 8), squares, "grey"
    ).numpy()
    assert isinstance(MODEL.module, nn.Sequential)
    below = MODEL.module[:7]

    def run(photo):
        with torch.no_grad():
            return below(MODEL.preprocessing.normalise(photo[None]))[0, [4, 9], 7, 8].numpy()

    expected = []
    for top, left in squares.corners:
        hidden = PIXELS[0].clone()
        hidden[:, top : top + 5, left : left + 5] = 0.5
        expected.append(run(PIXELS[0]) - run(hidden))
    assert drops == pytest.approx(np.stack(expected, axis=1), abs=1e-6)
    assert (np.abs(drops).max(axis=1) > 0).all() and drops.shape == (2, 42)


def test_a_linear_unit_falls_as_its_gradient_times_input_says():
    model, pixels = make_convolution(), draw_pixels(4)
    found = study_control(model, pixels, "conv1", CHECKED_METHODS, seed=1)
    assert found.own["gradient-x-input"] == pytest.approx(np.ones(4), abs=1e-6)
    shown = found.shown
    assert shown is not None
    own = foretell(shown.pictures["gradient-x-input"], "gradient-x-input")[0]
    assert sum_squares(own, shown.squares) == pytest.approx(shown.drops, abs=1e-5)
    assert np.nanmax(found.other["gradient-x-input"]) < 0.99
    # of one convolution all methods give the filter: they differ by no more than a factor
    for method in ("guided", "deconvnet"):
        assert found.own[method] == pytest.approx(found.own["gradient"], abs=1e-9)


def draw_control(seed):
    shown = study_control(MODEL, PIXELS[:1], "conv2", ["gradient"], seed).shown
    assert shown is not None
    return shown


def test_the_other_unit_is_active_and_drawn_by_the_seed():
    assert len({draw_control(seed).other for seed in range(4)}) > 1
    shown = draw_control(0)
    assert isinstance(MODEL.module, nn.Sequential)
    maps = MODEL.module[:5](MODEL.preprocessing.normalise(PIXELS[:1])).detach()[0]
    row, column = np.unravel_index(int(maps[shown.unit].argmax()), maps.shape[1:])
    assert maps[shown.unit].max() == maps.max()
    assert shown.other != shown.unit and maps[shown.other, row, column] > 0
