"""What the pictures of a place's units share, and what is each unit's own."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vizcnn.basics.errors import VizcnnError, check_number, quote

Part = Literal["whole", "own", "common"]
"""A picture as it is; without what the units of its place share; or only that."""

PARTS: tuple[Part, ...] = ("whole", "own", "common")

ORTHOGONAL = 1e-6
"""Cosine below which two pictures have nothing in common but rounding."""

BALANCED = 1e-9
"""Mean cosine below which as many pictures are along a direction as against it."""

ROUNDING = 8
"""Times a type's precision: a part below that share of the picture is nothing but rounding."""

COLUMNS = 1 << 16
"""Values of a picture that are multiplied in double precision at a time."""


@dataclass(frozen=True)
class Common:
    """What n pictures of one place share.

    Attributes:
        direction: The common picture C, of the shape of one picture and of length 1: the first
            right singular vector of the normalised pictures, signed so that most of them are
            along it, or the first where as many are against it. All zero where no two pictures
            share anything.
        cosines: Of each picture with C, (n,), float64; nan for a picture that is all zero.
        effective_number: How many different pictures they are, 1 to n: 1 / sum of squares of the
            singular values' shares of the energy. nan where no picture is left.
        correction: What a cosine² with C is multiplied by where C is of a sample; else 1.
    """

    direction: Tensor
    cosines: Tensor
    effective_number: float
    correction: float = 1.0

    @property
    def selectivity(self) -> Tensor:
        """1 - cosine² of each picture with C, (n,): 0 is the common picture, 1 is none of it.

        Of a sample it is an estimate, corrected for the sample's size, and meant for the pictures
        that are known.

        nan for a picture that is all zero, and where there is only one: nothing is compared.
        """
        compares = self.compares(is_one=True)
        nothing = torch.full_like(self.cosines, math.nan)
        return measure_selectivity(self.correct(self.cosines) if compares else nothing)

    def compares(self, is_one: bool) -> bool:
        """Tell whether C is of any other picture than the one that is set against it.

        Where it is not, nothing of that picture is known to be common: all of it is its own.

        Args:
            is_one: Whether that picture is one of those that C is of.
        """
        return int(self.cosines.isfinite().sum()) > is_one

    def correct(self, cosines: Tensor) -> Tensor:
        """Give what cosines with C would be if C were of all units, and not of a sample."""
        return correct_cosines(cosines, torch.tensor(self.correction))


@dataclass(frozen=True)
class Commons:
    """What each of B groups of n pictures shares; each as in :class:`Common`.

    Attributes:
        directions: (B, ...), on the pictures' device.
        cosines: (B, n).
        effective_numbers: (B,).
        corrections: (B,).
    """

    directions: Tensor
    cosines: Tensor
    effective_numbers: Tensor
    corrections: Tensor


def correct_cosines(cosines: Tensor, corrections: Tensor) -> Tensor:
    """Give what cosines with a sample's C would be if it were of all units, by its correction."""
    return (cosines * corrections.to(cosines).sqrt()).clamp(-1, 1)


def measure_selectivity(cosines: Tensor) -> Tensor:
    """Give 1 - cosine², 0..1, of cosines with a common picture."""
    return (1 - cosines.square()).clamp(min=0)


