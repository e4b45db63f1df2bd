"""What went wrong, in one line: what was got, what is needed, what to do."""

import difflib
import errno
from collections.abc import Iterable


class VizcnnError(Exception):
    """Base of every error that vizcnn raises on purpose; the text is for the user."""


class ImageError(VizcnnError):
    """A photo that cannot be read or used."""


class VizcnnWarning(UserWarning):
    """Something that is no error but has to be known, in one line."""


class PhotoWarning(VizcnnWarning):
    """Something about photos that is no error but has to be known, in one line."""


class LeftoverWarning(VizcnnWarning):
    """What a killed run left was removed, in one line."""


class ModelError(VizcnnError):
    """A net that is unknown, or that the asked method cannot treat."""


class LayerError(VizcnnError):
    """A layer, unit or position that the net does not have."""


class WeightsError(VizcnnError):
    """Weights that are missing, damaged, of another net, or unsafe to read."""


class UnsupportedOperationError(ModelError):
    """An operation of the net has no rule for the asked projection."""


class DataError(VizcnnError):
    """A folder of photos that cannot be used for training or mining."""


_ADVICE = {
    ("EMFILE", "ENFILE"): "let it open more files (ulimit -n), or use fewer --workers",
    ("ENOSPC", "EDQUOT"): "free some space, or choose another folder",
    ("EFBIG",): "let files grow larger (ulimit -f), or choose another folder",
    ("EACCES", "EPERM", "EROFS"): "choose a folder that you may write to",
    ("ENOMEM",): "free some memory",
    ("ENAMETOOLONG",): "choose a shorter name",
}


def advise(error: OSError) -> str:
    """Say what to do about what the operating system refuses.

    Example:
        >>> import errno
        >>> advise(OSError(errno.EMFILE, "Too many open files"))
        'let it open more files (ulimit -n), or use fewer --workers'
    """
    found = errno.errorcode.get(error.errno or 0)
    return next(
        (advice for names, advice in _ADVICE.items() if found in names),
        "check the disk and the permissions",
    )


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> str:
    """Describe the known names nearest to a mistyped one.

    Args:
        name: What the user wrote.
        known: The valid names.
        count: How many suggestions at the most.

    Returns:
        ``"did you mean 'conv1'?"``, or the list of valid names when none is near.

    Example:
        >>> nearest_names("zfent", ["alexnet", "zfnet"])
        "did you mean 'zfnet'?"
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=count, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(match) for match in near) + "?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"there are: {shown}" if names else "there are none"
