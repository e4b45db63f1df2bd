"""Local response ("contrast") normalisation across feature maps."""

import sys

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function_unary


def normalise_responses(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Divide each value by the energy of its neighbours in the channel direction.

    ``y[c] = x[c] / (k + alpha / size * sum(x[c']^2))^beta`` over the ``size`` channels around
    ``c`` (Krizhevsky et al. 2012, section 3.3; their alpha is ``alpha / size`` here, as in Caffe,
    ONNX and torch). The sum over channels is a 1 x 1 convolution of the squares with a banded
    matrix, which on a CPU takes half the time of :func:`torch.nn.functional.local_response_norm`.

    Args:
        x: Feature maps (N, C, H, W).
        size: Channels in the window.
        alpha: Weight of the mean energy.
        beta: Exponent.
        k: Constant that keeps the divisor from zero.

    Returns:
        Feature maps (N, C, H, W).

    Example:
        >>> x = torch.randn(1, 8, 4, 4)
        >>> y = normalise_responses(x, 5, 1e-4, 0.75, 2.0)
        >>> torch.allclose(y, F.local_response_norm(x, 5, 1e-4, 0.75, 2.0), atol=1e-6)
        True
    """
    if has_torch_function_unary(x):  # lets a recorder see the call, as it sees F.relu
        result: Tensor = handle_torch_function(
            normalise_responses, (x,), x, size=size, alpha=alpha, beta=beta, k=k
        )
        return result
    if _is_exported():  # as others write it, and read it
        return F.local_response_norm(x, size, alpha, beta, k)
    band = _band_matrix(x, size) * (alpha / size)
    divisor = F.conv2d(x * x, band[:, :, None, None]) + k
    if beta == 0.75:  # the exponent of both papers; two roots are far cheaper than a power
        root = divisor.rsqrt()
        return x * (root * root.sqrt())
    return x * divisor.pow(-beta)


def _is_exported() -> bool:
    exporter = sys.modules.get("torch.onnx")  # loaded by who exports, and by nobody else
    return bool(getattr(exporter, "is_in_onnx_export", bool)())


def _band_matrix(x: Tensor, size: int) -> Tensor:
    """Make the (C, C) matrix of ones where two channels lie in one window."""
    index = torch.arange(x.shape[1], device=x.device)
    offset = index[None, :] - index[:, None]  # torch's window: size // 2 before, the rest after
    inside = (offset >= -(size // 2)) & (offset <= (size - 1) // 2)
    return inside.to(x.dtype)


class ContrastNormalisation(nn.Module):
    """Module form of :func:`normalise_responses`.

    Args:
        size: Channels in the window.
        alpha: Weight of the mean energy; 5e-4 is the 1e-4 per channel of Krizhevsky et al.
        beta: Exponent.
        k: Constant in the divisor.
    """

    def __init__(
        self, size: int = 5, alpha: float = 5e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return normalise_responses(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
