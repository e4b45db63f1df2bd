"""Photos that need no files, and an oracle that ranks with plain loops."""

import math
import time

import torch
from torch import Tensor

from vizcnn.basics.errors import ImageError
from vizcnn.mining.lots import LOT
from vizcnn.mining.passes import AlignRows
from vizcnn.mining.run import MiningSettings, mine

LAYERS = ("conv1", "conv3", "conv5", "fc6", "fc7")


class NoisePhotos:
    """Photos of noise by name; equal ``looks`` are equal photos, a look of None is unreadable."""

    def __init__(self, looks, size=32, pause=0.0):
        self.looks = dict(sorted(looks.items()))
        self.names, self.size, self.pause = tuple(self.looks), size, pause
        self.sizes = tuple(100 + len(name) for name in self.names)

    def read(self, number):
        time.sleep(self.pause)
        look = self.looks[self.names[number]]
        if look is None:
            raise ImageError(f"{self.names[number]!r} is\nbroken")
        generator = torch.Generator().manual_seed(look)
        shape = (3, self.size, self.size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    def describe(self):
        return f"{len(self.names)} photos of noise"


def make_photos(count, **options):
    return NoisePhotos({f"photo {number:03d}": number for number in range(count)}, **options)


def mine_bytes(model, photos, file, layers=LAYERS, **settings):
    """Mine into a file that is not there yet, and give its bytes."""
    settings.setdefault("workers", 0)
    assert not file.exists()
    index = mine(model, photos, file, MiningSettings(layers=layers, **settings))
    assert index.complete
    return file.read_bytes()


def compute_maps(model, photos, layer):
    """Each readable photo's maps by number, from forward passes of the same batch size."""
    maps: dict[int, Tensor] = {}
    for first in range(0, len(photos.names), LOT):
        pixels = torch.zeros(LOT, 3, photos.size, photos.size)
        readable = []
        for number in range(first, min(first + LOT, len(photos.names))):
            if photos.looks[photos.names[number]] is not None:
                pixels[number - first] = photos.read(number) / 255
                readable.append(number)
        inputs = model.preprocessing.normalise(pixels)
        part = model.module.get_submodule(model.layers[layer])
        seen: list[Tensor] = []
        hook = part.register_forward_hook(lambda *call, seen=seen: seen.append(call[2].clone()))
        with torch.no_grad(), AlignRows():
            model.module(inputs.contiguous(memory_format=torch.channels_last))
        hook.remove()
        maps |= {number: seen[0][number - first] for number in readable}
    return maps


def rank_slowly(maps, top, per_photo=1):
    """Give per unit a list of (value, photo, row, column) by loops and Python's sort."""
    units = len(next(iter(maps.values())))
    ranked = []
    for unit in range(units):
        places = []
        for photo, output in maps.items():
            found = _list_places(output[unit], photo)
            found.sort(key=lambda place: (-place[0], place[1:]))
            places += found[:per_photo]
        places.sort(key=lambda place: (-place[0], place[1:]))
        ranked.append((places + [(-math.inf, -1, -1, -1)] * top)[:top])
    return ranked


def _list_places(values, photo):
    if values.ndim == 0:
        return [(values.item(), photo, -1, -1)]
    return [
        (value, photo, row, column)
        for row, line in enumerate(values.tolist())
        for column, value in enumerate(line)
    ]


def to_lists(layer):
    """Give a ranking in the form of :func:`rank_slowly`."""
    return [
        [(value, photo, *place) for value, photo, place in zip(values, photos, places, strict=True)]
        for values, photos, places in zip(
            layer.values.tolist(), layer.photos.tolist(), layer.positions.tolist(), strict=True
        )
    ]
