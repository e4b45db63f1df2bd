"""Receptive fields, walked back step by step through a recorded graph.

In: a recording. Out: boxes of input pixels of any unit; size, stride and offset of whole layers.
Add how an operation reads its input in steps.py (`READINGS`); what is not there sees everything.
"""

from vizcnn.receptive.boxes import find_boxes, find_field
from vizcnn.receptive.fields import ReceptiveField, find_box, measure_fields

__all__ = ["ReceptiveField", "find_box", "find_boxes", "find_field", "measure_fields"]
