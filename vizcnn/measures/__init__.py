"""Numbers without pictures: filters, spectra, aliasing, shifts, grids.

In: nets, filters, patches. Out: frozen results that drawing and pages show.
Add a measure as a module of its own.
"""
