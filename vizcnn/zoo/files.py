"""Weight files, read without running anything that is in them, and written atomically."""

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vizcnn.basics.errors import WeightsError, nearest_names
from vizcnn.basics.files import replacing
from vizcnn.zoo.cache import check_hash, is_lfs_pointer
from vizcnn.zoo.catalogue import Entry
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance, SourceKind

METADATA_KEY = "vizcnn"
"""Key of vizcnn's record in the metadata of a safetensors file."""
FIRST_LAYERS_KEY = "vizcnn.first_layers"
"""Key of the record of a file that holds first layers of a training, not weights of a net."""
_STATE_KEYS = ("state_dict", "weights")
_PICKLE_SUFFIXES = (".pth", ".pt")
SUFFIXES = (".safetensors", *_PICKLE_SUFFIXES, ".onnx")
"""Kinds of weight files that can be read."""


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
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "WeightMetadata":
        """Read the record.

        Raises:
            ValueError: If it is not JSON.
            KeyError, TypeError, AttributeError: If something is missing or has another form.
        """
        values = json.loads(text)
        options = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values["options"].items()
        }
        return cls(
            model=str(values["model"]),
            options=options,
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            classes=tuple(str(name) for name in values["classes"]),
            card=dict(values["card"]),
        )


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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"the vizcnn record in {str(path)!r} is damaged ({error!r})") from None


