"""A net together with all that is needed to use it and to say what it is."""

import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vizcnn.basics.errors import (
    ImageError,
    ModelError,
    check_kind,
    check_number,
    quote,
    shorten,
)
from vizcnn.basics.memory import find_shortage
from vizcnn.photos.framing import Fit
from vizcnn.photos.images import check_images, read_photo
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

    def read(
        self, photo: Path | Image.Image | str, fit: Fit | None = None, size: int | None = None
    ) -> Tensor:
        """Bring a photo to the net's size: shorter side to ``resize``, middle square cut out.

        Args:
            photo: A file, or a PIL image of any mode: the two are read alike (upright, over white,
                of all depths; :func:`~vizcnn.photos.images.read_photo`).
            fit: ``"crop"``, ``"pad"``, ``"squash"`` or ``"none"`` (:data:`vizcnn.photos.framing.Fit`);
                the net's own way when None.
            size: Side of the input in pixels; the net's own when None.

        Returns:
            Pixels (1, 3, S, S), float32, RGB 0..1, on the CPU; (1, 3, H, W) with fit ``"none"``.

        Raises:
            ImageError: If the file cannot be read, or there is no such fit or size.

        Example:
            >>> import vizcnn
            >>> model = vizcnn.load("lenet", weights=None)
            >>> model.read(Image.new("RGB", (30, 20)), fit="none").shape
            torch.Size([1, 3, 20, 30])
        """
        preprocessing = self.preprocessing.fit_otherwise(fit, size)
        return preprocessing.fit(read_photo(photo))[None].to(torch.float32).div(255)

    def fit_photos(self, fit: Fit | None = None, size: int | None = None) -> "ZooModel":
        """Give the net with another way to bring photos to its input, in all that uses it.

        Args:
            fit: As in :meth:`read`.
            size: Side of the input in pixels.

        Returns:
            This object if nothing changes, else a new one with the same module.

        Raises:
            ImageError: If there is no such fit or size.
            ModelError: If the net cannot take images of another size.

        Example:
            >>> import vizcnn
            >>> model = vizcnn.load("lenet", weights=None)
            >>> model.fit_photos("pad").preprocessing.fitting
            'pad'
        """
        preprocessing = self.preprocessing.fit_otherwise(fit, size)
        if preprocessing == self.preprocessing:
            return self
        own = self.input_size
        if preprocessing.fitting == "none":
            self.require_size(own, 2 * own)
        elif preprocessing.input_size != own:
            self.require_size(preprocessing.input_size, preprocessing.input_size)
        return replace(self, preprocessing=preprocessing)

    def require_size(self, height: int, width: int) -> None:
        """Make sure that the net takes images of a size.

        Raises:
            ModelError: If it does not, with the size that it takes.
        """
        black = torch.zeros(1, 3, height, width)
        try:
            self.logits(black)
        except ImageError as error:
            side = self.input_size
            raise ModelError(
                f"{self.title}: {error}, {side} x {side} px, to which fit crop, pad and squash "
                "bring every photo"
            ) from None

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """Run the net on pixels.

        Args:
            pixels: (N, 3, S, S), RGB 0..1; brought to the module's device and type.

        Returns:
            Logits (N, classes).

        Raises:
            ImageError: If they are of another type or shape, or the net does not take their size.
        """
        check_images(pixels, colours=False, channels=3)
        like = next(self.module.parameters())
        inputs = self.preprocessing.normalise(pixels.to(like.device, like.dtype))
        try:
            logits: Tensor = self.module(inputs)
        except RuntimeError as error:
            if find_shortage(error):
                raise
            raise ImageError(self._explain_size(pixels, error)) from error
        return logits

    def _explain_size(self, pixels: Tensor, error: RuntimeError) -> str:
        reason = (str(error).splitlines() or [""])[0]
        told = f"the net cannot take images of shape {tuple(pixels.shape)} ({reason})"
        joined = any(isinstance(part, nn.Linear) for part in self.module.modules())
        if joined and "shapes cannot be multiplied" in reason:
            return f"{told}: its fully connected layers need its input size"
        return f"{told}: bring them to its input size"

    def classify(self, pixels: Tensor, count: int = 5) -> list[list[tuple[str, float]]]:
        """Name what the net sees.

        Args:
            pixels: (N, 3, S, S), RGB 0..1.
            count: How many classes per image.

        Returns:
            Per image the likeliest classes, each with its probability, the likeliest first.

        Raises:
            ImageError: As for :meth:`logits`.
            VizcnnError: If the count is no number.
            ModelError: If a logit is not finite.
        """
        count = check_number("count", count, 0, sys.maxsize)
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

        Raises:
            ModelError: If there is no such device, or the type is no floating-point one.
        """
        like = next(self.module.parameters())
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise ModelError(f"got {quote(dtype)} as dtype; needed: a floating-point torch.dtype")
        check_kind(
            "device", device, torch.device | str | None, "the name of a torch device", ModelError
        )
        try:
            wanted = (
                like.device if device is None else torch.device(device),
                like.dtype if dtype is None else dtype,
            )
            if wanted == (like.device, like.dtype):
                return self
            return replace(self, module=deepcopy(self.module).to(*wanted))
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            if find_shortage(error):
                raise
            # torch repeats the name as it was given
            reason = repr((str(error) or type(error).__name__).splitlines()[0])[1:-1]
            raise ModelError(
                f"device {quote(device)} cannot be used ({shorten(reason, 200)}); needed: cpu or, "
                "with a GPU, cuda"
            ) from error


def find_module(model: ZooModel | nn.Module) -> nn.Module:
    """Give the torch module of a net.

    Raises:
        ModelError: If it is neither a net of the zoo nor a module.
    """
    if isinstance(model, ZooModel):
        return model.module
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"got {type(model).__name__} as a net ({quote(model)}); needed: a torch module, or a "
            "net that vizcnn.load gave (of an exported program its .module())"
        )
    return model
