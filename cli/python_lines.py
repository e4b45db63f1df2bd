"""The lines of Python that project a unit of a page, for those who go on from there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizcnn.cli.page_command import Page
from vizcnn.photos.samples import find_sample_name

if TYPE_CHECKING:
    from vizcnn.pages.page import MethodSettings
    from vizcnn.projection.targets import Position


def write_lines(
    page: Page,
    settings: "MethodSettings",
    photo: Path,
    layer: str,
    unit: int,
    position: "Position",
) -> str:
    """Write what projects a unit of a photo in Python, with the choices of the command.

    Args:
        page: The command's shared options.
        settings: Its own.
        photo: The photo's file.
        layer: Name of the layer.
        unit: Number of the unit.
        position: Where in the feature map.

    Returns:
        Lines that run in a fresh Python.
    """
    sample = find_sample_name(photo)
    read = f"find_sample({sample!r})" if sample else repr(str(photo))
    ways: dict[str, Any] = {
        "passes_over_normalisation": settings.passes_over_normalisation,
        "unruled": settings.unruled,
        "gates": settings.gates,
        "seed": settings.start,
        "precision": page.precision,
    }
    unsaid = (None, "refuse", "exact")
    changed = {name: value for name, value in ways.items() if value not in unsaid}
    wanted: dict[str, Any] = {"unit": unit}
    if position != "max":
        wanted["position"] = position
    if settings.part != "whole":
        wanted["compare"] = settings.compare
    lines = [
        "import vizcnn",
        *(["from vizcnn.photos.samples import find_sample"] if sample else []),
        f"model = {_write_load(page)}",
        f"projector = vizcnn.Projector(model, {_write(repr(settings.method), **changed)})",
        f"seen = projector.project(model.read({read}), {_write(repr(layer), **wanted)})",
    ]
    part = "" if settings.part == "whole" else f".{settings.part}"
    return "\n".join(lines) + part


def _write_load(page: Page) -> str:
    (name,), (weights,) = page.models, page.weights
    options: dict[str, Any] = {"weights": weights}
    if weights == "auto":
        options = {}
    elif weights in ("random", "none"):
        options = {"weights": None, "seed": page.seed}
    fitted = page.fit is not None or page.size is not None
    fit = f".fit_photos({page.fit!r}, {page.size!r})" if fitted else ""
    return f"vizcnn.load({_write(repr(name), **options)}){fit}"


def _write(first: str, **options: Any) -> str:
    """Write the arguments of a call."""
    return ", ".join([first, *(f"{name}={value!r}" for name, value in options.items())])
