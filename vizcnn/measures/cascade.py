"""Cascading randomisation: what is left of a picture when the net's layers lose their weights.

Adebayo et al. 2018 (arXiv 1810.03292, section 4.1) destroy the weights of a net layer by layer,
from the top down, and look whether its saliency maps notice. Here the weights of a parameter are
*shuffled*, so that their distribution stays what it was and the signal neither dies nor explodes; a
picture that stays the same does not depend on what was learnt in the shuffled layers.

With the switches of the shuffled net (``"recomputed"``) the photo goes through it anew. With those
of the trained net (``"trained"``) everything that was recorded on the way up stays: switches of max
pooling, active rectifiers, contrast. Only the filters of the way back are shuffled. What is left
then is what the switches carry, the question of Mahendran & Vedaldi 2016 (Salient Deconvolutional
Networks, ECCV).
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import sobel
from torch import Tensor, nn

from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.agreement import (
    Ranks,
    correlate,
    find_magnitudes,
    find_similarity,
    rank,
)
from vizcnn.measures.method_pictures import MethodSet, choose_classes, to_array
from vizcnn.photos.pixels import LUMINANCE, Array
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Targets
from vizcnn.recording.layers import LayerReference, parse_call
from vizcnn.recording.recording import Recording
from vizcnn.recording.watch import evaluating, watch
from vizcnn.zoo.model import ZooModel

Switches = Literal["recomputed", "trained"]
"""Whose switches, rectifiers and contrast the way back uses: the shuffled or the trained net's."""
SWITCHES: tuple[Switches, ...] = get_args(Switches)

AT_ONCE = 4
"""Photos that go through the net together, at most."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ShuffledLayer:
    """A step of the cascade.

    Attributes:
        name: The layer's name.
        parameters: Names of the parameters that are shuffled with it.
    """

    name: str
    parameters: tuple[str, ...]


def list_cascade(model: ZooModel, top: str) -> tuple[ShuffledLayer, ...]:
    """List the layers of a cascade, from the top down to the first.

    A parameter belongs to the first named layer that puts out something after the module of the
    parameter did: batch normalisation to the convolution before it, a block of modules to its name.
    One that several modules share belongs to the highest of their layers, where it is lost first.

    Args:
        model: The net; it runs once, on a grey image.
        top: Canonical name or module path of the layer to begin with; what comes after it in the
            net is left alone, for nothing of it is in a picture of the layer's units.

    Raises:
        LayerError: If there is no such layer, or nothing below it has weights.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> [layer.name for layer in list_cascade(net, list(net.layers)[-1])][-3:]
        ['conv3', 'conv2', 'conv1']
    """
    path = Projector(model, "gradient").find_path(top)
    ends = {parse_call(layer): name for name, layer in model.layers.items()}
    ends[parse_call(path)] = top
    names = {id(parameter): name for name, parameter in model.module.named_parameters()}
    waiting: list[str] = []
    found: list[ShuffledLayer] = []
    over = False

    def see(call: LayerReference, args: object, output: object) -> None:
        nonlocal over
        if over:
            return
        if call.call == 1 and not call.is_function:
            own = model.module.get_submodule(call.path).parameters(recurse=False)
            waiting.extend(names[id(parameter)] for parameter in own)
        if call in ends and waiting:
            found.append(ShuffledLayer(ends[call], tuple(waiting)))
            waiting.clear()
        over = call == parse_call(path)

    functions = [end.path for end in ends if end.is_function]
    parts = [*(name for name, _ in model.module.named_modules()), *functions]
    grey = torch.full((1, 3, model.input_size, model.input_size), 0.5)
    with evaluating(model.module), watch(model.module, parts, see):
        model.logits(grey)
    if not found or not over:
        raise LayerError(f"layer {top!r}: nothing below it has weights that could be shuffled")
    lost: set[str] = set()
    layers: list[ShuffledLayer] = []
    for layer in found[::-1]:
        parameters = tuple(name for name in dict.fromkeys(layer.parameters) if name not in lost)
        lost.update(parameters)
        if parameters:
            layers.append(ShuffledLayer(layer.name, parameters))
    return tuple(layers)


def shuffle(values: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle the values of a parameter: the same ones, each in any of the places."""
    order = torch.randperm(values.numel(), generator=generator).to(values.device)
    return values.detach().flatten()[order].view_as(values)


def shuffle_layers(
    model: ZooModel, layers: Sequence[ShuffledLayer], seed: int
) -> dict[str, Tensor]:
    """Shuffle the parameters of layers, one after the other: new values, by the parameter's name.

    The upper layers of a cascade get the same values whatever lies below.
    """
    generator = torch.Generator().manual_seed(seed)
    names = [name for layer in layers for name in layer.parameters]
    return {name: shuffle(model.module.get_parameter(name), generator) for name in names}


