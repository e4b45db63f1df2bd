"""Training of the zoo's own nets on a folder of photos, resumable and repeatable."""
