#!/bin/sh
# ray 2.60.0: ray.init() replaces the program's handler of SIGTERM, and ray.shutdown() takes away
# the one that was set since, while Python's signal.getsignal still names it.
#
# Guess beforehand: a handler that a program has set stays, as that of SIGINT does, or comes back
# with ray.shutdown(). Seen: after ray.init() a SIGTERM, as batch systems send it before the time is
# up, ends the program with status 15 and does not call its handler. A handler that is set again
# after ray.init() works until ray.shutdown(), which gives the signal back to the system behind
# Python's back: the program is ended at once, its handler named but not called, no finally and no
# atexit run. Who saves what there is, or removes half-written files, sets the handler anew after
# ray.init() and after ray.shutdown().
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0
cat >"$folder/program.py" <<'PYTHON'
import logging
import os
import signal
import sys
import time

import ray


def save(number, frame):
    print("handler called", flush=True)
    sys.exit(3)


for word in sys.argv[1:]:
    if word == "set":
        signal.signal(signal.SIGTERM, save)
    elif word == "init":
        ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    else:
        ray.shutdown()
print("named" if signal.getsignal(signal.SIGTERM) is save else "not named", end=", ", flush=True)
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
finally:
    print("finally", end=", ", flush=True)
PYTHON
cat >"$folder/trials.py" <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

expected = {
    "set": ("named, handler called\nfinally, ", 3),
    "set init": ("not named, finally, ", 15),
    "init set": ("named, handler called\nfinally, ", 3),
    "set init shutdown": ("not named, ", -15),
    "init set shutdown": ("named, ", -15),
    "init shutdown set": ("named, handler called\nfinally, ", 3),
}
found = {}
for words in expected:
    program = [sys.executable, "-W", "ignore", sys.argv[1], *words.split()]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    found[words] = (ended.stdout, ended.returncode)
    print(f"ray {version('ray')}, {words}: {ended.stdout!r}, status {ended.returncode}", flush=True)
assert found == expected, "the program's handler is kept otherwise now"
PYTHON
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" "$folder/trials.py" "$folder/program.py"
