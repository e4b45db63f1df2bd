"""The first answer: which nets, layers, methods and photos an explorer has."""

import shlex
from typing import TYPE_CHECKING, Any

from vizcnn.basics.version import __version__
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.explored import ExploredNet, ExploredPhoto
from vizcnn.projection.active_units import Compare
from vizcnn.projection.methods import describe_method
from vizcnn.receptive.fields import ReceptiveField

if TYPE_CHECKING:
    from vizcnn.explorer.explorer import Explorer, Question, Way


def answer_start(explorer: "Explorer", question: "Question") -> Answer:
    """Tell what there is to ask about.

    Fields:

    - ``vizcnn``: the version
    - ``nets``: of each ``key`` and ``title``; ``weights`` in a line; ``input`` (height and width
      in pixels), ``classes`` (how many), ``layers``, ``methods``, and ``command`` and ``python``,
      lines that repeat a picture, or empty. In these ``{photo}``, ``{layer}`` and ``{method}``
      stand for the ``typed`` (in ``python`` the ``python``) of photo, layer and method, ``{unit}``
      for a number, ``{position}`` for ``max`` or ``row,column`` (in ``python`` ``'max'`` or
      ``(row, column)``), ``{compare}`` and ``{part}`` for the ``python_compare`` and the
      ``python_part`` of the method.
    - a net's ``layers``: of each ``name``, ``units``, ``size`` (rows and columns; empty for units
      without places), ``field`` (height and width of the receptive field, uncut), ``rows`` and
      ``columns`` (first pixel and the one past the last that the units of each row or column
      see), ``exact`` (whether these may not be too large), ``names`` of units that are classes
    - a net's ``methods``: of each ``key``, ``title``, ``source`` and ``part``
    - ``photos``: of each ``key`` and ``name``, and ``typed`` and ``python``, null for one that has
      no file
    - ``asks``: the kinds of questions that are answered
    - ``notes``: lines for the page
    """
    nets = [
        _describe_net(net, fields, explorer.ways, explorer.settings.compare)
        for net, fields in zip(explorer.nets, explorer.fields, strict=True)
    ]
    return Answer(
        {
            "vizcnn": __version__,
            "nets": nets,
            "photos": [
                describe_photo(photo, number) for number, photo in enumerate(explorer.photos)
            ],
            "asks": list(explorer.questions),
            "notes": list(explorer.settings.notes),
        }
    )


def _describe_net(
    net: ExploredNet,
    fields: tuple[ReceptiveField, ...],
    ways: "tuple[Way, ...]",
    compare: Compare | None,
) -> dict[str, Any]:
    model = net.net
    return {
        "key": net.key,
        "title": model.title,
        "weights": model.provenance.describe(),
        "input": list(fields[0].input_size),
        "classes": len(model.classes),
        "layers": [
            {
                "name": field.name,
                "typed": shlex.quote(field.name),
                "python": repr(field.name),
                "units": field.maps,
                "size": list(field.map_size or ()),
                "field": list(field.size),
                "rows": [[span.seen_start, span.seen_stop] for span in field.rows],
                "columns": [[span.seen_start, span.seen_stop] for span in field.columns],
                "exact": field.exact,
                "names": list(model.name_units(field.path, field.maps)),
            }
            for field in fields
        ],
        "methods": [
            {
                "key": way.key,
                "title": way.method.name if way.part == "whole" else f"{way.method.name}: own part",
                "source": describe_method(way.method),
                "part": way.part,
                "typed": way.method.name + ("" if way.part == "whole" else f" --part {way.part}"),
                "python": repr(way.method.name),
                "python_compare": "" if way.part == "whole" else f", compare={compare!r}",
                "python_part": "" if way.part == "whole" else f".{way.part}",
            }
            for way in ways
        ],
        "command": net.command,
        "python": net.python,
    }


def describe_photo(photo: ExploredPhoto, number: int) -> dict[str, Any]:
    """Describe a photo: its key in links, its name, and its words where it has such."""
    word = photo.word
    if word is not None and word.startswith("-"):
        word = f"./{word}"  # or it would be taken for an option
    return {
        "key": f"photo{number + 1}",
        "name": photo.name,
        "typed": None if word is None else shlex.quote(word),
        "python": None if word is None else repr(word),
    }
