"""What nets make of photos: recorded passes, of which the last ones are kept."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from vizcnn.explorer.byte_budget import ByteBudget
from vizcnn.explorer.explored import ExploredNet, ExploredPhoto
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.recording import Recording

_Key = tuple[ExploredNet, ExploredPhoto]


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
            sight = _look(net, photo)
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


def measure_recording(recording: Recording, net: nn.Module) -> int:
    """Give the bytes that a recorded pass holds: its maps, switches, and what its graph has saved.

    Args:
        recording: The pass.
        net: Whose pass it is; what it holds itself, its weights, is not counted.
    """
    held = [*net.parameters(), *net.buffers()]
    kept: list[Any] = [recording.input, recording.outputs]
    begun: list[Any] = []
    for call in recording.calls:
        kept += [call.args, call.kwargs, call.output, call.switches]
        begun.append(call.output.grad_fn)
    for step in _walk_graph(begun):
        # torch's own functions show what they saved by these names, those in Python as attributes
        names = [name for name in dir(step) if name.startswith("_saved_")]
        kept += [getattr(step, name) for name in names or ["saved_tensors"] if hasattr(step, name)]
        kept.append(getattr(step, "__dict__", None))
    sizes, own = _list_storages(_find_tensors(kept)), _list_storages(held)
    return sum(size for place, size in sizes.items() if place not in own)


def _list_storages(tensors: Iterable[Tensor]) -> dict[int, int]:
    """List the bytes of the memory that tensors lie in, by where that is."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def _walk_graph(begun: list[Any]) -> Iterator[Any]:
    """Give every function of a graph, from some on."""
    seen: set[Any] = set()
    while begun:
        step = begun.pop()
        if step is not None and step not in seen:
            seen.add(step)
            begun += [before for before, _ in step.next_functions]
            yield step


def _find_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _find_tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _find_tensors(item)


def _look(net: ExploredNet, photo: ExploredPhoto) -> Sight:
    model = net.net
    image = photo.read()
    pixels = model.read(image)
    class_layer = model.find_class_layer() if model.layers else None
    layers = dict.fromkeys([*net.layers, *filter(None, [class_layer])])
    # what is recorded is the same for all methods
    recording = Projector(model, "gradient").record(pixels, list(layers))
    return Sight(pixels, model.preprocessing.describe_use(image), recording, class_layer)
