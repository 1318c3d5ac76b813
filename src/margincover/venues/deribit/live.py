"""Matrix parameters as the venue states them itself, in place of the packaged ones.

Takes the tables under ``model_params`` of a ``private/pme/simulate`` response; anything that would be another rule is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from margincover.errors import NotSupportedError, RulebookError
from margincover.venues.deribit.parameters import MatrixParameters

# Keys of the venue's model_params and ours, by the table in which they stand.
_LIVE_PAIR = {
    "price_range": "price_range_fraction",
    "volatility_range_up": "volatility_up_fraction",
    "volatility_range_down": "volatility_down_fraction",
    "min_volatility_for_shock_up": "volatility_up_floor_fraction",
    "short_term_vega_power": "short_term_vega_power",
    "long_term_vega_power": "long_term_vega_power",
    "extended_table_factor": "extended_table_factor",
    "m_inc": "delta_shock_per_coin",
    "delta_total_liq_shock_threshold": "delta_shock_threshold_usd",
    "max_delta_shock": "max_delta_shock_fraction",
}
_LIVE_CURRENCY = {
    "extended_dampener": "extended_dampener_usd",
    "pnl_offset": "pnl_offset_fraction",
    "max_offsetable_pnl": "max_offsetable_pnl_usd",
    "min_annualised_move": "min_annualised_move_fraction",
    "annualised_move_risk": "annualised_move_risk_fraction",
    "equity_side_impact": "equity_side_impact",
}
_LIVE_GENERAL = {"mm_factor": "maintenance_factor_fraction", "buckets_count": "buckets_per_side_count"}
# What our matrix takes for granted; another value would be another rule.
_LIVE_FIXED = {"correlation_set": False, "haircut": 0, "vol_scenarios_count": 3}


def live_matrix_parameters(
    packaged: MatrixParameters,
    *,
    pair: Mapping[str, object],
    currency: Mapping[str, object],
    general: Mapping[str, object],
    source: str,
) -> MatrixParameters:
    """Return a record with the values that ``private/pme/simulate`` states under ``model_params``.

    Parameters
    ----------
    packaged : MatrixParameters
        Gives what the response does not state: the outer moves, the volatility scale's days, the decimals.
    pair, currency, general : mapping
        The tables ``currency_pair.<pair>``, ``currency.<settlement currency>`` and ``general``.
    source : str

    Raises
    ------
    RulebookError
        If a key is missing or unknown, or a value is out of range.
    NotSupportedError
        If currencies are correlated, a haircut stands in the matrix, or there are not three volatilities.
    """
    stated = {**general, **currency, **pair}
    names = {**_LIVE_GENERAL, **_LIVE_CURRENCY, **_LIVE_PAIR}
    unknown = sorted(set(stated) - set(names) - set(_LIVE_FIXED) - {"timestamp"})
    missing = sorted((set(names) | set(_LIVE_FIXED)) - set(stated))
    if unknown or missing:
        raise RulebookError(
            "was missing" if missing else "unknown key", source=source, field=", ".join(missing or unknown)
        )
    for key, value in _LIVE_FIXED.items():
        if stated[key] != value:
            raise NotSupportedError(f"was {stated[key]!r}", source=source, field=key, allowed=repr(value))
    kept = {entry.name: getattr(packaged, entry.name) for entry in fields(packaged)}
    kept["equity_side_impact"] = packaged.equity_side_impact.value
    live = {ours: stated[theirs] for theirs, ours in names.items()}
    return MatrixParameters.from_mapping({**kept, **live}, source=source)
