"""Nets that a user's own code makes, or that torch.export wrote: no weights go without them."""

import hashlib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from vizcnn.basics.errors import (
    ModelError,
    VizcnnError,
    VizcnnWarning,
    WeightsError,
    nearest_names,
    quote,
    shorten,
)
from vizcnn.basics.files import hash_file, open_plain_file
from vizcnn.zoo.adjusting import PreprocessingLike, adjust
from vizcnn.zoo.building import check_state, seeded
from vizcnn.zoo.exported import read_program
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.specs import Spec
from vizcnn.zoo.state_dicts import check_file, find_state
from vizcnn.zoo.wrapping import wrap


def load_made(
    spec: Spec,
    weights: str | Path | None,
    variant: str | None,
    seed: int,
    options: dict[str, Any],
    preprocessing: PreprocessingLike | None = None,
) -> ZooModel:
    """Load a net that a factory makes, or that a ``.pt2`` file holds.

    Args:
        spec: Which net.
        weights: ``"auto"``: those that it comes with. None: random ones, of all parts of torch's
            own kinds. A path: those of the file.
        variant: There is none: what else is to be said goes into the factory.
        seed: Of random weights; a factory that draws its own is called with this seed as well.
        options: Arguments of the factory; of a ``.pt2`` file the input size alone.
        preprocessing: As in :func:`~vizcnn.zoo.adjusting.settle_preprocessing`; the net is first
            run at the size that it says, since it may run at no other.

    Raises:
        ModelError: If there is no such file or factory, what it makes is no net, or there are
            options that it does not take.
        WeightsError: If the weights are another net's.
    """
    if variant is not None:
        raise ModelError(
            f"{quote(spec.text)} has no variants: leave variant={variant!r} out, and write a "
            "factory for each form"
        )
    with seeded(seed):
        if spec.kind == "exported":
            model = _load_exported(spec, options, preprocessing)
        else:
            model = _load_from_code(spec, options, preprocessing)
        if weights is None:
            return _randomise(model, seed)
    return model if weights == "auto" else _put_in(model, weights)


def _load_exported(spec: Spec, options: dict[str, Any], told: PreprocessingLike | None) -> ZooModel:
    path = Path(spec.source)
    size = options.pop("input_size", None)
    if options:
        raise ModelError(f"{quote(path)} takes no {', '.join(map(quote, options))}: it is as it is")
    sha256 = hash_file(path, "exported net", ModelError)
    program = read_program(path)
    size = size or program.input_size
    model = wrap(
        program.module,
        preprocessing=None if size else told,
        name=spec.slug,
        title=path.stem,
        input_size=size,
        provenance=Provenance("file", data=path.name, sha256=sha256, location=str(path)),
    )
    return adjust(model, told)


def _load_from_code(
    spec: Spec, options: dict[str, Any], preprocessing: PreprocessingLike | None
) -> ZooModel:
    with _finding_modules(spec):
        home = _import(spec)
        file = Path(getattr(home, "__file__", "") or spec.source)
        sha256 = hash_file(file, "code", ModelError)
        warnings.warn(
            f"ran the code of {quote(file)}, as asked for by {spec.text}",
            VizcnnWarning,
            stacklevel=2,
        )
        made = _make(spec, home, options)
    origin = Provenance("code", data=spec.text, sha256=sha256, location=str(file))
    told = {"factory": spec.text, "code_sha256": sha256}
    if isinstance(made, ZooModel):
        kept = origin if made.provenance.source == "code" else made.provenance
        model = replace(made, provenance=kept, options={**made.options, **told})
        return adjust(model, preprocessing)
    if not isinstance(made, nn.Module):
        raise ModelError(
            f"{spec.text} made a {type(made).__name__}; needed: a torch module, or what "
            "vizcnn.wrap gives"
        )
    model = wrap(
        made.eval(),
        preprocessing=preprocessing,
        name=spec.slug,
        title=spec.text,
        provenance=origin,
    )
    return replace(model, options=told)


