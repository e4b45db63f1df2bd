#!/bin/sh
# ray 2.60.0 (Ray Data), torch 2.13.0: an actor of map_batches is begun in one thread and called in
# another, so that gradients that its __init__ switched off are on in its calls.
#
# Guess beforehand: __init__ and __call__ of the class run one after the other in the main thread of
# the actor's process, so that torch.set_grad_enabled(False) in __init__, where the net is loaded,
# holds for its batches. Seen: __init__ runs in the main thread, all calls in one other thread, and
# torch's gradient mode belongs to a thread: each forward pass records its graph, which costs
# memory, and nothing says so. What a threading.local holds is lost in the same way.
# Who maps a net over a set enters torch.no_grad() or inference_mode() in __call__.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[data]==2.60.0" torch==2.13.0 numpy==2.4.6
cd "$folder"
cat >program.py <<'PYTHON'
import logging
import threading

import numpy as np
import ray
import torch


class Net:
    def __init__(self):
        torch.set_grad_enabled(False)
        self.held = threading.local()
        self.held.begun = True
        self.layer = torch.nn.Linear(3, 2)
        self.begun_in_main = threading.current_thread() is threading.main_thread()
        self.records = self.layer(torch.ones(1, 3)).requires_grad

    def __call__(self, batch):
        scores = self.layer(torch.ones(len(batch["id"]), 3))
        called_in_main = threading.current_thread() is threading.main_thread()
        held = hasattr(self.held, "begun")
        seen = [self.begun_in_main, called_in_main, self.records, scores.requires_grad, held]
        return {"seen": np.array([seen] * len(scores)), "thread": [threading.get_ident()]}


net = Net()
plain = net({"id": [1]})["seen"][0].tolist()
torch.set_grad_enabled(True)
ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
logging.getLogger("ray.data").setLevel(logging.ERROR)
ray.data.DataContext.get_current().enable_progress_bars = False
rows = ray.data.from_items([{"id": number} for number in range(4)])
mapped = rows.map_batches(Net, batch_size=1, compute=ray.data.ActorPoolStrategy(size=1))
found = mapped.take_all()
ray.shutdown()
print("ray", ray.__version__, "torch", torch.__version__)
titles = ("begun in main thread", "called in main thread", "graph in __init__",
          "graph in __call__", "threading.local kept")
print("plain calls:", dict(zip(titles, plain)))
for row in found:
    print("Ray's actor:", dict(zip(titles, row["seen"].tolist())))
assert plain == [True, True, False, False, True]
assert len({row["thread"] for row in found}) == 1
told = [row["seen"].tolist() for row in found]
assert told == [[True, False, False, True, False]] * 4, "it is one thread now"
PYTHON
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" -W ignore program.py 2>errors || {
    cat errors
    exit 1
}
