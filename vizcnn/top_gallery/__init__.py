"""Galleries of whole layers: each unit's strongest places over a folder of photos."""
