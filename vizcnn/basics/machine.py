"""The machine that computes: its name, and a C library that keeps its memory."""

import ctypes
import platform
import sys

import torch

# parameters of mallopt(3), from glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def describe_device(device: str) -> str:
    """Name the hardware behind a device, for a model card.

    Example:
        >>> describe_device("cpu").startswith("cpu")
        True
    """
    if torch.device(device).type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()}, {torch.get_num_threads()} threads)"


def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks for the next step instead of giving them to the system.

    A training step, or the projections of a layer's units, allocates and frees hundreds of MB. By
    default each large block is a fresh mapping that the kernel fills with zeros page by page: a
    tenth to a quarter of the time on an idle CPU, up to half on a busy one. The price is that the
    process stays as large as its largest step.

    Returns:
        Whether the C library took the settings (False where it is not glibc).
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 64 << 20))
    taken = [mallopt(name, value) == 1 for name, value in settings]
    return all(taken)


def prepare_cpu(threads: int | None = None) -> None:
    """Set this process up for long computations: for a command, as it changes the whole process.

    Args:
        threads: Threads that torch computes with; None leaves its choice.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
