"""Receptive fields against published sizes and against where the gradient really reaches."""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import vizcnn
from tests.models import Pooled, branching_nets, prepare
from vizcnn.receptive import find_boxes, find_field
from vizcnn.recording import record


@functools.lru_cache(maxsize=1)
def load(name):
    return vizcnn.load(name, weights=None)


def record_net(net, size, layer):
    with record(net) as recording:
        net(torch.rand(1, 3, size, size))
    return recording.find_output(layer), recording.input


@pytest.mark.parametrize(
    ("name", "layer", "side"),
    [
        ("alexnet", "conv1", 11),
        ("alexnet", "conv2", 51),
        ("alexnet", "conv3", 99),
        ("alexnet", "conv4", 131),
        ("alexnet", "conv5", 163),  # the published sizes of AlexNet at 227 px
        ("alexnet", "pool5", 195),
        ("vgg16", "conv3_3", 40),
        ("vgg16", "pool5", 212),
        ("zfnet", "conv1", 7),
        ("zfnet", "conv2", 27),
        ("resnet18", "conv5", 435),
    ],
)
def test_published_sizes(name, layer, side):
    model = load(name)
    output, input = record_net(model.module, model.input_size, vizcnn.find_layer(model, layer))
    assert find_field(output, input) == (side, side)


def reach_of_gradient(output, input, row, column):
    """Give the box of input pixels with a gradient, and how many there are."""
    chosen = output[0, :, row, column].sum()
    (slope,) = torch.autograd.grad(chosen, input, retain_graph=True)
    rows, columns = torch.nonzero(slope[0].abs().sum(0), as_tuple=True)
    return [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


class Linear(nn.Module):
    """A branching net without rectifiers or maxima: its gradient reaches all that it can."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, stride=2, padding=3)
        self.wide = nn.Conv2d(4, 4, (1, 5), padding=(0, 4), dilation=(1, 2))
        self.tall = nn.Conv2d(4, 4, (7, 1), padding=(3, 0))
        self.last = nn.Conv2d(8, 2, 2, stride=3)

    def forward(self, x):
        x = F.avg_pool2d(self.stem(x), 3, 1, 1)
        return self.last(torch.cat([self.wide(x), self.tall(x)], 1))


@pytest.mark.parametrize("position", [(0, 0), (0, 3), (2, 2), (4, 4), (1, 4)])
def test_box_equals_the_reach_of_the_gradient(position):
    output, input = record_net(prepare(Linear()), 32, "last")
    (box,) = find_boxes(output, input, torch.tensor([position])).tolist()
    assert box == [int(edge) for edge in reach_of_gradient(output, input, *position)]


@pytest.mark.parametrize("layer", ["chain.4", "chain.7", "chain.11"])
def test_box_holds_the_reach_of_the_gradient_under_every_pool(layer):
    output, input = record_net(prepare(Pooled(), 64), 64, layer)
    for row in range(output.shape[-2]):
        for column in range(output.shape[-1]):
            if output[0, :, row, column].abs().sum() == 0:
                continue
            top, left, bottom, right = reach_of_gradient(output, input, row, column)
            box = find_boxes(output, input, torch.tensor([[row, column]]))[0]
            assert box[0] <= top and box[1] <= left and box[2] >= bottom and box[3] >= right


def test_what_joins_the_whole_map_sees_the_whole_image():
    output, input = record_net(prepare(branching_nets()["inception"][0]), 32, "head")
    assert find_boxes(output, input, torch.tensor([[0, 0]])).tolist() == [[0, 0, 32, 32]]


def test_boxes_are_cut_at_the_edge_only_when_asked():
    output, input = record_net(prepare(nn.Sequential(nn.Conv2d(3, 2, 5, padding=2))), 16, "0")
    corner = torch.tensor([[0, 15]])
    assert find_boxes(output, input, corner).tolist() == [[0, 13, 3, 16]]
    assert find_boxes(output, input, corner, clip=False).tolist() == [[-2, 13, 3, 18]]
    assert find_boxes(output, input, torch.tensor([[-1, -1]])).tolist() == [[0, 0, 16, 16]]
