"""What a request to the explorer's server may hold, and in which time: all else is refused."""

import io
import json
import socket
import time
from email.message import Message
from typing import Any, NoReturn

from vizcnn.basics.errors import VizcnnError, quote

LARGEST_HEAD = 64 * 2**10
"""Bytes of a request before its body, whoever sends it: http.server alone would take megabytes."""

LARGEST_QUESTION = 256 * 2**10
"""Bytes of a question."""

LARGEST_UPLOAD = 16 * 2**20
"""Bytes of a photo's file that is sent by the page."""


SLOWEST = 128 * 2**10
"""Bytes a second in which the user's photos may come, as through ssh from far away."""


class RefusedRequestError(VizcnnError):
    """A request that is not taken, with the reason for the page.

    Attributes:
        status: HTTP's number for it.
    """

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


class PunctualReader(io.RawIOBase):
    """Reads a request from a socket, with bounds on its time and its bytes.

    A limit for each piece alone would let a client send a byte a second for ever.

    Args:
        connection: Where from.
        seconds: From the request's first moment until all of it has to be there.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self.begin()

    def begin(self) -> None:
        """Begin to wait for another request."""
        self._until = time.monotonic() + self._seconds
        self._bytes_left = LARGEST_HEAD

    def allow(self, count: int) -> None:
        """Let so many bytes more come, and on a slow line: a body that the user sends."""
        self._bytes_left += count
        self._until += count / SLOWEST

    def readable(self) -> bool:
        """Tell that it can be read from."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come.

        Raises:
            TimeoutError: If the time is over, or there is too much.
        """
        left = self._until - time.monotonic()
        if left <= 0 or self._bytes_left <= 0:
            raise TimeoutError("the request is too long")
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        self._bytes_left -= count
        return count


def find_length(headers: Message, largest: int, what: str) -> int:
    """Give the length of a request's body.

    Args:
        headers: The request's.
        largest: Bytes that it may have.
        what: What it is, for the page.

    Raises:
        RefusedRequestError: If it is not said, or said in two ways, or too long.
    """
    lengths = headers.get_all("Content-Length", [])
    if "Transfer-Encoding" in headers or len(lengths) != 1:
        raise RefusedRequestError(411, f"{what} came without its length")
    length = lengths[0].strip()
    # as few digits: int() takes long for very many, and other scripts' digits
    if not (length.isascii() and length.isdecimal() and len(length) <= 12):
        raise RefusedRequestError(400, f"{what} came with the length {quote(length)}")
    if int(length) > largest:
        raise RefusedRequestError(
            413,
            f"{what} has {int(length) / 2**20:.1f} MB; needed: at most "
            f"{largest / 2**20:g} MB: make it smaller first",
        )
    return int(length)


def parse_question(text: bytes) -> dict[str, Any]:
    """Parse a question.

    Raises:
        RefusedRequestError: If it is no JSON object.

    Example:
        >>> parse_question(b'{"ask": "start"}')
        {'ask': 'start'}
    """
    try:
        question = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        question = None
    if not isinstance(question, dict):
        raise RefusedRequestError(400, f"got {quote(text)}; needed: a question as a JSON object")
    return question


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON


def split_message(message: bytes) -> tuple[dict[str, Any], bytes]:
    r"""Take a question with bytes apart: a length in 4 bytes, little end first, JSON, the bytes.

    Raises:
        RefusedRequestError: If it is none.

    Example:
        >>> split_message(b'\x07\x00\x00\x00{"a":1}xy')
        ({'a': 1}, b'xy')
    """
    end = 4 + int.from_bytes(message[:4], "little")
    if len(message) < 4 or not end <= min(len(message), LARGEST_QUESTION):
        raise RefusedRequestError(400, f"got {len(message)} bytes that are no message")
    return parse_question(message[4:end]), message[end:]
