"""Several nets or methods at once: a folder with a whole page for each, and an index of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vizcnn.basics.kept_parts import FOLDER_NAME as KEPT_NAME
from vizcnn.basics.output import LIST_NAME, open_folder, write_folder
from vizcnn.gallery.manifest import Manifest, Results, View
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.layers.work_folder import WORK_NAME
from vizcnn.pages.page import describe_run
from vizcnn.zoo.model import ZooModel

SHOWN_VIEWS = 24
"""Photos, figures or layers of which pictures stand on the index; the runs' pages have all."""


@dataclass(frozen=True)
class Plan:
    """One run of several.

    Attributes:
        name: Name of its folder.
        title: What tells it from the others: net and method.
        model: The net.
        make: Makes its page in a folder.
    """

    name: str
    title: str
    model: ZooModel
    make: Callable[[Path], Manifest[Any]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, as the index shows it.

    Attributes:
        title: What tells it from the others.
        folder: Its folder, beside the index.
        weights: Where the net's weights come from.
        views: What stands for it, in the same order for all runs.
    """

    title: str
    folder: str
    weights: str
    views: tuple[View, ...]


@dataclass(frozen=True, kw_only=True)
class RunsResults(Results):
    """Runs of one command, side by side.

    Attributes:
        command: The command.
        runs: The runs, in the order asked for.
    """

    kind: ClassVar[str] = "runs"
    command: str
    runs: tuple[Run, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Titles of what the runs are shown by, such as the names of photos, each once."""
        titles = [view.title for run in self.runs for view in run.views]
        return tuple(dict.fromkeys(titles))[:SHOWN_VIEWS]


def make_runs(
    plans: Sequence[Plan],
    folder: Path,
    kind: str,
    settings: dict[str, Any],
    command: str = "",
    resumed: bool = False,
) -> Manifest[RunsResults]:
    """Make the pages of several runs, and an index that links them.

    Args:
        plans: The runs.
        folder: Where they go, each in a folder of its own; complete or untouched.
        kind: The command.
        settings: What was chosen, by name.
        command: The command that repeats all of them.
        resumed: Each run is written to its place as soon as it is complete, and goes on where it
            was when it is made again; only the index waits for all.

    Returns:
        The index, as in its manifest.json. Its failures are those of all runs, each once.

    Raises:
        VizcnnError: What a run raises.
    """
    if resumed:
        with open_folder(folder, own=_holds_runs(folder)):
            runs = [plan.make(folder / plan.name) for plan in plans]
            with write_folder(folder, held=True) as staging:
                return _write_index(plans, runs, staging, kind, settings, command)
    with write_folder(folder) as staging:
        runs = [plan.make(staging / plan.name) for plan in plans]
        return _write_index(plans, runs, staging, kind, settings, command)


def _holds_runs(folder: Path) -> bool:
    """Tell whether all that a folder holds are runs, whose index was never written."""
    return folder.is_dir() and all(
        (path / LIST_NAME).is_file()
        or any((path / name).is_dir() for name in (WORK_NAME, KEPT_NAME))
        for path in folder.iterdir()
    )


def _write_index(
    plans: Sequence[Plan],
    runs: Sequence[Manifest[Any]],
    folder: Path,
    kind: str,
    settings: dict[str, Any],
    command: str,
) -> Manifest[RunsResults]:
    failures = list(dict.fromkeys(failure for run in runs for failure in run.failures))
    models = list({id(plan.model): plan.model for plan in plans}.values())
    titles = ", ".join(dict.fromkeys(model.title for model in models))
    results = RunsResults(
        command=kind,
        runs=tuple(
            Run(
                title=plan.title,
                folder=plan.name,
                weights=plan.model.provenance.describe(),
                views=run.results.list_views(run),
            )
            for plan, run in zip(plans, runs, strict=True)
        ),
    )
    title = ": ".join(filter(None, [titles, ", ".join(settings.get("methods", ()))]))
    index = describe_run(results, title, models, settings, command, (), failures)
    write_gallery(index, folder)
    return index
