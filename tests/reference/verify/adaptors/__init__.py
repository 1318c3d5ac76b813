"""Adaptors: one module per venue, from a case to the figures that the product has for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.reference.verify.adaptors import binance, bybit, deribit, derive, dydx, hyperliquid, okx, paradex, perpetuals
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case

Adaptor = Callable[[Case, int | None], Answer]

ADAPTORS: Mapping[str, Adaptor] = {
    "binance": binance.answer,
    "bybit": bybit.answer,
    "hyperliquid": hyperliquid.answer,
    "okx": okx.answer,
    "deribit": deribit.answer,
    "derive": derive.answer,
    "dydx": dydx.answer,
    "paradex": paradex.answer,
    **dict.fromkeys(perpetuals.NAMES, perpetuals.answer),
}
