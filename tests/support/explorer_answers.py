"""Small explorers, and what a page reads of their answers, by a second reader."""

import base64
import json
import re
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.small_zoo import make_model, paint_photo
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.explored import ExploredNet, explore_file
from vizcnn.explorer.explorer import Explorer, ExplorerSettings

SCRIPT = re.compile(r'vizcnnExplorer\.receive\("([\w.-]+)","([A-Za-z0-9+/=]*)"\);\n')


def make_small_explorer(
    folder: Path, layers: tuple[str, ...] = ("conv1", "conv3", "fc6"), **settings: Any
) -> Explorer:
    """Make an explorer of the small net and two painted photos."""
    files = [paint_photo(folder / f"{seed}.png", seed) for seed in (0, 1)]
    nets = [ExploredNet("tiny", make_model(), layers)]
    return Explorer(nets, list(map(explore_file, files)), ExplorerSettings(**settings))


def read_array(answer: Answer, place: tuple[int, int], kind: str) -> np.ndarray:
    """Read numbers that a field points to."""
    numbers = np.dtype(kind).newbyteorder("<")
    return np.frombuffer(answer.content, numbers, place[1] // numbers.itemsize, place[0])


def open_picture(answer: Answer, place: tuple[int, int]) -> np.ndarray:
    """Decode a picture that a field points to, (h, w, 3), 0..255."""
    data = answer.content[place[0] : sum(place)]
    return np.asarray(Image.open(BytesIO(data), formats=["WEBP"]).convert("RGB"))


def read_script(path: Path) -> Answer:
    """Read an answer that was written for a page on disk."""
    found = SCRIPT.fullmatch(path.read_text())
    assert found and found[1] == path.stem, path.name
    reply = zlib.decompress(base64.b64decode(found[2]))
    end = 4 + struct.unpack_from("<I", reply)[0]
    return Answer(json.loads(reply[4:end]), reply[end:])
