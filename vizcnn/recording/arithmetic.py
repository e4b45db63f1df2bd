"""Arithmetic that a picture can be trusted with: no TF32, repeatable to the bit."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Make convolutions repeatable to the bit and full float32 on a GPU, inside the context."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
