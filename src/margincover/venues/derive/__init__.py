"""Derive: standard manager, PM2, auction buffer and fees.

Pure functions on arrays, path last, with slow twins beside them; parameters are dated data in ``data/parameters``.
Must not import another venue.
"""
