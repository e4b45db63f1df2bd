"""One net: what each of its subsamplings folds on photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.codec import unwritten
from vizcnn.measures.folding import BLURS, Array, Folding, measure_folding
from vizcnn.measures.subsampling import LeftOut, Subsampling, see_dense
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, kw_only=True)
class LayerFolding:
    """What a subsampling folds.

    Attributes:
        step: The subsampling.
        jump: Distance of neighbouring units after it, in pixels of the input; None where it is not
            known, or was not asked for.
        apart: How differently it answers to two oscillations that fold onto each other at that
            jump, 0 for alike (see :func:`~vizcnn.measures.oscillations.tell_apart`); None likewise.
        shares: Share of the energy above the new limit, 0..1, summed over maps and photos: as it
            is, then after each blur of :data:`~vizcnn.measures.folding.BLURS`; None if silent.
        mean_share: The first of them, averaged over maps, each alike.
        photo_shares: The same of each photo.
        distances: Norm of what differs from the ideal low-pass over that one's norm, as for shares.
        passed: Share of the energy below the limit that is left, as for shares.
        wrap: How much FLC pooling's wrap-around at the edges changes, over the ideal low-pass of
            the map mirrored there.
        power: (H, W), power spectrum before places are left out, zero frequency first.
    """

    step: Subsampling
    jump: int | None = None
    apart: float | None = None
    shares: tuple[float | None, ...]
    mean_share: float | None
    photo_shares: tuple[float | None, ...]
    distances: tuple[float | None, ...]
    passed: tuple[float | None, ...]
    wrap: float | None
    power: Array = unwritten()

    @property
    def heard_shares(self) -> list[float]:
        """All shares of all photos, and over them, that there are."""
        return [share for share in (*self.shares, *self.photo_shares) if share is not None]


@dataclass(frozen=True, kw_only=True)
class NetFolding:
    """What a net's subsamplings fold.

    Attributes:
        title: Name of the net.
        side: Of its input, in pixels.
        random: Whether its weights are random.
        layers: The steps, in the order in which they run.
        left_out: Steps that are not measured.
    """

    title: str
    side: int
    random: bool
    layers: tuple[LayerFolding, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def worst(self) -> LayerFolding | None:
        """The layer that folds the largest share, as it is."""
        heard = [layer for layer in self.layers if layer.shares[0] is not None]
        return max(heard, key=lambda layer: layer.shares[0] or 0.0) if heard else None

    @property
    def median_shares(self) -> tuple[float | None, ...]:
        """Median over layers of their shares, as it is and after each blur."""
        return tuple(
            _median([layer.shares[number] for layer in self.layers]) for number in _BLURRED
        )

    @property
    def median_distances(self) -> tuple[float | None, ...]:
        """Median over layers of their distances, as it is and after each blur."""
        return tuple(
            _median([layer.distances[number] for layer in self.layers]) for number in _BLURRED
        )


_BLURRED = range(len(BLURS))


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def measure_photo(
    model: ZooModel, steps: Sequence[Subsampling], pixels: Tensor
) -> dict[str, NDArray[Any]]:
    """Measure what every subsampling of a net folds on one photo.

    Args:
        model: A net of the zoo.
        steps: What :func:`~vizcnn.measures.subsampling.find_subsamplings` found in it.
        pixels: (1, 3, S, S), RGB 0..1.

    Returns:
        Energies by number of the step and name, for :func:`sum_photos`.
    """
    like = next(model.module.parameters())
    found: dict[str, NDArray[Any]] = {}

    def see(number: int, dense: Tensor) -> None:
        folding = measure_folding(dense.flatten(0, 1), steps[number].stride)
        found.update({f"{number}/{name}": array for name, array in folding.to_arrays().items()})

    inputs = model.preprocessing.normalise(pixels.to(like.device, like.dtype))
    see_dense(model.module, inputs, steps, see)
    return found


def sum_photos(
    model: ZooModel,
    steps: Sequence[Subsampling],
    left_out: Sequence[LeftOut],
    photos: Sequence[Mapping[str, NDArray[Any]]],
    oscillations: Sequence[tuple[int | None, float | None]] = (),
) -> NetFolding:
    """Sum up what was measured of photos, one by one.

    Args:
        model: The net.
        steps: Its subsamplings.
        left_out: Those that are not measured.
        photos: What :func:`measure_photo` gave of each; one at least.
        oscillations: For each step the jump after it and how far apart oscillations come out, if
            that was measured.
    """
    layers = []
    asked = oscillations or [(None, None)] * len(steps)
    for number, (step, (jump, apart)) in enumerate(zip(steps, asked, strict=True)):
        parts = [_pick(photo, number) for photo in photos]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        layers.append(
            LayerFolding(
                step=step,
                jump=jump,
                apart=apart,
                shares=total.shares,
                mean_share=total.mean_share,
                photo_shares=tuple(part.shares[0] for part in parts),
                distances=total.distances,
                passed=total.passed,
                wrap=total.wrap,
                power=total.power,
            )
        )
    return NetFolding(
        title=model.title,
        side=model.input_size,
        random=model.provenance.source == "random",
        layers=tuple(layers),
        left_out=tuple(left_out),
    )


def _pick(photo: Mapping[str, NDArray[Any]], number: int) -> Folding:
    names = Folding.__dataclass_fields__
    return Folding.from_arrays({name: np.asarray(photo[f"{number}/{name}"]) for name in names})
