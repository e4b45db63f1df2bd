"""Zeiler & Fergus' Figure 1 of any net that has such a layer pair: a deconvnet attached to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from vizcnn.drawing.layer_pair import PairPictures, draw_layer_pair
from vizcnn.drawing.tiles import scale_projections
from vizcnn.drawing.words import show_number
from vizcnn.photos.pixels import Array
from vizcnn.photos.samples import name_photo
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.attachment import LayerPair, attach_deconvnet
from vizcnn.projection.deconvnet import Deconvnet
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True)
class AttachedFigure:
    """A figure of a deconvnet attached to a net.

    Attributes:
        pair: The values that it shows.
        title: Heading.
        caption: What it shows, with its numbers and what they depend on.
        text: The same for those who cannot see it.
        draw: Draws it in the style that holds where it is called.
    """

    pair: LayerPair
    title: str
    caption: str
    text: str
    draw: Callable[[], Figure]


def make_attached_figure(
    model: ZooModel, photo: PhotoFile, layer: str | None = None
) -> AttachedFigure:
    """Measure one layer pair of a net on a photo, ready to be drawn as in ZF's Figure 1.

    Args:
        model: A net of the zoo, or of one's own (:func:`vizcnn.wrap`).
        photo: A photo file.
        layer: Canonical name or module path of a convolution, its rectified or its pooled maps;
            the net's first such pair when None.

    Raises:
        LayerError: If there is no such layer.
        ImageError: If the photo cannot be read.
        UnsupportedOperationError: If the net has no convolution that is rectified and max-pooled,
            or the layer is not part of one.

    Example:
        >>> import vizcnn
        >>> from vizcnn.photos.samples import find_sample
        >>> found = make_attached_figure(vizcnn.load("zfnet"), find_sample("coffee"))
        >>> found.pair.layer, found.pair.window.size, found.title
        ('features.relu1', (3, 3), 'ZFNet: a deconvnet attached to conv1')
    """
    pixels = model.read(photo)
    recording = Deconvnet(model).record(pixels)
    pair = attach_deconvnet(recording, None if layer is None else find_layer(model, layer))
    name = _name_layer(model, pair.layer)
    title = f"{model.title}: a deconvnet attached to {name}"
    pictures = make_pictures(model, pair, pixels[0].permute(1, 2, 0).numpy(), name_photo(photo))
    caption = write_caption(model, pair, name, name_photo(photo))
    return AttachedFigure(
        pair=pair,
        title=title,
        caption=caption,
        text=f"A deconvnet layer beside the layer {name}, with the numbers of one pooling window: "
        "values, maximum, switch, unpooled values, and what the filters make of them",
        draw=partial(draw_layer_pair, pair, pictures, title, caption),
    )


def _name_layer(model: ZooModel, path: str) -> str:
    return next((name for name, known in model.layers.items() if known == path), path)


def make_pictures(model: ZooModel, pair: LayerPair, photo: Array, name: str) -> PairPictures:
    """Make what the pair begins and ends with visible.

    Of the net's input that is the photo, and reconstruction and filter as they act on its pixels;
    of feature maps one of them, that whose weights in the filter are largest.

    Args:
        model: The net.
        pair: Its layer pair.
        photo: The photo as the net sees it, (S, S, 3), 0..1.
        name: Its name.
    """
    if pair.is_image:
        to_pixels = model.preprocessing.to_pixel_gradient
        see = model.preprocessing.to_visible
        reconstruction, weights = (
            see(to_pixels(values)).numpy() for values in (pair.reconstruction, pair.filter)
        )
        return PairPictures(photo, _scale(reconstruction), _scale(weights), name)
    strongest = int(pair.filter.flatten(1).norm(dim=1).argmax())
    channel = pair.first_channel + strongest
    weights, reconstruction = (
        values[None].expand(3, -1, -1).numpy()
        for values in (pair.filter[strongest], pair.reconstruction[channel])
    )
    below = pair.below[channel]
    shown = (below / below.abs().max().clamp(min=torch.finfo().tiny)).clamp(0, 1)
    picture: Array = np.repeat(shown.numpy()[..., None], 3, axis=2)
    told = f"map {channel} of {pair.below.shape[0]} (on {name})"
    return PairPictures(picture, _scale(reconstruction), _scale(weights), told)


def _scale(values: Array) -> Array:
    """Give signed values (3, h, w) as a picture (h, w, 3): mid grey is zero."""
    (picture,) = scale_projections([values.transpose(1, 2, 0)], "unit")
    return picture


def write_caption(model: ZooModel, pair: LayerPair, name: str, photo: str) -> str:
    """Say what the figure shows, with its numbers."""
    window = pair.window
    size = f"{window.size[0]} × {window.size[1]}, stride {window.stride[0]}"
    source = _name_layer(model, pair.source)
    where = (
        f" at row {pair.source_place[0]}, column {pair.source_place[1]}"
        if (pair.source_place)
        else ""
    )
    from_above = (
        f"the strongest unit of {source} ({pair.source_unit}{where}, activation "
        f"{show_number(pair.activation)}), which gives {show_number(pair.signal)} to this window"
    )
    meets = ""
    if not np.isclose(float(pair.unpooled[pair.switch]), pair.signal):
        meets = (
            " Windows overlap: what several send to one switch is added, here to "
            f"{show_number(float(pair.unpooled[pair.switch]))}."
        )
    normalised = " Contrast normalisation is passed over on the way down." if pair.steps[1] else ""
    return (
        f"Zeiler & Fergus 2013, Figure 1, with the numbers of one window (framed): {name} of "
        f"{model.title} ({model.provenance.describe()}) on {photo}, map {pair.unit}, pooling "
        f"{size}. Right: the window's maximum, {show_number(pair.maximum)}, is at row "
        f"{pair.switch[0]}, column {pair.switch[1]}: the switch. Left: from above comes "
        f"{from_above}.{meets} At the switch {show_number(pair.sent)} times the filter is added to "
        f"the reconstruction.{normalised} Maps: black is zero, where some values are negative mid "
        "grey; each has its own scale."
    )
