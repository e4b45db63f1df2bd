"""Values of a wrong kind, as calls from Python get them by mistake."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class Unspeakable:
    """A value whose own description fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no description")


def _closed() -> io.StringIO:
    file = io.StringIO()
    file.close()
    return file


ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "empty list": list,
    "empty string": str,
    "bytes": lambda: b"top",
    "text": lambda: "7",
    "long text": lambda: "x" * 5000,
    "control characters": lambda: "a\x1b[31m\nb\0c",
    "list": lambda: [0, 1],
    "nested list": lambda: [[0, 0], [0, 0]],
    "list of text": lambda: ["a", None],
    "endless list": lambda: list(range(100_000)),
    "set": lambda: {0, 1},
    "dict": lambda: {"a": 1},
    "generator": lambda: (number for number in (0, 1)),
    "negative": lambda: -1,
    "zero": lambda: 0,
    "huge": lambda: 10**30,
    "thousands of digits": lambda: 10**5000,
    "true": lambda: True,
    "fraction": lambda: 1.5,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "complex": lambda: 1j,
    "slice": lambda: slice(None),
    "ellipsis": lambda: ...,
    "function": lambda: len,
    "class": lambda: nn.ReLU,
    "object": object,
    "unspeakable": Unspeakable,
    "path": lambda: Path("nowhere"),
    "closed file": _closed,
    "array": lambda: np.zeros((2, 3)),
    "array of numbers": lambda: np.array([10**9, -5]),
    "number in an array": lambda: np.array(1.5),
    "array of text": lambda: np.array(["a"]),
    "tensor": lambda: torch.zeros(2, 3),
    "empty tensor": lambda: torch.zeros(0),
    "tensor of no dimension": lambda: torch.tensor(7),
    "tensor of five": lambda: torch.zeros(1, 3, 8, 8, 8),
    "tensor of nan": lambda: torch.full((2, 3, 16, 16), float("nan")),
    "whole tensor": lambda: torch.ones(2, 3, 16, 16, dtype=torch.int64),
    "complex tensor": lambda: torch.zeros(2, 3, 16, 16, dtype=torch.complex64),
    "bool tensor": lambda: torch.ones(2, dtype=torch.bool),
    "tensor without values": lambda: torch.zeros(2, 3, 16, 16, device="meta"),
    "sparse tensor": lambda: torch.zeros(2, 3).to_sparse(),
    "device": lambda: torch.device("cuda:99"),
    "device without values": lambda: "meta",
    "type": lambda: torch.float16,
    "module": nn.ReLU,
    "module without weights": nn.Identity,
}
"""By what they are: how each is made, anew for every call."""
