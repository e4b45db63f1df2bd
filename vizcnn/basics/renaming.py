"""Public names that were renamed: the former ones go on working, with a warning."""

import warnings

RENAMED: dict[str, str] = {}
"""Former names in :mod:`vizcnn`, each with the present one."""


def follow_renaming(name: str) -> str:
    """Give the present form of a public name of :mod:`vizcnn`, warning about a former one.

    The warning shows the line that asked the package for the name: two calls above this one.

    Example:
        >>> follow_renaming("load")
        'load'
    """
    if name not in RENAMED:
        return name
    warnings.warn(
        f"vizcnn.{name} is now called vizcnn.{RENAMED[name]}", DeprecationWarning, stacklevel=3
    )
    return RENAMED[name]
