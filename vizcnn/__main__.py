"""``python -m vizcnn``."""

from vizcnn.cli.main import main

main()
