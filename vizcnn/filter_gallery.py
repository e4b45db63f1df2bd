"""The first layer's filters -> a grid figure, a page and a table of measures."""

from pathlib import Path

import torch
from torch import Tensor, nn

from vizcnn import __version__
from vizcnn.errors import ModelError
from vizcnn.figures import draw_filters
from vizcnn.filters import measure_filters
from vizcnn.gallery.manifest import FilterManifest, FilterTile
from vizcnn.gallery.site import write_gallery
from vizcnn.output import write_folder
from vizcnn.photo_gallery import describe_weights, list_versions
from vizcnn.saving import FigureFormat, save_figure, save_image
from vizcnn.tiles import Array, Scaling, scale_signed, to_bytes
from vizcnn.zoo.model import ZooModel


def make_filter_gallery(
    model: ZooModel,
    folder: Path,
    scaling: Scaling = "unit",
    figure_format: FigureFormat = "png",
    command: str = "",
) -> FilterManifest:
    """Draw the first layer's filters and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo.
        folder: Where the gallery goes; complete or untouched.
        scaling: Contrast of each filter, or one for all.
        figure_format: Format of the grid figure.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If the net does not begin with a convolution of three colours.
    """
    path, weight = find_first_filters(model)
    shown = scale_filters(weight, scaling)
    words = describe_filter_scaling(scaling)
    title = f"{model.title}: the {len(shown)} filters of the first layer"
    with write_folder(folder) as staging:
        figure = draw_filters(shown, title, f"{model.provenance.describe()} · {words}")
        save_figure(figure, staging / f"filters.{figure_format}")
        manifest = FilterManifest(
            vizcnn=__version__,
            command=command,
            model=model.name,
            title=model.title,
            layer="conv1",
            path=path,
            weights=describe_weights(model),
            scaling=words,
            figures=(f"filters.{figure_format}",),
            filters=_write_tiles(weight, shown, staging),
            settings={"scaling": scaling, "format": figure_format, "net": model.options},
            versions=list_versions(),
        )
        write_gallery(manifest, staging)
    return manifest


def find_first_filters(model: ZooModel) -> tuple[str, Tensor]:
    """Find the first convolution and its filters with respect to RGB pixels.

    Args:
        model: A net of the zoo.

    Returns:
        Module path, and weights (F, 3, h, w) in RGB order, by the chain rule through the net's
        preprocessing.

    Raises:
        ModelError: If the first convolution does not take three colours.
    """
    for path, module in model.module.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.weight.shape[1] != 3:
                raise ModelError(
                    f"the first convolution of {model.name} takes {module.weight.shape[1]} maps; "
                    "needed: 3 colours"
                )
            return path, model.preprocessing.to_pixel_gradient(module.weight.detach().float().cpu())
    raise ModelError(f"{model.name} has no convolution: there are no filters to draw")


def scale_filters(weight: Tensor, scaling: Scaling) -> list[Array]:
    """Scale filters for showing, zero as mid grey.

    Args:
        weight: (F, 3, h, w).
        scaling: ``"unit"``: each by its own largest absolute weight; ``"shared"``: all by one.

    Returns:
        (h, w, 3) each, 0..1.
    """
    limits = weight.abs().amax(dim=(1, 2, 3))
    if scaling == "shared":
        limits = torch.full_like(limits, limits.max().item())
    arrays: list[Array] = [filter.permute(1, 2, 0).numpy() for filter in weight]
    return [scale_signed(a, limit) for a, limit in zip(arrays, limits.tolist(), strict=True)]


def describe_filter_scaling(scaling: Scaling) -> str:
    """Say in words how filters were scaled."""
    whose = "each filter's own" if scaling == "unit" else "the layer's"
    return f"zero is mid grey; full contrast: {whose} largest |weight|"


def _write_tiles(weight: Tensor, shown: list[Array], staging: Path) -> tuple[FilterTile, ...]:
    measures = measure_filters(weight)
    tiles = []
    for index, filter in enumerate(shown):
        name = f"filters/filter-{index:04d}.png"
        save_image(to_bytes(filter), staging / name)
        tiles.append(
            FilterTile(
                index=index,
                rms=measures.rms[index].item(),
                rough=measures.high_share[index].item(),
                image=name,
                width_px=filter.shape[1],
                height_px=filter.shape[0],
            )
        )
    return tuple(tiles)