def find_common(pictures: Tensor, known: int | None = None, total: int | None = None) -> Common:
    """Find what the pictures of units share that are active at one place.

    With x_u = P_u / |P_u| as rows, C is the first right singular vector: of all directions the one
    that the pictures have most in common, sum of cos²(P_u, C) being largest. A unit's own part is
    P - (P.C)C and its common part (P.C)C; they are orthogonal and add up to P.

    Pictures are normalised first, or the unit with the largest would be the common picture. What
    else was tried, on ZFNet's conv5 (medians over some photos):

    - The *mean* of the normalised pictures. Where all cosines are positive it is as good (theorem
      of Perron and Frobenius; selectivity of deconvnet and guided backprop equal to 0.001), but
      where they are not it cancels (gradient: 0.1 off).
    - *Several vectors*. By the deconvnet the first leaves 8 % of the energy, the second takes one
      more per cent and eight together half of the rest: after the first there is no step at which
      to stop, and in the end all that is a unit's own is gone.
    - One common picture *for an image*, from each unit's strongest place. It tells places apart and
      not units: selectivity 0.4 where 0.09 is left when all look at one place.

    Where n pictures are orthogonal in fact and differ by chance, C takes 1/n of them on average:
    of two units nothing but their relation can be said.

    Args:
        pictures: One of each unit, (n, ...), finite; signed, in any scale.
        known: How many of them, from the first on, stand for themselves; the others are a sample.
            All when None.
        total: How many units there are. The sample stands for those that are not known: it is
            weighted (estimator of Horvitz and Thompson), so that a larger sample changes nothing
            on average in the matrix whose singular vector is taken. What is by chance in the
            singular vector of few pictures lowers every cosine with it, which ``correction`` makes
            good (:func:`_find_corrections`).

    Raises:
        VizcnnError: If there is no picture, or the numbers do not fit.

    Example:
        >>> common = find_common(torch.tensor([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 0.0, 0.0]]))
        >>> [abs(round(value, 3)) for value in common.direction.tolist()]
        [1.0, 0.0, 0.0]
        >>> [round(value, 3) for value in common.selectivity.tolist()]
        [0.5, 0.5, 0.0]
        >>> round(common.effective_number, 3)
        1.8
    """
    if pictures.ndim < 2 or not pictures.is_floating_point() or not len(pictures):
        raise VizcnnError(
            f"got pictures of shape {tuple(pictures.shape)}, {pictures.dtype}; needed: (n, ...), "
            "at least one, floating-point numbers"
        )
    known = len(pictures) if known is None else check_number("known", known, 0, len(pictures))
    total = len(pictures) if total is None else total
    if total < len(pictures) or (known == len(pictures) < total):
        raise VizcnnError(
            f"got total={quote(total)} for {len(pictures)} pictures of which {known} are known; "
            "needed: as many, or more with a sample of the others"
        )
    common = find_commons(pictures[None], torch.tensor([known]), torch.tensor([total]))
    return Common(
        common.directions[0],
        common.cosines[0],
        float(common.effective_numbers[0]),
        float(common.corrections[0]),
    )


def find_commons(pictures: Tensor, known: Tensor, totals: Tensor) -> Commons:
    """Find what groups of pictures share, all groups at once; see :func:`find_common`.

    Args:
        pictures: (B, n, ...).
        known: Of each group, (B,).
        totals: Of each group, (B,).
    """
    flat = pictures.detach().flatten(2)
    flat = flat.cpu() if flat.device.type == "mps" else flat  # which has no double precision
    largest = flat.abs().amax(dim=2).double()
    there = largest > 0
    inverse = torch.where(there, 1 / largest, 0.0)  # first, so that no square is lost
    gram = torch.zeros((*flat.shape[:2], flat.shape[1]), dtype=torch.float64, device=flat.device)
    for columns in flat.split(COLUMNS, dim=2):
        block = columns.double() * inverse[..., None]
        gram += block @ block.mT
    scale = torch.where(there, gram.diagonal(dim1=1, dim2=2).rsqrt(), 0.0)
    gram = gram * scale[:, :, None] * scale[:, None]
    weights, pairs = _weigh(flat.shape[1], known.to(flat.device), totals.to(flat.device))
    between = gram - gram.diagonal(dim1=1, dim2=2).diag_embed()
    size = (weights * there).sum(dim=1)
    numbers = size.square() / (size + (between.square() * pairs).sum(dim=(1, 2)))
    shares_nothing = (there.sum(dim=1) != 1) & (between.abs() <= ORTHOGONAL).all(dim=2).all(dim=1)
    roots = weights.sqrt()
    energies, vectors = torch.linalg.eigh(gram * roots[:, :, None] * roots[:, None])
    energy = torch.where(shares_nothing, 1.0, energies[:, -1])
    shares = vectors[:, :, -1] * roots / energy.sqrt()[:, None]  # of each x_u in C
    cosines = (gram @ shares[:, :, None])[:, :, 0]
    lean = (cosines * weights).sum(dim=1)
    first = cosines.gather(1, there.to(torch.uint8).argmax(dim=1, keepdim=True))[:, 0]
    # of two opposite pictures each is as much along it: what rounding says is no answer
    lean = torch.where(lean.abs() <= BALANCED * size, first, lean)
    sign = torch.where(lean < 0, -1.0, 1.0)
    sign = torch.where(shares_nothing, 0.0, sign)[:, None]
    coefficients = (sign * shares * scale * inverse)[:, None]
    directions = torch.cat(
        [
            (coefficients @ columns.double())[:, 0].to(flat.dtype)
            for columns in flat.split(COLUMNS, dim=2)
        ],
        dim=1,
    )
    sample = (weights[:, None] @ gram @ weights[:, :, None])[:, 0, 0]
    corrections = _find_corrections(sample, size + (between * pairs).sum(dim=(1, 2)))
    return Commons(
        directions.view(len(pictures), *pictures.shape[2:]).to(pictures),
        torch.where(there, sign * cosines, math.nan),
        numbers,
        torch.where(shares_nothing, 1.0, corrections),
    )


