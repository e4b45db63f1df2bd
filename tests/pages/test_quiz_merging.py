"""Result files of a lecture hall are merged: scores, differences, and what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.quizzes import CONDITIONS, write_played
from vizcnn.basics.errors import DataError
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.quiz.merged_answers import QuizScores, merge_played

ALONE, WHOLE = CONDITIONS


def test_scores_are_sums_over_the_hall(tmp_path: Path):
    generator = np.random.default_rng(0)
    given = {
        player: {
            ALONE: (generator.random(10) < 0.9).tolist(),
            WHOLE: (generator.random(10) < 0.6).tolist(),
        }
        for player in range(5)
    }
    for player, right in given.items():
        write_played(tmp_path / "hall" / f"{player}.json", player, right)
    made = merge_played([tmp_path / "hall"], tmp_path / "out")
    results = made.results
    assert (results.players, results.total.answers) == (5, 100)
    means = {}
    for number, condition in enumerate(CONDITIONS):
        rights = sum(sum(one[condition]) for one in given.values())
        score = results.conditions[number].score
        assert (score.right, score.answers, score.share) == (rights, 50, rights / 50)
        means[condition] = np.mean([np.mean(one[condition]) for one in given.values()])
        for unit in results.units:
            if unit.unit // 100 == number:
                told = [one[condition][unit.unit % 100] for one in given.values()]
                assert unit.scores[number].right == sum(told)
                assert unit.scores[1 - number].answers == 0
    gain = results.conditions[1].gain
    assert results.conditions[0].gain is None and gain is not None
    assert gain.value is not None and gain.low is not None and gain.high is not None
    assert gain.value == pytest.approx(means[WHOLE] - means[ALONE])
    assert gain.low < gain.value < gain.high
    with (tmp_path / "out" / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert sum(int(row["right"]) for row in rows) == results.total.right
    assert read_manifest(tmp_path / "out", QuizScores).results == results
    page = (tmp_path / "out" / "index.html").read_text()
    assert "5 players" in page and f"{results.total.right} of 100 right" in page


def test_a_file_that_is_there_twice_counts_once_whatever_its_name(tmp_path: Path):
    first = write_played(tmp_path / "a.json", 1, {ALONE: [True, False]})
    second = write_played(tmp_path / "b.json", 2, {ALONE: [True, True]})
    (tmp_path / "a (1).json").write_bytes(first.read_bytes())
    thrice = merge_played([tmp_path], tmp_path / "thrice").results
    once = merge_played([second, first], tmp_path / "once").results
    assert thrice == once and once.players == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answers": [{"chosen": "both"}]}, "answers"),
        ({"player": "../../x"}, "player"),
        ({"kind": "gallery"}, "kind"),
        ({"conditions": []}, "names no condition 'alone'"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_file_that_is_none_is_named_and_the_others_count(changes, told, tmp_path: Path):
    write_played(tmp_path / "good.json", 1, {ALONE: [True]})
    write_played(tmp_path / "bad.json", 2, {ALONE: [True]}, **changes)
    made = merge_played([tmp_path], tmp_path / "out")
    assert made.results.players == 1
    (failure,) = made.failures
    assert "bad.json" in failure.error and told in failure.error
    assert "bad.json" in (tmp_path / "out" / "index.html").read_text()


def test_a_question_that_is_answered_twice_is_refused(tmp_path: Path):
    file = write_played(tmp_path / "a.json", 1, {ALONE: [True]})
    record = json.loads(file.read_text())
    record["answers"] *= 2
    file.write_text(json.dumps(record))
    with pytest.raises(DataError, match="answers a question twice"):
        merge_played([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_answers_of_one_player_are_not_both_counted(tmp_path: Path):
    write_played(tmp_path / "a.json", 1, {ALONE: [True]})
    write_played(tmp_path / "b.json", 1, {ALONE: [False]})
    made = merge_played([tmp_path], tmp_path / "out")
    assert made.results.total.answers == 1
    assert "it is of the player of" in made.failures[0].error


def test_different_quizzes_are_refused_by_name(tmp_path: Path):
    write_played(tmp_path / "a.json", 1, {ALONE: [True]})
    write_played(tmp_path / "b.json", 2, {ALONE: [True]}, quiz="cd" * 8)
    with pytest.raises(DataError, match=r"b\.json' is of another quiz \(cdcd.*\) than .*a\.json"):
        merge_played([tmp_path], tmp_path / "out")


def test_an_empty_folder_is_told(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no result files"):
        merge_played([tmp_path / "empty"], tmp_path / "out")
