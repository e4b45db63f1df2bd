"""Arithmetic that a picture can be trusted with: no TF32, repeatable to the bit."""

import os
from contextlib import AbstractContextManager

import torch

from vizcnn.basics.sharing import ProcessContext

_EXACT = ProcessContext(
    lambda: torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
)


def exact_arithmetic() -> AbstractContextManager[None]:
    """Make convolutions repeatable to the bit and full float32 on a GPU, inside the context.

    The flags are those of the whole process: they stay until the last thread has left.
    """
    return _EXACT


if hasattr(os, "register_at_fork"):  # Windows starts processes anew
    # OpenMP's threads stay behind with the parent, and torch would wait for them for ever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
