"""Photos of a class-per-folder data set as uint8 tensors, read once and kept in memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from vizcnn.errors import DataError, ImageError
from vizcnn.images import PHOTO_SUFFIXES, centre_square, read_photo
from vizcnn.progress import Progress, silent



class PhotoFolder:
    """The photos of ``root/<class>/*`` with their class numbers.

    Args:
        root: A folder with one folder per class.
        size: Side in pixels of the centred square that each photo is brought to.
        memory: Bytes that decoded photos may take; a larger set is decoded anew in every epoch.

    Raises:
        DataError: If there are no classes or no photos.

    Example:
        >>> PhotoFolder(Path("flowers/train"), size=144)  # doctest: +SKIP
    """

    def __init__(self, root: Path, size: int, memory: int = 4 << 30) -> None:
        self.root, self.size = root, size
        if not root.is_dir():
            raise DataError(f"no folder {str(root)!r}; needed: DATA/train and DATA/val with a folder per class")
        self.classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        self.paths: list[Path] = []
        labels: list[int] = []
        for number, name in enumerate(self.classes):
            found = sorted(p for p in (root / name).iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
            self.paths += found
            labels += [number] * len(found)
        if not self.paths:
            raise DataError(f"no photos in {str(root)!r}; needed: a folder per class with JPEG or PNG files")
        self.labels = torch.tensor(labels)
        self.unreadable: list[str] = []
        self._keep = len(self.paths) * 3 * size * size <= memory
        self._pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def class_counts(self) -> Tensor:
        """Photos per class, (classes,)."""
        return torch.bincount(self.labels, minlength=len(self.classes))

    def load(self, progress: Progress = silent) -> None:
        """Decode every photo once, drop those that cannot be read, and keep the rest if they fit."""
        pixels = torch.empty((len(self), 3, self.size, self.size) if self._keep else (0,), dtype=torch.uint8)
        good: list[int] = []
        with ThreadPoolExecutor(2) as pool:
            decoded = pool.map(self._try_decode, self.paths)
            for index, photo in enumerate(progress(decoded, label=f"read {self.root.name}", total=len(self))):
                if photo is None:
                    self.unreadable.append(str(self.paths[index]))
                    continue
                if self._keep:
                    pixels[len(good)] = photo
                good.append(index)
        if not good:
            raise DataError(f"none of the {len(self)} photos in {str(self.root)!r} can be read")
        self.paths = [self.paths[index] for index in good]
        self.labels = self.labels[good]
        self._pixels = pixels[: len(good)] if self._keep else None

    def batches(self, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the photos (N, 3, size, size) uint8 and class numbers (N,) of lists of indices."""
        with ThreadPoolExecutor(2) as pool:
            for indices in order:
                if self._pixels is not None:
                    pixels = self._pixels[torch.tensor(indices)]
                else:
                    pixels = torch.stack(list(pool.map(self._decode, (self.paths[i] for i in indices))))
                yield pixels, self.labels[torch.tensor(indices)]

    def _decode(self, path: Path) -> Tensor:
        return centre_square(read_photo(path), self.size)

    def _try_decode(self, path: Path) -> Tensor | None:
        try:
            return self._decode(path)
        except ImageError:
            return None


def draw_epoch(photos: PhotoFolder, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Draw one epoch's batches with classes weighted by the square root of their size.

    Args:
        photos: The training photos.
        batch: Photos in a batch; a last incomplete batch is left out.
        seed: Seed of the run.
        epoch: Number of the epoch; the draw depends on seed and epoch only.

    Returns:
        Lists of indices, drawn with replacement, each class as often as the root of its size.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    weights = photos.class_counts.double().clamp(min=1).rsqrt()[photos.labels]
    count = max(len(photos) // batch, 1) * batch
    drawn = torch.multinomial(weights, count, replacement=True, generator=generator)
    return drawn.view(-1, batch).tolist()
