"""Receptive fields through single operations, against which pixels really change the output."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizcnn.receptive import find_boxes
from vizcnn.receptive.boxes import trace_back
from vizcnn.recording.recording import record

HEIGHT, WIDTH = 12, 10


class Operation(nn.Module):
    """A net of one function of feature maps; what it holds of weights is the same each time."""

    def __init__(self, function):
        super().__init__()
        self.last = nn.Identity()
        self.function = function

    def forward(self, x):
        torch.manual_seed(0)
        return self.last(self.function(x))


def kernel(outputs, inputs, *size):
    return torch.rand(outputs, inputs, *size, dtype=torch.float64) + 0.1


def attend(x):
    flat = x.flatten(2)
    weights = (flat.transpose(1, 2) @ flat * 1e-3).softmax(-1)
    return (flat @ weights.transpose(1, 2)).view_as(x)


def normalise_over_channels(x):
    places = x.permute(0, 2, 3, 1)
    return F.layer_norm(places, (4,)).permute(0, 3, 1, 2)


def partition(x):
    """Average over windows of 4 x 5, as Swin's attention does with its windows."""
    n, c, h, w = x.shape
    windows = x.view(n, c, h // 4, 4, w // 5, 5).permute(0, 2, 4, 1, 3, 5)
    means = windows.mean((4, 5), keepdim=True).expand_as(windows)
    return means.permute(0, 3, 1, 4, 2, 5).reshape(n, c, h, w)


EXACT = {
    "convolution": lambda x: F.conv2d(x, kernel(3, 4, 3, 5), None, (2, 1), (1, 3)),
    "dilation": lambda x: F.conv2d(x, kernel(3, 4, 3, 3), None, 1, 2, 2),
    "wide dilation at the edge": lambda x: F.conv2d(x, kernel(3, 4, 3, 3), None, 1, (7, 4), (7, 4)),
    "same padding of even size": lambda x: F.conv2d(x, kernel(3, 4, 4, 2), padding="same"),
    "groups of which one is seen": lambda x: F.conv2d(
        torch.cat([x[:, :2], F.avg_pool2d(x[:, 2:], 5, 1, 2)], 1), kernel(4, 2, 3, 3), groups=2
    )[:, :2],
    "transposed": lambda x: F.conv_transpose2d(x, kernel(4, 2, 3, 4), None, (2, 3), 1, (1, 2)),
    "transposed, dilated": lambda x: F.conv_transpose2d(
        x, kernel(4, 2, 3, 3), None, 2, 2, dilation=2
    ),
    "transposed with holes": lambda x: F.conv_transpose2d(x, kernel(4, 2, 2, 2), None, 3),
    "max pooling": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max pooling, ceiling": lambda x: F.max_pool2d(x, (3, 2), (2, 3), ceil_mode=True),
    "max pooling, dilated": lambda x: F.max_pool2d(x, 2, 1, dilation=(3, 2)),
    "average pooling": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average pooling, ceiling": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "average pooling without stride": lambda x: F.avg_pool2d(x, (2, 3)),
    "adaptive average": lambda x: F.adaptive_avg_pool2d(x, (5, 3)),
    "adaptive average, growing": lambda x: F.adaptive_avg_pool2d(x, (17, 16)),
    "adaptive maximum": lambda x: F.adaptive_max_pool2d(x, (5, 4)),
    "global average": lambda x: F.adaptive_avg_pool2d(x, 1),
    "mean over rows": lambda x: x.mean(2, keepdim=True),
    "mean over channels": lambda x: x.mean(1, keepdim=True),
    "maximum over columns": lambda x: x.amax(3, keepdim=True),
    "lopsided zeros": lambda x: F.conv2d(F.pad(x, (2, 0, 1, 3)), kernel(3, 4, 3, 3)),
    "cropping": lambda x: F.conv2d(F.pad(x, (-2, 1, 3, -4)), kernel(3, 4, 3, 3), padding=1),
    "padded channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    "reflection": lambda x: F.conv2d(F.pad(x, (1, 2, 3, 4), "reflect"), kernel(3, 4, 3, 2)),
    "far reflection": lambda x: F.pad(x, (9, 7, 8, 11), "reflect"),
    "replication": lambda x: F.conv2d(F.pad(x, (1, 2, 3, 4), "replicate"), kernel(3, 4, 2, 2)),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "nearest to a size": lambda x: F.interpolate(x, size=(17, 7)),
    "nearest, exactly": lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear by three": lambda x: F.interpolate(x, scale_factor=3, mode="bilinear"),
    "bilinear, corners": lambda x: F.interpolate(
        x, size=(7, 21), mode="bilinear", align_corners=True
    ),
    "bilinear, smoothed": lambda x: F.interpolate(x, size=(5, 4), mode="bilinear", antialias=True),
    "bicubic": lambda x: F.interpolate(x, scale_factor=1.5, mode="bicubic"),
    "slices": lambda x: x[:, :, 1::2, 2:7],
    "slices from the end": lambda x: x[:, :, -5:, :-3],
    "narrow": lambda x: x.narrow(3, 2, 6),
    "one row": lambda x: x[:, :, 3][:, :, None],
    "one row from the end": lambda x: x[:, :, -2][:, :, None],
    "list of columns": lambda x: x[:, :, :, torch.tensor([7, 1, -1])],
    "picked rows": lambda x: x.index_select(2, torch.tensor([7, 1, 1])),
    "halves": lambda x: x.chunk(2, 2)[1],
    "pieces": lambda x: x.split((3, 5, 2), 3)[1],
    "rows taken apart": lambda x: torch.stack(x.unbind(2)[3:7:2], 2),
    "windows of unfold": lambda x: x.unfold(2, 4, 3).unfold(3, 3, 2).mean((4, 5)),
    "flip": lambda x: F.conv2d(x, kernel(3, 4, 3, 3), stride=2).flip(2, 3),
    "roll": lambda x: x.roll((2, -3), (2, 3)),
    "repeat": lambda x: x.repeat(1, 2, 2, 1),
    "side by side": lambda x: torch.cat([x[..., :4], F.avg_pool2d(x, 3, 1, 1)], 3),
    "a constant first": lambda x: torch.cat([torch.zeros(len(x), 4, 12, 3, dtype=x.dtype), x], 3),
    "transposition": lambda x: F.conv2d(x, kernel(3, 4, 3, 1), stride=(2, 1)).transpose(2, 3),
    "channels last": normalise_over_channels,
    "windows of a view": partition,
    "pixel shuffle": lambda x: F.conv2d(F.pixel_shuffle(x, 2), kernel(2, 1, 3, 3)),
    "pixel unshuffle": lambda x: F.conv2d(F.pixel_unshuffle(x, 2), kernel(2, 16, 2, 2)),
    "channel shuffle": lambda x: F.channel_shuffle(x, 2),
    "squeeze and excitation": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "row by row": lambda x: x + x.mean(3, keepdim=True),
    "softmax over channels": lambda x: x.softmax(1),
    "softmax over rows": lambda x: (x * 1e-3).softmax(2),
    "instance normalisation": lambda x: F.instance_norm(x),
    "group normalisation": lambda x: F.group_norm(x, 2),
    "layer normalisation": lambda x: F.layer_norm(x, (HEIGHT, WIDTH)),
    "contrast normalisation": lambda x: F.local_response_norm(
        torch.cat([x[:, :2], F.avg_pool2d(x[:, 2:], 3, 1, 1)], 1), 3, alpha=1e-4
    )[:, 1:2],
    "constants on one side": lambda x: torch.cat([x, x.new_zeros(len(x), 4, 12, 2)], 3),
    "norm over channels": lambda x: x / x.norm(dim=1, keepdim=True),
    "linear over columns": lambda x: F.linear(x, kernel(5, WIDTH)),
    "linear over channels": lambda x: torch.einsum("nchw,kc->nkhw", x, kernel(3, 4)),
    "self-attention": attend,
    "fully connected": lambda x: F.linear(F.avg_pool2d(x, 2).flatten(1), kernel(5, 120)),
    "where": lambda x: torch.where(x > 0, x, 2 * x),
    "maximum": lambda x: torch.maximum(x, F.avg_pool2d(x, 3, 1, 1)),
}
"""Functions of feature maps (N, 4, 12, 10) whose geometry is known."""

BOUNDED = {
    "wrap-around padding": lambda x: F.pad(x, (1, 2, 3, 0), "circular"),
    "strides by hand": lambda x: x.as_strided((len(x), 4, 4, 3), (480, 120, 20, 2), 5),
    "fold and unfold": lambda x: F.fold(F.unfold(x, 3, padding=1), (12, 10), 3, padding=1),
    "constants on both sides": lambda x: torch.cat(
        [x.new_zeros(len(x), 4, 2, 10), x, x.new_zeros(len(x), 4, 2, 10)], 2
    ),
    "sampling": lambda x: F.grid_sample(
        x, torch.rand(1, 5, 4, 2, dtype=x.dtype).expand(len(x), -1, -1, -1), align_corners=False
    ),
    "running sum": lambda x: x.cumsum(2),
    "transform": lambda x: torch.fft.fft2(x).real,
    "written in place": lambda x: x.clone().index_fill_(2, torch.tensor([1]), 0.5),
    "weights from the image": lambda x: F.conv2d(x[:1], x[:1, :, :3, :3]),
}
"""Functions whose geometry is not known: their boxes may be too large."""


def trace(function):
    net = Operation(function)
    with record(net) as recording:
        net(torch.rand(1, 4, HEIGHT, WIDTH, dtype=torch.float64) + 1)
    return recording.find_output("last"), recording.input


def change_every_pixel(function, output, input):
    """Give (H, W, ...): by how much an output changes with each pixel, moved up or down."""
    start = input.detach()
    pixels = torch.eye(HEIGHT * WIDTH, dtype=torch.float64).view(-1, 1, HEIGHT, WIDTH)
    pixels = pixels * torch.tensor([1.0, 0.7, 0.9, 0.4]).view(4, 1, 1)
    moved = [
        torch.cat([function_of(function, start + size * p) for p in pixels.split(1)])
        for size in (1000, -0.7)
    ]
    changes = sum((one - output.detach()).abs() for one in moved)
    return changes.view(HEIGHT, WIDTH, output.shape[1], -1)


def function_of(function, x):
    with torch.no_grad():
        return Operation(function)(x)


def box_of(changed):
    """Give top, left, bottom and right of the pixels (H, W) that are True."""
    if not changed.any():
        return [0, 0, 0, 0]
    rows, columns = changed.nonzero(as_tuple=True)
    return [int(edge) for edge in (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)]


def all_positions(output):
    if output.ndim == 2:
        return torch.tensor([[0, 0]])
    return torch.cartesian_prod(*map(torch.arange, output.shape[2:]))


def measure_changes(function, output, input):
    """Give the box of pixels that change any unit, for each place of the output."""
    changes = change_every_pixel(function, output, input).amax(2) > 1e-12
    return [box_of(changes[:, :, k]) for k in range(len(all_positions(output)))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", EXACT)
def test_boxes_hold_just_the_pixels_that_change_the_output(name):
    output, input = trace(EXACT[name])
    positions = all_positions(output)
    boxes = find_boxes(output, input, positions)
    assert boxes.tolist() == measure_changes(EXACT[name], output, input)
    assert trace_back(output, input, positions).exact
    if not name.endswith(("flection", "replication")):  # whose margin shows the map again
        uncut, seen = find_boxes(output, input, positions, clip=False), boxes[:, 2] > boxes[:, 0]
        assert (uncut[seen, :2] <= boxes[seen, :2]).all()
        assert (uncut[seen, 2:] >= boxes[seen, 2:]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDED)
def test_boxes_are_never_too_small(name):
    output, input = trace(BOUNDED[name])
    positions = all_positions(output)
    boxes = find_boxes(output, input, positions).tolist()
    for box, seen in zip(boxes, measure_changes(BOUNDED[name], output, input), strict=True):
        assert seen[3] == 0 or (
            box[0] <= seen[0] and box[1] <= seen[1] and box[2] >= seen[2] and box[3] >= seen[3]
        )
    assert not trace_back(output, input, positions).exact
