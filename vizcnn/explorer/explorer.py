"""The engine of the explorer: questions about nets and photos in, answers out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vizcnn.basics.errors import VizcnnError, as_number, quote
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.explored import ExploredNet, ExploredPhoto
from vizcnn.explorer.sights import Sight, Sights
from vizcnn.projection.active_units import Compare
from vizcnn.projection.methods import METHODS, ProjectionMethod
from vizcnn.projection.parts import Part
from vizcnn.receptive.fields import ReceptiveField, measure_fields

if TYPE_CHECKING:
    from vizcnn.explorer.unit_facts import UnitFacts

Question = Mapping[str, Any]
"""What a page asks: ``"ask"`` names the kind of question, the rest says of what."""

MEMBERS = ("net", "photo", "layer", "method", "part")
"""What a question may be about, in the order in which it is named in an answer's key."""

MEASURED = 8
"""Photos that effective fields and the classes of units are measured over: the first."""


@dataclass(frozen=True)
class Kind:
    """A kind of question.

    Attributes:
        answer: Answers one, for an explorer.
        members: Of what it is asked ahead for a page on disk: a choice of :data:`MEMBERS`, of which
            every combination is asked; None if it is asked of a running program only.
        count_parts: In how many parts the answer to such a question is given, each asked for by its
            number, ``part``; None where it is given whole.
        needs_strongest: Whether there is an answer only where an index of strongest places is.
    """

    answer: Callable[["Explorer", Question], Answer]
    members: tuple[str, ...] | None = None
    count_parts: Callable[["Explorer", Question], int] | None = None
    needs_strongest: bool = False


@dataclass(frozen=True)
class Way:
    """A way to make pictures: a method, and the part that is shown.

    Attributes:
        key: What questions and links call it, such as ``"deconvnet-own"``.
        method: The method.
        part: The whole projections, or the units' own parts.
    """

    key: str
    method: ProjectionMethod
    part: Part


@dataclass(frozen=True, kw_only=True)
class ExplorerSettings:
    """What an explorer shows.

    Attributes:
        methods: The methods, each with its choices.
        compare: With how many other active units of its place a unit is compared, for its own part
            and its selectivity; None leaves these out.
        top: Of how many of the strongest units a list of all has pictures; of all when None.
        own: The same of own parts, which take the pictures of the units they are compared with.
        notes: Lines that the page shows.
    """

    methods: tuple[ProjectionMethod, ...] = field(default_factory=lambda: (METHODS["deconvnet"],))
    compare: Compare | None = 32
    top: int | None = None
    own: int | None = None
    notes: tuple[str, ...] = ()

    def list_ways(self) -> tuple[Way, ...]:
        """List the ways to make pictures: of each method the whole, then the own part.

        Example:
            >>> [way.key for way in ExplorerSettings().list_ways()]
            ['deconvnet', 'deconvnet-own']
        """
        parts: tuple[Part, ...] = ("whole",) if self.compare is None else ("whole", "own")
        return tuple(
            Way(method.name if part == "whole" else f"{method.name}-{part}", method, part)
            for method in self.methods
            for part in parts
        )


