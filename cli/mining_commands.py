"""``vizcnn mine`` and ``merge``: photos -> an index of every unit's strongest places."""

import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.errors import VizcnnError
from vizcnn.cli.cluster_options import (
    OPTIONS,
    NetLoader,
    cluster_options,
    open_pool,
    take_cluster,
)
from vizcnn.cli.options import (
    CarefulCommand,
    GivenPath,
    SharingCommand,
    WholeNumber,
    device_option,
    fitting_options,
    json_option,
    layers_option,
    list_given,
    load_model,
    model_option,
    net_options,
    per_photo_option,
    precision_option,
    range_option,
    rank_option,
    seed_option,
    strict_index_option,
    take_words,
    weights_option,
    workers_option,
)
from vizcnn.cli.photo_arguments import find_given, photo_set_argument
from vizcnn.cli.repeating import UNTOLD, join_command
from vizcnn.cli.reporting import (
    bar,
    count_others,
    describe_left_out,
    end_with_failures,
    is_strict,
    say,
    telling_to_continue,
)
from vizcnn.mining.ranks import describe_order

if TYPE_CHECKING:
    from vizcnn.basics.ray_pool import RayPool
    from vizcnn.mining.index import StrongestIndex
    from vizcnn.mining.launchers import Launched
    from vizcnn.mining.photo_sets import PhotoSet
    from vizcnn.mining.ranks import Rank
    from vizcnn.mining.run import MiningRun, MiningSettings
    from vizcnn.mining.working_copies import IndexPlace
    from vizcnn.photos.framing import Fit
    from vizcnn.recording.arithmetic import Precision
    from vizcnn.zoo.model import ZooModel


@click.command(cls=SharingCommand)
@model_option
@weights_option
@net_options
@photo_set_argument()
@fitting_options
@click.option(
    "--out",
    required=True,
    type=GivenPath(remote=True, dir_okay=False),
    help="Index file to write, such as strongest.safetensors; an unfinished one is continued. "
    "{part} and {parts} in it stand for the numbers of --part.",
)
@layers_option
@click.option(
    "--top",
    type=WholeNumber(1),
    default=9,
    show_default=True,
    help="How many of the strongest places to keep per unit.",
)
@per_photo_option
@rank_option
@range_option
@click.option(
    "--part",
    default="1/1",
    show_default=True,
    metavar="K/N",
    help="Mine only every N-th photo, from the K-th on, as one part per machine; `vizcnn merge` "
    "joins the parts. auto takes K and N from torchrun, srun, a SLURM job array or MPI.",
)
@cluster_options
@workers_option
@device_option
@precision_option
@seed_option
@strict_index_option
@json_option
@click.pass_context
def mine(
    context: click.Context,
    /,
    model: str,
    photos: tuple[str, ...],
    fit: "Fit | None",
    size: int | None,
    out: Path,
    layers: tuple[str, ...],
    top: int,
    per_photo: int,
    rank: "Rank | None",
    ranges: bool,
    part: str,
    workers: int | None,
    device: str,
    precision: "Precision",
    seed: int,
    as_json: bool,
    **said: Any,
) -> None:
    """Find the strongest places of every unit over many photos.

    This takes one pass over any number of photos. After an interruption, run the same command
    again to continue; the index becomes the same to the last byte.
    """
    from vizcnn.basics.devices import choose_device
    from vizcnn.basics.output import hold_output
    from vizcnn.mining.cluster import remove_parts
    from vizcnn.mining.launchers import choose_local_device, fill_name, share_readers
    from vizcnn.mining.photo_sets import choose_part, list_left_out, open_photos
    from vizcnn.mining.run import MiningRun, MiningSettings
    from vizcnn.mining.working_copies import work_on
    from vizcnn.recording.layers import list_stages, select_layers

    cluster = take_cluster(context, said)
    if cluster and any(parameter.name == "part" for parameter in list_given(context)):
        raise click.UsageError(
            "--part is for machines that are started one by one: with --engine say in how many "
            "--parts",
            context,
        )
    launched = _settle_part(part, out)
    part, template, out = str(launched), out, fill_name(out, launched.part, launched.parts)
    device = choose_local_device(device, launched.local_rank)
    paths = find_given(photos)
    (words,) = take_words(context, [model], said)
    # what is complete is compared with the photos, as ever
    pool = None if cluster is None or _is_complete(out) else open_pool(cluster, device)
    here, arithmetic = device, precision
    if cluster and (pool or precision == "exact"):  # the GPUs are the cluster's
        here, arithmetic = "cpu", "exact"
    net = load_model(model, words, here, seed, arithmetic).fit_photos(fit, size)
    if workers is None and launched.local_size is not None:
        workers = share_readers(choose_device(device), launched.local_size)
    settings = MiningSettings(
        layers=select_layers(net, layers or (list_stages(net),)),
        top=top,
        per_photo=per_photo,
        workers=workers,
        precision=precision,
        rank=rank or "activation",
        ranges=ranges,
        seed=seed,
    )
    photo_set = choose_part(open_photos(paths, net.preprocessing), part)
    if cluster and pool:
        load = partial(NetLoader, model, words, seed=seed, precision=precision, fit=fit, size=size)
        index, rate = _mine_over(
            pool, load, net, photo_set, out, settings, cluster.parts, is_strict(context)
        )
    else:
        if isinstance(out, Path):
            context.with_resource(hold_output(out))
        with work_on(out) as file:
            run = MiningRun(net, photo_set, file, settings, strict=is_strict(context))
            rate = _run_or_save(run, out)
            index = run.index
        if cluster:
            remove_parts(out)  # of a run that was killed when it was about to
    if part == "1/1":  # a part of which nothing can be read is one of the whole's
        _refuse_useless(index, out)
    following = _write_next(context, out, template, launched)
    report_index(index, out, as_json, following, rate, list_left_out(photo_set))
    end_with_failures(context, [why for _, why in index.failures])


