"""A small net's explorer in its two lives, and what a page of it should show by torch alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

import vizcnn
from vizcnn.explorer.explored import ExploredNet, explore_file
from vizcnn.explorer.explorer import ExplorerSettings
from vizcnn.pages.explore import make_explorer
from vizcnn.pages.explore_live import serve_explorer
from vizcnn.photos.samples import find_sample
from vizcnn.photos.stored import PhotoFile
from vizcnn.receptive import ReceptiveField, measure_fields
from vizcnn.recording.layers import select_stages


@dataclass(frozen=True)
class SmallExplorer:
    """LeNet-5 and two sample photos."""

    photos: tuple[str, ...] = ("coffee", "chelsea")

    @cached_property
    def net(self) -> Any:
        return vizcnn.load("lenet", weights="bundled")

    @cached_property
    def explored(self) -> list[ExploredNet]:
        return [ExploredNet("lenet", self.net, select_stages(self.net))]

    @property
    def files(self) -> list[PhotoFile]:
        return [file for file in map(find_sample, self.photos) if file is not None]

    @property
    def settings(self) -> ExplorerSettings:
        return ExplorerSettings(own=4)

    def write(self, folder: Path) -> Path:
        make_explorer(self.explored, self.files, folder, self.settings, "vizcnn explore")
        return folder

    @contextmanager
    def serve(self) -> Iterator[str]:
        with serve_explorer(self.explored, self.files, self.settings, []) as server:
            yield server.address.rstrip("/")

    @cached_property
    def fields(self) -> tuple[ReceptiveField, ...]:
        return measure_fields(self.net, self.explored[0].layers)

    @cached_property
    def maps(self) -> list[dict[str, np.ndarray]]:
        """By photo and layer what a hook of torch sees: units x rows x columns."""
        return [self._run(explore_file(file).read()) for file in self.files]

    def _run(self, photo: Any) -> dict[str, np.ndarray]:
        seen: dict[str, np.ndarray] = {}
        names = {self.net.layers[name]: name for name in self.explored[0].layers}

        def keep(name: str, module: Any, inputs: Any, output: Any) -> None:
            seen[name] = output[0].numpy()

        hooks = [
            module.register_forward_hook(partial(keep, names[path]))
            for path, module in self.net.module.named_modules()
            if path in names
        ]
        self.net.logits(self.net.read(photo))
        for hook in hooks:
            hook.remove()
        return seen
