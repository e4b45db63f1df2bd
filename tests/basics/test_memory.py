"""Memory that does not do: told from other errors, measured, and refused before it is taken."""

import errno
import re
import sys

import click
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import vizcnn
from tests.support.command_line import fail, run, start
from tests.support.small_zoo import paint_photo
from tests.support.training_data import make_data
from vizcnn.basics.errors import ImageError, VizcnnError
from vizcnn.basics.memory import describe_shortage, find_free_memory, find_shortage, require_memory
from vizcnn.cli.reporting import SMALLER, telling_of_memory
from vizcnn.projection.chunks import make_room

TORCH = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 99000000000000 bytes. Error code 12 (Cannot allocate memory)"
)
SHORTAGES = [
    MemoryError(),
    MemoryError("Unable to allocate 1.00 GiB for an array with shape (1, 2)"),
    RuntimeError(TORCH),
    RuntimeError("could not create a primitive"),
    RuntimeError("can't start new thread"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("out of memory error when reading image file"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    OSError(errno.ENOENT, "No such file", "out of memory.jpg"),
    ValueError("out of memory"),
]


@pytest.mark.parametrize("error", SHORTAGES, ids=str)
def test_every_shortage_ends_a_command_in_one_true_line(error: Exception):
    for command, smaller in SMALLER.items():
        context = click.Context(click.Command("vizcnn"))
        context.invoked_subcommand = command
        with (
            pytest.raises(VizcnnError, match="not enough memory") as caught,
            telling_of_memory(context),
        ):
            try:
                raise error
            except Exception:
                raise ImageError("it is damaged: copy it again") from None
        assert smaller in str(caught.value)
        assert "copy it again" not in str(caught.value)
        assert ("--device cpu" in str(caught.value)) == isinstance(error, torch.OutOfMemoryError)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_no_shortage(error: Exception):
    assert find_shortage(error) is None


def test_every_command_says_what_makes_it_smaller():
    from vizcnn.cli.main import commands

    assert {*commands.commands} - {*SMALLER} == {"models", "weights"}
    for name, smaller in SMALLER.items():
        options = {flag for option in commands.commands[name].params for flag in option.opts}
        named = {word.strip("(),") for word in smaller.split() if "--" in word}
        assert named <= options | {"--top"}


def test_what_is_said_is_what_was_asked_for_and_what_there_is():
    assert describe_shortage(RuntimeError(TORCH)).startswith(
        "not enough memory: 99000.0 GB asked for"
    )
    free = find_free_memory()
    if sys.platform.startswith("linux"):
        assert free is not None
    if free is not None:
        with pytest.raises(VizcnnError, match=r"^it takes \d.* at least, and \d.* are free: rest$"):
            require_memory(2 * free + 10**9, "it", "rest")
    require_memory(1, "it", "rest")


class Short(nn.Module):
    """A net that memory does not do for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError(TORCH)


def test_a_net_that_finds_no_memory_is_not_told_of_sizes(images: Tensor):
    with pytest.raises(VizcnnError, match=r"not enough memory.*: give fewer or smaller images"):
        vizcnn.Deconvnet(Short()).project(images, "conv")


def test_a_photo_that_finds_no_memory_is_not_called_damaged(small_net, tmp_path, monkeypatch):
    paint_photo(tmp_path / "a.png")

    def load(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    told = fail("deconv", "a.png", "--layer", "conv1")
    assert told.startswith("error: not enough memory")
    assert not (tmp_path / "vizcnn-out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--batch", 10**8), None),  # the whole set at most
        (("--hidden", 10**12), "not a whole number"),  # of the option
        (("--hidden", 10**7), "training a zfnet of .* take a smaller hidden or crop"),
        (("--crop", 10**7), "a smaller"),
    ],
)
def test_training_that_cannot_fit_is_refused_before_it_starts(tmp_path, options, told):
    make_data(tmp_path / "data")
    arguments = ["--model", "zfnet", tmp_path / "data", "--out", tmp_path / "out"]
    if told is None:
        run("train", *arguments, *options, "--epochs", 1, "--crop", 64, "--hidden", 8)
        return
    assert re.search(told, fail("train", *arguments, *options))
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_results_that_cannot_fit_are_refused():
    with pytest.raises(VizcnnError, match="project fewer units, or fewer or smaller images"):
        make_room(torch.zeros(1), (10**9, 3, 10_000, 10_000))
    with pytest.raises(VizcnnError, match=r"a net of .* take a smaller one"):
        vizcnn.load("zfnet", weights=None, hidden=10**7)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit of address space")
@pytest.mark.parametrize("megabytes", [300, 930])
def test_a_command_under_a_limit_ends_in_one_line(tmp_path, megabytes):
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2)\n"
        "from vizcnn.cli.start import main\nmain()"
    )
    output, errors = start("-c", code, "deconv", "--out", str(tmp_path / "out")).communicate()
    lines = errors.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert re.search("not enough memory|takes .* of memory at least", lines[-1])
    assert "Traceback" not in errors
    assert not output
    assert not (tmp_path / "out").exists()
