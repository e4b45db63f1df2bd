"""A command's work from photos to a folder: what is computed, drawn and written, page by page.

In: a net, photos and settings. Out: pictures, manifest.json and index.html in a folder.
Add a page as a module of its own.
"""

import vizcnn.drawing  # noqa: F401  before matplotlib: it tells of settings that stop that
