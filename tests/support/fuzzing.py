"""Odd files and odd options for every command: ``python -m tests.support.fuzzing --minutes 10``.

A case is a command that works, in a folder of its own, and one thing that is odd: a file that the
command reads is damaged or replaced, or an option gets a value that nobody expects. A process that
is forked for it runs the command. Whatever is damaged, it has to end soon, with status 0 or 2; say
nothing or one short line for each thing that is wrong; leave nothing half-written; and touch
nothing but its ``--out``.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import vizcnn
from vizcnn.cli.main import commands

HANG = 60
"""Seconds after which a command that works in a few hangs."""
LONGEST_LINE = 650
"""Characters of the longest line that is still short."""
MEMORY = 12 << 30
"""Bytes of address space for a case: what asks for more is refused by the system."""

NUMBERS = (
    *("0", "-1", "1", "7", "2.5", "1e3", "nan", "inf", "-inf", "1e999", "0x10", "1_000", " 3"),
    *(
        "１２",
        "٣",
        "²",
        "9" * 5000,
        str(2**31),
        str(2**63),
        str(10**12),
        str(-(10**12)),
        "--",
        "+5",
    ),
)
TEXTS = (
    *("", " ", "-", "~", ".", "..", "/", "../..", "a" * 5000, "\x1b[2J", "a\nb", "a\tb", "\u202e"),
    *("\udcff", "<b>x</b>", "{0}", "%s", "$(x)", "conv1..conv9", "conv1..", "..", ",", "conv1,,"),
    *("conv1#2", "conv1#", "#", "features.0", "CONV1", "none", "auto", "random", "bundled"),
)
FILES = ("missing", "folder", "empty", "pipe", "link", "circle", "endless", "text")
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 1e308, -0.0, 0.5, "", "x", "x" * 100_000),
    *([], {}, [[]], [None], {"": None}, "../x", "/etc", "\x1b[2J", "\udcff", [0] * 10_000),
    *(float("nan"), float("inf"), float("-inf")),
)


Spoil = Callable[[Path, random.Random], None]
"""Damages or replaces a file."""


@dataclass(frozen=True)
class Recipe:
    """A command that works.

    Attributes:
        command: It, without ``vizcnn``.
        reads: Patterns of files and folders that it reads, in the case's folder.
        exact: Files of the result that stay byte-equal whatever happens to files of our own; where
            none are, damage may change the result, as a photo's does.
    """

    command: str
    reads: tuple[str, ...]
    exact: str = ""


_LENET = "--model lenet --device cpu"
RECIPES = (
    Recipe(
        f"deconv {_LENET} --weights net/lenet.safetensors photos/a.png --layer conv1 "
        "--top 1 --out new",
        ("net/lenet.safetensors", "photos/a.png"),
    ),
    Recipe(f"deconv {_LENET} photos/b.jpg --layer conv1 --top 1 --out out", ("out/*", "out")),
    Recipe(
        f"deconv {_LENET} photos/b.jpg --layer conv1 --top 1 --part own --compare 2 --out new",
        ("photos/b.jpg",),
    ),
    Recipe(
        f"compare {_LENET} --weights net/lenet.safetensors photos/a.png --layer conv1 "
        "--method gradient --compare 2 --out out",
        ("net/lenet.safetensors", "photos/a.png", "out/*"),
    ),
    Recipe(
        f"check {_LENET} photos --count 1 --layer conv1 --top conv2 --method gradient "
        "--compare 2 --out out",
        ("photos/*", "photos", "out/*"),
    ),
    Recipe(
        f"invariance {_LENET} photos/a.png --layer conv1 --shift 0,2 --scale none --rotate none "
        "--out out",
        ("photos/a.png", "out/*"),
    ),
    Recipe(f"receptive {_LENET} --weights net/lenet.pth --out new", ("net/lenet.pth",)),
    Recipe(f"filters {_LENET} --weights net/lenet.safetensors --out out", ("net/*.safetensors",)),
    Recipe(
        f"mine {_LENET} photos --layer conv1 --out part.safetensors",
        ("part.safetensors", "photos/*"),
    ),
    Recipe("merge one.safetensors two.safetensors --out new.safetensors", ("*.safetensors",)),
    Recipe(
        f"gallery {_LENET} photos --layer conv1 --index index.safetensors --out new",
        ("index.safetensors", "photos/*", "photos"),
    ),
    Recipe(
        f"gallery {_LENET} photos --layer conv1 --part own --compare 2 --out gallery",
        ("gallery/.vizcnn*", "gallery/.vizcnn*/*", "gallery/.vizcnn*/*/*", "gallery/*"),
        exact="**/*.webp",
    ),
    Recipe(
        "train --model lenet --device cpu data --epochs 2 --threads 1 --out run",
        ("run/*", "data/*/*/*", "data/*"),
    ),
    Recipe(
        "train --model lenet --device cpu data --epochs 1 --threads 1 "
        "--start net/lenet.safetensors --out new",
        ("net/lenet.safetensors",),
    ),
    Recipe("lecture --only lenet-layers --out out", ("out/*",)),
)


@dataclass
class Outcome:
    """What a case ended in.

    Attributes:
        what: The odd thing, in words.
        words: The command line.
        status: Its exit status; None for a hang.
        errors: What it said on standard error.
        faults: What is wrong with it; empty for a good case.
    """

    what: str
    words: tuple[str, ...]
    status: int | None
    errors: str
    faults: list[str] = field(default_factory=list)


def make_corpus(folder: Path) -> None:
    """Make the files that cases start from, by the commands themselves."""
    random_pixels = np.random.default_rng(0)
    for name in ("photos/a.png", "photos/b.jpg", "photos/c.gif", "photos/d.tiff"):
        _paint(folder / name, random_pixels)
    for split in ("train", "val"):
        for kind in ("cats", "dogs"):
            for number in range(3):
                _paint(folder / "data" / split / kind / f"{number}.png", random_pixels)
    for words in (
        "train --model lenet data --epochs 1 --threads 1 --out net",
        "train --model lenet data --epochs 2 --threads 1 --out run",
        "deconv --model lenet photos/a.png --layer conv1 --top 1 --out out",
        "mine --model lenet photos --layer conv1 --out index.safetensors",
        "mine --model lenet photos --layer conv1 --part 1/2 --out one.safetensors",
        "mine --model lenet photos --layer conv1 --part 2/2 --out two.safetensors",
        "gallery --model lenet photos --layer conv1 --part own --compare 2 --out whole",
    ):
        outcome = run_case(folder, tuple(words.split()), "corpus", _do_nothing)
        assert outcome.status == 0, outcome
    (folder / "run" / "lenet.safetensors").unlink()
    shutil.copy(folder / "index.safetensors", folder / "part.safetensors")
    state = vizcnn.load("lenet", weights=str(folder / "net" / "lenet.safetensors")).module
    torch.save(state.state_dict(), folder / "net" / "lenet.pth")
    _leave_unfinished(folder)


def _paint(path: Path, pixels: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.integers(0, 256, (40, 44, 3), np.uint8)).save(path)


def _leave_unfinished(folder: Path) -> None:
    """Leave a gallery that was killed while it projected."""
    words = f"gallery {_LENET} photos --layer conv1 --part own --compare 2 --out gallery".split()
    process = _fork(folder, tuple(words), folder.parent / "killed")
    end = time.monotonic() + HANG
    while time.monotonic() < end and not list(folder.glob("gallery/.vizcnn*/*/*")):
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def _do_nothing() -> None:
    pass


def _fork(folder: Path, words: tuple[str, ...], told: Path) -> int:
    """Start a command in a process of its own, which has everything loaded already."""
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(
                os.open(told.with_suffix(f".{name}"), os.O_CREAT | os.O_TRUNC | os.O_RDWR), number
            )
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # not what pytest captures
        torch.set_num_threads(1)  # those of the process that forked are not there
        # tqdm's own is shared with all forked processes, and one that is killed keeps it for ever
        tqdm.set_lock(threading.RLock())
        # what a terminal would get, not what click leaves of it for a file
        click.utils.should_strip_ansi = lambda *stream: False  # type: ignore[attr-defined]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.environ |= {"VIZCNN_CACHE": str(folder / "cache"), "COLUMNS": "100"}
        sys.argv = ["vizcnn", *words]
        from vizcnn.cli.start import main

        main()
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def run_case(
    folder: Path,
    words: tuple[str, ...],
    what: str,
    spoil: Callable[[], None],
    writes: str = "",
    patience: float = HANG,
) -> Outcome:
    """Run a command after something was spoilt, and say what is wrong with how it ended.

    Args:
        folder: The case's own.
        words: The command line.
        what: What was spoilt, in words.
        spoil: Does it.
        writes: What the command writes, relative to the folder; empty if it does not matter.
        patience: Seconds after which it hangs.
    """
    spoil()
    before = _list_state(folder)
    told = folder.parent / "told"
    process = _fork(folder, words, told)
    status = _wait(process, patience)
    errors = told.with_suffix(".stderr").read_text(errors="backslashreplace")
    outcome = Outcome(what, words, status, errors)
    faults = outcome.faults
    if status is None:
        faults.append("hang")
    elif status not in (0, 2):
        faults.append(f"status {status}")
    if "Traceback" in errors or "Exception ignored" in errors:
        faults.append("traceback")
    if any(len(line) > LONGEST_LINE for line in errors.splitlines()):
        faults.append("long line")
    if any(not (mark.isprintable() or mark == "\n") for mark in errors):
        faults.append("control characters")
    if status == 2 and not errors.strip():
        faults.append("no word")
    if writes:
        after = _list_state(folder)
        changed = {name for name in before | after.keys() if before.get(name) != after.get(name)}
        faults += [
            f"touched {name}" for name in changed if not (f"{name}/").startswith(f"{writes}/")
        ][:3]
    if status == 2:
        faults += [f"left {name}" for name in _list_leftovers(folder) if name not in before]
    return outcome


def _wait(process: int, patience: float) -> int | None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def _list_state(folder: Path) -> dict[str, object]:
    """Describe every file below a folder: what it holds, or what it is."""
    state: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            state[name] = ("link", path.readlink())
        elif path.is_file():
            state[name] = hash(path.read_bytes())
        elif path.is_dir():
            state[name] = "folder"
        else:
            state[name] = "other"
    return state


def _list_leftovers(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob(".*")
        if path.suffix == ".part" and "work" not in path.name
    ]


def draw_case(folder: Path, chance: random.Random) -> tuple[Recipe, tuple[str, ...], str, Any]:
    """Draw a command, and what is odd about it.

    Returns:
        The recipe, its command line, the odd thing in words, and what does it.
    """
    recipe = chance.choice(RECIPES)
    words = tuple(recipe.command.split())
    if chance.random() < 0.4:
        return (recipe, *_draw_option(words, chance), _do_nothing)
    found = sorted({path for pattern in recipe.reads for path in folder.glob(pattern)})
    if not found:
        return recipe, words, "nothing to spoil", _do_nothing
    target = chance.choice(found)
    kind = chance.choice(tuple(_SPOIL))
    seed = chance.getrandbits(32)
    what = f"{kind} {target.relative_to(folder)} ({seed})"
    return recipe, words, what, lambda: _SPOIL[kind](target, random.Random(seed))


def _draw_option(words: tuple[str, ...], chance: random.Random) -> tuple[tuple[str, ...], str]:
    command = commands.commands[words[0]]
    options = [
        parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and not parameter.is_flag
        and parameter.name != "epochs"  # a million of them are no error
    ]
    option = chance.choice(options)
    flag, kind = option.opts[0], option.type
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        value = chance.choice(NUMBERS)
    elif isinstance(kind, click.Path) and chance.random() < 0.7:
        value = chance.choice(FILES)
    else:
        value = chance.choice((*TEXTS, *NUMBERS, *FILES))
    value = value.replace("\0", "")
    kept = list(words)
    if flag in kept:
        del kept[kept.index(flag) : kept.index(flag) + 2]
    return (*kept, flag, value), f"{flag} {value!r:.40}"


def _cut(path: Path, chance: random.Random) -> None:
    content = _read(path)
    path.write_bytes(content[: chance.randrange(len(content) + 1)])


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(_read(path))
    # half of them near the beginning, where headers are
    reach = len(content) if chance.random() < 0.5 else min(len(content), 2000)
    for _ in range(chance.choice((1, 3, 30))):
        if reach:
            content[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _insert(path: Path, chance: random.Random) -> None:
    content = _read(path)
    place = chance.randrange(len(content) + 1)
    odd = chance.choice((b"\0" * 100, b"\xff" * 9, b"[" * 200_000, b"9" * 10_000, b"\n", b"{"))
    path.write_bytes(content[:place] + odd + content[place:])


def _change_json(path: Path, chance: random.Random) -> None:
    """Change a value in JSON, or in the JSON at the head of a safetensors file."""
    content = _read(path)
    try:
        path.write_text(json.dumps(_mutate(json.loads(content), chance)), errors="surrogateescape")
    except ValueError:
        length = int.from_bytes(content[:8], "little")
        try:
            head = json.loads(content[8 : 8 + length])
        except ValueError:
            _flip(path, chance)
            return
        notes = head.get("__metadata__", {})
        for name, text in notes.items():
            if chance.random() < 0.7:
                try:
                    notes[name] = json.dumps(_mutate(json.loads(text), chance))
                except ValueError:
                    notes[name] = chance.choice(("", "x" * 100_000, "[" * 10_000, "null"))
        if chance.random() < 0.3:
            head = _mutate(head, chance)
        new = json.dumps(head).encode("ascii")
        path.write_bytes(len(new).to_bytes(8, "little") + new + content[8 + length :])


def _mutate(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value, dict) and chance.random() < 0.15:
            return {name: item for name, item in value.items() if name != key}
        changed: Any = dict(value) if isinstance(value, dict) else list(value)
        changed[key] = _mutate(value[key], chance)
        return changed
    odd = chance.choice((*VALUES, "deep"))
    if odd == "deep":
        for _ in range(500):
            odd = [odd]
    return odd


def _change_tensors(path: Path, chance: random.Random) -> None:
    """Change a tensor: its kind, its shape, or its numbers."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                notes = file.metadata()
            tensors = load_file(path)
        else:
            notes, tensors = None, torch.load(path, weights_only=True)
            tensors = tensors if isinstance(tensors, dict) else {"all": tensors}
    except Exception:
        _flip(path, chance)
        return
    names = [name for name, value in tensors.items() if isinstance(value, torch.Tensor)]
    name = chance.choice(names or list(tensors))
    if names:
        tensors[name] = chance.choice(
            (
                lambda tensor: tensor.to(torch.int64),
                lambda tensor: tensor.bool(),
                lambda tensor: tensor.half(),
                lambda tensor: tensor.double(),
                lambda tensor: torch.full_like(
                    tensor, float("nan") if tensor.is_floating_point() else -7
                ),
                lambda tensor: torch.full_like(tensor, 2**31 if tensor.dtype == torch.int64 else 1),
                lambda tensor: tensor * 0 + (3e38 if tensor.is_floating_point() else 99),
                lambda tensor: tensor[:0].clone(),
                lambda tensor: tensor.flatten().clone(),
                lambda tensor: tensor[None].clone(),
            )
        )(tensors[name])
    else:
        tensors[name] = chance.choice(VALUES)
    path.unlink()
    if path.suffix == ".safetensors":
        save_file(tensors, path, notes)
    else:
        torch.save(tensors, path)


