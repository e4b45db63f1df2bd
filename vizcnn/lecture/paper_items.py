"""The figures and tables of Zeiler & Fergus' paper: what each shows, and what makes ours."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.errors import VizcnnError, nearest_names, quote
from vizcnn.basics.output import FigureFormat
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.tables import Cell, Table
from vizcnn.drawing.words import percent, show_decimal, show_number
from vizcnn.gallery.manifest import Manifest
from vizcnn.measures.published import read_published
from vizcnn.photos.samples import SAMPLES, find_sample, name_photo
from vizcnn.photos.stored import PhotoFile
from vizcnn.photos.stores import find_photos
from vizcnn.zoo.model import ZooModel

SHOWN_UNITS = 16
"""Units of each layer in Figure 2, the same numbers in every layer."""
FIGURE_5, FIGURE_7 = 5, 3
"""Photos of these figures, as many as the paper's."""
CLIPPED = 0.1
"""Radius of the paper's feature scale clipping (section 3)."""
COUNTS = (1, 5, 15, 30, 45, 60)
"""Training photos a class in Figure 9 and Tables 4 and 5, as far as the photos allow."""


@dataclass(frozen=True)
class Paper:
    """What the paper's figures and tables are made from.

    Attributes:
        net: The net that stands for the paper's.
        former: The one that it is compared with (Krizhevsky et al.); None for none.
        photos: Folders of photos, or photos; patches of the sample photos, and samples, when empty.
        train: Folder with train/ and val/ of class folders; None where nothing is trained.
        epochs: Of the trainings of Table 3; the recipe's when None.
        seeds: How many trainings of each of its rows.
        seed: Of everything random.
        figure_format: Format of the figures.
        quote: Writes the command that repeats an item.
        progress: Shows how far it is.
    """

    net: ZooModel
    former: ZooModel | None = None
    photos: tuple[PurePath, ...] = ()
    train: Path | None = None
    epochs: int | None = None
    seeds: int = 1
    seed: int = 0
    figure_format: FigureFormat = "png"
    quote: Callable[[str], str] = lambda name: ""
    progress: Progress = silent

    def choose_photos(self, count: int) -> Sequence[PhotoFile]:
        """Choose single photos: drawn by the seed from those given, or samples."""
        if not self.photos:
            found = [find_sample(name) for name in SAMPLES if name not in ("hubble", "retina")]
            return [path for path in found if path][:count]
        listed = list(find_photos(self.photos))
        drawn = random.Random(self.seed).sample(range(len(listed)), min(count, len(listed)))
        return [listed[number] for number in sorted(drawn)]

    def say_photos(self) -> str:
        """Say what photos are looked at."""
        return "your photos" if self.photos else "scikit-image’s sample photos"

    def say_weights(self) -> str:
        """Say how the net differs from the paper's."""
        origin, size = self.net.provenance, f"{self.net.input_size} px"
        if origin.source == "random":
            return f"Random weights, {size}, and not trained on ImageNet 2012 at 224 px"
        return f"Trained on {origin.data} at {size}, the paper’s net on ImageNet 2012 at 224 px"


@dataclass(frozen=True, kw_only=True)
class ItemFigure:
    """A figure that stands for an item.

    Attributes:
        file: The figure, in the item's folder.
        title: What it is.
        text: What is to be seen, for those who cannot see it.
    """

    file: RelativeFile
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ItemPage:
    """A page of an item.

    Attributes:
        file: The page, in the item's folder.
        title: What it is.
    """

    file: RelativeFile
    title: str