def read_record(path: Path, key: str) -> str | None:
    """Read one text from the metadata of a safetensors file; None if it has none of that name.

    Raises:
        WeightsError: If the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            text: str | None = (file.metadata() or {}).get(key)
    except (SafetensorError, OSError) as error:
        raise WeightsError(_say_damaged(path, error)) from None
    return text


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weight file; floating-point ones come as float32.

    Args:
        path: A ``.safetensors``, ``.pth`` or ``.pt`` file.

    Raises:
        WeightsError: If the file is damaged, unsafe, or holds something else than tensors by name.
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return {
        name: value.float() if value.is_floating_point() else value for name, value in state.items()
    }


def check_file(path: Path) -> None:
    """Make sure that a path is a weight file of a known kind.

    Raises:
        WeightsError: If it is missing, a folder, empty, a Git LFS pointer, or of another kind.
    """
    name = repr(str(path))
    if path.is_dir():
        raise WeightsError(f"{name} is a folder, not a weight file")
    if not path.exists():
        raise WeightsError(f"no weight file {name}: check the path")
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{name} is no weight file; needed: {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise WeightsError(f"{name} is empty (0 bytes): get it again")
    if is_lfs_pointer(path):
        raise WeightsError(f"{name} is a Git LFS pointer, not the weights: run git lfs pull")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(_say_damaged(path, error)) from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():  # of the pickle's age, which the user cannot change
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles fail in any way there is
        raise WeightsError(_explain_refusal(path, error)) from None
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{str(path)!r} holds a {type(content).__name__}, not a state dict (tensors by name)"
        )
    key = next((key for key in _STATE_KEYS if isinstance(content.get(key), Mapping)), None)
    state = dict(content if key is None else content[key])
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{str(path)!r} is not a state dict: {str(name)[:60]!r} is a "
                f"{type(value).__name__}; needed: tensors by name, bare or under "
                + " or ".join(repr(key) for key in _STATE_KEYS)
            )
    return _strip_prefix(state)


def _strip_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo what torch.nn.DataParallel does to names."""
    if state and all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _explain_refusal(path: Path, error: Exception) -> str:
    unsafe = re.search(r"GLOBAL (\S+) ", str(error))
    if unsafe:
        return (
            f"{str(path)!r} is refused: it would call {unsafe[1]}, and only plain tensors are "
            "read; save the state dict (module.state_dict()) instead"
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
    path = folder / f"{entry.bundled}.safetensors"
    return path if entry.bundled and path.is_file() else None


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
        sums: dict[str, Any] = json.loads(path.with_name("sha256.json").read_text("utf-8"))
        return str(sums[path.name])
    except (OSError, ValueError, KeyError, TypeError):
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
            f"{str(path)!r} holds weights of {metadata.model!r}, not of {entry.name!r}: load "
            f"{metadata.model!r} instead"
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


SNAPSHOTS_SUFFIX = ".first_layers.safetensors"
"""How the name of such a file ends, after the net's."""


@dataclass(frozen=True)
class Snapshots:
    """A first layer at several moments of its training.

    Attributes:
        model: Name of the net.
        epochs: Epochs done at each moment, rising; 0 is before the first.
        weights: The filters at each moment, (filters, channels, height, width), float32.
        top1: Top-1 on the validation photos at each moment (0..1); None where not measured.
        note: The photos, and what the training began with.
    """

    model: str
    epochs: tuple[int, ...]
    weights: tuple[Tensor, ...]
    top1: tuple[float | None, ...]
    note: str


def choose_epochs(kept: Iterable[int]) -> tuple[int, ...]:
    """Choose the moments worth keeping: epochs 0, 1, 2, 4, 8, 16, ... and the last.

    Filters change most in the first epochs.

    Args:
        kept: Epochs after which the first layer was kept.

    Example:
        >>> choose_epochs(range(25))
        (0, 1, 2, 4, 8, 16, 24)
    """
    there = sorted(kept)
    return tuple(epoch for epoch in there if epoch & (epoch - 1) == 0 or epoch == there[-1])


def save_first_layers(path: Path, layers: Mapping[int, Tensor], record: Mapping[str, Any]) -> None:
    """Write first layers in 16 bits, named ``epoch-000``, ``epoch-001``, ...

    Args:
        path: A file whose name ends with :data:`SNAPSHOTS_SUFFIX`; moved into place whole.
        layers: (filters, channels, height, width) by epoch.
        record: What the file says of itself: ``model``, ``data``, ``epochs`` (of the recipe),
            ``start`` (sha256 of the weights that the run began with, or empty), ``top1`` (by
            epoch, 0..1 or None) and ``note``.

    Raises:
        WeightsError: If the file cannot be written.
    """
    tensors = {_name(epoch): layer.half().contiguous() for epoch, layer in layers.items()}
    top1 = {_name(epoch): record["top1"].get(epoch) for epoch in layers}
    text = json.dumps({**record, "top1": top1}, ensure_ascii=False)
    with replacing(path, WeightsError) as temporary:
        temporary.write_bytes(save(tensors, metadata={FIRST_LAYERS_KEY: text}))


def read_first_layers(name: str | Path, folder: Path = BUNDLE) -> Snapshots:
    """Read the first layers that a training kept.

    Args:
        name: A net's name, for those that come with the package; or the path of a
            ``<net>.first_layers.safetensors`` that ``vizcnn train`` wrote.
        folder: Where those of the package lie, with their checksums.

    Raises:
        WeightsError: If there are none, or the file is damaged or another one.

    Example:
        >>> read_first_layers("vgg16")
        Traceback (most recent call last):
        WeightsError: no first layers of 'vgg16' come with this installation: ...
    """
    if str(name).endswith(".safetensors"):
        path = Path(name)
        check_file(path)
        return _read(path)
    path = folder / f"{name}{SNAPSHOTS_SUFFIX}"
    if not path.is_file():
        there = sorted(
            file.name.removesuffix(SNAPSHOTS_SUFFIX) for file in folder.glob(f"*{SNAPSHOTS_SUFFIX}")
        )
        raise WeightsError(
            f"no first layers of {str(name)!r} come with this installation: "
            f"{nearest_names(str(name), there)}; or give the file of a run (*{SNAPSHOTS_SUFFIX})"
        )
    check_hash(path, read_expected_hash(path))
    return _read(path)


def _read(path: Path) -> Snapshots:
    text = read_record(path, FIRST_LAYERS_KEY)
    if text is None:
        raise WeightsError(
            f"{str(path)!r} holds no first layers of a training; needed: a file "
            f"*{SNAPSHOTS_SUFFIX}, as vizcnn train writes it beside the weights"
        )
    try:
        snapshots = _put_together(json.loads(text), read_state(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"the first layers in {str(path)!r} are damaged ({error!r})") from None
    shapes = {layer.shape for layer in snapshots.weights}
    if len(shapes) != 1 or any(len(shape) != 4 for shape in shapes):
        raise WeightsError(f"the first layers in {str(path)!r} are damaged: not of one shape")
    return snapshots


def _put_together(record: Mapping[str, Any], state: Mapping[str, Tensor]) -> Snapshots:
    layers = sorted((_parse(name), name) for name in state)
    top1 = [record["top1"][name] for _, name in layers]
    return Snapshots(
        model=str(record["model"]),
        epochs=tuple(epoch for epoch, _ in layers),
        weights=tuple(state[name] for _, name in layers),
        top1=tuple(None if share is None else float(share) for share in top1),
        note=str(record["note"]),
    )


def _name(epoch: int) -> str:
    return f"epoch-{epoch:03d}"


def _parse(name: str) -> int:
    match = re.fullmatch(r"epoch-(\d{3,})", name)
    if match is None:
        raise ValueError(f"no epoch: {name[:60]!r}")
    return int(match[1])
