"""Work on many rows, so many at a time as memory allows."""

import math
from collections.abc import Callable

from torch import Tensor

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.memory import describe_shortage, is_out_of_memory, require_memory


def run_in_chunks(
    rows: Tensor, size: int, job: Callable[[Tensor], None], is_last: bool = True
) -> None:
    """Run a job on rows, so many at a time; where memory does not do, on half as many.

    Args:
        rows: Numbers of the rows, in the order to take them.
        size: How many to try at first.
        job: Takes some of the rows.
        is_last: Whether nothing is left to try when a single row is too much. Else the shortage is
            raised as it came, for the caller's own rows to be halved.

    Raises:
        VizcnnError: If even a single row is too much.

    Example:
        >>> import torch
        >>> run_in_chunks(torch.arange(5), 2, print)
        tensor([0, 1])
        tensor([2, 3])
        tensor([4])
    """
    first = 0
    while first < len(rows):
        try:
            job(rows[first : first + size])
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size = min(size, len(rows) - first) // 2
            if size == 0 and not is_last:
                raise
            if size == 0:
                raise VizcnnError(
                    f"{describe_shortage(error)}, for the projection of a single unit: take a "
                    "smaller image, or a machine or device with more memory free"
                ) from None
        else:
            first += size


def make_room(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Make a tensor for the projections of all rows, of the type of another; nothing is in it yet.

    Raises:
        VizcnnError: If the memory for them is not there.
    """
    ways = (
        "project fewer units, or fewer or smaller images, at a time, "
        "or compare them with fewer others"
    )
    what = f"{shape[0]} projections of {' x '.join(map(str, shape[1:]))} values"
    if like.device.type == "cpu":  # which gives more than it has, and stops when it is used
        require_memory(math.prod(shape) * like.element_size(), what, ways)
    try:
        return like.new_empty(shape)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise VizcnnError(f"{describe_shortage(error)}, for {what}: {ways}") from None
