"""Galleries of exciting and of calm photos -> the questions of a quiz."""

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vizcnn.basics.codec import ManifestError
from vizcnn.basics.errors import DataError, quote
from vizcnn.gallery.manifest import FILE_NAME, Manifest, Photo, read_manifest
from vizcnn.mining.ranks import Rank
from vizcnn.pages.layers.records import LayerSheets, Place, UnitSheets
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.runs import RunsResults
from vizcnn.projection.parts import PARTS

REFERENCES = 9
"""Photos that excite the unit, and photos that do not, on either side (Borowski et al. 2021)."""

NEEDED = REFERENCES + 1
"""The same with the new one that is asked about."""

DRAWN = 40
"""Photos drawn at random for each unit, of which the calmest are its calm ones.

The lowest of all photos would be the same for all units that are silent in many: the first of them
by name. In 40 random photos a unit has ten at least below the lower quarter of its maxima, or so.
"""

STRONG_RANK: Rank = "activation"
CALM_RANKS: tuple[Rank, ...] = ("random", "lowest")
"""Galleries of which ranks show photos that excite a unit, and those that do not."""

Gallery = Manifest[LayersResults]
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A photo that a gallery shows of a unit.

    Attributes:
        photo: The photo.
        file: Its image.
        place: The unit's maximum in it, and where.
    """

    photo: Photo
    file: Path
    place: Place


@dataclass(frozen=True)
class Tiles:
    """Where projections of a unit stand: tiles of a large sheet, by the photos they are of.

    Attributes:
        gallery: The gallery.
        layer: The layer.
        unit: The unit.
        slots: Numbers of tiles, one for each reference.
    """

    gallery: Gallery
    layer: LayerSheets
    unit: UnitSheets
    slots: tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """A question: which of two photos excites a unit?

    Attributes:
        layer: The unit's layer.
        unit: Its number.
        exciting: References that excite it, the strongest first.
        calm: References that do not, the calmest first.
        asked: The two new photos: the one that excites it, and the one that does not.
        pictures: Projections of the exciting references, in their order, for each condition.
    """

    layer: str
    unit: int
    exciting: tuple[Seen, ...]
    calm: tuple[Seen, ...]
    asked: tuple[Seen, Seen]
    pictures: tuple[Tiles, ...]


@dataclass(frozen=True)
class Offer:
    """What galleries have to ask.

    Attributes:
        strong: Galleries of exciting photos, one for each way to project.
        questions: One for each unit that can be asked about.
        left_out: Why other units cannot, with how many they are.
    """

    strong: tuple[Gallery, ...]
    questions: tuple[Question, ...]
    left_out: tuple[tuple[str, int], ...]


def is_gallery(path: Path) -> bool:
    """Tell whether a path is a folder with a manifest, rather than photos."""
    return (path / FILE_NAME).is_file()


def read_galleries(paths: Sequence[Path]) -> list[Gallery]:
    """Read galleries of layers; a folder of several is taken for those in it.

    Raises:
        ManifestError: If a folder is no gallery that ``vizcnn gallery`` wrote.
    """
    galleries = []
    for path in paths:
        try:
            runs = read_manifest(path, RunsResults)
        except ManifestError:
            galleries.append(read_manifest(path, LayersResults))
            continue
        galleries += [read_manifest(path / run.folder, LayersResults) for run in runs.results.runs]
    return galleries


def list_questions(galleries: Sequence[Gallery], seed: int = 0) -> Offer:
    """List what can be asked about the units of galleries, in their order.

    A unit needs ten photos that excite it and ten that do not: no photo twice, and its maximum in
    each of the former higher than in each of the latter. Which of the ten exciting photos is the
    new one is drawn, and so it is of the ten calm ones; so is the order of photos in which the unit
    is equally weak.

    Args:
        galleries: Of one net: some of the strongest places, one for each way to project, and some
            of photos at random, or of the lowest maxima.
        seed: Of the draws.

    Raises:
        DataError: If they are of different nets or photos, exciting or calm photos are missing
            altogether, or there are fewer than ten of them; the error says what makes them.
    """
    strong = sorted(
        (one for one in galleries if one.results.rank == STRONG_RANK),
        key=lambda one: (one.results.method, PARTS.index(one.results.part)),
    )
    calm = [one for one in galleries if one.results.rank in CALM_RANKS]
    _require_both(galleries, strong, calm)
    _require_one_net(galleries)
    found: list[Question] = []
    reasons: dict[str, int] = {}
    for name, unit in _list_units(strong):
        made = _make_question(strong, calm, name, unit, seed)
        if isinstance(made, Question):
            found.append(made)
        else:
            reasons[made] = reasons.get(made, 0) + 1
    return Offer(tuple(strong), tuple(found), tuple(reasons.items()))


def change_command(command: str, **options: str) -> str:
    """Write a gallery's command with other options; those that are empty are left out.

    Example:
        >>> change_command("vizcnn gallery a --top 9 --out b", top="10", out="c", part="")
        'vizcnn gallery a --top 10 --out c'
    """
    words = shlex.split(command)
    for name in options:
        while f"--{name}" in words:
            at = words.index(f"--{name}")
            del words[at : at + 2]
    more = [word for name, value in options.items() if value for word in (f"--{name}", value)]
    return shlex.join([*words, *more])


def _require_both(
    galleries: Sequence[Gallery], strong: Sequence[Gallery], calm: Sequence[Gallery]
) -> None:
    """Refuse what lacks one side, or has too few of it, and say which command makes it."""
    if not galleries:
        raise DataError("no gallery was given; needed: folders that vizcnn gallery wrote")
    first = galleries[0]
    where = str(first.folder)
    if not strong:
        raise DataError(
            f"{quote(where)} shows no strongest places of its units (its rank is "
            f"{first.results.rank}), which a quiz asks for; they are made by: "
            + change_command(
                first.command, top=str(NEEDED), rank="", out=f"{where}-strongest", index=""
            )
        )
    few = next((one for one in strong if one.settings.get("top", NEEDED) < NEEDED), None)
    if few is not None:
        raise DataError(
            f"{quote(str(few.folder))} shows {few.settings['top']} places of each unit, and a "
            f"question takes {NEEDED} photos that excite it ({REFERENCES} to learn from, and a new "
            "one); they are made by: "
            + change_command(few.command, top=str(NEEDED), out=f"{few.folder}-{NEEDED}", index="")
        )
    if not calm:
        raise DataError(
            f"{quote(where)} shows no photos that do not excite its units; give a gallery of them "
            f"beside it, which is made by: {_make_calm(strong[0])}"
        )
    short = next((one for one in calm if one.settings.get("top", NEEDED) < NEEDED), None)
    if short is not None:
        raise DataError(
            f"{quote(str(short.folder))} shows {short.settings['top']} photos of each unit, and a "
            f"question takes {NEEDED} that do not excite it; they are made by: "
            + _make_calm(strong[0])
        )


def _make_calm(strong: Gallery) -> str:
    return change_command(
        strong.command,
        rank="random",
        top=str(DRAWN),
        part="whole",
        compare="none",
        index="",
        out=f"{strong.folder}-calm",
    )


def _require_one_net(galleries: Sequence[Gallery]) -> None:
    first = galleries[0]
    for other in galleries[1:]:
        nets = [(one.nets[0].model, one.nets[0].weights.sha256) for one in (first, other)]
        if nets[0] != nets[1]:
            raise DataError(
                f"{quote(str(other.folder))} is of {other.nets[0].title} with other weights than "
                f"{first.nets[0].title} of {quote(str(first.folder))}: a quiz is about one net"
                if other.nets[0].model == first.nets[0].model
                else f"{quote(str(other.folder))} is of {other.nets[0].title}, and "
                f"{quote(str(first.folder))} of {first.nets[0].title}: a quiz is about one net"
            )
        if other.nets[0].input_size != first.nets[0].input_size:
            raise DataError(
                f"{quote(str(other.folder))} shows photos at another size than "
                f"{quote(str(first.folder))}: a quiz has one"
            )


def _list_units(galleries: Sequence[Gallery]) -> list[tuple[str, int]]:
    """List units of the first gallery's layers, by layer and number."""
    return list(
        dict.fromkeys(
            (layer.name, unit.unit)
            for one in galleries
            for layer in one.results.layers
            for unit in layer.units
        )
    )


