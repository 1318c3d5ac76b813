"""dYdX v4 subaccount: requirements rounded like the chain, initial margin scaled by open interest.

Values are whole quote quantums (1e-6 USDC), carried in floats, which are whole up to 9e15 quantums (9e9 USDC); above it
a quantum is below the last digit. Sizes and prices of a book are floats too: a product that is a whole quantum but for
their rounding is that quantum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, RulebookError
from margincover.model.explain import ExplainNode
from margincover.model.instrument import Instrument
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.dydx.integers import PPM, DydxParameters
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

QUANTUMS_PER_USDC = 1e6
# Four roundings of half a unit in the last place stand between the decimals of a book and a product.
_NOISE = 1e-15

ISOLATED_MODE = "isolated_market"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRule:
    """Rule of one position.

    Parameters
    ----------
    tier : DydxParameters
        Base initial fraction, maintenance share, open-interest caps.
    open_interest : float or None
        Base coins of the whole market; None when not stated.
    is_bounded : bool
        Whether the initial margin is taken as the whole value because it cannot be known.
    custom_ppm : int
        Initial fraction that the leverage set by the user asks, in parts per million; 0 for none.
    """

    tier: DydxParameters
    open_interest: float | None
    is_bounded: bool
    custom_ppm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxSubaccount:
    """Model of one subaccount; ``markets`` [leg]."""

    markets: tuple[MarketRule, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return net collateral: wallet and profits, each position's value cut towards zero to a quantum."""
        held = wallet_and_profit(state, with_options=False)
        legs = state.pool.legs
        for leg, asset in enumerate(legs.asset_index):
            value = _raw_value(state, leg)
            lost = np.where(is_whole(value), 0.0, value - np.floor(value))
            held[asset] -= np.copysign(to_usdc(lost), float(legs.signed_size[leg]))
        return held

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: USDC at face value."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each position."""
        return tuple(_requirement(state, leg, market) for leg, market in enumerate(self.markets))

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a debt in USDC has no requirement of its own."""
        return ()


def build(request: ModelRequest) -> DydxSubaccount:
    """Return the model of a subaccount.

    Raises
    ------
    InputError
        If a subaccount of one isolated market holds several, or a market has more than one tier.
    """
    legs = request.pool.legs
    if request.rule.name == ISOLATED_MODE and legs.count > 1:
        raise InputError(
            f"{legs.count} markets in one subaccount: {', '.join(legs.symbols)}",
            account=request.account.id,
            field="positions",
            allowed=f"one market in mode {ISOLATED_MODE}: each has a subaccount, an account of the book, of its own",
        )
    share = request.edition("maintenance_share", "*")
    markets: list[MarketRule] = []
    notes: list[str] = []
    editions: list[ParameterEdition] = []
    for leg in range(legs.count):
        market, edition, more = _market(request, leg, share)
        markets.append(market)
        editions.append(edition)
        notes.extend(more)
    return DydxSubaccount(
        markets=tuple(markets),
        notes=edition_notes(editions, request.at) + tuple(dict.fromkeys(notes)),
        editions=edition_uses(editions, request.at),
    )


def _market(
    request: ModelRequest, leg: int, share: ParameterEdition
) -> tuple[MarketRule, ParameterEdition, tuple[str, ...]]:
    """Return the rule of a position, the edition that it comes from, and what is not known of it."""
    legs = request.pool.legs
    symbol, leverage = legs.symbols[leg], float(legs.leverage[leg])
    facts = next((i for i in request.instruments.values() if i.id == legs.instrument_ids[leg]), None)
    rate, is_served = _maintenance_rate(request, leg)
    packaged = _packaged(request, legs.bases[leg], rate)
    caps = _caps(facts, packaged)
    if packaged is not None:
        edition, base, part = packaged[0], packaged[1].initial_margin_ppm, packaged[1].maintenance_fraction_ppm
    else:
        edition, part = share, _whole(share, "maintenance_fraction_ppm")
        # A rate that the venue served does not say how much of it is the initial fraction.
        base, part = (_ppm(rate), PPM) if is_served else (_ppm(rate * PPM / part), part)
    lower, upper = caps or (0, 0)
    interest = None if facts is None else facts.open_interest
    unknown = _unknown(symbol, caps is None or (packaged is None and is_served), upper > 0 and interest is None)
    market = MarketRule(
        tier=DydxParameters(
            initial_margin_ppm=min(base, PPM),
            maintenance_fraction_ppm=part,
            open_interest_lower_cap=lower,
            open_interest_upper_cap=upper,
        ),
        open_interest=interest,
        is_bounded=bool(unknown),
        custom_ppm=_ppm(1.0 / leverage) if leverage else 0,
    )
    stated = facts is not None and facts.open_interest_upper_cap is not None
    if packaged is not None and not stated:
        unknown += (
            f"{symbol}: that open interest does not raise its initial margin is the development chain's setting: state "
            "the market's caps under `instruments`",
        )
    return market, edition, unknown


def _maintenance_rate(request: ModelRequest, leg: int) -> tuple[float, bool]:
    """Return maintenance as a fraction of value, and whether the venue served it for the position itself."""
    legs = request.pool.legs
    count, start = int(legs.tier_count[leg]), int(legs.tier_start[leg])
    if count != 1:
        raise InputError(
            f"{legs.symbols[leg]} had {count} tiers",
            account=request.account.id,
            field="tiers",
            allowed="one row: a market of dYdX has one rate at every size",
        )
    served = any(
        position.maintenance_fraction is not None
        for position in request.account.positions
        if (found := request.instruments.get((request.pool.venue, position.symbol))) is not None
        and found.id == legs.instrument_ids[leg]
    )
    return float(legs.tier_fraction[start]), served


def _packaged(request: ModelRequest, base: str, rate: float) -> tuple[ParameterEdition, DydxParameters] | None:
    """Return the packaged tier of a coin when it is the one that the position is margined by."""
    try:
        edition = request.edition("cross", base)
    except RulebookError:
        return None
    tier = DydxParameters.from_mapping(edition.values, source=f"{edition.venue}.toml {edition.id}")
    own = tier.initial_margin_ppm * tier.maintenance_fraction_ppm / PPM**2
    return (edition, tier) if abs(own - rate) <= 1e-9 * own else None


def _caps(facts: Instrument | None, packaged: tuple[ParameterEdition, DydxParameters] | None) -> tuple[int, int] | None:
    """Return open-interest caps in quote quantums: the book's, else the packaged ones; None when not known."""
    if facts is not None and facts.open_interest_lower_cap is not None and facts.open_interest_upper_cap is not None:
        both = (facts.open_interest_lower_cap, facts.open_interest_upper_cap)
        return round(both[0] * QUANTUMS_PER_USDC), round(both[1] * QUANTUMS_PER_USDC)
    if packaged is None:
        return None
    return packaged[1].open_interest_lower_cap, packaged[1].open_interest_upper_cap


