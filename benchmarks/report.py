"""Run every benchmark, and write what they say into docs/speed.md: ``make bench``.

    python benchmarks/report.py
    python benchmarks/report.py --against main --only revisions --only growth
    python benchmarks/report.py --quick

What each part prints is kept in build/speed/ as soon as the part is done. Its tables, each with the
line above it, go between ``<!-- speed -->`` and ``<!-- /speed -->`` of the page; all other text of
the page stays. A part that fails says why, and the others go on; after Ctrl-C the page has what was
measured until then. What ``--quick`` says is no measurement: it goes into build/speed/trial.md.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from common import MINUTES, ROOT, CannotRunError, describe_machine, run_python, unpack_revision
from revisions import write_photos

from vizcnn.basics.devices import choose_device

FORMER = "0.1.0"
"""The revision that is always measured beside the working tree."""
PHOTOS = "PHOTOS"
MOST_PHOTOS = 400
"""Made in the place of that word."""
BEGIN, END = "<!-- speed -->", "<!-- /speed -->"


@dataclass(frozen=True)
class Part:
    """A benchmark.

    Attributes:
        name: Of its script, without ``.py``.
        title: Of its section on the page.
        full: Its options for the page; PHOTOS stands for a folder of photos.
        quick: Its options for a test whether it runs.
        against: How it takes another revision: by its name, as a folder, or not at all.
        former: Whether it can run 0.1.0, whose modules have other names.
        takes: Which of ``--device`` and ``--threads`` it takes.
        minutes: After so many it is ended.
    """

    name: str
    title: str
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    against: str = ""
    former: bool = True
    takes: tuple[str, ...] = ("--device", "--threads")
    minutes: float = 10.0

    def describe(self, quick: bool = False) -> str:
        """Give the command that makes its tables again."""
        given = self.quick if quick else self.full
        return " ".join(["python", f"benchmarks/{self.name}.py", *given])


PARTS = (
    Part(
        "projection",
        "Projections: Captum and the limit",
        ("--captum-units", "8", "--photos", "200", "--compare-photos", "16"),
        ("--layer", "lenet:conv2", "--captum-units", "1", "--photos", "2", "--rounds", "1"),
    ),
    Part(
        "occlusion",
        "Hidden squares: a plain loop and Captum",
        (),
        ("--layer", "lenet:conv2", "--stride", "8", "--side", "8", "--rounds", "1"),
    ),
    Part(
        "revisions",
        "The same work by another revision",
        (),
        ("--layer", "lenet:conv2", "--photos", "40", "--rounds", "1", "--only", "projection"),
        against="name",
    ),
    Part(
        "start",
        "From nothing to a picture",
        (),
        ("--rounds", "1", "--", "filters", "--model", "lenet"),
        against="folder",
        takes=(),
    ),
    Part(
        "gallery",
        "Galleries",
        ("--data", PHOTOS, "--photos", "100", "--growth", "1", "4", "--layer", "conv3"),
        ("--data", PHOTOS, "--photos", "4", "--growth", "1", "--model", "lenet"),
        against="folder",
        former=False,
        takes=("--device",),
    ),
    Part(
        "mining",
        "Mining: end to end, and its parts alone",
        ("--limit", "600"),
        ("--model", "lenet", "--layer", "conv1", "--limit", "20", "--rounds", "1"),
    ),
    Part(
        "cluster",
        "Mining a million photos by many workers, simulated",
        ("--forward-rate", "40425", "--decode-rate", "240", "--readers", "16"),
        (
            *("--model", "lenet", "--photos", "600", "--parts", "18", "--limit", "32"),
            *("--side", "60", "--rounds", "1"),
        ),
        takes=("--device",),
    ),
    Part(
        "growth",
        "Cost as the work grows",
        (),
        ("--quick", "--rounds", "1", "--only", "units", "--layer", "lenet:conv2"),
    ),
    Part(
        "serving",
        "The served explorer under load",
        (),
        ("--rate", "40", "--seconds", "2"),
        takes=(),
    ),
)


def main() -> None:
    options = _parse()
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    done: list[str] = []
    left_out: list[str] = []
    with ExitStack() as stack:
        trees: dict[str, Path] = {}
        for revision in dict.fromkeys([FORMER, *options.against]):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                trees[revision] = unpack_revision(revision, folder)
            except CannotRunError as error:
                left_out.append(str(error))
                print(f"left out: {error}", flush=True)
        options.photos = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_photos(options.photos, MOST_PHOTOS)
        try:
            for part in chosen:
                began = time.monotonic()
                done.append(run_part(part, trees, options))
                print(f"{part.name}: {time.monotonic() - began:.0f} s", flush=True)
        finally:
            if done:
                page = options.out
                text = page.read_text("utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
                machine = describe_machine(options.device, options.threads)
                block = write_block(machine, list(trees), done, left_out)
                page.write_text(renew(text, block), "utf-8")
                print(f"wrote {page}", flush=True)


def run_part(part: Part, trees: Mapping[str, Path], options: argparse.Namespace) -> str:
    """Run a part, once or once for each other revision; give its section of the page."""
    trees = {name: tree for name, tree in trees.items() if part.former or name != FORMER}
    folders = {PHOTOS: str(options.photos)}
    given = [folders.get(word, word) for word in (part.quick if options.quick else part.full)]
    values = {"--device": options.device, "--threads": str(options.threads)}
    first = [word for name in part.takes for word in (name, values[name])]
    runs: dict[str, list[str]] = {"": first}
    if part.against == "name":
        runs = {"": [*first, *(word for name in trees for word in ("--against", name))]}
    if part.against == "folder" and trees:
        runs = {name: [*first, "--against", str(tree)] for name, tree in trees.items()}
    told: list[str] = []
    for name, arguments in runs.items():
        file = options.keep / f"{'-'.join([part.name, *name.split('/')]).strip('-')}.md"
        script = ROOT / "benchmarks" / f"{part.name}.py"
        failure = ""
        try:
            limit = part.minutes * MINUTES
            printed = run_python(ROOT, script, *arguments, *given, timeout=limit, apart=True)
        except CannotRunError as error:
            printed, failure = error.printed, str(error)
            print(f"{part.name} failed: {failure}", flush=True)
        printed, failure = name_places(printed, trees), name_places(failure, trees)
        keep(file, f"{printed}\n{failure}".strip() + "\n")
        told += [f"Against {name}:"] * (len(runs) > 1) + show(printed, failure)
    beside = f", against {', '.join(trees)}" if part.against and trees else ""
    command = f"`{part.describe(options.quick)}`{beside}"
    return "\n\n".join([f"## {part.title}", f"{command}:", *told])


def name_places(text: str, trees: Mapping[str, Path]) -> str:
    """Write what is the same on every machine in the place of folders of this one."""
    for name, tree in trees.items():
        text = text.replace(str(tree), name)
    return text.replace(f"{ROOT}/", "")


def keep(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def show(printed: str, failure: str) -> list[str]:
    """Give what is shown of a part: its tables, or all it says where it has none; and why not."""
    shown = list(find_tables(printed))
    if not shown and not failure:
        shown = [f"```text\n{printed.strip()}\n```"]
    if failure:
        shown.append(f"Not measured{' to the end' * bool(shown)}: {failure}")
    return shown


def find_tables(text: str) -> Iterator[str]:
    r"""Find the Markdown tables in what a part prints, each with the line above it.

    A line that tells the machine is left out, as the page tells it once.

    Example:
        >>> text = ["hello", "", "seconds", "", "| a | b |", "|---|---|", "| 1 | 2 |", "bye"]
        >>> print(*find_tables("\n".join(text)))
        seconds
        <BLANKLINE>
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    above = ""
    table: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        if len(table) > 2:  # head, rule, and a row
            yield "\n\n".join([above] * bool(above) + ["\n".join(table)])
        if table or line.strip():
            above = "" if re.search(r"\btorch \d", line) else line.strip()
        table = []


