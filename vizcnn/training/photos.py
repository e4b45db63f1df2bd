"""Photos of a class-per-folder data set as uint8 tensors, read once and kept where they fit."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from vizcnn.basics.devices import find_free_device_memory, send
from vizcnn.basics.errors import DataError, ImageError
from vizcnn.basics.memory import find_free_memory, require_memory
from vizcnn.basics.progress import Progress, silent
from vizcnn.photos.folders import survey_folder, warn_left_out
from vizcnn.photos.formats import PHOTO_SUFFIXES
from vizcnn.photos.images import PhotoReader, centre_square
from vizcnn.training.recipe import mix_seed

CHUNK = 256
"""Photos that are handed to the readers at a time, so that a Ctrl-C need not wait for all."""


class PhotoFolder:
    """The photos of ``root/<class>/`` (and of folders in it) with their class numbers.

    Args:
        root: A folder with one folder per class; hidden ones do not count.
        size: Side in pixels of the centred square that each photo is brought to.
        memory: Bytes that decoded photos may take; a larger set is decoded anew in every epoch.

    Attributes:
        classes: Class names, sorted: the order of the logits.
        paths: The files, class by class.
        labels: (photos,), the class number of each file.
        left_out: Names of what looks like a photo, or a link to a class, and is not read.
        unreadable: Why photos were left out by :meth:`load`, a line each.

    Raises:
        DataError: If there are no classes, or one has no photos.

    Example:
        >>> PhotoFolder(Path("flowers/train"), size=144)
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: no folder 'flowers/train'; needed: ...
    """

    def __init__(self, root: Path, size: int, memory: int = 4 << 30) -> None:
        self.root, self.size = root, size
        self.classes = _list_classes(root)
        self.paths: list[Path] = []
        labels: list[int] = []
        left_out: list[str] = []
        for number, name in enumerate(self.classes):
            held = survey_folder(root / name)
            if not held.photos:
                raise DataError(
                    f"no photos in {str(root / name)!r}, {held.explain_none()}: put some "
                    "there or remove the folder"
                )
            self.paths += held.photos
            labels += [number] * len(held.photos)
            left_out += [f"{name}/{other}" for other in held.left_out]
        self.left_out = (*_list_loose(root), *left_out)
        warn_left_out(root, self.left_out)
        self._reader = PhotoReader()
        self.labels = torch.tensor(labels)
        self.unreadable: list[str] = []
        # half of what is free, as the net and its steps want some too
        free = find_free_memory()
        room = memory if free is None else min(memory, free // 2)
        self._keep = len(self.paths) * 3 * size * size <= room
        self._pixels: Tensor | None = None
        self._loaded = False

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def class_counts(self) -> Tensor:
        """Photos per class, (classes,)."""
        return torch.bincount(self.labels, minlength=len(self.classes))

    def load(self, progress: Progress = silent) -> None:
        """Decode every photo once, drop those that cannot be read, and keep the rest if they fit.

        A second call does nothing.

        Raises:
            DataError: If none can be read.
            VizcnnError: If one alone cannot be held in memory.
        """
        if self._loaded:
            return
        require_memory(
            3 * self.size**2, f"a photo of {self.size} x {self.size} pixels", "take a smaller crop"
        )
        room = (len(self), 3, self.size, self.size) if self._keep else (0,)
        pixels = torch.empty(room, dtype=torch.uint8)
        good: list[int] = []
        unreadable: list[str] = []
        shown = progress(self._try_all(), label=f"read {self.root.name}", total=len(self))
        for index, photo in enumerate(shown):
            if isinstance(photo, ImageError):
                unreadable.append(str(photo))
                continue
            if self._keep:
                pixels[len(good)] = photo
            good.append(index)
        if not good:
            raise DataError(f"none of the {len(self)} photos in {str(self.root)!r} can be read")
        self.paths = [self.paths[index] for index in good]
        self.labels = self.labels[good]
        self._pixels = pixels[: len(good)] if self._keep else None
        self.unreadable, self._loaded = unreadable, True

    def keep_on(self, device: str, free: int | None = None) -> None:
        """Move the photos that are in memory to a GPU, if they take at most half of what it has.

        Args:
            device: Where the net is.
            free: Bytes that are free there; None asks the device. One that does not tell keeps no
                photos.
        """
        free = find_free_device_memory(device) if free is None else free
        if self._pixels is not None and free is not None and 2 * self._pixels.nbytes <= free:
            self._pixels = self._pixels.to(device)

    def batches(
        self, order: Sequence[Sequence[int]], device: str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give photos and class numbers of lists of indices.

        Args:
            order: A list for each batch.
            device: Where to give them. Those that are there already are picked there, others are
                sent, batch by batch; neither is waited for.

        Yields:
            Pixels (N, 3, size, size), uint8, and class numbers (N,).
        """
        home = torch.device("cpu") if self._pixels is None else self._pixels.device
        labels = send(self.labels, home)
        every = torch.tensor([index for indices in order for index in indices], dtype=torch.long)
        parts = send(every, home).split([len(indices) for indices in order])
        with _make_readers() as readers:
            for indices, chosen in zip(order, parts, strict=True):
                if self._pixels is not None:
                    pixels = self._pixels.index_select(0, chosen)
                else:
                    paths = [self.paths[index] for index in indices]
                    pixels = torch.stack(list(readers.map(self._decode, paths)))
                yield send(pixels, device), send(labels.index_select(0, chosen), device)

    def _decode(self, path: Path) -> Tensor:
        return centre_square(self._reader.read(path), self.size)

    def _try_all(self) -> Iterator[Tensor | ImageError]:
        with _make_readers() as readers:
            for start in range(0, len(self), CHUNK):
                yield from readers.map(self._try_decode, self.paths[start : start + CHUNK])

    def _try_decode(self, path: Path) -> Tensor | ImageError:
        try:
            return self._decode(path)
        except ImageError as error:
            return error


