"""Photos as arrays: found and read safely, turned upright, cut into patches; sample photos.

In: paths and files. Out: RGB pixels 0..1 with their source and sha256.
Add a format (formats.py), a kind of file that holds photos (stores.py) or a sample photo
(samples.py) here.
"""
