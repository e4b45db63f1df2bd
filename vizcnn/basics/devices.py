"""The device to compute on."""

import torch

from vizcnn.basics.errors import ModelError


def choose_device(name: str) -> str:
    """Turn ``"auto"`` into the best device, and refuse one that is not there.

    Args:
        name: ``"auto"`` (CUDA if there is any, else the CPU), ``"cpu"``, ``"cuda"``, ...

    Returns:
        A device name that torch takes.

    Raises:
        ModelError: If there is no such device here.

    Example:
        >>> choose_device("cpu")
        'cpu'
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()
    except Exception as error:  # each kind of device fails in its own way, by imports too
        reason = str(error).strip().splitlines()[0].partition(". ")[0]
        raise ModelError(
            f"no device to compute on: device {name!r:.60} cannot be used ({reason:.120}); "
            "use auto, cpu or, with a GPU, cuda"
        ) from None
    return name
