"""Weight files, read without running anything that is in them, and written atomically."""

import json
import os
import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vizcnn.basics.codec import (
    Count,
    Finite,
    ManifestError,
    Share,
    Text,
    check,
    parse,
    read_json,
)
from vizcnn.basics.errors import WeightsError, quote, shorten
from vizcnn.basics.files import open_plain_file, replacing
from vizcnn.basics.sharing import ProcessContext
from vizcnn.zoo.cache import check_hash, is_lfs_pointer
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance, SourceKind
from vizcnn.zoo.registry import Entry

METADATA_KEY = "vizcnn"
"""Key of vizcnn's record in the metadata of a safetensors file."""
FIRST_LAYERS_KEY = "vizcnn.first_layers"
"""Key of the record of a file that holds first layers of a training, not weights of a net."""
_STATE_KEYS = ("state_dict", "model_state_dict", "model", "weights")
"""Where training scripts put a net's tensors in their checkpoints; the first that is there."""
_WRAPPERS = frozenset(("module", "_orig_mod"))
"""What DataParallel and torch.compile add to the names of the part of a net that they wrap."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".ckpt", ".bin", ".onnx")
"""Kinds of weight files that can be read."""
LARGEST_FILE = 1 << 34
"""Bytes of the largest weight file that is read: thirty times that of VGG-19."""
_LARGEST_RECORD = 1 << 24
"""Letters of the largest record in a weight file."""

Name = Annotated[str, Meta(min_length=1, max_length=500)]
"""Of a class, or an option."""

Option = Annotated[int, Meta(ge=-(10**9), le=10**9)] | Finite | bool | str | tuple[int, ...] | None
"""A value that a net's class may be given."""


@dataclass(frozen=True)
class Weights:
    """Tensors with all that their file tells of the net.

    Attributes:
        state: Tensors by name, as in the net's state dict.
        provenance: Where they come from.
        options: Arguments of the net's class.
        preprocessing: From pixels to the net's input; None for the variant's own.
        classes: Name of each logit; None if the file does not tell.
        variant: Form of the net that they belong to; None for one that the options tell.
    """

    state: dict[str, Tensor]
    provenance: Provenance
    options: Mapping[str, Any]
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    variant: str | None = None


@dataclass(frozen=True)
class WeightMetadata:
    """What a weight file of vizcnn says about itself.

    Attributes:
        model: Name in the catalogue.
        options: Arguments of the net's class.
        preprocessing: From pixels to the net's input.
        classes: Name of each logit.
        card: Provenance: ``data``, ``licence``, ``top1``, ``top5``, ... as plain values.
    """

    model: str
    options: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    card: Mapping[str, Any]

    def to_json(self) -> str:
        """Give the record as JSON."""
        values = {**vars(self), "preprocessing": self.preprocessing.to_dict()}
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> "WeightMetadata":
        """Read the record.

        Raises:
            WeightsError: If it is not JSON, or a value is missing, of another type or out of its
                bounds; the error names it.
        """
        if len(text) > _LARGEST_RECORD:
            raise WeightsError(
                f"it has {len(text):,} letters, at most {_LARGEST_RECORD:,} are read"
            )
        try:
            raw = parse(text)
        except ManifestError as error:
            raise WeightsError(str(error)) from None
        read = check(_Record, raw, "record", WeightsError)
        return cls(**{**vars(read), "card": dict(raw["card"])})


@dataclass(frozen=True)
class _Card:
    """What is used of a record's card; all else is passed over."""

    data: Text | None = None
    licence: Text | None = None
    note: Text | None = None
    measured_on: Text | None = None
    top1: Share | None = None
    top5: Share | None = None
    epochs: Count | None = None
    seed: Count | None = None
    train_photos: Count | None = None
    val_photos: Count | None = None


@dataclass(frozen=True)
class _Record:
    """What :class:`WeightMetadata` may hold, with the bounds of every value."""

    model: Name
    options: dict[Name, Option]
    preprocessing: Preprocessing
    classes: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=10**6)]
    card: _Card


