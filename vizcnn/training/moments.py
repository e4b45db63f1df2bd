"""A net at several epochs of its training: which there are, and how each is loaded."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch

from vizcnn.basics.codec import read_json
from vizcnn.basics.errors import LayerError, VizcnnError, WeightsError, nearest_names, quote
from vizcnn.basics.files import hash_file
from vizcnn.recording.layers import find_layer
from vizcnn.training.card import LARGEST_CARD
from vizcnn.training.net import first_convolution
from vizcnn.training.recipe import complete_settings
from vizcnn.training.run_folder import CHECKPOINT_NAME
from vizcnn.zoo.cache import check_hash
from vizcnn.zoo.files import BUNDLE, WeightMetadata, read_expected_hash, read_metadata
from vizcnn.zoo.loading import load
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.provenance import SourceKind
from vizcnn.zoo.snapshots import SNAPSHOTS_SUFFIX, Snapshots, read_first_layers

SHIPPED = "lenet"
"""The net of the run that comes with the package whole, at all its epochs."""
SHIPPED_RUN = BUNDLE / "lenet-run"
"""Its folder, as ``vizcnn train --keep`` left it."""
_KEPT = re.compile(r"(.+)\.epoch-[0-9]{3,9}\.safetensors")

Load = Callable[[], ZooModel]
"""Loads a net."""


@dataclass(frozen=True)
class Moment:
    """A net after an epoch of its training.

    Attributes:
        epoch: Epochs done; 0 is before the first.
        load: Loads it, on the CPU.
    """

    epoch: int
    load: Load


@dataclass(frozen=True)
class TrainedRun:
    """A training, as far as its nets were kept.

    Attributes:
        name: What it is called: the net's name, or the run's folder.
        model: Name of the net, or what makes it.
        moments: The net at two epochs or more, rising.
        only: Layers that were kept; empty for whole nets.
        note: What one should know of it.
        data: What the net was trained on; empty where that is not known.
    """

    name: str
    model: str
    moments: tuple[Moment, ...]
    only: tuple[str, ...] = ()
    note: str = ""
    data: str = ""

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs, rising."""
        return tuple(moment.epoch for moment in self.moments)

    def change(self, change: Callable[[ZooModel], ZooModel]) -> "TrainedRun":
        """Give the run with something done to each net when it is loaded."""

        def load_changed(moment: Moment) -> Load:
            return lambda: change(moment.load())

        moments = tuple(replace(moment, load=load_changed(moment)) for moment in self.moments)
        return replace(self, moments=moments)

    def require_layers(self, model: ZooModel, layers: Sequence[str]) -> None:
        """Make sure that layers were kept.

        Args:
            model: One of the run's nets.
            layers: Names of layers.

        Raises:
            LayerError: If one was not; with what is needed.
        """
        kept = {find_layer(model, name) for name in self.only}
        missing = [name for name in layers if kept and find_layer(model, name) not in kept]
        if missing:
            raise LayerError(
                f"of {self.name} only {', '.join(self.only)} was kept at its epochs, and "
                f"{missing[0]} needs whole nets: {self.tell_needed()}"
            )

    def tell_needed(self) -> str:
        """Say what shows deeper layers than were kept; empty for whole nets."""
        if not self.only:
            return ""
        return (
            f"train one with vizcnn train FOLDER --model {self.model} --out RUN --keep "
            "0,1,2,5,10,20,30,40,64 --epochs 64, then vizcnn evolve RUN"
        )


def list_shipped() -> tuple[str, ...]:
    """Name the nets of which something was kept at several epochs and comes with the package.

    Example:
        >>> list_shipped()
        ('lenet', 'alexnet', 'alexnet-7x7', 'zfnet')
    """
    first = [
        path.name.removesuffix(SNAPSHOTS_SUFFIX) for path in BUNDLE.glob(f"*{SNAPSHOTS_SUFFIX}")
    ]
    return (SHIPPED, *sorted(first))


def is_run(word: str) -> bool:
    """Tell whether a word names a training: a folder of one, a file of first layers, or a net.

    A net's name is one only where there is no file or folder of that name.

    Example:
        >>> is_run("lenet"), is_run("holiday.jpg")
        (True, False)
    """
    path = Path(word)
    if path.is_dir():
        patterns = ("*.epoch-*.safetensors", f"*{SNAPSHOTS_SUFFIX}", CHECKPOINT_NAME)
        return any(any(path.glob(pattern)) for pattern in patterns)
    return word.endswith(SNAPSHOTS_SUFFIX) or (not path.exists() and word.lower() in list_shipped())


