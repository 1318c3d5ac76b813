"""Many Deribit pools in segregated standard margin at once: the rule of ``segregated_standard`` by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState
from margincover.venues.deribit import standard
from margincover.venues.deribit.parameters import (
    FutureCurveParameters,
    FutureIncrementParameters,
    OptionParameters,
)
from margincover.venues.deribit.segregated_standard import SegregatedStandard
from margincover.venues.revalue import wallet_and_profit
from margincover.venues.stacked import Merged, RequiredRows, same

Index = NDArray[np.int64]
Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardStack:
    """Rows of legs and of short options by what margins them: all that share a key are one call of the rule.

    ``leg_index`` [leg] is the index in the quote asset, read for linear legs alone.
    """

    futures: Mapping[tuple[FutureIncrementParameters | FutureCurveParameters, float | None], Index]
    options: Mapping[tuple[OptionParameters, bool], Index]
    leg_index: Paths

    def held(self, state: PoolState) -> Paths:
        """Return the margin balance: options count in the requirement, not here."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: one currency, no haircut."""
        return held * asset_price

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return one row for each future and each short option."""
        return (*self._futures(state), *self._options(state))

    def _futures(self, state: PoolState) -> list[RequiredRows]:
        legs = state.pool.legs
        inverse = legs.inverse[:, None]
        size = np.where(inverse, state.leg_notional, np.abs(legs.signed_size)[:, None])
        price = np.where(inverse, 1.0, self.leg_index[:, None] * state.factor_ratio[legs.factor_index])
        done = []
        for (parameters, leverage), rows in self.futures.items():
            if isinstance(parameters, FutureIncrementParameters):
                margin = standard.increment_margin(
                    size[rows], parameters=parameters, unit_price=price[rows], chosen_leverage=leverage
                )
            else:
                margin = standard.curve_margin(
                    size[rows],
                    parameters=parameters,
                    unknown_curve=standard.UnknownCurve.PESSIMISTIC,
                    unit_price=price[rows],
                    chosen_leverage=leverage,
                )
            done.append(_required(legs.asset_index[rows], margin))
        return done

    def _options(self, state: PoolState) -> list[RequiredRows]:
        table, done = state.pool.options, []
        for (parameters, inverse), rows in self.options.items():
            quantity, strike = state.option_quantity[rows, None], table.strike[rows, None]
            index, mark, is_call = state.option_index[rows], state.option_mark[rows], table.is_call[rows, None]
            if inverse:
                margin = standard.inverse_option_margin(
                    quantity, index_usd=index, strike_usd=strike, is_call=is_call, mark_coin=mark, parameters=parameters
                )
            else:
                margin = standard.linear_option_margin(
                    quantity, index_usd=index, strike_usd=strike, is_call=is_call, mark_usd=mark, parameters=parameters
                )
            done.append(_required(table.asset_index[rows], margin))
        return done


def _required(asset: NDArray[np.integer], margin: standard.Requirement) -> RequiredRows:
    return RequiredRows(asset=asset.astype(np.int64), maintenance=margin.maintenance, initial=margin.initial)


def can_stack(model: PoolModel, pool: MarginPool) -> bool:
    """Return whether the stack holds the model: it holds every pool in this mode."""
    return isinstance(model, SegregatedStandard)


def stack(models: Sequence[PoolModel], merged: Merged) -> StandardStack:
    """Return the rule of many pools."""
    rates = [model.rates for model in models if isinstance(model, SegregatedStandard)]
    legs, table = merged.pool.legs, merged.pool.options
    futures = [parameters for one in rates for parameters in one.futures]
    leverage = [float(value) or None for value in legs.leverage]
    # Long options need nothing.
    short = np.flatnonzero(table.quantity < 0.0)
    options = [parameters for one in rates for parameters in one.options]
    found = same([(options[k], bool(table.inverse[k])) for k in short])
    return StandardStack(
        futures=same(list(zip(futures, leverage, strict=True))),
        options={key: short[rows] for key, rows in found.items()},
        leg_index=np.array([index for one in rates for index in one.leg_index], dtype=np.float64),
    )
