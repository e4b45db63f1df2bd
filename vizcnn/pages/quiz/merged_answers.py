"""Result files of a quiz -> scores by condition, over everybody who played it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, ClassVar, Literal

import msgspec

from vizcnn.basics.codec import LARGEST_JSON, RelativeFile, decode
from vizcnn.basics.errors import DataError, VizcnnError, quote
from vizcnn.basics.files import read_plain_file, write_text
from vizcnn.basics.output import write_folder
from vizcnn.drawing.tables import Table, write_table
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.gallery.site import write_gallery
from vizcnn.measures.quiz_scores import (
    Answer,
    Difference,
    Score,
    compare_conditions,
    count_score,
)
from vizcnn.pages.page import describe_run

ANSWERS_NAME = "answers.csv"
"""The table of all answers."""

HEADS = ("player", "layer", "unit", "condition", "right", "seconds")

NAMED = 3
"""Result files that an error names, at most."""

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Side = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class PlayedCondition:
    """What was shown beside the photos.

    Attributes:
        key: Its name in answers.
        title: Its name on pages.
    """

    key: Word
    title: Word


@dataclass(frozen=True, kw_only=True)
class GivenAnswer:
    """An answer as the page of the quiz writes it.

    Attributes:
        layer: Layer of the unit that was asked for.
        unit: Its number.
        condition: Key of what was shown beside the photos.
        exciting: On which side the photo stood that excites the unit.
        chosen: Which side was chosen.
        seconds: How long it took.
    """

    layer: Word
    unit: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    condition: Word
    exciting: Side
    chosen: Side
    seconds: Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class PlayedQuiz:
    """A result file: one person's answers, as the page of the quiz writes them.

    Attributes:
        kind: What the file is.
        vizcnn: Version that made the quiz.
        quiz: Which quiz it is.
        title: Of what net and layers.
        player: Who played, 16 hexadecimal digits drawn by the page.
        seed: Of the order of questions and conditions.
        conditions: What was shown beside the photos.
        answers: The answers, in the order in which they were given.
    """

    kind: Literal["vizcnn-quiz-answers"]
    vizcnn: Word
    quiz: Digits
    title: Word
    player: Digits
    seed: int
    conditions: tuple[PlayedCondition, ...]
    answers: tuple[GivenAnswer, ...]


@dataclass(frozen=True, kw_only=True)
class ConditionScore:
    """What a condition gave.

    Attributes:
        key: Its name in answers.
        title: Its name on pages.
        score: Over all answers.
        seconds: Median time of an answer; None without any.
        gain: How much larger the share is than with photos alone, player by player; None for
            photos alone.
    """

    key: str
    title: str
    score: Score
    seconds: float | None
    gain: Difference | None


@dataclass(frozen=True, kw_only=True)
class UnitScore:
    """What the questions about a unit gave.

    Attributes:
        layer: The layer.
        unit: The unit's number.
        scores: For each condition, in their order.
    """

    layer: str
    unit: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, kw_only=True)
class QuizScores(Results):
    """The answers of everybody who played a quiz.

    Attributes:
        quiz: Which quiz it is.
        players: How many people answered.
        total: Over all answers.
        conditions: For each condition.
        units: For each unit.
        answers: Table of all answers.
    """

    kind: ClassVar[str] = "quiz-scores"
    static: ClassVar[tuple[str, ...]] = ("quiz.css",)
    quiz: str
    players: int
    total: Score
    conditions: tuple[ConditionScore, ...]
    units: tuple[UnitScore, ...]
    answers: RelativeFile


def read_played(file: Path) -> PlayedQuiz:
    """Read a result file.

    Raises:
        VizcnnError: If it is none, or damaged.
    """
    content = read_plain_file(file, "result file", DataError, largest=LARGEST_JSON)
    try:
        played = decode(PlayedQuiz, content.decode("utf-8"))
    except UnicodeDecodeError:
        raise DataError("it is not text: needed is a result file of a quiz") from None
    asked = [(answer.layer, answer.unit) for answer in played.answers]
    if len(set(asked)) < len(asked):
        raise DataError("it answers a question twice")
    strange = {answer.condition for answer in played.answers} - {
        one.key for one in played.conditions
    }
    if strange:
        raise DataError(f"it names no condition {quote(min(strange))}")
    return played


def find_result_files(paths: Sequence[Path]) -> list[Path]:
    """List result files: those named, and all JSON files of folders.

    Raises:
        DataError: If a folder holds none, or nothing was named.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{quote(str(path))} holds no result files (.json) of a quiz")
        files += found
    if not files:
        raise DataError("no result files were given; needed: what the page of a quiz saved")
    return list(dict.fromkeys(files))


