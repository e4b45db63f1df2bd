"""What nets make of photos: recorded passes, of which the last ones are kept."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from vizcnn.basics.errors import LayerError, quote
from vizcnn.basics.memory import find_free_memory
from vizcnn.explorer.byte_budget import ByteBudget
from vizcnn.explorer.explored import ExploredNet, ExploredPhoto
from vizcnn.explorer.recording_size import measure_recording
from vizcnn.measures.class_use import measure_class_use
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.recording import Recording
from vizcnn.zoo.classification import check_logits
from vizcnn.zoo.model import ZooModel

USED_CLASSES = 5
"""Most probable classes whose use of units is measured."""

_Key = tuple[ExploredNet, ExploredPhoto]


@dataclass(frozen=True, eq=False)
class Sight:
    """A photo as a net sees it, and the pass that was recorded.

    Attributes:
        model: The net.
        pixels: (1, 3, H, W), RGB 0..1.
        used: What of the photo was used, and how, in words.
        recording: The pass, with the explored layers.
        paths: Module paths of these layers by name.
    """

    model: ZooModel
    pixels: Tensor
    used: str
    recording: Recording
    paths: dict[str, str]
    _class_use: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def find_maps(self, layer: str) -> Tensor:
        """Give the maps of a layer, (1, C, h, w), or units (1, C), with their graph.

        Raises:
            LayerError: If the layer has other dimensions than rows and columns.
        """
        maps = self.recording.find_output(self.paths[layer])
        if maps.ndim not in (2, 4):
            raise LayerError(
                f"layer {quote(layer)} puts out shape {tuple(maps.shape)}; needed: feature maps "
                "with rows and columns, or a vector of units"
            )
        return maps

    @cached_property
    def probabilities(self) -> Tensor:
        """Of the classes, (classes,), float32, on the CPU.

        Raises:
            ModelError: If a logit is not finite.
        """
        logits = self.model.logits(self.pixels)
        check_logits(logits, self.model.name)
        return logits[0].float().cpu().softmax(dim=0)

    @property
    def used_classes(self) -> Tensor:
        """Numbers of the classes whose use is measured, the most probable first."""
        count = min(USED_CLASSES, len(self.probabilities))
        return self.probabilities.sort(descending=True, stable=True).indices[:count]

    def find_class_use(self, breathe: Callable[[], None] = lambda: None) -> dict[str, Tensor]:
        """Give by layer the use that these classes make of each unit, (classes, C).

        Args:
            breathe: Called after each class.

        Raises:
            ModelError: If the net puts out no logits that depend on the photo.
        """
        if not self._class_use:
            layers, parts = list(self.paths), []
            for number in self.used_classes.tolist():
                parts.append(measure_class_use(self.model, self.pixels, layers, [number]))
                breathe()
            for layer in layers:
                self._class_use[layer] = torch.cat([part[layer][0].T for part in parts])
        return self._class_use


class Sights:
    """Gives the sights of nets and photos; the last one is kept, and others while they fit.

    Args:
        budget: Bytes that others than the last one may take: none when 0.
    """

    def __init__(self, budget: int = 0) -> None:
        self._kept = ByteBudget[_Key, Sight](budget)
        self._last: tuple[_Key, Sight] | None = None

    def find(self, net: ExploredNet, photo: ExploredPhoto) -> Sight:
        """Give the sight of a photo; it is recorded unless it is kept.

        Raises:
            ImageError: If the photo cannot be read, or the net does not take it.
        """
        key = net, photo
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        self._last = None  # before the next takes its memory
        sight = self._kept.get(key)
        if sight is None:
            sight = look(net, photo)
            if self._kept.budget:
                size = measure_recording(sight.recording, net.net.module) + sight.pixels.nbytes
                self._kept.put(key, sight, size)
        self._last = key, sight
        return sight

    def drop(self, photo: ExploredPhoto) -> None:
        """Let go what is kept of a photo."""
        for key in [key for key in self._kept if key[1] is photo]:
            self._kept.drop(key)
        if self._last is not None and self._last[0][1] is photo:
            self._last = None


MOST_RECORDED = 2**30
"""Bytes of recorded passes that a program at work keeps, if four times as much memory is free."""


def keep_what_fits() -> Sights:
    """Make what keeps recorded passes while the machine has memory to spare."""
    free = find_free_memory()
    return Sights(MOST_RECORDED if free is None else min(MOST_RECORDED, free // 4))


def look(net: ExploredNet, photo: ExploredPhoto) -> Sight:
    """Let a net look at a photo, and record the pass.

    Raises:
        ImageError: If the photo cannot be read, or the net does not take it.
    """
    model, given = net.net, photo.read()
    pixels = model.read(given)
    projector = Projector(model, "gradient")  # what is recorded is the same for all methods
    recording = projector.record(pixels, net.layers)
    paths = {layer: projector.find_path(layer) for layer in net.layers}
    return Sight(model, pixels, _describe_use(model, given), recording, paths)


def _describe_use(model: ZooModel, given: Image.Image | Tensor) -> str:
    if isinstance(given, Image.Image):
        return model.preprocessing.describe_use(given)
    height, width = given.shape[1:]
    if height == width == model.input_size:
        return "the pixels were used as they were given"
    return model.preprocessing.describe_use((width, height))
