"""The packaged law by which implied volatility moves with its coin along paths."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from margincover.model.spot_volatility import SpotVolatility


@cache
def packaged_spot_volatility() -> SpotVolatility:
    """Return the law fitted on Deribit's BTC volatility index and on crisis days; it stands in for every coin."""
    file = resources.files("margincover.scenarios").joinpath("data/spot_volatility.json")
    table = json.loads(file.read_text(encoding="utf-8"))
    names = ("down_linear", "down_quadratic", "up_linear", "up_quadratic", "largest_log")
    return SpotVolatility(**{name: float(table[name]) for name in names}, source=str(table["source"]))
