"""What a net says of photos: logits, and the likeliest classes with their probabilities."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape

from torch import Tensor

from vizcnn.basics.errors import ModelError, check_number


@dataclass(frozen=True, eq=False, repr=False)
class Classification:
    """What a net says of photos; prints as a table of the likeliest classes.

    Attributes:
        logits: (N, classes).
        classes: Name of each logit.
        photos: What each photo is called, (N,).

    Example:
        >>> import torch
        >>> Classification(torch.tensor([[0.0, 2.0]]), ("cat", "dog"), ("photo.jpg",))
        photo.jpg
          dog   88.1 %
          cat   11.9 %
    """

    logits: Tensor
    classes: tuple[str, ...]
    photos: tuple[str, ...]

    @property
    def probabilities(self) -> Tensor:
        """The softmax of the logits, (N, classes)."""
        return self.logits.softmax(dim=1)

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """List the likeliest classes of each photo with their probabilities, the likeliest first.

        Args:
            count: How many classes per photo.

        Raises:
            VizcnnError: If the count is no number.
        """
        count = check_number("count", count, 0, sys.maxsize)
        values, indices = self.probabilities.topk(min(count, len(self.classes)), dim=1)
        return [
            [(self.classes[index], value) for index, value in zip(row, shown, strict=True)]
            for row, shown in zip(indices.tolist(), values.tolist(), strict=True)
        ]

    @property
    def names(self) -> list[str]:
        """The likeliest class of each photo."""
        return [self.classes[index] for index in self.logits.argmax(dim=1).tolist()]

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, photo: int) -> "Classification":
        """Give that of one photo.

        Raises:
            VizcnnError: If there is no such photo.
        """
        number = check_number("photo", photo, -len(self), len(self) - 1) % len(self)
        logits, name = self.logits[number : number + 1], self.photos[number]
        return replace(self, logits=logits, photos=(name,))

    def __iter__(self) -> Iterator["Classification"]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        """Write the table."""
        rows = self.top()
        wide = max((len(name) for row in rows for name, _ in row), default=0)
        lines = []
        for photo, row in zip(self.photos, rows, strict=True):
            lines.append(photo)
            lines += [f"  {name:<{wide}}  {share * 100:5.1f} %" for name, share in row]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Write the table for notebooks."""
        parts = []
        for photo, row in zip(self.photos, self.top(), strict=True):
            cells = "".join(
                f"<tr><td>{escape(name)}</td><td>{share * 100:.1f}&nbsp;%</td></tr>"
                for name, share in row
            )
            parts.append(f"<table><caption>{escape(photo)}</caption>{cells}</table>")
        return "".join(parts)


def check_logits(logits: Tensor, net: str) -> None:
    """Make sure that logits can be compared.

    Raises:
        ModelError: If one is not finite.
    """
    if not logits.isfinite().all():
        kind = str(logits.dtype).removeprefix("torch.")
        raise ModelError(
            f"the last layer of {net} puts out values that are not finite: its weights are too "
            f"large for {kind}, or damaged"
        )


def read_class_folder(folder: str) -> str:
    """Give the class that a folder of photos is named after, in words.

    Args:
        folder: Its name, such as ``n03394916_french_horn`` (a WordNet number first, as in ImageNet)
            or ``caltech_sea_horse``.

    Example:
        >>> read_class_folder("n03394916_french_horn"), read_class_folder("caltech_sea_horse")
        ('french horn', 'sea horse')
    """
    return re.sub(r"^(n\d{8}|caltech)_", "", folder).replace("_", " ")
