"""The kinds of questions that every explorer answers: one line each."""

from vizcnn.explorer.contents import answer_start
from vizcnn.explorer.explorer import Kind
from vizcnn.explorer.feature_maps import answer_maps, answer_tiles, answer_use
from vizcnn.explorer.hiding import answer_hidden, answer_hide
from vizcnn.explorer.seen_photos import answer_photo
from vizcnn.explorer.unit_facts import answer_facts, answer_patches, count_patch_parts
from vizcnn.explorer.unit_pictures import answer_pictures

QUESTIONS: dict[str, Kind] = {
    "start": Kind(answer_start, ()),
    "photo": Kind(answer_photo, ("net", "photo")),
    "maps": Kind(answer_maps, ("net", "photo", "layer")),
    "use": Kind(answer_use, ("net", "photo", "layer")),
    "pictures": Kind(answer_pictures, ("net", "photo", "layer", "method")),
    "facts": Kind(answer_facts, ("net", "layer")),
    "patches": Kind(answer_patches, ("net", "layer"), count_patch_parts, needs_strongest=True),
    "hidden": Kind(answer_hidden, ("net", "photo")),
    "hide": Kind(answer_hide),
    "tiles": Kind(answer_tiles),
}
"""The kinds by name, each with what answers it and what it is asked of for a page on disk."""
