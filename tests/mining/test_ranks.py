"""Other ranks than the strongest, and ranges, against sorted maps of all photos."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mining_runs import NoisePhotos, compute_maps, mine_bytes
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError, ModelError
from vizcnn.mining.index import read_index
from vizcnn.mining.lots import LOT
from vizcnn.mining.maxima import name_maxima
from vizcnn.mining.merging import merge_files
from vizcnn.mining.passes import AlignRows
from vizcnn.mining.photo_sets import PartOfPhotos
from vizcnn.mining.ranking import merge_indexes
from vizcnn.mining.ranks import PERCENTILES
from vizcnn.mining.relevance import list_true_classes, watch_relevance
from vizcnn.mining.run import MiningRun, MiningSettings, mine
from vizcnn.mining.search import search_layers

LAYERS = ("conv1", "conv5", "fc6", "fc7")
FOLDERS = ("dog", "somewhere", "cat <&>", "$x$ and $y$")
COUNT = 75
LOOKS: dict[str, int | None] = {
    f"{FOLDERS[number % 4]}/{number:03d}": number % 60 for number in range(COUNT)
}
"""Ties, as of 75 photos 15 are like others; a quarter has no class."""
LOOKS |= {"dog/000": None, "cat <&>/042": None}
MODEL = make_model()
NET: Any = MODEL.module
PHOTOS = NoisePhotos(LOOKS)
NAMES = PHOTOS.names
USED = [number for number, name in enumerate(NAMES) if LOOKS[name] is not None]
KINDS = {
    "relevance": MiningSettings(LAYERS, 5, 2, workers=0, rank="relevance"),
    "lowest": MiningSettings(LAYERS, 5, workers=0, rank="lowest"),
    "random": MiningSettings(LAYERS, 5, workers=0, rank="random", seed=3),
    "median": MiningSettings(LAYERS, 4, workers=0, rank="median"),
    "ranges": MiningSettings(LAYERS, 5, 2, workers=0, ranges=True),
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    """An unbroken run of each kind: the file, and its index."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        kind: (folder / kind, mine(MODEL, PHOTOS, folder / kind, wanted))
        for kind, wanted in KINDS.items()
    }


