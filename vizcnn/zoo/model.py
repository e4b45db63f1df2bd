"""A net together with all that is needed to use it and to say what it is."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vizcnn.basics.errors import ModelError
from vizcnn.photos.images import read_photo
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance


@dataclass(frozen=True, eq=False)
class ZooModel:
    """A net of the zoo, in evaluation mode.

    Attributes:
        name: Name in the catalogue, such as ``"zfnet"``.
        title: Name for headings, such as ``"ZFNet"``.
        module: The torch module; takes preprocessed images (N, 3, S, S), or (N, 1, S, S) if the
            preprocessing is grey; gives logits (N, classes).
        preprocessing: From pixels to the module's input and back.
        layers: Canonical layer names and the module paths that they stand for.
        classes: Name of each logit.
        provenance: Where the weights come from.
        options: What the module was built with.
    """

    name: str
    title: str
    module: nn.Module
    preprocessing: Preprocessing
    layers: Mapping[str, str]
    classes: tuple[str, ...]
    provenance: Provenance
    options: dict[str, Any]

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""
        return self.preprocessing.input_size

    def read(self, photo: Path | Image.Image | str) -> Tensor:
        """Bring a photo to the net's size: shorter side to ``resize``, middle square cut out.

        Args:
            photo: A file, or a PIL image of any mode: the two are read alike (upright, over white,
                of all depths; :func:`~vizcnn.photos.images.read_photo`).

        Returns:
            Pixels (1, 3, S, S), float32, RGB 0..1, on the CPU.

        Raises:
            ImageError: If the file cannot be read.
        """
        return self.preprocessing.fit(read_photo(photo))[None].to(torch.float32).div(255)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """Run the net on pixels.

        Args:
            pixels: (N, 3, S, S), RGB 0..1; brought to the module's device and type.

        Returns:
            Logits (N, classes).
        """
        like = next(self.module.parameters())
        inputs = self.preprocessing.normalise(pixels.to(like.device, like.dtype))
        logits: Tensor = self.module(inputs)
        return logits

    def classify(self, pixels: Tensor, count: int = 5) -> list[list[tuple[str, float]]]:
        """Name what the net sees.

        Args:
            pixels: (N, 3, S, S), RGB 0..1.
            count: How many classes per image.

        Returns:
            Per image the likeliest classes, each with its probability, the likeliest first.

        Raises:
            ModelError: If a logit is not finite.
        """
        logits = self.logits(pixels)
        if not logits.isfinite().all():
            kind = str(logits.dtype).removeprefix("torch.")
            raise ModelError(
                f"the last layer of {self.name} puts out values that are not finite: its weights "
                f"are too large for {kind}, or damaged"
            )
        probabilities = logits.softmax(dim=1)
        values, indices = probabilities.topk(min(count, len(self.classes)), dim=1)
        return [
            [(self.classes[index], value) for index, value in zip(row, shares, strict=True)]
            for row, shares in zip(indices.tolist(), values.tolist(), strict=True)
        ]

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "ZooModel":
        """Give the net on another device or in another floating-point type.

        Returns:
            This object if nothing changes, else a new one with a copy of the module.
        """
        like = next(self.module.parameters())
        wanted = (torch.device(device or like.device), dtype or like.dtype)
        if wanted == (like.device, like.dtype):
            return self
        return replace(self, module=deepcopy(self.module).to(*wanted))
