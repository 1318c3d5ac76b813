"""Binance: multi-assets mode and portfolio margin.

Pure functions on arrays, path last, with slow twins beside them; parameters are dated data in ``data/parameters``. The
``*_model`` modules put them behind the pools of a book.
Must not import another venue.
"""