@pytest.fixture(scope="module")
def peaks():
    """By layer the maxima of all photos that can be read, (photos, units), and their places."""
    found = {}
    for layer in LAYERS:
        maps = compute_maps(MODEL, PHOTOS, layer)
        stack = np.stack([maps[number].numpy() for number in USED])
        flat = stack.reshape(*stack.shape[:2], -1)
        width = stack.shape[-1] if stack.ndim == 4 else 0
        best = flat.argmax(axis=2)
        where = np.stack([best // width, best % width] if width else [best - 1, best - 1], axis=2)
        found[layer] = (flat.max(axis=2), where)
    return found


def check_places(layer, peaks, unit, rows):
    """The places of a unit are those of some photos, in their order."""
    maxima, where = peaks
    assert layer.photos[unit].tolist() == [USED[row] for row in rows]
    assert layer.activations[unit].tolist() == [maxima[row, unit] for row in rows]
    assert layer.positions[unit].tolist() == [where[row, unit].tolist() for row in rows]


def test_the_lowest_are_those_of_a_stable_sort(indexes, peaks):
    for name, layer in indexes["lowest"][1].layers.items():
        for unit in range(layer.units):
            rows = np.argsort(peaks[name][0][:, unit], kind="stable")[:5]
            check_places(layer, peaks[name], unit, rows)
            assert torch.equal(layer.values[unit], -layer.activations[unit] + 0.0)


def test_the_median_comes_first_and_its_neighbours_next(indexes, peaks):
    middle = len(USED) // 2
    for name, layer in indexes["median"][1].layers.items():
        for unit in range(layer.units):
            maxima = peaks[name][0][:, unit]
            order = np.argsort(-maxima, kind="stable")
            check_places(
                layer, peaks[name], unit, order[[middle, middle - 1, middle + 1, middle - 2]]
            )
            # 73 photos: the middle one
            assert layer.activations[unit, 0] == np.median(maxima)


def test_random_photos_are_drawn_evenly_and_by_the_seed(indexes, peaks, tmp_path):
    drawn = []
    for name, layer in indexes["random"][1].layers.items():
        for unit in range(layer.units):
            rows = [USED.index(photo) for photo in layer.photos[unit].tolist()]
            assert len(set(rows)) == 5
            check_places(layer, peaks[name], unit, rows)
            drawn += rows
    counts = np.bincount(drawn, minlength=len(USED))
    # 185 draws of 73 photos: 2.5 each, chi-square with 72 degrees of freedom, p < 1e-4 above 122
    mean = len(drawn) / len(USED)
    assert ((counts - mean) ** 2 / mean).sum() < 122
    other = mine(MODEL, PHOTOS, tmp_path / "other", replace(KINDS["random"], seed=4))
    here = indexes["random"][1].layers["conv1"]
    assert not torch.equal(other.layers["conv1"].photos, here.photos)


def test_ranges_are_numpys_percentiles(indexes, peaks):
    index = indexes["ranges"][1]
    for name, found in index.ranges.items():
        maxima, where = peaks[name]
        wanted = np.percentile(maxima, PERCENTILES, axis=0, method="inverted_cdf").T
        assert np.array_equal(found.values.numpy(), wanted)
        assert np.array_equal(found.silent.numpy(), (maxima <= 0).sum(axis=0))
        rows = np.searchsorted(USED, found.photos.numpy())
        units = np.arange(len(rows))[:, None]
        assert np.array_equal(maxima[rows, units], wanted)
        assert np.array_equal(found.positions.numpy(), where[rows, units])
        first = index.layers[name]
        assert found.photos[:, -1].tolist() == first.photos[:, 0].tolist()


def test_ranges_leave_the_rank_as_it_is(indexes, tmp_path):
    plain = mine(MODEL, PHOTOS, tmp_path / "plain", replace(KINDS["ranges"], ranges=False))
    for name, layer in plain.layers.items():
        kept = indexes["ranges"][1].layers[name]
        assert torch.equal(layer.values, kept.values)
        assert torch.equal(layer.photos, kept.photos)
        assert torch.equal(layer.positions, kept.positions)


def compute_relevances(layer):
    """By photo that has a class: the maps times their gradients, each photo alone."""
    split = int(MODEL.layers[layer]) + 1
    found = {}
    for number in USED:
        folder = NAMES[number].split("/")[0]
        if folder not in MODEL.classes:
            continue
        inputs = MODEL.preprocessing.normalise(PHOTOS.read(number)[None] / 255)
        with torch.no_grad():
            start = NET[:split](inputs)
        maps = start.clone().requires_grad_()
        NET[split:](maps.clone())[0, MODEL.classes.index(folder)].backward()
        found[number] = (maps.detach() * maps.grad)[0]
    return found


def test_relevance_is_activation_times_the_gradient_of_the_true_class(indexes):
    index = indexes["relevance"][1]
    assert index.unclassed == sum(NAMES[number].startswith("somewhere") for number in USED) > 9
    for name, layer in index.layers.items():
        wanted = compute_relevances(name)
        for unit in range(layer.units):
            best = []
            for maps in wanted.values():
                best += maps[unit].flatten().sort(descending=True).values[:2].tolist()
            best = sorted(best, reverse=True)[:5]
            assert layer.values[unit].tolist() == pytest.approx(best, rel=1e-4, abs=1e-6)
            for slot in range(5):
                row, column = layer.positions[unit, slot].tolist()
                maps = wanted[int(layer.photos[unit, slot])][unit]
                value = maps if maps.ndim == 0 else maps[row, column]
                assert value.item() == pytest.approx(best[slot], rel=1e-4, abs=1e-6)


def test_before_a_linear_layer_relevance_is_weight_times_activation(indexes, peaks):
    """To the last bit, as the class's logit is a sum of just these."""
    index = indexes["relevance"][1]
    weight = NET[14].weight.detach().numpy()
    classes = list_true_classes(MODEL, PHOTOS)
    rows = [row for row, number in enumerate(USED) if classes[number] >= 0]
    activations = peaks["fc6"][0]
    for unit in range(11):
        products = [weight[classes[USED[row]], unit] * activations[row, unit] for row in rows]
        order = sorted(range(len(rows)), key=lambda at: -products[at])[:5]
        layer = index.layers["fc6"]
        assert layer.values[unit].tolist() == [products[at] for at in order]
        assert layer.photos[unit].tolist() == [USED[rows[at]] for at in order]
        assert layer.activations[unit].tolist() == [activations[rows[at], unit] for at in order]


@pytest.mark.parametrize("frozen", [False, True])
def test_the_net_is_as_it_was(tmp_path, frozen):
    model = make_model()
    model.module.requires_grad_(not frozen)
    model.module.train()
    state = {name: value.clone() for name, value in model.module.state_dict().items()}
    mine(model, PHOTOS, tmp_path / "index", KINDS["relevance"])
    assert model.module.training
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())
    assert all(value.grad is None for value in model.module.parameters())
    assert not any(part._forward_hooks for part in model.module.modules())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stops", [[1], [33], [1, 33]])
def test_a_broken_run_goes_on_to_the_same_bytes(tmp_path, indexes, kind, stops):
    file = tmp_path / "index"
    for stop in stops:

        def break_off(items, *, label, total=None, unit="it", initial=0, stop=stop):
            for number, _ in enumerate(items, start=initial + 1):
                if label == "mine" and number >= stop:
                    raise KeyboardInterrupt
            return iter(())

        with pytest.raises(KeyboardInterrupt):
            mine(MODEL, PHOTOS, file, replace(KINDS[kind], interval=0), break_off)
        assert not read_index(file).complete
    assert mine(MODEL, PHOTOS, file, replace(KINDS[kind], workers=1)).complete
    assert read_both(file) == read_both(indexes[kind][0])


def read_both(file):
    maxima = name_maxima(file)
    return file.read_bytes(), maxima.read_bytes() if maxima.exists() else None


@pytest.mark.parametrize("kind", KINDS)
def test_parts_merge_to_the_bytes_of_the_whole(tmp_path_factory, indexes, kind):
    @settings(max_examples=4, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.integers(0, 2), min_size=COUNT, max_size=COUNT), st.permutations([0, 1, 2]))
    def merge_any(homes, order):
        folder = tmp_path_factory.mktemp("parts")
        parts = []
        for part in order:
            some = {
                name: LOOKS[name] for name, home in zip(NAMES, homes, strict=True) if home == part
            }
            if any(not name.startswith("somewhere") for name in some):
                mine(MODEL, NoisePhotos(some), folder / f"{part}", KINDS[kind])
                parts.append(folder / f"{part}")
            elif some:
                return  # of photos without a class, which are refused alone
        merge_files(parts[:2], folder / "some")
        merge_files([*parts[2:], folder / "some"], folder / "all")
        assert read_both(folder / "all") == read_both(indexes[kind][0])

    merge_any()