def write_block(
    machine: str, revisions: Iterable[str], sections: Iterable[str], left_out: Iterable[str] = ()
) -> str:
    """Put the sections under a line that says what they were measured on, and beside what not."""
    others = ", ".join(revisions)
    beside = f"{others} beside the working tree, " if others else ""
    head = f"Measured in one run of `make bench`, {beside}on this machine: {machine}."
    return "\n\n".join([head, *(f"Left out: {reason}." for reason in left_out), *sections])


def renew(page: str, block: str) -> str:
    """Put a block in the place of the former one; the text around it stays.

    Raises:
        ValueError: If the page has no place for it, or several.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page needs one {BEGIN} and after it one {END}")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    replace: Callable[[re.Match[str]], str] = lambda _: f"{BEGIN}\n{block}\n{END}"  # noqa: E731
    return pattern.sub(replace, page)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--against", action="append", default=[], metavar="REVISION", help=f"beside {FORMER}"
    )
    parser.add_argument("--only", action="append", choices=[part.name for part in PARTS])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, help="[default: docs/speed.md]")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "speed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    options.device = choose_device(options.device)
    if options.out is None:
        options.out = options.keep / "trial.md" if options.quick else ROOT / "docs" / "speed.md"
    return options


if __name__ == "__main__":
    main()
