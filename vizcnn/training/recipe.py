"""What a training run is made of: one frozen record, written into checkpoints and model cards."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from vizcnn.errors import DataError


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    The defaults are those of the bundled weights: SGD with momentum, warm-up and cosine decay,
    classes drawn by the square root of their size, and a first layer that starts small so that
    what it learns is not hidden under its initial noise.

    Attributes:
        model: ``"alexnet"`` or ``"zfnet"``.
        epochs: Passes over as many photos as the training folder holds.
        crop: Side of the square random crop in pixels; photos are first brought to 9/8 of it.
        hidden: Width of fc6 and fc7.
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
        jitter: Largest relative change of brightness, contrast and saturation.
        mixed_precision: Compute in bfloat16 where autocast allows.
        seed: Seed of the initial weights, order, augmentation and dropout.

    Raises:
        DataError: If a size, count or rate is not positive.
    """

    model: str
    epochs: int = 24
    crop: int = 128
    hidden: int = 512
    batch: int = 128
    learning_rate: float = 0.02
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dropout: float = 0.3
    label_smoothing: float = 0.1
    first_layer_std: float = 0.005
    clip_first_layer: bool = False
    jitter: float = 0.2
    mixed_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "crop", "hidden", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} is {getattr(self, name)}; needed: more than 0")

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
