"""Where a net's weights come from, in a form that can stand under every figure."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

SourceKind = Literal[
    "bundled", "torchvision", "onnx-zoo", "ndf", "package", "hub", "file", "code", "random"
]
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
        if self.source == "code":
            return f"weights as {self.data} makes them"
        caption = f"{self.source} weights: {self.data}"
        if self.top1 is None:
            return caption
        if self.measured_on == "val":
            return f"{caption}, val top-1 {self.top1:.1%}".replace("%", " %")
        return f"{caption}, top-1 {self.top1:.1%}".replace("%", " %") + f" ({self.measured_on})"

    def to_record(self) -> dict[str, Any]:
        """Give what goes out with a picture: the caption first, no path of this machine.

        Example:
            >>> list(Provenance("random").to_record())
            ['describe', 'source', 'data', 'licence', 'top1', 'top5', 'note', 'sha256']
        """
        return {"describe": self.describe()} | {name: getattr(self, name) for name in _PUBLIC}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Provenance":
        """Make one from what :meth:`to_record` gave, perhaps by way of JSON.

        Raises:
            KeyError: If a value is missing.

        Example:
            >>> origin = Provenance("ndf", "ImageNet", top1=0.66, measured_on="1,000 photos")
            >>> Provenance.from_record(origin.to_record()) == origin
            True
        """
        # not one search for both: that would take the square of the caption's length
        number = re.search(r", top-1 [0-9.]{1,9} % \(", record["describe"])
        told = {name: record[name] for name in _PUBLIC}
        if number and record["describe"].endswith(")"):
            told["measured_on"] = record["describe"][number.end() : -1]
        return cls(**told)


_PUBLIC = ("source", "data", "licence", "top1", "top5", "note", "sha256")
"""What a page may tell of weights."""
