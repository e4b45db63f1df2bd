"""The rest of a pass, against whole passes with a plain hook of torch's own."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vizcnn
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import LayerError
from vizcnn.recording.continuation import Continuation
from vizcnn.zoo.model import ZooModel


class Block(nn.Module):
    """A residual block whose rectifier is in place, and one module that is used twice."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(maps, maps, 3, padding=1)
        self.norm = nn.BatchNorm2d(maps)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm(self.conv1(x)))
        return self.relu(self.conv2(y) + x)


class Split(nn.Module):
    """Puts out a tuple."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :3], x[:, 3:]


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.block1, self.block2 = Block(6), Block(6)
        self.split = Split()
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.stem(x), inplace=True)
        left, right = self.split(first)
        y = self.block2(self.block1(first))
        y = torch.cat([y[:, :3] + right, y[:, 3:] * left], dim=1)
        logits: Tensor = self.head(F.adaptive_avg_pool2d(F.relu(y + first), 1).flatten(1))
        return logits


class Named(nn.Module):
    """Puts out tensors by name."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"whole": x, "half": x / 2}


class Unusual(nn.Module):
    """A net whose parts cannot be passed over: what one puts out is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.named = nn.Conv2d(3, 6, 3), Named()
        self.relu, self.head = nn.ReLU(), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        named = self.named(self.conv(x))
        y = self.relu(named["half"]).mean(dim=(2, 3)) + named["whole"].mean(dim=(2, 3))
        logits: Tensor = self.head(y)
        return logits


def wrap(net: nn.Module) -> ZooModel:
    torch.manual_seed(0)
    for value in net.parameters():
        nn.init.normal_(value, std=0.3)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.get_buffer("running_mean"))
    return replace(make_model(), module=net.eval(), layers={}, options={})


PHOTOS = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
NETS = {"tiny": make_model, "branching": lambda: wrap(Branching())}
CASES = [
    ("tiny", "0", 1),
    ("tiny", "conv1", 1),
    ("tiny", "conv2", 1),
    ("tiny", "fc6", 1),
    ("tiny", "fc7", 1),
    ("branching", "stem", 1),
    ("branching", "block1", 1),
    ("branching", "block1.norm", 1),
    ("branching", "block2.relu#1", 1),
    ("branching", "block2.relu#2", 2),
    ("branching", "block2.conv2", 1),
    ("branching", "head", 1),
]


def run_with_hook(model: ZooModel, path: str, number: int, maps: Tensor) -> Tensor:
    """A whole pass in which one call of a module puts out something else."""
    calls: list[int] = []

    def hook(part: nn.Module, args: object, output: Tensor) -> Tensor | None:
        calls.append(1)
        return maps.clone() if len(calls) == number else None

    handle = model.module.get_submodule(path).register_forward_hook(hook)
    try:
        return model.logits(PHOTOS)
    finally:
        handle.remove()


@pytest.mark.parametrize(("net", "layer", "number"), CASES)
def test_the_rest_gives_what_a_whole_pass_gives_to_the_last_bit(net, layer, number):
    model = NETS[net]()
    path = model.layers.get(layer, layer).split("#")[0]
    rest = Continuation(model, layer, PHOTOS[:1])
    assert rest.is_short
    with rest.begin(PHOTOS) as begun:
        assert torch.equal(begun.logits, model.logits(PHOTOS))
        assert begun.maps.shape[:2] == (3, rest.units)
        assert torch.equal(begun.run(begun.maps.clone()), begun.logits)
        for changed in (torch.zeros_like(begun.maps), -begun.maps, begun.maps.flip(0)):
            given = changed.clone()
            assert torch.equal(begun.run(given), run_with_hook(model, path, number, changed))


def test_a_function_is_a_layer_too():
    model = wrap(Branching())
    rest = Continuation(model, "relu_1", PHOTOS[:1])
    assert rest.is_short
    with rest.begin(PHOTOS) as begun:
        # what is left after it: pooling and the head, by hand
        net = model.module
        changed = begun.maps * 0.5
        expected = net.get_submodule("head")(F.adaptive_avg_pool2d(changed, 1).flatten(1))
        assert torch.equal(begun.run(changed.clone()), expected)


def test_what_comes_before_is_not_computed_again(monkeypatch):
    model = wrap(Branching())
    rest, runs = Continuation(model, "block2.conv1", PHOTOS[:1]), list[int]()
    convolve = F.conv2d

    def count(*given: Any, **named: Any) -> Tensor:
        runs.append(1)
        return convolve(*given, **named)

    with rest.begin(PHOTOS) as begun:
        monkeypatch.setattr("torch.nn.functional.conv2d", count)
        begun.run(begun.maps.clone())
    assert len(runs) == 1  # of block2.conv2 alone; there are five convolutions


def test_a_net_whose_parts_cannot_be_passed_over_is_run_whole():
    model = wrap(Unusual())
    rest = Continuation(model, "relu", PHOTOS[:1])
    assert not rest.is_short
    with rest.begin(PHOTOS) as begun:
        assert torch.equal(begun.run(begun.maps.clone()), begun.logits)
        changed = begun.maps * 0.5
        assert torch.equal(begun.run(changed.clone()), run_with_hook(model, "relu", 1, changed))


def test_the_net_is_as_it_was():
    model = wrap(Branching()).module.train()
    net = replace(make_model(), module=model, layers={})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rest = Continuation(net, "block1.conv2", PHOTOS[:1])
    with pytest.raises(RuntimeError, match="enough"), rest.begin(PHOTOS) as begun:
        begun.run(begun.maps.clone())
        raise RuntimeError("enough")
    for part in model.modules():
        assert part.training and "forward" not in vars(part)
        assert not part._forward_hooks and not part._forward_pre_hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_layer_without_maps_is_refused():
    model = wrap(Branching())
    with pytest.raises(LayerError, match="'split' puts out no feature maps"):
        Continuation(model, "split", PHOTOS[:1])
    with pytest.raises(LayerError, match="no layer 'block3'"):
        Continuation(model, "block3", PHOTOS[:1])


@pytest.mark.slow
def test_the_bundled_net_needs_nothing_of_what_came_before():
    model = vizcnn.load("zfnet", weights="bundled")
    photos = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    rest = Continuation(model, "conv5", photos[:1])
    with rest.begin(photos) as begun:
        maps = begun.maps.clone()
        maps[:, 7] = 0
        pooled = model.module.get_submodule("features.pool5")(maps)
        expected = model.module.get_submodule("classifier")(pooled)
        assert torch.equal(begun.run(maps.clone()), expected)
