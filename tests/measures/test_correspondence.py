"""Scores of parts, against a loop of plain numpy, and labels that mean nothing."""

import numpy as np
import pytest
import torch

import vizcnn
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.basics.errors import DataError
from vizcnn.measures.correspondence import (
    ROUNDING,
    measure_hamming,
    measure_signs,
    place_parts,
    score_part,
)
from vizcnn.photos.part_boxes import MarkedPhoto, read_parts

PARTS = {"eye": (4, 8, 12, 16), "nose": (20, 20, 32, 30)}


@pytest.fixture
def photos(tmp_path):
    paths = [paint_photo(tmp_path / f"{seed}.png", seed) for seed in range(4)]
    return [MarkedPhoto(path, PARTS) for path in paths]


def run_by_hand(model, pixels):
    """conv5 and fc6 of the tiny net as vectors, without anything of ours."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    with torch.no_grad():
        x = (pixels - mean) / std
        found = {}
        for number, layer in enumerate(model.module):
            x = layer(x)
            if number in (10, 13):
                found["conv5" if number == 10 else "fc6"] = x.flatten(1).numpy()[0]
    return found


def test_scores_are_those_of_a_loop_of_numpy(photos):
    """The paper's formula, written down: sum over i != j of H(sign e_i, sign e_j)."""
    model, colour = make_model(), np.array([0.5, 0.4, 0.3], dtype=np.float32).reshape(3, 1, 1)
    draw = np.random.default_rng(0)
    hidden = [place_parts(model, photo, 3, draw) for photo in photos]
    signs = [measure_signs(model, one, ["conv5", "fc6"]) for one in hidden]
    for layer in ("conv5", "fc6"):
        for place, part in enumerate(PARTS):
            changes = []
            for one in hidden:
                top, left, bottom, right = one.parts[part]
                image = one.pixels.clone().numpy()
                image[0, :, top:bottom, left:right] = colour
                whole = run_by_hand(model, one.pixels)[layer]
                change = whole - run_by_hand(model, torch.from_numpy(image))[layer]
                changes.append(
                    np.sign(np.where(abs(change) > ROUNDING * abs(whole).max(), change, 0))
                )
            delta = 0.0
            for i in range(4):
                for j in range(4):
                    if i != j:
                        delta += (changes[i] != changes[j]).mean()
            score = score_part([one[layer][place] for one in signs], layer, part, 99, draw)
            assert score.mean * 4 * 3 == pytest.approx(delta, abs=1e-4)
            assert score.zeros == pytest.approx(np.mean([c == 0 for c in changes]), abs=1e-4)
            pairs = [(changes[i] != changes[j]).mean() for i in range(4) for j in range(i)]
            assert score.deviation == pytest.approx(np.std(pairs), abs=1e-4)
            assert 0 < score.mean < 1 and len(score.draws) == 3


def test_random_labels_have_random_scores_and_uniform_p():
    """The part's box is one more random square: p is uniform on its steps."""
    found = []
    for trial in range(200):
        draw = np.random.default_rng([7, trial])
        signs = [draw.integers(-1, 2, (8, 60)).astype(np.int8) for _ in range(4)]
        score = score_part(signs, "conv5", "eye", 199, draw)
        found.append(score.p)
        assert score.mean == pytest.approx(2 / 3, abs=0.15)
        assert score.squares == pytest.approx(2 / 3, abs=0.1)
        assert score.chance == pytest.approx(2 / 3, abs=0.05)
    ordered = np.sort(found)
    # Kolmogorov-Smirnov: 1.63 / sqrt(200) is the 1 % bound
    steps = np.arange(1, 201) / 200
    assert np.abs(ordered - steps).max() < 1.63 / np.sqrt(200) + 1 / 200
    assert 0.4 < np.mean(found) < 0.6


def test_parts_that_change_the_same_features_are_found():
    draw = np.random.default_rng(0)
    pattern = draw.integers(-1, 2, 400)
    signs = []
    for _ in range(5):
        several = draw.integers(-1, 2, (10, 400))
        several[0] = np.where(draw.random(400) < 0.6, pattern, several[0])
        signs.append(several.astype(np.int8))
    score = score_part(signs, "conv5", "nose", 999, draw)
    assert score.p == 0.001 and score.mean < score.squares - 0.1
    signs[0][0], signs[1][0] = pattern, -pattern  # the same features, the other way
    opposite = score_part(signs[:2], "conv5", "nose", 999, draw)
    assert opposite.p > 0.5 and opposite.mean == pytest.approx((pattern != 0).mean())


def test_the_distance_of_signs_is_the_share_that_differs():
    draw = np.random.default_rng(1)
    one, other = (draw.integers(-1, 2, (count, 37)).astype(np.int8) for count in (3, 5))
    expected = (one[:, None] != other[None]).mean(axis=2)
    assert np.allclose(measure_hamming(one, other), expected)


def test_squares_have_the_parts_area_and_lie_on_the_object(photos):
    model = make_model()
    marked = MarkedPhoto(photos[0].path, PARTS, object=(2, 4, 38, 44))
    hidden = place_parts(model, marked, 40, np.random.default_rng(0))
    again = place_parts(model, marked, 40, np.random.default_rng(0))
    assert hidden.squares == again.squares
    ground = marked.find_object(model.preprocessing.frame(marked.read()))
    for name, (top, left, bottom, right) in hidden.parts.items():
        area = (bottom - top) * (right - left)
        for row, column, last, end in hidden.squares[name]:
            assert last - row == end - column == round(area**0.5)
            assert ground[0] <= row and ground[1] <= column
            assert last <= ground[2] and end <= ground[3]
        assert len(set(hidden.squares[name])) > 20
    with pytest.raises(DataError, match="covers more than a square on the object can"):
        place_parts(
            model,
            MarkedPhoto(photos[0].path, PARTS, object=(4, 8, 9, 13)),
            2,
            np.random.default_rng(0),
        )


def test_what_is_out_of_sight_of_a_layer_does_not_change():
    """conv1 sees little: hiding a part leaves all but the units around it unchanged, exactly."""
    model = vizcnn.load("lenet", weights="bundled")
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    (photo, *_) = read_parts()
    hidden = place_parts(model, photo, 2, np.random.default_rng(0))
    signs = measure_signs(model, hidden, ["conv1"])["conv1"].reshape(3, 3, 6, 28, 28)
    for place, (top, left, bottom, right) in enumerate(hidden.parts.values()):
        changed = signs[place, 0].any(axis=0)
        near = np.zeros((28, 28), dtype=bool)
        near[max(top - 4, 0) : bottom, max(left - 4, 0) : right] = True  # fields of 5 pixels
        assert changed.any() and not changed[~near].any()
    assert all(torch.equal(before[n], v) for n, v in model.module.state_dict().items())
