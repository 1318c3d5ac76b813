"""dYdX v4: margin, bankruptcy and fillable prices, insurance fund and open interest, in whole numbers.

Margin and the account's figures come from the product's book; what a liquidation does follows from them by the public
functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from margincover.venues.dydx import integers as dydx
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors import dydx_book
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import plain

AT = datetime(2026, 3, 4, tzinfo=UTC)
# Perpetual ids and base units of the venue's own tests; a case may state others.
IDS = {"BTC": 0, "ETH": 1}
RESOLUTION = {0: -8, 1: -9}
SPELLINGS = {
    "initial": "initialmarginquotequantums initialmargin imquotequantums imr im initial",
    "maintenance": "maintenancemarginquotequantums maintenancemargin mmquotequantums mmr mm maintenance",
    "initialppm": "adjustedinitialmarginppm adjustedimfppm imfppm effectiveimfppm initialmarginppm adjustedppm imppm",
    "net": "netcollateralquotequantums netcollateral tnc totalnetcollateral nc",
    "bankruptcy": "bankruptcypricequotequantums bankruptcyprice deltaquotequantums",
    "fillable": "fillablepricequotequantumsperbasequantum fillableprice fillablepricequantums",
    "fund": "insurancefunddeltaquotequantums insurancefunddelta liquidationfeequotequantums liquidationfee",
    "fill": "fillquotequantums quotequantums",
    "openinterest": "openinterestdelta oidelta openinterestchange openinterestdeltabasequantums",
    "liquidatable": "isliquidatable liquidatable",
    "collateralised": "isinitialcollateralized isinitialcollateralised initialcollateralized",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subaccount:
    markets: Mapping[int, dydx.DydxMarket]
    held: Mapping[int, int]
    risk: dydx.DydxRisk


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a dYdX case."""
    given = inputs_of(case, nested=False)
    fills = _fills(given)
    if fills:
        return named(case, {"openinterest": dydx.open_interest_change(fills)}, spellings=SPELLINGS)
    notional = given.value("positionquotequantums", "notionalquotequantums", "notional", "bignotionalquotequantums")
    if notional is not None:
        return named(case, _notional(given, _whole(notional)), spellings=SPELLINGS)
    if not given.value("positionsbasequantums", "positions", "perpetualpositions"):
        raise UnsupportedError(f"no rule for these inputs of dydx {case.product}: {', '.join(sorted(given.keys()))}")
    return named(case, _subaccount_figures(given), spellings=SPELLINGS)


def _fills(given: Inputs) -> list[tuple[int, int]]:
    """Return (before, change) of each side of a match, from keys ``x_before`` with ``x_delta`` or ``x_after``."""
    found, keys = [], given.keys()
    for key in keys:
        match = re.fullmatch(r"(.+)before", key)
        if match is None:
            continue
        before, change = _whole(given.value(key)), given.value(f"{match.group(1)}delta", f"{match.group(1)}change")
        if change is None:
            change = _whole(given.value(f"{match.group(1)}after")) - before
        found.append((before, _whole(change)))
    return found


def _notional(given: Inputs, notional: int) -> dict[str, object]:
    share = given.value("maintenancefractionppm", "maintenancefraction")
    tier = dydx.DydxParameters(
        initial_margin_ppm=_whole(given.value("initialmarginppm", "imppm", "imfppm")),
        # Without a stated share maintenance is not answered; the field has no other use here.
        maintenance_fraction_ppm=0 if share is None else _whole(share),
        open_interest_lower_cap=_whole(given.value("openinterestlowercap", "oilowercap", "lowercap") or 0),
        open_interest_upper_cap=_whole(given.value("openinterestuppercap", "oiuppercap", "uppercap") or 0),
    )
    interest = _whole(
        given.value("opennotional", "openinterestquotequantums", "openinterest", "opennotionalquote") or 0
    )
    figures: dict[str, object] = {
        "initialppm": dydx.adjusted_initial_margin_ppm(tier=tier, open_interest_quote_quantums=interest)
    }
    if 0 < notional < dydx_book.LARGEST and interest < dydx_book.LARGEST:
        # A coin at a price of 1: as many coins as make up the value.
        held = dydx_book.Held(
            symbol="BTC-USD",
            coins=notional / dydx.PPM,
            price=1.0,
            tier=tier,
            open_interest=interest / dydx.PPM,
            custom_ppm=_custom(given),
        )
        risk = dydx_book.risk([held], usdc_quantums=0)
        figures["initial"], maintenance = risk.initial, risk.maintenance
    else:
        figures["initial"] = dydx.initial_quote_quantums(
            notional=notional, tier=tier, open_interest_quote_quantums=interest, custom_ppm=_custom(given)
        )
        maintenance = dydx.maintenance_quote_quantums(notional=notional, tier=tier)
    if share is not None:
        figures["maintenance"] = maintenance
    return figures


def _custom(given: Inputs) -> int:
    """Return the initial fraction that the user's own leverage asks, in parts per million; 0 for none."""
    keys = given.keys()
    key = next((key for key in keys if re.match(r"custom|userleverage|configuredim", key)), None)
    return 0 if key is None else _whole(given.value(key))


