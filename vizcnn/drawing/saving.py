"""Saving of figures, images and arrays: whole files or none, the same bytes on every run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from vizcnn.basics.errors import VizcnnError, nearest_names
from vizcnn.basics.files import replacing
from vizcnn.basics.output import FIGURE_FORMATS
from vizcnn.drawing.sheet import DPI, plain_style

GROUND, INK = 0.09, 0.95
"""Grey levels of a dark figure's ground and ink, 0..1."""
NARROWER = 0.97
"""Letters of a shrunk figure, of what they would be: small ones come out a little wider."""
GREY = 0.04
"""Largest difference between the channels of a colour that counts as grey."""


def darken(figure: Figure) -> None:
    """Turn a light figure into a dark one: greys are mirrored, colours and images stay.

    Args:
        figure: Black on white; changed in place.

    Example:
        >>> figure = Figure(facecolor="white")
        >>> darken(figure)
        >>> figure.get_facecolor()
        (0.09, 0.09, 0.09, 1.0)
    """
    texts = [artist for artist in _list_artists(figure) if isinstance(artist, Text)]
    kept = {id(text) for text in texts if _stands_on_colour(text)}
    figure.set_facecolor(mirror(figure.get_facecolor()))
    for artist in _list_artists(figure):
        if id(artist) not in kept:
            _darken_artist(artist)


def _darken_artist(artist: Artist) -> None:
    if isinstance(artist, Axes):
        for name in ("x", "y"):
            _darken_ticks(artist, name)
    elif isinstance(artist, Text):
        artist.set_color(mirror(artist.get_color()))
        ground = artist.get_bbox_patch()
        if ground is not None:
            _darken_artist(ground)
    elif isinstance(artist, Line2D):
        artist.set_color(mirror(artist.get_color()))
        artist.set_markerfacecolor(mirror(artist.get_markerfacecolor()))
        artist.set_markeredgecolor(mirror(artist.get_markeredgecolor()))
    elif isinstance(artist, Patch):
        artist.set_edgecolor(mirror(artist.get_edgecolor()))
        artist.set_facecolor(mirror(artist.get_facecolor()))
    elif isinstance(artist, Collection):
        edges, faces = artist.get_edgecolor(), artist.get_facecolor()
        artist.set_edgecolor([mirror(colour) for colour in edges])
        if getattr(artist, "filled", True):  # the lines of a contour have no faces
            artist.set_facecolor([mirror(colour) for colour in faces])


def _stands_on_colour(text: Text) -> bool:
    """Tell whether a text lies on an image or a coloured bar, for which its ink was chosen."""
    axes = text.axes
    if axes is None or not text.get_text().strip() or text.get_bbox_patch() is not None:
        return False
    box = text.get_window_extent()
    middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    if axes.images and axes.get_window_extent().contains(*middle):
        return True
    return any(
        not _is_grey(patch.get_facecolor()) and patch.get_window_extent().contains(*middle)
        for patch in axes.patches
    )


def _is_grey(colour: Any) -> bool:
    """Tell whether a colour is a grey, or hardly to be seen."""
    red, green, blue, alpha = to_rgba(colour)
    return alpha < 0.5 or max(red, green, blue) - min(red, green, blue) <= GREY


def mirror(colour: Any) -> Any:
    """Give a grey its counterpart on a dark ground; other colours as they are.

    Example:
        >>> mirror("white"), mirror("black"), mirror("#0072b2")
        ((0.09, 0.09, 0.09, 1.0), (0.95, 0.95, 0.95, 1.0), '#0072b2')
    """
    if isinstance(colour, str) and colour in ("none", "auto"):
        return colour
    red, green, blue, alpha = to_rgba(colour)
    if alpha == 0:
        return "none"
    if max(red, green, blue) - min(red, green, blue) > GREY:
        return colour
    level = round(INK + (GROUND - INK) * green, 4)
    return (level, level, level, alpha)


def shrink(figure: Figure, factor: float) -> None:
    """Scale a figure with all its letters and lines.

    Args:
        figure: Changed in place.
        factor: 0.5 halves it.
    """
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * factor, height * factor)
    for artist in _list_artists(figure):
        if isinstance(artist, Axes):
            for axis in (artist.xaxis, artist.yaxis):
                _shrink_ticks(axis, factor)
        elif isinstance(artist, Text):
            artist.set_fontsize(float(artist.get_fontsize()) * factor * NARROWER)
        elif isinstance(artist, Line2D):
            artist.set_linewidth(artist.get_linewidth() * factor)
            artist.set_markersize(artist.get_markersize() * factor)
        elif isinstance(artist, Patch):
            artist.set_linewidth(artist.get_linewidth() * factor)
            if hasattr(artist, "get_mutation_scale"):
                artist.set_mutation_scale(artist.get_mutation_scale() * factor)  # type: ignore[attr-defined]
        elif isinstance(artist, Collection):
            widths: Any = artist.get_linewidth()
            artist.set_linewidth([width * factor for width in widths])
            if isinstance(artist, PathCollection):  # a marker's size is its area
                artist.set_sizes(artist.get_sizes() * factor**2)
    for axes in figure.axes:
        _renew_legend(axes)