def _find_unit(gallery: Gallery, name: str, number: int) -> tuple[LayerSheets, UnitSheets] | None:
    for layer in gallery.results.layers:
        for unit in layer.units if layer.name == name else ():
            if unit.unit == number:
                return layer, unit
    return None


def _see(gallery: Gallery, place: Place) -> Seen:
    photo = gallery.photos[place.photo]
    assert gallery.folder is not None and photo.image is not None  # it was read from a folder
    return Seen(photo, gallery.folder / photo.image, place)


def _make_question(
    strong: Sequence[Gallery], calm: Sequence[Gallery], name: str, number: int, seed: int
) -> Question | str:
    """Make the question about a unit, or say why there is none."""
    drawn = random.Random(f"{seed} {name} {number}")
    held = {
        tell_way(one): (one, *found) for one in strong if (found := _find_unit(one, name, number))
    }
    if len(held) < len({tell_way(one) for one in strong}):
        return "are not in all galleries"
    gallery, _, unit = next(iter(held.values()))
    exciting = [_see(gallery, place) for place in unit.places[:NEEDED]]
    if len(exciting) < NEEDED or exciting[-1].place.activation <= 0:
        return f"are above zero in fewer than {NEEDED} photos"
    if len({seen.photo.sha256 for seen in exciting}) < NEEDED:
        return "are strongest in a photo that is there twice"
    quiet = _list_calm(calm, name, number, exciting, drawn)
    if len(quiet) < NEEDED:
        return f"have fewer than {NEEDED} calm photos that differ from the exciting ones"
    new = drawn.randrange(NEEDED), drawn.randrange(NEEDED)
    pictures = [_find_tiles(*found, exciting) for found in held.values()]
    if None in pictures:
        return "have other strongest places in one gallery than in another"
    return Question(
        layer=name,
        unit=number,
        exciting=tuple(seen for at, seen in enumerate(exciting) if at != new[0]),
        calm=tuple(seen for at, seen in enumerate(quiet) if at != new[1]),
        asked=(exciting[new[0]], quiet[new[1]]),
        pictures=tuple(
            Tiles(
                tiles.gallery,
                tiles.layer,
                tiles.unit,
                tuple(slot for at, slot in enumerate(tiles.slots) if at != new[0]),
            )
            for tiles in pictures
            if tiles is not None
        ),
    )


