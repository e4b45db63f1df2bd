"""What a run finds, against plain loops; odd photos and nets; the net is left as it was."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.support.mining_runs import (
    LAYERS,
    NoisePhotos,
    compute_maps,
    make_photos,
    rank_slowly,
    to_lists,
)
from tests.support.models import EditsItsInput, Failing, SharedBranches, prepare
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError, LayerError, ModelError
from vizcnn.mining.index import read_index
from vizcnn.mining.run import MiningRun, MiningSettings, mine
from vizcnn.mining.search import FiniteCheck
from vizcnn.zoo.preprocessing import Preprocessing


def run(model, photos, folder, layers=LAYERS, progress=None, **settings):
    settings.setdefault("workers", 0)
    options = {} if progress is None else {"progress": progress}
    file = folder / "index.safetensors"
    return mine(model, photos, file, MiningSettings(layers=tuple(layers), **settings), **options)


def wrap(module, layers=()):
    """Make any module of tests/support/models.py a net of the zoo."""
    return replace(make_model(), module=module, layers=dict(layers))


@pytest.mark.slow
@pytest.mark.parametrize("per_photo", [1, 3])
def test_equals_plain_loops(tmp_path, per_photo):
    model = make_model()
    looks: dict[str, int | None] = {f"p{number:02d}": number for number in range(70)}
    looks |= {"p03": None, "p40": None, "p41": 17, "p42": 17, "p69": 0}
    photos = NoisePhotos(looks)
    index = run(model, photos, tmp_path, top=5, per_photo=per_photo)
    assert index.complete
    assert index.photos == photos.names
    assert index.failures == (("p03", "'p03' is broken"), ("p40", "'p40' is broken"))
    assert list(index.layers) == list(LAYERS)
    for name, layer in index.layers.items():
        wanted = rank_slowly(compute_maps(model, photos, name), 5, per_photo)
        assert to_lists(layer) == wanted, name
        assert layer.path == model.layers[name]
    assert index.layers["conv3"].map_size == (16, 16)
    assert index.layers["fc6"].map_size is None


def test_equal_photos_rank_by_name(tmp_path):
    photos = NoisePhotos(dict.fromkeys(("b", "a/2", "a-1", "Z", "ä"), 7))
    index = run(make_model(), photos, tmp_path, top=3)
    assert index.photos == ("Z", "a-1", "a/2", "b", "ä")
    for layer in index.layers.values():
        assert torch.equal(layer.photos, torch.arange(3).expand(layer.units, 3))


def test_constant_maps_take_the_first_place(tmp_path):
    model = make_model()
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
    index = run(model, make_photos(40), tmp_path, top=4, per_photo=2)
    for name in ("conv1", "conv5"):
        layer = index.layers[name]
        assert (layer.values == 0).all()
        assert layer.photos[0].tolist() == [0, 0, 1, 1]
        assert layer.positions[0].tolist() == [[0, 0], [0, 1]] * 2
    assert index.layers["fc6"].photos[0].tolist() == [0, 1, 2, 3]


def test_one_photo_leaves_empty_slots(tmp_path):
    index = run(make_model(), make_photos(1), tmp_path)
    layer = index.layers["conv1"]
    assert layer.photos[:, 0].tolist() == [0] * 12
    assert (layer.photos[:, 1:] == -1).all()
    assert (layer.values[:, 1:] == -math.inf).all()
    assert (layer.positions[:, 1:] == -1).all()


def test_no_photo_can_be_read(tmp_path):
    index = run(make_model(), NoisePhotos({"a": None, "b": None}), tmp_path)
    assert index.complete
    assert [name for name, _ in index.failures] == ["a", "b"]
    assert (index.layers["conv1"].photos == -1).all()


class Sick(nn.Module):
    """Puts out a bad value at one place of one map for photos of one colour."""

    def __init__(self, colour, bad):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))
        self.colour, self.bad = colour, bad

    def forward(self, x):
        maps = x * self.factor
        sick = (x == self.colour).all(dim=(1, 2, 3))
        maps[:, 2, 1, 1] = torch.where(sick, self.bad, maps[:, 2, 1, 1])
        return maps


class PaintedPhotos(NoisePhotos):
    """A negative look is the brightness of a photo of one colour."""

    def read(self, number):
        look = self.looks[self.names[number]]
        if look is not None and look < 0:
            return torch.full((3, self.size, self.size), -look, dtype=torch.uint8)
        return super().read(number)


def make_sick(colour, bad):
    plain = Preprocessing((0.0,) * 3, (1.0,) * 3, 1.0, False, 32, 32)
    return replace(wrap(nn.Sequential(Sick(colour, bad))), preprocessing=plain)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("per_photo", [1, 2])
def test_values_that_are_not_finite_are_refused_by_name(tmp_path, bad, per_photo):
    looks = {f"p{number:02d}": number for number in range(40)} | {"p35": -255}
    with pytest.raises(DataError) as caught:
        run(make_sick(1, bad), PaintedPhotos(looks), tmp_path, ["0"], per_photo=per_photo)
    assert "layer '0'" in str(caught.value)
    assert "photo 'p35'" in str(caught.value)
    assert read_index(tmp_path / "index.safetensors").done == 32


@pytest.mark.parametrize("sick", [False, True])
def test_lots_that_are_looked_at_together(tmp_path, sick):
    """As on a GPU: what was not looked at is not in the index, should it not be finite."""
    looks = {f"p{number:03d}": number for number in range(200)} | {"p199": -255 if sick else 3}
    model, file = make_sick(1, math.nan), tmp_path / "together"
    settings = MiningSettings(layers=("0",), workers=0)
    run = MiningRun(model, PaintedPhotos(looks), file, settings)
    run.check = FiniteCheck(torch.device("cuda"))
    if not sick:
        run.run()
        mine(model, PaintedPhotos(looks), tmp_path / "alone", settings)
        assert file.read_bytes() == (tmp_path / "alone").read_bytes()
        return
    with pytest.raises(DataError, match="photo 'p199'"):
        run.run()
    assert read_index(file).done == 0
    with pytest.raises(DataError, match="photo 'p199'"):
        mine(model, PaintedPhotos(looks), file, settings)
    assert read_index(file).done == 192


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_comes_out_where_there_is_no_photo_does_not_matter(tmp_path, bad):
    """Such slots are black: a last lot of three photos, one of them unreadable."""
    photos = NoisePhotos({"a": 1, "b": None, "c": 2})
    index = run(make_sick(0, bad), photos, tmp_path, ["0"])
    assert index.layers["0"].values[:, :2].isfinite().all()
    assert index.layers["0"].photos.unique().tolist() == [-1, 0, 2]


def test_layers_are_seen_before_a_relu_in_place(tmp_path):
    """In small_zoo "3" is a convolution whose ReLU, "4", works in place."""
    index = run(make_model(), make_photos(40), tmp_path, ["3", "conv2", "2"], top=40)
    assert (index.layers["3"].values < 0).any()
    assert (index.layers["conv2"].values >= 0).all()


def test_calls_of_a_shared_module(tmp_path):
    net = prepare(SharedBranches())
    model = wrap(net)
    with pytest.raises(LayerError, match="relu#1"):
        run(model, make_photos(3), tmp_path, ["relu"])
    with pytest.raises(LayerError, match=r"calls 1\.\.3"):
        run(model, make_photos(3), tmp_path, ["relu#4"])
    index = run(model, make_photos(3), tmp_path, ["relu#1", "relu#2", "relu#3", "last"])
    assert [layer.units for layer in index.layers.values()] == [6, 4, 4, 5]


def test_a_net_that_edits_its_input(tmp_path):
    photos = make_photos(35)
    model = wrap(prepare(EditsItsInput()), {"conv": "conv"})
    index = run(model, photos, tmp_path, ["conv"], top=3)
    assert to_lists(index.layers["conv"]) == rank_slowly(compute_maps(model, photos, "conv"), 3)


class Viewing(nn.Module):
    """Maps seen as vectors by ``view``, which channels that lie side by side do not allow."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4 * 30 * 30, 5)

    def forward(self, x):
        maps = self.conv(x)
        return self.head(maps.view(len(maps), -1))