def _renew_legend(axes: Axes) -> None:
    """Lay a legend out anew: it keeps the distances of the letters that it was made with."""
    legend = axes.get_legend()
    if legend is None:
        return
    texts, frame = legend.get_texts(), legend.get_frame()
    # the frame's transparency would be laid over an edge of none
    edge = frame.get_edgecolor() if to_rgba(frame.get_edgecolor())[3] else "none"
    axes.legend(
        [handle for handle in legend.legend_handles if handle is not None],
        [text.get_text() for text in texts],
        fontsize=texts[0].get_fontsize(),
        frameon=legend.get_frame_on(),
        facecolor=frame.get_facecolor(),
        edgecolor=edge,
        framealpha=frame.get_alpha(),
        loc=legend._loc,  # type: ignore[attr-defined]  # matplotlib has no public way to ask
        ncols=legend._ncols,  # type: ignore[attr-defined]
    )


def _list_artists(figure: Figure) -> Iterator[Artist]:
    """List what a figure holds, ticks left out: matplotlib makes those anew."""
    figure.canvas.draw_idle()
    ticks = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            parts = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            ticks |= {id(artist) for tick in parts for artist in tick.findobj()}
    for artist in figure.findobj():
        if id(artist) not in ticks and artist is not figure.patch:
            yield artist


def _darken_ticks(axes: Axes, name: str) -> None:
    axis = getattr(axes, f"{name}axis")
    ticks = axis.get_major_ticks()
    if not ticks:
        return
    axes.tick_params(
        axis=name,  # type: ignore[arg-type]
        colors=mirror(ticks[0].tick1line.get_color()),
        labelcolor=mirror(ticks[0].label1.get_color()),
        grid_color=mirror(ticks[0].gridline.get_color()),
    )


def _shrink_ticks(axis: Any, factor: float) -> None:
    ticks = axis.get_major_ticks()
    if not ticks:
        return
    first = ticks[0]
    axis.set_tick_params(
        labelsize=float(first.label1.get_fontsize()) * factor,
        length=first.tick1line.get_markersize() * factor,
        width=first.tick1line.get_markeredgewidth() * factor,
        pad=first.get_pad() * factor,
        grid_linewidth=first.gridline.get_linewidth() * factor,
    )
    axis.labelpad *= factor


_METADATA: dict[str, dict[str, Any]] = {
    # dates would make the bytes of every run different
    "png": {"Software": "vizcnn"},
    "svg": {"Date": None, "Creator": "vizcnn"},
    "pdf": {"CreationDate": None, "Creator": "vizcnn", "Producer": None},
}


def save_figure(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of its name.

    Args:
        figure: A matplotlib figure.
        path: Where to; ends in .png, .svg or .pdf.
        dpi: Pixels per inch of a PNG and of images inside the others.

    Raises:
        VizcnnError: If the name has another ending.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in FIGURE_FORMATS:
        raise VizcnnError(f"no figure format {kind!r}: {nearest_names(kind, FIGURE_FORMATS)}")
    with plain_style():
        _write_whole(
            path, lambda file: figure.savefig(file, format=kind, dpi=dpi, metadata=_METADATA[kind])
        )


def save_image(pixels: NDArray[np.uint8], path: Path, exact: bool = True) -> None:
    """Write an image as PNG, or as WebP if its name ends so.

    Args:
        pixels: (H, W, 3), uint8.
        path: Where to.
        exact: Keep every pixel as it is; False makes a WebP of photos a fifth as large, with
            losses that are hardly seen.
    """
    image = Image.fromarray(pixels)
    # PNG: level 4 takes a third of the time of the best compression; files grow by a few per cent.
    # WebP: method 2 takes half the time of the usual 4; files grow by two per cent.
    options: dict[str, Any] = {"format": "PNG", "compress_level": 4}
    if path.suffix.lower() == ".webp":
        options = {"format": "WEBP", "method": 2, "quality": 85}
        if exact:
            options = {"format": "WEBP", "method": 0, "quality": 50, "lossless": True}
    _write_whole(path, lambda file: image.save(file, **options))


def save_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write named arrays of numbers as .npz, readable with ``numpy.load``.

    Raises:
        VizcnnError: If an array holds Python objects, which only pickle could write.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise VizcnnError(f"array {name!r} holds Python objects; needed: numbers")
    # not allow_pickle=False: NumPy before 2.1 would write that down as an array of this name
    save: Callable[..., None] = np.savez_compressed
    _write_whole(path, lambda file: save(file, **arrays))


def _write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        write(file)
