"""Galleries of whole layers: each unit's strongest places over a folder of photos, resumable.

In: an index of strongest places. Out: sheets, pages and a manifest.
Add here what a layer or unit page shows.
"""
