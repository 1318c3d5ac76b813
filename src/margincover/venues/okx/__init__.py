"""OKX: options, multi-currency margin, spot margin pairs, portfolio margin.

``options``, ``multi_currency`` and ``portfolio`` are pure functions on arrays, path last, with slow twins beside them;
``*_model`` put them behind a pool, one file for each account mode. Parameters are dated data in ``data/parameters``.
Must not import another venue.
"""
