"""Maps of what a unit and a class lose while a square is moved over the photo.

Zeiler & Fergus 2013, section 4.2 and Figure 7: (b) the summed activation of one feature map, (d)
the probability of the class and (e) the most probable class, by the place of a grey square. The
paper states neither the square's side nor its step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.filling import fill_photo
from vizcnn.attribution.hidden_passes import HiddenPasses, Reading, Squares
from vizcnn.attribution.occlusion import check_squares, drop_rounding, list_starts, sum_squares
from vizcnn.attribution.question import Question
from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.agreement import correlate, rank
from vizcnn.measures.method_pictures import CHECKED_METHODS, MethodSet, to_array
from vizcnn.measures.occlusion_control import foretell
from vizcnn.photos.pixels import Box
from vizcnn.projection.parts import find_common, find_common_part
from vizcnn.projection.targets import Position, units_at

Values = NDArray[np.float64]
Point = tuple[float, float]

SIDES = 8
"""By default a square's side is so many times in the photo's shorter side."""
STEPS = 4
"""By default the stride is so many times in the square's side."""
FEW = 8
"""Squares inside a receptive field below which all that reach into it are compared."""


@dataclass(frozen=True)
class Grid:
    """Where squares are put: at every stride, whole squares only, the last flush with the edge.

    A square whose upper left pixel is at row r covers the rows r to r + side - 1; pixel r reaches
    from r to r + 1, so that the square's centre is at r + side / 2.

    Attributes:
        side: Side of the squares in pixels.
        stride: Pixels from one to the next.
        tops: Row of each one's upper left pixel, (n,).
        lefts: Column of each one's upper left pixel, (m,).
    """

    side: int
    stride: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of squares, (n, m)."""
        return len(self.tops), len(self.lefts)

    @property
    def squares(self) -> Squares:
        """The squares, row by row."""
        return Squares(self.side, tuple((top, left) for top in self.tops for left in self.lefts))

    def find_centre(self, row: int, column: int) -> Point:
        """Give the centre of a square by its row and column in the grid, in pixels."""
        return self.tops[row] + self.side / 2, self.lefts[column] + self.side / 2

    def find_inside(self, box: Box) -> NDArray[np.bool_]:
        """Tell which squares have their centre in a box, (n, m)."""
        top, left, bottom, right = box
        rows, columns = (np.array(starts) + self.side / 2 for starts in (self.tops, self.lefts))
        inside: NDArray[np.bool_] = ((rows >= top) & (rows < bottom))[:, None] & (
            (columns >= left) & (columns < right)
        )
        return inside

    def find_reaching(self, box: Box) -> NDArray[np.bool_]:
        """Tell which squares reach into a box, (n, m)."""
        top, left, bottom, right = box
        tops, lefts = np.array(self.tops), np.array(self.lefts)
        reaching: NDArray[np.bool_] = ((tops < bottom) & (tops + self.side > top))[:, None] & (
            (lefts < right) & (lefts + self.side > left)
        )
        return reaching

    def find_contained(self, box: Box) -> NDArray[np.bool_]:
        """Tell which squares lie in a box as a whole, (n, m)."""
        top, left, bottom, right = box
        tops, lefts = np.array(self.tops), np.array(self.lefts)
        contained: NDArray[np.bool_] = ((tops >= top) & (tops + self.side <= bottom))[:, None] & (
            (lefts >= left) & (lefts + self.side <= right)
        )
        return contained


def place_grid(height: int, width: int, side: int | None = None, stride: int | None = None) -> Grid:
    """Place squares over a whole photo.

    Args:
        height: Of the photo in pixels.
        width: Its width.
        side: Side of the squares; an eighth of the photo's shorter side when None.
        stride: Pixels from one to the next; a quarter of the side when None.

    Raises:
        ImageError: If a square does not fit the photo, or squares leave pixels between them.

    Example:
        >>> grid = place_grid(128, 128)
        >>> grid.side, grid.stride, grid.shape, grid.find_centre(0, 28)
        (16, 4, (29, 29), (8.0, 120.0))
    """
    size = min(height, width)
    side = max(round(size / SIDES), 1) if side is None else side
    stride = max(round(side / STEPS), 1) if stride is None else stride
    check_squares(size, side, stride)
    tops, lefts = (tuple(list_starts(extent, side, stride)) for extent in (height, width))
    return Grid(side, stride, tops, lefts)


@dataclass(frozen=True, eq=False)
class OcclusionMaps:
    """What was read with the square in each place, (n, m), and of the untouched photo.

    Attributes:
        total: The unit's map summed over all its places, (n, m), float64.
        value: The unit's value at its place.
        probability: Of the class.
        best: Number of the most probable class.
        whole_total: The same of the untouched photo.
        whole_value: The same.
        whole_probability: The same.
        whole_best: The same.
        computed: How the passes were computed, in words.
    """

    total: Values
    value: Values
    probability: Values
    best: NDArray[np.int64]
    whole_total: float
    whole_value: float
    whole_probability: float
    whole_best: int
    computed: str

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Give all of it as arrays by name."""
        return {
            "total": self.total,
            "value": self.value,
            "probability": self.probability,
            "best": self.best,
            "whole": np.array([self.whole_total, self.whole_value, self.whole_probability]),
            "whole_best": np.array([self.whole_best]),
            "computed": np.frombuffer(self.computed.encode(), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "OcclusionMaps":
        """Make it of what :meth:`to_arrays` gave."""
        total, value, probability = (float(number) for number in arrays["whole"])
        return cls(
            total=arrays["total"].astype(np.float64),
            value=arrays["value"].astype(np.float64),
            probability=arrays["probability"].astype(np.float64),
            best=arrays["best"].astype(np.int64),
            whole_total=total,
            whole_value=value,
            whole_probability=probability,
            whole_best=int(arrays["whole_best"][0]),
            computed=arrays["computed"].tobytes().decode(),
        )


def measure_occlusion(
    question: Question,
    target: int,
    grid: Grid,
    filling: str,
    progress: Progress = silent,
) -> OcclusionMaps:
    """Hide squares one by one, and read a unit's map and the classes.

    Args:
        question: About one unit of a layer, from :func:`~vizcnn.attribution.question.ask`.
        target: Number of the class.
        grid: The squares.
        filling: What they are filled with (:func:`~vizcnn.attribution.filling.check_filling`).
        progress: Shows how far it is.

    Returns:
        The maps. Where the square is out of the unit's sight its value is that of the untouched
        photo, exactly.

    Example:
        >>> import vizcnn
        >>> from vizcnn.attribution.question import ask
        >>> net = vizcnn.load("lenet", weights=None)
        >>> question, value = ask(net, torch.rand(1, 3, 32, 32), "conv2", unit=3)
        >>> maps = measure_occlusion(question, 7, place_grid(32, 32, side=4, stride=4), "grey")
        >>> maps.value.shape, maps.computed
        ((8, 8), 'windows only, in full from flatten on')
    """
    model, pixels = question.model, question.pixels.float().cpu()
    passes = HiddenPasses(
        model,
        pixels,
        grid.squares,
        fill_photo(model, pixels, filling, grid.side),
        question.layer,
        question.units,
        question.position,
        logits=True,
    )
    whole = _read(passes.read_photo(), target)
    found = [_read(reading, target) for _, reading in passes.run(progress)]
    total, value, probability, best = (torch.cat(values) for values in zip(*found, strict=True))
    wholes = [values[0] for values in whole]
    values = (wholes[1] - drop_rounding(wholes[1] - value, wholes[1])).numpy().reshape(grid.shape)
    values[~grid.find_reaching(question.box)] = float(wholes[1])
    return OcclusionMaps(
        total=(wholes[0] - drop_rounding(wholes[0] - total, wholes[0])).numpy().reshape(grid.shape),
        value=values,
        probability=probability.numpy().reshape(grid.shape),
        best=best.numpy().reshape(grid.shape),
        whole_total=float(wholes[0]),
        whole_value=float(wholes[1]),
        whole_probability=float(wholes[2]),
        whole_best=int(wholes[3]),
        computed=passes.computed,
    )


def _read(reading: Reading, target: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give sum, value, probability of a class and most probable class, (k,) each."""
    assert reading.sums is not None and reading.values is not None and reading.logits is not None
    logits = reading.logits.flatten(1).double().cpu()
    return (
        reading.sums[:, 0].double().cpu(),
        reading.values[:, 0].double().cpu(),
        logits.softmax(dim=1)[:, target],
        logits.argmax(dim=1),
    )


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Where hiding hurts a quantity most.

    Attributes:
        whole: Of the untouched photo.
        drop: The largest fall below that; 0 where nothing falls.
        centre: Row and column of that square's centre in pixels; None where nothing falls.
        inside: Share of the sum of all falls that lies at squares with their centre in the unit's
            receptive field; None where nothing falls.
    """

    whole: float
    drop: float
    centre: Point | None
    inside: float | None


def find_drop(values: Values, whole: float, grid: Grid, box: Box) -> Drop:
    """Find where hiding hurts a quantity most, the first place of several.

    Args:
        values: By the square's place, (n, m).
        whole: Of the untouched photo.
        grid: The squares.
        box: The unit's receptive field.

    Example:
        >>> grid = place_grid(4, 4, side=2, stride=2)
        >>> find_drop(np.array([[1.0, 4.0], [4.0, 3.0]]), 4.0, grid, (0, 0, 2, 2))
        Drop(whole=4.0, drop=3.0, centre=(1.0, 1.0), inside=0.75)
    """
    falls = np.clip(whole - values, 0, None)
    sum_of_falls = float(falls.sum())
    if not sum_of_falls > 0:
        return Drop(whole=whole, drop=0.0, centre=None, inside=None)
    row, column = np.unravel_index(int(falls.argmax()), falls.shape)
    return Drop(
        whole=whole,
        drop=float(falls.max()),
        centre=grid.find_centre(int(row), int(column)),
        inside=float(falls[grid.find_inside(box)].sum()) / sum_of_falls,
    )


@dataclass(frozen=True, kw_only=True)
class MethodAgreement:
    """Rank correlation of a unit's drops with what pictures say of the squares.

    Attributes:
        method: Name of the method.
        picture: With the unit's projection.
        own: With its own part, what it does not share with other active units of the place; None
            where there are none.
        other: With another active unit's projection; None where there is none.
    """

    method: str
    picture: float | None
    own: float | None
    other: float | None


@dataclass(frozen=True)
class Agreements:
    """How far a unit's drops agree with pictures.

    Attributes:
        methods: By method.
        other: Number of the other unit; None where no other is active at the place.
        squares: How many squares were compared.
        whole_squares: Whether all of these lie in the receptive field; else they reach into it.
        left_out: Methods that the net does not allow, and why.
    """

    methods: tuple[MethodAgreement, ...]
    other: int | None
    squares: int
    whole_squares: bool
    left_out: tuple[tuple[str, str], ...]


def compare_pictures(
    question: Question, values: Values, whole: float, grid: Grid, methods: Sequence[str] = ()
) -> Agreements:
    """Correlate a unit's drops with its pictures, by every method, inside the receptive field.

    What a picture says of a square is the sum of its magnitudes there (of gradient times input the
    signed sum: :func:`~vizcnn.measures.occlusion_control.foretell`). Outside the field nothing
    falls, and the zeros would count as agreement.

    Args:
        question: About the unit, with company.
        values: The unit's value by the place of the square, (n, m).
        whole: Its value on the untouched photo.
        grid: The squares.
        methods: Names in :data:`~vizcnn.measures.method_pictures.CHECKED_METHODS`; all when empty.
    """
    inside = grid.find_contained(question.box)
    is_whole = int(inside.sum()) >= FEW
    chosen = inside if is_whole else grid.find_reaching(question.box)
    corners = tuple(
        corner for corner, used in zip(grid.squares.corners, chosen.ravel(), strict=True) if used
    )
    squares, drops = Squares(grid.side, corners), rank((whole - values)[chosen])
    unit, company = int(question.units), question.company.tolist()
    rest = [other for other in company if other != unit]
    other = rest[len(rest) // 2] if rest else None  # one stands for all: the middle, by number
    found, left_out = [], []
    for method in methods or CHECKED_METHODS:
        try:
            pictures = _project(question, method, [unit, *rest])
        except UnsupportedOperationError as error:
            left_out.append((method, str(error)))
            continue
        rows: list[Tensor | None] = [pictures[0], _find_own(question, pictures), None]
        if other is not None:
            rows[2] = pictures[1 + rest.index(other)]
        scores = [None if row is None else _agree(row, method, squares, drops) for row in rows]
        found.append(
            MethodAgreement(method=method, picture=scores[0], own=scores[1], other=scores[2])
        )
    return Agreements(tuple(found), other, len(corners), is_whole, tuple(left_out))


def _project(question: Question, method: str, units: Sequence[int]) -> Tensor:
    """Project units of the place by a method, (R, 3, S, S)."""
    attached = MethodSet(question.model, [method])
    recording = attached.record(question.pixels, [question.layer])
    maps = attached.find_maps(recording, question.layer)
    position: Position = question.position if maps.ndim == 4 else "max"
    targets = units_at(maps, list(units), position)
    (projection,) = attached.project(recording, question.layer, targets, question.pixels).values()
    return projection.pixels.detach().cpu()


def _find_own(question: Question, pictures: Tensor) -> Tensor | None:
    """Give the own part of the first picture; None where there is nothing to compare with."""
    known = question.known
    company = pictures if known else pictures[1:]
    if len(company) < 2 or company.flatten(1).any(dim=1).sum() < 2:
        return None
    common = find_common(company, known, question.active)
    return pictures[0] - find_common_part(pictures[0], common.direction)


def _agree(picture: Tensor, method: str, squares: Squares, drops: Values) -> float | None:
    (foretold,) = foretell(to_array(picture[None]), method)
    found = correlate(drops, rank(sum_squares(foretold, squares)))
    return None if math.isnan(found) else found
