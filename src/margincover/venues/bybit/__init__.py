"""Bybit: options, portfolio margin, borrowing and tiered collateral.

Pure functions on arrays, path last, with slow twins beside them; parameters are dated data in ``data/parameters``.
Must not import another venue.
"""
