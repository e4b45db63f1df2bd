"""Work on many rows, so many at a time as memory allows."""

from collections.abc import Callable

from torch import Tensor

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.memory import describe_shortage, is_out_of_memory


def run_in_chunks(rows: Tensor, size: int, job: Callable[[Tensor], None]) -> None:
    """Run a job on rows, so many at a time; where memory does not do, on half as many.

    Args:
        rows: Numbers of the rows, in the order to take them.
        size: How many to try at first.
        job: Takes some of the rows.

    Raises:
        VizcnnError: If even a single row is too much.

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
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size = min(size, len(rows) - first) // 2
            if size == 0:
                raise VizcnnError(
                    f"{describe_shortage(error)}, for the projection of a single unit: take a "
                    "smaller image, or a machine or device with more memory free"
                ) from None
        else:
            first += size
