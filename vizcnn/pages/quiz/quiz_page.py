"""Questions -> the page of a quiz: its pictures, its data and its manifest."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jinja2 import Environment
from PIL import Image

from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import read_plain_file
from vizcnn.basics.output import write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.saving import save_image
from vizcnn.drawing.unit_sheets import Pixels
from vizcnn.gallery.manifest import Manifest, Photo, Results
from vizcnn.gallery.site import CRISP_BELOW, write_gallery
from vizcnn.measures.quiz_scores import find_interval
from vizcnn.pages.page import describe_run
from vizcnn.pages.quiz.quiz_questions import (
    Gallery,
    Offer,
    Question,
    Seen,
    Tiles,
    choose_questions,
    list_questions,
    read_galleries,
    tell_way,
)

PICTURES = "pictures"
"""Folder of the quiz's pictures."""

DATA_NAME = "quiz-data.js"
"""The script that holds the questions."""

ALONE = "alone"
"""Key of the condition in which no projections are shown."""

LARGEST_PICTURE = 64 << 20
"""Bytes of an image of a gallery."""


@dataclass(frozen=True)
class QuizSettings:
    """How many questions, and how they are drawn.

    Attributes:
        units: How many units are asked about, at most: a question for each.
        seed: Of the draw of units and photos.
    """

    units: int = 20
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is shown beside the photos.

    Attributes:
        key: Its name in result files.
        title: Its name on pages.
        heading: Heading of the pictures; empty where none are shown.
        legend: What the pictures are and how they are scaled; empty where none are shown.
    """

    key: str
    title: str
    heading: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class QuizPhoto:
    """A photo of a question.

    Attributes:
        photo: Number of the photo in the manifest's ``photos``, from 0.
        activation: The unit's maximum in it.
        box: Receptive field of the maximum in pixels of the input: top, left, bottom, right; None
            of photos that do not excite the unit.
    """

    photo: int
    activation: float
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True, kw_only=True)
class QuizPictures:
    """Projections of the exciting photos of a question, in their order.

    Attributes:
        condition: Key of the condition in which they are shown.
        files: One for each photo.
    """

    condition: str
    files: tuple[RelativeFile, ...]


@dataclass(frozen=True, kw_only=True)
class QuizUnit:
    """A question.

    Attributes:
        layer: The unit's layer.
        unit: Its number.
        exciting: Nine photos that excite it.
        calm: Nine that do not.
        asked: The new photo that excites it, and the one that does not.
        pictures: Projections, for each condition that shows some.
        crisp: Whether the projections have so few pixels that they are shown with hard edges.
    """

    layer: str
    unit: int
    exciting: tuple[QuizPhoto, ...]
    calm: tuple[QuizPhoto, ...]
    asked: tuple[QuizPhoto, QuizPhoto]
    pictures: tuple[QuizPictures, ...]
    crisp: bool


@dataclass(frozen=True, kw_only=True)
class QuizResults(Results):
    """A quiz.

    Attributes:
        quiz: What tells it from others, 16 hexadecimal digits: of its questions.
        conditions: What is shown beside the photos: nothing first.
        units: The questions.
        data: What photos were looked through, in words.
        left_out: Why units of the galleries are not asked about, with how many they are.
    """

    kind: ClassVar[str] = "quiz"
    static: ClassVar[tuple[str, ...]] = ("quiz.css", "quiz.js")
    quiz: str
    conditions: tuple[Condition, ...]
    units: tuple[QuizUnit, ...]
    data: str
    left_out: tuple[tuple[str, int], ...] = ()

    def render(self, manifest: Manifest[Any], environment: Environment) -> dict[str, str]:
        """Render the page, and the script that holds its questions.

        The script is written so that nobody reads the answers by accident.
        """
        template = environment.get_template("quiz.html")
        told = base64.b64encode(_write_data(manifest).encode("utf-8")).decode("ascii")
        return {
            "index.html": template.render(manifest=manifest, results=self),
            DATA_NAME: f'"use strict";\nconst QUIZ = "{told}";\n',
        }


def make_quiz(
    folders: Sequence[Path],
    folder: Path,
    settings: QuizSettings | None = None,
    command: str = "",
    progress: Progress = silent,
    held: bool = False,
) -> Manifest[QuizResults]:
    """Make a quiz of galleries: which of two photos excites a unit?

    Args:
        folders: Folders that ``vizcnn gallery`` wrote, of one net: of the strongest places, one for
            each way to project, and of photos that do not excite the units.
        folder: Where the quiz goes; complete or untouched.
        settings: How many questions, and how they are drawn.
        command: The command that repeats the run.
        progress: Shows how far it is.
        held: The caller holds the folder already, by :func:`vizcnn.basics.output.open_folder`.

    Returns:
        What was written, as in manifest.json.

    Raises:
        DataError: If galleries are of different nets, lack exciting or calm photos, or no unit has
            enough of both.
        ManifestError: If a folder is no gallery.
        VizcnnError: If the folder is not vizcnn's own, or the disk is full.
    """
    settings = settings or QuizSettings()
    offer = list_questions(read_galleries(folders), settings.seed)
    questions = choose_questions(offer.questions, settings.units, settings.seed)
    if not questions:
        told = "; ".join(f"{count} {reason}" for reason, count in offer.left_out)
        raise DataError(
            f"no unit of {quote(str(offer.strong[0].folder))} can be asked about ({told}): take "
            "more photos, or other layers"
        )
    with write_folder(folder, held=held) as staging:
        results, photos = _write_pictures(offer, questions, staging, progress)
        manifest = _describe(offer, results, photos, settings, command)
        write_gallery(manifest, staging)
    return replace(manifest, folder=folder)


def _describe(
    offer: Offer,
    results: QuizResults,
    photos: Sequence[Photo],
    settings: QuizSettings,
    command: str,
) -> Manifest[QuizResults]:
    first = offer.strong[0]
    made = describe_run(results, first.title, [], settings, command, photos)
    made = replace(
        made, nets=first.nets, settings={**asdict(settings), "galleries": _name_ways(offer.strong)}
    )
    data = _write_data(made)
    return replace(
        made, results=replace(results, quiz=hashlib.sha256(data.encode()).hexdigest()[:16])
    )


def _name_ways(galleries: Sequence[Gallery]) -> list[str]:
    ways = dict.fromkeys(tell_way(one) for one in galleries)
    return [f"{method}, {part}" for method, part in ways]


def list_conditions(strong: Sequence[Gallery]) -> tuple[Condition, ...]:
    """List what can be shown beside the photos: nothing, and the pictures of each way."""
    ways = {tell_way(one): one for one in strong}
    methods = len({method for method, _ in ways})
    conditions = [Condition(key=ALONE, title="photos alone", heading="", legend="")]
    for (method, part), gallery in ways.items():
        what = "projections" if part == "whole" else f"{part} parts of the projections"
        by = f" by {method}" if methods > 1 else ""
        scaling = gallery.results.layers[0].scaling
        conditions.append(
            Condition(
                key=write_key(gallery),
                title=f"with {what}{by}",
                heading=_HEADS[part],
                legend=f"By the {method}: {_NAMED[part]}; {scaling}",
            )
        )
    return tuple(conditions)


_HEADS = {"whole": "Their projections", "own": "Their own parts", "common": "Their common parts"}
_NAMED = {
    "whole": "what of a photo the unit answers to",
    "own": "what of a photo the unit answers to and other active units do not",
    "common": "what of a photo the unit answers to as other active units do",
}


class _Pictures:
    """Writes the pictures of a quiz, each once, under names that tell nothing."""

    def __init__(self, staging: Path) -> None:
        self._staging = staging
        self._numbers: dict[str, int] = {}
        self.photos: list[Photo] = []

    def add_photo(self, seen: Seen, box: bool) -> QuizPhoto:
        """Copy a photo's image, and describe what the unit does in it."""
        digest = seen.photo.sha256
        if digest not in self._numbers:
            content = read_plain_file(seen.file, "photo", DataError, largest=LARGEST_PICTURE)
            name = f"{PICTURES}/{hashlib.sha256(content).hexdigest()[:16]}.webp"
            target = self._staging / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
            self._numbers[digest] = len(self.photos)
            self.photos.append(replace(seen.photo, image=name))
        place = seen.place
        return QuizPhoto(
            photo=self._numbers[digest],
            activation=place.activation,
            box=place.box if box else None,
        )

    def add_tiles(self, tiles: Tiles) -> QuizPictures:
        """Cut projections out of a sheet."""
        exact = is_crisp(tiles)
        files = tuple(self._save(pixels, exact) for pixels in cut_tiles(tiles))
        return QuizPictures(condition=write_key(tiles.gallery), files=files)

    def _save(self, pixels: Pixels, exact: bool) -> str:
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        name = f"{PICTURES}/{digest[:16]}.webp"
        save_image(pixels, self._staging / name, exact, flush=False)
        return name