class Cascade:
    """A copy of a net whose layers lose their weights one after the other.

    Args:
        model: The net, which is left as it is.
        top: Canonical name or module path of the layer whose units are projected.
        methods: Names of methods.
        seed: Of the shuffling.

    Attributes:
        layers: The layers, from the top down.
        model: The copy.

    Raises:
        LayerError: If there is no such layer, or nothing below it has weights.
        ModelError: As of :func:`refuse_made_weights`.
    """

    def __init__(self, model: ZooModel, top: str, methods: Sequence[str], seed: int = 0) -> None:
        refuse_made_weights(model.module)
        self.model = replace(model, module=deepcopy(model.module))
        self.top, self.layers = top, list_cascade(self.model, top)
        # started with 1: a unit that the shuffled net silences would have no picture at all
        self._methods = MethodSet(self.model, methods, "one")
        self._parameters = dict(self.model.module.named_parameters())
        self._trained = {
            name: self._parameters[name].detach().clone()
            for layer in self.layers
            for name in layer.parameters
        }
        self._shuffled = shuffle_layers(self.model, self.layers, seed)

    def choose_targets(self, pixels: Tensor) -> Targets:
        """Take what the trained net finds in each photo.

        Args:
            pixels: (N, 3, S, S), RGB 0..1.

        Returns:
            One for each photo: of the net's last layer the likeliest class, of another layer its
            strongest unit, where that is strongest.
        """
        self._set(0)
        recording = self._methods.record(pixels, [self.top])
        if self.top != self.model.find_class_layer():
            return self._methods.aim(recording, self.top)
        classes = choose_classes(self.model, pixels, 1)[:, 0]
        return self._methods.aim(recording, self.top, classes)

    def project(
        self, pixels: Tensor, targets: Targets
    ) -> Iterator[tuple[int, Switches, dict[str, Projection]]]:
        """Project targets by every method, after each step of the cascade.

        Args:
            pixels: (N, 3, S, S), RGB 0..1.
            targets: One for each photo, from :meth:`choose_targets`.

        Yields:
            How many layers are shuffled, from 0 on; whose switches the way back uses (with nothing
            shuffled: only the net's own, ``"recomputed"``); the projections by method.
        """
        self._set(0)
        trained = self._methods.record(pixels, [self.top])
        yield 0, "recomputed", self._project(trained, targets, pixels)
        for count in range(1, len(self.layers) + 1):
            self._set(count)
            # the recorded graph holds the parameters themselves, which are written over: it has
            # the values of the trained net's pass, and the filters of the shuffled one
            yield count, "trained", self._project(trained, targets, pixels)
            recomputed = self._methods.record(pixels, [self.top])
            yield count, "recomputed", self._project(recomputed, targets, pixels)

    def _project(
        self, recording: Recording, targets: Targets, pixels: Tensor
    ) -> dict[str, Projection]:
        here = self._methods.aim(recording, self.top, targets.units, targets.positions)
        return self._methods.project(recording, self.top, here, pixels)

    def _set(self, count: int) -> None:
        """Shuffle so many layers, and give all others their trained weights."""
        for number, layer in enumerate(self.layers):
            values = self._shuffled if number < count else self._trained
            for name in layer.parameters:
                # past autograd, which would refuse the recorded graph
                self._parameters[name].data.copy_(values[name])


MADE_OF = ("_g", "_v", "_orig")
"""Endings of what torch's older weight_norm, spectral_norm and pruning make a weight of."""


def refuse_made_weights(module: nn.Module) -> None:
    """Make sure that all weights are parameters themselves.

    Raises:
        ModelError: If some are made of others in each pass: what was recorded holds what was made,
            and shuffling what it is made of would not reach the way back.
    """
    for path, part in module.named_modules():
        if nn.utils.parametrize.is_parametrized(part):
            raise ModelError(
                f"the weights of {path!r} are made of others (a parametrisation): shuffle what "
                "torch.nn.utils.parametrize.remove_parametrizations leaves"
            )
        own = dict(part.named_parameters(recurse=False))
        for name, value in vars(part).items():
            if isinstance(value, Tensor) and any(f"{name}{ending}" in own for ending in MADE_OF):
                raise ModelError(
                    f"{name!r} of {path!r} is made of others (weight or spectral normalisation, or "
                    "pruning): shuffle what torch.nn.utils.remove_weight_norm, "
                    "remove_spectral_norm or prune.remove leaves"
                )


@dataclass(frozen=True)
class Agreements:
    """How far pictures agree with those of the trained net, a value for each photo; NaN if none.

    All are taken inside the receptive field only: the zeros around it agree whatever the net is.

    Attributes:
        rank: Spearman's correlation of the signed values in all three colours.
        magnitude: Spearman's correlation of the magnitudes, summed over colours.
        similarity: Structural similarity of the magnitudes.
    """

    rank: Values
    magnitude: Values
    similarity: Values


@dataclass(frozen=True)
class EdgeAgreements:
    """How far the magnitudes of pictures agree with an edge detector, a value for each photo.

    Attributes:
        magnitude: Spearman's correlation.
        similarity: Structural similarity.
    """

    magnitude: Values
    similarity: Values


@dataclass(frozen=True)
class Shown:
    """The pictures of one photo, for a figure; each cut to the receptive field.

    Attributes:
        photo: The photo in it, (3, h, w), RGB 0..1.
        edges: Edges of its luminance (Sobel), (h, w), 0 or more.
        pictures: By method and switches: the trained net's picture, then one per step, (3, h, w).
        unit: The unit.
    """

    photo: Array
    edges: Array
    pictures: dict[tuple[str, Switches], list[Array]]
    unit: int