def _replace_by(kind: str) -> Spoil:
    def replace(path: Path, chance: random.Random) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("foreign/kept.txt")
        elif kind == "link to a folder":
            path.symlink_to(Path("foreign").absolute())
        elif kind == "circle":
            path.symlink_to(path.name)
        elif kind == "empty":
            path.touch()

    return replace


def _swap(path: Path, chance: random.Random) -> None:
    others = sorted(other for other in path.parent.iterdir() if other.is_file() and other != path)
    if others:
        path.write_bytes(_read(chance.choice(others)))


def _read(path: Path) -> bytes:
    if path.is_dir():
        inside = sorted(path.rglob("*"))
        path = next((other for other in inside if other.is_file()), path)
    return path.read_bytes() if path.is_file() else b""


def _on_a_file(
    spoil: Spoil,
) -> Spoil:
    """Spoil the first file of a folder, where the folder itself was drawn."""

    def do(path: Path, chance: random.Random) -> None:
        if path.is_dir():
            path = next((other for other in sorted(path.rglob("*")) if other.is_file()), path)
        if path.is_file():
            spoil(path, chance)

    return do


_SPOIL: dict[str, Spoil] = {
    **{
        name: _on_a_file(spoil)
        for name, spoil in {
            "cut": _cut,
            "flip bits of": _flip,
            "insert into": _insert,
            "change a value in": _change_json,
            "change a tensor in": _change_tensors,
            "swap another file for": _swap,
        }.items()
    },
    **{
        f"put {kind} in the place of": _replace_by(kind)
        for kind in ("nothing", "pipe", "folder", "link", "link to a folder", "circle", "empty")
    },
}


