"""Grey squares: against torch alone, one photo and one pass at a time."""

import numpy as np
import pytest
import torch

from tests.support.attributing import make_photo, make_plain, run_plainly
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.explorer.explored import ExploredNet, explore_file
from vizcnn.explorer.explorer import Explorer
from vizcnn.explorer.hiding import CLASSES, LEVELS, Spots, find_side, hide_grid, hide_square

PHOTO = make_photo()
SPOTS = {
    "conv1": Spots(torch.tensor([0, 4]), torch.tensor([[3, 20], [11, 11]])),
    "conv2": Spots(torch.tensor([7, 2, 5]), torch.tensor([[0, 0], [5, 6], [11, 3]])),
    "fc": Spots(torch.tensor([1]), torch.tensor([[0, 0]])),
}
STEPS = {"conv1": "relu1", "conv2": "relu2", "fc": "head"}


def hide_plainly(model, square=None):
    """Read units and probabilities with one square grey: the net written out, no hooks."""
    photo = PHOTO.clone()
    if square is not None:
        top, left, side = square
        photo[:, :, top : top + side, left : left + side] = 0.5
    with torch.no_grad():
        steps = run_plainly(model, photo)
    values: dict[str, list[float]] = {}
    for layer, spots in SPOTS.items():
        maps = steps[STEPS[layer]][0]
        for unit, (row, column) in zip(spots.units.tolist(), spots.places.tolist(), strict=True):
            value = maps[unit] if maps.ndim == 1 else maps[unit, row, column]
            values.setdefault(layer, []).append(float(value))
    return values, steps["head"][0].softmax(0)


@pytest.mark.parametrize("way", ["module", "in place"])
@pytest.mark.parametrize("square", [(0, 0, 5), (9, 7, 8), (21, 21, 3), (0, 0, 24)])
def test_one_square_is_torchs_alone(way, square):
    model = make_plain(way)
    fields = hide_square(model, PHOTO, square, SPOTS, [3, 0]).fields
    before, probabilities = hide_plainly(model)
    after, hidden = hide_plainly(model, square)
    for layer, spots in SPOTS.items():
        units = [one for one in fields["units"] if one["layer"] == layer]
        assert [one["unit"] for one in units] == spots.units.tolist()
        assert [one["whole"] for one in units] == pytest.approx(before[layer], rel=1e-5)
        assert [one["value"] for one in units] == pytest.approx(after[layer], rel=1e-5, abs=1e-6)
    assert [one["number"] for one in fields["classes"]] == [3, 0]
    assert [one["name"] for one in fields["classes"]] == ["d", "a"]
    assert [one["whole"] for one in fields["classes"]] == pytest.approx(
        probabilities[[3, 0]].tolist(), rel=1e-5
    )
    assert [one["probability"] for one in fields["classes"]] == pytest.approx(
        hidden[[3, 0]].tolist(), rel=1e-5
    )
    assert fields["best"]["number"] == hidden.argmax()
    assert fields["best"]["probability"] == pytest.approx(hidden.max().item(), rel=1e-5)
    assert fields["square"] == list(square) and "grey" in fields["filling"]


def read_array(answer, place, kind):
    start, length = place
    return np.frombuffer(answer.content[start : start + length], np.dtype(kind))


def test_a_grid_is_torchs_alone_square_by_square():
    model = make_plain()
    answer = hide_grid(model, PHOTO, SPOTS)
    fields = answer.fields
    side, tops, lefts = fields["side"], fields["tops"], fields["lefts"]
    assert side == find_side(24, 24) == 3
    hits = torch.zeros(24)
    for top in tops:
        hits[top : top + side] += 1
    assert hits.min() > 0 and tops == lefts and tops[-1] == 24 - side
    corners = [(top, left) for top in tops for left in lefts]
    numbers = [one["number"] for one in fields["classes"]]
    probabilities = read_array(answer, fields["probabilities"], "<f4").reshape(len(corners), -1)
    best = read_array(answer, fields["best"], "<u2")
    before, whole = hide_plainly(model)
    assert numbers == whole.argsort(descending=True).tolist()[:CLASSES]
    assert [one["whole"] for one in fields["classes"]] == pytest.approx(
        whole[numbers].tolist(), rel=1e-5
    )
    readings = [hide_plainly(model, (*corner, side)) for corner in corners]
    wanted = torch.stack([hidden for _, hidden in readings])
    assert probabilities == pytest.approx(wanted[:, numbers].numpy(), rel=1e-4)
    assert best.tolist() == wanted.argmax(1).tolist()
    assert set(fields["names"]) == {str(number) for number in best.tolist()}
    assert [one["layer"] for one in fields["layers"]] == list(SPOTS)
    for layer in fields["layers"]:
        name, spots = layer["layer"], SPOTS[layer["layer"]]
        assert read_array(answer, layer["units"], "<u2").tolist() == spots.units.tolist()
        assert (
            read_array(answer, layer["places"], "<u2").tolist() == spots.places.flatten().tolist()
        )
        values = np.array([after[name] for after, _ in readings]).T
        start = read_array(answer, layer["whole"], "<f4")[:, None]
        reach = read_array(answer, layer["reach"], "<f4")[:, None]
        assert start[:, 0] == pytest.approx(before[name], rel=1e-5)
        assert reach[:, 0] == pytest.approx(abs(values - start).max(1), rel=1e-4)
        changes = read_array(answer, layer["changes"], "i1").reshape(values.shape)
        assert abs(changes).max(1).tolist() == (LEVELS * (reach[:, 0] > 0)).tolist()
        error = abs(start + changes / LEVELS * reach - values)
        assert (error <= reach / (2 * LEVELS) * 1.01).all()


