"""Which model a mode of a rulebook names, and how it is built for a pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Protocol, cast

from margincover.errors import InputError, RulebookError
from margincover.model.account import Account
from margincover.model.instrument import Instrument
from margincover.model.market import MarketState
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel
from margincover.model.provenance import EditionUse
from margincover.model.rules import ModeRule, Rulebook
from margincover.venues.parameters import parameter_edition

# Model name -> module that has ``build``; venue modules load when they are used.
_MODELS: Mapping[str, str] = {
    "binance_multi_assets": "margincover.venues.binance.multi_assets_model",
    "binance_portfolio": "margincover.venues.binance.portfolio_model",
    "bybit_cross_options": "margincover.venues.bybit.cross_options",
    "bybit_portfolio": "margincover.venues.bybit.portfolio_model",
    "deribit_cross_portfolio": "margincover.venues.deribit.cross_portfolio",
    "deribit_cross_standard": "margincover.venues.deribit.cross_standard",
    "deribit_segregated_portfolio": "margincover.venues.deribit.segregated_portfolio",
    "deribit_segregated_standard": "margincover.venues.deribit.segregated_standard",
    "derive_portfolio": "margincover.venues.derive.portfolio_account",
    "derive_standard": "margincover.venues.derive.standard_account",
    "dydx_subaccount": "margincover.venues.dydx.subaccount_model",
    "paradex_cross": "margincover.venues.paradex.cross_model",
    "paradex_portfolio": "margincover.venues.paradex.portfolio_model",
    "okx_futures": "margincover.venues.okx.futures_model",
    "okx_isolated_pair": "margincover.venues.okx.pair_model",
    "okx_multi_currency": "margincover.venues.okx.multi_currency_model",
    "okx_portfolio": "margincover.venues.okx.portfolio_model",
}


def edition_uses(editions: Iterable[ParameterEdition], at: datetime) -> tuple[EditionUse, ...]:
    """Return the provenance of parameter editions, each once."""
    uses = [
        EditionUse(
            venue=edition.venue,
            edition=edition.id,
            valid_from=f"{edition.valid_from:%Y-%m-%d}",
            source=edition.source,
            retrieved=edition.retrieved,
            age_days=(at - edition.observed).days,
        )
        for edition in editions
    ]
    return tuple(dict.fromkeys(uses))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """What a model is built from: the pool without its model, and where its facts come from.

    ``instruments`` are those of the book by venue and symbol as written there.
    """

    pool: MarginPool
    rule: ModeRule
    account: Account
    market: MarketState
    at: datetime
    rulebook: Rulebook
    instruments: Mapping[tuple[str, str], Instrument] = field(default_factory=dict)

    def index(self, base: str, quote: str = "USD") -> float:
        """Return the index of a coin in a quote asset at ``as_of``, from the market's USD prices.

        Raises
        ------
        InputError
            If the market states no USD price of the coin, or of a quote other than USD.
        """
        try:
            return self.market.index(base, quote)
        except InputError as error:
            raise error.located(account=self.account.id) from error

    def edition(self, mode: str, underlying: str) -> ParameterEdition:
        """Return the parameter edition of the pool's venue in force.

        Raises
        ------
        RulebookError
            If none is in force.
        """
        try:
            return parameter_edition(
                self.rulebook.parameters, self.pool.venue, mode=mode, underlying=underlying, at=self.at
            )
        except RulebookError as error:
            raise error.located(account=self.account.id) from error


def edition_notes(editions: Iterable[ParameterEdition], at: datetime) -> tuple[str, ...]:
    """Return a sentence for each edition that is not confirmed or not yet in force, each once."""
    notes = []
    for edition in editions:
        name = f"{edition.venue} {edition.mode} {edition.underlying} ({edition.id})"
        if edition.confidence != "CONFIRMED":
            notes.append(f"{name} is {edition.confidence}{': ' + edition.note if edition.note else ''}")
        if edition.valid_from > at:
            notes.append(f"{name} is used before its validity, from {edition.valid_from:%Y-%m-%d}")
    return tuple(dict.fromkeys(notes))


class ModelBuilder(Protocol):
    """Function ``build`` of a venue's model module."""

    def __call__(self, request: ModelRequest) -> PoolModel:
        """Return the model of a pool; raises InputError, RulebookError or NotSupportedError."""


def model_names() -> tuple[str, ...]:
    """Return the names that a mode may use."""
    return tuple(_MODELS)


def build_model(request: ModelRequest) -> PoolModel:
    """Return the model that the mode of a pool names.

    Raises
    ------
    RulebookError
        If there is no such model, or its parameters are not in force.
    InputError, NotSupportedError
        If the account holds what the model cannot margin.
    """
    name = request.rule.model
    if name not in _MODELS:
        raise RulebookError(
            f"model was '{name}'",
            source=f"rules of {request.pool.venue}",
            field=f"mode {request.rule.name}",
            allowed=", ".join(_MODELS),
        )
    builder = cast(ModelBuilder, import_module(_MODELS[name]).build)
    return builder(request)
