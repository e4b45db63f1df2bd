"""What nets make of photos: recorded passes, of which the last ones are kept."""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor

from vizcnn.explorer.explored import ExploredNet, ExploredPhoto
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.recording import Recording


@dataclass(frozen=True, eq=False)
class Sight:
    """A photo as a net sees it, and the pass that was recorded.

    Attributes:
        pixels: (1, 3, H, W), RGB 0..1.
        used: What of the photo was used, and how, in words.
        recording: The pass, with the explored layers and, where it is known, that of the classes.
        class_layer: Name of the layer of the classes; None where the net's layers have no names.
    """

    pixels: Tensor
    used: str
    recording: Recording
    class_layer: str | None


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
        self._kept[net, photo] = sight = sight or _look(net, photo)
        return sight


def _look(net: ExploredNet, photo: ExploredPhoto) -> Sight:
    model = net.net
    image = photo.read()
    pixels = model.read(image)
    class_layer = model.find_class_layer() if model.layers else None
    layers = dict.fromkeys([*net.layers, *filter(None, [class_layer])])
    # what is recorded is the same for all methods
    recording = Projector(model, "gradient").record(pixels, list(layers))
    return Sight(pixels, model.preprocessing.describe_use(image), recording, class_layer)