def read_all_played(
    files: Iterable[Path],
) -> tuple[list[PlayedQuiz], list[Failure]]:
    """Read result files of one quiz; those that cannot be used are told and left out.

    A file that is there twice counts once.

    Raises:
        DataError: If none can be used, or they are of different quizzes.
    """
    played: dict[str, PlayedQuiz] = {}
    of: dict[str, Path] = {}
    failures = []
    for file in files:
        try:
            one = read_played(file)
            if played.get(one.player, one) != one:
                raise DataError(f"it is of the player of {quote(str(of[one.player]))}")
        except VizcnnError as error:
            failures.append(Failure(source=str(file), error=f"{quote(str(file))}: {error}"))
            continue
        played.setdefault(one.player, one)
        of.setdefault(one.player, file)
    if not played:
        told = "; ".join(failure.error for failure in failures[:NAMED])
        raise DataError(f"none of {len(failures)} result files can be used: {told}")
    first = next(iter(played.values()))
    for one in played.values():
        if (one.quiz, one.conditions) != (first.quiz, first.conditions):
            raise DataError(
                f"{quote(str(of[one.player]))} is of another quiz ({one.quiz}, {one.title}) than "
                f"{quote(str(of[first.player]))} ({first.quiz}, {first.title}): merge each alone"
            )
    # in one order, whatever the files are called
    return sorted(played.values(), key=lambda one: one.player), failures


def list_answers(played: Iterable[PlayedQuiz]) -> list[Answer]:
    """List the answers of result files."""
    return [
        Answer(
            player=one.player,
            layer=answer.layer,
            unit=answer.unit,
            condition=answer.condition,
            right=answer.chosen == answer.exciting,
            seconds=answer.seconds,
        )
        for one in played
        for answer in one.answers
    ]


def score_answers(
    quiz: str, conditions: Sequence[PlayedCondition], answers: Sequence[Answer]
) -> QuizScores:
    """Score the answers to a quiz, by condition and by unit.

    Args:
        quiz: Which quiz it is.
        conditions: What was shown: photos alone first.
        answers: Of all players.
    """
    units = sorted({(answer.layer, answer.unit) for answer in answers})

    def choose(key: str, unit: tuple[str, int] | None = None) -> list[Answer]:
        return [
            answer
            for answer in answers
            if answer.condition == key and unit in (None, (answer.layer, answer.unit))
        ]

    return QuizScores(
        quiz=quiz,
        players=len({answer.player for answer in answers}),
        total=count_score(answers),
        conditions=tuple(
            ConditionScore(
                key=one.key,
                title=one.title,
                score=count_score(choose(one.key)),
                seconds=_find_median(choose(one.key)),
                gain=compare_conditions(answers, one.key, conditions[0].key)
                if one != conditions[0]
                else None,
            )
            for one in conditions
        ),
        units=tuple(
            UnitScore(
                layer=layer,
                unit=unit,
                scores=tuple(count_score(choose(one.key, (layer, unit))) for one in conditions),
            )
            for layer, unit in units
        ),
        answers=ANSWERS_NAME,
    )


def _find_median(answers: Sequence[Answer]) -> float | None:
    return median(answer.seconds for answer in answers) if answers else None


def merge_played(paths: Sequence[Path], folder: Path, command: str = "") -> Manifest[QuizScores]:
    """Merge result files of a quiz into a page with the scores of everybody, and a table.

    Args:
        paths: Result files that the page of the quiz saved, and folders of them.
        folder: Where the page goes; complete or untouched.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        DataError: If none can be used, or they are of different quizzes.
        VizcnnError: If the folder is not vizcnn's own, or the disk is full.
    """
    played, failures = read_all_played(find_result_files(paths))
    answers = list_answers(played)
    results = score_answers(played[0].quiz, played[0].conditions, answers)
    rows = tuple(
        (one.player, one.layer, one.unit, one.condition, int(one.right), one.seconds)
        for one in answers
    )
    run = describe_run(results, played[0].title, [], {}, command, (), failures)
    with write_folder(folder) as staging:
        write_text(staging / ANSWERS_NAME, write_table(Table("Answers", HEADS, rows), "csv"))
        write_gallery(run, staging)
    return replace(run, folder=folder)