def test_what_a_unit_does_not_see_changes_nothing_at_all():
    model = make_plain()
    answer = hide_grid(model, PHOTO, SPOTS)
    (layer,) = [one for one in answer.fields["layers"] if one["layer"] == "conv1"]
    tops, side = answer.fields["tops"], answer.fields["side"]
    changes = read_array(answer, layer["changes"], "i1").reshape(2, len(tops), len(tops))
    # a filter of 3 x 3 around row 3, column 20
    seen = [
        [top < 5 and top + side > 2 and left < 22 and left + side > 19 for left in tops]
        for top in tops
    ]
    assert not changes[0][~np.array(seen)].any()
    assert changes[0][np.array(seen)].any()


def test_a_net_without_classes_has_units_all_the_same():
    model = make_plain()
    model.module.head = torch.nn.Unflatten(1, (8, 6, 6))
    spots = {name: SPOTS[name] for name in ("conv1", "conv2")}
    fields = hide_square(model, PHOTO, (0, 0, 24), spots).fields
    assert fields["classes"] == [] and fields["best"] is None
    assert [one["value"] for one in fields["units"]] != [one["whole"] for one in fields["units"]]
    grid = hide_grid(model, PHOTO, spots).fields
    assert grid["classes"] == [] and grid["names"] == {} and grid["probabilities"][1] == 0


@pytest.mark.parametrize("square", [(-1, 0, 3), (0, 22, 3), (0, 0, 25), (0, 0, 0)])
def test_a_square_beside_the_photo_is_refused(square):
    with pytest.raises(ImageError, match="does not lie in a photo of 24 x 24 px"):
        hide_square(make_plain(), PHOTO, square, SPOTS)


@pytest.mark.parametrize(
    ("spots", "classes", "words"),
    [
        ({"conv2": Spots(torch.tensor([8]), torch.zeros(1, 2).long())}, [], "does not exist"),
        ({"conv2": Spots(torch.tensor([0]), torch.tensor([[12, 0]]))}, [], "does not exist"),
        ({"conv2": Spots(torch.tensor([-1]), torch.zeros(1, 2).long())}, [], "does not exist"),
        ({"conv9": SPOTS["conv2"]}, [], "conv9"),
        (SPOTS, [5], "class 5 does not exist; the net has 0..4"),
    ],
)
def test_what_does_not_exist_is_refused(spots, classes, words):
    model = make_plain()
    with pytest.raises(LayerError, match=words):
        hide_square(model, PHOTO, (0, 0, 3), spots, classes)
    assert not any(part._forward_hooks for part in model.module.modules())


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    photo = paint_photo(tmp_path_factory.mktemp("photos") / "a.png")
    net = ExploredNet("tiny", make_model(), ("conv1", "conv5", "fc7"))
    return Explorer([net], [explore_file(photo)])


@pytest.fixture(scope="module")
def plain_maps(explorer):
    """By photo, hidden or not, what the layers put out, by hooks of torch alone."""
    model = explorer.nets[0].net
    modules = dict(model.module.named_modules())

    def run(square=None):
        pixels = model.read(explorer.photos[0].read())
        if square is not None:
            top, left, side = square
            pixels[:, :, top : top + side, left : left + side] = 0.5
        found: dict[str, torch.Tensor] = {}
        hooks = [
            modules[model.layers[name]].register_forward_hook(
                lambda _, __, output, name=name: found.update({name: output[0].clone()})
            )
            for name in explorer.nets[0].layers
        ]
        found["probabilities"] = model.logits(pixels)[0].softmax(0)
        for hook in hooks:
            hook.remove()
        return found

    return run


HIDE = {"ask": "hide", "net": 0, "photo": 0, "square": [4, 9, 12]}


