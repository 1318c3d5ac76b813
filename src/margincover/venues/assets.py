"""Assets that are meant to hold one dollar.

Their USD price still comes from the book's market and is never assumed to be 1. The list says only that the current
scenario generators hold that price constant along paths; every result names this under "not modelled".
"""

from __future__ import annotations

PEGGED_TO_USD = frozenset(
    {"USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "USDE", "USDH", "PYUSD", "RLUSD", "USDT0", "BFUSD"}
)


def is_pegged(asset: str) -> bool:
    """Return whether an asset is meant to hold one dollar."""
    return asset.upper() in PEGGED_TO_USD
