"""Filters of a layer: read, measured, drawn, and written as a page."""
