"""What an explorer is of: nets with the layers that are shown, and photos by short keys."""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

import torch
from PIL import Image
from torch import Tensor

from vizcnn.mining.mined_photos import MinedPhotos
from vizcnn.photos.images import photo_sha256, read_photo
from vizcnn.photos.samples import find_sample_name, name_photo
from vizcnn.photos.stored import PhotoFile, StoredPhoto
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, eq=False)
class ExploredNet:
    """A net of an explorer.

    Attributes:
        key: What links call it, such as ``"zfnet"``.
        net: The net.
        layers: Names of the layers that are shown, lowest first.
        command: What repeats a picture on a command line, with names in braces that the page fills
            in (:func:`vizcnn.explorer.contents.answer_start`). Empty if not known.
        python: The same in lines of Python.
        strongest: Where its units are strongest in many photos; None where that was not mined.
    """

    key: str
    net: ZooModel
    layers: tuple[str, ...]
    command: str = ""
    python: str = ""
    strongest: MinedPhotos | None = None


@dataclass(frozen=True, eq=False)
class ExploredPhoto:
    """A photo of an explorer.

    Attributes:
        name: Short name, for titles.
        read: Reads it, anew at each call: many photos would not fit the memory. A program's pixels
            are a tensor (3, H, W), RGB 0..1, as the net is to see them.
        sha256: Checksum of its file, or of its pixels.
        word: What a command line or Python calls it; None for one that only the explorer has.
    """

    name: str
    read: Callable[[], Image.Image | Tensor]
    sha256: str
    word: str | None = None


def make_keys(names: Iterable[str]) -> list[str]:
    """Name nets as links call them: no two alike, and with nothing that a link would take apart.

    Example:
        >>> make_keys(["lenet", "nets.py:make", "lenet"])
        ['lenet', 'nets.py-make', 'lenet-2']
    """
    keys: list[str] = []
    for name in names:
        key = re.sub(r"[^\w.-]+", "-", name)
        spelled = (f"{key}-{number}" if number > 1 else key for number in count(1))
        keys.append(next(one for one in spelled if one not in keys))
    return keys


def write_python(load: str, choices: str = "") -> str:
    """Write lines of Python that repeat any picture of a net, with names in braces to fill in.

    Args:
        load: The line that has the net in ``model``.
        choices: Further arguments of the projector, each after a comma.

    Example:
        >>> print(write_python("model = vizcnn.load('lenet')"))
        import vizcnn
        model = vizcnn.load('lenet')
        projector = vizcnn.Projector(model, {method})
        seen = projector.project({photo}, {layer}, unit={unit}, position={position}{compare}){part}
    """
    lines = (
        "import vizcnn",
        load,
        f"projector = vizcnn.Projector(model, {{method}}{choices})",
        "seen = projector.project({photo}, {layer}, unit={unit}, position={position}{compare})"
        "{part}",
    )
    return "\n".join(lines)


def explore_file(file: PhotoFile, name: str = "") -> ExploredPhoto:
    """Take a photo's file.

    Args:
        file: Where it lies; of one in an archive or a table there is no word for it alone.
        name: What it is called; as :func:`~vizcnn.photos.samples.name_photo` says if empty.
    """
    word = None if isinstance(file, StoredPhoto) else find_sample_name(file) or str(file)
    return ExploredPhoto(
        name or name_photo(file), lambda: read_photo(file), photo_sha256(file), word
    )


def explore_image(image: Image.Image, name: str) -> ExploredPhoto:
    """Take a picture that is in memory, of any mode: it becomes what its file would become.

    Example:
        >>> explore_image(Image.new("RGB", (8, 8)), "dropped").read().size
        (8, 8)
    """
    shown = read_photo(image)
    return ExploredPhoto(name, lambda: shown, hashlib.sha256(shown.tobytes()).hexdigest())


def explore_pixels(pixels: Tensor, name: str) -> ExploredPhoto:
    """Take pixels of a program, (3, H, W), RGB 0..1; those of a net's size it sees as they are.

    Example:
        >>> import torch
        >>> explore_pixels(torch.zeros(3, 8, 8), "photo 1").read().shape
        torch.Size([3, 8, 8])
    """
    kept = pixels.detach().to("cpu", copy=True)
    values = kept.to(torch.float32).contiguous().numpy().tobytes()
    return ExploredPhoto(name, lambda: kept, hashlib.sha256(values).hexdigest())
