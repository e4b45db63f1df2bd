"""A net in training, looked at now and then: projections, strongest photos and filters by step."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jinja2 import Environment
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from vizcnn.basics.errors import (
    ModelError,
    UnsupportedOperationError,
    VizcnnError,
    as_number,
    check_kind,
    check_number,
    quote,
)
from vizcnn.basics.output import refuse_foreign
from vizcnn.basics.texts import name_files
from vizcnn.basics.version import __version__
from vizcnn.drawing.filter_grids import (
    SCALING_WORDS,
    FilterPanel,
    draw_filters,
    scale_filters,
    show_colours,
)
from vizcnn.drawing.projections import draw_projection
from vizcnn.drawing.saving import save_figure
from vizcnn.gallery.manifest import (
    FILE_NAME,
    Failure,
    Manifest,
    PageFigure,
    Results,
    read_manifest,
    write_manifest,
)
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.page import describe_net, list_versions
from vizcnn.photos.arrays import Photo, list_photos, name_photos
from vizcnn.photos.images import check_images
from vizcnn.photos.patches import spread
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import ProjectionMethod
from vizcnn.projection.projection import Projection, Scene
from vizcnn.projection.rules import Rule
from vizcnn.projection.targets import Targets, units_at
from vizcnn.recording.layers import Layer, list_layers, name_layer
from vizcnn.recording.watch import evaluating
from vizcnn.zoo.model import ZooModel, find_module
from vizcnn.zoo.preprocessing import Preprocessing

SHOWN_PHOTOS = 4
"""Photos whose strongest units are shown; the strongest photos of a unit are sought among all."""
ROW = 9
"""Units of a photo, and photos of a unit: as in Figure 2 of Zeiler & Fergus."""
BATCH = 32
"""Photos that go through the net at a time."""

AS_THEY_ARE = Preprocessing((0.0,) * 3, (1.0,) * 3, 1.0, False, 1, 1)
"""Of a plain torch module, whose own input is looked at."""


@dataclass(frozen=True)
class Picture:
    """A picture of one step.

    Attributes:
        name: What is shown, the same at every step, such as ``"conv1-top9"``.
        path: The file (PNG).
        step: Number of the epoch or step.
    """

    name: str
    path: Path
    step: int


Receiver = Callable[[Picture], None]
"""What takes each picture as soon as it is written."""


@dataclass(frozen=True, kw_only=True)
class WatchedPicture:
    """A picture, as the manifest has it.

    Attributes:
        name: What is shown.
        title: The same in words.
        step: Number of the epoch or step.
        figure: Place in the manifest's list of figures, from 0.
    """

    name: str
    title: str
    step: int
    figure: int


@dataclass(frozen=True, kw_only=True)
class WatchResults(Results):
    """What was seen of a net in training, in the order of the steps.

    Attributes:
        layers: The layers that are looked at.
        steps: The steps at which the net was looked at.
        pictures: The pictures, by step.
    """

    kind: ClassVar[str] = "watch"
    layers: tuple[str, ...]
    steps: tuple[int, ...]
    pictures: tuple[WatchedPicture, ...]

    def render(self, manifest: Manifest[Any], environment: Environment) -> dict[str, str]:
        """Render a page with a section for each picture, its latest step first."""
        sections: dict[str, list[WatchedPicture]] = {}
        for picture in self.pictures:
            sections.setdefault(picture.title, []).insert(0, picture)
        template = environment.get_template("watch.html")
        return {
            "index.html": template.render(manifest=manifest, results=self, sections=sections),
        }


class Watch:
    """Looks at a net in training and writes what it sees into a folder.

    At every ``every``-th call: the strongest units of the first photos, projected back to pixels;
    for a few units, always the same, the nine photos that excite them most; and the filters of the
    first convolution. ``index.html`` in the folder has each picture step by step. The net is left
    as it was, in training mode too, and so are its gradients and torch's random numbers.

    Args:
        layers: Canonical names, module paths or modules.
        photos: Of a net of vizcnn photos in any form; of a plain torch module its inputs, a float
            tensor (N, C, H, W). They are read once; a few dozen show more than a few.
        every: Look at every so many-th step only: those whose number it divides.
        folder: Where the pictures go. A folder that a watch wrote is continued.
        units: How many units of a layer the strongest photos are sought for, or which.
        method: How units are projected.
        net: What is looked at in place of the net of the call, such as what ``vizcnn.wrap`` made
            of it: then photos are seen as it sees them.
        to: What takes each picture beside: see :func:`~vizcnn.callbacks.to_tensorboard`.

    Raises:
        VizcnnError: If ``every`` is no number, ``units`` are none, ``to`` has what is no function,
            or there is no layer.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        photos: Photo | Iterable[Photo],
        every: int = 1,
        folder: Path | str = "watched",
        *,
        units: int | Sequence[int] | NDArray[Any] | Tensor = 4,
        method: str | Rule | ProjectionMethod = "deconvnet",
        net: ZooModel | nn.Module | None = None,
        to: Receiver | Iterable[Receiver] = (),
    ) -> None:
        check_kind("folder", folder, Path | str, "the path of a folder")
        self.layers = list_layers(layers)
        if not self.layers:
            raise VizcnnError("no layer is named; needed: at least one, for example conv1")
        self.photos = photos if isinstance(photos, Tensor) else list_photos(photos)
        self.every = check_number("every", every, 1, 2**31)
        self.folder = Path(folder)
        self.units = _settle_units(units)
        self.method = method
        self.net = net
        self.receivers = (to,) if callable(to) else tuple(to)
        for receiver in self.receivers:
            if not callable(receiver):
                raise VizcnnError(
                    f"got {quote(receiver)} in to; needed: functions that take a picture, such as "
                    "vizcnn.callbacks.to_tensorboard(writer)"
                )
        self._calls = 0
        self._pixels: Tensor | None = None
        self._manifest: Manifest[WatchResults] | None = None

    def __call__(
        self, net: ZooModel | nn.Module | None = None, step: int | None = None
    ) -> list[Picture]:
        """Look at the net, if it is time.

        Args:
            net: The net in training; not needed where the watch has one.
            step: Number of the epoch or step; how many calls there were before, when None.

        Returns:
            The pictures that were written; none if it is not time.

        Raises:
            VizcnnError: If there is no net, no such layer or unit, or the folder is another's.
            UnsupportedOperationError: If an operation of the net has no rule. Values that are not
                finite are a warning: the training goes on.
        """
        number = self._calls if step is None else check_number("step", step, 0, 2**62)
        self._calls += 1
        if number % self.every:
            return []
        looked_at = self.net if self.net is not None else net
        if looked_at is None:
            raise VizcnnError("no net to look at; needed: watch(net, step), or Watch(..., net=net)")
        if self._manifest is None:
            self._manifest = self._open(looked_at)
        try:
            with evaluating(find_module(looked_at)), torch.enable_grad():
                drawn = self._look(looked_at)
            failures: tuple[Failure, ...] = ()
        except UnsupportedOperationError:  # of the net itself: no later step has pictures either
            raise
        except ModelError as error:  # of weights that grew without bound: the training's affair
            warnings.warn(f"{_name(number)}: {error}", stacklevel=2)
            drawn, failures = [], (Failure(source=_name(number), error=str(error)),)
        return self._write(drawn, failures, number)

    def _open(self, net: ZooModel | nn.Module) -> Manifest[WatchResults]:
        """Begin the manifest, or go on with that of the folder."""
        title = net.title if isinstance(net, ZooModel) else type(net).__name__
        projector = Projector(net, self.method)
        layers = [name_layer(layer, projector.find_path(layer)) for layer in self.layers]
        results = WatchResults(layers=tuple(layers), steps=(), pictures=())
        figures: tuple[PageFigure, ...] = ()
        failures: tuple[Failure, ...] = ()
        if (self.folder / FILE_NAME).is_file():
            former = read_manifest(self.folder, WatchResults)
            both = tuple(dict.fromkeys([*former.results.layers, *layers]))
            results = replace(former.results, layers=both)
            figures, failures = former.figures, former.failures
        else:
            refuse_foreign(self.folder)
        return Manifest(
            kind=WatchResults.kind,
            vizcnn=__version__,
            command="",
            title=f"{title} in training",
            settings={
                "layers": layers,
                "every": self.every,
                "units": self.units,
                "method": projector.method.name,
            },
            versions=list_versions(),
            nets=(describe_net(net),) if isinstance(net, ZooModel) else (),
            results=results,
            figures=figures,
            failures=failures,
        )

    def _look(self, net: ZooModel | nn.Module) -> list[tuple[str, str, Figure]]:
        """Draw everything: name, title and figure of each picture."""
        projector = Projector(net, self.method)
        if self._pixels is None:
            self._pixels = _read(net, self.photos)
        pixels, drawn = self._pixels, []
        names = name_photos([self.photos] if isinstance(self.photos, Tensor) else self.photos)
        scene = _set_scene(net, pixels, names)
        paths = {projector.find_path(layer): layer for layer in self.layers}
        peaks: dict[str, list[Tensor]] = {path: [] for path in paths}
        for batch in pixels.split(BATCH):
            recording = projector.record(batch, self.layers)
            for path, found in peaks.items():
                targets = self._choose_units(recording.find_output(path))
                found.append(targets.activations.view(len(batch), -1))
        for path, layer in paths.items():
            name = name_layer(layer, path)
            shown = projector.project(pixels[:SHOWN_PHOTOS], layer, count=ROW)
            few = replace(
                scene, photos=scene.photos[:SHOWN_PHOTOS], names=scene.names[:SHOWN_PHOTOS]
            )
            figure = draw_projection(replace(shown, scene=few))
            drawn.append((f"{name}-units", f"{name}: strongest units of each photo", figure))
            found_best = self._find_photos(projector, layer, torch.cat(peaks[path]), scene)
            figure = draw_projection(found_best)
            drawn.append((f"{name}-top{ROW}", f"{name}: strongest photos of some units", figure))
        filters = _draw_filters(net, scene.net)
        if filters is not None:
            drawn.append(("filters", "Filters of the first convolution", filters))
        return drawn

    def _choose_units(self, maps: Tensor) -> Targets:
        """Take the units whose strongest photos are sought, by photo."""
        count = maps.shape[1]
        units = spread(count, self.units) if isinstance(self.units, int) else self.units
        return units_at(maps, units)

    def _find_photos(
        self, projector: Projector, layer: Layer, peaks: Tensor, scene: Scene
    ) -> Projection:
        """Project the chosen units on the photos that excite them most; peaks are (N, units)."""
        assert self._pixels is not None
        count = peaks.shape[1]
        ranked = peaks.argsort(dim=0, descending=True, stable=True)[:ROW].T.cpu()
        photos = sorted(set(ranked.flatten().tolist()))
        recording = projector.record(self._pixels[photos], self.layers)
        targets = self._choose_units(recording.find_output(projector.find_path(layer)))
        rows = [
            photos.index(photo) * count + unit
            for unit, row in enumerate(ranked.tolist())
            for photo in row
        ]
        chosen = targets.take(torch.tensor(rows, device=targets.units.device))
        kept = tuple(scene.names[photo] for photo in photos)
        inside = replace(scene, photos=scene.photos[photos], names=kept)
        return replace(projector.project_targets(recording, layer, chosen), scene=inside)

    def _write(
        self, drawn: Sequence[tuple[str, str, Figure]], failures: tuple[Failure, ...], step: int
    ) -> list[Picture]:
        assert self._manifest is not None
        manifest, home = self._manifest, f"step-{step:06d}"
        former = manifest.results.pictures
        kept = [
            picture
            for picture in former
            if picture.step != step
            # pictures may be removed, or all of the folder, while a training goes on
            and (self.folder / manifest.figures[picture.figure].file).is_file()
        ]
        lost = {picture.step for picture in former} - {picture.step for picture in kept}
        if not (self.folder / FILE_NAME).is_file():  # first: by it a killed training's is known
            none = replace(manifest.results, steps=(), pictures=())
            write_manifest(replace(manifest, results=none, figures=()), self.folder)
        figures = [manifest.figures[picture.figure] for picture in kept]
        entries = [replace(picture, figure=number) for number, picture in enumerate(kept)]
        written = []
        words = name_files(name for name, _, _ in drawn)
        for (name, title, figure), word in zip(drawn, words, strict=True):
            file = f"{home}/{word}.png"
            save_figure(figure, self.folder / file)
            entries.append(WatchedPicture(name=name, title=title, step=step, figure=len(figures)))
            told = f"{title}, step {step}"
            figures.append(PageFigure(title=told, file=file, text=told))
            written.append(Picture(name, self.folder / file, step))
        steps = tuple(sorted({*manifest.results.steps} - lost | {step}))
        pictures = tuple(sorted(entries, key=lambda picture: picture.step))
        results = replace(manifest.results, steps=steps, pictures=pictures)
        self._manifest = replace(
            manifest,
            results=results,
            figures=tuple(figures),
            failures=(*(f for f in manifest.failures if f.source != _name(step)), *failures),
        )
        write_gallery(self._manifest, self.folder)
        for picture in written:
            for receive in self.receivers:
                receive(picture)
        return written


