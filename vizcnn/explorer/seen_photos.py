"""What a net sees of a photo, and says of it."""

from typing import TYPE_CHECKING

from vizcnn.drawing.tiles import to_bytes
from vizcnn.explorer.answers import Answer, Content, shorten_number
from vizcnn.explorer.webp import encode_photo

if TYPE_CHECKING:
    from vizcnn.explorer.explorer import Explorer, Question

SHOWN_CLASSES = 10
"""Most probable classes that are told."""


def answer_photo(explorer: "Explorer", question: "Question") -> Answer:
    """Tell what a net (``net``) sees of a photo (``photo``), and says of it.

    Fields: ``name``, ``sha256``, ``used`` (what of it, in words), ``size`` (height and width in
    pixels of what the net sees), ``image`` (where a WebP of that lies, lossless), ``classes`` (the
    most probable: ``number``, ``name``, ``probability``) and ``class_use`` (``number`` and ``name``
    of those whose use of units is told, as :func:`~vizcnn.explorer.feature_maps.answer_use` does).
    """
    photo, sight = explorer.find_photo(question), explorer.look(question)
    model, probabilities = sight.model, sight.probabilities
    most = probabilities.sort(descending=True, stable=True).indices[:SHOWN_CLASSES].tolist()
    shown = model.preprocessing.show(sight.pixels)[0].permute(1, 2, 0)
    content = Content()
    fields = {
        "name": photo.name,
        "sha256": photo.sha256,
        "used": sight.used,
        "size": list(sight.pixels.shape[2:]),
        "image": content.add(encode_photo(to_bytes(shown.numpy()))),
        "classes": [
            {
                "number": number,
                "name": model.classes[number],
                "probability": shorten_number(float(probabilities[number])),
            }
            for number in most
        ],
        "class_use": [
            {"number": number, "name": model.classes[number]}
            for number in sight.used_classes.tolist()
        ],
    }
    return Answer(fields, content.join())
