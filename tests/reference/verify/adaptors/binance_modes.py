"""Binance beyond single-asset futures: multi-assets mode, portfolio margin parts, interest, cost of an order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from margincover.pricing import linear
from margincover.venues.binance import multi_assets as multi
from margincover.venues.binance import order_cost, portfolio
from margincover.venues.parameters import packaged, parameters
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
NO_BALANCE = "the asset behind the loan is not among the inputs"


def answer(case: Case) -> Answer | None:
    """Return the figures of a case of these modes, None for any other case."""
    family = case.family
    if re.search(r"\badl\b|deleverag|insurance", family):
        raise UnsupportedError(
            "family not modelled: auto-deleveraging and insurance fund, belongs to the consequence rules"
        )
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


@dataclass(slots=True)
class _Asset:
    bid: float
    ask: float
    equity: float = 0.0
    initial: float = 0.0
    maintenance: float = 0.0
    extra: dict[str, object] = field(default_factory=dict)


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


def _rates(case: Case, given: Inputs) -> dict[str, _Asset]:
    tables: dict[str, Inputs] = {}
    rates = given.mapping("rates", "assetindex", "assets", "index", "indices")
    for pair, row in rates.items():
        if isinstance(row, Mapping):
            tables[re.sub(r"(?<=.)USD$", "", pair)] = Inputs(row)
    if not tables and given.number("bidbuffer", "bidbufferfraction") is not None:
        tables[re.sub(r"(?<=.)USD$", "", str(given.value("symbol", "asset") or "asset"))] = given
    found = {}
    for name, row in tables.items():
        bid, ask = multi.asset_rates(
            row.need("index", "indexprice", "price"),
            bid_buffer_fraction=row.need("bidbuffer", "bidbufferfraction"),
            ask_buffer_fraction=row.need("askbuffer", "askbufferfraction"),
        )
        # A captured row prints its rates cut to eight decimals; a worked example does not.
        printed = multi.printed_rate([bid, ask]) if case.is_sample else [bid, ask]
        found[name] = _Asset(bid=float(printed[0]), ask=float(printed[1]))
    return found


def _plain_weights(given: Inputs) -> dict[str, object]:
    """Return the collateral of assets stated by value and rate: the rate is that of the bid, the ask is par."""
    found: dict[str, object] = {}
    for key in given.names():
        base = re.fullmatch(r"(.+)value(usd)?", key)
        rate = given.number(f"{base[1]}rate", f"{base[1]}weight", f"{base[1]}collateralrate") if base else None
        if base and rate is not None:
            value = multi.account_equity_usd([[given.need(key)]], bid_rate=[[rate]], ask_rate=[[max(1.0, rate)]])
            found[f"{base[1]}collateral"] = float(value[0])
    return found


def _multi_figures(assets: dict[str, _Asset], wallets: Mapping[str, object], given: Inputs) -> dict[str, object]:
    for name, amount in wallets.items():
        if name not in assets:
            raise UnsupportedError(f"multi-assets wallet in {name} without its index and buffers")
        assets[name].equity = as_number(amount) or 0.0
    figures: dict[str, object] = {}
    rows = given.top("positions")
    listed: list[tuple[str, object]] = []
    if isinstance(rows, Mapping):
        listed = [(str(symbol), row) for symbol, row in rows.items()]
    elif isinstance(rows, list):
        listed = [("", row) for row in rows]
    for symbol, row in listed:
        _hold(assets, symbol, row)
    held = list(assets.values())
    bid, ask = [[a.bid] for a in held], [[a.ask] for a in held]
    equity = multi.account_equity_usd([[a.equity] for a in held], bid_rate=bid, ask_rate=ask)
    initial = multi.requirement_usd([[a.initial] for a in held], ask_rate=ask)
    maintenance = multi.requirement_usd([[a.maintenance] for a in held], ask_rate=ask)
    free = multi.available_in_asset(equity, initial_margin_usd=initial, ask_rate=ask)
    for (name, asset), part in zip(assets.items(), free, strict=True):
        low = name.lower()
        figures |= {f"available{low}": float(part[0]), f"equity{low}": asset.equity, f"assetequity{low}": asset.equity}
        figures |= {f"im{low}": asset.initial, f"mm{low}": asset.maintenance, **asset.extra}
    figures |= {"equity": float(equity[0]), "initial": float(initial[0]), "maintenance": float(maintenance[0])}
    figures["available"] = float(multi.available_in_asset(equity, initial_margin_usd=initial, ask_rate=1.0)[0])
    figures["margin_ratio"] = float(multi.margin_utilisation(maintenance, equity_usd=equity)[0])
    return figures


def _hold(assets: dict[str, _Asset], symbol: str, row: object) -> None:
    facts = Facts(row if isinstance(row, Mapping) else {}, {"symbol": symbol})
    name = (facts.text("symbol") or symbol).partition("_")[0]
    settle = next((a for a in assets if name.endswith(a)), None)
    size, entry, mark = facts.number("quantity"), facts.number("entry"), facts.number("mark")
    if settle is None or size is None or entry is None or mark is None:
        raise UnsupportedError(f"multi-assets position {symbol or row!r} without margin asset, size, entry or mark")
    signed = (facts.side or (1 if size > 0 else -1)) * abs(size)
    profit = float(linear.profit(signed_size=signed, entry_price=entry, price=mark))
    held = assets[settle]
    held.equity += profit
    held.extra[f"upnl{plain(name)}"] = profit
    if (leverage := facts.number("leverage")) is not None:
        held.initial += float(portfolio.futures_order_initial(signed, price=mark, leverage=leverage))
    if (rate := facts.number("rate")) is not None:
        value = [[float(linear.notional(size=signed, price=mark))]]
        deduction = facts.number("deduction") or 0.0
        held.maintenance += float(
            portfolio.futures_maintenance_usd(value, rate_fraction=rate, deduction=deduction, settle_index_price=1.0)[0]
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
    figures: dict[str, object] = {}
    for number, row in enumerate(given.rows("positions")):
        facts = Facts(row) if isinstance(row, Mapping) else Facts()
        size, entry, mark = facts.number("quantity"), facts.number("entry"), facts.number("mark")
        if size is None or entry is None or mark is None:
            continue
        side = facts.side or (1 if size > 0 else -1)
        profit = float(linear.profit(signed_size=side * abs(size), entry_price=entry, price=mark))
        word = "long" if side > 0 else "short"
        figures.setdefault(f"upnl{word}", profit)
        figures |= {f"upnl{plain(facts.text('symbol') or str(number))}": profit}
    figures |= _loans(given, rule)
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


def _loans(given: Inputs, rule: portfolio.PortfolioParameters) -> dict[str, object]:
    figures: dict[str, object] = {}
    owned = given.mapping("assets", "marginassets", "marginasset", "spot", "balances", "wallet")
    leverage = given.number("marginleverage", "leverage")
    for coin, amount in given.mapping("loans", "loan", "borrowed").items():
        loan = as_number(amount) or 0.0
        if leverage is not None:
            rate = rule.loan_maintenance_of(int(leverage))
            value = portfolio.loan_maintenance_usd([[loan]], rate_fraction=rate, index_price=1.0)
            figures |= {f"marginmm{coin.lower()}": float(value[0]), f"loanmm{coin.lower()}": float(value[0])}
        if (held := as_number(owned.get(coin))) is not None:
            net = portfolio.asset_equity(
                margin_asset=held, margin_loan=loan, futures_asset=0.0, futures_unrealised_pnl=0.0
            )
            figures |= {f"equity{coin.lower()}spot": float(net), f"equity{coin.lower()}": float(net)}
    return figures
