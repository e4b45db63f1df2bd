"""A net together with all that is needed to use it and to say what it is."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import PurePath
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vizcnn.basics.errors import (
    ImageError,
    LayerError,
    ModelError,
    check_kind,
    nearest_names,
    quote,
    shorten,
)
from vizcnn.basics.memory import find_shortage
from vizcnn.photos.arrays import Photo, list_photos, name_photos, read_values, to_photo
from vizcnn.photos.framing import Fit
from vizcnn.photos.images import check_images, read_photo
from vizcnn.photos.remote_photos import RemotePhoto
from vizcnn.photos.samples import find_file
from vizcnn.photos.stored import PhotoFile, StoredPhoto
from vizcnn.zoo.classification import Classification, check_logits, read_class_folder
from vizcnn.zoo.naming import evaluating_for_a_pass
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
        nodes: Paths of nodes whose names do not tell them: where a net calls a function and a
            module of its name, ``relu_1`` may be the second call of either.
    """

    name: str
    title: str
    module: nn.Module
    preprocessing: Preprocessing
    layers: Mapping[str, str]
    classes: tuple[str, ...]
    provenance: Provenance
    options: dict[str, Any]
    nodes: Mapping[str, str] = field(default_factory=dict)

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""
        return self.preprocessing.input_size

    def find_class_layer(self) -> str:
        """Give the name of the layer whose units are the classes: the last.

        Raises:
            LayerError: If the net's layers have no names.
        """
        if not self.layers:
            raise LayerError(
                f"the layers of {self.title} have no names: give units by their numbers, and the "
                "layer by its module path"
            )
        return list(self.layers)[-1]

    def name_units(self, path: str, count: int) -> tuple[str, ...]:
        """Give the names of a layer's units: of the classes where it is the last, else none.

        Args:
            path: The layer's module path.
            count: How many units it has.
        """
        is_last = bool(self.layers) and path == self.layers[self.find_class_layer()]
        return self.classes if is_last and count == len(self.classes) else ()

    def read(
        self, photo: Photo | Iterable[Photo], fit: Fit | None = None, size: int | None = None
    ) -> Tensor:
        """Read photos, and bring them to the net's size: resized, the middle square cut out.

        These are pixels, and not yet what ``module`` takes: call the net itself, ``model(photo)``,
        or give ``module`` what ``model.preprocessing.normalise`` makes of them.

        Args:
            photo: One or several: files, names of samples (``"coffee"``), PIL images of any mode
                (read as files are: upright, over white, of all depths;
                :func:`~vizcnn.photos.images.read_photo`), arrays (H, W, 3) and tensors (3, H, W) of
                0..255 or 0..1, also in batches (:func:`~vizcnn.photos.arrays.read_values`). Arrays
                and tensors that have the input's size are taken as they are.
            fit: ``"crop"``, ``"pad"``, ``"squash"`` or ``"none"``
                (:data:`~vizcnn.photos.framing.Fit`); the net's own way when None.
            size: Side of the input in pixels; the net's own when None.

        Returns:
            Pixels (N, 3, S, S), float32, RGB 0..1, on the CPU; (N, 3, H, W) with fit ``"none"``.

        Raises:
            ImageError: If a file cannot be read, an array is no photo, photos that keep their own
                sizes differ in them, or there is no such fit or size.

        Example:
            >>> import vizcnn
            >>> from PIL import Image
            >>> model = vizcnn.load("lenet", weights=None)
            >>> model.read(Image.new("RGB", (30, 20)), fit="none").shape
            torch.Size([1, 3, 20, 30])
        """
        preprocessing = self.preprocessing.fit_otherwise(fit, size)
        pixels = [_read_pixels(one, preprocessing) for one in list_photos(photo)]
        sizes = sorted({tuple(some.shape[2:]) for some in pixels})
        if len(sizes) > 1:
            told = " and ".join(f"{width} x {height}" for height, width in sizes[:2])
            raise ImageError(
                f"photos of {told} px that keep their own sizes make no batch: read them one by "
                "one, or with fit crop, pad or squash"
            )
        return torch.cat(pixels)

    def fit_photos(self, fit: Fit | None = None, size: int | None = None) -> Self:
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
            raise ModelError(f"{self.title}: {error}") from None

    def to_pixels(self, photos: Photo | Iterable[Photo]) -> Tensor:
        """Give the pixels that the net is to look at.

        Args:
            photos: As for :meth:`read`. A floating-point tensor is pixels already, of any size.

        Returns:
            (N, 3, H, W), RGB 0..1.

        Raises:
            ImageError: As for :meth:`read`.
        """
        if isinstance(photos, Tensor) and photos.is_floating_point():
            return read_values(photos)
        return self.read(photos)

    def __call__(self, photos: Photo | Iterable[Photo]) -> Classification:
        """Say what is in photos.

        Args:
            photos: As for :meth:`to_pixels`.

        Returns:
            The logits, and the likeliest classes: it prints as a table.

        Raises:
            ImageError: If a photo cannot be read or made out, or the net does not take its size.
            ModelError: If a logit is not finite.

        Example:
            >>> from vizcnn.zoo import load
            >>> load("lenet")("coffee").logits.shape
            torch.Size([1, 10])
        """
        listed = list_photos(photos)
        pixels = self.to_pixels(photos if isinstance(photos, Tensor) else listed)
        logits = self.logits(pixels)
        check_logits(logits, self.name)
        return Classification(logits, self.classes, name_photos(listed))

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
            with evaluating_for_a_pass(self.module):  # of a user's net in the midst of its training
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
        whose = "its fully connected layers need" if "shapes cannot be multiplied" in reason else ""
        return (
            f"{told}: {whose if joined and whose else 'it needs'} its input size, "
            f"{self.input_size} x {self.input_size} px, to which model.read and fit crop, pad and "
            "squash bring every photo"
        )

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
        logits = self.logits(pixels)
        check_logits(logits, self.name)
        return Classification(logits, self.classes, name_photos([pixels])).top(count)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
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

    def __repr__(self) -> str:
        """Name the net in a line; ``module`` shows its layers."""
        kind = "grey" if self.preprocessing.grey else "RGB"
        return (
            f"{self.title} ({self.name}): {self.input_size} x {self.input_size} {kind} pixels, "
            f"{len(self.classes)} classes, {self.provenance.describe()}"
        )

    def _repr_html_(self) -> str:
        """Describe the net in notebooks: weights, input, classes and the names of its layers."""
        some, count = ", ".join(self.classes[:5]), len(self.classes)
        facts = {
            "name": self.name,
            "weights": self.provenance.describe(),
            "licence": self.provenance.licence,
            "input": f"{self.input_size} × {self.input_size} px"
            + (", grey" if self.preprocessing.grey else ""),
            "classes": f"{count}: {some}" + (", …" if count > 5 else ""),
            "layers": ", ".join(self.layers) or "by module path",
            "parameters": f"{sum(value.numel() for value in self.module.parameters()):,}",
        }
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>"
            for name, fact in facts.items()
        )
        return f"<table><caption>{escape(self.title)}</caption>{rows}</table>"


