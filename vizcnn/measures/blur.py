"""BlurPool: a binomial blur in front of every subsampling, in a net with its weights as they are.

Source: Zhang, Making Convolutional Networks Shift-Invariant Again (arXiv 1904.11486): max pooling
becomes ``BlurPool(stride s) o Max(stride 1)``, strided convolution with its rectifier becomes
``BlurPool(stride s) o ReLU o Conv(stride 1)``, with the filters Rect-2, Tri-3 and Bin-5.
"""

import math
from collections import Counter
from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.recording.unpool import pair

_CHILD = "blur"
"""Name under which a BlurPool is a part of the module whose output it blurs."""


def binomial_kernel(taps: int) -> Tensor:
    """Give the two-dimensional binomial filter: a row of Pascal's triangle times itself.

    Its response to a grating of (v, u) cycles per pixel is ``(cos(pi v) cos(pi u))^(taps - 1)``,
    with a delay of half a pixel if the number of taps is even.

    Args:
        taps: Side in pixels: 1 changes nothing, 2, 3 and 5 are Zhang's Rect-2, Tri-3 and Bin-5.

    Returns:
        (taps, taps), float64, sum 1.

    Raises:
        LayerError: If there is no tap.

    Example:
        >>> (binomial_kernel(3) * 16).tolist()
        [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    row = torch.tensor(_binomial_row(taps), dtype=torch.float64)
    return torch.outer(row, row)


def _binomial_row(taps: int) -> list[float]:
    if taps < 1:
        raise LayerError(f"a binomial filter of {taps} taps; needed: 1 or more, such as 3 or 5")
    return [math.comb(taps - 1, tap) / 2 ** (taps - 1) for tap in range(taps)]


class BlurPool(nn.Module):
    """Blur every feature map with the binomial filter, then keep every stride-th value.

    Output i is centred on input ``stride * i`` (an even number of taps: half a pixel further), so
    that n values become ``floor((n - 1) / stride) + 1``. The border is reflected; where a map is
    too small for that, its last value is repeated.

    Args:
        taps: Taps of the filter, or a pair (vertical, horizontal).
        stride: Subsampling step, or a pair.

    Raises:
        LayerError: If there is no tap.

    Example:
        >>> BlurPool(3, 2)(torch.tensor([[[[0.0, 4.0, 8.0, 4.0, 0.0]]]]))
        tensor([[[[2., 6., 2.]]]])
    """

    def __init__(self, taps: int | tuple[int, int], stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.taps, self.stride = pair(taps), pair(stride)
        self._rows = [_binomial_row(number) for number in self.taps]

    def forward(self, x: Tensor) -> Tensor:
        """Blur and subsample maps (N, C, H, W) or (C, H, W)."""
        # made anew for each input: a net with blur has the state, device and type of one without
        vertical, horizontal = (x.new_tensor(row) for row in self._rows)
        channels = x.shape[-3]
        kernel = torch.outer(vertical, horizontal).repeat(channels, 1, 1, 1)
        extended = _extend(_extend(x, -2, self.taps[0]), -1, self.taps[1])
        return F.conv2d(extended, kernel, stride=self.stride, groups=channels)

    def extra_repr(self) -> str:
        return f"taps={self.taps}, stride={self.stride}"


def _extend(x: Tensor, axis: int, taps: int) -> Tensor:
    before, after = (taps - 1) // 2, taps // 2
    if after == 0:
        return x
    padding = (0, 0, before, after) if axis == -2 else (before, after, 0, 0)
    return F.pad(x, padding, mode="reflect" if after < x.shape[axis] else "replicate")


def insert_blur(module: nn.Module, taps: int) -> nn.Module:
    """Give a copy of a net in which every subsampling is preceded by a blur; the weights are kept.

    Every Conv2d and MaxPool2d with a stride runs at stride 1 and is followed by a
    :class:`BlurPool` of that stride; in a direction without stride nothing is blurred. Where a
    convolution is directly followed by an ``nn.ReLU`` of the same ``nn.Sequential``, the blur comes
    after the ReLU, as Zhang has it; elsewhere (batch normalisation, ``F.relu``) directly after the
    convolution, for the code that calls the modules cannot be seen. All maps keep their sizes but
    those between such a convolution and its ReLU, which are dense now.

    The BlurPool becomes a part ``blur`` of the module whose output it takes, applied by a forward
    hook: kinds, paths and state dict stay the original's, and so does the meaning of every layer
    name: ``features.relu1`` is the rectified map after subsampling, as it was. A ReLU that is used
    elsewhere too is doubled; all other modules that are shared stay shared.

    What stays: average pooling (it blurs already), adaptive pooling, and what the net's code
    subsamples without a module (``F.max_pool2d``, ``F.conv2d``, slices).

    Args:
        module: Any torch module; it is not touched.
        taps: Taps of the binomial filter, such as 3 or 5; 1 subsamples without a blur, which
            computes what the original does.

    Returns:
        The copy, on the same device, in the same mode, trainable like the original.

    Raises:
        LayerError: If there is no tap.
        ModelError: If the net holds scripted or compiled parts, or a strided pooling that also
            gives indices.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        >>> blurred = insert_blur(net, 3)
        >>> blurred[1]
        ReLU(
          (blur): BlurPool(taps=(3, 3), stride=(2, 2))
        )
        >>> x = torch.rand(1, 3, 17, 17)
        >>> net(x).shape == blurred(x).shape
        True
    """
    _binomial_row(taps)
    _refuse_unblurrable(module)
    copy = deepcopy(module)
    homes = _find_homes(copy)
    for part in list(copy.modules()):
        if not (isinstance(part, nn.Conv2d | nn.MaxPool2d) and max(pair(part.stride)) > 1):
            continue
        stride = pair(part.stride)
        if isinstance(part, nn.MaxPool2d) and part.ceil_mode:
            part.register_forward_pre_hook(partial(_pad_for_ceil, stride=stride))
        part.stride = (1, 1)
        home = homes.get(part, part)
        home.add_module(_CHILD, BlurPool(_taps_where_strided(taps, stride), stride))
        home.register_forward_hook(_apply_blur)
    return copy


def _taps_where_strided(taps: int, stride: tuple[int, int]) -> tuple[int, int]:
    return taps if stride[0] > 1 else 1, taps if stride[1] > 1 else 1


def _refuse_unblurrable(module: nn.Module) -> None:
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule) or type(part).__name__ == "OptimizedModule":
            raise ModelError(
                f"module {path!r} is scripted or compiled and cannot be blurred: pass the original"
            )
        if isinstance(part, nn.MaxPool2d) and part.return_indices and max(pair(part.stride)) > 1:
            raise ModelError(
                f"max pooling {path!r} also gives indices, which cannot be blurred: set "
                "return_indices=False"
            )


def _find_homes(net: nn.Module) -> dict[nn.Module, nn.Module]:
    """Find the ReLU that alone and always follows a strided convolution; make it so if need be."""
    uses = Counter(
        part for home in net.modules() for part in home._modules.values() if part is not None
    )
    homes: dict[nn.Module, nn.Module] = {}
    for chain in [part for part in net.modules() if isinstance(part, nn.Sequential)]:
        for number, (part, after) in enumerate(pairwise(list(chain))):
            strided = isinstance(part, nn.Conv2d) and max(part.stride) > 1 and uses[part] == 1
            if strided and isinstance(after, nn.ReLU):
                if uses[after] > 1:  # elsewhere it has to go on without a blur
                    chain[number + 1] = deepcopy(after)
                homes[part] = chain[number + 1]
    return homes


def _apply_blur(part: nn.Module, args: Any, output: Tensor) -> Tensor:
    blurred: Tensor = part.get_submodule(_CHILD)(output)
    return blurred


def _pad_for_ceil(
    pool: nn.MaxPool2d, args: tuple[Tensor, ...], stride: tuple[int, int]
) -> tuple[Tensor, ...]:
    """Pad right and bottom, so that a pooling at stride 1 holds the windows that ceil_mode adds."""
    window, padding, dilation = map(pair, (pool.kernel_size, pool.padding, pool.dilation))
    bottom, right = (
        _count_missing(args[0].shape[axis - 2], *sizes)
        for axis, sizes in enumerate(zip(window, padding, dilation, stride, strict=True))
    )
    return (F.pad(args[0], (0, right, 0, bottom), value=-math.inf), *args[1:])


def _count_missing(size: int, window: int, padding: int, dilation: int, stride: int) -> int:
    dense = size + 2 * padding - dilation * (window - 1)
    windows = math.ceil((dense - 1) / stride) + 1
    if (windows - 1) * stride >= size + padding:  # no window may begin in the padding on the right
        windows -= 1
    return max((windows - 1) * stride + 1 - dense, 0)


def count_blurs(module: nn.Module) -> int:
    """Count the subsamplings of a net that :func:`insert_blur` puts a blur before.

    Example:
        >>> count_blurs(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)))
        2
    """
    return sum(isinstance(part, BlurPool) for part in insert_blur(module, 3).modules())
