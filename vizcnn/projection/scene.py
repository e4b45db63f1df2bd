"""What a picture of a projection needs beside it: the photos, and what they were shown to."""

from dataclasses import dataclass

from torch import Tensor

from vizcnn.zoo.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class Scene:
    """The photos and the net of a projection.

    Attributes:
        photos: What the net saw, (N, 3, H, W), RGB 0..1.
        names: What each photo is called, (N,).
        net: Title of the net.
        weights: Where its weights come from, in a line.
        units: Names of the layer's units, where they have any: those of the classes.
        preprocessing: From pixels to the net's input.
    """

    photos: Tensor
    names: tuple[str, ...]
    net: str
    weights: str
    units: tuple[str, ...]
    preprocessing: Preprocessing
