"""Tensors by name, out of files as training scripts leave them; nothing in a file is ever run.

A checkpoint may hold a net several times, and much beside it that is no weight. What is taken is
found by the names of the net's own tensors: wherever all of them lie, under whatever key and after
whatever prefix. Where there are several such copies, this order decides:

1. a moving average (``ema`` or ``swa`` in its key or prefix), as those who train with one measure
   and publish it;
2. tensors that lie bare in the file;
3. those under a usual key, in the order of :data:`KEYS`, and after a usual prefix, in the order of
   :data:`PREFIXES`;
4. those under any other, if there is but one copy; else the file is refused.
"""

import os
import re
import warnings
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vizcnn.basics.errors import WeightsError, quote, shorten
from vizcnn.basics.files import open_plain_file
from vizcnn.basics.sharing import ProcessContext
from vizcnn.zoo.cache import is_lfs_pointer

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".ckpt", ".bin", ".onnx")
"""Kinds of weight files that can be read."""
LARGEST_FILE = 1 << 34
"""Bytes of the largest weight file that is read: thirty times that of VGG-19."""

KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "weights"),
    *("net_state_dict", "net", "network", "params", "backbone", "module"),
)
"""Where training scripts put a net's tensors in their checkpoints, the usual first."""
PREFIXES = ("", "model.", "net.", "network.", "backbone.", "encoder.")
"""What training scripts put before the names of a net's tensors, the usual first."""
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?|shadow)([._]|$)", re.IGNORECASE)
"""In the key or prefix of a moving average of a net's weights."""
_WRAPPERS = frozenset(
    ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
)
"""What DataParallel, torch.compile, Lightning, FSDP and checkpointing add to the names of the part
of a net that they wrap."""
_COUNTERS = frozenset(("n_averaged", "num_updates", "decay", "initted", "step"))
"""What averages keep beside the averaged tensors."""
_MOST_KEYS = 3
"""Keys within keys that are looked into."""
_MOST_PREFIXES = 16
"""Prefixes that are tried: a file may hold as many as it has names."""

Adapt = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""Brings names that others use to those of a net."""


@dataclass(frozen=True)
class StateDict:
    """A net's tensors, as they were found in a file.

    Attributes:
        tensors: By their names in the net's own state dict.
        note: What was taken of several copies, and what was left out; empty if all was taken.
    """

    tensors: dict[str, Tensor]
    note: str = ""


@dataclass(frozen=True)
class _Copy:
    """A place in a file where tensors of a net lie.

    Attributes:
        keys: The keys that lead to them.
        prefix: What their names begin with there.
        tensors: By name, without the prefix.
        left_out: Names of tensors beside them that belong to no copy.
    """

    keys: tuple[str, ...]
    prefix: str
    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]

    @property
    def title(self) -> str:
        """Where they lie, in one word without those of wrappers; empty if they lie bare."""
        parts = ".".join((*self.keys, self.prefix)).split(".")
        return ".".join(part for part in parts if part and part not in _WRAPPERS)

    @property
    def is_average(self) -> bool:
        return bool(_AVERAGED.search(self.title))

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Place in the order that this module's text gives."""
        key = min((1 + _find(KEYS, key) for key in self.keys), default=0)
        return not self.is_average, key, _find(PREFIXES, self.prefix)


