"""The command as a process of its own: what it loads, closed pipes, completion, Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import vizcnn
from tests.support.small_zoo import list_files, paint_photo


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


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
    environment = {**os.environ, "_VIZCNN_COMPLETE": "bash_source"}
    output, _ = start("-m", "vizcnn", env=environment).communicate(timeout=60)
    assert "_VIZCNN_COMPLETE=bash_complete" in output
    environment = {
        **os.environ,
        "_VIZCNN_COMPLETE": "bash_complete",
        "COMP_WORDS": "vizcnn deconv --model squ",
        "COMP_CWORD": "3",
    }
    output, _ = start("-m", "vizcnn", env=environment).communicate(timeout=60)
    assert re.findall(r"\S+,(\S+)", output) == ["squeezenet1_0", "squeezenet1_1"]


def test_ctrl_c_leaves_nothing(tmp_path):
    paint_photo(tmp_path / "photos" / "a.png")
    for index in range(40):
        shutil.copy(tmp_path / "photos" / "a.png", tmp_path / "photos" / f"{index}.png")
    before = list_files(tmp_path)
    process = start(
        *"-m vizcnn deconv --model squeezenet1_1 --weights random --layer conv1 --top 1".split(),
        *("--image", "photos", "--out", "deep/out"),
        cwd=tmp_path,
        # a shell's background job ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("deep/.vizcnn-*.part/photo-002")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert errors == "error: interrupted: nothing is left half-written\n"
    assert list_files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_ctrl_c_while_the_command_is_loaded_is_told_in_one_line():
    code = (
        "import sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'vizcnn.cli.deconv': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from vizcnn.cli.start import main\nmain()"
    )
    process = start("-c", code)
    assert process.communicate(timeout=60) == (
        "",
        "error: interrupted: nothing is left half-written\n",
    )
    assert process.returncode == 130
