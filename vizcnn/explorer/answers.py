"""Answers to the explorer's page: plain values, and bytes that they point into."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]
"""Where bytes lie in an answer's: the first, and how many. In JSON a list of two."""


@dataclass(frozen=True)
class Answer:
    """What a question is answered with; the same for a file, a server and a notebook.

    Attributes:
        fields: Plain values by name, as JSON has them.
        content: Pictures and arrays; ``fields`` says where each lies.
    """

    fields: Mapping[str, Any]
    content: bytes = b""

    def to_bytes(self) -> bytes:
        r"""Write it for a server's reply: a length, the JSON, the content.

        The length is that of the JSON, in 4 bytes, the little end first.

        Example:
            >>> Answer({"a": 1}, b"xy").to_bytes()
            b'\x07\x00\x00\x00{"a":1}xy'
        """
        text = write_json(self.fields).encode()
        return len(text).to_bytes(4, "little") + text + self.content

    def to_script(self, key: str) -> str:
        r"""Write it as a classic script, which pages from disk may load where fetch is refused.

        What :meth:`to_bytes` gives is packed by zlib, which halves maps and lists of numbers.

        Args:
            key: What the page waits for it by.

        Example:
            >>> Answer({"a": 1}, b"xy").to_script("photo-0-1")[:36]
            'vizcnnExplorer.receive("photo-0-1","'
        """
        text = base64.b64encode(zlib.compress(self.to_bytes(), 9)).decode()
        return f'vizcnnExplorer.receive({write_json(key)},"{text}");\n'


class Content:
    """Collects an answer's bytes.

    Example:
        >>> content = Content()
        >>> content.add(b"abc"), content.add_array(np.array([1.0]), "f4"), len(content.join())
        ((0, 3), (4, 4), 8)
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def add(self, data: bytes) -> Place:
        """Add bytes, and say where they lie."""
        return self._add(data, 1)

    def add_array(self, array: NDArray[Any], kind: str) -> Place:
        """Add numbers of a kind (``u1``, ``u2``, ``f4``), little end first, where they may begin.

        A typed array of a browser begins at a multiple of its numbers' size.
        """
        numbers = np.ascontiguousarray(array, np.dtype(kind).newbyteorder("<"))
        return self._add(numbers.tobytes(), 4)

    def _add(self, data: bytes, step: int) -> Place:
        gap = -self._length % step
        self._parts += [bytes(gap), data]
        place = self._length + gap, len(data)
        self._length = place[0] + len(data)
        return place

    def join(self) -> bytes:
        """Give all that was added."""
        return b"".join(self._parts)


def shorten_number(value: float) -> float:
    """Give the shortest number that is the same in single precision: JSON has fewer digits of it.

    Example:
        >>> shorten_number(float(np.float32(1.1)))
        1.1
    """
    return float(str(np.float32(value)))


def write_json(value: Any) -> str:
    r"""Write JSON that may stand in a script of a page; there is no NaN in it.

    Raises:
        ValueError: For a number that JSON has not.

    Example:
        >>> write_json({"name": "</script>"})
        '{"name":"\\u003c/script>"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
