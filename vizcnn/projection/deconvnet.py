"""Deconvnet, guided backprop and gradient as modules that attach to any net."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.basics.errors import ImageError, ModelError, VizcnnError, check_kind, quote
from vizcnn.basics.memory import describe_shortage, find_shortage
from vizcnn.photos.arrays import Photo, list_photos, name_photos
from vizcnn.photos.images import check_images
from vizcnn.projection.active_units import Compare
from vizcnn.projection.methods import Gates, ProjectionMethod, Unruled, find_method, need_rule
from vizcnn.projection.mirror import mirror
from vizcnn.projection.projection import Projection, Scene, project
from vizcnn.projection.rules import Rule, Seed
from vizcnn.projection.targets import Position, Targets, Units, choose_targets, places
from vizcnn.recording.arithmetic import (
    Precision,
    check_precision,
    chosen_arithmetic,
    use_precision,
)
from vizcnn.recording.layers import (
    Layer,
    LayerReference,
    find_layer,
    list_layers,
    name_layer,
)
from vizcnn.recording.recording import Recording, record
from vizcnn.recording.watch import AllRecorded
from vizcnn.zoo.model import ZooModel, find_class, find_module
from vizcnn.zoo.preprocessing import USUAL_SIZE


class Projector(nn.Module):
    """Projects the units of a net back to pixels by one method; the net itself is never changed.

    Args:
        model: A net of the zoo, or any torch module that takes a batch of images.
        method: A name of :data:`vizcnn.projection.methods.METHODS`, a rule, or a method.
        passes_over_normalisation: Skip contrast normalisation on the way back. By default the
            deconvnet does, as ZF do, and the gradients take its true gradient.
        unruled: ``"gradient"`` takes the plain gradient at operations that the rule does not know
            (SiLU, GELU, gates) where the default, ``"refuse"``, refuses them by name;
            ``"rectify"`` treats smooth activations by the rule's own definition.
        gates: ``"hold"`` takes gates (squeeze-and-excitation, attention) as fixed at their values.
        seed: What the backward pass starts with: ``"activation"`` (of a unit below zero its size)
            or ``"one"``. By default the gradient starts with one, and is a derivative; the others
            with the activation, as ZF do.
        precision: ``"exact"`` or, on a GPU, ``"fast"``: TF32 in place of float32. By default what
            was chosen (:func:`~vizcnn.recording.arithmetic.use_precision`), else exact.

    Attributes:
        method: The method, settled.
        precision: Of the arithmetic.

    Raises:
        ModelError: If the net's device cannot compute so.
    """

    def __init__(
        self,
        model: ZooModel | nn.Module,
        method: str | Rule | ProjectionMethod,
        passes_over_normalisation: bool | None = None,
        unruled: Unruled | None = None,
        gates: Gates | None = None,
        seed: Seed | None = None,
        precision: Precision | None = None,
    ) -> None:
        super().__init__()
        like = next(find_module(model).parameters(), torch.empty(0))
        self.precision = check_precision(precision, like.device)
        # not registered as a submodule: .to(), .train() or .half() on the projector must not reach
        # into the user's net
        self._attached = (model,)
        self.method = find_method(method, passes_over_normalisation, unruled, gates, seed)

    @property
    def rule(self) -> Rule:
        """What the method does at rectifiers."""
        return need_rule(self.method).rule

    @property
    def passes_over_normalisation(self) -> bool:
        """Whether the method skips contrast normalisation."""
        return need_rule(self.method).passes_over_normalisation

    @property
    def unruled(self) -> Unruled:
        """What the method does at operations that its rule does not know."""
        return need_rule(self.method).unruled

    @property
    def model(self) -> ZooModel | nn.Module:
        """The net that this is attached to."""
        return self._attached[0]

    @property
    def net(self) -> nn.Module:
        """The torch module that this is attached to."""
        net = find_module(self.model)
        # the module that torch.compile wrapped: its layers have their own names
        wrapped: nn.Module = getattr(net, "_orig_mod", net)
        return wrapped

    def find_path(self, layer: Layer) -> str:
        """Give the module path of a layer's canonical name."""
        return find_layer(self.model if isinstance(self.model, ZooModel) else self.net, layer)

    def project(
        self,
        images: Photo | Iterable[Photo],
        layer: Layer,
        unit: Units = "top",
        position: Position = "max",
        count: int = 9,
        compare: Compare | None = None,
    ) -> Projection:
        """Project units of a layer back to pixels.

        Args:
            images: Of a net of the zoo photos in any form: files, names of samples, PIL images,
                arrays, pixels (N, 3, H, W) of 0..1, and lists of these (see
                :meth:`~vizcnn.zoo.model.ZooModel.to_pixels`). Of another module its own input, a
                float tensor (N, C, H, W).
            layer: A canonical name (``conv5``: rectified maps) or a module path.
            unit: Unit number, several, or ``"top"`` for each image's strongest; in a zoo net's last
                layer also names of classes.
            position: ``"max"``, (row, column) in the feature map, or ``"all"``.
            count: How many units ``"top"`` takes.
            compare: ``"all"`` compares each projection with those of the other active units of its
                place, for its selectivity and its own part; a number with so many at most.

        Returns:
            One row per image and unit. For a net of the zoo the pixels are with respect to RGB
            0..1, by the chain rule through its preprocessing.

        Raises:
            ImageError: If a photo cannot be read or made out, or has another shape or type.
            LayerError: If the layer, a unit or the position does not exist.
            UnsupportedOperationError: If an operation on the way has no rule.

        Example:
            >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
            >>> Deconvnet(net).project(torch.rand(2, 3, 8, 8), layer="1", unit=[0, 3]).pixels.shape
            torch.Size([4, 3, 8, 8])
            >>> found = Deconvnet(net).project(torch.rand(1, 3, 8, 8), layer="1", compare="all")
            >>> torch.allclose(found.own.pixels + found.common.pixels, found.pixels, atol=1e-6)
            True
        """
        model = self.model
        if not isinstance(model, ZooModel):
            recording = self.record(images, [layer])
            return self.project_recording(recording, layer, unit, position, count, compare)
        # once: an iterator gives its photos only once
        photos = images if isinstance(images, Tensor) else list_photos(images)
        pixels = model.to_pixels(photos)
        recording = self._record(pixels, [layer])
        found = self.project_recording(recording, layer, unit, position, count, compare)
        scene = Scene(
            pixels,
            name_photos(list_photos(photos)),
            model.title,
            model.provenance.describe(),
            self._name_units(recording, self.find_path(layer)),
            model.preprocessing,
        )
        return replace(found, scene=scene)

    forward = project

    def _name_units(self, recording: Recording, path: str) -> tuple[str, ...]:
        """Give the names of a layer's units: of the classes where it is the last, else none."""
        if not isinstance(self.model, ZooModel):
            return ()
        return self.model.name_units(path, recording.find_output(path).shape[1])

    def _number_units(self, recording: Recording, path: str, unit: Any) -> Any:
        """Give the numbers of classes that are named; what is no name stays for others to check."""
        model = self.model
        if not isinstance(model, ZooModel) or not self._name_units(recording, path):
            return unit
        if isinstance(unit, list | tuple):
            return [find_class(model, one) if isinstance(one, str) else one for one in unit]
        return find_class(model, unit) if isinstance(unit, str) and unit != "top" else unit

    def record(
        self, images: Photo | Iterable[Photo], layers: Sequence[Layer] | None = None
    ) -> Recording:
        """Record the forward pass of images, for several layers at once.

        Args:
            images: As for :meth:`project`.
            layers: Canonical names or module paths to keep; all when None.

        Returns:
            A recording for :meth:`project_recording`.
        """
        return self._record(self._take_images(images), layers)

    def _record(self, images: Tensor, layers: Sequence[Layer] | None) -> Recording:
        """Record images that were checked; each look at them waits for the device that has them."""
        inputs = self._prepare(images)
        wanted = None if layers is None else list_layers(layers)
        paths = None if wanted is None else [self.find_path(layer) for layer in wanted]
        # a layer of the zoo is called once, or has the number of its call in its path
        known = isinstance(self.model, ZooModel) and set(wanted or ()) <= set(self.model.layers)
        with (
            record(self.net, paths, stops=known) as recording,
            use_precision(self.precision),
            chosen_arithmetic(),
        ):
            self._run(inputs)
        return recording

    def project_recording(
        self,
        recording: Recording,
        layer: Layer,
        unit: Units = "top",
        position: Position = "max",
        count: int = 9,
        compare: Compare | None = None,
    ) -> Projection:
        """Project units of a recorded pass; arguments and result as in :meth:`project`."""
        check_kind("recording", recording, Recording, "what record gave")
        path = self.find_path(layer)
        numbers = self._number_units(recording, path, unit)
        targets = choose_targets(recording.find_output(path), numbers, position, count)
        return self.project_targets(recording, layer, targets, compare)

    def project_places(
        self,
        recording: Recording,
        layer: Layer,
        images: Tensor,
        units: Tensor,
        positions: Tensor,
        compare: Compare | None = None,
    ) -> Projection:
        """Project units of a recorded pass at places of your choice.

        Args:
            recording: From :meth:`record`.
            layer: Canonical name or module path.
            images: Index of the image in the batch, (R,).
            units: Unit numbers, (R,).
            positions: Row and column in the feature map, (R, 2).
            compare: As for :meth:`project`.

        Returns:
            R rows in the order given; pixels as in :meth:`project`.

        Raises:
            LayerError: If the layer or a place does not exist.
            UnsupportedOperationError: If an operation on the way has no rule.
        """
        check_kind("recording", recording, Recording, "what record gave")
        maps = recording.find_output(self.find_path(layer))
        targets = places(maps, images, units, positions)
        return self.project_targets(recording, layer, targets, compare)

    def project_targets(
        self, recording: Recording, layer: Layer, targets: Targets, compare: Compare | None = None
    ) -> Projection:
        """Project targets of a recorded pass; result and errors as in :meth:`project_places`."""
        path = self.find_path(layer)
        with use_precision(self.precision):
            projected = project(recording, path, targets, self.method, self._finish, compare)
        return replace(projected, layer=name_layer(layer, path))

    def _finish(self, projected: Tensor) -> Tensor:
        """Give projections with respect to RGB pixels, where the preprocessing is known."""
        if isinstance(self.model, ZooModel):
            return self.model.preprocessing.to_pixel_gradient(projected)
        return projected

    def mirror(self, images: Photo | Iterable[Photo], layer: Layer) -> nn.Sequential:
        """Build the explicit mirrored net (unpool, rectify, filter) with the switches of images.

        Args:
            images: As for :meth:`project`.
            layer: Canonical name or module path of the layer to start from.

        Returns:
            Modules that take a signal of the layer's shape to the net's input.

        Raises:
            UnsupportedOperationError: If the net is not a chain below the layer.
            ModelError: If the method has no rule.
        """
        recording = self.record(images, [layer])
        path = self.find_path(layer)  # once: another net's path may be a canonical name as well
        return mirror(recording, path, need_rule(self.method))

    def _take_images(self, images: Photo | Iterable[Photo]) -> Tensor:
        """Give the images of a plain module as they are, if it can take them; else pixels."""
        if isinstance(self.model, ZooModel):
            return self.model.to_pixels(images)
        if not isinstance(images, Tensor):
            raise ImageError(
                f"got {type(images).__name__} ({quote(images)}) for a plain torch module; needed: "
                "images as a float tensor (N, 3, H, W), as it takes them; photos go to a net that "
                "vizcnn.load or vizcnn.wrap gave"
            )
        kinds: dict[type[nn.Module], int] = {nn.Conv1d: 3, nn.Conv2d: 4, nn.Conv3d: 5}
        taken = {kinds[type(part)] for part in self.net.modules() if type(part) in kinds}
        check_images(images, False, taken or (3, 4, 5))
        return images

    def _prepare(self, images: Tensor) -> Tensor:
        if any(value.is_meta for value in (*self.net.parameters(), *self.net.buffers())):
            raise ModelError("the net is on the meta device, without values: load its weights")
        own = next((p for p in self.net.parameters() if p.is_floating_point()), None)
        moved = images if own is None else images.to(device=own.device, dtype=own.dtype)
        if isinstance(self.model, ZooModel):
            return self.model.preprocessing.normalise(moved)
        return moved

    def _run(self, inputs: Tensor) -> None:
        try:
            self.net(inputs)
        except AllRecorded:
            return
        except VizcnnError:
            raise
        except Exception as error:
            if shortage := find_shortage(error):
                raise VizcnnError(
                    f"{describe_shortage(shortage)}: give fewer or smaller images at a time"
                ) from error
            raise _explain(error, inputs) from error

    def __repr__(self) -> str:
        """Name the method, the net and the source; :meth:`describe` draws the mirrored net."""
        return f"{type(self).__name__} of {type(self.net).__name__}, {self.method.source}"

    def describe(self) -> str:
        """Draw the mirrored net of a chain, step by step from its last layer to the pixels.

        It runs the net once, on a black image: of a zoo net's own size, else of 224 x 224 pixels.

        Raises:
            UnsupportedOperationError: If the net is not a chain.
            ImageError: If it does not take such an image.
            ModelError: If the method has no rule, or the net cannot be seen into.
        """
        size = self.model.input_size if isinstance(self.model, ZooModel) else USUAL_SIZE
        recording = self.record(torch.zeros(1, 3, size, size))
        path, outputs = list(recording.outputs.items())[-1]
        layer = path if len(outputs) == 1 else str(LayerReference(path, len(outputs)))
        steps = mirror(recording, layer, need_rule(self.method))
        return "\n".join([repr(self), *(f"  {step}" for step in steps)])