def save_weights(path: Path, module: nn.Module, metadata: WeightMetadata) -> None:
    """Write a net's weights as half precision with all that is needed to build the net again.

    Args:
        path: A ``.safetensors`` file; written under a temporary name and moved into place.
        module: The net.
        metadata: What the file says about itself.

    Raises:
        WeightsError: If a weight is not finite in half precision, or the file cannot be written.
    """
    state = {}
    for name, value in module.state_dict().items():
        half = value.detach().cpu().half() if value.is_floating_point() else value.cpu()
        if not half.isfinite().all():
            raise WeightsError(f"{name} holds values that half precision cannot: not saved")
        state[name] = half.contiguous()
    with replacing(path, WeightsError) as temporary:
        temporary.write_bytes(save(state, metadata={METADATA_KEY: metadata.to_json()}))


def read_metadata(path: Path) -> WeightMetadata | None:
    """Read what a safetensors file says about itself, without its weights.

    Returns:
        The record; None if the file was not written by vizcnn.

    Raises:
        WeightsError: If the file or the record is damaged, or it holds first layers of a training.
    """
    text = read_record(path, METADATA_KEY)
    if text is None and read_record(path, FIRST_LAYERS_KEY) is not None:
        raise WeightsError(
            f"{str(path)!r} holds the first layers of a training, not weights: give the weights "
            "beside it"
        )
    try:
        return None if text is None else WeightMetadata.from_json(text)
    except WeightsError as error:
        raise WeightsError(f"the vizcnn record in {quote(path)} is damaged: {error}") from None


def read_record(path: Path, key: str) -> str | None:
    """Read one text from the metadata of a safetensors file; None if it has none of that name.

    Raises:
        WeightsError: If the file is damaged.
    """
    with _open_safetensors(path) as file:
        text: str | None = (file.metadata() or {}).get(key)
    return text


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    try:
        # a path is all that the library takes: the file is looked at before
        with open_plain_file(path, "weight file", WeightsError, LARGEST_FILE):
            pass
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise WeightsError(_say_damaged(path, error)) from None


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weight file; floating-point ones come as float32.

    Half precision and bfloat16 become float32 exactly, float64 is rounded to it. Integers come as
    they are: only a count of batches may be one. All others are refused by name.

    Checkpoints of training scripts are read too: the tensors under ``state_dict``,
    ``model_state_dict``, ``model`` or ``weights``, without what DataParallel (``module.``),
    torch.compile (``_orig_mod.``) and Lightning (``model.`` before all) add to their names.

    Args:
        path: One of :data:`SUFFIXES`, but no ``.onnx`` file.

    Raises:
        WeightsError: If the file is damaged, unsafe, or holds something else than tensors by name,
            or one whose values cannot be a net's weights: complex, sparse, quantised, without
            values (on the meta device), in 8 bits, NaN or infinite.
    """
    if path.suffix == ".safetensors":
        with _open_safetensors(path) as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    else:
        state = _read_pickle(path)
    largest = path.stat().st_size
    return {
        name: _read_values(name, value, path, largest)
        for name, value in _strip_wrappers(state, path).items()
    }


_PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of numbers that become float32."""


def _read_values(name: str, value: Tensor, path: Path, largest: int) -> Tensor:
    """Bring a tensor to float32, or leave its integers; see :func:`read_state`."""
    fault = ""
    if value.is_quantized:
        fault = f"quantised ({value.dtype}): save the weights of the net before it was quantised"
    elif value.layout != torch.strided:
        fault = "sparse: save value.to_dense()"
    elif value.is_meta:
        fault = "without values (on the meta device): save the weights once they are loaded"
    elif value.is_complex():
        fault = f"complex ({value.dtype}): nets here compute with real numbers"
    elif value.is_floating_point() and value.dtype not in _PLAIN:
        fault = f"of {value.dtype}, whose scale is kept elsewhere: save the weights as float32"
    elif value.numel() * value.element_size() > largest:  # a view that repeats its values
        fault = f"larger than its file ({value.numel():,} values): save value.contiguous()"
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


