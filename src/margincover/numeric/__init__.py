"""Mathematics without finance: random streams, quantiles, intervals, volatility recursions, roots.

Takes and gives NumPy arrays and numbers; knows no account, venue or file.
Must not import any other room than ``errors`` and ``units``.
"""
