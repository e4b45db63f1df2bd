"""The places of finished units, as records of the manifest."""

from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.projecting import name_unit
from vizcnn.pages.layers.records import Place


def list_places(job: Job, layer: int, row: int) -> tuple[Place, ...]:
    """List the places of a unit whose sheets are written, strongest first; none if it is silent.

    Args:
        job: The gallery.
        layer: Number of the layer.
        row: Row of the unit among the layer's chosen ones.
    """
    plan, places = job.layers[layer], job.places[layer]
    count = places.count(row)
    if not count:
        return ()
    piece = job.ledger.need(name_unit(layer, plan.units[row]))
    return tuple(
        Place(
            photo=job.find_shown(int(places.photos[row, rank])),
            activation=float(places.activations[row, rank]),
            position=tuple(places.positions[row, rank].tolist()) if plan.map_size else None,
            box=piece.boxes[rank],
            corner=piece.corners[rank],
            **piece.read_evidence(rank),
        )
        for rank in range(count)
    )
