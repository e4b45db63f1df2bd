#!/bin/sh
# fsspec 2026.9.0: members of a tar archive that are read from two threads, or in two forked
# processes, come back with bytes of other members.
#
# Guess beforehand: what fs.cat_file(name) gives is that member's bytes, from any thread and in any
# process that inherited the file system, as with the zip file system. Seen: the tar file system
# reads all members through one open file, of which each reader sets the position: some members come
# back whole in length and wrong in content without an error (or end in a ReadError). One thread
# alone, or one process alone, reads right; zip is right from threads.
# Who reads photos out of a tar archive with several workers gives each its own file system, opened
# after the fork (fsspec's instances of tar are not shared, so that another call does).
# Which members it hits is chance: the script reads up to 40 times until it has seen one each way.
# Fails if none is wrong.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fsspec==2026.9.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import multiprocessing
import sys
import tarfile
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import fsspec

members = {f"{number:03d}.bin": bytes([number]) * (50_000 + 997 * number) for number in range(200)}
with tarfile.open("photos.tar", "w") as archive:
    for name, content in members.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
with zipfile.ZipFile("photos.zip", "w") as archive:
    for name, content in members.items():
        archive.writestr(name, content)
systems = {kind: fsspec.filesystem(kind, fo=f"photos.{kind}") for kind in ("tar", "zip")}


def read(kind, name):
    try:
        content = systems[kind].cat_file(name)
    except (tarfile.ReadError, EOFError) as error:
        return type(error).__name__
    if content == members[name]:
        return "right"
    return "wrong content" if len(content) == len(members[name]) else "wrong length"


def count(kind, pool):
    """Read all members, until some were wrong; gives how many, of how many."""
    for turn in range(1, 41):
        seen = list(pool.map(read, [kind] * len(members), members))
        if set(seen) != {"right"}:
            break
    return {word: seen.count(word) for word in sorted(set(seen))}, turn


print("Python", sys.version.split()[0], "fsspec", fsspec.__version__)
fork = multiprocessing.get_context("fork")
found = {}
with ProcessPoolExecutor(2, mp_context=fork) as pool:  # before any thread is begun
    found["tar", "2 forked processes"] = count("tar", pool)
for kind, threads in (("tar", 1), ("zip", 4), ("tar", 4)):
    with ThreadPoolExecutor(threads) as pool:
        found[kind, f"{threads} threads"] = count(kind, pool)
for (kind, readers), (seen, turn) in found.items():
    print(f"{kind}, {readers}: {seen} in reading {turn} of 40 at most")
assert set(found["tar", "1 threads"][0]) == set(found["zip", "4 threads"][0]) == {"right"}
assert set(found["tar", "2 forked processes"][0]) != {"right"}, "forked processes read right now"
assert set(found["tar", "4 threads"][0]) != {"right"}, "threads read right now"
PYTHON
