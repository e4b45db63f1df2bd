"""What each picture says of itself: how much of it is the unit's own."""

from dataclasses import dataclass
from typing import Any

from vizcnn.drawing.words import (
    describe_compared,
    describe_selectivity,
    label_selectivity,
    write_selectivity,
)
from vizcnn.projection.projection import Projection


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """How a projection stands to those of the other active units of its place.

    Attributes:
        activation: What was projected, in the net's own units.
        selectivity: 1 - cos²(P, C), 0..1: 0 is the common picture C of the place's active units,
            1 has nothing of it. None where nothing can be compared.
        compared: From how many active units of the place C was found; None if it was not.
        active: How many units are active at the place.
    """

    activation: float
    selectivity: float | None = None
    compared: int | None = None
    active: int | None = None

    @property
    def value(self) -> str:
        """The selectivity as a number; empty where nothing was compared."""
        if self.compared is None or self.active is None:
            return ""
        return write_selectivity(self.selectivity, self.compared, self.active)

    @property
    def label(self) -> str:
        """The selectivity in short; empty where nothing was compared."""
        if self.compared is None or self.active is None:
            return ""
        return label_selectivity(self.selectivity, self.compared, self.active)

    @property
    def among(self) -> str:
        """Which units the common picture is of; empty where nothing was compared."""
        if self.compared is None or self.active is None:
            return ""
        return describe_compared(self.compared, self.active)

    @property
    def sentence(self) -> str:
        """What the selectivity means; empty where nothing was compared."""
        if self.compared is None:
            return ""
        return describe_selectivity(self.selectivity, self.compared, self.activation > 0)


def list_evidence(projection: Projection) -> list[dict[str, Any]]:
    """Give the fields of each row's :class:`Evidence`, without the activation."""
    if projection.comparison is None:
        return [{} for _ in range(len(projection))]
    return projection.comparison.list_evidence()
