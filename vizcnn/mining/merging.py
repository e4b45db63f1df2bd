"""Index files of several machines, joined with the maxima beside them."""

from collections.abc import Sequence
from pathlib import Path

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import replacing
from vizcnn.mining.index import StrongestIndex, read_index, write_index
from vizcnn.mining.machine_kinds import refuse_mixed
from vizcnn.mining.maxima import Maxima, name_maxima
from vizcnn.mining.ranges import finish_index
from vizcnn.mining.ranking import join_indexes
from vizcnn.mining.working_copies import IndexPlace, read_copies, work_on

FAN = 16
"""Files that are merged at a time."""


def merge_files(
    files: Sequence[IndexPlace], out: IndexPlace, strict: bool = False
) -> StrongestIndex:
    """Join indexes of disjoint photos, and write the whole: the same bytes as of one run over all.

    Args:
        files: Complete indexes of one identity; those of ranges or of rank ``"median"`` need the
            files of maxima that were mined with them.
        out: Where the joint index goes, and beside it the joint maxima; it may be one of these.
            All of them may be in object stores.
        strict: Whether to refuse indexes that machines of several kinds computed.

    Returns:
        The joint index.

    Raises:
        DataError: If one is missing or damaged, they cannot be merged
            (:func:`~vizcnn.mining.ranking.merge_indexes`), they are of several kinds of machines
            and that is refused, ``out`` holds something else, or it cannot be written.
    """
    if not files:
        raise DataError("no index to merge was given")
    with read_copies(files) as here, work_on(out) as target:
        return _merge_here(here, target, strict)


def _merge_here(files: Sequence[Path], out: Path, strict: bool) -> StrongestIndex:
    joint, homes = _read_joined(files)
    if strict:
        way_out = "mine all of it on one kind of machine, or leave --strict out"
        refuse_mixed(f"a merge into {quote(out)}", homes, way_out)
    if out.exists():
        read_index(out)  # nothing else is written over
    if joint.identity.keeps_maxima:
        joint = _join_maxima(joint, files, out)
    write_index(joint, out)
    return joint


def _read_joined(files: Sequence[Path]) -> tuple[StrongestIndex, dict[str, str]]:
    """Read and join indexes, so many at a time: the rankings of 512 take more than all names.

    Returns:
        The joint index, and the first file of each kind of machine.
    """
    groups = [files[first : first + FAN] for first in range(0, len(files), FAN)]
    joined = []
    photos: list[list[tuple[str, ...]]] = []
    homes: dict[str, str] = {}
    for group in groups:
        indexes = [read_index(file) for file in group]
        called = [quote(file) for file in group]
        joined.append(join_indexes(indexes, called))
        for name, index in zip(called, indexes, strict=True):
            for kind in index.machines:
                homes.setdefault(kind, name)
        photos.append([index.photos for index in indexes])
    if len(joined) == 1:
        return joined[0], homes

    def find_home(number: int, photo: str) -> str:
        places = zip(groups[number], photos[number], strict=True)
        return quote(next(file for file, names in places if photo in names))

    return join_indexes(joined, [quote(group[0]) for group in groups], find_home), homes


def _join_maxima(joint: StrongestIndex, files: Sequence[Path], out: Path) -> StrongestIndex:
    """Write the joint maxima, and find what follows from them."""
    numbers = {photo: number for number, photo in enumerate(joint.photos)}
    with replacing(name_maxima(out), DataError) as temporary:
        whole = Maxima(temporary, joint, writable=True, is_new=True)
        for file in files:
            index = read_index(file)  # once more: all of them together are large
            part = Maxima(name_maxima(file), index)
            for _ in part.check(len(part)):
                pass
            whole.copy_from(part, [numbers[photo] for photo in index.photos])
        whole.flush()
        return finish_index(joint, whole)
