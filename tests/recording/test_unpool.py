"""Unpooling against autograd's own adjoint of max pooling."""

import pytest
import torch
from torch.nn import functional as F

from vizcnn.recording.unpool import Window, pool_with_switches, unpool

WINDOWS = [
    Window((2, 2), (2, 2)),
    Window((3, 3), (2, 2)),
    Window((3, 3), (2, 2), ceil=True),
    Window((3, 3), (1, 1), padding=(1, 1)),
    Window((3, 2), (2, 3), padding=(1, 0)),
    Window((2, 2), (3, 3)),
    Window((2, 3), (1, 2), dilation=(2, 3)),
    Window((3, 3), (2, 2), padding=(1, 1), dilation=(2, 1), ceil=True),
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", [(11, 11), (12, 9)])
def test_is_the_adjoint_of_pooling(window, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 4, (2, 3, *size), generator=generator).double().requires_grad_()
    maxima, switches = pool_with_switches(x.detach(), window)
    plain = F.max_pool2d(
        x, window.size, window.stride, window.padding, window.dilation, window.ceil
    )
    assert torch.equal(plain.detach(), maxima)
    signal = torch.randn(maxima.shape, generator=generator, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(plain, x, signal)
    assert torch.allclose(unpool(signal, switches, window, size), wanted, atol=1e-12)


def test_sums_where_max_unpool_overwrites():
    x = torch.tensor([[[[0.0, 0.0, 5.0, 0.0, 0.0]]]])
    window = Window((1, 3), (1, 2))
    maxima, switches = pool_with_switches(x, window)
    assert unpool(maxima, switches, window, (1, 5)).flatten().tolist() == [0, 0, 10, 0, 0]
    overwritten = F.max_unpool2d(maxima, switches, (1, 3), (1, 2), output_size=(1, 5))
    assert overwritten.flatten().tolist() == [0, 0, 5, 0, 0]
