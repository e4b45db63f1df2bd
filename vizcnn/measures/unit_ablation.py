"""Unit ablation: a feature map is set to zero or to its mean, and every class's score read anew.

What a unit is used for is what a net does without it (Morcos et al. 2018, arXiv 1803.06959; Zhou et
al. 2018, arXiv 1806.02891). The net is run up to the layer once for each photo; for each unit only
what comes after is run again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import LayerError, VizcnnError, quote
from vizcnn.basics.progress import Progress, silent
from vizcnn.recording.continuation import Continuation
from vizcnn.zoo.classification import check_logits
from vizcnn.zoo.model import ZooModel

By = Literal["zero", "mean"]
"""What a unit is set to: zero, or its mean over photos and places."""

AT_ONCE = 32
"""Photos that go through the net together, and are one part of a resumable run."""

Values = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
Keep = Callable[[str, Callable[[], Arrays]], Arrays]
"""Gives a part of the job by name, kept from a former run or computed now."""


@dataclass(frozen=True, eq=False)
class UnitEffects:
    """What a net does without each of some units; U units, N photos, C classes.

    Changes are those of the net without the unit minus those of the whole net.

    Attributes:
        layer: The layer's name.
        units: Numbers of the units.
        by: What they were set to.
        is_short: Whether only what comes after the layer was run for each unit.
        labels: The class of each photo, (N,): as its folder names it, else the likeliest.
        is_known: Whether that is the true class, (N,).
        right: Whether the whole net's likeliest class is the label, (N,).
        mean: Mean of each unit over photos and places, (U,).
        spread: Standard deviation of the same, (U,).
        least: The smallest of the same, (U,).
        active: Share of photos and places where a unit is above zero, (U,).
        logit: Mean change of each class's logit over photos, (U, C).
        logit_spread: Standard deviation of the same over photos, (U, C).
        probability: Mean change of each class's probability over photos, (U, C).
        own_logit: Mean change of a class's logit over the photos of that class, (U, C); NaN where
            there are none. If no photo's class is known, those that the whole net takes for it.
        own_logit_spread: Standard deviation of the same over these photos, (U, C).
        own_probability: The same of its probability.
        own_accuracy: Change of the share of a class's photos with the right answer, (U, C); NaN
            where no photo is known to be of the class.
        answer: Mean change of the probability of each photo's own class over all photos, (U,).
        answer_spread: Standard deviation of the same, (U,).
        accuracy: Change of the share of right answers, of the photos of known class, (U,); NaN
            where none is known.
        changed: Share of photos whose likeliest class is another, (U,).
    """

    layer: str
    units: tuple[int, ...]
    by: By
    is_short: bool
    labels: NDArray[np.int64]
    is_known: NDArray[np.bool_]
    right: NDArray[np.bool_]
    mean: Values
    spread: Values
    least: Values
    active: Values
    logit: Values
    logit_spread: Values
    probability: Values
    own_logit: Values
    own_logit_spread: Values
    own_probability: Values
    own_accuracy: Values
    answer: Values
    answer_spread: Values
    accuracy: Values
    changed: Values

    @property
    def class_photos(self) -> NDArray[np.int64]:
        """Photos of each class, (C,), over which its own change is averaged."""
        return np.bincount(self.labels[_choose_own(self.is_known)], minlength=self.logit.shape[1])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all numbers by name, for a file."""
        names = [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]
        units = np.array(self.units, dtype=np.int64)
        return {"units": units, **{name: getattr(self, name) for name in names}}


def check_by(by: object) -> None:
    """Make sure that units can be set to a value of that name.

    Raises:
        VizcnnError: If they cannot.
    """
    if by not in get_args(By):
        raise VizcnnError(f"units are set to {' or '.join(get_args(By))}, not to {quote(by)}")


