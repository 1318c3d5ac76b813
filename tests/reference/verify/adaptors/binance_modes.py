"""Binance beyond single-asset futures: multi-assets mode, portfolio margin parts, interest, cost of an order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from margincover.venues.binance import multi_assets as multi
from margincover.venues.binance import order_cost, portfolio
from margincover.venues.parameters import packaged, parameters
from tests.reference.verify.adaptors import deleveraging
from tests.reference.verify.adaptors.binance_book import Collateral, Held, Result, account, as_symbol
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import Facts, as_number, plain

AT = datetime(2026, 9, 15, tzinfo=UTC)
MULTI = {
    "equity": "accountequity accountequityusd equity equityusd marginbalance totalmarginbalance",
    "available": "available availableusd uniavailable uniavailableusd availablebalance",
    "margin_ratio": "marginratio ratio accountmarginratio",
    "initial": "accountim initialmargin im totalinitialmargin accountinitialmargin",
    "maintenance": "accountmm maintenancemargin mm totalmaintmargin accountmaintenancemargin",
    "sale": "sold soldusd saleusd amountsold exchangeamount requiredcollateral collateralsold exchanged sellvalue",
}
MARGINS = {
    "unimmr": "unimmr ratio marginratio",
    "withdrawal": "maxwithdraw maxwithdrawal maximumwithdrawal maxtransferout virtualmaxwithdrawamount",
    "loan": "maxloan maximumloan maxborrow maxborrowable",
    "adjusted": "adjequity adjustedequity accountequity equity",
    "maintenance": "maintenance mm totalmm accountmaintmargin maintenancemargin",
    "charged": "chargedbalance charged chargeable",
    "interest": "interest interestusdt dailyinterest",
}
OWNED = ("assets", "marginassets", "marginasset", "spot", "balances", "wallet", "umwallet", "cmwallet", "futuresassets")
PRICES = ("indexprices", "index", "prices", "assetindexprices", "indices", "price")
WEIGHTS = ("collateralrates", "collateralrate", "collateralweights", "rates", "haircuts")
NO_BALANCE = "the asset behind the loan is not among the inputs"


def answer(case: Case) -> Answer | None:
    """Return the figures of a case of these modes, None for any other case."""
    family = case.family
    if re.search(r"\badl\b|deleverag|insurance", family):
        return deleveraging.binance(case)
    if re.search(r"order cost|open loss|cost of an order", family):
        return _order_cost(case)
    if re.search(r"multi[ -_]?assets?", family):
        return _multi_assets(case)
    if re.search(r"negative.balance|interest", family):
        return _interest(case)
    if re.search(r"span", family):
        raise UnsupportedError("portfolio margin Pro SPAN: its scenario grid is not published")
    if re.search(r"portfolio|\bpm\b|unimmr", family):
        return _portfolio(case)
    return None


def _order_rule() -> order_cost.OrderCostParameters:
    (edition,) = (edition for edition in packaged("binance") if edition.mode == "order_cost")
    return order_cost.OrderCostParameters.from_mapping(edition.values, source=edition.id)


def _order_cost(case: Case) -> Answer:
    given = inputs_of(case)
    price = given.need("orderprice", "price", "limitprice", "limit")
    mark, size = given.need("mark", "markprice"), abs(given.need("qty", "quantity", "size", "orderqty"))
    leverage = given.need("leverage", "lev")
    last = given.number("last", "lastprice", "ask", "askprice", "ask1", "bestask")
    newer = "until" not in _words(case) and (last is not None or re.search(r"assum|since|newer|current", case.family))
    figures: dict[str, object] = {}
    for word, sign in (("long", 1.0), ("short", -1.0)):
        counted = price
        if newer and sign < 0.0 and last is None:
            continue
        if newer:
            counted = float(
                order_cost.assuming_price(
                    signed_size=sign, order_price=price, mark=mark, last=last or price, parameters=_order_rule()
                )
            )
        margin = float(order_cost.initial_margin(signed_size=sign * size, price=counted, leverage=leverage))
        loss = float(order_cost.open_loss(signed_size=sign * size, order_price=price, mark=mark))
        figures |= {f"im{word}": margin, f"openloss{word}": loss, f"cost{word}": margin + loss}
        figures[f"assumingprice{word}"] = counted
    side = str(given.value("side", "direction") or "").lower()
    word = "short" if side in ("short", "sell", "-1") else "long"
    chosen = {name: f"{name}{word}" for name in ("im", "openloss", "cost", "assumingprice")}
    figures |= {name: figures[key] for name, key in chosen.items() if key in figures}
    spellings = {"im": "initialmargin im margin", "openloss": "openloss", "cost": "ordercost cost total totalcost"}
    for tail in ("long", "short"):
        spellings[f"im{tail}"] = f"initialmargin{tail} im{tail} {tail}initialmargin {tail}im"
        spellings[f"openloss{tail}"] = f"openloss{tail} {tail}openloss"
        spellings[f"cost{tail}"] = f"ordercost{tail} cost{tail} {tail}cost {tail}ordercost totalcost{tail} total{tail}"
    return named(case, figures, spellings=spellings)


def _words(case: Case) -> str:
    """Return the words that name the revision of a rule."""
    return f"{case.family} {case.text.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """Index, bid and ask rate of an asset in USD."""

    index: float
    bid: float
    ask: float


def _multi_assets(case: Case) -> Answer:
    given = inputs_of(case, nested=False)
    if (deficit := given.number("deficit", "deficitusd", "negativebalance", "shortfall")) is not None:
        weight = given.need("collateralrate", "collateralweight", "rate", "collateralratio")
        sale = multi.auto_exchange_sale_usd(abs(deficit), collateral_weight=weight)
        return named(case, {"sale": float(sale)}, spellings=MULTI)
    if given.number("totalmarginbalance") is not None:
        return _multi_account(case, given)
    assets = _rates(case, given)
    figures: dict[str, object] = {}
    for name, asset in assets.items():
        low = name.lower()
        figures |= {f"bidrate{low}": asset.bid, f"askrate{low}": asset.ask}
        if len(assets) == 1:
            figures |= {"bidrate": asset.bid, "askrate": asset.ask}
    wallets = given.mapping("wallet", "wallets", "balances", "walletbalance", "walletbalances")
    if not wallets:
        figures |= _plain_weights(given)
        if not figures:
            raise UnsupportedError("multi-assets inputs without rates, wallets or weights")
        return named(case, figures, spellings=MULTI)
    return named(case, figures | _multi_figures(assets, wallets, given), spellings=MULTI)


def _rates(case: Case, given: Inputs) -> dict[str, _Rates]:
    tables: dict[str, Inputs] = {}
    rates = given.mapping("rates", "assetindex", "assets", "index", "indices")
    for pair, row in rates.items():
        if isinstance(row, Mapping):
            tables[re.sub(r"(?<=.)USD$", "", pair)] = Inputs(row)
    if not tables and given.number("bidbuffer", "bidbufferfraction") is not None:
        tables[re.sub(r"(?<=.)USD$", "", str(given.value("symbol", "asset") or "asset"))] = given
    found = {}
    for name, row in tables.items():
        index = row.need("index", "indexprice", "price")
        bid, ask = multi.asset_rates(
            index,
            bid_buffer_fraction=row.need("bidbuffer", "bidbufferfraction"),
            ask_buffer_fraction=row.need("askbuffer", "askbufferfraction"),
        )
        # A captured row prints its rates cut to eight decimals; a worked example does not.
        printed = multi.printed_rate([bid, ask]) if case.is_sample else [bid, ask]
        found[name] = _Rates(index=index, bid=float(printed[0]), ask=float(printed[1]))
    return found


def _plain_weights(given: Inputs) -> dict[str, object]:
    """Return the collateral of assets stated by value and rate: the rate is that of the bid, the ask is par."""
    found: dict[str, object] = {}
    for key in given.names():
        base = re.fullmatch(r"(.+)value(usd)?", key)
        rate = given.number(f"{base[1]}rate", f"{base[1]}weight", f"{base[1]}collateralrate") if base else None
        if base and rate is not None:
            coin = base[1].upper()
            held = Collateral(price=1.0, total=given.need(key), weight=rate, owed_weight=1.0)
            found[f"{base[1]}collateral"] = account("usdm_multi_assets", {coin: held}).counted_by_asset[coin]
    return found


def _multi_figures(rates: dict[str, _Rates], wallets: Mapping[str, object], given: Inputs) -> dict[str, object]:
    for name in wallets:
        if name not in rates:
            raise UnsupportedError(f"multi-assets wallet in {name} without its index and buffers")
    assets = {
        name: Collateral(
            price=row.index,
            total=as_number(wallets.get(name)) or 0.0,
            weight=row.bid / row.index,
            owed_weight=row.ask / row.index,
        )
        for name, row in rates.items()
    }
    positions = [_held(symbol, row, number) for number, (symbol, row) in enumerate(_listed(given.top("positions")))]
    if any(not position.symbol.partition("_")[0].endswith(tuple(assets)) for position in positions):
        raise UnsupportedError("multi-assets position without its margin asset among the rates")
    result = account("usdm_multi_assets", assets, positions)
    figures: dict[str, object] = {"equity": result.status.equity_native}
    figures["maintenance"] = result.status.maintenance_native
    inverse = result.status.coverage_ratio
    figures["margin_ratio"] = 0.0 if inverse is None else 1.0 / inverse
    free = None if result.status.initial_native is None else result.status.equity_native - result.status.initial_native
    if free is not None:
        figures |= {"initial": result.status.initial_native, "available": free}
    for position, profit in zip(positions, result.profits, strict=True):
        figures[f"upnl{plain(position.symbol)}"] = profit
    for name, row in rates.items():
        low = name.lower()
        mine = [r for p, r in zip(positions, result.requirements, strict=True) if _settles(p, name)]
        held = result.equity_by_asset[name]
        figures |= {f"equity{low}": held, f"assetequity{low}": held}
        figures[f"mm{low}"] = sum(float(part.maintenance[0]) for part in mine) / row.ask
        if free is not None:
            figures |= {f"available{low}": free / row.ask}
            figures[f"im{low}"] = sum(float(part.initial[0]) for part in mine) / row.ask
    return figures


def _listed(rows: object) -> list[tuple[str, object]]:
    """Return positions as (symbol, row): a mapping by symbol or a list."""
    if isinstance(rows, Mapping):
        return [(str(symbol), row) for symbol, row in rows.items()]
    return [("", row) for row in rows] if isinstance(rows, list) else []


def _settles(position: Held, asset: str) -> bool:
    return position.symbol.partition("_")[0].endswith(asset)


def _held(symbol: str, row: object, number: int) -> Held:
    facts = Facts(row if isinstance(row, Mapping) else {}, {"symbol": symbol})
    size, entry, mark = facts.number("quantity"), facts.number("entry"), facts.number("mark")
    if size is None or entry is None or mark is None:
        raise UnsupportedError(f"position {symbol or row!r} without size, entry or mark")
    return Held(
        symbol=as_symbol(facts.text("symbol") or symbol, number),
        contracts=(facts.side or (1 if size > 0 else -1)) * abs(size),
        entry=entry,
        mark=mark,
        rate=facts.number("rate") or 0.0,
        deduction=facts.number("deduction") or 0.0,
        leverage=facts.number("leverage"),
    )


def _multi_account(case: Case, given: Inputs) -> Answer:
    """Return the figures of a captured account: what is available, in USD and restated in each asset by its index."""
    equity, initial = given.need("totalmarginbalance"), given.need("totalinitialmargin")
    figures: dict[str, object] = {
        "available": float(multi.available_in_asset(equity, initial_margin_usd=initial, ask_rate=1.0))
    }
    if (maintenance := given.number("totalmaintmargin")) is not None:
        figures["margin_ratio"] = float(multi.margin_utilisation(maintenance, equity_usd=equity))
    indices = given.mapping("index", "indexprices", "indices")
    for asset, price in indices.items():
        value = as_number(price)
        if value is not None:
            part = float(multi.available_in_asset(equity, initial_margin_usd=initial, ask_rate=value))
            figures |= {f"available{asset.lower()}": part, f"{asset.lower()}available": part}
    return named(case, figures, spellings=MULTI)


def _interest(case: Case) -> Answer:
    given = inputs_of(case)
    balance = next((given.need(key) for key in given.names() if "balance" in key and "free" not in key), None)
    rate = next((given.need(key) for key in given.names() if "rate" in key), None)
    if balance is None or rate is None:
        raise UnsupportedError("negative balance without its amount or the daily rate")
    stated = next((given.need(key) for key in given.names() if "threshold" in key or "free" in key), None)
    terms = portfolio.NegativeBalanceParameters
    if stated is None:
        edition = parameters("binance", mode="portfolio_margin_negative_balance_vip9", underlying="*", at=AT)
        rule = terms.from_mapping(edition.values, source=edition.id)
    else:
        rule = terms.from_mapping({"free_negative_balance_usdt": abs(stated)}, source=case.id)
    charged, interest = portfolio.negative_balance_interest(balance, daily_rate_fraction=rate, parameters=rule)
    return named(case, {"charged": float(charged), "interest": float(interest)}, spellings=MARGINS)


def _portfolio(case: Case) -> Answer | None:
    given = inputs_of(case, nested=False)
    edition = parameters("binance", mode="portfolio_margin", underlying="*", at=AT)
    rule = portfolio.PortfolioParameters.from_mapping(edition.values, source=edition.id)
    figures = _portfolio_figures(case, given, rule)
    equity = given.number("adjequity", "adjustedequity", "equity", "accountequity", "adjequityusd", "equityusd")
    maintenance = given.number("mm", "maintenance", "maintenancemargin", "totalmm", "accountmaintmargin", "mmusd")
    if equity is not None and maintenance is not None:
        figures["unimmr"] = float(portfolio.uni_mmr(equity, maintenance_usd=maintenance))
        free = portfolio.maximum_withdrawal_usd(equity, maintenance_usd=maintenance, parameters=rule)
        figures["withdrawal"] = float(free)
        leverage = given.number("marginleverage", "leverage")
        virtual = given.number("virtualloan", "loan", "loanusd", "virtualloanusd")
        if leverage is not None and virtual is not None:
            loan = portfolio.maximum_loan_usd(free, virtual_loan_usd=virtual, margin_leverage=leverage)
            figures["loan"] = float(loan)
    if not figures:
        raise UnsupportedError("portfolio margin inputs without positions, loans, or equity with maintenance")
    missing = {f"equity{coin.lower()}spot": NO_BALANCE for coin in given.mapping("loans", "loan")}
    return named(case, figures, spellings=MARGINS, missing={k: v for k, v in missing.items() if k not in figures})


def _portfolio_figures(case: Case, given: Inputs, rule: portfolio.PortfolioParameters) -> dict[str, object]:
    """Return the figures of positions, loans and assets as an account of the book."""
    listed = [row for row in given.rows("positions") if isinstance(row, Mapping)]
    sized = [row for row in listed if Facts(row).number("quantity") is not None]
    positions = [_held(str(number), row, number) for number, row in enumerate(sized)]
    owned = _sums(given, OWNED)
    loans = {str(coin): as_number(loan) or 0.0 for coin, loan in given.mapping("loans", "loan", "borrowed").items()}
    if not positions and not loans:
        return {}
    leverage = given.number("marginleverage", "leverage")
    stated = as_number(given.value("loanmmr", "loanrate"))
    rate = rule.loan_maintenance_of(int(leverage)) if leverage is not None else stated
    prices, weights = given.mapping(*PRICES), given.mapping(*WEIGHTS)
    coins = dict.fromkeys([*owned, *loans, *(_settle_of(position) for position in positions)])
    # Without a price the figures in the coin itself stand; those in dollars are not given.
    assets = {
        coin: Collateral(
            price=as_number(prices.get(coin)) or 1.0,
            total=owned.get(coin, 0.0),
            borrowed=loans.get(coin, 0.0),
            weight=1.0 if (weight := as_number(weights.get(coin))) is None else weight,
            loan_rate=rate or 0.0,
        )
        for coin in coins
    }
    mode = "portfolio_margin_pro" if "pro" in re.split(r"[^a-z]+", case.family) else "portfolio_margin"
    result = account(mode, assets, positions)
    figures = _profits(positions, sized, result)
    for coin, loan in loans.items():
        low, price = coin.lower(), assets[coin].price
        if loan > 0.0 and rate is not None:
            value = float(result.required(f"loan of {coin}").maintenance[0]) / rule.liquidation_ratio / price
            figures |= {f"marginmm{low}": value, f"loanmm{low}": value}
    for coin in owned:
        low, held = coin.lower(), result.equity_by_asset[coin]
        figures |= {f"equity{low}": held, f"equity{low}spot": assets[coin].total - assets[coin].borrowed}
    rated = all(Facts(row).number("rate") is not None for row in sized) and (rate is not None or not loans)
    if rated and owned and all(as_number(prices.get(coin)) and coin in weights for coin in coins):
        figures |= {"adjusted": result.status.equity_native, **_venue_margin(result, rule)}
    return figures


def _profits(positions: list[Held], rows: list[Mapping[str, object]], result: Result) -> dict[str, object]:
    figures: dict[str, object] = {}
    for position, row, profit in zip(positions, rows, result.profits, strict=True):
        figures.setdefault("upnllong" if position.contracts > 0 else "upnlshort", profit)
        figures[f"upnl{plain(Facts(row).text('symbol') or position.symbol)}"] = profit
    return figures


def _venue_margin(result: Result, rule: portfolio.PortfolioParameters) -> dict[str, object]:
    """Return the venue's own maintenance and uniMMR: the product holds the liquidation line times its maintenance."""
    own = result.status.maintenance_native / rule.liquidation_ratio
    ratio = result.status.coverage_ratio
    return {"maintenance": own} | ({} if ratio is None else {"unimmr": ratio * rule.liquidation_ratio})


def _settle_of(position: Held) -> str:
    base = position.symbol.partition("_")[0]
    if base.endswith("USD"):
        return base.removesuffix("USD")
    return next((quote for quote in ("USDT", "USDC", "BUSD", "FDUSD") if base.endswith(quote)), "USDT")


def _sums(given: Inputs, names: tuple[str, ...]) -> dict[str, float]:
    """Return the amounts by coin, summed over the wallets that a case lists."""
    total: dict[str, float] = {}
    for name in names:
        for coin, amount in given.mapping(name).items():
            number = as_number(amount)
            if number is not None:
                total[str(coin)] = total.get(str(coin), 0.0) + number
    return total
