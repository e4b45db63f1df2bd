"""Receptive fields: measured from recorded graphs, drawn on photos, and written as a page."""

from vizcnn.receptive.boxes import find_boxes, find_field
from vizcnn.receptive.fields import ReceptiveField, find_box, measure_fields

__all__ = ["ReceptiveField", "find_box", "find_boxes", "find_field", "measure_fields"]
