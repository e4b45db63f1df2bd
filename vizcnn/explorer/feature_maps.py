"""The feature maps of a layer on a photo, and what classes use of them."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vizcnn.attribution.readout import read_layers
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.explorer.answers import Answer, Content
from vizcnn.projection.targets import find_first_maximum

if TYPE_CHECKING:
    from vizcnn.explorer.explorer import Explorer, Question

HERE = 10
"""Strongest units of a place that are told."""


def answer_maps(explorer: "Explorer", question: "Question") -> Answer:
    """Give the maps of a layer (``net``, ``photo``, ``layer``).

    Fields, where h and w are 1 for units without places:

    - ``units``; ``size``, rows and columns, empty without places
    - ``bytes`` (u1, units * h * w): a value is ``low + byte / 255 * (high - low)``, with each
      unit's ``lows`` and ``highs`` (f4, units): its smallest and largest value, and zero
    - ``places`` (u2, units * 2): row and column of each unit's first maximum; ``values`` (f4) there
    - ``here``: ``count`` strongest units of each place, ``units`` (u2, h * w * count) and
      ``values`` (f4), the strongest first, of equal ones the lower
    """
    content = Content()
    maps = explorer.find_maps(question).detach()[0]
    return Answer(_describe(maps, content), content.join())


def answer_use(explorer: "Explorer", question: "Question") -> Answer:
    """Tell what a photo's classes use of the units of a layer (``net``, ``photo``, ``layer``).

    It is apart from the maps, which are there long before it.

    Fields: ``use`` (f4, classes * units): what each of the ``classes`` (numbers, the photo's most
    probable) uses of each unit (:func:`~vizcnn.measures.class_use.measure_class_use`); in their
    place ``left_out``, a line, where the net puts out no logits.
    """
    layer, sight = explorer.find_layer(question), explorer.look(question)
    try:
        use = sight.find_class_use(explorer.breathe)[layer]
    except (LayerError, ModelError) as error:  # a net may put out something else than logits
        return Answer({"left_out": str(error)})
    content = Content()
    fields = {
        "use": content.add_array(use.numpy(), "f4"),
        "classes": sight.used_classes.tolist(),
    }
    return Answer(fields, content.join())


def answer_tiles(explorer: "Explorer", question: "Question") -> Answer:
    """Give the maps of a layer (``net``, ``photo``, ``layer``) as soon as they can be had.

    The net is run up to the layer and nothing is recorded: a camera's pictures come five times a
    second. Fields are those of :func:`answer_maps`.
    """
    model, layer = explorer.find_net(question).net, explorer.find_layer(question)
    with torch.no_grad():
        pixels = model.read(explorer.find_photo(question).read())
        maps = read_layers(model, pixels, [layer])[layer].maps[0]
    content = Content()
    return Answer(_describe(maps, content), content.join())


def _describe(maps: Tensor, content: Content) -> dict[str, Any]:
    """Describe maps (C, h, w), or units (C).

    Raises:
        ModelError: If a value is not finite.
    """
    maps = maps.float().cpu()
    if not maps.isfinite().all():
        raise ModelError(
            "maps of this layer are not finite: the net's weights are damaged, or too large for "
            "its precision"
        )
    size = list(maps.shape[1:])
    flat = maps.flatten(1) if size else maps[:, None]
    lows, highs = flat.amin(dim=1).clamp(max=0), flat.amax(dim=1).clamp(min=0)
    range_ = (highs - lows)[:, None]
    shares = ((flat - lows[:, None]) / range_).where(range_ > 0, 0)
    at = find_first_maximum(flat)
    width = size[1] if size else 1
    order = flat.T.sort(dim=1, descending=True, stable=True)
    count = min(HERE, len(flat))
    return {
        "units": len(flat),
        "size": size,
        "bytes": content.add_array((shares * 255).round().numpy(), "u1"),
        "lows": content.add_array(lows.numpy(), "f4"),
        "highs": content.add_array(highs.numpy(), "f4"),
        "places": content.add_array(torch.stack([at // width, at % width], dim=1).numpy(), "u2"),
        "values": content.add_array(flat.amax(dim=1).numpy(), "f4"),
        "here": {
            "count": count,
            "units": content.add_array(order.indices[:, :count].numpy(), "u2"),
            "values": content.add_array(order.values[:, :count].numpy(), "f4"),
        },
    }
