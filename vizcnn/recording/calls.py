"""Torch functions that a forward pass called."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.recording.unpool import Window
from vizcnn.zoo.normalisation import normalise_responses

NORMALISATIONS = (F.local_response_norm, normalise_responses)
MAX_POOLINGS = (F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d)


@dataclass(frozen=True)
class Call:
    """One torch function that the forward pass called.

    Attributes:
        function: The function, as torch's override protocol names it.
        args: Positional arguments.
        kwargs: Keyword arguments.
        output: Its result.
        switches: For max pooling: where each maximum came from.
        window: For max pooling: its geometry.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor
    switches: Tensor | None = None
    window: Window | None = None

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self.function, "__name__", self.function))

    @property
    def sources(self) -> list[Tensor]:
        """The feature maps among the arguments, lists of them included; parameters left out."""
        values = [*self.args, *self.kwargs.values()]
        flat = [
            item
            for value in values
            for item in (value if isinstance(value, list | tuple) else (value,))
        ]
        return [item for item in flat if is_feature_map(item)]

    @property
    def source(self) -> Tensor:
        """The first feature map among the arguments."""
        return self.sources[0]


def is_feature_map(value: Any) -> bool:
    """Tell whether a value depends on the input: a tensor with a graph, no parameter."""
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)
