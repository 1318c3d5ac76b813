"""Paradex cross margin of an account: what is held and what its perpetuals and dated options require.

Options are marked like perpetuals: the account value holds their profit since entry, the wallet is not charged the
premium. Options of one expiry share one requirement. A leverage that the user set below the market's maximum raises the
initial fraction, and with it maintenance, which is a share of initial margin.

References
----------
docs.paradex.trade, risk/cross-margin-requirement and dated-options/margin-requirements, read 2026-11-24.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import RulebookError
from margincover.model.explain import ExplainNode, summed
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.margin import leg_maintenance
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.paradex import cross
from margincover.venues.registry_fields import Place
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

FEE_NOTE = (
    "the fee provision of options is the taker fee on the whole index value: the venue caps it by the premium, its "
    "requirement is not above ours"
)
PUT_CAP_NOTE = "the cap of a short put is listed without its formula and not applied: ours is never below the venue's"
NO_GROUP_NOTE = (
    "options of one expiry are not netted: the rule was not in force yet; the requirement is never below the venue's"
)
LEVERAGE_NOTE = (
    "leverage not stated for {}: maintenance is that of the market's maximum leverage; a lower one set at the venue "
    "raises it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """Options of one coin and one expiry: rows in the pool's table, their parameters, the netting rule or None."""

    label: str
    rows: tuple[int, ...]
    parameters: cross.ParadexOptionParameters
    netting: cross.ParadexGroupParameters | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexCross:
    """Model of a cross account; ``least_maintenance`` [leg] is what the chosen leverage asks of the notional, or 0."""

    groups: tuple[OptionGroup, ...]
    least_maintenance: tuple[float, ...]
    taker_fee_fraction: float
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    initial_known: bool
    is_separable: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return the account value: wallet, profits of perpetuals, and profits of options since entry."""
        return account_value(state)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: USDC alone backs positions, at face value."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each perpetual and one for each option expiry."""
        legs = tuple(_perpetual(state, leg, least) for leg, least in enumerate(self.least_maintenance))
        return legs + tuple(self._group(state, group, detailed) for group in self.groups)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative balance has no requirement of its own."""
        return ()

    def _group(self, state: PoolState, group: OptionGroup, detailed: bool) -> Requirement:
        maintenance = _required(state, group, group.parameters.maintenance)
        initial = _required(state, group, group.parameters.initial)
        rule = group.netting
        netted = (
            _netted(state, group, maintenance, None if rule is None else rule.unpaired_maintenance_factor),
            _netted(state, group, initial, None if rule is None else rule.unpaired_initial_factor),
        )
        fees = option_fee_provision(state, group.rows, self.taker_fee_fraction)
        pairs = zip((maintenance, initial), netted, strict=True)
        trees = [_tree(state, group, *pair, fees) if detailed else None for pair in pairs]
        return Requirement(
            label=group.label,
            maintenance=netted[0] + fees,
            initial=netted[1] + fees,
            maintenance_tree=trees[0],
            initial_tree=trees[1],
        )


def build(request: ModelRequest) -> ParadexCross:
    """Return the model of a cross account.

    Raises
    ------
    RulebookError
        If no option parameters are in force for a coin.
    """
    table = request.pool.options
    found: dict[tuple[str, str], list[int]] = {}
    for row in range(table.count):
        # BTC-USD-8MAY26-78000-C: coin and day say which options net.
        expiry = table.symbols[row].split("-")[2]
        found.setdefault((table.bases[row], expiry), []).append(row)
    netting = _netting(request) if found else None
    share = request.edition("perpetual_maintenance", "*")
    editions = [*([share] if request.pool.legs.count else []), *([] if netting is None else [netting])]
    groups = []
    for (base, expiry), rows in found.items():
        edition = request.edition("cross_option", base)
        editions.append(edition)
        groups.append(
            OptionGroup(
                label=f"{base} options {expiry}",
                rows=tuple(rows),
                parameters=cross.ParadexOptionParameters.from_mapping(edition.values, source=_source(edition)),
                netting=None
                if netting is None
                else cross.ParadexGroupParameters.from_mapping(netting.values, source=_source(netting)),
            )
        )
    return ParadexCross(
        groups=tuple(groups),
        least_maintenance=_least_maintenance(request, share),
        taker_fee_fraction=taker_fee(request),
        notes=edition_notes(editions, request.at) + _notes(request.pool, groups, netting),
        editions=edition_uses(editions, request.at),
        initial_known=bool(request.pool.legs.initial_known.all()),
    )


def taker_fee(request: ModelRequest) -> float:
    """Return the taker fee of the account, or the default of its mode."""
    stated = request.account.taker_fee_fraction
    return request.rule.default_taker_fee_fraction if stated is None else stated


def account_value(state: PoolState) -> Paths:
    """Return wallet and profits, [asset, path]: options by their value less what they were entered at.

    An option that has expired has paid its intrinsic value into the balance; its entry is due then as well.
    """
    held = wallet_and_profit(state, with_options=True)
    table = state.pool.options
    for row, asset in enumerate(table.asset_index):
        held[asset] -= float(table.quantity[row]) * float(table.entry[row])
    return held


def option_fee_provision(state: PoolState, rows: tuple[int, ...], taker_fee_fraction: float) -> Paths:
    """Return the taker fee on the index value of options, [path]: an upper bound of the venue's provision."""
    total = np.zeros(state.n_paths)
    for row in rows:
        total = total + abs(float(state.option_quantity[row])) * state.option_index[row] * taker_fee_fraction
    return total


