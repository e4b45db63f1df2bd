"""The device to compute on, and what goes there without being waited for."""

from functools import cache

import torch
from torch import Tensor

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


def name_device(name: str) -> str:
    """Name a device so that it is the same one the next time: ``cuda`` is the current of several.

    Example:
        >>> name_device("cpu")
        'cpu'
    """
    device = torch.device(name)
    if str(device) == "cuda":  # torch's types have a number in every device
        device = torch.device("cuda", torch.cuda.current_device())
    return str(device)


def find_free_device_memory(device: str | torch.device) -> int | None:
    """Give how many bytes are free on a GPU; None for other devices, which do not tell.

    Example:
        >>> find_free_device_memory("cpu") is None
        True
    """
    if torch.device(device).type != "cuda":
        return None
    return int(torch.cuda.mem_get_info(device)[0])


def send(values: Tensor, device: str | torch.device) -> Tensor:
    """Copy a tensor to a device; a copy from the host to a GPU goes on behind the program's back.

    Example:
        >>> send(torch.ones(2), "cpu").tolist()
        [1.0, 1.0]
    """
    if values.device.type == "cpu" and torch.device(device).type == "cuda":
        # from memory that may be paged out the copy would be waited for
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def make_constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Give numbers as a tensor of the type and on the device of another one, not to be changed.

    Beside a tensor on a GPU the numbers are copied there once, as every copy is waited for.

    Example:
        >>> make_constant((0.5, 2.0), torch.ones(3, dtype=torch.float64))
        tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    if like.device.type == "cpu" or type(like) is not Tensor:  # not of a mode that fakes tensors
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return _keep_constant(values, like.dtype, like.device)


@cache
def _keep_constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # so that it can be used outside of that mode, too
        return torch.tensor(values, dtype=dtype, device=device)
