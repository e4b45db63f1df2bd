"""One forward pass, recorded: its graph, rectifiers, switches, geometry, and the layers' names.

In: a torch module and a batch. Out: a `Recording` that projections are taken from.
Add here what a pass has to remember of an operation.
"""
