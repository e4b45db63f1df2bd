"""What the manual changes of a docstring before it is shown."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`~?([^`]+)`")
EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Docstrings(griffe.Extension):  # type: ignore[misc]  # untyped where it is not installed
    """Shows Sphinx's roles as code, examples as what they are, and every name in one place."""

    def on_instance(self, *, obj: griffe.Object, **others: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub("Examples:", text)  # as griffe knows that section

    def on_package(self, *, pkg: griffe.Module, **others: Any) -> None:
        """Describe names where they are written, not where a package offers them again."""
        modules = [pkg]
        while modules:
            module = modules.pop()
            module.exports = None
            modules += [inner for inner in module.modules.values() if not inner.is_alias]
