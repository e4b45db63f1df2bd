"""What a photo's most probable classes use: of each unit, gradient times activation."""

from collections.abc import Mapping

from torch import Tensor

from vizcnn.mining.relevance import watch_relevance
from vizcnn.zoo.model import ZooModel


def measure_class_use(
    model: ZooModel, pixels: Tensor, paths: Mapping[str, str], classes: Tensor
) -> dict[str, Tensor]:
    """Measure how far the units of layers speak for classes, on one photo.

    A unit's use is its activation times the gradient of the class's logit with respect to it,
    summed over its map: what the unit adds to the logit, to first order.

    Args:
        model: A net of the zoo.
        pixels: The photo, (1, 3, H, W), RGB 0..1.
        paths: Names of layers, and their module paths.
        classes: Numbers of n classes.

    Returns:
        By layer (n, C), float32, on the CPU.

    Raises:
        ModelError: If the net puts out no logits that depend on the photo.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> use = measure_class_use(net, torch.rand(1, 3, 32, 32), net.layers, torch.tensor([3, 8]))
        >>> use["conv2"].shape
        torch.Size([2, 16])
    """
    like = next(model.module.parameters())
    inputs = model.preprocessing.normalise(pixels.to(like.device, like.dtype))
    found: dict[str, Tensor] = {}

    def see(name: str, maps: Tensor, relevance: Tensor) -> None:
        found[name] = relevance.flatten(2).sum(dim=2) if relevance.ndim > 2 else relevance

    with watch_relevance(model.module, paths, len(model.classes)) as run:
        run(inputs.expand(len(classes), -1, -1, -1), classes.to(like.device), see)
    return {name: use.float().cpu() for name, use in found.items()}
