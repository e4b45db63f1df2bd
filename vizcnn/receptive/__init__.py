"""Receptive fields: what units can see, measured exactly from recorded graphs.

In: a net or a recording, and layers. Out: size, stride and offset of fields, and boxes on photos.
Add an operation in steps.py.
"""

from vizcnn.receptive.boxes import find_boxes, find_field
from vizcnn.receptive.fields import ReceptiveField, find_box, measure_fields

__all__ = ["ReceptiveField", "find_box", "find_boxes", "find_field", "measure_fields"]
