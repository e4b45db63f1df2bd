"""Linear probes against scikit-learn on the same arrays, at chance, and on a planted feature."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import LinearSVC

from vizcnn.basics.errors import DataError
from vizcnn.measures.linear_probes import (
    CLASSIFIERS,
    INNER_FOLDS,
    STRENGTHS,
    UNTRIED,
    draw_folds,
    score_probe,
    span_training,
)

PER_CLASS = 8
OWN = {
    # another solver of each: the dual, and Newton's method
    "svm": LinearSVC(dual=True, tol=1e-7, max_iter=200_000),
    "softmax": LogisticRegression(solver="newton-cg", tol=1e-8, max_iter=10_000),
}


def make_features(strength: float, dimensions: int, counts=(20, 20, 13, 40), seed=0):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    middles = generator.normal(size=(len(counts), dimensions))
    noise = generator.normal(size=(len(labels), dimensions))
    return np.float32(noise + strength * middles[labels]), labels


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("dimensions", [6, 300])  # fewer than the training photos, and more
def test_it_is_scikit_learn_on_the_same_arrays(classifier, dimensions):
    features, labels = make_features(0.5 if dimensions == 6 else 0.12, dimensions)
    scaled = features / np.sqrt((features.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    for seed, fold in enumerate(draw_folds(labels, PER_CLASS, 2, seed=3)):
        score = score_probe(features, labels, fold, PER_CLASS, classifier, seed)
        train = fold.train.ravel()
        parts = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)
        right = [
            (
                cross_val_predict(model, scaled[train], labels[train], cv=parts) == labels[train]
            ).sum()
            for model in (clone(OWN[classifier]).set_params(C=c) for c in STRENGTHS[classifier])
        ]
        assert score.strength == STRENGTHS[classifier][int(np.argmax(right))]
        model = clone(OWN[classifier]).set_params(C=score.strength)
        model.fit(scaled[train], labels[train])
        told, truth = model.predict(scaled[fold.test]), labels[fold.test]
        assert score.accuracies.tolist() == [
            (told[truth == number] == number).mean() for number in range(4)
        ]
        assert score.mean == pytest.approx(balanced_accuracy_score(truth, told))
        assert score.mean != pytest.approx((told == truth).mean())  # not the mean over photos
        assert score.chosen and score.converged


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_shuffled_labels_are_at_chance(classifier):
    features, labels = make_features(1.0, 40, counts=(60,) * 4)
    honest = draw_folds(labels, 10, 1, seed=0)[0]
    assert score_probe(features, labels, honest, 10, classifier).mean > 0.95
    shuffled = np.random.default_rng(1).permutation(labels)
    scores = [
        score_probe(features, shuffled, fold, 10, classifier).mean
        for fold in draw_folds(shuffled, 10, 5, seed=0)
    ]
    # 200 test photos a draw, of the same 240: three standard errors of a single draw
    assert np.mean(scores) == pytest.approx(0.25, abs=3 * np.sqrt(0.25 * 0.75 / 200))


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_planted_feature_is_found_by_every_draw(classifier):
    features, labels = make_features(0.0, 60)
    features[:, :4] = 40 * np.eye(4)[labels]
    for fold in draw_folds(labels, 3, 4, seed=0):
        assert score_probe(features, labels, fold, 3, classifier).accuracies.tolist() == [1.0] * 4


def test_nothing_of_the_test_photos_decides_on_c():
    features, labels = make_features(0.3, 50)
    (fold,) = draw_folds(labels, PER_CLASS, 1, seed=0)
    score = score_probe(features, labels, fold, PER_CLASS, "svm")
    changed = features.copy()
    changed[fold.test] = np.eye(4, 50)[labels[fold.test]] * 9  # what would suit another C
    assert score_probe(changed, labels, fold, PER_CLASS, "svm").strength == score.strength
    single = score_probe(features, labels, fold, 1, "svm")
    assert (single.strength, single.chosen) == (UNTRIED, False)


def test_draws_are_of_all_classes_and_apart():
    _, labels = make_features(0.0, 2)
    folds = draw_folds(labels, PER_CLASS, 3, seed=0, most_tested=15)
    for fold in folds:
        assert (labels[fold.train] == np.arange(4)[:, None]).all()
        assert not set(fold.train.ravel()) & set(fold.test)
        assert np.bincount(labels[fold.test]).tolist() == [12, 12, 5, 15]
        assert len(set(fold.test)) == len(fold.test)
    assert {*folds[0].test} != {*folds[1].test}
    again = draw_folds(labels, PER_CLASS, 1, seed=0, most_tested=15)[0]
    assert (again.train == folds[0].train).all()
    with pytest.raises(DataError, match="class 2 has 13 photos; needed: 13 to train"):
        draw_folds(labels, 13, 1, seed=0)


def test_the_span_of_the_training_photos_keeps_all_products():
    features, _ = make_features(0.5, 200)
    train, test = features[:30], features[30:]
    train[29] = train[3]  # as of an exact duplicate: one direction fewer
    one, other = span_training(train, test)
    assert one.shape == (30, 29)
    wide = train.astype(np.float64)
    assert np.allclose(one @ one.T, wide @ wide.T)
    assert np.allclose(other @ one.T, test @ wide.T)
    few = features[:, :20]
    assert (span_training(few, few)[0] == few).all()  # nothing to be gained


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_silent_layer_knows_nothing(classifier):
    features, labels = make_features(0.5, 60)
    (fold,) = draw_folds(labels, 3, 1, seed=0)
    score = score_probe(np.zeros_like(features), labels, fold, 3, classifier)
    assert sorted(score.accuracies) == [0, 0, 0, 1]  # one class for all photos: at chance
