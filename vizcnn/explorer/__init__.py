"""The explorer's questions of nets and photos, and who answers them: folder, server, notebook.

In: questions by name. Out: answers, each plain values and bytes, the same in all three lives. A
question is a dictionary, `{"ask": "maps", "net": 0, "photo": 2, "layer": 4}`.

Add a question as a module of its own and a line of `QUESTIONS` in questions.py; docs/adding.md has
the steps.
"""

import vizcnn.drawing  # noqa: F401  before matplotlib: it tells of settings that stop that