def is_crisp(tiles: Tiles) -> bool:
    """Tell whether projections have so few pixels that they are shown with hard edges."""
    return max(tiles.layer.window) <= CRISP_BELOW


def write_key(gallery: Gallery) -> str:
    """Write the key of the condition that shows a gallery's pictures."""
    return "-".join(tell_way(gallery))


def cut_tiles(tiles: Tiles) -> Iterator[Pixels]:
    """Cut the projections of a unit out of its large sheet, (h, w, 3) each.

    Raises:
        DataError: If the sheet is not an image of the size that the manifest says.
    """
    layer, sheet = tiles.layer, tiles.unit.large
    assert tiles.gallery.folder is not None and sheet is not None  # read from a folder, with places
    file = tiles.gallery.folder / sheet
    content = read_plain_file(file, "sheet", DataError, largest=LARGEST_PICTURE)
    try:
        with Image.open(BytesIO(content)) as image:
            if image.size != layer.large_px:
                raise DataError(
                    f"the sheet {quote(str(file))} is not of the size that its manifest "
                    "says: write the gallery again"
                )
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise DataError(f"the sheet {quote(str(file))} cannot be read ({error})") from None
    (rows, columns), (gap, middle) = layer.grid, layer.large_gaps
    width = ((layer.large_px[0] - middle) // 2 - gap * (columns - 1)) // columns
    height = (layer.large_px[1] - gap * (rows - 1)) // rows
    for slot in tiles.slots:
        top, left = (slot // columns) * (height + gap), (slot % columns) * (width + gap)
        yield np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _write_pictures(
    offer: Offer, questions: Sequence[Question], staging: Path, progress: Progress
) -> tuple[QuizResults, list[Photo]]:
    pictures = _Pictures(staging)
    (staging / PICTURES).mkdir()
    units = []
    for question in progress(questions, label="pictures", total=len(questions), unit="unit"):
        exciting, calm = question.asked
        units.append(
            QuizUnit(
                layer=question.layer,
                unit=question.unit,
                exciting=tuple(pictures.add_photo(seen, True) for seen in question.exciting),
                calm=tuple(pictures.add_photo(seen, False) for seen in question.calm),
                asked=(pictures.add_photo(exciting, False), pictures.add_photo(calm, False)),
                pictures=tuple(map(pictures.add_tiles, question.pictures)),
                crisp=is_crisp(question.pictures[0]),
            )
        )
    results = QuizResults(
        quiz="",
        conditions=list_conditions(offer.strong),
        units=tuple(units),
        data=offer.strong[0].results.data.describe,
        left_out=offer.left_out,
    )
    return results, pictures.photos


def _write_data(manifest: Manifest[QuizResults]) -> str:
    """Write what the page asks, as JSON."""
    results, photos = manifest.results, manifest.photos
    width, height = manifest.nets[0].input_size

    def place(box: tuple[int, int, int, int] | None) -> list[float] | None:
        if box is None or box == (0, 0, height, width):  # a frame around all of it says nothing
            return None
        top, left, bottom, right = box
        shares = (top / height, left / width, (bottom - top) / height, (right - left) / width)
        return [round(100 * share, 2) for share in shares]

    def show(photo: QuizPhoto) -> dict[str, Any]:
        return {
            "file": photos[photo.photo].image,
            "name": photos[photo.photo].name,
            "value": float(f"{photo.activation:.4g}"),
            "box": place(photo.box),
        }

    told = {
        "quiz": results.quiz,
        "vizcnn": manifest.vizcnn,
        "title": f"{manifest.title}, {', '.join(dict.fromkeys(u.layer for u in results.units))}",
        "crisp": max(width, height) <= CRISP_BELOW,
        "conditions": [asdict(condition) for condition in results.conditions],
        "units": [
            {
                "layer": unit.layer,
                "unit": unit.unit,
                "exciting": [show(photo) for photo in unit.exciting],
                "calm": [show(photo) for photo in unit.calm],
                "asked": [show(photo) for photo in unit.asked],
                "pictures": {shown.condition: shown.files for shown in unit.pictures},
                "crisp": unit.crisp,
            }
            for unit in results.units
        ],
        # of every score that a player can have, so that page and command say the same
        "intervals": [
            [[round(end, 4) for end in find_interval(right, count)] for right in range(count + 1)]
            for count in range(len(results.units) + 1)
        ],
    }
    return json.dumps(told, separators=(",", ":"))