def _find(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a weight file; see :func:`find_state`."""
    return find_state(path).tensors


def find_state(path: Path, needed: Collection[str] = (), adapt: Adapt = dict) -> StateDict:
    """Read a net's tensors out of a weight file; floating-point ones come as float32.

    Half precision and bfloat16 become float32 exactly, float64 is rounded to it. Integers come as
    they are: only a count of batches may be one. All others are refused by name.

    Args:
        path: One of :data:`SUFFIXES`, but no ``.onnx`` file.
        needed: Names in the net's own state dict, which tell where in the file its tensors lie;
            without any, all tensors of the file's usual place are given.
        adapt: Brings names that others use to those of the net.

    Returns:
        The net's tensors. Of a file that does not hold all that are needed, those of the place
        that holds most of them: who puts them into the net then says what is missing.

    Raises:
        WeightsError: If the file is damaged, unsafe, or holds something else than tensors by name;
            or the net several times, and no rule tells which is meant; or a tensor whose values
            cannot be a net's weights: complex, sparse, quantised, without values (on the meta
            device), in 8 bits, NaN or infinite.
    """
    required = frozenset(name for name in needed if not name.endswith("num_batches_tracked"))
    copies = [
        copy
        for keys, tensors in _list_places(_read_content(path), path)
        for copy in _find_copies(keys, tensors, required, adapt, path)
    ]
    largest = path.stat().st_size
    chosen, note = _choose(sorted(copies, key=lambda copy: copy.rank), required, path, largest)
    values = {
        name: _read_values(name, value, path, largest) for name, value in chosen.tensors.items()
    }
    return StateDict(values, note)


def _choose(
    copies: list[_Copy], required: frozenset[str], path: Path, largest: int
) -> tuple[_Copy, str]:
    """Choose among copies, which come in their order; says how."""
    whole = [copy for copy in copies if required <= copy.tensors.keys()]
    if not whole or not required:  # of equals, max gives the first
        return max(copies, key=lambda copy: len(required & copy.tensors.keys())), ""
    chosen, *others = whole
    for other in others:
        if other.rank == chosen.rank and not _is_equal(chosen, other, required, largest):
            raise WeightsError(
                f"{quote(path)} holds the net several times, under {quote(chosen.title)} and "
                f"{quote(other.title)}: save one of them alone"
            )
    notes = []
    if others:
        titles = [quote(other.title) if other.title else "the bare ones" for other in others]
        where = f"under {quote(chosen.title)}" if chosen.title else "that lie bare in the file"
        average = " (a moving average)" if chosen.is_average else ""
        notes.append(f"the weights {where}{average}, not {' or '.join(titles[:3])}")
    if chosen.left_out:
        more = len(chosen.left_out) - 1
        notes.append(
            f"left out as no part of the net: {shorten(chosen.left_out[0], 60)}"
            + (f" and {more} more" if more else "")
        )
    return chosen, "; ".join(notes)


def _is_equal(one: _Copy, other: _Copy, names: frozenset[str], largest: int) -> bool:
    pairs = [(one.tensors[name], other.tensors[name]) for name in names]
    return all(
        first.shape == second.shape
        and first.dtype == second.dtype
        and not (_find_fault(first, largest) or _find_fault(second, largest))
        and torch.equal(first, second)
        for first, second in pairs
    )


def _list_places(
    content: Mapping[Any, Any], path: Path
) -> list[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """List the mappings in a file that hold tensors by name, with the keys that lead there.

    Raises:
        WeightsError: If there are none.
    """
    places = []
    waiting: list[tuple[tuple[str, ...], Mapping[Any, Any]]] = [((), content)]
    seen = {id(content)}  # a file may show one mapping in a thousand places
    while waiting:
        keys, mapping = waiting.pop(0)
        named = {name: value for name, value in mapping.items() if isinstance(name, str)}
        tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
        if tensors:
            places.append((keys, tensors))
        for name, value in named.items():
            if isinstance(value, Mapping) and len(keys) < _MOST_KEYS and id(value) not in seen:
                seen.add(id(value))
                waiting.append(((*keys, name), value))
    if not content:
        return [((), {})]
    if not places:
        usual = next((key for key in KEYS if content.get(key) is not None), "what it holds")
        inner = content.get(usual, {})
        items = (inner if isinstance(inner, Mapping) and inner else content).items()
        name, value = next(iter(items), (usual, None))
        kind = "object" if isinstance(value, _Held) else type(value).__name__
        raise WeightsError(
            f"{quote(path)} is not a state dict: {shorten(str(name), 60)!r} is a {kind}; needed: "
            "tensors by name (module.state_dict()), bare or under a key"
        )
    return places


def _find_copies(
    keys: tuple[str, ...],
    tensors: dict[str, Tensor],
    required: frozenset[str],
    adapt: Adapt,
    path: Path,
) -> list[_Copy]:
    """Find the copies of a net among tensors that lie at one place of a file.

    A net may have parts that are named as wrappers are, so names are first taken as they are.
    """
    plain = _find_prefixed(keys, adapt(tensors), required, adapt)
    if required and any(required <= copy.tensors.keys() for copy in plain):
        return plain
    return _find_prefixed(keys, adapt(_strip_wrappers(tensors, path)), required, adapt)


def _find_prefixed(
    keys: tuple[str, ...], tensors: dict[str, Tensor], required: frozenset[str], adapt: Adapt
) -> list[_Copy]:
    counted = _COUNTERS - required
    prefixes = list_prefixes(tensors, required)
    whole = [prefix for prefix in prefixes if all(prefix + name in tensors for name in required)]
    beside = [name for name in tensors if not name.startswith(tuple(whole)) and name not in counted]
    copies = []
    for prefix in whole or prefixes:
        inside = tuple(other for other in whole if other != prefix and other.startswith(prefix))
        inner = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix) and not name.startswith(inside) and name not in counted
        }
        copies.append(_Copy(keys, prefix, adapt(inner), tuple(beside)))
    return copies


def list_prefixes(tensors: Mapping[str, Tensor], required: Collection[str]) -> list[str]:
    """List what stands before the names that a net needs, the most frequent first."""
    counts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for place in range(min(len(parts), _MOST_PREFIXES)):
            if ".".join(parts[place:]) in required:
                counts["".join(f"{part}." for part in parts[:place])] += 1
    common = [p for p in PREFIXES[1:] if all(name.startswith(p) for name in tensors)]
    return [prefix for prefix, _ in counts.most_common(_MOST_PREFIXES)] or common or [""]


def _strip_wrappers(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Give tensors the names that they have in the net itself."""
    stripped: dict[str, Tensor] = {}
    for name, value in tensors.items():
        bare = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if bare in stripped:
            raise WeightsError(
                f"{quote(path)} holds {quote(bare)} twice, wrapped and not: keep one"
            )
        stripped[bare] = value
    return stripped


_PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of numbers that become float32."""


def _find_fault(value: Tensor, largest: int) -> str:
    """Say what keeps a tensor from being a net's weights, whatever its values; empty if nothing."""
    if value.is_quantized:
        return f"quantised ({value.dtype}): save the weights of the net before it was quantised"
    if value.layout != torch.strided:
        return "sparse: save value.to_dense()"
    if value.is_meta:
        return "without values (on the meta device): save the weights once they are loaded"
    if value.is_complex():
        return f"complex ({value.dtype}): nets here compute with real numbers"
    if value.is_floating_point() and value.dtype not in _PLAIN:
        return f"of {value.dtype}, whose scale is kept elsewhere: save the weights as float32"
    if value.numel() * value.element_size() > largest:  # a view that repeats its values
        return f"larger than its file ({value.numel():,} values): save value.contiguous()"
    return ""


def _read_values(name: str, value: Tensor, path: Path, largest: int) -> Tensor:
    """Bring a tensor to float32, or leave its integers; see :func:`find_state`."""
    fault = _find_fault(value, largest)
    if not fault and value.is_floating_point():
        read = value.detach().float()
        if read.isfinite().all():
            return read
        kind = "infinite" if value.isinf().any() else "too large for float32"
        fault = f"not finite ({'NaN' if value.isnan().any() else kind}): train or export it anew"
    if fault:
        raise WeightsError(
            f"{quote(path)}: {shorten(name, 100)!r} is {fault.replace('torch.', '')}"
        )
    return value


def check_file(path: Path) -> None:
    """Make sure that a path is a weight file of a known kind.

    Raises:
        WeightsError: If it is missing, a folder, empty, a Git LFS pointer, or of another kind.
    """
    open_plain_file(path, "weight file", WeightsError, LARGEST_FILE).close()
    name = quote(path)
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(f"{name} is no weight file; needed: {', '.join(SUFFIXES)}")
    if is_lfs_pointer(path):
        raise WeightsError(f"{name} is a Git LFS pointer, not the weights: run git lfs pull")


