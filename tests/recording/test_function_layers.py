"""Functions as layers: named as torchvision names them, with the values that they put out."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vizcnn
from vizcnn.basics.errors import LayerError
from vizcnn.mining.search import rank_pixels
from vizcnn.recording.layers import find_layer, select_layers
from vizcnn.zoo.torchvision_nets import import_torchvision


class Block(nn.Module):
    """Two rectified convolutions, by functions; the second may write into its input."""

    def __init__(self, maps: int, in_place: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(maps, maps, 3, padding=1)
        self.second = nn.Conv2d(maps, maps, 3, padding=1)
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x))
        y = self.second(y) + x
        return y.relu_() if self.in_place else torch.relu(y)


class Functional(nn.Module):
    def __init__(self, in_place: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, stride=2, padding=2)
        self.low, self.high = Block(6, in_place), Block(6, in_place)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.max_pool2d(self.low(x), 2)
        return self.fc(F.relu(self.high(x) - 0.1).mean((2, 3)))


class Spelled(nn.Module):
    """The same as modules."""

    def __init__(self, net: Functional) -> None:
        super().__init__()
        self.net = net
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(6))
        self.pool = nn.MaxPool2d(2)

    def run(self, block: Block, x: Tensor, first: int) -> Tensor:
        y = self.relus[first](block.first(x))
        shown: Tensor = self.relus[first + 1](block.second(y) + x)
        return shown

    def forward(self, x: Tensor) -> Tensor:
        x = self.relus[0](self.net.stem(x))
        x = self.pool(self.run(self.net.low, x, 1))
        x = self.relus[5](self.run(self.net.high, x, 3) - 0.1)
        scores: Tensor = self.net.fc(x.mean((2, 3)))
        return scores


def build(in_place: bool = False) -> Functional:
    torch.manual_seed(3)
    return Functional(in_place).eval()


PIXELS = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
TWINS = {
    "relu": "relus.0",
    "low.relu": "relus.1",
    "low.relu_1": "relus.2",
    "high.relu": "relus.3",
    "high.relu_1": "relus.4",
    "relu_1": "relus.5",
}


@pytest.mark.parametrize("in_place", [False, True])
def test_every_node_has_torchvisions_name_and_what_its_extractor_gives(in_place: bool) -> None:
    import_torchvision()
    from torchvision.models import feature_extraction as tracing

    net = build()  # torchvision shows what is written over a map later, so nothing writes
    names = [name for name in tracing.get_graph_node_names(net)[1] if name != "x"]
    wanted = tracing.create_feature_extractor(net, names)(PIXELS)
    ours = build(in_place)
    renamed = {"low.relu_1": "low.relu_", "high.relu_1": "high.relu_"} if in_place else {}
    for name in names:
        layer = find_layer(ours, renamed.get(name, name))
        with vizcnn.record(ours, [layer]) as recording:
            ours(PIXELS)
        assert torch.equal(recording.find_output(layer), wanted[name]), name
    listed = [node.name for node in vizcnn.zoo.naming.trace_pass(net, PIXELS[:1]).nodes]
    assert [name for name in listed if name not in ("low", "high")] == names


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", TWINS)
def test_a_function_is_projected_mined_and_measured_as_the_module_is(
    name: str, in_place: bool
) -> None:
    net = build(in_place)
    twin = vizcnn.wrap(Spelled(build()).eval(), input_size=32, name="twin")
    model = vizcnn.wrap(net, input_size=32)
    there = TWINS[name]
    name = name.replace("_1", "_") if in_place and "." in name else name
    found, wanted = (
        vizcnn.Deconvnet(one).project(PIXELS, layer, count=3)
        for one, layer in ((model, name), (twin, there))
    )
    assert torch.equal(found.units, wanted.units) and found.field == wanted.field
    assert torch.equal(found.pixels, wanted.pixels) and wanted.pixels.any()
    (field,), (other,) = (
        vizcnn.measure_fields(one, [layer], 32) for one, layer in ((model, name), (twin, there))
    )
    assert (field.size, field.stride, field.offset) == (other.size, other.stride, other.offset)
    ranked, expected = (
        rank_pixels(one, PIXELS, [layer], top=2)[layer]
        for one, layer in ((model, name), (twin, there))
    )
    assert torch.equal(ranked.values, expected.values)
    assert torch.equal(ranked.positions, expected.positions)


def test_a_net_is_as_it_was_and_other_calls_are_counted_on() -> None:
    net = build(in_place=True).train()
    before = net(PIXELS).detach()
    layers = ["relu()#1", "low.relu_()#1", "relu()#2"]
    with vizcnn.record(net, layers) as recording:
        net(PIXELS)
        net(PIXELS)  # a second pass in the context begins anew
    assert {path: len(found) for path, found in recording.outputs.items()} == {
        "relu()": 4,
        "low.relu_()": 2,
    }
    assert net.training and not any(part._forward_hooks for part in net.modules())
    assert torch.equal(net(PIXELS), before)


def test_what_is_not_called_is_told_with_the_way_out() -> None:
    model = vizcnn.wrap(build(), input_size=32)
    with pytest.raises(LayerError, match=r"has calls 1..2, got 'relu\(\)#3'"):
        vizcnn.Deconvnet(model).project(PIXELS, "relu_2")
    with pytest.raises(LayerError, match=r"sigmoid\(\) was not called in 'low' in this"):
        vizcnn.Deconvnet(model).project(PIXELS, "low.sigmoid")
    with pytest.raises(LayerError, match=r"no layer 'nowhere.relu'"):
        find_layer(build(), "nowhere.relu")


def test_case_makes_no_difference_and_names_come_out_as_the_net_spells_them() -> None:
    model = vizcnn.wrap(build(), input_size=32)
    assert find_layer(model, "CONV1") == find_layer(model, "conv1")
    assert select_layers(model, ["Conv1,LOW.First"]) == ("conv1", "low.first")


class Shared(nn.Module):
    """A module and a function of one name in one place: the module is meant."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.conv = nn.ReLU(), nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.relu(self.conv(x)) - 0.1)


def test_where_a_module_has_the_name_the_function_is_named_with_brackets() -> None:
    net = Shared().eval()
    assert (find_layer(net, "relu"), find_layer(net, "relu()")) == ("relu", "relu()#1")
    with vizcnn.record(net, ["relu", "relu()#1"]) as recording:
        wanted = net(PIXELS)
    assert torch.equal(recording.find_output("relu()"), wanted)
    assert not torch.equal(recording.find_output("relu"), wanted)
