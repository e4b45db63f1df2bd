"""Features of layers for many pictures, and the layers that are looked at where none is named."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.attribution.readout import read_layers
from vizcnn.recording.layers import select_stages
from vizcnn.zoo.classification import check_logits
from vizcnn.zoo.model import ZooModel


def find_last_hidden(model: ZooModel) -> str:
    """Name the last layer before the classes: fc7 of AlexNet, ZFNet and VGG.

    Raises:
        LayerError: If the net's layers have no names.

    Example:
        >>> import vizcnn
        >>> find_last_hidden(vizcnn.load("lenet", weights=None))
        'fc4'
    """
    classes = model.layers[model.find_class_layer()]
    hidden = [name for name, path in model.layers.items() if path != classes]
    return hidden[-1] if hidden else model.find_class_layer()


def find_first_and_last(model: ZooModel) -> tuple[str, ...]:
    """Name the first stage and the last hidden layer: the layers of Zeiler & Fergus' Figure 5.

    Raises:
        LayerError: If the net's layers have no names.
    """
    return tuple(dict.fromkeys((select_stages(model)[0], find_last_hidden(model))))


def find_deepest(model: ZooModel) -> tuple[str, ...]:
    """Name the last stage and the last hidden layer: the layers of Zeiler & Fergus' Table 1.

    Raises:
        LayerError: If the net's layers have no names.
    """
    return tuple(dict.fromkeys((select_stages(model)[-1], find_last_hidden(model))))


def read_features(
    model: ZooModel, pixels: Tensor, layers: Sequence[str]
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """Run a net on many pictures, a few at a time, and give what layers put out.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, S, S), RGB 0..1.
        layers: Canonical names or module paths.

    Yields:
        Which of the pictures, and by layer their features, (n, C, h, w) or (n, C), float64, on the
        CPU.

    Raises:
        LayerError: If a layer does not exist, was not called, or puts out no feature maps.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> ((which, read),) = read_features(net, torch.rand(2, 3, 32, 32), ["conv1", "fc4"])
        >>> which, read["conv1"].shape, read["fc4"].dtype
        (slice(0, 2, None), torch.Size([2, 6, 28, 28]), torch.float64)
    """
    for first in range(0, len(pixels), AT_ONCE):
        with torch.no_grad():
            read = read_layers(model, pixels[first : first + AT_ONCE], layers)
        maps = {layer: readout.maps.cpu().double() for layer, readout in read.items()}
        yield slice(first, min(first + AT_ONCE, len(pixels))), maps


def find_score_layer(model: ZooModel, pixels: Tensor) -> str | None:
    """Name the layer that puts out the class scores, to read them in the same pass.

    Args:
        model: A net of the zoo.
        pixels: (1, 3, S, S), RGB 0..1.

    Returns:
        Its name; None of a net whose last named layer puts out something else, or that has none.

    Raises:
        ModelError: If a score is not finite.
    """
    logits = model.logits(pixels)
    if logits.ndim != 2:
        return None
    check_logits(logits, model.name)
    if not model.layers:
        return None
    last = model.find_class_layer()
    ((_, read),) = read_features(model, pixels, [last])
    same = read[last].shape == logits.shape and torch.allclose(
        read[last], logits.cpu().double(), rtol=1e-4, atol=1e-6
    )
    return last if same else None
