"""What mining finds: the strongest places of every unit of some layers over a set of photos."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an index was made with, apart from the photos.

    A run goes on only with an index of its own identity, and only indexes of one identity merge.
    Nothing in it depends on the machine, the workers or the time.

    Attributes:
        model: The net's name in the catalogue.
        options: What the net was built with, as plain values.
        weights: Where the weights come from, in one line.
        sha256: Checksum of all parameters and buffers of the net, 64 hexadecimal digits.
        preprocessing: From pixels to the net's input, as plain values.
        layers: Names as asked for, each with the module path that it stands for.
        top: Places kept per unit.
        per_photo: Places of one photo, at most, among them.
    """

    model: str
    options: dict[str, Any]
    weights: str
    sha256: str
    preprocessing: dict[str, Any]
    layers: tuple[tuple[str, str], ...]
    top: int
    per_photo: int

    @property
    def input_size(self) -> int:
        """Side of the net's square input in pixels."""
        return int(self.preprocessing["input_size"])


@dataclass(frozen=True, eq=False)
class LayerRanking:
    """The strongest places of every unit of one layer.

    Stronger places go first; equally strong ones in the order of the photos, those of one photo in
    row-major order. A slot that no photo has filled holds -inf, -1 and (-1, -1).

    Attributes:
        name: The layer as asked for, such as ``"conv5"``.
        path: Its module path.
        map_size: Rows and columns of a feature map; None for a vector of units.
        values: Activations (units, top), float32, on the CPU as all of these.
        photos: Numbers of the photos in :attr:`StrongestIndex.photos`, (units, top), int64.
        positions: Row and column in the feature map, (units, top, 2), int64; -1 in a vector of
            units.
    """

    name: str
    path: str
    map_size: tuple[int, int] | None
    values: Tensor
    photos: Tensor
    positions: Tensor

    @property
    def units(self) -> int:
        """Number of units (feature maps) of the layer."""
        return len(self.values)


@dataclass(frozen=True, eq=False, kw_only=True)
class StrongestIndex:
    """The strongest places of some layers over a list of photos.

    Attributes:
        identity: What it was made with.
        photos: Names of all photos, sorted: relative to the data folder, with ``/`` between parts.
        sizes: Size of each photo's file in bytes.
        done: How many photos, from the first on, have been looked at.
        failures: Photos that could not be read, in order: name, and why in one line.
        layers: By name, in the order asked for.
    """

    identity: Identity
    photos: tuple[str, ...]
    sizes: tuple[int, ...]
    done: int
    failures: tuple[tuple[str, str], ...] = ()
    layers: dict[str, LayerRanking] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all photos have been looked at."""
        return self.done == len(self.photos)
