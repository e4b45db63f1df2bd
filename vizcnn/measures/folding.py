"""What leaving out places of a map folds, and what is left of that by each of the known cures.

The map of which every s-th place is kept is taken at stride 1: the dense output of a convolution,
the dense maximum of a max pooling. Its frequencies above 1/(2s) land below that limit and are
aliases there. The ideal low-pass keeps what is below the limit, and nothing else: the middle of the
spectrum, which is FLC pooling (Grabinski et al. 2022, FrequencyLowCut Pooling, ECCV). BlurPool
(Zhang 2019, arXiv 1904.11486) comes near to it by a small filter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import LayerError
from vizcnn.measures.spectrum import fade_edges

BLURS: tuple[int | None, ...] = (None, 3, 5)
"""Taps of the blurs that are tried; None is the step as it is."""

_AT_ONCE = 1 << 20
"""Values whose spectra are computed at a time."""

Array = NDArray[np.float64]


def keep_low(maps: Tensor, stride: tuple[int, int]) -> Tensor:
    """Subsample maps without aliasing: keep the middle of their spectra, as FLC pooling does.

    The value at ``(i, j)`` belongs to the place ``(i * stride[0], j * stride[1])``, that of a plain
    subsampling, whatever the number of rows and columns. (The code that came with the paper cuts
    from a quarter to three quarters of the shifted spectrum: for sides that 4 does not divide that
    is off the middle by one frequency, which it hides by taking absolute values, and with them the
    signs.) The map counts as repeated without end: what leaves it on the left comes in again on
    the right.

    Args:
        maps: (..., H, W), real; the strides divide H and W.
        stride: Down and across.

    Returns:
        (..., H / stride[0], W / stride[1]), in the same type. What lies exactly at the limit, of
        even numbers of places, is kept as a real signal can have it.

    Raises:
        LayerError: If a stride does not divide its side.

    Example:
        >>> wave = torch.cos(2 * torch.pi * torch.arange(12).double() / 12).expand(4, 12)
        >>> torch.allclose(keep_low(wave, (1, 3)), wave[:, ::3])
        True
        >>> keep_low((-1.0) ** torch.arange(8).expand(8, 8), (2, 2)).abs().max().item() < 1e-6
        True
    """
    _check_sides(maps, stride)
    return _cut_low(torch.fft.fft2(maps), stride).to(maps.dtype)


def _cut_low(spectra: Tensor, stride: tuple[int, int]) -> Tensor:
    rows, columns = (
        _list_low(side, step, spectra.device)
        for side, step in zip(spectra.shape[-2:], stride, strict=True)
    )
    low = spectra[..., rows, :][..., columns] / (stride[0] * stride[1])
    real: Tensor = torch.fft.ifft2(low).real
    return real


def _list_low(side: int, step: int, device: torch.device) -> Tensor:
    """List the places of a spectrum that stay, in the order of a spectrum of ``side / step``."""
    kept = side // step
    places = torch.arange(kept, device=device)
    return torch.where(places < (kept + 1) // 2, places, places + side - kept)


def _check_sides(maps: Tensor, stride: tuple[int, int]) -> None:
    for side, step in zip(maps.shape[-2:], stride, strict=True):
        if step < 1 or side % step:
            raise LayerError(f"maps of {side} places cannot be cut into steps of {step}")


@dataclass(frozen=True, eq=False)
class Folding:
    """Energies of a step's maps, which can be added over photos.

    All are sums of squares over the places of maps that have lost their mean and are faded out at
    their edges (:func:`~vizcnn.measures.spectrum.fade_edges`).

    Attributes:
        energy: (B, C), of each map after each blur of :data:`BLURS`, before places are left out.
        above: (B, C), the part of it above the limit.
        ideal: (C,), of what the ideal low-pass keeps, at the places that are kept.
        errors: (B, C), of the difference from it.
        wrapped: (2,), of the ideal low-pass on the map as it is, not faded, mirrored at its edges;
            and of what changes if the map is repeated instead, as FLC pooling has it.
        power: (H, W), power spectrum, zero frequency first, summed over the maps.
    """

    energy: Array
    above: Array
    ideal: Array
    errors: Array
    wrapped: Array
    power: Array

    def __add__(self, other: "Folding") -> "Folding":
        mine, theirs = self.to_arrays(), other.to_arrays()
        return Folding(**{name: array + theirs[name] for name, array in mine.items()})

    def to_arrays(self) -> dict[str, Array]:
        """Give the energies by name."""
        return dict(vars(self))

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "Folding":
        """Make energies of what :meth:`to_arrays` gave."""
        return Folding(**arrays)

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Share of the energy above the limit, 0..1, after each blur; None of silent maps."""
        return tuple(
            _divide(above.sum(), energy.sum())
            for above, energy in zip(self.above, self.energy, strict=True)
        )

    @property
    def mean_share(self) -> float | None:
        """The share without a blur, averaged over the maps that are not silent, each alike."""
        heard = self.energy[0] > 0
        return float((self.above[0][heard] / self.energy[0][heard]).mean()) if heard.any() else None

    @property
    def distances(self) -> tuple[float | None, ...]:
        """Norm of the difference from the ideal low-pass over that one's norm, after each blur."""
        return tuple(_root(_divide(row.sum(), self.ideal.sum())) for row in self.errors)

    @property
    def passed(self) -> tuple[float | None, ...]:
        """Share of the energy below the limit that each blur leaves, 0..1."""
        below = (self.energy - self.above).sum(axis=1)
        return tuple(_divide(row, below[0]) for row in below)

    @property
    def wrap(self) -> float | None:
        """Norm of what FLC pooling's repetition changes, over that of the ideal low-pass."""
        return _root(_divide(self.wrapped[1], self.wrapped[0]))


