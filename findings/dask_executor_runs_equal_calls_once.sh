#!/bin/sh
# dask and distributed 2026.8.0: the concurrent.futures executor of a Dask client does not run a
# call that equals a former one.
#
# client.get_executor() gives a concurrent.futures.Executor, whose submit "schedules the callable to
# be executed". Guess beforehand: client.submit remembers results of equal calls (pure=True, as its
# manual says), the executor runs each, as process pools do. Seen: as long as the future of a former
# equal call is held, submit of the executor gives its result, or its error, without running
# anything: three submissions that write a line each leave one line, and a call that failed because
# its file was not there yet fails again with the file there. Its docstring says nothing about it.
# client.get_executor(pure=False) runs each.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dask==2026.8.0 distributed==2026.8.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import logging
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from distributed import Client

logging.disable(logging.CRITICAL)


def write(file):
    with open(file, "a") as opened:
        opened.write("line\n")


def try_executor(executor, name):
    """Give the lines that three equal calls wrote, and how a repeated call for a file ended."""
    log, late = Path(f"{name}-log"), Path(f"{name}-late")
    futures = [executor.submit(write, str(log)) for _ in range(3)]
    for future in futures:
        future.result()
    before = executor.submit(Path.read_text, late)
    assert isinstance(before.exception(), FileNotFoundError)
    late.write_text("here")
    again = executor.submit(Path.read_text, late)
    error = again.exception()
    ended = again.result() if error is None else type(error).__name__
    return len(log.read_text().splitlines()), ended


print("dask", version("dask"), "distributed", version("distributed"))
with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    with ThreadPoolExecutor(1) as threads:
        seen = {
            "ThreadPoolExecutor": try_executor(threads, "threads"),
            "get_executor()": try_executor(client.get_executor(), "dask"),
            "get_executor(pure=False)": try_executor(client.get_executor(pure=False), "impure"),
        }
for name, (lines, ended) in seen.items():
    print(f"{name}: three equal calls wrote {lines} lines; a call tried again gave: {ended}")
assert seen["ThreadPoolExecutor"] == seen["get_executor(pure=False)"] == (3, "here")
assert seen["get_executor()"] == (1, "FileNotFoundError"), "each call is run now"
PYTHON
