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


def merge_files(files: Sequence[Path], out: Path, strict: bool = False) -> StrongestIndex:
    """Join indexes of disjoint photos, and write the whole: the same bytes as of one run over all.

    Args:
        files: Complete indexes of one identity; those of ranges or of rank ``"median"`` need the
            files of maxima that were mined with them.
        out: Where the joint index goes, and beside it the joint maxima; it may be one of these.
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
    indexes = [read_index(file) for file in files]
    joint = join_indexes(indexes, [quote(file) for file in files])
    if strict:
        homes = {
            kind: quote(file)
            for file, index in reversed(list(zip(files, indexes, strict=True)))
            for kind in index.machines
        }
        way_out = "mine all of it on one kind of machine, or leave --strict out"
        refuse_mixed(f"a merge into {quote(out)}", homes, way_out)
    if out.exists():
        read_index(out)  # nothing else is written over
    if joint.identity.keeps_maxima:
        joint = _join_maxima(joint, indexes, files, out)
    write_index(joint, out)
    return joint


def _join_maxima(
    joint: StrongestIndex, indexes: Sequence[StrongestIndex], files: Sequence[Path], out: Path
) -> StrongestIndex:
    """Write the joint maxima, and find what follows from them."""
    parts = []
    for file, index in zip(files, indexes, strict=True):
        part = Maxima(name_maxima(file), index)
        for _ in part.check(len(part)):
            pass
        parts.append(part)
    numbers = {photo: number for number, photo in enumerate(joint.photos)}
    with replacing(name_maxima(out), DataError) as temporary:
        whole = Maxima(temporary, joint, writable=True, is_new=True)
        for part, index in zip(parts, indexes, strict=True):
            whole.copy_from(part, [numbers[photo] for photo in index.photos])
        whole.flush()
        return finish_index(joint, whole)
