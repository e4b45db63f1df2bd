"""Unpooling against autograd's own adjoint of max pooling."""

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from vizcnn.recording.unpool import Window, pool_with_switches, unpool


@st.composite
def draw_windows(draw):
    """Any geometry that torch's pooling takes: padding at most half a window."""

    def draw_pair(least, most):
        return draw(st.tuples(st.integers(least, most), st.integers(least, most)))

    size = draw_pair(1, 4)
    padding = tuple(draw(st.integers(0, side // 2)) for side in size)
    return Window(size, draw_pair(1, 3), padding, draw_pair(1, 3), draw(st.booleans()))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(window=draw_windows(), size=st.sampled_from([(11, 11), (12, 10)]))
@example(window=Window((3, 3), (2, 2)), size=(11, 11))
@example(window=Window((2, 2), (3, 3)), size=(12, 10))
@example(window=Window((3, 3), (2, 2), (1, 1), (2, 1), ceil=True), size=(12, 10))
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