def ablate_units(
    model: ZooModel,
    pixels: Tensor,
    layer: str,
    units: Sequence[int] = (),
    by: By = "zero",
    labels: Sequence[int | None] | None = None,
    progress: Progress = silent,
    keep: Keep = lambda name, compute: compute(),
) -> UnitEffects:
    """Remove units one by one, and measure what changes.

    Args:
        model: A net of the zoo whose logits are classes.
        pixels: (N, 3, S, S), RGB, 0..1 or bytes.
        layer: Canonical name or module path.
        units: Numbers of units; all of the layer when empty.
        by: ``"zero"``, or ``"mean"``: the mean over these photos and all places.
        labels: The true class of each photo, None where it is not known: the likeliest is then
            taken for it, and the photo does not count for accuracy. None for all of them.
        progress: Shows how many photos are done.
        keep: Keeps parts of the job.

    Returns:
        The changes.

    Raises:
        LayerError: If the layer or a unit does not exist, or the layer puts out no feature maps.
        ModelError: If a logit is not finite.
        VizcnnError: If there is no photo, or units cannot be set to that.

    Example:
        >>> import vizcnn
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> found = ablate_units(model, model.read("coffee"), "fc4", [0, 1])
        >>> found.logit.shape, bool(found.is_known[0])
        ((2, 10), False)
    """
    check_by(by)
    if not len(pixels):
        raise VizcnnError("no photo is given; needed: one at least")
    known: Sequence[int | None] = [None] * len(pixels) if labels is None else labels
    rest = Continuation(model, layer, _to_values(pixels[:1]))
    chosen = _choose_units(layer, units, rest.units)
    batches = [slice(first, first + AT_ONCE) for first in range(0, len(pixels), AT_ONCE)]

    def look(batch: slice) -> Arrays:
        with rest.begin(_to_values(pixels[batch])) as begun:
            check_logits(begun.logits, model.name)
            return {"logits": begun.logits.cpu().numpy(), **_sum_maps(begun.maps[:, chosen])}

    first = [
        keep(f"{layer}, photos from {batch.start}", partial(look, batch))
        for batch in progress(batches, label=f"run {layer}", total=len(batches), unit="batch")
    ]
    guesses = np.concatenate([part["logits"] for part in first]).argmax(axis=1)
    answers = np.array(
        [guess if label is None else label for label, guess in zip(known, guesses, strict=True)]
    )
    statistics = _summarise_maps(first)
    mean = statistics["mean"]
    fill = torch.from_numpy(mean if by == "mean" else np.zeros_like(mean))

    def remove(batch: slice) -> Arrays:
        label = f"without each unit of {layer}, {batch.start} of {len(pixels)} photos done"
        numbers = progress(range(len(chosen)), label=label, total=len(chosen), unit="unit")
        sums = _ChangeSums(len(chosen), torch.from_numpy(answers[batch]))
        with rest.begin(_to_values(pixels[batch])) as begun:
            for number in numbers:
                unit, value = chosen[number], fill[number].to(begun.maps)
                without = begun.logits
                if begun.maps[:, unit].ne(value).any():  # else it is set to what it is
                    maps = begun.maps.clone()
                    maps[:, unit] = value
                    without = begun.run(maps)
                sums.add(number, begun.logits, without)
        return sums.arrays

    parts = [
        keep(f"{layer} by {by}, photos from {batch.start}", partial(remove, batch))
        for batch in batches
    ]
    is_known = np.array([label is not None for label in known])
    return UnitEffects(
        layer=layer,
        units=chosen,
        by=by,
        is_short=rest.is_short,
        labels=answers,
        is_known=is_known,
        right=guesses == answers,
        **statistics,
        **_average_changes(parts, answers, is_known, guesses),
    )


def _to_values(pixels: Tensor) -> Tensor:
    return pixels if pixels.is_floating_point() else pixels.to(torch.float32).div(255)


def _choose_units(layer: str, units: Sequence[int], count: int) -> tuple[int, ...]:
    for unit in units:
        if not 0 <= unit < count:
            raise LayerError(f"layer {quote(layer)} has no unit {unit}: it has 0..{count - 1}")
    return tuple(dict.fromkeys(units)) or tuple(range(count))


def _sum_maps(maps: Tensor) -> Arrays:
    values = maps.double().flatten(2) if maps.ndim == 4 else maps.double()[..., None]
    sums = {
        "sum": values.sum(dim=(0, 2)),
        "squares": values.square().sum(dim=(0, 2)),
        "least": values.amin(dim=(0, 2)),
        "active": values.gt(0).double().sum(dim=(0, 2)),
        "places": torch.full((1,), values.shape[0] * values.shape[2], dtype=torch.float64),
    }
    return {name: value.cpu().numpy() for name, value in sums.items()}