def fuzz(seconds: float, seed: int, count: int = sys.maxsize) -> Iterator[Outcome]:
    """Run cases until the time is over.

    Args:
        seconds: The time.
        seed: Decides all cases: the same ones come again.
        count: Most cases.
    """
    for room in ("pages", "lecture", "training", "mining", "gallery"):  # once, not in every case
        for found in pkgutil.walk_packages([str(Path(vizcnn.__file__).parent / room)]):
            importlib.import_module(f"vizcnn.{room}.{found.name}")
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        corpus, case = home / "corpus", home / "case"
        corpus.mkdir()
        make_corpus(corpus)
        for number in range(count):
            if time.monotonic() > end:
                return
            chance = random.Random(f"{seed}/{number}")
            shutil.rmtree(case, ignore_errors=True)
            shutil.copytree(corpus, case)
            _add_foreign(case)
            with contextlib.chdir(case):
                recipe, words, what, spoil = draw_case(case, chance)
                writes = words[words.index("--out") + 1]
                outcome = run_case(case, words, f"{number}: {what}", spoil, writes)
                if recipe.exact and outcome.status == 0 and words == tuple(recipe.command.split()):
                    outcome.faults += _compare(corpus / "whole", case / writes, recipe.exact)
            yield outcome


def _add_foreign(case: Path) -> None:
    """Put files of others, and what options name, beside the command's own."""
    (case / "foreign").mkdir()
    (case / "foreign" / "kept.txt").write_text("of others\n")
    (case / "folder").mkdir()
    (case / "folder" / "note.txt").write_text("of others\n")
    (case / "empty").touch()
    os.mkfifo(case / "pipe")
    (case / "link").symlink_to("foreign/kept.txt")
    (case / "circle").symlink_to("circle")
    (case / "endless").symlink_to("/dev/zero")  # a link: a command may put its result in its place
    (case / "text").write_text("not what is needed\n")


