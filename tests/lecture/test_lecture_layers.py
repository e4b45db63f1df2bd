"""Layer tables against an independent trace: torchinfo's shapes, parameters and operations."""

import math

import pytest
import torch
import torchinfo
from torch import nn
from torch.nn import functional as F

from vizcnn.basics.errors import ModelError
from vizcnn.lecture.comparison import compare_nets
from vizcnn.lecture.net_tables import (
    MOST_ROWS,
    make_googlenet_table,
    make_layer_table,
    make_slide_table,
    measure_stages,
)
from vizcnn.lecture.nets import (
    NETS,
    build_net,
    count_layers,
    count_parameters,
    find_net,
    input_shape,
    trace_net,
)
from vizcnn.lecture.patterns import derive_pattern
from vizcnn.measures.published import read_published
from vizcnn.recording.layer_rows import trace_layers

MODULES = {"Conv2d": "conv", "Linear": "fc", "MaxPool2d": "max pool", "BatchNorm2d": "batch norm"}
"""torchinfo's names of the layers that it knows, and ours."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_tables_equal_the_trace_of_torchinfo(name):
    told = torchinfo.summary(
        build_net(name), input_size=(1, *input_shape(name)), device="meta", verbose=0
    ).summary_list
    theirs = [
        (MODULES[info.class_name], tuple(info.output_size[1:]), info.num_params)
        for info in told
        if info.class_name in MODULES
    ]
    ours = [
        (row.kind, row.outputs, row.parameters)
        for row in trace_net(name)
        if row.kind in MODULES.values()
    ]
    assert sorted(ours) == sorted(theirs)
    assert sum(row.parameters for row in trace_net(name)) == count_parameters(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_multiply_adds_are_those_of_torchinfo(name):
    told = torchinfo.summary(
        build_net(name), input_size=(1, *input_shape(name)), device="meta", verbose=0
    ).summary_list
    theirs = sum(info.macs for info in told if MODULES.get(info.class_name) in ("conv", "fc"))
    # torchinfo counts the addition of a bias as well
    biases = sum(
        row.activations * (row.parameters > row.weights)
        for row in trace_net(name)
        if row.kind in ("conv", "fc")
    )
    assert sum(row.multiply_adds for row in trace_net(name)) == theirs - biases


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("lenet", 5),
        ("alexnet", 8),
        ("zfnet", 8),
        *zip(("vgg-a", "vgg-b", "vgg-c", "vgg-d", "vgg-e"), (11, 13, 16, 16, 19), strict=True),
        ("googlenet", 22),
        *((f"resnet-{depth}", depth) for depth in (18, 34, 50, 101, 152)),
    ],
)
def test_depth_is_what_the_names_say(name, layers):
    assert count_layers(name) == layers


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("lenet", "[CONV-POOL]x2 - CONV - FC - OUT"),
        ("alexnet", "[CONV-POOL]x2 - CONVx3 - POOL - FCx2 - OUT"),
        ("vgg-a", "[CONV-POOL]x2 - [CONVx2-POOL]x3 - FCx2 - OUT"),
        ("vgg-b", "[CONVx2-POOL]x5 - FCx2 - OUT"),
        ("vgg-d", "[CONVx2-POOL]x2 - [CONVx3-POOL]x3 - FCx2 - OUT"),
        ("vgg-e", "[CONVx2-POOL]x2 - [CONVx4-POOL]x3 - FCx2 - OUT"),
    ],
)
def test_patterns_are_derived(name, pattern):
    assert derive_pattern(trace_net(name)) == pattern


@pytest.mark.parametrize("name", NETS)
def test_slide_tables_fit_and_add_up(name):
    table, whole = make_slide_table(name), make_layer_table(name)
    assert len(table.rows) <= MOST_ROWS + 1
    assert len(whole.rows) == len(trace_net(name)) + 2
    for shown in (table, whole):
        place = shown.columns.index("parameters")
        assert sum(int(str(row[place])) for row in shown.rows[:-1]) == shown.rows[-1][place]
        assert shown.rows[-1][place] == count_parameters(name)


class Functional(nn.Module):
    """Layers that are functions, one used twice, and a sum with a parameter."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.shift = nn.Parameter(torch.zeros(4, 1, 1))

    def forward(self, x):
        y = F.relu(self.conv(F.relu(self.conv(x)))) + self.shift
        return F.avg_pool2d(y + x, kernel_size=(2, 4), stride=2, padding=(0, 1))


def test_functions_and_shared_layers_are_rows():
    net = Functional().train()
    net.conv.weight.grad = torch.ones_like(net.conv.weight)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rows = trace_layers(net, (4, 8, 8))
    assert [row.kind for row in rows] == ["conv", "relu", "conv", "relu", "add", "average pool"]
    assert [row.parameters for row in rows] == [76, 0, 0, 0, 0, 0]
    assert rows[0].groups == 2
    assert rows[0].multiply_adds == rows[2].multiply_adds == 4 * 8 * 8 * 2 * 9
    assert (rows[-1].filter, rows[-1].stride, rows[-1].padding) == ((2, 4), (2, 2), (0, 1))
    assert rows[-1].depth == 2
    # the net is as it was
    assert net.training
    assert not net._forward_hooks
    assert not net.conv._forward_pre_hooks
    assert net.conv.weight.device.type == "cpu"
    assert torch.equal(net.conv.weight.grad, torch.ones_like(net.conv.weight))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_what_cannot_run_is_told_in_one_line():
    with pytest.raises(ModelError, match="cannot run on an image of shape") as caught:
        trace_layers(nn.Conv2d(3, 4, 9), (3, 5, 5))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no net 'vgg-f': did you mean 'vgg-"):
        find_net("vgg-f")


def test_googlenet_has_the_sizes_of_the_papers_table():
    told = read_published().table("googlenet")
    theirs = [row for row in told.rows if row[0] != "softmax"]
    ours = make_googlenet_table().rows[:-1]
    assert [row[3] for row in ours] == [row[3] for row in theirs]
    assert [row[4:10] for row in ours] == [row[4:10] for row in theirs]
    assert [str(row[2]).removeprefix("1×1×") for row in ours] == [
        str(row[2]).removeprefix("1×1×") for row in theirs
    ]
    assert sum(cost.depth for cost in measure_stages().values()) == 22


def test_zfnet_differs_from_alexnet_where_the_lecture_says():
    found = {(d.layer, d.property): (d.first, d.second) for d in compare_nets("alexnet", "zfnet")}
    assert found["conv1", "filter"] == ("11×11", "7×7")
    assert found["conv1", "stride"] == (4, 2)
    maps = [found[layer, "maps"] for layer in ("conv3", "conv4", "conv5")]
    assert maps == [(384, 512), (384, 1024), (256, 512)]
    assert ("conv2", "maps") not in found
    assert compare_nets("alexnet", "alexnet") == ()


def test_memory_is_four_bytes_a_number():
    rows = trace_net("vgg-d")
    assert all(row.memory == 4 * math.prod(row.outputs) for row in rows)
