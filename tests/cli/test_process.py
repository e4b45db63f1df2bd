"""The command as a process of its own: what it loads, closed pipes, completion, Ctrl-C."""

import re
import shutil
import signal
import time

import pytest

import vizcnn
from tests.support.command_line import start
from tests.support.small_zoo import list_files, paint_photo

HEAVY = ("torch", "torchvision", "matplotlib", "numpy", "PIL", "captum", "skimage", "jinja2")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom vizcnn.cli.main import commands\n"
        "try: commands.main(sys.argv[1:], prog_name='vizcnn')\n"
        f"finally: print('HEAVY', *[name for name in {HEAVY} if name in sys.modules])"
    )
    for arguments in (["--help"], ["deconv", "--help"], ["train", "--help"], ["--version"]):
        output, errors = start("-c", code, *arguments).communicate(timeout=60)
        assert output.splitlines()[-1] == "HEAVY", errors


NEEDLESS = ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "sympy", "torchvision")
"""What takes a second each to load, and no command needs for the nets of the project's own."""


def test_no_command_loads_what_it_does_not_need(tmp_path):
    """A ReLU or a convolution on the meta device, or torch.unravel_index, would do it."""
    code = (
        "import sys\n"
        "from vizcnn.cli.main import commands\n"
        "net = '--model lenet --weights bundled --json --out'.split()\n"
        "for words in ('deconv --top 2', 'filters', 'receptive',\n"
        "              'deconv --model alexnet --weights random --layer conv1 --top 1'):\n"
        "    given = net if '--model' not in words else ['--json', '--out']\n"
        "    try: commands.main([*words.split(), *given, words.replace(' ', '')])\n"
        "    except SystemExit as end: assert end.code == 0, words\n"
        f"print(*[name for name in {NEEDLESS} if name in sys.modules])\n"
    )
    output, errors = start("-c", code, cwd=tmp_path).communicate(timeout=120)
    assert output.splitlines()[-1] == "", errors
    assert (tmp_path / "deconv--top2" / "index.html").is_file()


def test_python_m_and_a_closed_pipe(tmp_path):
    output, _ = start("-m", "vizcnn", "--version").communicate(timeout=60)
    assert output == f"vizcnn, version {vizcnn.__version__}\n"
    process = start("-m", "vizcnn", "--help")
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in errors


def test_completion_is_produced():
    environment = {"_VIZCNN_COMPLETE": "bash_source"}
    output, _ = start("-m", "vizcnn", environment=environment).communicate(timeout=60)
    assert "_VIZCNN_COMPLETE=bash_complete" in output
    environment = {
        "_VIZCNN_COMPLETE": "bash_complete",
        "COMP_WORDS": "vizcnn deconv --model squ",
        "COMP_CWORD": "3",
    }
    output, _ = start("-m", "vizcnn", environment=environment).communicate(timeout=60)
    assert re.findall(r"\S+,(\S+)", output) == ["squeezenet1_0", "squeezenet1_1"]


INLINE = "module://matplotlib_inline.backend_inline"
"""What Jupyter exports as MPLBACKEND; matplotlib knows it only where IPython is installed."""


@pytest.mark.parametrize("backend", [INLINE, "nonsense", "tkagg", ""])
def test_figures_are_drawn_whatever_backend_the_environment_names(tmp_path, backend):
    command = "-m vizcnn receptive --model lenet --weights random --out out".split()
    process = start(*command, cwd=tmp_path, environment={"MPLBACKEND": backend})
    output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert output.splitlines()[-1] == "gallery: out/index.html"
    assert (tmp_path / "out" / "fields.png").is_file()


@pytest.mark.parametrize("backend", [INLINE, "tkagg"])
def test_figures_are_drawn_whatever_backend_the_users_settings_name(tmp_path, backend):
    (tmp_path / "matplotlibrc").write_text(f"backend: {backend}\nfigure.dpi: 30\n")
    command = "-m vizcnn receptive --model lenet --weights random --out out".split()
    process = start(*command, cwd=tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == "gallery: out/index.html"
    assert "Traceback" not in errors  # matplotlib itself may call the setting a bad one


def test_a_library_draws_without_a_backend_and_leaves_the_users(tmp_path):
    code = (
        "import sys, matplotlib\n"
        "matplotlib.rcParams['backend'] = 'svg'\n"
        "from pathlib import Path\n"
        "from vizcnn import load\n"
        "from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery\n"
        "net = load('lenet', weights='bundled')\n"
        "from vizcnn.photos.samples import find_sample\n"
        "make_deconv_gallery(net, [find_sample('coffee')], DeconvSettings(('conv1',)), Path('o'))\n"
        "assert matplotlib.rcParams['backend'] == 'svg'\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    process = start("-c", code, cwd=tmp_path)
    assert process.communicate(timeout=60) == ("", "")
    assert (tmp_path / "o" / "index.html").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_run_leaves_nothing(tmp_path, number):
    paint_photo(tmp_path / "photos" / "a.png")
    for index in range(40):
        shutil.copy(tmp_path / "photos" / "a.png", tmp_path / "photos" / f"{index}.png")
    before = list_files(tmp_path)
    process = start(
        *"-m vizcnn deconv --model squeezenet1_1 --weights random --layer conv1 --top 1".split(),
        *("photos", "--out", "deep/out"),
        cwd=tmp_path,
        # a shell's background job ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("deep/out/.vizcnn-*.part/photo-002")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert output == ""
    assert errors == "error: interrupted: nothing is left half-written\n"
    assert list_files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_ctrl_c_while_the_command_is_loaded_is_told_in_one_line():
    code = (
        "import os, signal, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'vizcnn.cli.deconv_command': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from vizcnn.cli.start import main\nmain()"
    )
    process = start("-c", code)
    assert process.communicate(timeout=60) == (
        "",
        "error: interrupted: nothing is left half-written\n",
    )
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_comes_after_all_is_done_is_not_heard(number):
    code = (
        "import atexit, os, sys\n"
        f"atexit.register(lambda: os.kill(os.getpid(), {int(number)}))\n"
        "sys.argv = ['vizcnn', 'weights', 'where']\n"
        "from vizcnn.cli.start import main\nmain()"
    )
    process = start("-c", code, environment={"VIZCNN_CACHE": "here"})
    assert process.communicate(timeout=60) == ("here\n", "")
    assert process.returncode == 0
