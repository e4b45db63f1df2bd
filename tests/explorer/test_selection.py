"""What is chosen on the explorer's page exists, and changes as a whole or not at all."""

import numpy as np
import pytest
import torch

from vizcnn.basics.errors import LayerError, VizcnnError
from vizcnn.explorer.selection import Selection


def make_layer(name: str, units: int, *size: int) -> dict:
    return {"name": name, "units": units, "size": list(size)}


METHODS = [{"key": "deconvnet"}, {"key": "deconvnet-own"}]
START = {
    "nets": [
        {
            "key": "first",
            "methods": METHODS,
            "layers": [make_layer("a", 4, 6, 5), make_layer("b", 9, 3, 3), make_layer("c", 2)],
        },
        {
            "key": "second",
            "methods": METHODS[:1],
            "layers": [make_layer("b", 3, 3, 3), make_layer("d", 5)],
        },
    ],
    "photos": [
        {"key": "photo1", "name": "cat"},
        {"key": "photo2", "name": "dog"},
        {"key": "photo3", "name": "dog"},
    ],
}
BEGUN = Selection.begin(START)


def test_it_begins_at_the_last_layer_of_maps():
    assert Selection("first", "photo1", "b", 0, None, "deconvnet") == BEGUN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"unit": 8, "place": (2, 1)}, ("first", "photo1", "b", 8, (2, 1))),
        ({"layer": "a", "unit": 3, "place": [5, 4]}, ("first", "photo1", "a", 3, (5, 4))),
        ({"layer": "a", "unit": 3}, ("first", "photo1", "a", 3, None)),
        ({"layer": "c"}, ("first", "photo1", "c", 0, None)),
        ({"net": "second"}, ("second", "photo1", "b", 0, None)),
        ({"net": "second", "layer": "d", "unit": 4}, ("second", "photo1", "d", 4, None)),
        ({"photo": "photo3"}, ("first", "photo3", "b", 7, (1, 2))),
        ({"photo": "cat"}, ("first", "photo1", "b", 7, (1, 2))),
        ({"unit": torch.tensor(3)}, ("first", "photo1", "b", 3, (1, 2))),
        ({"unit": np.int64(3), "place": np.array([0, 2])}, ("first", "photo1", "b", 3, (0, 2))),
        ({"place": torch.tensor([0, 2])}, ("first", "photo1", "b", 7, (0, 2))),
        ({"place": None}, ("first", "photo1", "b", 7, None)),
    ],
)
def test_what_is_asked_for_is_chosen_and_the_rest_stays_where_it_exists(changes, expected):
    former = BEGUN.change(START, {"unit": 7, "place": (1, 2)})
    chosen = former.change(START, changes)
    assert (chosen.net, chosen.photo, chosen.layer, chosen.unit, chosen.place) == expected
    assert type(chosen.unit) is int


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"net": "third"}, "no net 'third'"),
        ({"layer": "d"}, "no layer 'd' in the explorer: there are: a, b, c"),
        ({"layer": 1}, "no layer 1"),
        ({"layer": np.array(["a", "b"])}, "no layer array("),
        ({"photo": "photo4"}, "did you mean 'photo3'"),
        ({"photo": "dog"}, "photo2 and photo3 are all called 'dog'"),
        ({"method": "guided"}, "no method 'guided'"),
        ({"unit": 9}, "no unit 9 in b: it has 0..8"),
        ({"unit": -1}, "no unit -1"),
        ({"unit": True}, "no unit True"),
        ({"unit": 1.0}, "no unit 1.0"),
        ({"layer": "c", "unit": 7}, "no unit 7 in c: it has 0..1"),
        ({"place": (3, 0)}, "no place (3, 0) in b: it has (0..2, 0..2)"),
        ({"place": (-1, 0)}, "no place (-1, 0)"),
        ({"place": (1, 1, 1)}, "no place (1, 1, 1)"),
        ({"place": torch.empty(2, device="meta")}, "no place tensor("),
        ({"place": "max"}, "or None for where the unit is strongest"),
        ({"layer": "c", "place": (0, 0)}, "no place (0, 0) in c: it has none"),
        ({"units": 3}, "nothing of the explorer is called 'units'"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(changes, told):
    with pytest.raises(VizcnnError) as refused:
        BEGUN.change(START, changes)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_method_that_another_net_lacks_becomes_the_first():
    own = BEGUN.change(START, {"method": "deconvnet-own"})
    assert own.method == "deconvnet-own"
    assert own.change(START, {"net": "second"}).method == "deconvnet"


def test_units_and_places_are_refused_as_those_of_layers_are():
    for changes in ({"unit": 99}, {"place": (9, 9)}):
        with pytest.raises(LayerError):
            BEGUN.change(START, changes)
