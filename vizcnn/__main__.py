"""``python -m vizcnn``."""

from vizcnn.cli.start import main

main()
