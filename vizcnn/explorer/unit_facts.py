"""What a layer's units are, whatever the photo: filters, effective field, classes, neighbours."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from vizcnn.basics.errors import LayerError, VizcnnError
from vizcnn.drawing.effective_maps import COLOUR_MAP, DECADES, scale_map
from vizcnn.drawing.filter_grids import SCALING_WORDS, scale_filters
from vizcnn.drawing.tiles import to_bytes
from vizcnn.explorer.answers import Answer, Content
from vizcnn.explorer.explorer import read_number
from vizcnn.explorer.patch_sheets import PatchSheets
from vizcnn.explorer.webp import encode_photo
from vizcnn.measures.class_use import count_multiplications, measure_class_use
from vizcnn.measures.effective_field import describe_fields, find_middles, sum_gradients
from vizcnn.measures.filter_layers import FilterLayer, read_filters
from vizcnn.measures.filter_numbers import number_filters
from vizcnn.measures.filters import DEAD_SHARE
from vizcnn.measures.strong_kernels import pick_kernels, trace_numbers
from vizcnn.mining.mined_photos import MinedPhotos
from vizcnn.mining.neighbours import NOBODY, find_neighbours
from vizcnn.receptive.fields import ReceptiveField
from vizcnn.zoo.model import ZooModel

if TYPE_CHECKING:
    from vizcnn.explorer.explorer import Explorer, Question

KERNELS = 12
"""Kernels of a deeper unit that are shown."""
CLASSES = 5
"""Classes of a unit that are named."""
AT_ONCE = 256
"""Classes that are looked at between two breaths: of fewer, the passes forward would take most."""
NEIGHBOURS = 5
"""Units like a unit that are named."""
MOST_MULTIPLICATIONS = 2 * 10**10
"""What the gradients of all classes at a layer may take: some seconds on two cores."""
NONE = 2**16 - 1
"""What stands for no number where numbers have two bytes."""

Fields = dict[str, Any]


def answer_facts(explorer: "Explorer", question: "Question") -> Answer:
    """Answer what the units of a layer (``net``, ``layer``) are; see :class:`UnitFacts`."""
    return explorer.find_facts(question).answer(explorer.find_layer(question))


def answer_patches(explorer: "Explorer", question: "Question") -> Answer:
    """Answer where the units of a part of a layer are strongest (``net``, ``layer``, ``part``)."""
    facts, layer = explorer.find_facts(question), explorer.find_layer(question)
    count = facts.count_parts(layer)
    part = read_number(question, "part", count) if count else 0
    return facts.answer_patches(layer, part)


def count_patch_parts(explorer: "Explorer", question: "Question") -> int:
    """Count the parts of a layer's patches (``net``, ``layer``); 0 without an index."""
    return explorer.find_facts(question).count_parts(explorer.find_layer(question))