def _subaccount_figures(given: Inputs) -> dict[str, object]:
    account = _subaccount(given)
    figures: dict[str, object] = {
        "net": account.risk.net_collateral,
        "initial": account.risk.initial,
        "maintenance": account.risk.maintenance,
        "liquidatable": account.risk.is_liquidatable,
        "collateralised": account.risk.is_initial_collateralised,
    }
    number = _perpetual(given, account)
    if number is None:
        return figures
    market, size = account.markets[number], account.held[number]
    change = given.value("deltabasequantums", "deltaquantums", "delta")
    if change is not None:
        close = dydx.DydxClose(market=market, position_base_quantums=size, delta_base_quantums=_whole(change))
        figures["bankruptcy"] = dydx.bankruptcy_price_quote_quantums(account=account.risk, close=close)
    settings = _settings(given)
    if given.value("subticks") is not None:
        return figures | _fund(given, account, number, settings)
    keys = given.keys()
    if any(key.startswith(("bankruptcyadjustment", "spreadtomaintenance")) for key in keys):
        figures["fillable"] = dydx.fillable_price(
            account=account.risk, market=market, position_base_quantums=size, parameters=settings
        )
    return figures


def _fund(
    given: Inputs, account: _Subaccount, number: int, settings: dydx.DydxLiquidationParameters
) -> dict[str, object]:
    size = _whole(given.value("fillbasequantums", "fillamount", "fillquantums", "fillamountbasequantums"))
    exponent = given.value("quantumconversionexponent")
    fill = dydx.fill_quote_quantums(
        base_quantums=size,
        subticks=_whole(given.value("subticks")),
        quantum_conversion_exponent=_whole(exponent),
    )
    buys = given.value("isbuy", "isliquidationbuy")
    if not isinstance(buys, bool):
        buys = account.held[number] < 0
    close = dydx.DydxClose(
        market=account.markets[number],
        position_base_quantums=account.held[number],
        delta_base_quantums=size if buys else -size,
    )
    delta = dydx.insurance_fund_delta(account=account.risk, close=close, fill_value=fill, parameters=settings)
    paid = dydx.bankruptcy_price_quote_quantums(account=account.risk, close=close)
    return {"fill": fill, "fund": delta, "bankruptcy": paid}


def _settings(given: Inputs) -> dydx.DydxLiquidationParameters:
    """Return the chain's liquidation settings with what the case states in their place."""
    values = dict(parameters("dydx", mode="liquidation", underlying="*", at=AT).values)
    for name in values:
        stated = given.value(plain(name))
        if stated is not None:
            values[name] = _whole(stated)
    return dydx.DydxLiquidationParameters.from_mapping(values, source="case")


def _subaccount(given: Inputs) -> _Subaccount:
    held = _held(given.top("positionsbasequantums", "positions", "perpetualpositions"))
    resolutions = dict(RESOLUTION)
    for coin, unit in given.mapping("baseunits").items():
        if coin.upper() in IDS:
            resolutions[IDS[coin.upper()]] = Decimal(str(unit)).adjusted()
    markets = {}
    for coin, number in IDS.items():
        low = coin.lower()
        stated = given.value(f"{low}priceusd", f"{low}price", f"{low}oracleprice")
        if stated is None:
            continue
        price = Decimal(str(stated)).normalize()
        exponent = price.as_tuple().exponent
        power = exponent if isinstance(exponent, int) else 0
        markets[number] = dydx.DydxMarket(
            tier=_tier(given, low),
            price=int(price.scaleb(-power)),
            price_exponent=power,
            atomic_resolution=resolutions[number],
        )
    usdc = given.value("usdcquotequantums", "usdcbalancequotequantums")
    quantums = _whole(usdc) if usdc is not None else _whole(Fraction(str(given.value("usdcbalance", "usdc"))) * 10**6)
    funding = _whole(given.value("settledfunding", "settledfundingquotequantums") or 0)
    names = {number: coin for coin, number in IDS.items()}
    rows = [dydx_book.of_market(f"{names[number]}-USD", size, markets[number]) for number, size in held.items() if size]
    return _Subaccount(markets=markets, held=held, risk=dydx_book.risk(rows, usdc_quantums=quantums + funding))


def _tier(given: Inputs, coin: str) -> dydx.DydxParameters:
    initial = _whole(given.value(f"{coin}imppm", "imppm", "initialmarginppm"))
    share = given.value(f"{coin}maintenancefractionppm", "maintenancefractionppm")
    if share is None:
        # The case states maintenance of notional; the chain keeps it as a share of the initial margin.
        share = Fraction(_whole(given.value(f"{coin}mmppm", "mmppm", "maintenancemarginppm")) * dydx.PPM, initial)
    return dydx.DydxParameters(
        initial_margin_ppm=initial,
        maintenance_fraction_ppm=_whole(share),
        open_interest_lower_cap=0,
        open_interest_upper_cap=0,
    )


def _held(rows: object) -> dict[int, int]:
    if isinstance(rows, Mapping):
        rows = list(rows.items())
    found: dict[int, int] = {}
    for row in rows if isinstance(rows, list) else []:
        name, size = list(row.values())[:2] if isinstance(row, Mapping) else row[:2]
        found[IDS[name.upper()] if str(name).upper() in IDS else int(name)] = _whole(size)
    return found


def _perpetual(given: Inputs, account: _Subaccount) -> int | None:
    stated = given.value("perpetualid", "perpetual")
    if stated is not None:
        return _whole(stated)
    # Unnamed, the position in question is the only one, or that of the first perpetual.
    return next(iter(account.held)) if len(account.held) == 1 else 0 if 0 in account.held else None


def _whole(value: object) -> int:
    """Return a whole number; UnsupportedError for anything else, since the chain knows no other."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise UnsupportedError(f"a whole number of quantums or parts per million was expected, found {value!r}")
    number = Fraction(value) if isinstance(value, Fraction) else Fraction(str(value))
    if number.denominator != 1:
        raise UnsupportedError(f"a whole number of quantums or parts per million was expected, found {value!r}")
    return int(number)
