"""What the tests of projections share."""

from torch import Tensor, nn

from vizcnn.projection.deconvnet import Projector


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """Give the largest difference over the largest wanted value; an empty reference fails."""
    assert got.shape == wanted.shape
    scale = wanted.abs().max()
    assert scale > 0, "the reference itself is empty"
    return ((got - wanted).abs().max() / scale).item()


def project_unit(net: nn.Module, images: Tensor, layer: str, unit: int, method: str) -> Tensor:
    """Project one unit of each image, where it is strongest."""
    return Projector(net, method).project(images, layer, unit).pixels
