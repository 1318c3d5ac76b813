"""Perpetuals of further venues: one family of liquidation prices and requirements, linear and inverse.

Pure functions on arrays, path last, with slow twins beside them; parameters are dated data in ``data/parameters``.
Must not import another venue.
"""
