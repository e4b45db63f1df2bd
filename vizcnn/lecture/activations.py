"""What trained nets hold on a photo: the outputs of some layers."""

from collections.abc import Sequence

from torch import Tensor

from vizcnn.recording.layers import find_layer
from vizcnn.recording.recording import record
from vizcnn.zoo.model import ZooModel


def read_activations(model: ZooModel, pixels: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """Run a net on a photo and give the outputs of layers.

    Args:
        model: A net of the zoo.
        pixels: (1, 3, S, S), RGB 0..1.
        layers: Canonical names or module paths.

    Returns:
        One for each layer, on the CPU: (maps, rows, columns) or (units,).
    """
    like = next(model.module.parameters())
    paths = [find_layer(model, layer) for layer in layers]
    with record(model.module, paths) as recording:
        model.module(model.preprocessing.normalise(pixels.to(like.device, like.dtype)))
    return [recording.find_output(path).detach()[0].cpu() for path in paths]