def _make_readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


def _list_classes(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(
            f"no folder {str(root)!r}; needed: DATA/train and DATA/val with a folder per class"
        )
    folders = (entry.name for entry in root.iterdir() if entry.is_dir())
    classes = sorted(name for name in folders if not name.startswith("."))
    if not classes:
        raise DataError(f"no folders in {str(root)!r}; needed: a folder of photos per class")
    return classes


def _list_loose(root: Path) -> list[str]:
    """Name what looks like a photo, or a link to a class, and is in no class's folder."""
    return sorted(
        path.name
        for path in root.iterdir()
        if not path.name.startswith(".")
        and not path.is_dir()
        and (path.suffix.lower() in PHOTO_SUFFIXES or not path.exists())
    )


def open_photos(data: Path, size: int) -> tuple[PhotoFolder, PhotoFolder]:
    """Find the photos of ``data/train`` and ``data/val``; none is read yet.

    Args:
        data: A folder as torchvision's ImageFolder takes it, with ``train`` and ``val``.
        size: Side in pixels of the square that each photo is brought to.

    Returns:
        Training and validation photos.

    Raises:
        DataError: If a folder or photos are missing, or the two have different classes.

    Example:
        >>> open_photos(Path("missing"), 144)
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: no folder 'missing/train'; needed: ...
    """
    photos, validation = PhotoFolder(data / "train", size), PhotoFolder(data / "val", size)
    require_same_classes(photos, validation)
    return photos, validation


def require_same_classes(photos: PhotoFolder, validation: PhotoFolder) -> None:
    """Make sure that class numbers mean the same in both folders.

    Raises:
        DataError: If they do not, with the classes that only one has.
    """
    if photos.classes == validation.classes:
        return
    parts = []
    for one, other in ((photos, validation), (validation, photos)):
        alone = [repr(name) for name in one.classes if name not in set(other.classes)]
        if alone:
            shown = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if alone[5:] else "")
            parts.append(f"only in {str(one.root)!r}: {shown}")
    raise DataError(f"both folders need the same classes; {'; '.join(parts)}")


def draw_epoch(
    photos: PhotoFolder, batch: int, seed: int, epoch: int, class_balance: float = 0.0
) -> list[list[int]]:
    """Draw one epoch's batches.

    Args:
        photos: The training photos.
        batch: Photos in a batch; a last incomplete batch is left out.
        seed: Seed of the run.
        epoch: Number of the epoch; the draw depends on seed and epoch only.
        class_balance: A class of n photos is drawn in proportion to ``n ** (1 - class_balance)``;
            0 takes every photo once, anything else draws with replacement.

    Returns:
        Lists of indices; a class's photos are equally likely.
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch))
    weights = photos.class_counts.double().clamp(min=1).pow(-class_balance)[photos.labels]
    count = max(len(photos) // batch, 1) * batch
    again = class_balance != 0 or count > len(photos)
    drawn = torch.multinomial(weights, count, replacement=again, generator=generator)
    batches: list[list[int]] = drawn.view(-1, batch).tolist()
    return batches
