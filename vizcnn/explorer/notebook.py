"""``vizcnn.explore``: the explorer in a notebook, of nets and photos that a program holds."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from vizcnn.basics.errors import (
    DataError,
    ImageError,
    LayerError,
    ModelError,
    VizcnnError,
    check_kind,
    quote,
)
from vizcnn.basics.remote import RemotePath, is_url, read_place
from vizcnn.explorer.explored import (
    ExploredNet,
    ExploredPhoto,
    explore_file,
    explore_image,
    explore_pixels,
    make_keys,
    write_python,
)
from vizcnn.explorer.explorer import Explorer, ExplorerSettings
from vizcnn.explorer.sights import keep_what_fits
from vizcnn.explorer.strongest_sources import open_strongest
from vizcnn.photos.arrays import Photo, list_photos, read_values
from vizcnn.photos.images import read_photo
from vizcnn.photos.samples import SAMPLES, find_file
from vizcnn.photos.stored import PhotoFile, StoredPhoto
from vizcnn.photos.stores import find_photos
from vizcnn.projection.active_units import Compare, check_compare
from vizcnn.projection.methods import ProjectionMethod, find_method
from vizcnn.projection.projecting_net import load
from vizcnn.projection.rules import Rule
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.zoo.model import ZooModel

if TYPE_CHECKING:
    from vizcnn.explorer.widget import ExplorerWidget


Method = str | Rule | ProjectionMethod
StrPath = str | Path

OWN = 16
"""Of how many of a layer's units a list of all has own parts, as all would take a kernel minutes;
any unit has its own when it is chosen."""


def explore(
    model: ZooModel | str | Sequence[ZooModel | str],
    photos: Photo | Iterable[Photo] | None = None,
    layers: str | Sequence[str] | None = None,
    methods: Method | Sequence[Method] = "deconvnet",
    compare: Compare | None = 32,
    indexes: StrPath | Sequence[StrPath] = (),
    data: StrPath | Sequence[StrPath] = (),
    galleries: StrPath | Sequence[StrPath] = (),
) -> "ExplorerWidget":
    """Look around in a net in a notebook: who fires at a place, and what a unit looks for.

    The page is that of ``vizcnn explore``, in Jupyter, VS Code, Colab and marimo. All that it shows
    is computed in the notebook's own kernel when it is asked for: any place, any unit. No server is
    started and no port opened. As a cell's last line it is the page; what is chosen there can be
    read and set in Python.

    Args:
        model: A net that ``vizcnn.load`` or ``vizcnn.wrap`` gave, the name of one, or several.
        photos: Files, folders, names of samples, PIL images, arrays, tensors, and lists of these;
            the samples when None. The net sees them as ``model.read`` brings them to its size.
        layers: Names of layers and ranges (``"conv1..conv3"``); the stages when None.
        methods: Methods of projection, as :class:`vizcnn.Projector` takes them.
        compare: With how many other active units of its place each is compared, for its own part;
            None leaves own parts out.
        indexes: Indexes of ``vizcnn mine``, for each unit's strongest patches; one of each net.
        data: The photos that these were mined from.
        galleries: Folders of ``vizcnn gallery``, in place of indexes.

    Returns:
        A widget: what is chosen is in ``net``, ``photo``, ``layer``, ``unit``, ``place`` and
        ``method``; ``select`` chooses several at once, and ``project`` projects the unit.

    Raises:
        VizcnnError: If anywidget is not installed, or there is no such method.
        DataError: If an index or a gallery is of none of the nets, or damaged.
        ModelError: If the net is none, or unknown.
        LayerError: If a layer does not exist.
        ImageError: If a photo cannot be read.

    Example:
        >>> import vizcnn
        >>> explorer = vizcnn.explore("lenet", ["coffee", "chelsea"])
        >>> explorer.select(layer="conv1", unit=3, place=(9, 4), photo="chelsea")
        >>> explorer.photo, explorer.unit, explorer.place
        ('photo2', 3, (9, 4))
        >>> explorer.project()
        Projection of LeNet-5 conv1 by deconvnet: 1 of units 3
    """
    try:
        from vizcnn.explorer.widget import ExplorerWidget
    except ImportError:
        raise VizcnnError(
            "the explorer in a notebook needs anywidget: pip install 'vizcnn[widget]'; "
            "vizcnn explore makes a page without it"
        ) from None
    settings = ExplorerSettings(
        methods=tuple(find_method(method) for method in _list_some("methods", methods)),
        compare=None if compare is None else check_compare(compare),
        own=OWN,
    )
    paths = _find("an index", indexes), _find("photos", data), _find("a gallery", galleries)
    nets = [_explore_net(net, layers) for net in _list_some("nets", model)]
    if not all(isinstance(method, str) for method in _list(methods)):
        nets = [replace(net, python="") for net in nets]  # names alone would not repeat the picture
    mined = open_strongest([net.net for net in nets], *paths)
    keys = make_keys(net.key for net in nets)
    nets = [
        replace(net, key=key, strongest=one)
        for net, key, one in zip(nets, keys, mined, strict=True)
    ]
    taken = [*_take_photos(list(SAMPLES) if photos is None else photos)]
    return ExplorerWidget(Explorer(nets, taken, settings, sights=keep_what_fits()))


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _list_some(name: str, given: Any) -> list[Any]:
    listed = _list(given)
    if not listed:
        raise VizcnnError(f"got {quote(given)} as {name}; needed: at least one")
    return listed


def _find(name: str, given: Any) -> list[Path]:
    for path in _list(given):
        check_kind(name, path, StrPath, "its path", DataError)
        if not os.path.exists(path):  # noqa: PTH110  # no error of a name that no file can have
            raise DataError(f"{quote(path)}, given as {name}, does not exist: check the path")
    return [Path(path) for path in _list(given)]


def _explore_net(given: Any, layers: str | Sequence[str] | None) -> ExploredNet:
    net = load(given) if isinstance(given, str) else given
    check_kind("a net", net, ZooModel, "a net that vizcnn.load or vizcnn.wrap gave", ModelError)
    names = [list_stages(net)] if layers is None else _list_some("layers", layers)
    for name in names:
        if not isinstance(name, str) or not name.strip(", "):
            needed = "its name, or a range of names"
            raise LayerError(f"got {quote(name)} as a layer; needed: {needed}")
    is_named = isinstance(given, str)
    line = f"model = vizcnn.load({given!r})" if is_named else "# model is the net that was given"
    return ExploredNet(net.name, net, select_layers(net, names), python=write_python(line))


def _take_photos(photos: Any) -> Iterator[ExploredPhoto]:
    """Take photos; what is none is told at once, and not when the page asks for it."""
    number = 0
    for photo in list_photos(photos):
        for one in _spread(photo):
            number += 1
            if isinstance(one, PhotoFile):
                read_photo(one)
                yield explore_file(one)
            elif isinstance(one, Image.Image):
                yield explore_image(read_photo(one), f"photo {number}")
            else:
                yield explore_pixels(one, f"photo {number}")


def _spread(photo: Any) -> Iterable[PhotoFile | Image.Image | Tensor]:
    """List the photos of a folder, or of a batch."""
    if isinstance(photo, str | Path) and photo != "":
        place = read_place(photo) if isinstance(photo, str) and is_url(photo) else find_file(photo)
        return find_photos([place if isinstance(place, RemotePath) else Path(place)])
    if isinstance(photo, np.ndarray | Tensor):
        return read_values(photo)
    if isinstance(photo, StoredPhoto | Image.Image):
        return [photo]
    raise ImageError(
        f"got {type(photo).__name__} ({quote(photo)}); needed: the path of a photo or a folder, "
        "the name of a sample, a PIL image, an array or a tensor"
    )
