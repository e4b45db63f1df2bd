"""``vizcnn explore``: a page that asks a folder of answers, prepared ahead."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.files import write_text
from vizcnn.basics.kept_parts import keep_parts
from vizcnn.basics.output import write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.explorer.explored import ExploredNet, ExploredPhoto, explore_file
from vizcnn.explorer.explorer import Explorer, ExplorerSettings, Question, name_answer
from vizcnn.gallery.explorer_files import list_page_files
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.pages.page import describe_causes, describe_photo, describe_run, use_photos, write_page
from vizcnn.photos.samples import name_distinctly
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.active_units import Compare
from vizcnn.projection.methods import describe_method


@dataclass(frozen=True, kw_only=True)
class ExploreChoices:
    """What the answers depend on beside nets and photos, as plain values.

    Attributes:
        layers: Names of each net's layers, by what links call the net.
        methods: Of each method its paper and choices.
        compare, top, own: As in :class:`~vizcnn.explorer.explorer.ExplorerSettings`.
        strongest: Of what photos each net's strongest places are, in words; None where there is no
            index of them.
    """

    layers: dict[str, tuple[str, ...]]
    methods: dict[str, str]
    compare: Compare | None
    top: int | None
    own: int | None
    strongest: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class ExploreResults(Results):
    """The answers of an explorer's page.

    Attributes:
        answers: The files of the answers.
        size: Bytes of all answers.
    """

    kind: ClassVar[str] = "explore"
    static: ClassVar[tuple[str, ...]] = list_page_files()
    answers: tuple[RelativeFile, ...]
    size: int

    @property
    def shown(self) -> tuple[str, ...]:
        """Nothing: the pictures lie in the answers."""
        return ()


def make_explorer(
    nets: Sequence[ExploredNet],
    photos: Sequence[PhotoFile],
    folder: Path,
    settings: ExplorerSettings,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[ExploreResults]:
    """Answer everything that the page may ask, and write it as a folder that opens from disk.

    Each answer is kept as soon as it is there: a run that was stopped goes on with them.

    Args:
        nets: The nets.
        photos: Photo files; those that cannot be read are listed, the others go through.
        folder: Where the page goes; complete or untouched.
        settings: What is shown.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If no photo can be read, or a net or a method cannot do what is asked.
    """
    failures: list[Failure] = []
    taken = take_photos(photos, failures, progress)
    settings = replace(settings, notes=(*settings.notes, *_tell_limits(settings)))
    explorer = Explorer(nets, list(taken.values()), settings)
    choices = ExploreChoices(
        layers={net.key: net.layers for net in nets},
        methods={method.name: describe_method(method) for method in settings.methods},
        compare=settings.compare,
        top=settings.top,
        own=settings.own,
        strongest=tuple(net.strongest.photos.describe() if net.strongest else None for net in nets),
    )
    models = [net.net for net in nets]
    told = [(photo.name, photo.word) for photo in explorer.photos]
    told += [(net.command, net.python) for net in nets]
    places = [net.strongest and net.strongest.hash_places() for net in nets]
    causes = describe_causes(models, list(taken), choices, told=told, strongest=places)
    asked = explorer.list_questions()
    keys = [name_answer(question) for question in asked]
    size = 0
    with keep_parts(folder, causes) as parts, write_folder(folder, held=True) as staging:
        for number in parts.count_off(keys, progress, label="explore", unit="answer"):
            key = keys[number]
            answer = partial(_write_script, explorer, asked[number], key)
            script = parts.get(key, answer)["script"].tobytes()
            write_text(staging / _name_file(key), script.decode(), flush=False)
            size += len(script)
        results = ExploreResults(
            answers=tuple(map(_name_file, keys)),
            size=size,
        )
        used = [describe_photo(path, name=photo.name) for path, photo in taken.items()]
        title = f"Explorer: {', '.join(model.title for model in models)}"
        run = describe_run(results, title, models, choices, command, used, failures)
        return write_page(run, (), staging)


def take_photos(
    photos: Sequence[PhotoFile], failures: list[Failure], progress: Progress = silent
) -> dict[PhotoFile, ExploredPhoto]:
    """Take the photos that can be read, under names that tell them apart.

    Args:
        photos: Photo files.
        failures: Gets those that cannot be read.
        progress: Shows how far it is.

    Raises:
        VizcnnError: If none can be read.
    """
    names = name_distinctly(photos)

    def take(path: PhotoFile) -> ExploredPhoto:
        photo = explore_file(path, names[path])
        photo.read()
        return photo

    return dict(use_photos(photos, take, failures, "read", progress))


def _name_file(key: str) -> str:
    return f"data/{key}.js"


def _write_script(explorer: Explorer, question: Question, key: str) -> dict[str, NDArray[Any]]:
    script = explorer.ask(question).to_script(key).encode()
    return {"script": np.frombuffer(script, np.uint8)}


def _tell_limits(settings: ExplorerSettings) -> Iterator[str]:
    """Say of which units there are no pictures, for the page."""
    if settings.top is not None:
        yield f"Pictures are of the {settings.top} strongest units of each layer on each photo."
    if settings.own is not None and settings.compare is not None:
        yield f"Own parts are of the {settings.own} strongest units of each layer on each photo."
