"""How much memory a recorded pass takes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from vizcnn.recording.recording import Recording


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
