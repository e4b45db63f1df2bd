"""Nets as a program or a notebook holds them: photos go in by one call, pictures come out.

The room of the nets lies below that of the projections; what a net can do with both is here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from typing import ParamSpec, Self

from vizcnn.photos.arrays import Photo
from vizcnn.projection.active_units import Compare
from vizcnn.projection.deconvnet import Deconvnet
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position, Units
from vizcnn.recording.layers import Layer
from vizcnn.zoo import loading, wrapping
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, eq=False, repr=False)
class Net(ZooModel):
    """A net that classifies photos and projects its units: what load and wrap give.

    Attributes are those of :class:`~vizcnn.zoo.model.ZooModel`; every function of vizcnn takes it.

    Example:
        >>> from vizcnn.zoo import loading
        >>> net = Net.extend(loading.load("lenet"))
        >>> net("coffee").logits.shape, len(net.deconv("coffee", "conv1", count=3))
        (torch.Size([1, 10]), 3)
    """

    @classmethod
    def extend(cls, model: ZooModel) -> Self:
        """Make one of a net of the zoo, which it shares the module with."""
        return cls(**{field.name: getattr(model, field.name) for field in fields(ZooModel)})

    def deconv(
        self,
        photos: Photo | Iterable[Photo],
        layer: Layer | None = None,
        unit: Units = "top",
        position: Position = "max",
        count: int = 9,
        compare: Compare | None = None,
    ) -> Projection:
        """Project units back to pixels by the deconvnet of Zeiler & Fergus.

        Args:
            photos: Files, names of samples, PIL images, arrays, pixels, and lists of these.
            layer: As for :meth:`Projector.project <vizcnn.Projector.project>`; that of the classes
                when None.
            unit: Numbers, names of classes, or ``"top"`` for each photo's strongest.
            position: ``"max"``, (row, column) in the feature map, or ``"all"``.
            count: How many units ``"top"`` takes.
            compare: With how many other active units of its place each is compared.

        Returns:
            One row per photo and unit, with pictures: ``.show()``, ``.save("conv5.png")``. By other
            methods: ``vizcnn.GuidedBackprop(net)``, ``vizcnn.Gradient(net)``.

        Raises:
            ImageError: If a photo cannot be read or made out.
            LayerError: If the layer, a unit or the position does not exist.
            UnsupportedOperationError: If an operation on the way has no rule.
        """
        layer = self.find_class_layer() if layer is None else layer
        return Deconvnet(self).project(photos, layer, unit, position, count, compare)


Arguments = ParamSpec("Arguments")


def _give_nets(make: Callable[Arguments, ZooModel]) -> Callable[Arguments, Net]:
    """Let a function of the zoo give nets that project."""

    @wraps(make)
    def give(*given: Arguments.args, **named: Arguments.kwargs) -> Net:
        return Net.extend(make(*given, **named))

    give.__module__ = __name__  # where pickle finds it: other processes are told what to load
    return give


load = _give_nets(loading.load)
wrap = _give_nets(wrapping.wrap)
