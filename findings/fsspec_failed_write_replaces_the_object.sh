#!/bin/sh
# fsspec 2026.9.0, s3fs 2026.9.0, against the S3 server of moto 5.2.5: a write that fails half-way
# replaces the object with its half, and an aborted transaction covers nothing but open().
#
# An object store swaps objects whole. Guess beforehand: an exception inside `with fs.open(url,
# "wb")` drops the upload, and the old object stays; inside `with fs.transaction` nothing of the
# block remains. Seen: leaving the block closes the file, which completes the upload, of one piece
# and of several, so that 7 of 12 MiB are the object now. In a transaction that ends in an exception
# what open() wrote is dropped, but what pipe and put_file wrote stays, and what rm removed is gone.
# Who wants objects whole or not at all writes a local file and puts it when it is complete.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet s3fs==2026.9.0 fsspec==2026.9.0 "moto[server]==5.2.5"
cd "$folder"
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 \
    "$folder/venv/bin/python" - <<'PYTHON'
import logging
from importlib.metadata import version
from pathlib import Path

import s3fs
from moto.server import ThreadedMotoServer

logging.disable(logging.CRITICAL)
MEBIBYTE = 2**20
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
store = s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}", use_listings_cache=False)
store.mkdir("bucket")
print("fsspec", version("fsspec"), "s3fs", version("s3fs"), "moto", version("moto"))
whole = bytes(range(256)) * (12 * MEBIBYTE // 256)

for written in (1, 7):
    store.pipe("bucket/part", whole)
    try:
        with store.open("bucket/part", "wb") as file:
            for number in range(written):
                file.write(whole[number * MEBIBYTE : (number + 1) * MEBIBYTE])
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    found = store.cat("bucket/part")
    print(f"12 MiB, interrupted after {written} MiB were written anew: {len(found) / MEBIBYTE} MiB")
    assert found != whole, "the old object stays now"
    assert found == whole[: written * MEBIBYTE]

store.pipe({"bucket/part": whole, "bucket/old": b"old"})
Path("local").write_bytes(b"put")
try:
    with store.transaction:
        with store.open("bucket/part", "wb") as file:
            file.write(b"half")
        store.pipe("bucket/piped", b"piped")
        store.put_file("local", "bucket/put")
        store.rm("bucket/old")
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
names = sorted(store.ls("bucket", detail=False))
print("after an aborted transaction:", names)
assert store.cat("bucket/part") == whole
assert names == ["bucket/part", "bucket/piped", "bucket/put"], "the transaction covers more now"
server.stop()
PYTHON
