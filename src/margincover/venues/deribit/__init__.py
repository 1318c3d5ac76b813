"""Deribit: standard margin, the extended risk matrix of portfolio margin, cross collateral, account summaries.

Pure functions on arrays, path last, with slow twins beside them; parameters are dated data in ``data/parameters``.
Must not import another venue.
"""