def _is_complete(out: "IndexPlace") -> bool:
    from vizcnn.mining.index import read_index
    from vizcnn.mining.working_copies import read_copies

    with read_copies([out]) as (file,):
        return os.path.lexists(file) and read_index(file).complete


def _mine_over(
    pool: "RayPool",
    load: "Callable[[str], NetLoader]",
    net: "ZooModel",
    photos: "PhotoSet",
    out: "IndexPlace",
    settings: "MiningSettings",
    parts: int | None,
    strict: bool,
) -> "tuple[StrongestIndex, float | None]":
    """Mine in parts, in a pool; gives the index, and photos per second if no part was there."""
    from vizcnn.mining.cluster import identify_run, mine_with, name_parts_folder, plan_parts
    from vizcnn.mining.working_copies import list_names

    plan_parts(photos, out, parts)  # refuses a wrong number of them before Ray is started
    is_new = not list_names(name_parts_folder(out))
    with telling_to_continue(), pool:
        if settings.workers is None:
            settings = replace(settings, workers=pool.readers)
        began = time.monotonic()
        index = mine_with(
            pool,
            load(pool.device),
            identify_run(net, settings),
            photos,
            out,
            settings,
            parts,
            bar,
            lambda line: say(line, err=True),
            strict,
        )
        rate = len(photos.names) / (time.monotonic() - began)
    return index, rate if is_new else None


@click.command(cls=CarefulCommand)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="INDEX...",
    type=GivenPath(remote=True),
)
@click.option(
    "--out",
    required=True,
    type=GivenPath(remote=True, dir_okay=False),
    help="Index file to write; an index that is there already is replaced.",
)
@strict_index_option
@json_option
@click.pass_context
def merge(
    context: click.Context,
    /,
    files: "tuple[IndexPlace, ...]",
    out: "IndexPlace",
    as_json: bool,
) -> None:
    """Join indexes that several machines mined of different photos.

    The joint index is the same, to the last byte, as that of one run over all the photos.
    """
    from vizcnn.basics.output import hold_output
    from vizcnn.mining.merging import merge_files

    if isinstance(out, Path):
        context.with_resource(hold_output(out))
    index = merge_files(files, out, is_strict(context))
    report_index(index, out, as_json, join_command("index", [str(out)]))
    end_with_failures(context, [why for _, why in index.failures])


def _run_or_save(run: "MiningRun", out: "IndexPlace") -> float | None:
    """Run it to the end; gives how many photos it mined per second, if any."""
    count, before, began = len(run.index.photos), run.index.done, time.monotonic()
    complete = run.index.complete
    if run.index.done and not complete:
        say(f"continuing at photo {run.index.done + 1} of {count}", err=True)
    try:
        run.run(bar)
    except KeyboardInterrupt:
        say(
            f"stopped at photo {run.index.done} of {count}; saved in "
            f"{shlex.quote(_name(out))}: run the same command again to "
            "continue",
            err=True,
        )
        raise
    if complete:
        say(f"already complete: {count} photos", err=True)
    rate = (run.index.done - before) / (time.monotonic() - began)
    return rate if before < run.index.done else None


