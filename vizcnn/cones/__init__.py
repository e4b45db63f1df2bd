"""Projection within the cones of receptive fields: windows of all units as one batch."""
