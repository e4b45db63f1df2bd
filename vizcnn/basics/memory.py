"""Memory that does not do: how it is told from other errors, and what there is."""

import errno
import importlib.util
import os
import re
from pathlib import Path

from vizcnn.basics.errors import VizcnnError

_SHORTAGE = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|out of memory|std::bad_alloc"
    r"|unable to allocate|failed to map segment|can't start new thread"
    r"|could not (?:create|execute) a (?:memory|primitive)",
    re.IGNORECASE,
)
"""What torch, numpy, Pillow, the loader of libraries and the system say."""

_ASKED = re.compile(r"allocate (?:memory: you tried to allocate )?([\d.]+) ?([KMGT]i?B|bytes)")

_UNITS = {"bytes": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

_BESIDE_TORCH = 400 * 2**20
"""Address space for Python, the other packages and the smallest work; with less, a library may end
the process before anything can be told."""

_FOR_THREADS = 2**30
"""Address space beside that in which torch may compute with several threads."""


def find_shortage(error: BaseException | None) -> BaseException | None:
    """Find what says that memory did not do: an error, or one that it came of.

    Example:
        >>> find_shortage(MemoryError())
        MemoryError()
        >>> find_shortage(ValueError("too long")) is None
        True
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if is_out_of_memory(error):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory did not do, of a GPU or of the machine.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM  # its text may be a file's name
    told = isinstance(error, RuntimeError | OSError | ImportError)
    return told and _SHORTAGE.search(str(error)) is not None


def describe_shortage(error: BaseException) -> str:
    """Say how much memory was asked for, as far as the error tells, and how much is free.

    Example:
        >>> describe_shortage(MemoryError("Unable to allocate 3000 GiB for an array"))
        'not enough memory: 3221.2 GB asked for...'
    """
    asked = _ASKED.search(str(error))
    size = float(asked[1]) * _UNITS["bytes" if asked[2] == "bytes" else asked[2][0]] if asked else 0
    if type(error).__name__ == "OutOfMemoryError":  # of a GPU, which has its own
        return "not enough memory on the device" + (
            f": {format_bytes(size)} asked for" if size else ""
        )
    free = find_free_memory()
    # of a small piece that did not fit beside others its size says nothing
    words = [f"{format_bytes(size)} asked for"] if size > (free or 0) else []
    words += [f"{format_bytes(free)} free"] if free is not None else []
    return f"not enough memory: {', '.join(words)}" if words else "not enough memory"


def format_bytes(count: float) -> str:
    """Write a number of bytes in the unit that it is read in.

    Example:
        >>> format_bytes(4e9), format_bytes(150_528_000)
        ('4.0 GB', '151 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def find_free_memory() -> int | None:
    """Give how many bytes this process may still take; None where the system does not tell.

    That is the least of what the machine has, what its container allows (cgroups) and what the
    process is limited to (``ulimit -v``).
    """
    found = [_find_machine_memory(), _find_container_memory(), _find_address_space()]
    known = [max(free, 0) for free in found if free is not None]
    return min(known, default=None)


def require_memory(needed: int, what: str, way_out: str) -> None:
    """Refuse what certainly does not fit.

    Args:
        needed: Bytes that it takes at least.
        what: What takes them.
        way_out: What to do.

    Raises:
        VizcnnError: If not so many are free.
    """
    free = find_free_memory()
    if free is not None and needed > free:
        raise VizcnnError(
            f"{what} takes {format_bytes(needed)} of memory at least, and "
            f"{format_bytes(free)} are free: {way_out}"
        )


def require_memory_to_start() -> None:
    """Refuse to load torch where it cannot be: its libraries would end the process in their way.

    Raises:
        VizcnnError: If its libraries do not fit into the address space that is allowed.
    """
    free = _find_address_space()
    spec = None if free is None else importlib.util.find_spec("torch")
    if free is None or spec is None or spec.origin is None:
        return
    libraries = (Path(spec.origin).parent / "lib").glob("*.so*")
    needed = _BESIDE_TORCH + sum(file.stat().st_size for file in libraries)
    if needed > free:
        raise VizcnnError(
            f"not enough memory to start: {format_bytes(needed)} of address space needed, "
            f"{format_bytes(free)} allowed: raise the limit (ulimit -v)"
        )
    if free < needed + _FOR_THREADS:
        # where a thread finds no room for its stack, OpenMP ends the process
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def _read_numbers(file: str, names: tuple[str, ...]) -> dict[str, int]:
    """Read lines such as ``VmSize: 123 kB`` of a file of the system, as bytes."""
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return {}
    parts = [line.replace(":", " ").split() for line in lines]
    return {
        part[0]: int(part[1]) * (1024 if part[2:] == ["kB"] else 1)
        for part in parts
        if len(part) > 1 and part[0] in names and part[1].isdecimal()
    }


def _find_machine_memory() -> int | None:
    return _read_numbers("/proc/meminfo", ("MemAvailable",)).get("MemAvailable")


def _find_container_memory() -> int | None:
    """Give what control groups leave, of the second version or the first."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            most, now = Path(limit).read_text().strip(), Path(used).read_text().strip()
        except OSError:
            continue
        if most.isdecimal() and now.isdecimal():
            # what files keep in memory is given back when it is needed
            kept = _read_numbers(str(Path(limit).with_name("memory.stat")), ("inactive_file",))
            return int(most) - int(now) + kept.get("inactive_file", 0)
    return None


def _find_address_space() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _read_numbers("/proc/self/status", ("VmSize",)).get("VmSize")
    return None if most == resource.RLIM_INFINITY or size is None else most - size