def _summarise_maps(parts: Sequence[Arrays]) -> dict[str, Values]:
    """Give mean, standard deviation, minimum and active share of units."""
    total, squares, active, places = (
        np.sum([part[name] for part in parts], axis=0)
        for name in ("sum", "squares", "active", "places")
    )
    mean = total / places
    return {
        "mean": mean,
        "spread": np.sqrt(np.maximum(squares / places - mean**2, 0)),
        "least": np.min([part["least"] for part in parts], axis=0),
        "active": active / places,
    }


class _ChangeSums:
    """Sums over the photos of a batch of what changes without each unit.

    Args:
        units: How many units there are.
        labels: The class of each photo, (N,).
    """

    def __init__(self, units: int, labels: Tensor) -> None:
        self._units, self._labels = units, labels
        self.arrays: dict[str, NDArray[Any]] = {}

    def add(self, number: int, whole: Tensor, without: Tensor) -> None:
        """Add a unit's logits, (N, C), to be compared with those of the whole net."""
        before, after = whole.double().cpu(), without.double().cpu()
        logit = after - before
        probability = after.softmax(dim=1) - before.softmax(dim=1)
        photos = range(len(before))
        found = {
            "logit": logit.sum(dim=0).numpy(),
            "squares": logit.square().sum(dim=0).numpy(),
            "probability": probability.sum(dim=0).numpy(),
            # each photo's own class alone
            "own_logit": logit[photos, self._labels].numpy(),
            "own_probability": probability[photos, self._labels].numpy(),
            "guesses": after.argmax(dim=1).numpy(),
        }
        for name, value in found.items():
            if name not in self.arrays:
                self.arrays[name] = np.zeros((self._units, *value.shape), dtype=value.dtype)
            self.arrays[name][number] = value


def _average_changes(
    parts: Sequence[Arrays],
    labels: NDArray[np.int64],
    is_known: NDArray[np.bool_],
    guesses: NDArray[np.int64],
) -> dict[str, Values]:
    """Make means over photos of all parts' sums."""
    count = len(labels)
    logit, squares, probability = (
        np.sum([part[name] for part in parts], axis=0) / count
        for name in ("logit", "squares", "probability")
    )
    own_logit, own_probability, without = (
        np.concatenate([part[name] for part in parts], axis=1)
        for name in ("own_logit", "own_probability", "guesses")
    )
    classes = logit.shape[1]
    used = _choose_own(is_known)
    own = _average_by_class(own_logit[:, used], labels[used], classes)
    squares_of_own = _average_by_class(own_logit[:, used] ** 2, labels[used], classes)
    hits = (without == labels).astype(np.float64) - (guesses == labels)
    return {
        "logit": logit,
        "logit_spread": np.sqrt(np.maximum(squares - logit**2, 0)),
        "probability": probability,
        "own_logit": own,
        "own_logit_spread": np.sqrt(np.maximum(squares_of_own - own**2, 0)),
        "own_probability": _average_by_class(own_probability[:, used], labels[used], classes),
        "own_accuracy": _average_by_class(hits[:, is_known], labels[is_known], classes),
        "answer": own_probability.mean(axis=1),
        "answer_spread": own_probability.std(axis=1),
        "accuracy": hits[:, is_known].mean(axis=1)
        if is_known.any()
        else np.full(len(hits), np.nan),
        "changed": (without != guesses).mean(axis=1),
    }


def _choose_own(is_known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose the photos that stand for their class: those of known class, or else all."""
    return is_known if is_known.any() else np.ones_like(is_known)


def _average_by_class(values: Values, labels: NDArray[np.int64], classes: int) -> Values:
    """Average values (U, N) over the photos of each class: (U, C), NaN where there are none."""
    is_of = (labels[:, None] == np.arange(classes)).astype(np.float64)
    photos = is_of.sum(axis=0)
    averages: Values = np.where(photos > 0, values @ is_of / np.maximum(photos, 1), np.nan)
    return averages
