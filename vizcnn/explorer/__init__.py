"""The explorer's questions of nets and photos, and who answers them: folder, server, notebook.

In: questions by name. Out: answers, each plain values and bytes, the same in all three lives. A
question is a dictionary, `{"ask": "maps", "net": 0, "photo": 2, "layer": 4}`.

Add a question as a module of its own with a function from an `Explorer` and the question to an
`Answer` (`explorer.find_layer(question)`, `explorer.look(question)` and their like read what it is
about), and a line of `QUESTIONS` in questions.py: the function, and of what (net, photo, layer,
method) it is asked ahead for a page on disk, or None if only a running program can answer it. What
needs more than nets and photos, such as an index, is given to the `Explorer` as one of `questions`.
"""

import vizcnn.drawing  # noqa: F401  before matplotlib: it tells of settings that stop that
