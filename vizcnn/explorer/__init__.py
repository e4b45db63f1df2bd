"""The explorer's questions of nets and photos, and who answers them: folder, server, notebook.

In: questions by name. Out: answers, each plain values and bytes, the same in all three lives.
Add a question to questions.py, and what answers it as a module of its own.
"""

import vizcnn.drawing  # noqa: F401  before matplotlib: it tells of settings that stop that