def test_a_net_that_views_its_maps(tmp_path):
    index = run(wrap(prepare(Viewing())), make_photos(5), tmp_path, ["conv", "head"])
    assert index.layers["head"].units == 5


def state_of(module):
    return (
        [part.training for part in module.modules()],
        [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
        copy.deepcopy(module.state_dict()),
        [parameter.requires_grad for parameter in module.parameters()],
        torch.is_grad_enabled(),
        torch.random.get_rng_state(),
    )


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def break_off(items, **options):
    for number, _ in enumerate(items):
        if number == 40:
            raise KeyboardInterrupt
    return iter(())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_the_net_is_left_as_it_was(tmp_path, workers):
    model = make_model()
    model.module.train()
    model.module.get_submodule("4").eval()
    before = state_of(model.module)
    with pytest.raises(KeyboardInterrupt):
        run(model, make_photos(70), tmp_path, progress=break_off, workers=workers)
    assert same(state_of(model.module), before)
    assert read_index(tmp_path / "index.safetensors").done == 64
    assert run(model, make_photos(70), tmp_path, workers=workers).complete
    assert same(state_of(model.module), before)


def test_the_net_is_left_as_it_was_after_an_error_in_it(tmp_path):
    net = prepare(Failing())
    net.norm.train()
    model = wrap(net)
    before = state_of(net)
    with pytest.raises(ZeroDivisionError):
        run(model, make_photos(3), tmp_path, ["conv"])
    assert same(state_of(net), before)


def test_what_nobody_asked_for_is_not_computed(tmp_path):
    model = make_model()
    index = run(model, make_photos(3), tmp_path, ["conv1"])
    calls = []
    model.module.get_submodule("3").register_forward_hook(lambda *call: calls.append(1))
    (tmp_path / "index.safetensors").unlink()
    again = run(model, make_photos(70), tmp_path, ["conv1"])
    assert index.layers["conv1"].units == again.layers["conv1"].units
    assert len(calls) == 1  # where the layers are measured


@pytest.mark.parametrize(
    ("layers", "settings", "error", "word"),
    [
        (("conv9",), {}, LayerError, "conv"),
        ((), {}, LayerError, "no layer"),
        (("conv1",), {"top": 0}, DataError, "1 or more"),
        (("conv1",), {"top": 3, "per_photo": 4}, DataError, "1..3"),
        (("conv1",), {"per_photo": 0}, DataError, "1..9"),
        (("conv1",), {"workers": -1}, DataError, "0 to 256"),
    ],
)
def test_bad_requests(tmp_path, layers, settings, error, word):
    with pytest.raises(error, match=word):
        run(make_model(), make_photos(2), tmp_path, layers, **settings)
    assert list(tmp_path.iterdir()) == []


def test_scripted_nets_are_refused(tmp_path):
    scripted = torch.jit.script(make_model().module)
    with pytest.raises(ModelError, match="scripted"):
        run(wrap(scripted), make_photos(2), tmp_path, ["1"])


def test_photo_sets_that_break_their_promises(tmp_path):
    class Unsorted(NoisePhotos):
        names = ("b", "a")

        def __init__(self):
            self.sizes = (1, 1)

    class Empty(NoisePhotos):
        def __init__(self):
            self.names = self.sizes = ()

    with pytest.raises(DataError, match="sorted"):
        run(make_model(), Unsorted(), tmp_path)
    with pytest.raises(DataError, match="no photos"):
        run(make_model(), Empty(), tmp_path)
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"\(3, 31, 31\)"):
            run(make_model(), make_photos(2, size=31), tmp_path, workers=workers)