def _refuse_useless(index: "StrongestIndex", out: "IndexPlace") -> None:
    from vizcnn.mining.index import refuse_unreadable
    from vizcnn.mining.working_copies import remove_place

    try:
        refuse_unreadable(index)
    except VizcnnError:
        remove_place(out)  # nothing of it is of use when the photos can be read
        remove_place(_name_maxima(out))
        raise


def _name(place: PurePath) -> str:
    """Write a place for a message."""
    return click.format_filename(place) if isinstance(place, Path) else str(place)


def _name_maxima(place: "IndexPlace") -> "IndexPlace":
    from vizcnn.mining.maxima import name_maxima
    from vizcnn.mining.working_copies import name_place_of_maxima

    return name_maxima(place) if isinstance(place, Path) else name_place_of_maxima(place)


def _settle_part(text: str, out: PurePath) -> "Launched":
    """Find out which part is to be mined, and say so where a launcher has told it.

    Raises:
        DataError: If none is named, or all would be written to one file.
    """
    from vizcnn.mining.launchers import AUTO, Launched, find_part, require_own_name
    from vizcnn.mining.photo_sets import read_part

    if text.strip() != AUTO:
        return Launched(*read_part(text), told_by="--part")
    launched = find_part()
    require_own_name(out, launched.parts)
    say(f"part {launched} ({launched.told_by})", err=True)
    return launched


def _write_next(
    context: click.Context, out: PurePath, template: PurePath, launched: "Launched"
) -> str:
    """Write the command that goes on from an index: a gallery of it, with the same choices."""
    from vizcnn.mining.launchers import list_part_words

    if launched.parts > 1:
        files, joint = list_part_words(template, launched.parts), ["--out", "all.safetensors"]
        if files:
            # a shell's range may not be quoted, which join_command would do
            words = [*files, *joint]
            if str(template).startswith("-"):
                words = [*joint, "--", *files]
            return " ".join(["vizcnn merge", *words])
        return join_command("merge", [str(out), "OTHER-PARTS..."], joint)
    if not isinstance(out, Path):  # which a gallery does not read
        return join_command("index", [str(out)])
    options: list[str] = []
    for parameter in list_given(context):
        name = str(parameter.name)
        if name not in context.params:  # such as photos that an option names
            continue
        if name in (*UNTOLD, *OPTIONS, "photos", "out", "part", "workers"):
            continue
        value = context.params[name]
        if value is True:
            options.append(parameter.opts[0])
            continue
        for item in value if isinstance(value, tuple) else (value,):
            options += [parameter.opts[0], str(item)]
    return join_command("gallery", context.params["photos"], [*options, "--index", str(out)])


def report_index(
    index: "StrongestIndex",
    file: "IndexPlace",
    as_json: bool,
    following: str,
    rate: float | None = None,
    left_out: Sequence[str] = (),
) -> None:
    """Say on stdout what an index holds and where it is.

    Args:
        index: What was written.
        file: Where it is.
        as_json: Whether to say it as JSON.
        following: What to type next.
        rate: Photos per second, if some were mined.
        left_out: What was found beside the photos and is not read.
    """
    from vizcnn.mining.machine_kinds import describe_kinds

    units = {name: layer.units for name, layer in index.layers.items()}
    if as_json:
        facts = {
            "index": str(file),
            "photos": len(index.photos),
            "units": units,
            "precision": index.identity.precision,
            "rank": index.identity.rank,
            "ranges": index.identity.ranges,
            "machines": list(index.machines),
            "photos_without_class": index.unclassed,
            "photos_per_second": rate,
            "failures": [{"photo": name, "error": why} for name, why in index.failures],
            **describe_left_out(left_out),
            "next": following,
        }
        say(json.dumps(facts))
        return
    speed = "" if rate is None else f", {rate:.1f} photos/s"
    say(f"{index.identity.model}, {index.identity.weights}")
    if index.identity.precision != "exact":
        say(f"precision: {index.identity.precision}")
    say(
        f"{len(index.photos) - len(index.failures)} photo(s), {sum(units.values())} units of "
        f"{len(units)} layer(s){speed}"
    )
    say(describe_kinds(index.machines))
    if index.identity.rank != "activation":
        say(f"ranked: {describe_order(index.identity.rank, index.identity.seed)}")
    if index.unclassed:
        say(f"{index.unclassed} photo(s) in folders that name no class left out")
    if index.identity.ranges:
        say("with the range of each unit: vizcnn index --range")
    if left_out:
        say(f"{count_others(len(left_out))} left out")
    say(f"index: {_name(file)}")
    if index.identity.keeps_maxima:
        say(f"maxima, for merging: {_name(_name_maxima(file))}")
    say(f"next: {following}")
