"""Training of the zoo's nets on folders of photos: resumable, the same bytes every time.

In: photos in a folder per class and a recipe. Out: weights, a model card and first layers by epoch.
Add a usual recipe in recipe.py, a data set of its own in a file like digits.py.
"""
