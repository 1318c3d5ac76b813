"""Hyperliquid: what portfolio margin adds to the perpetuals of the rulebook.

Pure functions on arrays; parameters are dated data in ``data/parameters``. Must not import another venue.
"""