def _perpetual(state: PoolState, leg: int, least: float) -> Requirement:
    legs, notional = state.pool.legs, state.leg_notional[leg]
    by_leverage = (least + float(legs.fee_on_notional_fraction[leg])) * notional
    maintenance = np.maximum(leg_maintenance(state.pool, leg, notional), by_leverage)
    initial = legs.initial_fraction[leg] * notional + legs.initial_constant[leg]

    def node(required: Paths, known: bool) -> ExplainNode:
        rate = f"{float(required[0] / notional[0]):.4%} of {float(notional[0]):,.10g}, taker fee included"
        detail = rate if known else "leverage not stated: not known"
        return ExplainNode(label=legs.symbols[leg], value=float(required[0]), unit=state.pool.unit, detail=detail)

    return Requirement(
        label=legs.symbols[leg],
        maintenance=maintenance,
        initial=initial,
        maintenance_tree=node(maintenance, known=True),
        initial_tree=node(initial, known=bool(legs.initial_known[leg])),
    )


def _least_maintenance(request: ModelRequest, share: ParameterEdition) -> tuple[float, ...]:
    """Return the maintenance fraction that the chosen leverage asks of each perpetual, 0 where none was stated."""
    factor = Place(dict(share.values), _source(share), "parameters").number("maintenance_of_initial_fraction")
    return tuple(factor / float(leverage) if leverage > 0.0 else 0.0 for leverage in request.pool.legs.leverage)


def _legs(state: PoolState, group: OptionGroup, row: int | None = None) -> cross.ParadexOptions:
    """Return one option of a group as a row of its own, or all of them."""
    rows = list(group.rows) if row is None else [row]
    table = state.pool.options
    return cross.ParadexOptions(
        quantity=state.option_quantity[rows] if row is None else state.option_quantity[rows][:, None],
        strike=table.strike[rows] if row is None else table.strike[rows][:, None],
        is_call=table.is_call[rows] if row is None else table.is_call[rows][:, None],
        mark_price=state.option_mark[rows],
        spot_price=state.option_index[rows] if row is not None else state.option_index[rows[0]],
    )


def _required(state: PoolState, group: OptionGroup, factors: cross.ParadexOptionFactors) -> Paths:
    """Return the requirement of each option of a group by itself, [row, path]."""
    basis = group.parameters.short_put_cap_basis
    parts = [
        cross.option_requirement_usd(options=_legs(state, group, row), factors=factors, put_cap_basis=basis)
        for row in group.rows
    ]
    return np.concatenate(parts, axis=0)


def _netted(state: PoolState, group: OptionGroup, isolated: Paths, unpaired_factor: float | None) -> Paths:
    if unpaired_factor is None:
        return cross.sum_of_legs(isolated)
    return cross.option_group_requirement_usd(
        options=_legs(state, group), isolated_usd=isolated, unpaired_factor=unpaired_factor
    )


def _tree(state: PoolState, group: OptionGroup, isolated: Paths, netted: Paths, fees: Paths) -> ExplainNode:
    unit, table = state.pool.unit, state.pool.options
    parts = []
    for k, row in enumerate(group.rows):
        side = "short" if state.option_quantity[row] < 0 else "long"
        detail = (
            f"{abs(float(state.option_quantity[row])):,.8g} {side}, mark {float(state.option_mark[row, 0]):,.8g}, "
            f"index {float(state.option_index[row, 0]):,.8g}"
        )
        parts.append(ExplainNode(label=table.symbols[row], value=float(isolated[k, 0]), unit=unit, detail=detail))
    relief = float(netted[0]) - sum(part.value for part in parts)
    if relief:
        detail = "the group cannot lose more at settlement than this"
        parts.append(ExplainNode(label="netting of the expiry", value=relief, unit=unit, detail=detail))
    parts.append(ExplainNode(label="fee provision", value=float(fees[0]), unit=unit, detail="taker fee on index value"))
    return summed(group.label, unit, tuple(parts))


def _netting(request: ModelRequest) -> ParameterEdition | None:
    """Return the netting rule, None before it was in force: it lowers requirements, so it is never used early."""
    try:
        edition = request.edition("option_group", "*")
    except RulebookError:
        return None
    return edition if edition.valid_from <= request.at else None


def _notes(pool: MarginPool, groups: list[OptionGroup], netting: ParameterEdition | None) -> tuple[str, ...]:
    table = pool.options
    notes = [FEE_NOTE] if table.count else []
    unstated = [name for name, leverage in zip(pool.legs.symbols, pool.legs.leverage, strict=True) if not leverage]
    if unstated:
        notes.append(LEVERAGE_NOTE.format(", ".join(unstated)))
    uncapped = any(group.parameters.short_put_cap_basis is cross.PutCapBasis.NONE for group in groups)
    if uncapped and bool(np.any((table.quantity < 0) & ~table.is_call)):
        notes.append(PUT_CAP_NOTE)
    if netting is None and any(len(group.rows) > 1 for group in groups):
        notes.append(NO_GROUP_NOTE)
    return tuple(notes)


def _source(edition: ParameterEdition) -> str:
    return f"{edition.venue}.toml {edition.id}"
