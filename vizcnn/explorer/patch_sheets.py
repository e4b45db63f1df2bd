"""Where units are strongest over many photos: patches of the photos, as an index names them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vizcnn.basics.errors import LayerError
from vizcnn.explorer.answers import Answer, Content, Place
from vizcnn.explorer.webp import encode_patches
from vizcnn.mining.index import LayerRanking, drop_silent
from vizcnn.mining.machine_kinds import describe_kinds
from vizcnn.mining.mined_photos import MinedPhotos
from vizcnn.receptive.fields import ReceptiveField, Span
from vizcnn.zoo.model import ZooModel

TOP = 9
"""Places of a unit that are shown, at most."""
COLUMNS = 3
"""Patches beside each other."""
LARGEST_TILE = 48
"""Largest side of a patch in pixels; what is larger is made smaller."""
PART = 32
"""Units whose patches are one answer."""
GROUND = 128
"""Grey where a field reaches beyond the photo."""
NOWHERE = 2**16 - 1
"""What stands for no place."""
KEPT_BYTES = 256 << 20
"""Bytes of the photos that are kept between units, which have many in common."""

Pixels = NDArray[np.uint8]
Fields = dict[str, Any]


class PatchSheets:
    """Cuts the patches of units out of the photos of an index.

    Args:
        model: The net.
        fields: The receptive fields of its layers.
        mined: The index, and its photos.
    """

    def __init__(
        self, model: ZooModel, fields: Sequence[ReceptiveField], mined: MinedPhotos
    ) -> None:
        self._model, self._mined = model, mined
        self._fields = {field.name: field for field in fields}
        photos = KEPT_BYTES // (3 * model.input_size**2)
        self._read = lru_cache(max(photos, 1))(self._read_photo)

    def describe(self, layer: str) -> Fields:
        """Say how the patches of a layer are laid out in its answers.

        Raises:
            LayerError: If the index has not the layer.
        """
        ranking, index = self._find(layer), self._mined.index
        return {
            "count": min(TOP, ranking.values.shape[1]),
            "part": PART,
            "parts": self.count_parts(layer),
            "columns": COLUMNS,
            "tile": _measure_tile(self._fields[layer]),
            "photos": len(index.photos) - len(index.failures),
            "source": self._mined.photos.describe(),
            "exact": self._mined.are_exact,
            "mixed": describe_kinds(index.machines) if len(index.machines) > 1 else "",
        }

    def count_parts(self, layer: str) -> int:
        """Count the answers that hold a layer's patches; 0 where the index has not the layer."""
        ranking = self._mined.find_ranking(self._model, layer)
        return 0 if ranking is None else -(-ranking.units // PART)

    def answer(self, layer: str, part: int) -> Answer:
        """Answer where the units of a part are strongest.

        Each unit has one picture, a grid of its patches from the strongest on: what its receptive
        field holds of the photo, and grey where that ends. ``photos`` are numbers in ``names``.

        Raises:
            LayerError: If the index has not the layer, or the layer no such part.
            DataError: If a photo was changed since it was mined.
        """
        ranking, field = self._find(layer), self._fields[layer]
        units = range(PART * part, min(PART * (part + 1), ranking.units))
        if part < 0 or not units:
            raise LayerError(f"{layer} has no part {part} of its units")
        values = ranking.values[units.start : units.stop, :TOP].numpy()
        photos = ranking.photos[units.start : units.stop, :TOP].numpy()
        photos = drop_silent(values, photos)
        places = ranking.positions[units.start : units.stop, :TOP].numpy()
        places = np.where((photos[:, :, None] < 0) | (places < 0), NOWHERE, places)
        shown, numbers = np.unique(photos[photos >= 0]), np.full(photos.shape, NOWHERE)
        numbers[photos >= 0] = np.searchsorted(shown, photos[photos >= 0])
        content = Content()
        images = [
            self._draw(row, place, field, content)
            for row, place in zip(photos.tolist(), places.tolist(), strict=True)
        ]
        fields = {
            "units": (units.start, units.stop),
            "names": [self._mined.index.photos[photo] for photo in shown.tolist()],
            "photos": content.add_array(numbers, "u2"),
            "values": content.add_array(np.where(photos < 0, np.nan, values), "f4"),
            "places": content.add_array(places, "u2"),
            "images": images,
        }
        return Answer(fields, content.join())

    def _find(self, layer: str) -> LayerRanking:
        ranking = self._mined.find_ranking(self._model, layer)
        if ranking is None:
            held = ", ".join(self._mined.index.layers)
            raise LayerError(f"the index does not hold {layer}; it holds: {held}")
        return ranking

    def _draw(
        self,
        photos: list[int],
        places: list[list[int]],
        field: ReceptiveField,
        content: Content,
    ) -> Place | None:
        """Draw a unit's patches; None of one that is silent."""
        count = sum(photo >= 0 for photo in photos)
        if not count:
            return None
        height, width = _measure_tile(field)
        rows = -(-count // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * width, rows * height), (GROUND,) * 3)
        for slot in range(count):
            pixels = self._read(photos[slot])
            if pixels is not None:
                row, column = divmod(slot, COLUMNS)
                patch, (top, left) = _cut_patch(pixels, places[slot], field)
                sheet.paste(patch, (column * width + left, row * height + top))
        return content.add(encode_patches(np.asarray(sheet), max(height, width)))

    def _read_photo(self, photo: int) -> Pixels | None:
        """Read a photo; None of one that a gallery has kept no picture of."""
        if not self._mined.are_exact and not self._mined.has(photo):
            return None
        return self._mined.read(photo).permute(1, 2, 0).numpy()


def _measure_tile(field: ReceptiveField) -> tuple[int, int]:
    """Give height and width of a patch's tile in pixels."""
    factor = _find_factor(field)
    height, width = (max(round(length * factor), 1) for length in _find_cell(field))
    return height, width


def _find_cell(field: ReceptiveField) -> tuple[int, int]:
    """Give height and width of what a tile shows, in pixels of the photo."""
    (height, width), (rows, columns) = field.size, field.input_size
    return min(height, rows), min(width, columns)


def _find_factor(field: ReceptiveField) -> float:
    return min(LARGEST_TILE / max(_find_cell(field)), 1.0)


def _cut_patch(
    pixels: Pixels, place: list[int], field: ReceptiveField
) -> tuple[Image.Image, tuple[int, int]]:
    """Cut what a place's field holds of a photo, and say where it lies in its tile: top, left."""
    row, column = (0 if number == NOWHERE else number for number in place)
    down, across = field.rows[row], field.columns[column]
    factor, (height, width) = _find_factor(field), _find_cell(field)
    seen = pixels[down.seen_start : down.seen_stop, across.seen_start : across.seen_stop]
    patch = Image.fromarray(np.ascontiguousarray(seen))
    if factor < 1:
        size = tuple(max(round(length * factor), 1) for length in patch.size)
        patch = patch.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return patch, (
        round(_find_offset(down, height) * factor),
        round(_find_offset(across, width) * factor),
    )


def _find_offset(span: Span, length: int) -> int:
    """Say where a cut span begins in a tile: at its end where the photo's beginning cuts it.

    Example:
        >>> _find_offset(Span(-3, 4, 0, 4), 7), _find_offset(Span(6, 13, 6, 10), 7)
        (3, 0)
    """
    missing = max(length - (span.seen_stop - span.seen_start), 0)
    return missing if span.seen_start == 0 and span.start < 0 else 0