class UnitFacts:
    """Answers what the units of a net's layers are.

    Args:
        model: The net.
        fields: The receptive fields of the explored layers, lowest first.
        photos: Photos as the net sees them, (1, 3, H, W) each, RGB 0..1: over those that have the
            size of the first, effective fields and classes are measured.
        mined: An index of the net's strongest places, and its photos.
        breathe: Called now and then, as an answer may take seconds.

    Example:
        >>> import vizcnn
        >>> from vizcnn.receptive.fields import measure_fields
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> fields = measure_fields(model, ["conv1", "conv2"])
        >>> facts = UnitFacts(model, fields, [model.read("coffee")])
        >>> answer = facts.answer("conv2")
        >>> answer.fields["filters"]["reads"], answer.fields["field"]["size"]
        ({'name': 'conv1', 'layer': 0}, (16, 16))
        >>> answer.fields["top"]["error"]
        'No index of strongest places was given.'
    """

    def __init__(
        self,
        model: ZooModel,
        fields: Sequence[ReceptiveField],
        photos: Sequence[Tensor],
        mined: MinedPhotos | None = None,
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self._breathe = breathe
        self._model, self._layers = model, tuple(field.name for field in fields)
        self._pixels = torch.cat([photo for photo in photos if photo.shape == photos[0].shape])
        self._mined = mined
        self._sheets = PatchSheets(model, fields, mined) if mined else None

    def answer(self, layer: str) -> Answer:
        """Answer what the units of a layer are.

        Each part of the answer that cannot be had holds an ``error`` and a ``way_out`` instead.
        """
        content = Content()
        parts: Mapping[str, Callable[[str, Content], Fields]] = {
            "filters": self._describe_filters,
            "field": self._describe_field,
            "classes": self._describe_classes,
            "top": self._describe_top,
            "neighbours": self._describe_neighbours,
        }
        fields: dict[str, Fields] = {}
        for name, describe in parts.items():
            fields[name] = _attempt(describe, layer, content)
            self._breathe()
        return Answer(fields, content.join())

    def answer_patches(self, layer: str, part: int) -> Answer:
        """Answer where the units of a part of a layer are strongest; see :class:`PatchSheets`."""
        return self._sheets.answer(layer, part) if self._sheets else Answer(_NO_INDEX)

    def count_parts(self, layer: str) -> int:
        """Count the parts that a layer's patches are answered in; 0 where there are none."""
        return self._sheets.count_parts(layer) if self._sheets else 0

    def _describe_filters(self, layer: str, content: Content) -> Fields:
        read = read_filters(self._model, layer)
        below = self._layers[: self._layers.index(layer)]
        numbering = trace_numbers(self._model, read.path, layer, below, self._pixels[:1])
        if not numbering.above:
            raise LayerError(
                f"the filters of {read.path} are not the units of {layer}: what lies between "
                "changes their order or their number"
            )
        rms = read.stored.double().square().mean(dim=(1, 2, 3)).sqrt()
        _, channels, height, width = read.stored.shape
        fields: Fields = {
            "path": read.path,
            "kernel": (height, width),
            "stride": read.stride,
            "channels": channels,
            "groups": read.groups,
            "scaling": SCALING_WORDS["unit"],
            "first": read.is_first,
            "rms": content.add_array(rms.numpy(), "f4"),
            "dead": content.add_array((rms <= DEAD_SHARE * rms.median()).numpy(), "u1"),
        }
        if read.is_first:
            return fields | _describe_first(read, content)
        name = numbering.below
        reads = None if name is None else {"name": name, "layer": self._layers.index(name)}
        return fields | {"reads": reads} | _describe_kernels(read, content)

    def _describe_field(self, layer: str, content: Content) -> Fields:
        size = self._pixels.shape[2], self._pixels.shape[3]
        sums = []
        for photo in self._pixels.split(1):
            sums.append(sum_gradients(self._model, photo, [layer]))
            self._breathe()
        middles = find_middles(self._model, [layer], size)
        (field,) = describe_fields(middles, sums, len(self._pixels))
        top, left, bottom, right = field.box
        shown = scale_map(field.map[top:bottom, left:right])
        picture = colormaps[COLOUR_MAP](shown)[:, :, :3]
        return {
            "size": field.size,
            "box": field.box,
            "exact": field.exact,
            "places": field.places,
            "sides": [(held.share, held.side) for held in field.held],
            "areas": [(held.share, held.area) for held in field.held],
            "ratio": field.ratio,
            "photos": field.photos,
            "silent": field.silent,
            "image": content.add(encode_photo(to_bytes(picture))),
            "scaling": f"log scale from the largest value down to 1/{10**DECADES:,} of it",
        }

    @cached_property
    def _class_uses(self) -> dict[str, Tensor]:
        """What each unit adds to each class, mean over photos, (units, classes), where it can be.

        All layers at once: one backward pass of a class serves them all.
        """
        costs = self._class_costs
        layers = [name for name in self._layers if costs[name] <= MOST_MULTIPLICATIONS]
        if not layers:
            return {}
        logits: object = self._model.logits(self._pixels[:1])
        # something else is refused when it is measured
        count = logits.shape[1] if isinstance(logits, Tensor) and logits.ndim == 2 else 1
        lots = [lot.tolist() for lot in torch.arange(count).split(AT_ONCE)]
        sums: dict[str, Tensor] = {}
        for photo in self._pixels.split(1):
            parts = []
            for classes in lots:
                parts.append(measure_class_use(self._model, photo, layers, classes))
                self._breathe()
            for name in layers:
                use = torch.cat([part[name][0] for part in parts], dim=1)
                sums[name] = sums[name] + use if name in sums else use
        return {name: total / len(self._pixels) for name, total in sums.items()}

    @cached_property
    def _class_costs(self) -> dict[str, int]:
        passes = len(self._model.classes) * len(self._pixels)
        each = count_multiplications(self._model, self._pixels[:1], self._layers)
        return {name: count * passes for name, count in each.items()}

    def _describe_classes(self, layer: str, content: Content) -> Fields:
        cost = self._class_costs[layer]
        if cost > MOST_MULTIPLICATIONS:
            raise LayerError(
                f"all {len(self._model.classes)} classes are left out: at {layer} they would take "
                f"{cost / 1e9:,.0f} billion multiplications, and the limit is "
                f"{MOST_MULTIPLICATIONS / 1e9:.0f} billion"
            )
        use = self._class_uses[layer].numpy()
        order = np.argsort(-use, axis=1, kind="stable")[:, :CLASSES]
        values = np.take_along_axis(use, order, axis=1)
        names = self._model.classes
        numbers = np.where(values > 0, order, NONE)
        return {
            "count": values.shape[1],
            "numbers": content.add_array(numbers, "u2"),
            "values": content.add_array(values, "f4"),
            "names": {int(k): names[k] for k in np.unique(numbers[numbers < len(names)])},
            "classes": use.shape[1],
            "photos": len(self._pixels),
        }

    def _describe_top(self, layer: str, content: Content) -> Fields:
        return self._sheets.describe(layer) if self._sheets else dict(_NO_INDEX)

    def _describe_neighbours(self, layer: str, content: Content) -> Fields:
        ranking = self._mined.find_ranking(self._model, layer) if self._mined else None
        if ranking is None:
            return dict(_NO_INDEX)
        found = find_neighbours(ranking, count=NEIGHBOURS)
        units = np.where(found.units == NOBODY, NONE, found.units)
        return {
            "count": units.shape[1],
            "units": content.add_array(units, "u2"),
            "shared": content.add_array(found.shared, "u1"),
            "photos": content.add_array(found.photos, "u1"),
        }


_NO_INDEX: Fields = {
    "error": "No index of strongest places was given.",
    "way_out": "Give the folder of a gallery (--gallery; in Python galleries=), or an index that "
    "vizcnn mine made with its photos (--index and --index-data; in Python indexes= and data=).",
}


def _attempt(describe: Callable[[str, Content], Fields], layer: str, content: Content) -> Fields:
    try:
        return describe(layer, content)
    except VizcnnError as error:
        return {"error": str(error), "way_out": ""}


def _describe_first(read: FilterLayer, content: Content) -> Fields:
    """Give the filters of a first layer as pictures, and their numbers."""
    coloured = not read.is_grey
    numbers = number_filters(read.weight, read.groups, coloured)
    shown = scale_filters(read.weight, "unit").expand(-1, 3, -1, -1).permute(0, 2, 3, 1)

    def list_numbers(name: str) -> Any:
        values = [getattr(filter, name) for filter in numbers]
        return content.add_array(np.array([np.nan if v is None else v for v in values]), "f4")

    return {
        "images": content.add_array(to_bytes(shown.numpy()), "u1"),
        **{name: list_numbers(name) for name in ("peak", "orientation", "bandwidth", "colour")},
    }


def _describe_kernels(read: FilterLayer, content: Content) -> Fields:
    """Give the strongest kernels of a deeper layer's filters."""
    kernels = pick_kernels(read, KERNELS)
    limits = read.stored.abs().amax(dim=(1, 2, 3))
    scaled = 0.5 + kernels.weights / (2 * limits.clamp(min=1e-30)[:, None, None, None])
    return {
        "count": kernels.channels.shape[1],
        "inputs": content.add_array(kernels.channels.numpy(), "u2"),
        "shares": content.add_array(kernels.shares.numpy(), "f4"),
        "images": content.add_array(to_bytes(scaled.numpy()), "u1"),
        "limits": content.add_array(limits.numpy(), "f4"),
    }
