"""The explorer's page in a notebook: an anywidget, which Jupyter, VS Code, Colab and marimo show.

In: questions, as messages of the page. Out: answers, as fields and one buffer. There is no server
and no port: all goes through the notebook's own connection to its kernel.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from itertools import count
from threading import Lock
from typing import Any

import anywidget
import numpy as np
import traitlets

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.memory import describe_shortage, find_shortage
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.contents import describe_photo
from vizcnn.explorer.explorer import Explorer, Question
from vizcnn.explorer.selection import Selection
from vizcnn.explorer.uploads import Uploads
from vizcnn.gallery.explorer_files import (
    EXPLORER_FOLDER,
    EXPLORER_SCRIPTS,
    EXPLORER_STYLE,
    WIDGET_SCRIPTS,
)
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position

CHOSEN = tuple(field.name for field in fields(Selection))
"""What is chosen on the page, and read and set in Python."""


def _read(*names: str) -> str:
    return "\n".join((EXPLORER_FOLDER / name).read_text("utf-8") for name in names)


def _write_page(selection: Selection) -> dict[str, Any]:
    """Write a selection as it comes from the page: what is equal is not sent back to it."""
    place = None if selection.place is None else [*selection.place]
    return {**asdict(selection), "place": place}


def _begin(explorer: Explorer, start: Mapping[str, Any]) -> Selection:
    """Choose what the page shows first: the deepest maps' strongest unit on the first photo."""
    begun = Selection.begin(start)
    layer = [layer["name"] for layer in start["nets"][0]["layers"]].index(begun.layer)
    maps = explorer.answer({"ask": "maps", "net": 0, "photo": 0, "layer": layer})
    if "values" not in maps.fields:
        return begun
    offset, length = maps.fields["values"]
    values = np.frombuffer(maps.content[offset : offset + length], "<f4")
    return begun.change(start, {"unit": values.argmax()})


class ExplorerWidget(anywidget.AnyWidget):
    """The explorer in a notebook; what is chosen on its page can be read and set in Python.

    A value that does not exist is refused, and nothing changes. What was chosen before and does not
    exist in a newly chosen layer or net is left: then unit 0, and the place where it is strongest.
    ``observe`` of ipywidgets calls a function when a value changes.

    Attributes:
        net: Name of the net.
        photo: ``photo1`` is the first; set it to that or to the photo's name.
        layer: Name of the layer.
        unit: Number of the unit in the layer.
        place: Row and column in the unit's feature map, or None for where the unit is strongest.
        method: Key of the method of projection; that of a unit's own part ends in ``-own``.

    Args:
        explorer: What answers the page's questions.
    """

    _esm = _read(*EXPLORER_SCRIPTS, *WIDGET_SCRIPTS)
    _css = _read(EXPLORER_STYLE)

    net, photo, layer, unit, place, method = (traitlets.Any() for _ in CHOSEN)

    _page = traitlets.Dict().tag(sync=True)
    """The page's whole state in one, as JSON has it: no message may find half of a change."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._uploads = Uploads(explorer)
        # newer kernels answer the page in a thread of its own, also while a cell runs
        self._turn = Lock()
        self._start = explorer.ask({"ask": "start"}).fields
        self._selection = _begin(explorer, self._start)
        # set before the page can ask
        super().__init__(**asdict(self._selection), _page=_write_page(self._selection))
        self.on_msg(self._reply)

    def select(self, **changes: Any) -> None:
        """Choose several at once: ``explorer.select(layer="conv5", unit=37, place=(5, 2))``.

        Args:
            **changes: New values by attribute.

        Raises:
            VizcnnError: If one does not exist; then nothing changes.
        """
        self._show(self._selection.change(self._start, changes))

    def project(self) -> Projection:
        """Project the chosen unit by the chosen method, as the page shows it.

        Returns:
            One projection: ``.show()``, ``.save("unit.png")``, ``.pixels``.

        Raises:
            ImageError: If the photo cannot be read any more.
            UnsupportedOperationError: If an operation on the way has no rule.
        """
        chosen, explorer = self._selection, self._explorer
        (net,) = (net for net in explorer.nets if net.key == chosen.net)
        (way,) = (way for way in explorer.ways if way.key == chosen.method)
        keys = [photo["key"] for photo in self._start["photos"]]
        photo = explorer.photos[keys.index(chosen.photo)]
        position: Position = "max" if chosen.place is None else chosen.place
        with self._turn:
            pixels = photo.word or net.net.read(photo.read())
            projection = Projector(net.net, way.method).project(
                pixels, chosen.layer, chosen.unit, position, compare=explorer.settings.compare
            )
        return projection.take_part(way.part)

    def _show(self, selection: Selection) -> None:
        """Let all values be those of a selection, and the page show it."""
        self._selection = selection
        with self.hold_trait_notifications():
            for name, value in asdict(selection).items():
                setattr(self, name, value)
            self._page = {**self._page, **_write_page(selection)}

    @traitlets.validate(*CHOSEN)
    def _check(self, proposal: Any) -> Any:
        """Refuse what does not exist before it is set."""
        name = proposal["trait"].name
        return getattr(self._selection.change(self._start, {name: proposal["value"]}), name)

    @traitlets.observe(*CHOSEN)
    def _bring_along(self, change: Any) -> None:
        """Let what depends on a value that was set follow it."""
        if change["new"] != getattr(self._selection, change["name"]):
            self.select(**{change["name"]: change["new"]})

    @traitlets.observe("_page")
    def _follow(self, change: Any) -> None:
        """Take what was chosen on the page."""
        page = change["new"]
        self.select(**{name: page[name] for name in CHOSEN if name in page})

    def _reply(self, _: Any, message: Any, buffers: Any) -> None:
        """Answer a message of the page; whatever happens, it gets an answer."""
        if not isinstance(message, Mapping) or "id" not in message:
            return
        answer = Answer({"error": "this could not be answered; the notebook's log says why"})
        try:
            with self._turn:
                answer = self._answer(message, b"".join(buffers or ()))
        except VizcnnError as error:
            answer = Answer({"error": str(error)})
        except Exception as error:
            shortage = find_shortage(error)
            if shortage is None:
                raise
            answer = Answer({"error": describe_shortage(shortage)})
        finally:
            self.send({"id": message["id"], "fields": dict(answer.fields)}, [answer.content])

    def _answer(self, message: Mapping[str, Any], content: bytes) -> Answer:
        """Answer a question, of a camera's picture if there is one, or take a photo."""
        if "photo" in message:
            answer = self._uploads.take_photo(message["photo"], content)
            photos = [describe_photo(*one) for one in zip(self._explorer.photos, count())]
            self._start = {**self._start, "photos": photos}
            return answer
        question: Question = message.get("question", {})
        if content:
            return self._uploads.answer_frame(question, content)
        return self._explorer.answer(question)

    def __repr__(self) -> str:
        """Say what is chosen, for where no widget is shown."""
        chosen = ", ".join(f"{name}={value!r}" for name, value in asdict(self._selection).items())
        return f"ExplorerWidget({chosen})"