def test_units_are_watched_at_their_strongest_place_or_where_it_is_asked_for(explorer, plain_maps):
    watch = [
        {"layer": 1, "unit": 4, "place": None},
        {"layer": 0, "unit": 3, "place": [30, 2]},
        {"layer": 1, "unit": 0, "place": [8, 8]},
        {"layer": 2, "unit": 1, "place": None},
    ]
    fields = explorer.answer({**HIDE, "watch": watch}).fields
    before, after = plain_maps(), plain_maps(HIDE["square"])
    row, column = divmod(int(before["conv5"][4].argmax()), 16)
    wanted = [("conv5", 4, (row, column)), ("conv5", 0, (8, 8)), ("conv1", 3, (30, 2))]
    assert [(one["layer"], one["unit"]) for one in fields["units"]] == [
        *[(layer, unit) for layer, unit, _ in wanted],
        ("fc7", 1),
    ]
    whole = [float(before[layer][(unit, *place)]) for layer, unit, place in wanted]
    value = [float(after[layer][(unit, *place)]) for layer, unit, place in wanted]
    assert [one["whole"] for one in fields["units"]] == pytest.approx(
        [*whole, float(before["fc7"][1])], rel=1e-5
    )
    assert [one["value"] for one in fields["units"]] == pytest.approx(
        [*value, float(after["fc7"][1])], rel=1e-5
    )
    numbers = [one["number"] for one in fields["classes"]]
    assert numbers == before["probabilities"].argsort(descending=True).tolist()
    assert [one["probability"] for one in fields["classes"]] == pytest.approx(
        after["probabilities"][numbers].tolist(), rel=1e-5
    )


def test_ahead_every_unit_is_watched_at_its_first_maximum(explorer, plain_maps):
    answer = explorer.answer({"ask": "hidden", "net": 0, "photo": 0})
    before = plain_maps()
    assert [one["layer"] for one in answer.fields["layers"]] == ["conv1", "conv5", "fc7"]
    for layer in answer.fields["layers"]:
        maps = before[layer["layer"]]
        flat = maps.flatten(1) if maps.ndim == 3 else maps[:, None]
        width = maps.shape[2] if maps.ndim == 3 else 1
        places = [divmod(at, width) for at in flat.argmax(1).tolist()]
        assert read_array(answer, layer["units"], "<u2").tolist() == list(range(len(maps)))
        found = read_array(answer, layer["places"], "<u2").reshape(-1, 2)
        assert found.tolist() == [list(place) for place in places]
        whole = read_array(answer, layer["whole"], "<f4")
        assert whole == pytest.approx(flat.amax(1).tolist(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"square": [0, 0]}, "as square; needed: row, column and side"),
        ({"square": None}, "as square; needed: row, column and side"),
        ({"square": [30, 30, 8]}, "does not lie in a photo of 32 x 32 px"),
        ({"classes": [4]}, "class 4 does not exist; the net has 0..3"),
        ({"classes": ["a"]}, "as classes; needed: numbers of classes"),
        ({"watch": [{"layer": 3, "unit": 0}]}, "as layer; needed: a number 0..2"),
        ({"watch": [{"layer": 1, "unit": 10}]}, "as unit; needed: a number 0..9"),
        ({"watch": [{"layer": 1, "unit": 1, "place": [16, 0]}]}, "16"),
        ({"watch": [{"layer": 1, "unit": 1, "place": 3}]}, "as place; needed: row and column"),
        ({"watch": [3]}, "as layer; needed: a number 0..2"),
        ({"watch": [{"layer": 1, "unit": 1}] * 65}, "a list of 64 units at most"),
    ],
)
def test_what_a_page_asks_wrongly_is_told_in_a_line(explorer, changes, words):
    (line,) = explorer.answer({**HIDE, **changes}).fields.values()
    assert words in line and "\n" not in line


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_tiles_of_a_camera_are_the_maps(explorer, layer):
    about = {"net": 0, "photo": 0, "layer": layer}
    tiles = explorer.answer({"ask": "tiles", **about})
    maps = explorer.answer({"ask": "maps", **about})
    assert tiles.content == maps.content[: len(tiles.content)]
    assert tiles.fields.items() <= maps.fields.items()


def test_units_are_watched_in_the_net_and_the_photo_that_the_question_is_about(explorer):
    question = {"ask": "hide", "net": 0, "photo": 0, "square": [4, 4, 8]}
    plain = explorer.ask({**question, "watch": [{"layer": 1, "unit": 2}]})
    odd = {"layer": 1, "unit": 2, "net": 1, "photo": 7, "square": [0, 0, 1]}
    assert explorer.ask({**question, "watch": [odd]}) == plain
