"""What a gallery of whole layers shows, and how."""

from dataclasses import dataclass
from typing import Literal

from vizcnn.errors import LayerError, VizcnnError
from vizcnn.tiles import Scaling

MOST_PLACES = 100
"""Places of a unit, at most: more make sheets that no image format holds."""


@dataclass(frozen=True)
class TopSettings:
    """What to look for, how to project it and how to show it.

    Attributes:
        layers: Canonical names or module paths, in the order of the pages.
        units: Unit numbers, or None for every unit of the layers.
        top: Strongest places per unit.
        per_photo: How many of them may be of one photo.
        method: Name of the rule.
        scaling: ``"unit"`` gives each projection its own contrast, ``"shared"`` all of a unit's
            places one.
        passes_over_normalisation: Whether contrast normalisation is skipped; the method's own
            habit when None.
        unruled: What to do about operations without a rule.
        poster: Whether to draw each layer as a slide too.
        poster_units: Units on a poster; None chooses by the size of the receptive field.
        seed: Seed of the draw of those units.
        workers: Processes that read photos while mining; None chooses by the machine.

    Raises:
        LayerError: If there is no layer, or a number is out of range.

    Example:
        >>> TopSettings(layers=("conv1",), top=0)
        Traceback (most recent call last):
        vizcnn.errors.LayerError: 0 places per unit were asked for; needed: 1 to 100
    """

    layers: tuple[str, ...]
    units: tuple[int, ...] | None = None
    top: int = 9
    per_photo: int = 1
    method: str = "deconvnet"
    scaling: Scaling = "unit"
    passes_over_normalisation: bool | None = None
    unruled: Literal["refuse", "gradient"] = "refuse"
    poster: bool = False
    poster_units: int | None = None
    seed: int = 0
    workers: int | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            raise LayerError("no layer is named; needed: at least one, for example conv1")
        if not 1 <= self.top <= MOST_PLACES:
            raise LayerError(
                f"{self.top} places per unit were asked for; needed: 1 to {MOST_PLACES}"
            )
        if not 1 <= self.per_photo <= self.top:
            raise LayerError(
                f"{self.per_photo} places of one photo among {self.top} were asked for; needed: "
                f"1 to {self.top}"
            )
        if self.poster_units is not None and self.poster_units < 1:
            raise VizcnnError(f"a poster of {self.poster_units} units; needed: 1 or more")
