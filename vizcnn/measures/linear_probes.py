"""Linear classifiers on features: what a layer knows of classes that the net was not trained on.

As Zeiler & Fergus 2013 (section 5.2 and 5.3, Tables 4, 5 and 7; for Caltech-101 the procedure of
Fei-Fei et al. 2006): so many training photos of each class drawn at random, at most fifty others of
it to test, the mean of the classes' accuracies, several draws. Here every feature vector has length
1, and the regularisation C is chosen by cross-validation within the training photos; the paper
states neither.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.errors import DataError, VizcnnError

Features = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

Classifier = Literal["svm", "softmax"]
"""A linear support vector machine, one class against the rest, or multinomial logistic
regression."""
CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)
STRENGTHS: dict[Classifier, tuple[float, ...]] = {
    "svm": (0.1, 1.0, 10.0, 100.0),
    "softmax": (1.0, 10.0, 100.0, 1000.0),
}
"""Values of C that are tried: the smaller, the stronger the regularisation."""
UNTRIED = 1.0
"""C where a class has a single training photo, and nothing can be validated."""
MOST_TESTED = 50
"""Photos of a class that test at most, as in the paper."""
INNER_FOLDS = 3
"""Parts of the training photos, each of which validates the others once."""
MOST_STEPS = 5000
"""Iterations of a solver before it is given up, which is told."""
SMALLEST = 1e-10
"""Share of the largest eigenvalue below which a direction of the training photos is rounding."""


def require_sklearn() -> None:
    """Make sure that scikit-learn is installed.

    Raises:
        VizcnnError: If it is not.
    """
    try:
        import sklearn.linear_model
        import sklearn.svm  # noqa: F401
    except ImportError:
        raise VizcnnError(
            "linear classifiers are scikit-learn's, which is not here: pip install 'vizcnn[digits]'"
        ) from None


@dataclass(frozen=True)
class Fold:
    """One draw of photos.

    Attributes:
        train: Numbers of training photos, (classes, most): of each class in the order drawn, so
            that the first so many of a row are a smaller training set.
        test: Numbers of the photos that test, class by class; the same for every training set.
    """

    train: Labels
    test: Labels


def draw_folds(
    labels: Labels, per_class: int, folds: int, seed: int, most_tested: int = MOST_TESTED
) -> list[Fold]:
    """Draw training and test photos of every class, several times.

    Args:
        labels: Class of each photo, (N,), from 0; every class has some.
        per_class: Training photos of each class.
        folds: How many draws.
        seed: Of numpy's generator.
        most_tested: Photos of a class that test at most.

    Raises:
        DataError: If a class has no photo left to test.

    Example:
        >>> (fold,) = draw_folds(np.array([0, 0, 0, 1, 1]), per_class=1, folds=1, seed=0)
        >>> fold.train.shape, len(fold.test)
        ((2, 1), 3)
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(folds):
        train, test = [], []
        for number in range(int(labels.max()) + 1):
            own = generator.permutation(np.flatnonzero(labels == number))
            if len(own) <= per_class:
                raise DataError(
                    f"class {number} has {len(own)} photos; needed: {per_class} to train and one "
                    "to test"
                )
            train.append(own[:per_class])
            test.append(own[per_class : per_class + most_tested])
        drawn.append(Fold(np.stack(train), np.concatenate(test)))
    return drawn


def scale_rows(features: Features) -> Features:
    """Give every row length 1; a row of zeros stays.

    Example:
        >>> scale_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Features = np.divide(features, length, where=length > 0, out=np.zeros_like(features))
    return scaled


def span_training(train: Features, test: Features) -> tuple[Features, Features]:
    """Bring features to the coordinates of what the training photos span, without any loss.

    The weights of a linear classifier whose norm is penalised lie in the span of its training
    photos (the representer theorem), so that it sees of any other direction nothing: in an
    orthonormal basis of the span the problem is the same, and of as many dimensions as there are
    training photos.

    Args:
        train: (n, D).
        test: (m, D).

    Returns:
        (n, r) and (m, r), float64, with r at most n, and 1 where all training photos are zeros;
        both as they are where D is not larger.
    """
    one, other = train.astype(np.float64), test.astype(np.float64)
    if one.shape[1] <= len(one):
        return one, other
    values, vectors = np.linalg.eigh(one @ one.T)
    if not values[-1] > 0:  # a layer that is silent on all of them
        return np.zeros((len(one), 1)), np.zeros((len(other), 1))
    kept = values > SMALLEST * values[-1]
    basis, scale = vectors[:, kept], np.sqrt(values[kept])
    return basis * scale, (other @ one.T) @ basis / scale


@dataclass(frozen=True, eq=False)
class ProbeScore:
    """How well a classifier does on one draw.

    Attributes:
        accuracies: Share of each class's test photos that are classified rightly, (classes,).
        strength: C.
        chosen: Whether C was chosen by validation.
        converged: Whether every solver came to its end.
    """

    accuracies: NDArray[np.float64]
    strength: float
    chosen: bool
    converged: bool

    @property
    def mean(self) -> float:
        """The mean of the classes' accuracies."""
        return float(self.accuracies.mean())


def score_probe(
    features: Features,
    labels: Labels,
    fold: Fold,
    per_class: int,
    classifier: Classifier,
    seed: int = 0,
) -> ProbeScore:
    """Train a classifier on some of a draw's training photos, and test it.

    Args:
        features: (N, D); their rows are brought to length 1.
        labels: Class of each, (N,), from 0.
        fold: The draw.
        per_class: How many of its training photos of each class are used, the first ones.
        classifier: Which.
        seed: Of the parts for validation.

    Raises:
        VizcnnError: If scikit-learn is not installed.
    """
    require_sklearn()
    chosen = fold.train[:, :per_class].ravel()
    train, test = span_training(scale_rows(features[chosen]), scale_rows(features[fold.test]))
    with _watch_solvers() as caught:
        strength = _choose_strength(train, labels[chosen], per_class, classifier, seed)
        told = _fit(train, labels[chosen], classifier, strength or UNTRIED).predict(test)
    truth = labels[fold.test]
    right = np.bincount(truth, weights=told == truth)
    return ProbeScore(
        accuracies=right / np.bincount(truth),
        strength=strength or UNTRIED,
        chosen=strength is not None,
        converged=not any("converge" in str(word.message) for word in caught),
    )


@contextmanager
def _watch_solvers() -> Iterator[list[warnings.WarningMessage]]:
    """Keep what solvers warn of off standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def _choose_strength(
    train: Features, labels: Labels, per_class: int, classifier: Classifier, seed: int
) -> float | None:
    """Choose C by cross-validation; None where a class has a single photo."""
    if per_class < 2:
        return None
    from sklearn.model_selection import StratifiedKFold

    parts = StratifiedKFold(min(INNER_FOLDS, per_class), shuffle=True, random_state=seed)
    right = dict.fromkeys(STRENGTHS[classifier], 0)
    for known, held in parts.split(train, labels):
        inner, outer = span_training(train[known], train[held])
        for strength in right:
            told = _fit(inner, labels[known], classifier, strength).predict(outer)
            right[strength] += int((told == labels[held]).sum())
    # as many of each class: the share of photos is the mean of the classes' shares
    return max(right, key=lambda strength: (right[strength], -strength))


def _fit(train: Features, labels: Labels, classifier: Classifier, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if classifier == "svm":
        # the primal: it draws nothing at random
        made = LinearSVC(C=strength, dual=False, max_iter=MOST_STEPS)
    else:
        made = LogisticRegression(C=strength, max_iter=MOST_STEPS)
    return made.fit(train, labels)