@dataclass(frozen=True)
class CascadeStudy:
    """What a cascade did to the pictures of photos.

    Attributes:
        top: The layer whose units were projected.
        layers: Names of the shuffled layers, from the top down.
        agreements: By method, switches and number of shuffled layers (0: none, which is 1
            throughout).
        edges: By method: how far the trained net's pictures agree with an edge detector.
        shown: The first photo.
    """

    top: str
    layers: tuple[str, ...]
    agreements: dict[tuple[str, Switches, int], Agreements]
    edges: dict[str, EdgeAgreements]
    shown: Shown


@dataclass(frozen=True)
class _Picture:
    values: Array
    ranks: Ranks
    magnitudes: Array
    magnitude_ranks: Ranks


def _prepare(values: Array) -> _Picture:
    magnitudes = find_magnitudes(values)
    return _Picture(values, rank(values), magnitudes, rank(magnitudes))


def _compare(one: _Picture, other: _Picture) -> tuple[float, float, float]:
    return (
        correlate(one.ranks, other.ranks),
        correlate(one.magnitude_ranks, other.magnitude_ranks),
        find_similarity(one.magnitudes, other.magnitudes),
    )


def find_edges(photo: Array) -> Array:
    """Give the edges of a photo (3, h, w), the Sobel operator's on its luminance: (h, w)."""
    grey = np.tensordot(np.array(LUMINANCE, dtype=np.float32), photo, axes=1)
    edges: Array = sobel(grey).astype(np.float32)
    return edges


def study_cascade(
    model: ZooModel,
    pixels: Tensor,
    top: str,
    methods: Sequence[str],
    seed: int = 0,
    progress: Progress = silent,
) -> CascadeStudy:
    """Shuffle a net from a layer down and compare the pictures with those of the trained net.

    Args:
        model: The net.
        pixels: Photos (N, 3, S, S), RGB 0..1.
        top: The layer whose units are projected: of the last one the class that the trained net
            sees, of another its strongest unit where that is strongest.
        methods: Names of methods.
        seed: Of the shuffling.
        progress: Shows how far it is.

    Raises:
        LayerError: If there is no such layer, or nothing below it has weights.
        UnsupportedOperationError: If a method has no rule for an operation on the way.
    """
    cascade = Cascade(model, top, methods, seed)
    chunks = pixels.split(AT_ONCE)
    steps = (
        (number, step) for number, chunk in enumerate(chunks) for step in _walk(cascade, chunk)
    )
    total = len(chunks) * (2 * len(cascade.layers) + 1)
    found: dict[tuple[str, Switches, int], list[tuple[float, float, float]]] = {}
    edges: dict[str, list[tuple[float, float]]] = {}
    trained: dict[str, list[_Picture]] = {}
    shown: Shown | None = None
    for number, (count, switches, projections) in progress(
        steps, label=f"shuffle {model.title}", total=total, unit="step"
    ):
        photos = to_array(chunks[number])
        for method, projection in projections.items():
            pictures = [_prepare(to_array(projection.cut(row))) for row in range(len(projection))]
            if count == 0:
                trained[method] = pictures
                for row, picture in enumerate(pictures):
                    edge = find_edges(_cut_photo(photos[row], projection, row))
                    likeness = find_similarity(picture.magnitudes, edge)
                    agreement = correlate(picture.magnitude_ranks, rank(edge)), likeness
                    edges.setdefault(method, []).append(agreement)
            for kind in SWITCHES if count == 0 else (switches,):
                found.setdefault((method, kind, count), []).extend(
                    _compare(one, other)
                    for one, other in zip(trained[method], pictures, strict=True)
                )
            if number == 0:
                if shown is None:
                    patch = _cut_photo(photos[0], projection, 0)
                    shown = Shown(patch, find_edges(patch), {}, int(projection.units[0]))
                for kind in SWITCHES if count == 0 else (switches,):
                    shown.pictures.setdefault((method, kind), []).append(pictures[0].values)
    assert shown is not None
    return CascadeStudy(
        top=top,
        layers=tuple(layer.name for layer in cascade.layers),
        agreements={key: Agreements(*_gather(rows)) for key, rows in found.items()},
        edges={method: EdgeAgreements(*_gather(rows)) for method, rows in edges.items()},
        shown=shown,
    )


def _walk(
    cascade: Cascade, pixels: Tensor
) -> Iterator[tuple[int, Switches, dict[str, Projection]]]:
    return cascade.project(pixels, cascade.choose_targets(pixels))


def _cut_photo(photo: Array, projection: Projection, row: int) -> Array:
    top, left, bottom, right = projection.boxes[row].tolist()
    return photo[:, top:bottom, left:right]


def _gather(rows: Sequence[tuple[float, ...]]) -> Values:
    """Turn a row for each photo into one for each measure."""
    columns: Values = np.array(rows, dtype=np.float64).T
    return columns
