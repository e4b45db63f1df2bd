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
            along it. All zero where no two pictures share anything.
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
        return (cosines * math.sqrt(self.correction)).clamp(-1, 1)


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
            good (:func:`_find_correction`).

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
    flat = pictures.detach().flatten(1)
    flat = flat.cpu() if flat.device.type == "mps" else flat  # which has no double precision
    largest = flat.abs().amax(dim=1).double()
    there = largest > 0
    inverse = torch.where(there, 1 / largest, 0.0)  # first, so that no square is lost
    gram = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat.device)
    for columns in flat.split(COLUMNS, dim=1):
        block = columns.double() * inverse[:, None]
        gram += block @ block.T
    scale = torch.where(there, gram.diagonal().rsqrt(), 0.0)
    gram = gram * scale[:, None] * scale
    weights, pairs = _weigh(len(flat), known, total, flat.device)
    between = gram - gram.diagonal().diag()
    size = weights[there].sum()
    number = float(size.square() / (size + (between.square() * pairs).sum()))
    nothing = torch.full_like(largest, math.nan)
    if int(there.sum()) != 1 and not bool((between.abs() > ORTHOGONAL).any()):
        cosines = torch.where(there, 0.0, nothing)
        return Common(torch.zeros_like(pictures[0]), cosines, number)
    roots = weights.sqrt()
    energies, vectors = torch.linalg.eigh(gram * roots[:, None] * roots)
    shares = vectors[:, -1] * roots / energies[-1].sqrt()  # of each x_u in C
    cosines = gram @ shares
    sign = -1.0 if float(cosines @ weights) < 0 else 1.0
    coefficients = sign * shares * scale * inverse
    direction = torch.cat(
        [(coefficients @ columns.double()).to(flat.dtype) for columns in flat.split(COLUMNS, dim=1)]
    )
    return Common(
        direction.view(pictures.shape[1:]).to(pictures),
        torch.where(there, sign * cosines, nothing),
        number,
        _find_correction(float(weights @ gram @ weights), float(size + (between * pairs).sum())),
    )


def _find_correction(sample: float, everyone: float) -> float:
    """Give what squared cosines with the common picture of a sample are too small by.

    C is close to the mean of the normalised pictures, and the mean of a sample is longer than that
    of all: the part that is by chance the sample's own does not average out. cos²(P, mean) has the
    squared length below the line, and nothing else that a sample would bias. A sample that has
    more by chance than in common says nothing about it, and is not corrected.

    Args:
        sample: Squared length of the sample's weighted sum.
        everyone: What it would be with all pictures, estimated by pairs of the sample.
    """
    return sample / everyone if 0 < sample < 2 * everyone else 1.0


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


def measure_cosines(pictures: Tensor, direction: Tensor) -> Tensor:
    """Give the cosines of pictures (n, ...) with one of length 1 or 0: (n,), float64.

    NaN for pictures that are all zero.
    """
    scaled = [picture / picture.abs().amax() for picture in pictures]  # no square is lost
    lengths = [math.sqrt(inner_product(picture, picture)) for picture in scaled]
    products = [inner_product(picture, direction) for picture in scaled]
    return torch.tensor(products, dtype=torch.float64) / torch.tensor(lengths, dtype=torch.float64)


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


def _weigh(count: int, known: int, total: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give how many units each picture stands for, (n,), and how many pairs each pair does, (n, n).

    Of a sample of b of N units, a pair stands for N (N - 1) / (b (b - 1)) pairs.
    """
    sampled, unknown = count - known, total - known
    is_known = torch.arange(count, device=device) < known
    each = unknown / max(sampled, 1)
    weights = torch.where(is_known, 1.0, each).double()
    both = math.nan if sampled == 1 < unknown else each
    if sampled > 1:
        both = each * (unknown - 1) / (sampled - 1)
    within = is_known[:, None] | is_known
    return weights, torch.where(within, weights[:, None] * weights, both)