class Explorer:
    """Answers questions about nets and photos; the same for a folder, a server and a notebook.

    It is used by one thread at a time.

    Args:
        nets: The nets.
        photos: The photos; more may come (:meth:`add_photo`).
        settings: What is shown.
        sights: Keeps recorded passes.

    Attributes:
        questions: The kinds of questions that it answers, by name.
        breathe: Called now and then by answers that take seconds, between two steps: a server
            answers other questions in it.

    Raises:
        VizcnnError: If a net takes photos in their own sizes, which have maps of their own sizes.
    """

    def __init__(
        self,
        nets: Sequence[ExploredNet],
        photos: Sequence[ExploredPhoto],
        settings: ExplorerSettings | None = None,
        sights: Sights | None = None,
    ) -> None:
        from vizcnn.explorer.questions import QUESTIONS  # whose functions are given an explorer

        for net in nets:
            if net.net.preprocessing.fitting == "none":
                raise VizcnnError(
                    "photos in their own sizes have maps and receptive fields of their own, and an "
                    "explorer shows those of one size: give fit crop, pad or squash"
                )
        self.nets = tuple(nets)
        self.photos = list(photos)
        self.settings = settings or ExplorerSettings()
        is_mined = any(net.strongest for net in self.nets)
        self.questions = {
            name: kind for name, kind in QUESTIONS.items() if is_mined or not kind.needs_strongest
        }
        self.ways = self.settings.list_ways()
        self._sights = sights or Sights()
        self._own = self.photos[:MEASURED]
        self.breathe: Callable[[], None] = lambda: None

    def add_photo(self, photo: ExploredPhoto) -> int:
        """Add a photo, and give its number."""
        self.photos.append(photo)
        return len(self.photos) - 1

    def replace_photo(self, number: int, photo: ExploredPhoto) -> None:
        """Put a photo in the place of another, of which nothing is kept."""
        self._sights.drop(self.photos[number])
        self.photos[number] = photo

    def answer_about(self, photo: ExploredPhoto, question: Question) -> Answer:
        """Answer a question about a photo that is not kept, in one breath.

        Others may add photos in an answer's breaths, and numbers would be another photo's.
        """
        breathe, self.breathe = self.breathe, lambda: None
        number = self.add_photo(photo)
        try:
            return self.answer({**question, "photo": number})
        finally:
            self._sights.drop(self.photos.pop())
            self.breathe = breathe

    def answer(self, question: Question) -> Answer:
        """Answer a question; one that cannot be answered gets a line that says why."""
        try:
            return self.ask(question)
        except VizcnnError as error:
            return Answer({"error": str(error)})

    def ask(self, question: Question) -> Answer:
        """Answer a question.

        Raises:
            VizcnnError: If it cannot be answered.
        """
        name = question.get("ask") if isinstance(question, Mapping) else None
        if not isinstance(name, str) or name not in self.questions:
            known = ", ".join(self.questions)
            raise VizcnnError(f"got {quote(question)} as a question; needed: one that asks {known}")
        return self.questions[name].answer(self, question)

    def list_questions(self) -> list[Question]:
        """List what a page on disk may ask: every kind, of every net, photo, layer and way.

        What needs the same recorded pass stands together.
        """
        asked: list[Question] = []
        for name, kind in self.questions.items():
            if kind.members == ():
                asked.append({"ask": name})
            for number, net in enumerate(self.nets if kind.members else ()):
                choices = {
                    "net": (number,),
                    "photo": range(len(self.photos)),
                    "layer": range(len(net.layers)),
                    "method": [way.key for way in self.ways],
                }
                members = kind.members or ()
                for values in product(*(choices[member] for member in members)):
                    one = {"ask": name, **dict(zip(members, values, strict=True))}
                    asked += [one] if kind.count_parts is None else self._list_parts(kind, one)
        return sorted(asked, key=lambda one: (one.get("net", -1), one.get("photo", -1)))

    def _list_parts(self, kind: Kind, question: Question) -> list[Question]:
        assert kind.count_parts
        return [{**question, "part": part} for part in range(kind.count_parts(self, question))]

    def find_net(self, question: Question) -> ExploredNet:
        """Give the net that a question is about."""
        return self.nets[read_number(question, "net", len(self.nets))]

    def find_photo(self, question: Question) -> ExploredPhoto:
        """Give the photo that a question is about."""
        return self.photos[read_number(question, "photo", len(self.photos))]

    def find_layer(self, question: Question) -> str:
        """Give the name of the layer that a question is about."""
        layers = self.find_net(question).layers
        return layers[read_number(question, "layer", len(layers))]

    def find_way(self, question: Question) -> Way:
        """Give the method and part that a question is about."""
        key = question.get("method")
        found = [way for way in self.ways if way.key == key]
        if not found:
            known = ", ".join(way.key for way in self.ways)
            raise VizcnnError(f"got {quote(key)} as a method; needed: {known}")
        return found[0]

    def look(self, question: Question) -> Sight:
        """Give the recorded pass of the net and the photo that a question is about."""
        return self._sights.find(self.find_net(question), self.find_photo(question))

    def find_maps(self, question: Question) -> Tensor:
        """Give the maps of the layer that a question is about, as :meth:`Sight.find_maps`."""
        return self.look(question).find_maps(self.find_layer(question))

    def find_facts(self, question: Question) -> "UnitFacts":
        """Give what is known of the units of the net that a question is about."""
        return self._facts[read_number(question, "net", len(self.nets))]

    @cached_property
    def _facts(self) -> tuple["UnitFacts", ...]:
        from vizcnn.explorer.unit_facts import UnitFacts  # which needs this module

        photos = [photo.read() for photo in self._own]
        return tuple(
            UnitFacts(
                net.net,
                fields,
                [net.net.read(photo) for photo in photos],
                net.strongest,
                lambda: self.breathe(),
            )
            for net, fields in zip(self.nets, self.fields, strict=True)
        )

    @cached_property
    def fields(self) -> tuple[tuple[ReceptiveField, ...], ...]:
        """Receptive fields of each net's layers."""
        return tuple(measure_fields(net.net, net.layers) for net in self.nets)


def read_number(question: Question, name: str, count: int) -> int:
    """Read a whole number below a count from a question.

    Raises:
        VizcnnError: If it is none.

    Example:
        >>> read_number({"photo": 1}, "photo", 2)
        1
    """
    given = question.get(name)
    number = as_number(given)
    if number is None or not 0 <= number < count:
        raise VizcnnError(f"got {quote(given)} as {name}; needed: a number 0..{count - 1}")
    return number


def read_numbers(given: object, name: str, needed: str, count: int | None = None) -> list[int]:
    """Read whole numbers from a question.

    Args:
        given: What was given.
        name: What it was given as.
        needed: What they are, for the error.
        count: How many they have to be; any number of them when None.

    Raises:
        VizcnnError: If they are none.

    Example:
        >>> read_numbers([5, 2], "place", "row and column", 2)
        [5, 2]
    """
    numbers = [as_number(one) for one in given] if isinstance(given, list | tuple) else [None]
    if None in numbers or (count is not None and len(numbers) != count):
        raise VizcnnError(f"got {quote(given)} as {name}; needed: {needed}")
    return [number for number in numbers if number is not None]


def read_place(question: Question) -> tuple[int, int] | None:
    """Read the place that a question is about: row and column; None for each unit's strongest.

    Raises:
        VizcnnError: If it is none.
    """
    place = question.get("place")
    if place is None:
        return None
    row, column = read_numbers(place, "place", "row and column", 2)
    return row, column


def name_answer(question: Question) -> str:
    """Name the answer to a question that was asked ahead: its key in the page, and its file.

    Example:
        >>> name_answer({"ask": "pictures", "net": 0, "photo": 2, "layer": 4, "method": "guided"})
        'pictures-0-2-4-guided'
    """
    named = [question[member] for member in MEMBERS if member in question]
    return "-".join(map(str, [question["ask"], *named]))