def _list_calm(
    calm: Sequence[Gallery], name: str, number: int, exciting: Sequence[Seen], drawn: random.Random
) -> list[Seen]:
    """List the ten photos that excite a unit least, the calmest first."""
    taken = {seen.photo.sha256 for seen in exciting}
    weakest = exciting[-1].place.activation
    quiet: list[Seen] = []
    for one in calm:
        held = _find_unit(one, name, number)
        for place in held[1].places if held else ():
            seen = _see(one, place)
            if seen.photo.sha256 not in taken and place.activation < weakest:
                taken.add(seen.photo.sha256)
                quiet.append(seen)
    drawn.shuffle(quiet)  # sorting keeps the order of photos in which the unit is equally weak
    return sorted(quiet, key=lambda seen: seen.place.activation)[:NEEDED]


def tell_way(gallery: Gallery) -> tuple[str, str]:
    """Tell by which method a gallery's pictures are, and which part of them they show."""
    return gallery.results.method, gallery.results.part


def _find_tiles(
    gallery: Gallery, layer: LayerSheets, unit: UnitSheets, exciting: Sequence[Seen]
) -> Tiles | None:
    """Find the tiles of a unit's exciting photos; None where a gallery has others."""
    slots = {
        (gallery.photos[place.photo].sha256, place.position): slot
        for slot, place in enumerate(unit.places)
    }
    wanted = [(seen.photo.sha256, seen.place.position) for seen in exciting]
    if not set(wanted) <= set(slots) or unit.large is None:
        return None
    return Tiles(gallery, layer, unit, tuple(slots[key] for key in wanted))


def choose_questions(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """Choose questions at random, as many of each layer as can be, and mix them.

    Args:
        questions: All that can be asked.
        count: How many, at most.
        seed: Of the draw.
    """
    drawn = random.Random(seed)
    piles = []
    for layer in dict.fromkeys(question.layer for question in questions):
        pile = [question for question in questions if question.layer == layer]
        drawn.shuffle(pile)
        piles.append(pile)
    chosen = take_in_turn(piles)[:count]
    drawn.shuffle(chosen)
    return chosen


def take_in_turn(piles: Sequence[Sequence[T]]) -> list[T]:
    """Take from each pile in turn, until all are empty.

    Example:
        >>> take_in_turn(["abc", "d", "ef"])
        ['a', 'd', 'e', 'b', 'f', 'c']
    """
    longest = max(map(len, piles), default=0)
    return [pile[at] for at in range(longest) for pile in piles if at < len(pile)]
