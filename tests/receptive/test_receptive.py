"""Receptive fields of whole nets, against where the gradient reaches: branches, pools, edges."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.support.models import Pooled, branching_nets, prepare
from tests.support.reaching import find_reaches, let_everything_through
from vizcnn.receptive import find_boxes
from vizcnn.receptive.boxes import trace_back
from vizcnn.recording.recording import record


def record_net(net, x, layer):
    with record(net) as recording:
        net(x)
    return recording.find_output(layer), recording.input


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
    output, input = record_net(prepare(Linear()), torch.rand(1, 3, 32, 32), "last")
    (box,) = find_boxes(output, input, torch.tensor([position])).tolist()
    assert box == [int(edge) for edge in reach_of_gradient(output, input, *position)]


ODD = {name: (net, layer) for name, (net, layer) in branching_nets().items() if "edits" not in name}
ODD |= {f"pools to {layer}": (Pooled(), layer) for layer in ("chain.3", "chain.7", "chain.11")}


@pytest.mark.parametrize("name", ODD)
def test_boxes_of_odd_nets_are_where_the_gradient_reaches(name, monkeypatch):
    net, layer = ODD[name]
    shape = (1, 3, 64, 64) if isinstance(net, Pooled) else (1, 3, 37, 44)
    output, input = record_net(prepare(net, 64), torch.rand(shape), layer)
    places = [(0, 0)]
    if output.ndim == 4:
        places = torch.cartesian_prod(*map(torch.arange, output.shape[2:])).tolist()[::7]
    boxes = find_boxes(output, input, torch.tensor(places))
    let_everything_through(monkeypatch)
    assert {layer: boxes.tolist()} == find_reaches(net, [layer], shape, {layer: places})
    assert trace_back(output, input, torch.tensor(places)).exact


def test_a_net_that_writes_into_slices_sees_the_whole_image_as_far_as_is_known():
    net, layer = branching_nets()["edits its input"]
    output, input = record_net(prepare(net), torch.rand(1, 3, 32, 32), layer)
    middle = torch.tensor([[15, 15]])
    assert find_boxes(output, input, middle).tolist() == [[0, 0, 32, 32]]
    assert not trace_back(output, input, middle).exact


def test_what_joins_the_whole_map_sees_the_whole_image():
    output, input = record_net(
        prepare(branching_nets()["inception"][0]), torch.rand(1, 3, 32, 32), "head"
    )
    assert find_boxes(output, input, torch.tensor([[0, 0]])).tolist() == [[0, 0, 32, 32]]


def test_boxes_are_cut_at_the_edge_only_when_asked():
    output, input = record_net(
        prepare(nn.Sequential(nn.Conv2d(3, 2, 5, padding=2))), torch.rand(1, 3, 16, 16), "0"
    )
    corner = torch.tensor([[0, 15]])
    assert find_boxes(output, input, corner).tolist() == [[0, 13, 3, 16]]
    assert find_boxes(output, input, corner, clip=False).tolist() == [[-2, 13, 3, 18]]
    assert find_boxes(output, input, torch.tensor([[-1, -1]])).tolist() == [[0, 0, 16, 16]]
