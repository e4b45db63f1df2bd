"""The pages' HTML: manifests, templates and static files.

In: results and the names of pictures. Out: index.html and manifest.json, which open from disk.
Add here what a page says of itself, and how it looks.
"""