def test_a_part_without_classes_is_one_of_the_whole(tmp_path, indexes):
    for part in (1, 2):
        mine(MODEL, PartOfPhotos(PHOTOS, part, 2), tmp_path / f"{part}", KINDS["relevance"])
    merge_files([tmp_path / "2", tmp_path / "1"], tmp_path / "1")
    assert read_both(tmp_path / "1") == read_both(indexes["relevance"][0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(indexes, kind):
    file, index = indexes[kind]
    found = read_index(file)
    assert found.identity == index.identity
    assert found.unclassed == index.unclassed
    for name, layer in index.layers.items():
        assert torch.equal(found.layers[name].strengths, layer.strengths)
    for name, held in index.ranges.items():
        assert torch.equal(found.ranges[name].values, held.values)
    assert found.identity.keeps_maxima == name_maxima(file).exists()


def test_a_rank_is_not_continued_with_another(tmp_path, indexes):
    for wanted, told in (
        (KINDS["ranges"], "rank: 'lowest', not 'activation'; ranges: False, not True"),
        (KINDS["random"], "rank: 'lowest', not 'random'; seed: 0, not 3"),
        (KINDS["relevance"], "rank: 'lowest', not 'relevance'; net's classes"),
    ):
        with pytest.raises(DataError, match=told):
            MiningRun(MODEL, PHOTOS, indexes["lowest"][0], replace(wanted, top=5, per_photo=1))


def test_other_ranks_do_not_merge(tmp_path, indexes):
    with pytest.raises(DataError, match="rank: 'random', not 'lowest'"):
        merge_files([indexes["lowest"][0], indexes["random"][0]], tmp_path / "all")
    with pytest.raises(DataError, match="call merge_files"):
        merge_indexes([indexes["median"][1]])
    assert not list(tmp_path.iterdir())


def test_the_names_of_classes_belong_to_an_index_of_relevance(indexes):
    other = replace(MODEL, classes=(*MODEL.classes[:3], "bird"))
    with pytest.raises(DataError, match=r"net's classes: '?\w{12}"):
        MiningRun(other, PHOTOS, indexes["relevance"][0], KINDS["relevance"])


def test_photos_without_a_class_are_refused(tmp_path):
    photos = NoisePhotos({"a.jpg": 1, "holiday/b.jpg": 2})
    with pytest.raises(DataError, match="no photo lies in a folder named after a class of Tiny"):
        mine(MODEL, photos, tmp_path / "index", KINDS["relevance"])
    assert not list(tmp_path.iterdir())


def test_missing_or_damaged_maxima_are_told(tmp_path):
    def stop(items, **options):
        for number, _ in enumerate(items, start=1):
            if number == 40:
                raise KeyboardInterrupt
        return iter(())

    file = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        mine(MODEL, PHOTOS, file, KINDS["ranges"], stop)
    maxima = name_maxima(file)
    whole = maxima.read_bytes()
    damaged = bytearray(whole)
    damaged[100] ^= 1
    for content, told in (
        (bytes(damaged), "is damaged, or of another run, at the photo '.x. and .y./003'"),
        (whole[:-1], "is of other photos or layers, or cut off"),
        (b"something of mine", "is of other photos or layers, or cut off"),
        (None, "no file of maxima"),
    ):
        maxima.unlink()
        if content is not None:
            maxima.write_bytes(content)
        before = file.read_bytes()
        with pytest.raises(DataError, match=told):
            mine(MODEL, PHOTOS, file, KINDS["ranges"])
        assert file.read_bytes() == before
        maxima.write_bytes(whole if content is None else content)
    maxima.write_bytes(whole)
    assert mine(MODEL, PHOTOS, file, KINDS["ranges"]).complete


def test_a_file_of_somebody_else_is_left(tmp_path):
    name_maxima(tmp_path / "index").write_text("something of mine")
    with pytest.raises(DataError, match="holds something else"):
        mine(MODEL, PHOTOS, tmp_path / "index", KINDS["median"])
    assert name_maxima(tmp_path / "index").read_text() == "something of mine"


def test_impossible_ranks_are_refused():
    with pytest.raises(DataError, match="no rank 'best'; needed: activation, relevance"):
        MiningSettings(LAYERS, rank="best")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"2 places of one photo.*rank 'median' takes the maximum"):
        MiningSettings(LAYERS, per_photo=2, rank="median")


@pytest.mark.parametrize("units", [7, 250])
def test_gradients_have_the_same_bits_in_any_place_of_a_lot(units):
    """Where rows are odd on the way back, too; see AlignRows."""
    generator = torch.Generator().manual_seed(units)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    x, weight, above = draw(LOT, 33), draw(units, 33), draw(LOT, units)

    def find_gradient(x, above):
        x = x.clone().requires_grad_()
        with AlignRows(columns=True):
            y = torch.nn.functional.linear(x, weight)
        return torch.autograd.grad(y, x, above)[0]

    usual, moved = find_gradient(x, above), find_gradient(x.roll(5, 0), above.roll(5, 0))
    assert torch.equal(moved.roll(-5, 0), usual)
    assert torch.allclose(usual, above @ weight, atol=1e-4)


def test_relevances_have_the_same_bits_in_any_company():
    layers = dict(MODEL.layers)
    pixels = torch.stack([PHOTOS.read(number) for number in USED[:LOT]])
    classes = torch.arange(LOT) % 4
    alone = pixels.clone()
    alone[5:] = 0
    seen = []
    with search_layers(MODEL, layers, "relevance") as search:
        for some, of in (
            (pixels, classes),
            (pixels.roll(13, 0), classes.roll(13)),
            (alone, classes.where(torch.arange(LOT) < 5, -1)),
        ):
            found: dict[str, torch.Tensor] = {}
            inputs = search.prepare(some)
            assert search.back is not None

            def see(name, maps, relevance, found=found):
                found[name] = relevance

            search.back(inputs, of, see)
            seen.append(found)
    usual, moved, lonely = seen
    for name, relevance in usual.items():
        assert torch.equal(moved[name].roll(-13, 0), relevance), name
        assert torch.equal(lonely[name][:5], relevance[:5]), name
        assert not lonely[name][5:].any()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ([], "puts out no logits"),
        ([torch.nn.Flatten(), torch.nn.Linear(72, 3)], "puts out 3 logits for 5 classes"),
    ],
)
def test_a_net_without_such_logits_is_refused(head, told):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), *head)
    with (
        watch_relevance(net, {"first": "0"}, classes=5) as back,
        pytest.raises(ModelError, match=told),
    ):
        back(torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64), lambda *seen: None)


def test_default_indexes_hold_nothing_of_other_ranks(tmp_path):
    """A choice that was not made is not written: former indexes of it have the same record."""
    content = mine_bytes(MODEL, NoisePhotos({"a": 1}), tmp_path / "index", top=1)
    assert b'"vizcnn.strongest":"4"' in content
    for word in (b"rank", b"ranges", b"seed", b"unclassed", b"activations"):
        assert word not in content
