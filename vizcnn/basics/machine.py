"""The machine that computes: its name, and a C library that keeps its memory."""

import ctypes
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

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


def find_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the processor's model.

    Args:
        cpuinfo: Where Linux tells.

    Returns:
        Its name with the numbers of family and model, as many virtual machines give only a name
        such as "Intel(R) Xeon(R) Processor"; or what Python's ``platform`` knows of it.

    Example:
        >>> bool(find_processor())
        True
    """
    try:
        with cpuinfo.open(errors="replace") as lines:
            facts = _read_first_processor(lines)
    except OSError:
        facts = {}
    name = facts.get("model name") or platform.processor() or platform.machine()
    # those of ARM have a number for the maker and one for the core in place of a name
    numbers = [
        f"{word} {facts[key]}"
        for word, key in (
            ("family", "cpu family"),
            ("model", "model"),
            ("implementer", "CPU implementer"),
            ("part", "CPU part"),
        )
        if facts.get(key)
    ]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def _read_first_processor(lines: Iterable[str]) -> dict[str, str]:
    """Read what ``/proc/cpuinfo`` says of the first processor: lines until an empty one."""
    facts: dict[str, str] = {}
    for line in lines:
        if not line.strip():
            break
        key, _, value = line.partition(":")
        facts[key.strip()] = value.strip()
    return facts


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
