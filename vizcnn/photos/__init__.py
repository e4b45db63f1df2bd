"""Photos as arrays: read safely, turned upright, cut into patches; sample photos; pixel types.

In: paths and files. Out: RGB pixels 0..1 with their source and sha256.
Add a format (formats.py) or a sample photo (samples.py) here.
"""