def _compare(expected: Path, made: Path, pattern: str) -> list[str]:
    wanted = {path.relative_to(expected): path.read_bytes() for path in expected.glob(pattern)}
    found = {path.relative_to(made): path.read_bytes() for path in made.glob(pattern)}
    return [] if wanted == found and wanted else ["other pictures than undisturbed"]


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long to try.")
@click.option("--seed", default=0, show_default=True, help="Decides the cases.")
def main(minutes: float, seed: int) -> None:
    """Try odd files and odd options on every command, and count what ends badly."""
    torch.set_num_threads(1)  # a process that is forked has none of the other threads
    counts: Counter[str] = Counter()
    for outcome in fuzz(minutes * 60, seed):
        counts["cases"] += 1
        counts["status " + str(outcome.status)] += 1
        for fault in outcome.faults:
            counts[fault.split()[0]] += 1
        if outcome.faults:
            print(f"\n{outcome.what}\n  vizcnn {subprocess.list2cmdline(outcome.words)!r:.300}")
            print(f"  {'; '.join(outcome.faults)}\n  {outcome.errors[-600:]!r}", flush=True)
    print("\n" + ", ".join(f"{name}: {number}" for name, number in sorted(counts.items())))
    sys.exit(bool(set(counts) - {"cases", "status 0", "status 2"}))


if __name__ == "__main__":
    main()