@contextmanager
def _finding_modules(spec: Spec) -> Iterator[None]:
    """Let Python find what lies beside the file, or in the working folder, as of a script."""
    place = Path(spec.source).parent if spec.source.endswith(".py") else Path()
    before = list(sys.path)
    sys.path.insert(0, str(place.absolute()))
    try:
        yield
    finally:
        sys.path[:] = before


def _import(spec: Spec) -> ModuleType:
    if not spec.source.endswith(".py"):
        try:
            return importlib.import_module(spec.source)
        except Exception as error:
            raise ModelError(_explain(spec, "importing it", error)) from error
    path = Path(spec.source)
    open_plain_file(path, "file of code", ModelError).close()
    # under its own name the same file would be found twice, or hide a package of that name
    digest = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]
    found = importlib.util.spec_from_file_location(f"_vizcnn_{path.stem}_{digest}", path)
    if found is None or found.loader is None:
        raise ModelError(f"{quote(path)} cannot be imported; needed: a file of Python code")
    home = importlib.util.module_from_spec(found)
    sys.modules[found.name] = home  # dataclasses and pickles look there
    try:
        found.loader.exec_module(home)
    except Exception as error:
        del sys.modules[found.name]
        raise ModelError(_explain(spec, "running it", error)) from error
    return home


def _make(spec: Spec, home: ModuleType, options: dict[str, Any]) -> Any:
    factory = getattr(home, spec.part, None)
    if factory is None:
        known = [name for name, value in vars(home).items() if callable(value) and name[0] != "_"]
        raise ModelError(
            f"{spec.source} has no {quote(spec.part)}: {nearest_names(spec.part, known)}"
        )
    if isinstance(factory, nn.Module | ZooModel) and not options:
        return factory
    if not callable(factory):
        raise ModelError(
            f"{spec.text} is a {type(factory).__name__}; needed: a function or class that makes a "
            "torch module"
        )
    try:
        return factory(**options)
    except VizcnnError:
        raise
    except Exception as error:
        raise ModelError(_explain(spec, f"calling {spec.part}", error)) from error


def _explain(spec: Spec, doing: str, error: Exception) -> str:
    reason = shorten((str(error).strip() or type(error).__name__).splitlines()[0], 200)
    where = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(Path(spec.source).name):
            where = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    raised = f"{type(error).__name__} ({reason}{where})"
    return f"{quote(spec.text)}: {doing} raised {raised}: mend it there"


def _randomise(model: ZooModel, seed: int) -> ZooModel:
    """Draw the weights anew, of all parts that know how."""
    left = 0
    for part in model.module.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
        else:
            left += len(list(part.parameters(recurse=False)))
    note = f"seed {seed}" + (f"; {left} parameters are as they were made" if left else "")
    origin = Provenance("random", data="none", licence="none", note=note)
    return replace(model, provenance=origin)


def _put_in(model: ZooModel, weights: str | Path) -> ZooModel:
    path = Path(weights)
    check_file(path)
    if path.suffix == ".onnx":
        raise WeightsError(
            f"{quote(path)}: an ONNX file is read for nets of the catalogue alone; of {model.name} "
            "give a state dict (.safetensors, .pth)"
        )
    found = find_state(path, model.module.state_dict())
    complaint = f"the weights in {quote(path)} are not {model.name}'s"
    check_state(model.module, found.tensors, complaint, str(path))
    values = model.module.state_dict()  # with the versions of its parts, which files do not tell
    values.update(found.tensors)
    model.module.load_state_dict(values, strict=False)
    sha256 = hash_file(path, "weight file", WeightsError)
    untold = "the file does not tell its data: the net is as its code makes it"
    note = "; ".join(filter(None, (untold, found.note)))
    origin = Provenance("file", note=note, sha256=sha256, location=str(path))
    return replace(model, provenance=origin)
