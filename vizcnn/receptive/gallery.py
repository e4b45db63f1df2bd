"""Receptive fields of a net -> a table, boxes on a photo, a page."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from vizcnn import __version__
from vizcnn.gallery.receptive_manifest import ReceptiveManifest
from vizcnn.gallery.records import Net, PageFigure
from vizcnn.gallery.site import write_gallery
from vizcnn.images import photo_sha256
from vizcnn.output import write_folder
from vizcnn.photo_gallery import describe_weights, list_versions
from vizcnn.receptive.exhibit import (
    ReceptiveExhibit,
    ReceptiveSettings,
    make_exhibit,
    show_photo,
)
from vizcnn.receptive.figures import FieldBox, choose_view, draw_fields
from vizcnn.samples import name_photo, name_source
from vizcnn.saving import save_figure
from vizcnn.tiles import Array
from vizcnn.zoo.model import ZooModel

SOURCE = (
    "from the recorded graph; size, stride and offset as in Araujo, Norris & Sim 2019 "
    "(Distill, doi 10.23915/distill.00021)"
)


def make_receptive_gallery(
    model: ZooModel,
    photo: Path,
    folder: Path,
    settings: ReceptiveSettings | None = None,
    command: str = "",
) -> ReceptiveManifest:
    """Measure receptive fields, draw them and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo; what weights it has plays no part.
        photo: A photo file.
        folder: Where the gallery goes; complete or untouched.
        settings: What to show.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        LayerError: If a layer or the position does not exist.
        ImageError: If the photo cannot be read.
    """
    settings = settings or ReceptiveSettings()
    exhibit = make_exhibit(model, settings)
    seen = show_photo(model, photo)
    title = f"{model.title}: receptive fields"
    caption = f"{model.title} at {model.input_size} px, photo: {name_photo(photo)}"
    with write_folder(folder) as staging:
        manifest = ReceptiveManifest(
            vizcnn=__version__,
            command=command,
            title=title,
            net=Net(model=model.name, title=model.title, weights=describe_weights(model)),
            input_size=(model.input_size, model.input_size),
            photo=name_source(photo),
            sha256=photo_sha256(photo),
            place=exhibit.where,
            figures=tuple(
                _draw_figures(exhibit, seen, caption, title, staging, settings.figure_format)
            ),
            layers=exhibit.describe_layers(),
            settings={**asdict(settings), "input_size": model.input_size, "net": model.options},
            versions=list_versions(),
        )
        write_gallery(manifest, staging)
    return manifest


def _draw_figures(
    exhibit: ReceptiveExhibit, photo: Array, caption: str, title: str, folder: Path, kind: str
) -> Iterable[PageFigure]:
    around, corner = exhibit.list_boxes(corner=False), exhibit.list_boxes(corner=True)
    names = ", ".join(box.name for box in around)
    yield _save(
        draw_fields(photo, around, title, _write_caption(exhibit.where, caption, around, photo)),
        folder / f"fields.{kind}",
        "On the photo",
        f"Nested boxes on the photo: {names}",
        f"What {exhibit.where} can see, layer by layer.",
    )
    words = _write_caption("unit (0, 0) of each layer", caption, corner, photo)
    padded = any(min(box.box) < 0 for box in corner)
    yield _save(
        draw_fields(photo, corner, f"{title} at the corner", words, led_from="bottom"),
        folder / f"corner.{kind}",
        "At the corner",
        f"Boxes of the units in the upper left corner: {names}",
        "What the first unit of each layer can see: "
        + ("a part of it is padding." if padded else "no padding here."),
    )


def _write_caption(units: str, caption: str, boxes: Sequence[FieldBox], photo: Array) -> str:
    words, size = [units, caption], photo.shape[0]
    view = choose_view([box.box for box in boxes], size)
    if view.side > size:
        words.append("hatched: outside the image")
    if any(box.box[2] > view.right and box.box[0] < view.top for box in boxes):
        words.append("boxes that are not drawn lie beyond the picture")
    return " · ".join([*words, SOURCE])


def _save(figure: Figure, path: Path, title: str, text: str, note: str) -> PageFigure:
    save_figure(figure, path)
    return PageFigure(title=title, file=path.name, text=text, note=note)