@dataclass(frozen=True, kw_only=True)
class MadeItem:
    """What came of an item.

    Attributes:
        ours: What was found, in a sentence or two with numbers.
        differs: Why that is not what the paper prints: weights, photos, scale.
        figures: Figures that stand for it.
        pages: Pages with more.
        tables: Our numbers beside the paper's.
    """

    ours: str
    differs: str
    figures: tuple[ItemFigure, ...] = ()
    pages: tuple[ItemPage, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class PaperItem:
    """A figure or table of the paper, or several that one page makes.

    Attributes:
        name: Name of its folder.
        labels: What the paper calls it.
        title: What it shows.
        printed: What the paper prints, or says of it.
        place: Where.
        make: Makes it in a folder of its own; None for what cannot be made.
        reason: Why it cannot be.
        trains: Whether it needs photos of classes to train on.
    """

    name: str
    labels: tuple[str, ...]
    title: str
    printed: str
    place: str
    make: Callable[[Paper, Path], MadeItem] | None
    reason: str = ""
    trains: bool = field(default=False)

    def explain_absence(self, paper: Paper) -> str:
        """Say why it is not made of these nets and photos; empty where it is."""
        if self.make is None:
            return self.reason
        if self.trains and paper.train is None:
            return "needs photos of classes to train on: --train FOLDER"
        return ""


def take_page(manifest: Manifest[Any], folder: str, title: str, most: int = 2) -> dict[str, Any]:
    """Give the first figures of a page, and the page, as fields of a :class:`MadeItem`.

    Args:
        manifest: What was written.
        folder: Its folder in the item's; empty for that itself.
        title: What the page is.
        most: Figures that stand for it, at most.
    """
    inside = f"{folder}/" if folder else ""
    views = manifest.results.list_views(manifest)[:most]
    return {
        "figures": tuple(
            ItemFigure(file=f"{inside}{file}", title=view.title, text=view.text)
            for view in views
            for file in view.files[:1]
        ),
        "pages": (ItemPage(file=f"{inside}index.html", title=title),),
    }


def make_attachment(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 1: a deconvnet attached to a layer, with the numbers of one window."""
    from vizcnn.pages.attached import make_attached_figure

    (photo,) = paper.choose_photos(1)
    found = make_attached_figure(paper.net, photo)
    file = f"attached.{paper.figure_format}"
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(found.draw(), folder / file)
    pair = found.pair
    return MadeItem(
        ours=f"Pooling window at its maximum {show_number(pair.maximum)}, switch at row "
        f"{pair.switch[0]}, column {pair.switch[1]}; {show_number(pair.sent)} goes back to it.",
        differs=f"{paper.say_weights()}. The paper’s drawing has no numbers; these are of "
        f"the photo {name_photo(photo)}.",
        figures=(ItemFigure(file=file, title=found.title, text=found.text),),
    )


def make_architecture(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 3: the architecture to scale."""
    from vizcnn.lecture.architecture import draw_architecture
    from vizcnn.lecture.net_tables import make_layer_table

    file = f"architecture.{paper.figure_format}"
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(
        draw_architecture("zfnet", "Computed from the net’s recorded graph."), folder / file
    )
    table = make_layer_table("zfnet")
    text = "ZFNet’s layers as boxes to scale"
    sizes = {
        str(row[0]).rpartition(".")[2]: row[table.columns.index("output")] for row in table.rows
    }
    told = ", ".join(
        f"{name} {sizes[name]}" for name in ("input", "conv1", "pool1", "conv4", "pool5")
    )
    return MadeItem(
        ours=f"{told}.",
        differs="The net here is the larger one of section 5.1; Figure 3 has 384, 384, 256 maps.",
        figures=(ItemFigure(file=file, title="ZFNet to scale", text=text),),
        tables=(table,),
    )


def make_strongest(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 2: the nine strongest activations of some units of each layer."""
    from vizcnn.mining.photo_sets import open_photos
    from vizcnn.pages.layers.gallery import make_top_gallery
    from vizcnn.pages.layers.job import TopSettings
    from vizcnn.recording.layers import select_stages

    photos = open_photos(paper.photos, paper.net.preprocessing)
    layers = select_stages(paper.net)
    counts = count_units(paper.net, layers)
    least = min(counts.values())
    drawn = random.Random(paper.seed).sample(range(least), min(SHOWN_UNITS, least))
    settings = TopSettings(
        layers=layers,
        units=tuple(sorted(drawn)),
        poster=True,
        poster_units=len(drawn),
        seed=paper.seed,
        workers=0,
    )
    manifest = make_top_gallery(
        paper.net,
        photos,
        settings,
        folder,
        command=paper.quote("figure-2"),
        progress=paper.progress,
    )
    return MadeItem(
        ours=f"{len(drawn)} units of each layer, of the same numbers in all, drawn by seed "
        f"{paper.seed}, over {photos.describe()}.",
        differs=f"{paper.say_weights()}. The paper looks through ImageNet’s 50,000 validation "
        f"photos: among {len(photos.names)} few units find nine that they are strong on.",
        figures=tuple(
            ItemFigure(
                file=next(
                    (file for file in layer.posters if file.endswith(paper.figure_format)),
                    layer.posters[0],
                ),
                title=layer.name,
                text=f"{layer.name}: the nine strongest projections of units, and their patches",
            )
            for layer in manifest.results.layers
        ),
        pages=(ItemPage(file="index.html", title="All units, photo by photo"),),
    )


def count_units(model: ZooModel, layers: Sequence[str]) -> dict[str, int]:
    """Count the units of layers."""
    from vizcnn.receptive.fields import measure_fields

    return {entry.name: entry.maps for entry in measure_fields(model, layers)}


def make_evolution(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 4 from the run of LeNet-5 that comes with the package."""
    from vizcnn.pages.evolve import EvolveSettings, make_evolve_gallery
    from vizcnn.training.digit_photos import DigitPhotos
    from vizcnn.training.moments import find_run

    run = find_run("lenet")
    photos = DigitPhotos(run.moments[-1].load().preprocessing)
    settings = EvolveSettings(seed=paper.seed, figure_format=paper.figure_format, workers=0)
    manifest = make_evolve_gallery(
        run, photos, folder, settings, paper.quote("figure-4"), paper.progress
    )
    told = [
        f"{layer.name} at epoch "
        + ("–" if layer.course.converged is None else str(layer.course.converged))
        for layer in manifest.results.layers
    ]
    return MadeItem(
        ours=f"Pictures stay what they are in the end from: {', '.join(told)}.",
        differs="LeNet-5 on digits, three layers of its own, over the photos that it was trained "
        "on; the paper’s net was trained for 70 epochs on 1.3 million photos. Keep epochs of your "
        "own training (vizcnn train --keep 1,2,5,10,20,30,40,64) for vizcnn evolve.",
        **take_page(manifest, "", "What units see through the training", most=3),
    )


def make_invariances(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 5: translation, scale, rotation."""
    from vizcnn.pages.invariance import InvarianceSettings, make_invariance_gallery

    manifest = make_invariance_gallery(
        paper.net,
        paper.choose_photos(FIGURE_5),
        folder,
        InvarianceSettings(figure_format=paper.figure_format),
        paper.quote("figure-5"),
        paper.progress,
    )
    told = [
        f"{row.kind}, {row.layer}: {show_decimal(row.relative)}"
        for row in manifest.results.summarise()
    ]
    return MadeItem(
        ours="Mean distance from the photo itself, in units of the distance of two photos: "
        + "; ".join(told)
        + ".",
        differs=f"{paper.say_weights()}. Photos: {paper.say_photos()}. The paper’s distances have "
        "no unit, and what came in at its borders it does not say.",
        **take_page(manifest, "", "Invariance and equivariance"),
    )


def make_occlusions(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 7: a grey square over three photos."""
    from vizcnn.mining.index import INDEX_NAME
    from vizcnn.pages.occlude import OccludeSettings, make_occlude_gallery

    photos = paper.choose_photos(FIGURE_7)
    # the units' other photos, where Figure 2 has looked through a folder of them
    index = folder.parent / "figure-2" / INDEX_NAME
    mined = bool(paper.photos) and index.is_file()
    manifest = make_occlude_gallery(
        paper.net,
        photos,
        folder,
        OccludeSettings(figure_format=paper.figure_format),
        paper.quote("figure-7"),
        index if mined else None,
        paper.photos if mined else (),
        paper.progress,
    )
    told = [
        f"{photo.name}: {found.class_name} {percent(found.probability.whole)}, at worst "
        f"{percent(found.probability.whole - found.probability.drop)}"
        for photo, found in zip(manifest.photos, manifest.results.photos, strict=True)
    ]
    chosen = manifest.results.photos[0]
    guesses = [found.class_basis == "predicted" for found in manifest.results.photos]
    guessed = " Where no folder names the class it is the net’s own guess." if any(guesses) else ""
    return MadeItem(
        ours="Probability of the class in the whole photo, and where hiding hurts most: "
        f"{'; '.join(told)}.",
        differs=f"{paper.say_weights()}. Photos: {paper.say_photos()}. The paper tells neither "
        f"side nor step of its square; here {chosen.side} px every {chosen.stride} px.{guessed}",
        **take_page(manifest, "", "Squares hidden", most=3),
    )


def make_correspondences(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 8 and Table 1: the same part hidden in several photos."""
    from vizcnn.pages.correspond import CorrespondSettings, make_correspond_gallery
    from vizcnn.photos.part_boxes import SHIPPED, read_parts

    manifest = make_correspond_gallery(
        paper.net,
        read_parts(SHIPPED),
        folder,
        CorrespondSettings(seed=paper.seed, figure_format=paper.figure_format),
        paper.quote("table-1"),
        paper.progress,
    )
    results = manifest.results
    low, high = results.layers[0], results.layers[-1]
    scores = {(score.part, score.layer): score for score in results.scores}
    printed = {str(row[0]): row for row in read_published().table("zfnet-correspondence").rows}

    def write(part: str, layer: str) -> str:
        found = scores[part, layer]
        return (
            f"{found.mean:.3f} ± {found.deviation:.3f}, squares {found.squares:.3f} ± "
            f"{found.squares_deviation:.3f}"
        )

    rows: list[tuple[Cell, ...]] = []
    for part in results.parts:
        told = printed.get(part.replace("_", " "), (None,) * 5)
        rows.append((part, told[1], write(part, low), told[3], write(part, high)))
    squares = printed["random"]
    rows.append(("random squares", squares[1], None, squares[3], None))
    columns = ("hidden", "printed, layer 5", f"ours, {low}", "printed, layer 7", f"ours, {high}")
    lower = [part for part in results.parts if scores[part, low].mean < scores[part, low].squares]
    which = f" ({', '.join(lower)})" if lower else ""
    return MadeItem(
        ours=f"In {low} the signs agree better than those of random squares for {len(lower)} of "
        f"{len(results.parts)} parts{which}.",
        differs=f"{paper.say_weights()}. Other photos and parts than the paper’s five dogs. Zero "
        "is a third sign here, and random squares have each part’s own area.",
        tables=(Table("Hamming distance of signs, a share of the features", columns, tuple(rows)),),
        **take_page(manifest, "", "Parts hidden", most=2),
    )


def make_filters(paper: Paper, folder: Path) -> MadeItem:
    """Make Figure 6: first-layer filters of both nets, and their second layers."""
    from vizcnn.measures.study import LabSettings
    from vizcnn.pages.aliasing import make_aliasing_page
    from vizcnn.pages.filters import FilterSettings, make_filter_gallery

    command = paper.quote("figure-6")
    nets = [net for net in (paper.former, paper.net) if net]
    filters = make_filter_gallery(
        nets,
        folder / "filters",
        FilterSettings(clip=CLIPPED, figure_format=paper.figure_format),
        command,
    )
    lab = make_aliasing_page(
        nets,
        folder / "aliasing",
        list(find_photos(paper.photos)) if paper.photos else (),
        LabSettings(figure_format=paper.figure_format),
        command,
        paper.progress,
    )
    rows: list[tuple[Cell, ...]] = [
        (row.name, *(_write_measure(row.form, value) for value in row.values))
        for row in lab.results.table
    ]
    told = {str(row[0]): ", ".join(map(str, row[1:])) for row in rows}
    named = ("dead filters", "alias share, photos", "grid artefact")
    second = [figure for figure in lab.figures if figure.file.startswith("second-layer")]
    first = take_page(filters, "filters", "Filters of the first layers", most=2)
    return MadeItem(
        ours=f"{', '.join(net.title for net in nets)}: "
        + "; ".join(f"{name} {told[name]}" for name in named if name in told)
        + ".",
        differs=f"{paper.say_weights()}. (a), a net whose filters were never clipped, is not here; "
        "the page shows what clipping would change"
        + ("." if paper.former else "; (b) and (d) need a second --model."),
        figures=(
            *first["figures"],
            *(
                ItemFigure(file=f"aliasing/{figure.file}", title=figure.title, text=figure.text)
                for figure in second
            ),
        ),
        pages=(
            *first["pages"],
            ItemPage(file="aliasing/index.html", title="What the strides fold, layer 1 and 2"),
        ),
        tables=(Table("Measures", ("measure", *(net.title for net in nets)), tuple(rows)),),
    )


def _write_measure(form: str, value: float | None) -> str:
    if value is None or form == "number":
        return show_decimal(value)
    return percent(value) if form == "percent" else f"{value:g}"


def make_error_table(paper: Paper, folder: Path) -> MadeItem:
    """Make Table 2: the paper's error rates, and the nets' own on the photos they were tried on."""
    told = read_published().table("zfnet-errors")
    nets = [net for net in (paper.former, paper.net) if net]
    rows: list[tuple[Cell, ...]] = [
        (
            net.title,
            None if net.provenance.top1 is None else round(100 * (1 - net.provenance.top1), 1),
            None if net.provenance.top5 is None else round(100 * (1 - net.provenance.top5), 1),
            net.provenance.describe(),
        )
        for net in nets
    ]
    known = [row for row in rows if row[1] is not None]
    return MadeItem(
        ours="; ".join(
            f"{row[0]} {row[1]} % top-1" + ("" if row[2] is None else f", {row[2]} % top-5")
            for row in known
        )
        or "these weights tell no accuracy",
        differs="Errors of the weights at hand on the validation photos of what they were trained "
        "on, which is not ImageNet unless it is said: the numbers cannot be compared.",
        tables=(
            Table("Our nets, % error", ("net", "top-1 val", "top-5 val", "weights"), tuple(rows)),
            Table("The paper’s Table 2, % error on ImageNet 2012", told.columns, told.rows),
        ),
    )


def make_ablations(paper: Paper, folder: Path) -> MadeItem:
    """Make Table 3: nets without some layers, and of other widths, trained anew."""
    from vizcnn.basics.devices import name_device
    from vizcnn.pages.ablate import AblateSettings, make_ablate_gallery

    assert paper.train is not None
    settings = AblateSettings(
        seeds=paper.seeds,
        seed=paper.seed,
        epochs=paper.epochs,
        figure_format=paper.figure_format,
    )
    device = name_device(str(next(paper.net.module.parameters()).device))
    manifest = make_ablate_gallery(
        paper.net.name,
        paper.train,
        folder,
        settings,
        paper.quote("table-3"),
        device,
        paper.progress,
    )
    results = manifest.results
    rows: list[tuple[Cell, ...]] = [
        (
            row.title,
            round(100 * row.top1.mean, 1),
            round(100 * row.change.mean, 1) if row.change else None,
            row.printed.top1 if row.printed else None,
            round(row.printed.change, 1) if row.printed else None,
        )
        for row in results.rows
    ]
    columns = ("net", "ours, top-1", "change", "printed, top-1", "change")
    return MadeItem(
        ours=f"{len(rows)} nets trained anew, {paper.seeds} time{'' if paper.seeds == 1 else 's'} "
        f"each; the whole net has {rows[0][1]} % top-1 error.",
        differs=f"The paper’s nets are of {results.scale}; {results.differences}.",
        tables=(Table("% error, validation photos", columns, tuple(rows)),),
        **take_page(manifest, "", "Ablation"),
    )


def make_probes(paper: Paper, folder: Path) -> MadeItem:
    """Make Tables 4, 5 and 7 and Figure 9: linear classifiers on the features of layers."""
    from vizcnn.measures.pooled_features import list_probed_layers
    from vizcnn.measures.probe_photos import ProbeSettings
    from vizcnn.pages.probe import make_probe_gallery

    assert paper.train is not None
    parts = [paper.train / name for name in ("val", "train")]
    split = all(part.is_dir() for part in parts)
    # what the net may have been trained on is not what it is probed on
    photos, training = (parts[0], (parts[1],)) if split else (paper.train, ())
    layers = [name for name in list_probed_layers(paper.net) if name != "fc6"]  # as in Table 7
    settings = ProbeSettings(
        layers=tuple(layers),
        per_class=choose_counts(photos),
        trained_classes="mark",
        seed=paper.seed,
        figure_format=paper.figure_format,
    )
    manifest = make_probe_gallery(
        paper.net, [photos], folder, settings, paper.quote("table-7"), training, paper.progress
    )
    results, most = manifest.results, max(settings.per_class)
    mine = {
        (row.layer, row.classifier, row.untrained): row
        for row in results.rows
        if row.per_class == most
    }
    printed = read_published().table("zfnet-layers")
    rows: list[tuple[Cell, ...]] = []
    for number, classifier, first, _, second, _ in printed.rows:
        for layer in (f"conv{number}", f"fc{number}"):
            if (layer, classifier, False) in mine:
                own = mine[layer, str(classifier), False]  # type: ignore[index]
                rows.append(
                    (layer, classifier, first, second, round(100 * own.accuracy, 1), own.per_class)
                )
    best = max((row for row in mine.values() if not row.untrained), key=lambda row: row.accuracy)
    marked = f"; the net was trained on {len(results.marked)} of them" if results.marked else ""
    return MadeItem(
        ours=f"Best {percent(best.accuracy)} on {best.layer} ({best.classifier}) with {most} "
        f"photos a class; {len(results.classes)} classes{marked}, chance "
        f"{percent(results.chance)}.",
        differs=f"{paper.say_weights()}. Other photos and another number of classes; "
        "near-duplicates are removed from the photos, where the paper removed them from the net’s "
        "training; the baseline is untrained, where the paper’s was trained on the new photos.",
        tables=(
            Table(
                "% accuracy beside the paper’s Table 7",
                ("layer", "classifier", "Caltech-101", "Caltech-256", "ours", "photos a class"),
                tuple(rows),
            ),
        ),
        **take_page(manifest, "", "Linear classifiers, layer by layer"),
    )


def choose_counts(photos: Path) -> tuple[int, ...]:
    """Choose numbers of training photos that two classes at least have, with one to test.

    Raises:
        VizcnnError: If no two classes have two photos.
    """
    from vizcnn.photos.folders import survey_folder

    held = [
        len(survey_folder(folder).names)
        for folder in sorted(photos.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    counts = tuple(count for count in COUNTS if sum(number > count for number in held) >= 2)
    if not counts:
        raise VizcnnError(f"{quote(photos)} holds no two classes of two photos or more")
    return counts


def _print_correspondences() -> str:
    rows = read_published().table("zfnet-correspondence").rows
    return "; ".join(f"{row[0]} {row[1]} (layer 5), {row[3]} (layer 7)" for row in rows)


def _print_errors() -> str:
    told = {row[0]: row for row in read_published().table("zfnet-errors").rows}
    one, all_nets = told["1 net as in Figure 3"], told["6 nets, (a) and (b)"]
    return (
        f"One net {one[1]} / {one[2]} % top-1 / top-5 error, six nets {all_nets[1]} / "
        f"{all_nets[2]} %"
    )


def _print_ablations() -> str:
    told = [
        row for row in read_published().table("zfnet-ablation").rows if "Krizhevsky" in str(row[0])
    ]
    return "; ".join(
        f"{row[1] if row[1] != 'none' else 'all layers'} {row[3]} %" for row in told[:5]
    )


def _print_probes() -> str:
    told = read_published()
    rows = told.table("zfnet-layers").rows
    svm = ", ".join(f"layer {row[0]} {row[2]}" for row in rows if row[1] == "svm")
    fifteen, thirty = told.table("zfnet-caltech101").rows
    return (
        f"Caltech-101, 30 photos a class, SVM: {svm} %; softmax on layer 7 with 15 and 30 photos "
        f"{fifteen[1]} and {thirty[1]} %, from scratch {fifteen[3]} and {thirty[3]} %"
    )


PAPER_ITEMS: tuple[PaperItem, ...] = (
    PaperItem(
        "figure-1",
        ("Figure 1",),
        "A deconvnet layer attached to a layer of the net; unpooling with switches",
        "A drawing; colours stand for the switches",
        "section 2.1",
        make_attachment,
    ),
    PaperItem(
        "figure-2",
        ("Figure 2",),
        "The nine strongest activations of units of layers 1 to 5, projected, and their patches",
        "Strong grouping within each feature map, more invariance in higher layers, "
        "exaggeration of discriminative parts",
        "section 4",
        make_strongest,
    ),
    PaperItem(
        "figure-3",
        ("Figure 3",),
        "The architecture of the net with eight layers",
        "224 px input, 96 filters of 7 × 7 with stride 2, 55 × 55 maps after pooling, 9216 inputs "
        "of layer 6",
        "section 3",
        make_architecture,
    ),
    PaperItem(
        "figure-4",
        ("Figure 4",),
        "Units of each layer at epochs 1, 2, 5, 10, 20, 30, 40 and 64",
        "Lower layers converge within a few epochs, upper ones after 40 to 50",
        "section 4",
        make_evolution,
    ),
    PaperItem(
        "figure-5",
        ("Figure 5",),
        "Features and probability of the true class under translation, scale and rotation",
        "Small transforms change layer 1 much and layer 7 little; the output is stable to "
        "translation and scale, not to rotation",
        "section 4",
        make_invariances,
    ),
    PaperItem(
        "figure-6",
        ("Figure 6",),
        "First layers without and with clipping, and of the former net; second layers",
        "More distinctive and fewer dead filters with 7 × 7 and stride 2; no aliasing in layer 2",
        "section 4.1",
        make_filters,
    ),
    PaperItem(
        "figure-7",
        ("Figure 7",),
        "A grey square over the photo: map, projection, probability, most probable class",
        "The probability of the right class drops where the object is hidden, the map where its "
        "projection is",
        "section 4.2",
        make_occlusions,
    ),
    PaperItem(
        "figure-8",
        ("Figure 8", "Table 1"),
        "The same part hidden in five photos: whether features change alike",
        _print_correspondences(),
        "section 4.3",
        make_correspondences,
    ),
    PaperItem(
        "table-2",
        ("Table 2",),
        "Error rates on ImageNet 2012",
        _print_errors(),
        "section 5.1",
        make_error_table,
    ),
    PaperItem(
        "table-3",
        ("Table 3",),
        "Nets without some layers and of other widths, trained anew",
        f"Top-1 validation error: {_print_ablations()}",
        "section 5.1",
        make_ablations,
        trains=True,
    ),
    PaperItem(
        "table-7",
        ("Figure 9", "Table 4", "Table 5", "Table 7"),
        "Linear classifiers on the features of layers, by training photos a class",
        _print_probes(),
        "sections 5.2 and 5.3",
        make_probes,
        trains=True,
    ),
    PaperItem(
        "table-6",
        ("Table 6",),
        "Classification of PASCAL VOC 2012",
        "Mean accuracy {2} % against {0} and {1} %".format(
            *(row[1] for row in read_published().table("zfnet-pascal").rows)
        ),
        "section 5.2",
        None,
        "the labels of its test set are on a server that takes entries from people only, and its "
        "photos are not in the package",
    ),
)
"""The paper's figures and tables, in its order."""


def find_items(
    only: Sequence[str], items: Sequence[PaperItem] = PAPER_ITEMS
) -> tuple[PaperItem, ...]:
    """Find items by what the paper calls them.

    Args:
        only: Names such as ``figure-5``, also several with commas; all when empty.
        items: What there is to choose from.

    Raises:
        VizcnnError: If there is no such figure or table.

    Example:
        >>> [item.name for item in find_items(["Table-4,figure-1"])]
        ['figure-1', 'table-7']
    """
    named = {name_label(label): item for item in items for label in item.labels}
    given = [name.strip().lower() for part in only for name in part.split(",")]
    wanted = [name for name in given if name]
    for name in wanted or given:  # nothing but blanks is no choice
        if name not in named:
            raise VizcnnError(f"the paper has no part {quote(name)}: {nearest_names(name, named)}")
    chosen = {named[name].name for name in wanted}
    return tuple(item for item in items if not wanted or item.name in chosen)


def name_label(label: str) -> str:
    """Give the name by which an item is asked for.

    Example:
        >>> name_label("Figure 5")
        'figure-5'
    """
    return label.lower().replace(" ", "-")