def _find_corrections(sample: Tensor, everyone: Tensor) -> Tensor:
    """Give what squared cosines with the common pictures of samples are too small by.

    C is close to the mean of the normalised pictures, and the mean of a sample is longer than that
    of all: the part that is by chance the sample's own does not average out. cos²(P, mean) has the
    squared length below the line, and nothing else that a sample would bias. A sample that has
    more by chance than in common says nothing about it, and is not corrected.

    Args:
        sample: Squared length of each sample's weighted sum.
        everyone: What it would be with all pictures, estimated by pairs of the sample.
    """
    tells = (sample > 0) & (sample < 2 * everyone)
    return torch.where(tells, sample / everyone, 1.0)


def find_common_part(picture: Tensor, direction: Tensor) -> Tensor:
    """Find a picture's common part (P.C)C; the own part is the rest.

    Where either is nothing but rounding the other is the whole picture: drawn at full contrast, it
    would look like something.

    Args:
        picture: P, of any shape.
        direction: C, of the same shape and of length 1, or zero.

    Example:
        >>> find_common_part(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0])).tolist()
        [3.0, 0.0]
    """
    part = inner_product(picture, direction) * direction
    least = ROUNDING * torch.finfo(picture.dtype).eps * picture.abs().amax()
    if part.abs().amax() <= least:
        return torch.zeros_like(picture)
    return picture.clone() if (picture - part).abs().amax() <= least else part


def inner_product(first: Tensor, second: Tensor) -> float:
    """Multiply two pictures value by value and add up, in double precision."""
    one, other = (
        (picture.cpu() if picture.device.type == "mps" else picture).detach().flatten().double()
        for picture in (first, second)
    )
    return float(one @ other)


def measure_cosines(pictures: Tensor, directions: Tensor) -> Tensor:
    """Give the cosine of each picture (n, ...) with a direction of its own, of length 1 or 0.

    Returns:
        (n,), float64; NaN for pictures that are all zero.
    """
    device = torch.device("cpu") if pictures.device.type == "mps" else pictures.device
    flat, along = pictures.detach().flatten(1).to(device), directions.flatten(1).to(device)
    largest = flat.abs().amax(dim=1).double()
    inverse = torch.where(largest > 0, 1 / largest, 0.0)[:, None]  # no square is lost
    products = torch.zeros(len(flat), dtype=torch.float64, device=device)
    squares = torch.zeros_like(products)
    for columns, line in zip(flat.split(COLUMNS, 1), along.split(COLUMNS, 1), strict=True):
        scaled = columns.double() * inverse
        products += (scaled * line.double()).sum(dim=1)
        squares += scaled.square().sum(dim=1)
    return products / squares.sqrt()


def find_cosines(picture: Tensor, others: Tensor) -> Tensor:
    """Give the cosines of a picture with others, -1..1; NaN where a picture is zero everywhere.

    Args:
        picture: Of any shape.
        others: (n, ...), each of its shape.

    Returns:
        (n,), float64, on the CPU.

    Example:
        >>> find_cosines(torch.tensor([3.0, 4.0]), torch.tensor([[30.0, 0.0], [0.0, 0.0]]))
        tensor([0.6000,    nan], dtype=torch.float64)
    """
    # squares of small numbers would be lost in float32; not every device has float64
    one, rest = picture.flatten().cpu().double(), others.flatten(1).cpu().double()
    cosines: Tensor = rest @ one / (rest.norm(dim=1) * one.norm())
    return cosines.clamp(-1, 1)


def _weigh(count: int, known: Tensor, totals: Tensor) -> tuple[Tensor, Tensor]:
    """Give how many units each picture stands for, (B, n), and how many pairs each pair does.

    Of a sample of b of N units, a pair stands for N (N - 1) / (b (b - 1)) pairs, (B, n, n).
    """
    sampled, unknown = (count - known).double(), (totals - known).double()
    is_known = torch.arange(count, device=known.device) < known[:, None]
    each = unknown / sampled.clamp(min=1)
    weights = torch.where(is_known, 1.0, each[:, None])
    both = torch.where(sampled > 1, each * (unknown - 1) / (sampled - 1).clamp(min=1), each)
    both = torch.where((sampled == 1) & (unknown > 1), math.nan, both)
    within = is_known[:, :, None] | is_known[:, None]
    return weights, torch.where(within, weights[:, :, None] * weights[:, None], both[:, None, None])