def _read_content(path: Path) -> Mapping[Any, Any]:
    if path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return _read_pickle(path)


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file.

    Raises:
        WeightsError: If it is damaged, then or while it is read.
    """
    try:
        # a path is all that the library takes: the file is looked at before
        with open_plain_file(path, "weight file", WeightsError, LARGEST_FILE):
            pass
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise WeightsError(_say_damaged(path, error)) from None


class _Held:
    """Stands for what training scripts keep beside weights: made of anything, it does nothing."""

    def __init__(self, *told: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _HeldDict:
    """Stands for dicts of other kinds: gives a plain one, whatever it is made of."""

    def __new__(cls, *told: object) -> Any:
        return OrderedDict()


_HELD = (
    "argparse.Namespace",
    *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")),
    *(f"datetime.{name}" for name in ("date", "datetime", "timedelta")),
    "mmengine.logging.history_buffer.HistoryBuffer",
    *("numpy.dtype", "numpy.ndarray"),
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *(
        f"omegaconf.{name}"
        for name in (
            *("base.ContainerMetadata", "base.Metadata"),
            *("dictconfig.DictConfig", "listconfig.ListConfig"),
            *(f"nodes.{kind}Node" for kind in ("Any", "Boolean", "Float", "Integer", "String")),
        )
    ),
    *(
        f"{home}.{kind}Path"
        for home in ("pathlib", "pathlib._local")
        for kind in ("Posix", "PurePosix", "PureWindows", "Windows")
    ),
    *(
        f"pytorch_lightning.callbacks.{name}"
        for name in ("early_stopping.EarlyStopping", "model_checkpoint.ModelCheckpoint")
    ),
    "typing.Any",
)
"""What a checkpoint may keep beside its weights: settings, scores, paths, dates."""
_HELD_DICTS = (
    "collections.defaultdict",
    "easydict.EasyDict",
    *(
        f"{home}.AttributeDict"
        for home in (
            *("lightning.fabric.utilities.data", "lightning_fabric.utilities.data"),
            *("lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing"),
        )
    ),
    "yacs.config.CfgNode",
)


@contextmanager
def _hold_options() -> Iterator[None]:
    with warnings.catch_warnings():  # of the pickle's age, which the user cannot change
        warnings.simplefilter("ignore", UserWarning)
        # none of these classes is imported or made: a stand-in takes the place of each
        stand_ins: list[Any] = [(_Held, name) for name in _HELD] + [
            (_HeldDict, name) for name in _HELD_DICTS
        ]
        with torch.serialization.safe_globals(stand_ins):
            yield


_UNPICKLING = ProcessContext(_hold_options)


def _read_pickle(path: Path) -> Mapping[Any, Any]:
    try:
        with (
            _UNPICKLING,
            open_plain_file(path, "weight file", WeightsError, LARGEST_FILE) as file,
        ):
            _refuse_program(path, file)
            check_archive(path, file)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # damaged pickles fail in any way there is
        raise WeightsError(_explain_refusal(path, error)) from None
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{quote(path)} holds a {type(content).__name__}, not a state dict (tensors by name)"
        )
    return content


def _refuse_program(path: Path, file: BinaryIO) -> None:
    """Refuse what torch.jit.save wrote, which is packed and holds code."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            raise WeightsError(
                f"{quote(path)} is a TorchScript program, not a state dict: save the state dict "
                "(module.state_dict()) of the module that it was made from"
            )
    file.seek(0)


def check_archive(path: Path, file: BinaryIO) -> None:
    """Make sure that a file of tensors takes no more memory than it has bytes, and is whole.

    Files of :func:`torch.save` are zip archives whose entries are stored as they are; packed ones
    may grow a thousandfold when they are read.

    Args:
        path: The file's path, for the error.
        file: The open file; it is at its beginning again afterwards.

    Raises:
        WeightsError: If its entries are larger than itself, cannot be told, or are damaged.
    """
    is_archive = file.read(4) == b"PK\x03\x04"  # how torch tells
    file.seek(0)
    if not is_archive:
        return
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise WeightsError(_say_damaged(path, error)) from None
    file.seek(0)
    size = os.fstat(file.fileno()).st_size
    if unpacked > size:
        raise WeightsError(
            f"{quote(path)} has {size:,} bytes and {unpacked:,} unpacked: write it with "
            "torch.save, which packs nothing"
        )
    damaged = _find_damaged(file)
    file.seek(0)
    if damaged:
        raise WeightsError(
            f"{quote(path)} is damaged: the checksum of {quote(damaged)} in it is another; copy it "
            "again"
        )


def _find_damaged(file: BinaryIO) -> str:
    """Name the first entry of an archive whose bytes are not those of its checksum, if any.

    torch.load does not look. A checksum of 0 is none: torch writes it where it was told to compute
    none (``torch.serialization.set_crc32_options``).
    """
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            try:
                if entry.CRC:
                    with archive.open(entry) as stored:
                        while stored.read(1 << 20):
                            pass
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError):
                return entry.filename
    return ""


def _explain_refusal(path: Path, error: Exception) -> str:
    unsafe = re.search(r"GLOBAL (\S+) ", str(error))
    if unsafe:
        return (
            f"{quote(path)} is refused: it would call {shorten(unsafe[1], 60)}, and only plain "
            "tensors are read; save the state dict (module.state_dict()) instead"
        )
    if "weights_only" in str(error) or "Weights only" in str(error):
        return f"{str(path)!r} is refused: it holds more than plain tensors; save the state dict"
    return _say_damaged(path, error)


def _say_damaged(path: Path, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return f"{str(path)!r} cannot be read as weights ({reason}): it is cut off or damaged"
