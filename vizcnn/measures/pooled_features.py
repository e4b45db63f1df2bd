"""Features of a net's layers as vectors, small enough to keep those of thousands of photos."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vizcnn.attribution.readout import read_layers
from vizcnn.basics.errors import ModelError, quote
from vizcnn.recording.layers import select_layers, select_stages
from vizcnn.zoo.model import ZooModel

LOT = 32
"""Photos that go through the net at a time, the last lot filled up with black ones: the number
decides the last bits."""


def list_probed_layers(model: ZooModel, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """List layers whose features are probed, the lowest first.

    Args:
        model: The net.
        wanted: Names, lists and ranges; conv1, conv2, ... and what follows them but for the
            classes, if none are named.

    Raises:
        LayerError: If a layer does not exist, or the net's layers have no names.

    Example:
        >>> import vizcnn
        >>> list_probed_layers(vizcnn.load("zfnet", weights=None, hidden=8))
        ('conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'fc6', 'fc7')
    """
    if wanted:
        return select_layers(model, wanted)
    stages = select_stages(model)
    names = list(model.layers)
    after = names[names.index(stages[-1]) + 1 : names.index(model.find_class_layer())]
    joined = [name for name in after if name.startswith("fc")] or after[-1:]
    return (*stages, *joined)


def pool_maps(maps: Tensor, places: int) -> Tensor:
    """Average feature maps over blocks of places, and lay them out as vectors.

    Args:
        maps: (N, C, h, w) or (N, C).
        places: Rows and columns that are left at most.

    Returns:
        (N, C * rows * columns).

    Example:
        >>> pool_maps(torch.arange(16.0).view(1, 1, 4, 4), places=2)
        tensor([[ 2.5000,  4.5000, 10.5000, 12.5000]])
    """
    if maps.ndim == 2:
        return maps
    height, width = (min(side, places) for side in maps.shape[2:])
    return F.adaptive_avg_pool2d(maps, (height, width)).flatten(1)


@torch.no_grad()
def read_pooled_features(
    model: ZooModel, pixels: Tensor, layers: Sequence[str], places: int
) -> dict[str, NDArray[np.float32]]:
    """Read the features of a lot of photos.

    Args:
        model: The net.
        pixels: At most :data:`LOT` photos, (n, 3, S, S), uint8.
        layers: Names of layers.
        places: As for :func:`pool_maps`.

    Returns:
        By layer, (n, D), float32.

    Raises:
        LayerError: If a layer does not exist, or puts out no feature maps.
        ModelError: If a feature is not finite: no classifier can be trained on it.
    """
    lot = torch.zeros(LOT, *pixels.shape[1:], dtype=torch.float32)
    lot[: len(pixels)] = pixels.to(torch.float32).div(255)
    found = read_layers(model, lot, layers)
    features = {
        layer: pool_maps(readout.maps[: len(pixels)].float(), places).cpu().numpy()
        for layer, readout in found.items()
    }
    for layer, values in features.items():
        if not np.isfinite(values).all():
            raise ModelError(
                f"layer {quote(layer)} puts out values that are not finite: the net's weights are "
                "too large for float32, or damaged"
            )
    return features
