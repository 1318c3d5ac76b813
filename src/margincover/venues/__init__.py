"""Rulebooks: registry and dated data, shared margin kernels, pools, liquidation prices, and the slow Decimal twin.

Takes accounts and a market, gives margin pools and their equity, maintenance and initial margin in any state.
Venues differ by data (``data/<venue>.toml``) alone. Must not import ``scenarios`` or any room above.
"""