def _read_pixels(photo: Photo, preprocessing: Preprocessing) -> Tensor:
    if isinstance(photo, np.ndarray | Tensor):
        pixels = read_values(photo).detach().to("cpu", torch.float32)
        side = preprocessing.input_size
        if preprocessing.fitting == "none" or pixels.shape[2:] == (side, side):
            return pixels
        return torch.cat([_read_pixels(to_photo(one), preprocessing) for one in pixels])
    if not isinstance(photo, PhotoFile | str | Image.Image):
        raise ImageError(
            f"got {type(photo).__name__} ({quote(photo)}); needed: the path of a photo, the name "
            "of a sample, a PIL image (PIL.Image.open makes one of an open file), an array "
            "or a tensor"
        )
    return preprocessing.fit(read_photo(find_file(photo)))[None].to(torch.float32).div(255)


def find_class(model: ZooModel, name: str) -> int:
    """Find the number of a class: by its name, or by the number itself.

    Raises:
        LayerError: If there is no such class, or there are several of the name.

    Example:
        >>> from vizcnn.zoo import load
        >>> find_class(load("lenet", weights=None), "7")
        7
    """
    lower = [known.lower() for known in model.classes]
    numbers = [number for number, known in enumerate(lower) if known == name.lower()]
    if len(numbers) > 1:
        raise LayerError(
            f"{len(numbers)} classes are named {quote(name)}: give the number, one of "
            f"{', '.join(map(str, numbers))}"
        )
    if numbers:
        return numbers[0]
    if name.isascii() and name.isdigit() and len(name) < 10 and int(name) < len(lower):
        return int(name)
    near = nearest_names(name.lower(), lower)
    raise LayerError(f"no class {quote(name)}, nor is it a number 0..{len(lower) - 1}: {near}")


def find_true_class(model: ZooModel, photo: PhotoFile | str) -> int | None:
    """Find the number of the class that a photo's folder names, as in a data set of class folders.

    Args:
        model: A net of the zoo.
        photo: A photo file, or its path in a data set.

    Returns:
        The number; None where the folder names no class of the net, or more than one.

    Example:
        >>> from vizcnn.zoo import load
        >>> model = load("lenet", weights="bundled")
        >>> find_true_class(model, "digits/test/7/12.png"), find_true_class(model, "holiday/7.png")
        (7, None)
    """
    place = photo.path if isinstance(photo, RemotePhoto) else photo
    folder = PurePath(place.member if isinstance(place, StoredPhoto) else place).parent.name
    names = {name.casefold() for name in (folder, folder.replace("_", " "))}
    names.add(read_class_folder(folder).casefold())
    found = [number for number, name in enumerate(model.classes) if name.casefold() in names]
    return found[0] if len(found) == 1 else None


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


def find_last_layer(module: nn.Module) -> tuple[str, nn.Conv2d | nn.Linear]:
    """Give the layer that makes a net's logits, with its module path.

    Raises:
        ModelError: If the net has neither convolutions nor linear layers.
    """
    layers = [
        (path, part)
        for path, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    if not layers:
        raise ModelError("the net has neither convolutions nor linear layers")
    return layers[-1]