_ABOUT_SIZE = re.compile(
    r"size|shape|channels|dimension|must match|larger than|too small|out of range", re.IGNORECASE
)


def _explain(error: Exception, inputs: Tensor) -> VizcnnError:
    """Tell what a net raised: about the images' size where it is, else as what it is."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    shape = tuple(inputs.shape)
    if isinstance(error, RuntimeError) and _ABOUT_SIZE.search(reason):
        return ImageError(
            f"the net cannot take images of shape {shape} ({reason}): bring them to its input size"
        )
    way_out = "it has to run on such a batch by itself"
    if isinstance(error, TypeError) and "argument" in reason:
        way_out = (
            "if it takes more than images, run it yourself inside `with vizcnn.record(net) as "
            "recording` and project that recording"
        )
    return ModelError(
        f"the net raised {type(error).__name__} on images of shape {shape} ({reason}): {way_out}"
    )


class Deconvnet(Projector):
    """The deconvnet of Zeiler & Fergus (arXiv 1311.2901, section 2.1).

    Unpools by the switches of the forward pass (overlaps are summed), rectifies the signal, and
    filters with the transposed filters; contrast normalisation is passed over.

    Args:
        model: A net of the zoo, or any torch module that takes a batch of images.
        passes_over_normalisation: False takes the true gradient of contrast normalisation.
        unruled: What to do about operations without a rule.
        gates: What to do about gates.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        >>> print(Deconvnet(net).describe())
        Deconvnet of Sequential, Zeiler & Fergus 2013, arXiv 1311.2901, section 2.1
          Unpool(to 111 x 111 by switches, window 2 x 2, stride 2)
          RectifySignal(deconvnet)
          TransposedFilter(4 -> 3 maps, 3 x 3, stride 2, flipped filters)
    """

    def __init__(
        self,
        model: ZooModel | nn.Module,
        passes_over_normalisation: bool = True,
        unruled: Unruled = "refuse",
        gates: Gates = "refuse",
    ) -> None:
        super().__init__(model, "deconvnet", passes_over_normalisation, unruled, gates)


class GuidedBackprop(Projector):
    """Guided backprop of Springenberg et al. (arXiv 1412.6806, figure 1).

    The gradient, kept only where it is positive and the forward activation was too.

    Args:
        model: A net of the zoo, or any torch module that takes a batch of images.
        passes_over_normalisation: True skips contrast normalisation, as the deconvnet does.
        unruled: What to do about operations without a rule.
        gates: What to do about gates.
    """

    def __init__(
        self,
        model: ZooModel | nn.Module,
        passes_over_normalisation: bool = False,
        unruled: Unruled = "refuse",
        gates: Gates = "refuse",
    ) -> None:
        super().__init__(model, "guided", passes_over_normalisation, unruled, gates)


class Gradient(Projector):
    """The plain gradient of a unit: saliency of Simonyan et al. (arXiv 1312.6034).

    Args:
        model: A net of the zoo, or any torch module that takes a batch of images.
        passes_over_normalisation: True skips contrast normalisation, as the deconvnet does.
        gates: ``"hold"`` takes gates as fixed at their values.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> Gradient(net).project(torch.rand(1, 3, 8, 8), "1", unit=0).seed
        'one'
    """

    def __init__(
        self,
        model: ZooModel | nn.Module,
        passes_over_normalisation: bool = False,
        gates: Gates = "refuse",
    ) -> None:
        super().__init__(model, "gradient", passes_over_normalisation, gates=gates)