def find_run(word: str, model: str | None = None) -> TrainedRun:
    """Find a training.

    Args:
        word: A folder that ``vizcnn train --keep`` wrote, a ``.first_layers.safetensors`` file of
            one, or the name of a net of which something comes with the package.
        model: Name of the net, for a folder of several.

    Raises:
        WeightsError: If there are not two epochs of one run, or a file is damaged.

    Example:
        >>> find_run("lenet").epochs
        (0, 1, 2, 5, 10, 20, 30, 40, 64)
        >>> find_run("zfnet").only
        ('conv1',)
    """
    path = Path(word)
    if path.is_dir():
        return _read_folder(path, model, "file")
    if word.endswith(SNAPSHOTS_SUFFIX):
        snapshots = read_first_layers(path)
        return _grow_first_layers(snapshots, path.name, _find_end(path, snapshots))
    name = word.lower()
    if name == SHIPPED:
        return replace(_read_folder(SHIPPED_RUN, None, "bundled"), name=name)
    if name not in list_shipped():
        raise WeightsError(
            f"no run {quote(word)}: {nearest_names(name, list_shipped())}; or give the folder of "
            "one (vizcnn train --keep)"
        )
    return _grow_first_layers(read_first_layers(name), name, lambda: load(name, "bundled"))


def list_moments(name: str, model: str, loads: Mapping[int, Load]) -> TrainedRun:
    """Make a run of nets that were kept by other tools.

    Args:
        name: What it is called.
        model: Name of the net, or what makes it.
        loads: What loads the net, by epoch.

    Raises:
        WeightsError: If there is less than two of them.
    """
    moments = tuple(Moment(epoch, loads[epoch]) for epoch in sorted(loads))
    if len(moments) < 2:
        raise WeightsError(
            f"{len(moments)} net(s) of {name}; needed: its nets at two epochs or more, as "
            "--weights EPOCH=FILE each"
        )
    return TrainedRun(name, model, moments)


def read_epoch(path: Path) -> int:
    """Read after how many epochs a weight file of vizcnn's was written.

    Raises:
        WeightsError: If the file does not tell.
    """
    metadata = read_metadata(path) if path.suffix == ".safetensors" else None
    epoch = None if metadata is None else metadata.card.get("epochs")
    if epoch is None:
        raise WeightsError(
            f"{quote(path)} does not tell its epoch: give it as EPOCH={path} (--weights)"
        )
    return int(epoch)


def _read_folder(folder: Path, model: str | None, source: SourceKind) -> TrainedRun:
    kept = [path for path in sorted(folder.iterdir()) if _KEPT.fullmatch(path.name)]
    names = sorted({_name_net(path) for path in kept})
    first = sorted(folder.glob(f"*{SNAPSHOTS_SUFFIX}"))
    if not names and first:
        wanted = [path for path in first if model in (None, _name_net(path))]
        if len(wanted) != 1:
            raise WeightsError(_ask_for_one(folder, [_name_net(path) for path in first], model))
        return find_run(str(wanted[0]))
    if len(names) > 1 or model is not None:
        names = [name for name in names if model in (None, name)]
    if len(names) != 1:
        raise WeightsError(_ask_for_one(folder, sorted({_name_net(path) for path in kept}), model))
    files = [path for path in kept if _name_net(path) == names[0]]
    files += [path for path in [folder / f"{names[0]}.safetensors"] if path.is_file()]
    return _join(folder, names[0], files, source)


def _name_net(path: Path) -> str:
    found = _KEPT.fullmatch(path.name)
    return found[1] if found else path.name.removesuffix(SNAPSHOTS_SUFFIX)


def _ask_for_one(folder: Path, names: Sequence[str], model: str | None) -> str:
    if not names:
        return (
            f"no nets of several epochs in {quote(folder)}: keep some with vizcnn train --keep "
            "0,1,2,5,10"
        )
    wanted = f"none of {model}" if model else "give one"
    return f"{quote(folder)} holds runs of {', '.join(names)}: {wanted} (--model)"


