"""Many targets in chunks that fit into memory."""

from collections.abc import Callable

import torch
from torch import Tensor

PROCESSOR_BUDGET = 32 * 2**20
"""Bytes that the windows of one chunk may take on a processor; more is no faster there."""

SHARE_OF_GPU = 0.4
"""Share of a GPU's free memory that the windows of one chunk may take."""


def find_budget(device: torch.device) -> int:
    """Give the bytes that the windows of one chunk may take on a device."""
    if device.type != "cuda":
        return PROCESSOR_BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * SHARE_OF_GPU)


def run_in_chunks(rows: Tensor, size: int, job: Callable[[Tensor], None]) -> None:
    """Run a job on rows, so many at a time; when a GPU's memory does not do, on half as many.

    Args:
        rows: Numbers of the rows, in the order to take them.
        size: How many to try at first.
        job: Takes some of the rows.

    Raises:
        torch.OutOfMemoryError: If even a single row is too much.

    Example:
        >>> run_in_chunks(torch.arange(5), 2, print)
        tensor([0, 1])
        tensor([2, 3])
        tensor([4])
    """
    first = 0
    while first < len(rows):
        try:
            job(rows[first : first + size])
        except torch.OutOfMemoryError:
            size = min(size, len(rows) - first) // 2
            if size == 0:
                raise
        else:
            first += size
