"""Where a net's weights come from, in a form that can stand under every figure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from vizcnn.zoo.preprocessing import Preprocessing

SourceKind = Literal["bundled", "torchvision", "onnx-zoo", "ndf", "file", "random"]
"""The places that weights come from."""

IMAGENET = "ImageNet (ILSVRC 2012)"
"""Name of the data set of the torchvision, ONNX Model Zoo and ndf weights."""


@dataclass(frozen=True)
class Provenance:
    """The origin of a net's weights.

    Attributes:
        source: Where they were read from.
        data: What they were trained on, such as ``"natural144, 110 classes"``.
        licence: Under what terms they come.
        top1: Share of photos (0..1) whose first guess is right; None if unknown.
        top5: Share of photos (0..1) with the right class among five guesses; None if unknown.
        note: What one should know beside, such as how the accuracy was measured.
        sha256: Checksum of the weight file; None for random weights.
        location: File, or address of the file.
        measured_on: What the accuracies were measured on; ``"val"`` is the validation set.
    """

    source: SourceKind
    data: str = "unknown data"
    licence: str = "unknown"
    top1: float | None = None
    top5: float | None = None
    note: str = ""
    sha256: str | None = None
    location: str = ""
    measured_on: str = "val"

    def to_dict(self) -> dict[str, Any]:
        """Give the record as plain values for JSON."""
        return asdict(self)

    def describe(self) -> str:
        """Say it in one line, as a caption.

        Example:
            >>> Provenance("random").describe()
            'random weights (untrained)'
            >>> Provenance("bundled", "natural144, 110 classes", "MIT", top1=0.5821).describe()
            'bundled weights: natural144, 110 classes, val top-1 58.2 %'
        """
        if self.source == "random":
            return "random weights (untrained)"
        caption = f"{self.source} weights: {self.data}"
        if self.top1 is None:
            return caption
        if self.measured_on == "val":
            return f"{caption}, val top-1 {self.top1:.1%}".replace("%", " %")
        return f"{caption}, top-1 {self.top1:.1%}".replace("%", " %") + f" ({self.measured_on})"


@dataclass(frozen=True)
class Weights:
    """Tensors with all that their file tells of the net.

    Attributes:
        state: Tensors by name, as in the net's state dict.
        provenance: Where they come from.
        options: Arguments of the net's class.
        preprocessing: From pixels to the net's input; None for the variant's own.
        classes: Name of each logit; None if the file does not tell.
        variant: Form of the net that they belong to; None for one that the options tell.
    """

    state: dict[str, Tensor]
    provenance: Provenance
    options: Mapping[str, Any]
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    variant: str | None = None
