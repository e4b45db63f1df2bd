"""What the lecture's folder says of itself: whose lecture it is, and what is where."""

from vizcnn.gallery.manifest import Manifest
from vizcnn.lecture.claims import LECTURE, say_verdicts
from vizcnn.lecture.results import LectureResults

_TEXT = """\
# {title}

The figures, tables and numeric claims are those of {lecture}.
vizcnn {version} computed them anew: a claim that does not hold is one of that lecture.
{claims}
{parts}

index.html shows all of it. The figures are in figures/ (light, and dark ones for a black slide),
the tables in tables/ (Markdown, LaTeX, CSV); manifest.json holds everything in one file.
"""


def write_readme(run: Manifest[LectureResults]) -> str:
    """Write the README of a run's folder, as Markdown."""
    results = run.results
    parts = "\n".join(
        f"- {section.title}: {len(section.exhibits)} figures and tables"
        for section in results.sections
    )
    claims = f"\n{say_verdicts(results.claims)}.\n" if results.claims else ""
    return _TEXT.format(
        title=run.title, lecture=LECTURE, version=run.vizcnn, claims=claims, parts=parts
    )
