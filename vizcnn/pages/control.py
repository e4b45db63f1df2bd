"""The control of a layer: its strongest unit beside another that is active at the same place."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.output import FigureFormat
from vizcnn.drawing.figures import UnitPictures, draw_control
from vizcnn.drawing.tiles import Scaling, describe_scaling, scale_projections
from vizcnn.drawing.words import describe_part, explain_selectivity, show_decimal
from vizcnn.pages.evidence import Evidence, list_evidence
from vizcnn.pages.page import OutputFile, name_large
from vizcnn.photos.pixels import Array
from vizcnn.projection.parts import find_cosines
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position, Targets, strongest, units_at

SCALING: Scaling = "unit"
"""Each picture by its own largest values, or the own parts would be pale beside the wholes."""


@dataclass(frozen=True, kw_only=True)
class ControlUnit(Evidence):
    """One of the two units.

    Attributes:
        unit: Number of the feature map, from 0.
        name: The class that the unit stands for, in a net's last layer.
        whole: Image of its projection in the receptive field.
        own: Image of its own part there.
        large_whole, large_own: The same, enlarged by whole pixels; None where they are large
            enough.
    """

    unit: int
    name: str = ""
    whole: RelativeFile
    own: RelativeFile
    large_whole: RelativeFile | None = None
    large_own: RelativeFile | None = None

    @property
    def title(self) -> str:
        """What the unit is called."""
        return self.name or f"unit {self.unit}"


@dataclass(frozen=True, kw_only=True)
class Control:
    """A layer's strongest unit beside the strongest other one that is active at its very place.

    Attributes:
        units: The strongest of those shown, and the other.
        cosine: Between their whole projections, -1..1; None where one is empty.
        own_cosine: Between their own parts; None where one is empty, or no third unit is active.
        patch: Image of the photo's patch that both see.
        large_patch: The same enlarged, as the units' pictures.
        width_px, height_px: Size of all images in pixels.
        scaling: How values became colours, in words.
        figure: The figure (PNG, SVG or PDF).
    """

    units: tuple[ControlUnit, ControlUnit]
    cosine: float | None
    own_cosine: float | None
    patch: RelativeFile
    large_patch: RelativeFile | None = None
    width_px: int
    height_px: int
    scaling: str
    figure: RelativeFile

    @property
    def note(self) -> str:
        """Say why the own parts are not compared; empty where they are."""
        if self.units[0].active != 2:
            return ""
        return "own parts of only two pictures always lie on one line: their cosine says nothing"


@dataclass(frozen=True)
class MeasuredControl:
    """A control with the pixels that are drawn.

    Attributes:
        record: What the manifest says.
        wholes, owns: Pictures of the two units in their receptive field, 0..1.
        patch: The photo there, 0..1.
    """

    record: Control
    wholes: tuple[Array, ...]
    owns: tuple[Array, ...]
    patch: Array

    def draw(self, title: str, caption: str) -> Iterator[OutputFile]:
        """Draw the figure and the images.

        Args:
            title: The net, the layer and the photo.
            caption: Method and weights.
        """
        record = self.record
        for unit, whole, own in zip(record.units, self.wholes, self.owns, strict=True):
            yield OutputFile(unit.whole, whole, unit.large_whole)
            yield OutputFile(unit.own, own, unit.large_own)
        yield OutputFile(record.figure, self._draw_figure(title, caption))

    def _draw_figure(self, title: str, caption: str) -> Figure:
        record = self.record
        pictures = [
            UnitPictures(
                f"{unit.title}\nactivation {unit.activation:#.3g}\n{unit.label}",
                whole,
                own,
            )
            for unit, whole, own in zip(record.units, self.wholes, self.owns, strict=True)
        ]
        first, other = record.units
        words = [
            caption,
            f"{other.title} is the strongest of the other units that are active at the very place "
            f"of {first.title}; both see the same patch",
            f"upper row: {describe_part('whole')}; lower row: {describe_part('own')}, found "
            f"{first.among}",
            *filter(None, [record.note]),
            explain_selectivity(),
            record.scaling,
        ]
        cosines = (show_decimal(record.cosine), show_decimal(record.own_cosine))
        return draw_control(self.patch, pictures, cosines, title, " · ".join(words))


def find_other(maps: Tensor, targets: Targets, row: int) -> Targets | None:
    """Find the strongest other unit that is active at the very place of a target.

    Args:
        maps: Feature maps (1, C, h, w) or units (1, C).
        targets: What is projected.
        row: Which of them.

    Returns:
        One target; None where no other unit is active there, or the target's is not.
    """
    if not targets.activations[row] > 0:
        return None
    at = targets.positions[row].tolist()
    position: Position = "all" if at[0] < 0 else at
    unit = int(targets.units[row])
    found = strongest(maps, 2, position)
    others = [
        other
        for other, activation in zip(found.units.tolist(), found.activations.tolist(), strict=True)
        if other != unit and activation > 0
    ]
    return units_at(maps, others[:1], position) if others else None


def measure_control(
    projection: Projection,
    rows: tuple[int, int],
    cut: Callable[[Projection, tuple[int, int]], list[Array]],
    classes: Sequence[str],
    patch: tuple[str, Array],
    folder: str,
    kind: FigureFormat,
) -> MeasuredControl:
    """Set two projections of one place beside each other.

    Args:
        projection: Projections that were compared.
        rows: The strongest unit's, and the other's.
        cut: Gives rows of a projection as signed images of the receptive field.
        classes: Names of the units, where they have any.
        patch: The photo there: its file and its pixels.
        folder: Where files go.
        kind: Format of the figure.
    """
    evidence = list_evidence(projection)
    first, other = (
        ControlUnit(
            activation=float(projection.activations[row]),
            unit=int(projection.units[row]),
            name=classes[int(projection.units[row])] if classes else "",
            **_name_pictures(f"{folder}/control-{place}", patch[1]),
            **evidence[row],
        )
        for place, row in zip(("strongest", "other"), rows, strict=True)
    )
    file, pixels = patch
    # what one direction leaves of two pictures is one other direction, whatever they show
    owns_differ = first.active != 2
    record = Control(
        units=(first, other),
        cosine=_measure_cosine(*projection.windows[list(rows)]),
        own_cosine=_measure_cosine(*projection.own.windows[list(rows)]) if owns_differ else None,
        patch=file,
        large_patch=name_large(file, pixels.shape[1], pixels.shape[0]),
        width_px=pixels.shape[1],
        height_px=pixels.shape[0],
        scaling=describe_scaling(SCALING),
        figure=f"{folder}/control.{kind}",
    )
    wholes, owns = (
        tuple(scale_projections(cut(part, rows), SCALING)) for part in (projection, projection.own)
    )
    return MeasuredControl(record, wholes, owns, pixels)


def _name_pictures(beginning: str, patch: Array) -> dict[str, Any]:
    """Name the pictures of a unit, which are as large as the patch."""
    height, width = patch.shape[:2]
    files = {kind: f"{beginning}-{kind}.png" for kind in ("whole", "own")}
    return files | {
        f"large_{kind}": name_large(file, width, height) for kind, file in files.items()
    }


def _measure_cosine(one: Tensor, other: Tensor) -> float | None:
    """Measure the cosine between two pictures; None where one is empty."""
    cosine = float(find_cosines(one, other[None]))
    return None if math.isnan(cosine) else cosine
