"""dYdX v4: margin in the integers of the chain, and its float form for many paths.

Pure functions on arrays, path last, with slow twins beside them; parameters are dated data in ``data/parameters``.
Must not import another venue.
"""
