"""Curves of invariance as plain values: what a page shows of many photos, and its table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.codec import Share
from vizcnn.measures.invariance import PhotoChange, Yardstick
from vizcnn.photos.transforms import Kind

Curve = tuple[float | None, ...]
"""A value for each amount; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class MeasuredLayer:
    """A layer whose features were compared.

    Attributes:
        name: Its name.
        path: Module path.
        maps: Number of feature maps, or of units.
        map_size: Height and width of a map; None for a vector of units.
        distance: Euclidean distance of the features of two photos, root mean square over the pairs.
        moves: Whether its maps could be moved back.
    """

    name: str
    path: str
    maps: int
    map_size: tuple[int, int] | None
    distance: float
    moves: bool


@dataclass(frozen=True, kw_only=True)
class PhotoClass:
    """The class of a photo whose probability is shown.

    Attributes:
        photo: The photo's name.
        name: The class; None of a net without class scores.
        is_true: Whether the photo's folder says so; else it is what the net finds most probable in
            the photo as it is.
    """

    photo: str
    name: str | None
    is_true: bool


@dataclass(frozen=True, kw_only=True)
class LayerCurves:
    """What a layer did under one kind of transform, photo by photo.

    Attributes:
        layer: Its name.
        distances: Euclidean distances from the features of the photo itself.
        relative: The same divided by the distance of two photos; None of a layer to which all
            photos are the same.
        returned: Distance of the maps that were moved back, divided by that of two photos; empty of
            a layer whose maps cannot be.
        inside: The same over places whose whole receptive field is in sight both times.
    """

    layer: str
    distances: tuple[Curve, ...]
    relative: tuple[Curve, ...]
    returned: tuple[Curve, ...]
    inside: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class TransformRow:
    """One kind of transform.

    Attributes:
        kind: What was done.
        amounts: K amounts: pixels down, factors, or degrees anticlockwise.
        filled: Share of the pixels that had to be filled, mean over the photos.
        layers: What the layers did.
        probabilities: Of each photo's class; empty of a net without class scores.
    """

    kind: Kind
    amounts: tuple[float, ...]
    filled: tuple[Share, ...]
    layers: tuple[LayerCurves, ...]
    probabilities: tuple[tuple[Share, ...], ...]


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """What a layer did under one kind of transform: the mean photo, at all amounts that move it.

    Attributes:
        kind: What was done.
        layer: The layer.
        largest: Largest distance of the mean photo, in units of the distance of two photos.
        relative: Mean of that over the amounts.
        returned: Mean of what is left when the maps are moved back; None where they cannot be.
        inside: The same where the whole receptive field is in sight.
    """

    kind: Kind
    layer: str
    largest: float | None
    relative: float | None
    returned: float | None
    inside: float | None


def find_still(kind: Kind, amount: float) -> bool:
    """Tell whether a transform leaves the photo as it is.

    Example:
        >>> find_still("scale", 1.0), find_still("rotate", 360.0), find_still("shift", 1.0)
        (True, True, False)
    """
    return {"shift": amount == 0, "scale": amount == 1, "rotate": amount % 360 == 0}[kind]


def average(curves: Sequence[Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the mean and the standard deviation of photos' curves, each over those with a value.

    Args:
        curves: P curves of K values.

    Returns:
        (K,) each; NaN where no photo has a value.

    Example:
        >>> mean, deviation = average([(1.0, None), (3.0, None)])
        >>> mean.tolist(), deviation.tolist()
        ([2.0, nan], [1.0, nan])
    """
    values = np.array(curves, dtype=np.float64)
    known = ~np.isnan(values)
    count = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    mean = np.where(known, values, 0).sum(axis=0) / count
    squares = np.where(known, np.square(values - mean), 0).sum(axis=0)
    return mean, np.sqrt(squares / count)


def describe_layers(yardsticks: Sequence[Yardstick]) -> tuple[MeasuredLayer, ...]:
    """Describe the layers that were compared."""
    return tuple(
        MeasuredLayer(
            name=ruler.field.name,
            path=ruler.field.path,
            maps=ruler.field.maps,
            map_size=ruler.field.map_size,
            distance=ruler.distance,
            moves=ruler.moves,
        )
        for ruler in yardsticks
    )


def tabulate_changes(
    changes: Sequence[PhotoChange],
    layers: Sequence[MeasuredLayer],
    amounts: dict[Kind, tuple[float, ...]],
) -> tuple[TransformRow, ...]:
    """Give what happened to photos as plain values, kind by kind."""
    rows = []
    for kind, several in amounts.items():
        kinds = [change.kinds[kind] for change in changes]
        probabilities = [one.probabilities for one in kinds if one.probabilities is not None]
        curves = []
        for number, layer in enumerate(layers):
            found = [one.layers[number] for one in kinds]
            distances = [one.distances for one in found]
            scale = layer.distance or np.nan
            curves.append(
                LayerCurves(
                    layer=layer.name,
                    distances=_write(distances),
                    relative=_write([values / scale for values in distances]),
                    returned=_write([one.returned for one in found]) if layer.moves else (),
                    inside=_write([one.inside for one in found]) if layer.moves else (),
                )
            )
        rows.append(
            TransformRow(
                kind=kind,
                amounts=several,
                filled=tuple(np.mean([one.filled for one in kinds], axis=0).tolist()),
                layers=tuple(curves),
                probabilities=tuple(
                    tuple(np.clip(values, 0, 1).tolist()) for values in probabilities
                ),
            )
        )
    return tuple(rows)


def _write(curves: Sequence[NDArray[np.float64]]) -> tuple[Curve, ...]:
    return tuple(
        tuple(None if np.isnan(value) else float(value) for value in curve) for curve in curves
    )


def summarise_rows(rows: Sequence[TransformRow]) -> list[SummaryRow]:
    """Give a line for each kind of transform and layer."""
    summary = []
    for row in rows:
        moved = [not find_still(row.kind, amount) for amount in row.amounts]
        for curves in row.layers:
            relative, returned, inside = (
                _choose(curve, moved) for curve in (curves.relative, curves.returned, curves.inside)
            )
            summary.append(
                SummaryRow(
                    kind=row.kind,
                    layer=curves.layer,
                    largest=float(max(relative)) if len(relative) else None,
                    relative=_take_mean(relative),
                    returned=_take_mean(returned),
                    inside=_take_mean(inside),
                )
            )
    return summary


def _choose(curves: Sequence[Curve], moved: Sequence[bool]) -> NDArray[np.float64]:
    """Give the mean photo's values at amounts that move it, where there are any."""
    if not curves:
        return np.zeros(0)
    mean, _ = average(curves)
    shown: NDArray[np.float64] = mean[np.array(moved) & ~np.isnan(mean)]
    return shown


def _take_mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