def _name(step: int) -> str:
    return f"step {step}"


def _settle_units(units: Any) -> int | list[int]:
    """Give how many units, or their numbers, as Python's own."""
    given = units.tolist() if isinstance(units, np.ndarray | Tensor) else units
    if as_number(given) is not None:
        return check_number("units", given, 1, 2**31)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise VizcnnError(f"got {quote(units)} as units; needed: how many, or a list of numbers")
    listed = [check_number("unit", one, 0, 2**31) for one in given]
    if not listed:
        raise VizcnnError("got no unit as units; needed: how many, or a list of numbers")
    return listed


def _read(net: ZooModel | nn.Module, photos: Any) -> Tensor:
    """Give what the net looks at: pixels of a net of vizcnn, else the module's own input."""
    if isinstance(net, ZooModel):
        return net.to_pixels(photos).detach()
    if not isinstance(photos, Tensor):
        raise VizcnnError(
            "photos of a plain torch module have to be its inputs, a float tensor (N, C, H, W); "
            "needed for files and pictures: Watch(..., net=vizcnn.wrap(net, ...))"
        )
    check_images(photos, colours=False)
    return photos.detach()


def _set_scene(net: ZooModel | nn.Module, pixels: Tensor, names: tuple[str, ...]) -> Scene:
    if isinstance(net, ZooModel):
        return Scene(pixels.cpu(), names, net.title, "in training", (), net.preprocessing)
    shown = pixels.float().cpu()
    low, high = shown.amin(), shown.amax()
    shown = (shown - low) / (high - low).clamp(min=1e-12)
    if shown.shape[1] != 3:
        shown = shown.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    told = "in training; its inputs are shown from their least to their largest value"
    return Scene(shown, names, type(net).__name__, told, (), AS_THEY_ARE)


def _draw_filters(net: ZooModel | nn.Module, title: str) -> Figure | None:
    """Draw the filters of the first convolution, if it looks at colours or at grey."""
    module = find_module(net)
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or first.weight.shape[1] not in (1, 3) or max(first.kernel_size) == 1:
        return None
    weight = first.weight.detach().float().cpu()
    if isinstance(net, ZooModel):
        weight = net.preprocessing.to_visible(net.preprocessing.to_pixel_gradient(weight))
    tiles = show_colours(scale_filters(weight, "unit"), grey=weight.shape[1] == 1)
    caption = f"{len(tiles)} filters · {SCALING_WORDS['unit']}"
    return draw_filters([FilterPanel(tuple(tiles))], f"{title}: first convolution", caption)
