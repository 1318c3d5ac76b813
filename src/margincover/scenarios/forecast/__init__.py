"""Forecasts of required coverage for a unit position in one coin: named models that can be walked forward and judged.

Takes the hourly bars of one coin (``CoinBars``) or of a market of coins, and instants; gives for each instant the
(1 - tolerance)-quantile and Expected Shortfall of the path maximum of (maintenance - equity change), as fractions of
notional, long and short. A forecast at an instant reads only bars that had closed by then.
Must not import paths, coverage, venues, report, io, app or cli.
"""
