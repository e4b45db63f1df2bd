"""A net's layers probed: linear classifiers on the features of each, draw by draw."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vizcnn.basics.kept_parts import KeptParts
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.linear_probes import (
    STRENGTHS,
    Classifier,
    Fold,
    ProbeScore,
    draw_folds,
    require_sklearn,
    score_probe,
)
from vizcnn.measures.pooled_features import LOT, list_probed_layers, read_pooled_features
from vizcnn.measures.probe_photos import ProbePhotos, ProbeSettings, choose_photos
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, kw_only=True)
class ProbedClass:
    """A class of the photos.

    Attributes:
        name: Name of its folder.
        photos: How many of its photos can be drawn.
        trained: Whether the net was trained on it, by its name.
        accuracy: Share of its test photos that are classified rightly, 0..1: mean over the draws,
            by the first classifier on the last layer with the most training photos.
    """

    name: str
    photos: int
    trained: bool
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """How well a classifier does on a layer.

    Attributes:
        untrained: Whether the net is the untrained twin of the one that was asked for.
        layer: The layer.
        dimensions: Length of its feature vectors.
        classifier: The classifier.
        per_class: Training photos of each class.
        accuracy: Mean of the classes' accuracies, 0..1, over the draws.
        deviation: Standard deviation over the draws; None of a single one.
        folds: The mean of the classes' accuracies in each draw.
        fresh: Accuracy over the classes that the net was not trained on; None where these are all
            or none.
        seen: Accuracy over the classes that it was trained on; likewise.
        strengths: C in each draw.
    """

    untrained: bool
    layer: str
    dimensions: int
    classifier: Classifier
    per_class: int
    accuracy: float
    deviation: float | None
    folds: tuple[float, ...]
    fresh: float | None
    seen: float | None
    strengths: tuple[float, ...]


@dataclass(frozen=True)
class ProbeStudy:
    """What was found.

    Attributes:
        layers: The layers, in the order asked for.
        photos: The photos that were drawn from.
        classes: The classes that were probed.
        rows: By net, layer, classifier and number of photos.
        tested: Photos that test in a draw.
        at_edge: In how many fits the C that was chosen is the smallest or largest that was tried.
        unfinished: In how many a solver did not come to its end.
    """

    layers: tuple[str, ...]
    photos: ProbePhotos
    classes: tuple[ProbedClass, ...]
    rows: tuple[ProbeRow, ...]
    tested: int
    at_edge: int
    unfinished: int


def study_layers(
    model: ZooModel,
    baseline: ZooModel | None,
    photos: PhotoSet,
    training: PhotoSet | None,
    settings: ProbeSettings,
    parts: KeptParts,
    progress: Progress = silent,
) -> ProbeStudy:
    """Probe the layers of a net.

    Args:
        model: The net.
        baseline: The same net, untrained; None for none beside.
        photos: Photos in folders of classes.
        training: Photos that the net was trained on; None where they are not at hand.
        settings: What to probe.
        parts: Keeps what was computed.
        progress: Shows how far it is.

    Raises:
        DataError: If photos lie in no class's folder, or fewer than two classes have enough.
        VizcnnError: If the net was trained on some of the classes, and settings refuse that; or
            scikit-learn is not installed.
        LayerError: If a layer does not exist.
    """
    require_sklearn()
    layers = list_probed_layers(model, settings.layers)
    chosen = choose_photos(model, photos, training, settings, parts, progress)
    most = max(settings.per_class)
    folds = draw_folds(chosen.labels, most, settings.folds, settings.seed, settings.tested)
    probing = _Probing(photos, chosen, folds, settings, parts, progress)
    rows: list[ProbeRow] = []
    scores: list[tuple[Classifier, ProbeScore]] = []
    deepest: list[ProbeScore] = []
    for net in filter(None, (model, baseline)):
        for layer, dimensions, scored in probing.probe(net, layers, net is not model):
            for (classifier, per_class), found in scored.items():
                what = (net is not model, layer, dimensions, classifier, per_class)
                rows.append(_make_row(*what, found, chosen.trained))
                scores += [(classifier, score) for score in found]
            if net is model and layer == layers[-1]:
                deepest = scored[settings.classifiers[0], most]
    means = np.mean([score.accuracies for score in deepest], axis=0)
    counts = np.bincount(chosen.labels)
    return ProbeStudy(
        layers=layers,
        photos=chosen,
        classes=tuple(
            ProbedClass(
                name=name,
                photos=int(counts[index]),
                trained=bool(chosen.trained[index]),
                accuracy=float(means[index]),
            )
            for index, name in enumerate(chosen.classes)
        ),
        rows=tuple(rows),
        tested=len(folds[0].test),
        at_edge=sum(
            score.chosen and score.strength in (STRENGTHS[name][0], STRENGTHS[name][-1])
            for name, score in scores
        ),
        unfinished=sum(not score.converged for _, score in scores),
    )


def _make_row(
    untrained: bool,
    layer: str,
    dimensions: int,
    classifier: Classifier,
    per_class: int,
    scores: Sequence[ProbeScore],
    is_trained: NDArray[np.bool_],
) -> ProbeRow:
    table = np.stack([score.accuracies for score in scores])
    means = table.mean(axis=1)
    some = is_trained.any() and not is_trained.all()
    return ProbeRow(
        untrained=untrained,
        layer=layer,
        dimensions=dimensions,
        classifier=classifier,
        per_class=per_class,
        accuracy=float(means.mean()),
        deviation=float(means.std(ddof=1)) if len(means) > 1 else None,
        folds=tuple(means.tolist()),
        fresh=float(table[:, ~is_trained].mean()) if some else None,
        seen=float(table[:, is_trained].mean()) if some else None,
        strengths=tuple(score.strength for score in scores),
    )


Scored = dict[tuple[Classifier, int], list[ProbeScore]]
"""By classifier and training photos a class: a score of each draw."""


class _Probing:
    """Probes one net after the other on the same draws of the same photos."""

    def __init__(
        self,
        photos: PhotoSet,
        chosen: ProbePhotos,
        folds: Sequence[Fold],
        settings: ProbeSettings,
        parts: KeptParts,
        progress: Progress,
    ) -> None:
        self._photos, self._settings = photos, settings
        self._parts, self._progress = parts, progress
        drawn = [np.unique(np.concatenate([fold.train.ravel(), fold.test])) for fold in folds]
        used = np.unique(np.concatenate(drawn))
        # the last pass through a net, which gives all its layers
        self._last: tuple[tuple[str, int], dict[str, NDArray[np.float32]]] = (("", 0), {})
        # only what is drawn goes through the net: numbers in the set, and draws among these
        self._numbers = [chosen.numbers[place] for place in used.tolist()]
        self._labels = chosen.labels[used]
        self._folds = [
            Fold(np.searchsorted(used, fold.train), np.searchsorted(used, fold.test))
            for fold in folds
        ]

    def probe(
        self, net: ZooModel, layers: Sequence[str], untrained: bool
    ) -> Iterator[tuple[str, int, Scored]]:
        """Give layer by layer the length of its vectors, and how the classifiers do."""
        called = "untrained" if untrained else "trained"
        lots = self._read_all(net, layers, called)
        for layer in layers:
            features = np.concatenate(
                [self._get_lot(net, layers, called, layer, lot) for lot in lots]
            )
            yield layer, features.shape[1], self._score(features, f"{called} {layer}")

    def _read_all(self, net: ZooModel, layers: Sequence[str], called: str) -> list[int]:
        """Run the net over all photos once, and keep the features of all layers."""
        lots = list(range(-(-len(self._numbers) // LOT)))
        last = [f"{called}-{layers[-1]}-{lot}" for lot in lots]
        label = f"features of the {called} net"
        for lot in self._parts.count_off(last, self._progress, label=label, unit="lot"):
            for layer in layers:
                self._get_lot(net, layers, called, layer, lot)
        return lots

    def _get_lot(
        self, net: ZooModel, layers: Sequence[str], called: str, layer: str, lot: int
    ) -> NDArray[np.float32]:
        def compute() -> dict[str, NDArray[np.float32]]:
            if self._last[0] != (called, lot):
                self._last = (called, lot), self._run(net, layers, lot)
            return {"features": self._last[1][layer]}

        return self._parts.get(f"{called}-{layer}-{lot}", compute)["features"]

    def _run(
        self, net: ZooModel, layers: Sequence[str], lot: int
    ) -> dict[str, NDArray[np.float32]]:
        numbers = self._numbers[lot * LOT : (lot + 1) * LOT]
        pixels = torch.stack([self._photos.read(number) for number in numbers])
        return read_pooled_features(net, pixels, layers, self._settings.places)

    def _score(self, features: NDArray[np.float32], called: str) -> Scored:
        settings = self._settings
        plan = [
            (classifier, per_class, fold)
            for classifier in settings.classifiers
            for per_class in settings.per_class
            for fold in range(settings.folds)
        ]
        names = [f"probe-{called}-{name}-{count}-{fold}" for name, count, fold in plan]
        scored: Scored = {}
        shown = self._parts.count_off(names, self._progress, label=f"probe {called}", unit="fit")
        for number in shown:
            classifier, per_class, fold = plan[number]
            fit = self._plan_fit(features, classifier, per_class, fold)
            kept = self._parts.get(names[number], fit)
            strength, chosen, converged = kept["told"].tolist()
            score = ProbeScore(kept["accuracies"], strength, bool(chosen), bool(converged))
            scored.setdefault((classifier, per_class), []).append(score)
        return scored

    def _plan_fit(
        self, features: NDArray[np.float32], classifier: Classifier, per_class: int, fold: int
    ) -> Callable[[], dict[str, NDArray[np.float64]]]:
        def fit() -> dict[str, NDArray[np.float64]]:
            score = score_probe(
                features,
                self._labels,
                self._folds[fold],
                per_class,
                classifier,
                # scikit-learn's seeds are of 32 bits
                (self._settings.seed + fold) % 2**32,
            )
            told = np.array([score.strength, score.chosen, score.converged], np.float64)
            return {"accuracies": score.accuracies, "told": told}

        return fit
