"""All checks of a net's pictures, and their results as rows of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.readout import read_layers
from vizcnn.basics.errors import ImageError, check_number
from vizcnn.basics.output import FigureFormat
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.bootstrap import Estimate, estimate
from vizcnn.measures.cascade import (
    CascadeStudy,
    Switches,
    list_cascade,
    refuse_made_weights,
    study_cascade,
)
from vizcnn.measures.method_pictures import CHECKED_METHODS, MethodSet
from vizcnn.measures.occlusion_control import ControlStudy, study_control
from vizcnn.measures.sameness import SamenessStudy, check_layers, study_sameness
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.projection.active_units import Compare
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What to check.

    Attributes:
        layers: Convolutional layers whose units are compared; conv1..conv5, as far as a net has
            them, when empty. The occlusion control is done in the highest of them.
        methods: Names of methods.
        photos: How many photos are drawn.
        compare: With how many other active units of its place the strongest is compared, at most,
            or ``"all"``.
        top: The layer that the cascade begins with; the last one, of the classes, when None.
        seed: Of the photos drawn, the shuffling, the control's other units and the bootstrap.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If a number is out of bounds.
    """

    layers: tuple[str, ...] = ()
    methods: tuple[str, ...] = CHECKED_METHODS
    photos: int = 24
    compare: Compare = 63
    top: str | None = None
    seed: int = 0
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        check_number("photos", self.photos, 1, 10**6)
        check_number("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True)
class NetCheck:
    """What the checks of a net found.

    Attributes:
        model: The net.
        layers: The layers whose units were compared.
        sameness: How alike the pictures of units are.
        cascade: What shuffled layers change.
        control: Whether pictures foretell drops.
    """

    model: ZooModel
    layers: tuple[str, ...]
    sameness: SamenessStudy
    cascade: CascadeStudy
    control: ControlStudy


def plan_layers(model: ZooModel, settings: CheckSettings) -> tuple[str, ...]:
    """List the layers of a net whose units are compared, lowest first.

    What would fail is found at once.

    Raises:
        LayerError: If a layer does not exist, or has no feature maps, or the net's last named one
            is not that of its classes.
        ModelError: If weights are made of others: they cannot be shuffled.
        UnsupportedOperationError: If a method has no rule for an operation on the way.
        VizcnnError: If there is no such method.
    """
    MethodSet(model, settings.methods)
    wanted = select_layers(model, settings.layers or [list_stages(model)])
    if not settings.layers:  # in a net of convolutions only the classes are one of them
        wanted = tuple(name for name in wanted if name != model.find_class_layer()) or wanted
    grey = torch.full((1, 3, model.input_size, model.input_size), 0.5)
    with torch.no_grad():
        layers = tuple(read_layers(model, grey, wanted))  # in the order of their calls
    check_layers(model, layers, settings.methods)
    refuse_made_weights(model.module)
    list_cascade(model, find_top(model, settings))
    return layers


def find_top(model: ZooModel, settings: CheckSettings) -> str:
    """Name the layer that the cascade begins with."""
    return model.find_class_layer() if settings.top is None else settings.top


def check_pictures(
    model: ZooModel, pixels: Tensor, settings: CheckSettings, progress: Progress = silent
) -> NetCheck:
    """Run all checks of a net; errors as of :func:`plan_layers`.

    Args:
        model: The net.
        pixels: Photos (N, 3, S, S), RGB 0..1.
        settings: What to check.
        progress: Shows how far it is.
    """
    layers, methods, seed = plan_layers(model, settings), settings.methods, settings.seed
    top = find_top(model, settings)
    return NetCheck(
        model=model,
        layers=layers,
        sameness=study_sameness(model, pixels, layers, methods, settings.compare, progress),
        cascade=study_cascade(model, pixels, top, methods, seed, progress),
        control=study_control(model, pixels, layers[-1], methods, seed, progress),
    )


def draw_photos(
    photos: PhotoSet, count: int, seed: int, progress: Progress = silent
) -> tuple[list[int], list[tuple[str, str]]]:
    """Draw photos that can be read.

    Args:
        photos: The set.
        count: How many; all of a smaller set.
        seed: Of numpy's generator.
        progress: Shows how far it is.

    Returns:
        Their numbers, sorted; and others that were drawn by name, with why they were left out.

    Raises:
        ImageError: If none can be read.
    """
    order = np.random.default_rng(seed).permutation(len(photos.names)).tolist()
    drawn: list[int] = []
    failures: list[tuple[str, str]] = []
    wanted = min(count, len(order))
    for number in progress(order, label="read", total=wanted, unit="photo"):
        try:
            photos.read(number)
            drawn.append(number)
        except ImageError as error:
            failures.append((photos.names[number], str(error)))
        if len(drawn) == count:
            break
    if not drawn:
        told = "; ".join(error for _, error in failures[:3])
        raise ImageError(f"none of {len(order)} photos can be read: {told}")
    return sorted(drawn), failures


def read_drawn(photos: PhotoSet, numbers: Sequence[int]) -> Tensor:
    """Read photos of a set: (N, 3, S, S), RGB 0..1."""
    return torch.stack([photos.read(number) for number in numbers]).to(torch.float32).div(255)


@dataclass(frozen=True, kw_only=True)
class SamenessRow:
    """How alike the pictures of a layer's units are by a method; medians over photos.

    Attributes:
        net: Number of the net, from 0.
        layer: The layer; the last one stands for the classes.
        method: The method.
        cosine: Cosine of the strongest unit's picture with that of another active unit of its
            place (the median over the others); of the predicted class with the second likeliest.
        effective: How many different pictures the active units of the place make; undefined for
            classes.
        active: How many units are active there; None for classes.
    """

    net: int
    layer: str
    method: str
    cosine: Estimate
    effective: Estimate
    active: float | None


@dataclass(frozen=True, kw_only=True)
class CascadeRow:
    """How far pictures agree with the trained net's when layers are shuffled; medians over photos.

    Attributes:
        net: Number of the net, from 0.
        top: The layer whose units were projected.
        shuffled: The shuffled layers, from the top down.
        method: The method.
        switches: Whose switches the way back uses.
        rank: Spearman's correlation of the signed values.
        magnitude: Spearman's correlation of the magnitudes.
        similarity: Structural similarity (SSIM) of the magnitudes.
    """

    net: int
    top: str
    shuffled: tuple[str, ...]
    method: str
    switches: Switches
    rank: Estimate
    magnitude: Estimate
    similarity: Estimate


@dataclass(frozen=True, kw_only=True)
class EdgeRow:
    """How far the trained net's pictures agree with an edge detector; medians over photos.

    Attributes:
        net: Number of the net, from 0.
        method: The method.
        magnitude: Spearman's correlation of the picture's magnitudes with the photo's edges.
        similarity: Their structural similarity.
    """

    net: int
    method: str
    magnitude: Estimate
    similarity: Estimate


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """How far a unit's drops under a grey square agree with pictures; medians over photos.

    Attributes:
        net: Number of the net, from 0.
        layer: The layer.
        method: The method; magnitudes are summed over each square, of gradient times input the
            signed values.
        own: Spearman's correlation with the unit's own picture.
        other: The same with the picture of another active unit of the place.
        gap: Own minus other.
    """

    net: int
    layer: str
    method: str
    own: Estimate
    other: Estimate
    gap: Estimate


@dataclass(frozen=True, kw_only=True)
class CheckTables:
    """All numbers of a check.

    Attributes:
        sameness: By net, layer and method.
        cascade: By net, number of shuffled layers, method and switches.
        edges: By net and method.
        control: By net and method.
    """

    sameness: tuple[SamenessRow, ...]
    cascade: tuple[CascadeRow, ...]
    edges: tuple[EdgeRow, ...]
    control: tuple[ControlRow, ...]


def tabulate_checks(checks: Sequence[NetCheck], seed: int = 0) -> CheckTables:
    """Estimate all numbers over the photos, with intervals.

    Args:
        checks: The nets.
        seed: Of the bootstrap.
    """
    numbered = list(enumerate(checks))

    def over(values: NDArray[np.float64]) -> Estimate:
        return estimate(values, seed)

    def find_active(net: NetCheck, layer: str, values: NDArray[np.float64]) -> float | None:
        return None if layer == net.sameness.last else float(np.median(values))

    return CheckTables(
        sameness=tuple(
            SamenessRow(
                net=net,
                layer=layer,
                method=method,
                cosine=over(found.cosines),
                effective=over(found.effective),
                active=find_active(check, layer, found.active),
            )
            for net, check in numbered
            for (layer, method), found in check.sameness.found.items()
        ),
        cascade=tuple(
            CascadeRow(
                net=net,
                top=check.cascade.top,
                shuffled=check.cascade.layers[:count],
                method=method,
                switches=switches,
                rank=over(found.rank),
                magnitude=over(found.magnitude),
                similarity=over(found.similarity),
            )
            for net, check in numbered
            for (method, switches, count), found in check.cascade.agreements.items()
        ),
        edges=tuple(
            EdgeRow(
                net=net,
                method=method,
                magnitude=over(found.magnitude),
                similarity=over(found.similarity),
            )
            for net, check in numbered
            for method, found in check.cascade.edges.items()
        ),
        control=tuple(
            ControlRow(
                net=net,
                layer=check.control.layer,
                method=method,
                own=over(own),
                other=over(check.control.other[method]),
                gap=over(own - check.control.other[method]),
            )
            for net, check in numbered
            for method, own in check.control.own.items()
        ),
    )
