"""Kinds of machines: what an index was computed by, and the mixing of several in one.

Two machines of a kind give the same bytes. Of two kinds the last digits may differ: other
processors and cards add up in another order, other versions of torch choose other algorithms, and
another Pillow may decode a photo otherwise. So do variables of the environment that choose a
processor's instructions. The number of threads is no part of a kind: by measurement it changes
nothing.
"""

import os
from collections.abc import Iterable, Mapping, Sequence

import PIL
import torch

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.machine import find_processor

UNKNOWN = "unknown"
"""The kind of what was computed before indexes told: one of its own, as nobody can say which."""

LONGEST_KIND = 400
"""Characters of a kind, at most."""

_ON_CPU: tuple[str, ...] = (
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
)
"""Variables that choose how oneDNN and MKL compute; what torch itself uses it tells."""
_ON_CARD: tuple[str, ...] = ("NVIDIA_TF32_OVERRIDE",)

NAMED_KINDS = 5
"""Kinds that a line names; more are counted."""


def describe_kind(device: torch.device | str) -> str:
    """Describe the kind of this machine in a line: all that the last digits may depend on.

    Args:
        device: What computes.

    Returns:
        The processor or GPU with what it can do, the versions of torch and Pillow, and those
        variables of the environment that are set and change how it computes.

    Example:
        >>> kind = describe_kind("cpu")
        >>> torch.__version__ in kind, kind.isprintable()
        (True, True)
    """
    device = torch.device(device)
    if device.type == "cuda":
        (chip, libraries), variables = _describe_card(device), _ON_CARD
    else:
        chip, libraries, variables = _describe_processor(device), (), _ON_CPU
    chosen = [f"{name}={os.environ[name]}" for name in variables if os.environ.get(name)]
    parts = (chip, f"torch {torch.__version__}", *libraries, f"Pillow {PIL.__version__}", *chosen)
    line = " ".join(", ".join(parts).split())
    return "".join(letter for letter in line if letter.isprintable())[:LONGEST_KIND]


def _describe_card(device: torch.device) -> tuple[str, tuple[str, ...]]:
    """Describe a GPU, and the libraries that it computes with."""
    name = torch.cuda.get_device_name(device)
    major, minor = torch.cuda.get_device_capability(device)
    # on AMD's cards torch names HIP in place of CUDA, and MIOpen's version as that of cuDNN
    toolkit = f"HIP {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    cudnn = torch.backends.cudnn.version()
    libraries = (toolkit,) if cudnn is None else (toolkit, f"cuDNN {cudnn}")
    return f"{name}, compute capability {major}.{minor}", libraries


def _describe_processor(device: torch.device) -> str:
    processor = f"{find_processor()}, {torch.backends.cpu.get_cpu_capability()}"
    return processor if device.type == "cpu" else f"{device.type} of {processor}"


def unite_kinds(*kinds: Iterable[str]) -> tuple[str, ...]:
    """Give all kinds, sorted, each once: in whatever order and groups they come together.

    Example:
        >>> unite_kinds(["b"], ["c", "a"], ["b"])
        ('a', 'b', 'c')
    """
    return tuple(sorted({kind for some in kinds for kind in some}))


def describe_kinds(kinds: Sequence[str]) -> str:
    """Say by what something was computed; the empty text if by nothing yet.

    Example:
        >>> describe_kinds(["AMD EPYC 7763"]), describe_kinds([])
        ('computed by AMD EPYC 7763', '')
        >>> describe_kinds(["A100", "H100"])
        'computed by 2 kinds of machines, whose last digits may differ: A100; H100'
        >>> describe_kinds([UNKNOWN])
        'computed by a machine of unknown kind (a former version of vizcnn did not tell)'
    """
    if not kinds:
        return ""
    if len(kinds) > 1:
        return f"computed by {_count_kinds(kinds)}: {_list_some(kinds, '; ')}"
    if kinds[0] == UNKNOWN:
        return "computed by a machine of unknown kind (a former version of vizcnn did not tell)"
    return f"computed by {kinds[0]}"


def _count_kinds(kinds: Iterable[str]) -> str:
    return f"{len(list(kinds))} kinds of machines, whose last digits may differ"


def _list_some(names: Sequence[str], between: str) -> str:
    more = len(names) - NAMED_KINDS
    return between.join([*names[:NAMED_KINDS], *([f"{more} more"] if more > 0 else [])])


def refuse_mixed(what: str, kinds: Mapping[str, str], way_out: str) -> None:
    """Refuse what is or would be computed by several kinds of machines.

    Args:
        what: What it is, as the beginning of a sentence.
        kinds: The kinds, and for each where it is from; an empty text where that goes without
            saying.
        way_out: What to do instead.

    Raises:
        DataError: If there is more than one kind.

    Example:
        >>> refuse_mixed("'a'", {"A100": "so far", "H100": "here"}, "go on with it on an A100")
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: 'a' mixes 2 kinds of machines, whose last digits may...
    """
    if len(kinds) > 1:
        told = [
            f"{quote(kind, LONGEST_KIND)}{f' ({where})' * bool(where)}"
            for kind, where in sorted(kinds.items())
        ]
        raise DataError(f"{what} mixes {_count_kinds(kinds)}: {_list_some(told, ', ')}; {way_out}")
