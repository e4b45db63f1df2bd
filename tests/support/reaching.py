"""Nets whose gradient is not zero at just the pixels that a unit can depend on.

They run their own forward pass with what hides a dependence taken out: convolutions have positive
weights and one map, maxima are replaced by sums over their windows, nothing is normalised.
"""

import torch
from torch import nn
from torch.nn import functional as F

from vizcnn.zoo.lenet import Subsampling
from vizcnn.zoo.normalisation import ContrastNormalisation

MAX_POOL = F.max_pool2d


def let_everything_through(monkeypatch):
    """Patch torch's layers so that the gradient of any net reaches all that it can."""
    patch = monkeypatch.setattr
    patch(
        nn.Conv2d,
        "forward",
        lambda self, x: slide(x, self.kernel_size, self.stride, self.padding, self.dilation),
    )
    patch(nn.Linear, "forward", lambda self, x: x.mean(-1, keepdim=True))
    for kind in (nn.BatchNorm2d, nn.LocalResponseNorm, ContrastNormalisation):
        patch(kind, "forward", lambda self, x: x)
    patch(Subsampling, "forward", lambda self, x: F.avg_pool2d(x, 2))
    patch(F, "max_pool2d", sum_window)


def sum_window(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, **_):
    """Sum over the windows of a max pooling, without torch's pooling but for the size."""
    size = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * 2
    height, width = MAX_POOL(x, size, stride, padding, dilation, ceil_mode).shape[-2:]
    padded = F.pad(x, (padding, 4 * size[1], padding, 4 * size[0]))
    return slide(padded, size, stride or size, 0, dilation)[..., :height, :width]


def slide(x, size, stride, padding, dilation):
    """Convolve the mean of all maps with a positive kernel whose parts are all different."""
    kernel = 1 + torch.arange(size[0] * size[1], dtype=x.dtype).view(1, 1, *size) / 7
    return F.conv2d(x.mean(1, keepdim=True), kernel / kernel.sum(), None, stride, padding, dilation)


def find_reaches(module, layers, shape, places):
    """Give the boxes of the pixels that units depend on.

    Args:
        module: A net, patched by :func:`let_everything_through`.
        layers: Module paths.
        shape: Of the input.
        places: Per layer, rows and columns.
    """
    # small, so that no ReLU6 is saturated
    x = torch.full(shape, 1e-6, dtype=torch.float64, requires_grad=True)
    outputs = run(module, layers, x)
    return {path: [reach_of(outputs[path], x, place) for place in places[path]] for path in layers}


def run(module, layers, x):
    """Give what layers put out, by module path."""
    outputs = {}

    def keep(path):
        def hook(part, args, output):
            outputs[path] = output.clone()  # the layer after this one may be a ReLU in place

        return hook

    hooks = [module.get_submodule(path).register_forward_hook(keep(path)) for path in layers]
    module(x)
    for hook in hooks:
        hook.remove()
    return outputs


def reach_of(output, x, place):
    """Give top, left, bottom and right of the pixels at which all maps of a place have a slope."""
    chosen = output[0, :, *place] if output.ndim == 4 else output[0]
    (slope,) = torch.autograd.grad(chosen.sum(), x, retain_graph=True)
    rows, columns = slope[0].sum(0).nonzero(as_tuple=True)
    return [int(edge) for edge in (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)]
