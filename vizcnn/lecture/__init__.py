"""The figures, tables and claims of a lecture on CNN architectures, computed from the nets."""