def _strip_wrappers(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Give tensors the names that they have in the net itself."""
    stripped: dict[str, Tensor] = {}
    for name, value in state.items():
        bare = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if bare in stripped:
            raise WeightsError(
                f"{quote(path)} holds {quote(bare)} twice, wrapped and not: keep one"
            )
        stripped[bare] = value
    if all(name.startswith("model.") for name in stripped):
        return {name.removeprefix("model."): value for name, value in stripped.items()}
    return stripped


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


@contextmanager
def _take_options() -> Iterator[None]:
    with warnings.catch_warnings():  # of the pickle's age, which the user cannot change
        warnings.simplefilter("ignore", UserWarning)
        # training scripts keep their options beside the weights; the class only holds them
        with torch.serialization.safe_globals([Namespace]):
            yield


_UNPICKLING = ProcessContext(_take_options)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with (
            _UNPICKLING,
            open_plain_file(path, "weight file", WeightsError, LARGEST_FILE) as file,
        ):
            refuse_packed(path, file)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # damaged pickles fail in any way there is
        raise WeightsError(_explain_refusal(path, error)) from None
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{str(path)!r} holds a {type(content).__name__}, not a state dict (tensors by name)"
        )
    key = next((key for key in _STATE_KEYS if isinstance(content.get(key), Mapping)), None)
    state: dict[str, Tensor] = dict(content if key is None else content[key])
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{str(path)!r} is not a state dict: {str(name)[:60]!r} is a "
                f"{type(value).__name__}; needed: tensors by name, bare or under "
                + " or ".join(repr(key) for key in _STATE_KEYS)
            )
    return state


def refuse_packed(path: Path, file: BinaryIO) -> None:
    """Make sure that a file of tensors takes no more memory than it has bytes.

    Files of :func:`torch.save` are zip archives whose entries are stored as they are; packed ones
    may grow a thousandfold when they are read.

    Args:
        path: The file's path, for the error.
        file: The open file; it is at its beginning again afterwards.

    Raises:
        WeightsError: If its entries are larger than itself, or cannot be told.
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


BUNDLE = Path(__file__).parent / "bundled"
"""Folder of the bundled weights and of ``sha256.json``, their checksums."""


def find_bundled(entry: Entry, folder: Path = BUNDLE) -> Path | None:
    """Find the bundled weights of a net; None if there are none."""
    path = folder / f"{entry.name}.safetensors"
    return path if path.is_file() else None


def read_bundled(entry: Entry, folder: Path = BUNDLE) -> Weights:
    """Read the bundled weights of a net, after a look at their checksum.

    Raises:
        WeightsError: If there are none, or they are damaged.
    """
    path = find_bundled(entry, folder)
    if path is None:
        raise WeightsError(f"no bundled weights of {entry.name} come with this installation")
    sha256 = check_hash(path, read_expected_hash(path))
    weights = read_own_file(entry, path, "bundled", sha256)
    if weights is None:
        raise WeightsError(f"{str(path)!r} lacks its record: install vizcnn again")
    return weights


def read_expected_hash(path: Path) -> str:
    """Read the checksum that a bundled file should have.

    Raises:
        WeightsError: If the list of checksums lacks it.
    """
    try:
        sums = read_json(path.with_name("sha256.json"), "list of checksums", WeightsError)
        return check(dict[str, str], sums, "checksums", WeightsError)[path.name]
    except (WeightsError, KeyError):
        raise WeightsError(f"no checksum of {str(path)!r}: install vizcnn again") from None


def read_own_file(entry: Entry, path: Path, source: SourceKind, sha256: str) -> Weights | None:
    """Read a safetensors file that vizcnn wrote.

    Args:
        entry: The net that is asked for.
        path: The file.
        source: Kind of source for the provenance.
        sha256: The file's checksum, for the provenance.

    Returns:
        The weights; None if the file has no record of vizcnn's.

    Raises:
        WeightsError: If the file is damaged or holds another net.
    """
    metadata = read_metadata(path)
    if metadata is None:
        return None
    if metadata.model != entry.name:
        raise WeightsError(
            f"{quote(path)} holds weights of {quote(metadata.model)}, not of {entry.name!r}: load "
            f"{quote(metadata.model)} instead"
        )
    return Weights(
        state=read_state(path),
        provenance=card_provenance(metadata, source, str(path), sha256),
        options=metadata.options,
        preprocessing=metadata.preprocessing,
        classes=metadata.classes,
    )


def card_provenance(
    metadata: WeightMetadata, source: SourceKind, location: str, sha256: str | None
) -> Provenance:
    """Make the provenance that a file's model card tells of."""
    known = ("data", "licence", "top1", "top5", "note", "measured_on")
    told = {name: metadata.card[name] for name in known if metadata.card.get(name) is not None}
    return Provenance(source=source, sha256=sha256, location=location, **told)