def _divide(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _root(value: float | None) -> float | None:
    return None if value is None else float(np.sqrt(value))


@torch.no_grad()
def measure_folding(dense: Tensor, stride: tuple[int, int]) -> Folding:
    """Measure what keeping every s-th place of maps folds.

    Spectra are of the largest whole number of steps from the first place on: of 55 rows at stride
    2 the first 54. A frequency is above the limit where its vertical or its horizontal part is; in
    a direction without stride nothing is. No assumption is made on phases: the differences from the
    ideal low-pass are those of the values themselves.

    Args:
        dense: (C, H, W), the maps at stride 1, of any floating type.
        stride: Down and across.

    Example:
        >>> noise = torch.randn(50, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> round(measure_folding(noise, (2, 2)).shares[0], 2)  # 3 of 4 frequencies fold
        0.75
    """
    rows, columns = (
        side // step * step for side, step in zip(dense.shape[-2:], stride, strict=True)
    )
    if min(rows, columns) < 1:
        raise LayerError(f"maps of {tuple(dense.shape[-2:])} hold no step of {stride}")
    maps = dense[:, :rows, :columns]
    inside = torch.zeros(rows, columns, dtype=torch.bool)
    low = [
        _list_low(side, step, inside.device)
        for side, step in zip((rows, columns), stride, strict=True)
    ]
    inside[low[0][:, None], low[1]] = True
    transfers = [_find_transfer(taps, (rows, columns), stride) for taps in BLURS]
    parts = maps.split(max(_AT_ONCE // (rows * columns), 1))
    found = [_measure_part(part, stride, inside, transfers) for part in parts]
    joined = {name: [part[name] for part in found] for name in found[0]}
    return Folding(
        **{name: _to_array(torch.cat(joined[name], -1)) for name in ("energy", "above", "errors")},
        ideal=_to_array(torch.cat(joined["ideal"])),
        wrapped=_to_array(torch.stack(joined["wrapped"]).sum(0)),
        power=_to_array(torch.stack(joined["power"]).sum(0)),
    )


def _to_array(values: Tensor) -> Array:
    array: Array = values.cpu().numpy()
    return array


def _find_transfer(taps: int | None, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Give what a blur multiplies a spectrum by, without its delay; 1 across no stride."""
    vertical, horizontal = (
        _find_line(taps if step > 1 else None, side)
        for side, step in zip(size, stride, strict=True)
    )
    return vertical[:, None] * horizontal[None, :]


def _find_line(taps: int | None, side: int) -> Tensor:
    frequencies = torch.fft.fftfreq(side, dtype=torch.float64)
    return torch.cos(torch.pi * frequencies) ** ((taps or 1) - 1)


def _measure_part(
    maps: Tensor, stride: tuple[int, int], inside: Tensor, transfers: list[Tensor]
) -> dict[str, Tensor]:
    # not every device has float64
    maps = maps.cpu().double()
    faded = fade_edges(maps)
    spectra = torch.fft.fft2(faded)
    ideal = _cut_low(spectra, stride)
    energy, above, errors = [], [], []
    for transfer in transfers:
        blurred = spectra * transfer
        power = blurred.abs().square() / inside.numel()
        energy.append(power.sum(dim=(1, 2)))
        above.append((power * ~inside).sum(dim=(1, 2)))
        kept = torch.fft.ifft2(blurred).real[:, :: stride[0], :: stride[1]]
        errors.append(_sum_squares(kept - ideal))
    centred = maps - maps.mean(dim=(1, 2), keepdim=True)
    mirrored = torch.cat([centred, centred.flip(-1)], -1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], -2)
    rows, columns = ideal.shape[-2:]
    plain = keep_low(mirrored, stride)[:, :rows, :columns]
    wrapped = keep_low(centred, stride) - plain
    return {
        "energy": torch.stack(energy),
        "above": torch.stack(above),
        "errors": torch.stack(errors),
        "ideal": _sum_squares(ideal),
        "wrapped": torch.stack([_sum_squares(plain).sum(), _sum_squares(wrapped).sum()]),
        "power": spectra.abs().square().sum(dim=0) / inside.numel(),
    }


def _sum_squares(maps: Tensor) -> Tensor:
    return maps.square().sum(dim=(1, 2))
