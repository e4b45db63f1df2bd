"""What nets make of photos: recorded passes, of which the last ones are kept."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from vizcnn.basics.errors import LayerError, quote
from vizcnn.explorer.class_use import measure_class_use
from vizcnn.explorer.explored import ExploredNet, ExploredPhoto
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.recording import Recording
from vizcnn.zoo.classification import check_logits
from vizcnn.zoo.model import ZooModel

USED_CLASSES = 5
"""Most probable classes whose use of units is measured."""


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

    @cached_property
    def class_use(self) -> dict[str, Tensor]:
        """By layer the use that these classes make of each unit, (classes, C).

        Raises:
            ModelError: If the net puts out no logits that depend on the photo.
        """
        return measure_class_use(self.model, self.pixels, self.paths, self.used_classes)


class Sights:
    """Gives the sights of nets and photos; the last few are kept, as a recording takes memory.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[ExploredNet, ExploredPhoto], Sight] = OrderedDict()

    def find(self, net: ExploredNet, photo: ExploredPhoto) -> Sight:
        """Give the sight of a photo; it is recorded unless it is kept.

        Raises:
            ImageError: If the photo cannot be read, or the net does not take it.
        """
        sight = self._kept.pop((net, photo), None)
        while sight is None and self._kept and len(self._kept) >= self._most:
            self._kept.popitem(last=False)  # before the next takes its memory
        self._kept[net, photo] = sight = sight or look(net, photo)
        return sight


def look(net: ExploredNet, photo: ExploredPhoto) -> Sight:
    """Let a net look at a photo, and record the pass.

    Raises:
        ImageError: If the photo cannot be read, or the net does not take it.
    """
    model, image = net.net, photo.read()
    pixels = model.read(image)
    projector = Projector(model, "gradient")  # what is recorded is the same for all methods
    recording = projector.record(pixels, net.layers)
    paths = {layer: projector.find_path(layer) for layer in net.layers}
    return Sight(model, pixels, model.preprocessing.describe_use(image), recording, paths)
