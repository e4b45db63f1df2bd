"""Pictures of the same units by every method that is checked, gradient times input among them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vizcnn.attribution.gradients import GRADIENT_X_INPUT, multiply_by_input
from vizcnn.attribution.question import Fill, find_fill
from vizcnn.basics.errors import VizcnnError, nearest_names, quote
from vizcnn.photos.pixels import Array
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import METHODS
from vizcnn.projection.projection import Projection
from vizcnn.projection.rules import Seed
from vizcnn.projection.targets import Targets, places, strongest, units_at
from vizcnn.recording.recording import Recording
from vizcnn.zoo.model import ZooModel

CHECKED_METHODS = (*METHODS, GRADIENT_X_INPUT)
"""Names of the methods that can be checked."""
FILL: Fill = "grey"
"""Colour that stands for no photo: of hidden squares, and of the input that gradients are
multiplied with, so that the sum of these products in a square is the drop to first order."""


class MethodSet:
    """Several methods, attached to one net.

    Args:
        model: The net.
        methods: Names in :data:`CHECKED_METHODS`.
        seed: What the way back starts with; each method's own habit when None.

    Raises:
        VizcnnError: If there is no method, or none of that name.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> methods = MethodSet(net, ["guided", "gradient-x-input"])
        >>> pixels = torch.rand(2, 3, net.input_size, net.input_size)
        >>> recording = methods.record(pixels, ["conv2"])
        >>> targets = methods.aim(recording, "conv2")
        >>> found = methods.project(recording, "conv2", targets, pixels)
        >>> [len(projection) for projection in found.values()]
        [2, 2]
    """

    def __init__(self, model: ZooModel, methods: Sequence[str], seed: Seed | None = None) -> None:
        if not methods:
            raise VizcnnError(f"no method is named; needed: some of {', '.join(CHECKED_METHODS)}")
        for name in methods:
            if name not in CHECKED_METHODS:
                raise VizcnnError(
                    f"no method {quote(name)}: {nearest_names(name, CHECKED_METHODS)}"
                )
        self.model, self.names = model, tuple(dict.fromkeys(methods))
        ways = dict.fromkeys("gradient" if n == GRADIENT_X_INPUT else n for n in self.names)
        self._projectors = {way: Projector(model, way, seed=seed) for way in ways}
        self._any = next(iter(self._projectors.values()))

    def record(self, pixels: Tensor, layers: Sequence[str]) -> Recording:
        """Record photos (N, 3, S, S), RGB 0..1, for layers."""
        return self._any.record(pixels, layers)

    def find_maps(self, recording: Recording, layer: str) -> Tensor:
        """Give what a layer put out, with its graph."""
        return recording.find_output(self._any.find_path(layer))

    def aim(
        self,
        recording: Recording,
        layer: str,
        units: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Targets:
        """Aim at a unit of each photo.

        Args:
            recording: From :meth:`record`.
            layer: Canonical name or module path.
            units: One for each photo, (N,); each photo's strongest when None.
            positions: Their rows and columns, (N, 2); the whole map when None or -1, as it stands
                for a class in a net that takes the mean of its last maps.
        """
        maps = self.find_maps(recording, layer)
        if units is None:
            return strongest(maps, 1)
        images = torch.arange(len(maps), device=maps.device)
        if positions is not None and bool((positions >= 0).all()):
            return places(maps, images, units, positions)
        whole = units_at(maps, range(maps.shape[1]), "all" if maps.ndim > 2 else "max")
        return whole.take(images * maps.shape[1] + units)

    def project(
        self, recording: Recording, layer: str, targets: Targets, pixels: Tensor
    ) -> dict[str, Projection]:
        """Project the same targets by every method.

        Args:
            recording: From :meth:`record`.
            layer: Canonical name or module path.
            targets: What to project.
            pixels: The photos that were recorded.

        Returns:
            The projections with respect to RGB pixels, by the method's name.

        Raises:
            UnsupportedOperationError: If a method has no rule for an operation on the way.
        """
        found = {
            way: projector.project_targets(recording, layer, targets)
            for way, projector in self._projectors.items()
        }
        if GRADIENT_X_INPUT in self.names:
            reference = find_fill(self.model, FILL)
            found[GRADIENT_X_INPUT] = multiply_by_input(found["gradient"], pixels, reference)
        return {name: found[name] for name in self.names}


def to_array(values: Tensor) -> Array:
    """Give values of pictures as an array, without their graph."""
    array: Array = values.detach().cpu().float().numpy()
    return array


def choose_classes(model: ZooModel, pixels: Tensor, count: int = 2) -> Tensor:
    """Give the likeliest classes of photos, the likeliest first: (N, count)."""
    return model.logits(pixels).sort(dim=1, descending=True, stable=True).indices[:, :count]
