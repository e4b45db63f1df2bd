"""Training: the zoo's own nets on a folder of photos, resumable and repeatable.

In: photos by class and a recipe. Out: weights, a model card, and the first layers by epoch.
Add here what a recipe can ask for.
"""
