"""What a training run is made of: one frozen record, written into checkpoints and model cards."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from inspect import signature
from types import MappingProxyType
from typing import Any

from vizcnn.basics.errors import DataError, quote
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.registry import Style


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    The defaults are those of the bundled nets for photos: SGD with momentum, warm-up and cosine
    decay, every photo once in an epoch, and a first layer that starts small so that what it learns
    is not hidden under its initial noise. :func:`usual_recipe` knows where other nets differ.

    Attributes:
        model: ``"alexnet"``, ``"alexnet-7x7"``, ``"zfnet"`` or ``"lenet"``.
        epochs: Passes over as many photos as the training folder holds.
        crop: Side of the square random crop in pixels; photos are first brought to 9/8 of it.
        hidden: Width of fc6 and fc7; None for a net whose widths are fixed.
        batch: Photos in a step.
        learning_rate: Peak of the schedule.
        warmup_epochs: Epochs of linear rise to the peak.
        momentum: Momentum of SGD.
        weight_decay: L2 penalty.
        dropout: Dropout in the fully connected head.
        label_smoothing: Share of the target spread over all classes.
        first_layer_std: Standard deviation of the first layer's initial weights.
        clip_first_layer: Scale first-layer filters back to an RMS of 0.1 after every step
            (Zeiler & Fergus, section 3.1).
        class_balance: 0 takes every photo once in an epoch; 1 draws every class equally often,
            0.5 by the square root of its size (with replacement).
        jitter: Largest relative change of brightness, contrast and saturation.
        flip: Mirror every second crop.
        style: How pixels become the net's input.
        variant: Form of the net in the catalogue; None for its class's own defaults.
        mixed_precision: Compute in bfloat16 where autocast allows.
        seed: Seed of the initial weights, order, augmentation and dropout.
        start: sha256 of the weight file that the run begins with; empty for random weights.
        without: Layers that the net lacks, such as ``"conv3,conv4"``; empty for none.
        widths: Maps or units of layers where they are not the usual ones, such as
            ``"conv3=512,fc6=2048"``.

    Raises:
        DataError: If a size, count or rate is not positive.
    """

    model: str
    epochs: int = 20
    crop: int = 128
    hidden: int | None = 512
    batch: int = 128
    learning_rate: float = 0.02
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dropout: float = 0.3
    label_smoothing: float = 0.1
    first_layer_std: float = 0.005
    clip_first_layer: bool = False
    class_balance: float = 0.0
    jitter: float = 0.2
    flip: bool = True
    style: Style = "imagenet"
    variant: str | None = None
    mixed_precision: bool = True
    seed: int = 0
    start: str = ""
    without: str = ""
    widths: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise DataError(f"seed is {quote(self.seed)}; needed: 0 to 2**63 - 1")
        for name in ("epochs", "crop", "hidden", "batch", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise DataError(f"{name} is {value}; needed: more than 0")

    @property
    def resize(self) -> int:
        """Side in pixels of the square that crops are taken from."""
        return self.crop * 9 // 8

    def learning_rate_at(self, progress: float) -> float:
        """Give the learning rate after a share of the run.

        Args:
            progress: Epochs done so far, fractions included.

        Returns:
            Linear warm-up to the peak, then half a cosine down to zero.

        Example:
            >>> Recipe("zfnet", epochs=11, warmup_epochs=1).learning_rate_at(6.0)
            0.01
        """
        if progress < self.warmup_epochs:
            return self.learning_rate * progress / self.warmup_epochs
        falling = self.epochs - self.warmup_epochs
        done = min((progress - self.warmup_epochs) / falling, 1.0) if falling > 0 else 1.0
        return round(self.learning_rate * (1 + math.cos(math.pi * done)) / 2, 12)

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain values for JSON."""
        return asdict(self)


def mix_seed(seed: int, number: int) -> int:
    """Give the seed of one step or epoch of a run, as torch takes it (64 bits).

    Example:
        >>> mix_seed(2, 5)
        2000011
    """
    return (seed * 1_000_003 + number) % 2**64


USUAL_SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "lenet": {
            "epochs": 40,
            "crop": 32,
            "hidden": None,  # for help texts: such nets are known by their class
            "batch": 32,
            "learning_rate": 0.05,
            "weight_decay": 1e-3,
            "dropout": 0.0,
            "label_smoothing": 0.0,
            "first_layer_std": 0.1,
            "flip": False,
            "style": "grey",
            "mixed_precision": False,
        }
    }
)
"""Settings in which a net's usual recipe differs from the defaults of :class:`Recipe`.

LeNet-5: its own input and widths, digits that must not be mirrored, and a net so small that 16
bits gain nothing.
"""

_FORMER_SETTINGS = {"class_balance": 0.5}
"""What was done before it became a setting, where that is not today's default."""


def usual_recipe(model: str, **settings: Any) -> Recipe:
    """Give a net's usual recipe with some settings changed.

    Args:
        model: Name of the net.
        **settings: Settings by name; None leaves the usual one.

    Raises:
        DataError: If a setting is impossible.

    Example:
        >>> usual_recipe("lenet", epochs=3, crop=None).crop, usual_recipe("googlenet-paper").hidden
        (32, None)
    """
    usual = dict(USUAL_SETTINGS.get(model, {}))
    if model in CATALOGUE and "hidden" not in signature(CATALOGUE[model].make).parameters:
        usual["hidden"] = None
    given = {name: value for name, value in settings.items() if value is not None}
    return Recipe(model, **{**usual, **given})


def complete_settings(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Add what an older version did to the settings that it saved.

    Args:
        saved: From :meth:`Recipe.to_dict` of this or an older version.

    Returns:
        The settings, with those that the older version did not know.

    Example:
        >>> complete_settings({"model": "zfnet", "epochs": 9})["class_balance"]
        0.5
    """
    return {**Recipe(saved["model"]).to_dict(), **_FORMER_SETTINGS, **saved}
