"""One forward pass, recorded: its graph, rectifiers, switches, geometry, and the layers' names.

In: a torch module and a batch. Out: a `Recording` that projections are taken from.
Add a spelling of ReLU in rectifiers.py, what a pass has to remember of an operation in recorder.py;
layers.py reads every reference to a layer, watch.py hangs every hook on a net.
"""