def _join(folder: Path, model: str, files: Sequence[Path], source: SourceKind) -> TrainedRun:
    """Make a run of weight files that vizcnn wrote; refuse those of different runs."""
    told: dict[int, tuple[Path, WeightMetadata]] = {}
    for path in files:
        if source == "bundled":
            check_hash(path, read_expected_hash(path))
        metadata = read_metadata(path)
        if metadata is None:
            raise WeightsError(f"{quote(path)} was not written by vizcnn train: move it away")
        former, _ = told.setdefault(read_epoch(path), (path, metadata))
        if hash_file(former) != hash_file(path):
            raise _refuse_mixed(folder, former, path)
    for (one, first), (other, second) in pairwise(told.values()):
        if _describe(first) != _describe(second) or _differ(one, other):
            raise _refuse_mixed(folder, one, other)
    if len(told) < 2:
        raise WeightsError(
            f"the net of only one epoch in {quote(folder)}: keep more with vizcnn train --keep "
            "0,1,2,5,10"
        )
    moments = [Moment(epoch, _make_load(model, told[epoch][0], source)) for epoch in sorted(told)]
    data = str(next(iter(told.values()))[1].card.get("data", ""))
    return TrainedRun(folder.name, model, tuple(moments), data=data)


def _refuse_mixed(folder: Path, one: Path, other: Path) -> WeightsError:
    return WeightsError(
        f"{quote(one.name)} and {quote(other.name)} in {quote(folder)} are of different runs: "
        "leave those of one"
    )


def _describe(metadata: WeightMetadata) -> tuple[object, ...]:
    """Tell what all nets of a run share."""
    names = ("data", "seed", "train_photos", "val_photos")
    facts = [metadata.card.get(name) for name in names]
    return (metadata.model, metadata.options, metadata.classes, facts)


def _differ(*files: Path) -> bool:
    """Tell whether the model cards beside weight files tell of different recipes."""
    recipes = []
    for path in files:
        try:
            card = read_json(path.with_suffix(".json"), "card", WeightsError, LARGEST_CARD)
            recipes.append(complete_settings(card["recipe"]))
        except (VizcnnError, KeyError, TypeError):
            return False  # a card is a help: weights can do without it
    return recipes[0] != recipes[1]


def _make_load(model: str, path: Path, source: SourceKind) -> Load:
    def load_file() -> ZooModel:
        net = load(model, path)
        if source == "file":
            return net
        return replace(net, provenance=replace(net.provenance, source=source, location=""))

    return load_file


def _find_end(path: Path, snapshots: Snapshots) -> Load:
    """Find the whole net whose first layers a file holds: its weights lie beside it."""
    weights = path.with_name(f"{snapshots.model}.safetensors")
    if not weights.is_file():
        raise WeightsError(
            f"no {weights.name!r} beside {quote(path)}: needed for the net's options and "
            "preprocessing"
        )
    return lambda: load(snapshots.model, weights)


def _grow_first_layers(snapshots: Snapshots, name: str, load_end: Load) -> TrainedRun:
    def make_load(number: int) -> Load:
        return lambda: _put_first_layer(load_end(), snapshots, number)

    moments = [Moment(epoch, make_load(at)) for at, epoch in enumerate(snapshots.epochs)]
    if len(moments) < 2:
        raise WeightsError(f"the first layer of only one epoch was kept of {name}")
    return TrainedRun(
        name,
        snapshots.model,
        tuple(moments),
        only=("conv1",),
        note=f"{snapshots.note}; of the net only the filters of conv1 were kept, without biases: "
        "activations are those of the filters alone",
        data=snapshots.note.partition(";")[0],
    )


def _put_first_layer(net: ZooModel, snapshots: Snapshots, number: int) -> ZooModel:
    """Give a net with the first layer of another epoch, and no bias in it; the rest is no matter.

    The place where a unit is strongest, and its picture, do not depend on the bias.
    """
    module = deepcopy(net.module)
    first = first_convolution(module)
    weights = snapshots.weights[number]
    if first.weight.shape != weights.shape:
        raise WeightsError(
            f"the first layers are of {tuple(weights.shape)}, the net's is of "
            f"{tuple(first.weight.shape)}: give files of one run"
        )
    with torch.no_grad():
        first.weight.copy_(weights)
        if first.bias is not None:
            first.bias.zero_()
    provenance = replace(net.provenance, top1=snapshots.top1[number], top5=None, sha256=None)
    return replace(net, module=module, provenance=provenance)