def _unknown(symbol: str, has_no_caps: bool, has_no_interest: bool) -> tuple[str, ...]:
    missing = "base initial fraction or open-interest caps" if has_no_caps else "open interest"
    if not has_no_caps and not has_no_interest:
        return ()
    return (
        f"{symbol}: {missing} not stated: initial margin is taken as the whole value, the most that open interest can "
        "ask (state tiers, and open_interest with its caps under `instruments`)",
    )


def _requirement(state: PoolState, leg: int, market: MarketRule) -> Requirement:
    value, tier = _value(state, leg), market.tier
    maintenance = to_usdc(ceil_ppm(ceil_ppm(value, tier.initial_margin_ppm), tier.maintenance_fraction_ppm))
    fraction = np.maximum(initial_ppm(market, state.leg_price[leg]), float(market.custom_ppm))
    initial = to_usdc(ceil_ppm(value, fraction))
    label, unit = state.pool.legs.symbols[leg], state.pool.unit
    base = f"{tier.initial_margin_ppm / PPM:.4%} of {float(to_usdc(value)[0]):,.10g}"
    why = "whole value: not known" if market.is_bounded else f"{float(fraction[0]) / PPM:.4%} with open interest"
    return Requirement(
        label=label,
        maintenance=maintenance,
        initial=initial,
        maintenance_tree=ExplainNode(
            label=label,
            value=float(maintenance[0]),
            unit=unit,
            detail=f"{tier.maintenance_fraction_ppm / PPM:.4%} of the base initial margin, {base}",
        ),
        initial_tree=ExplainNode(
            label=label, value=float(initial[0]), unit=unit, detail=f"{why} and leverage set; base {base}"
        ),
    )


def initial_ppm(market: MarketRule, price: Paths) -> Paths:
    """Return the initial fraction at the open interest of the market, in whole parts per million, [path]."""
    tier = market.tier
    base, lower, upper = tier.initial_margin_ppm, tier.open_interest_lower_cap, tier.open_interest_upper_cap
    if market.is_bounded:
        return np.full(price.shape, float(PPM))
    if upper == 0 or market.open_interest is None:
        return np.full(price.shape, float(base))
    value = cut(market.open_interest * price * QUANTUMS_PER_USDC)
    share = np.clip((value - lower) / max(upper - lower, 1), 0.0, 1.0)
    between = base + cut((PPM - base) * share)
    return np.asarray(np.where(value <= lower, base, np.where(value >= upper, PPM, between)), dtype=np.float64)


def _value(state: PoolState, leg: int) -> Paths:
    """Return the size of a position's value in quote quantums, cut towards zero, [path]."""
    return cut(_raw_value(state, leg))


def _raw_value(state: PoolState, leg: int) -> Paths:
    value = abs(float(state.pool.legs.signed_size[leg])) * state.leg_price[leg] * QUANTUMS_PER_USDC
    return np.asarray(value, dtype=np.float64)


def cut(value: Paths) -> Paths:
    """Return values >= 0 cut to whole numbers; one that is whole but for float noise is kept."""
    return np.asarray(np.where(is_whole(value), np.rint(value), np.floor(value)), dtype=np.float64)


def is_whole(value: Paths) -> NDArray[np.bool_]:
    """Return whether values are whole numbers but for float noise."""
    return np.asarray(np.abs(value - np.rint(value)) <= _NOISE * value, dtype=np.bool_)


def ceil_ppm(value: Paths, ppm: int | Paths) -> Paths:
    """Return ``ceil(value * ppm / 1e6)`` of whole values; no product leaves the whole numbers of a float."""
    whole = np.floor(value / PPM)
    rest = value - whole * PPM
    return np.asarray(whole * ppm + np.ceil(rest * ppm / PPM), dtype=np.float64)


def to_usdc(quantums: Paths) -> Paths:
    """Return quote quantums in USDC."""
    return np.asarray(quantums / QUANTUMS_PER_USDC, dtype=np.float64)


def _ppm(fraction: float) -> int:
    """Return a fraction in parts per million, rounded up; float noise is not a part."""
    return int(np.ceil(fraction * PPM - 1e-6))


def _whole(edition: ParameterEdition, key: str) -> int:
    value = edition.values.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RulebookError(
            f"was {value!r}", source=f"{edition.venue}.toml {edition.id}", field=key, allowed="a whole number"
        )
    return value
