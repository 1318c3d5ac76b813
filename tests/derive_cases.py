"""Turns the exchange's published Derive cases (JSON) into the rule modules' types; shared by the reference tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from margincover.units import SECONDS_PER_YEAR
from margincover.venues.derive import standard
from margincover.venues.derive.parameters import Pm2Parameters, Pm2Scenario, StandardParameters, VolatilityShock
from margincover.venues.derive.state import OptionLegs, Pm2Holding, Pm2State, StandardHolding, StandardState

_SHOCKS = {
    "Up": VolatilityShock.UP,
    "None": VolatilityShock.STATIC,
    "Down": VolatilityShock.DOWN,
    "LINEAR": VolatilityShock.SKEW_LINEAR,
    "ABS": VolatilityShock.SKEW_ABSOLUTE,
}
_PM2_NAMES = {
    "vol": {
        "VOLRANGEUP": "volatility_up_fraction",
        "VOLRANGEDOWN": "volatility_down_fraction",
        "MIN_VOL_EVAL_SHOCKED": "volatility_up_floor",
        "SHORTTERMPOWER": "short_term_power",
        "LONGTERMPOWER": "long_term_power",
        "DTE_FLOOR": "days_floor",
    },
    "skew": {
        "LINEAR_SCALE_CAP": "linear_cap_base",
        "LINEAR_CBASE": "linear_cap_slope",
        "ABS_SCALE_CAP": "absolute_cap_base",
        "ABS_CBASE": "absolute_cap_slope",
        "MIN_K_STAR": "skew_width_floor",
        "MIN_WIDTH_SCALE": "skew_width_scale",
        "VOL_PARAM_STATIC": "skew_volatility_base",
        "VOL_PARAM_SCALE": "skew_volatility_slope",
    },
    "margin": {
        "MM_LOSS_FACTOR": "maintenance_loss_factor",
        "IM_LOSS_FACTOR": "initial_loss_factor",
        "BASE_STATIC_DISCOUNT": "positive_discount_factor",
        "LONG_RATE_MULTSCALE": "positive_rate_scale",
        "LONG_RATE_ADDSCALE": "positive_rate_add_per_year",
        "BASE_STATIC_DISCOUNT_NEG": "negative_discount_factor",
        "SHORT_RATE_MULTSCALE": "negative_rate_scale",
        "SHORT_RATE_ADDSCALE": "negative_rate_add_per_year",
    },
    "basis": {
        "SCENARIO_SPOT_UP": "basis_up_factor",
        "SCENARIO_SPOT_DOWN": "basis_down_factor",
        "BASIS_CONT_ADD_FACTOR": "basis_add_factor",
        "BASIS_CONT_MULT_FACTOR": "basis_factor_per_year",
    },
    "other": {
        "PEG_LOSS_THRESHOLD": "peg_threshold_fraction",
        "PEG_LOSS_FACTOR": "peg_factor",
        "CONF_THRESHOLD": "confidence_threshold_fraction",
        "CONF_MARGIN": "oracle_factor",
        "MM_PERP_PERCENT": "perp_maintenance_fraction",
        "IM_PERP_PERCENT": "perp_extra_initial_fraction",
        "MM_OPTION_PERCENT": "option_maintenance_fraction",
        "IM_OPTION_PERCENT": "option_extra_initial_fraction",
    },
}
_SM_NAMES = {
    "perp_im": "perp_initial_fraction",
    "perp_mm": "perp_maintenance_fraction",
    "max_spot": "option_initial_max_fraction",
    "min_spot": "option_initial_min_fraction",
    "mm_call": "call_maintenance_fraction",
    "mm_put": "put_maintenance_fraction",
    "mm_put_mtm": "put_maintenance_value_fraction",
    "mm_offset": "put_initial_over_maintenance_factor",
    "unpaired_im": "unpaired_initial_factor",
    "unpaired_mm": "unpaired_maintenance_factor",
    "base_factor": "base_margin_fraction",
    "base_im_scale": "base_initial_scale_fraction",
    "depeg_threshold": "depeg_threshold_fraction",
    "depeg_factor": "depeg_factor",
    "conf_threshold": "confidence_threshold_fraction",
    "oc_factor": "oracle_factor",
}


def pm2_parameters(inputs: dict[str, Any]) -> Pm2Parameters:
    """Return the parameters of a case; built directly, since the suite also tries values no venue would publish."""
    numbers = {name: inputs["params"][part][key] for part, keys in _PM2_NAMES.items() for key, name in keys.items()}
    scenarios = tuple(
        Pm2Scenario(spot_factor=factor, volatility=_SHOCKS[kind], dampening_factor=dampening)
        for factor, kind, dampening in inputs["scenarios"]
    )
    return Pm2Parameters(**numbers, scenarios=scenarios, haircuts={})


def pm2_account(inputs: dict[str, Any]) -> tuple[Pm2Holding, Pm2State]:
    """Return holding and one-path state of a PM2 case."""
    options, feeds, collaterals = inputs["options"], inputs["feeds"], inputs["collaterals"]
    rows = {feed[0]: row for row, feed in enumerate(feeds)}

    def column(table: list[list[Any]], index: int) -> list[Any]:
        return [row[index] for row in table]

    legs = OptionLegs.of(
        expiry=[rows[option[0]] for option in options],
        strike=column(options, 1),
        is_call=[option[2] == "C" for option in options],
        quantity_contracts=column(options, 3),
    )
    holding = Pm2Holding(
        legs=legs,
        cash_usd=inputs["cash"],
        perp_quantity=inputs["perps"],
        collateral_quantity=column(collaterals, 1),
        collateral_maintenance_haircut=column(collaterals, 5),
        collateral_extra_initial_haircut=column(collaterals, 6),
        collateral_is_risk_cancelling=column(collaterals, 4),
    )
    state = Pm2State.of(
        n_legs=len(options),
        n_expiries=len(feeds),
        n_collaterals=len(collaterals),
        spot=inputs["spot"],
        stable_price=inputs["stable_price"],
        perp_price=inputs["perp_price"],
        perp_pnl_usd=inputs["perp_upnl"] + inputs["perp_funding"],
        spot_confidence=inputs["spot_conf"],
        perp_confidence=inputs["perp_conf"],
        forward=column(feeds, 1),
        forward_fixed=0.0,
        years=np.array(column(feeds, 0)) / SECONDS_PER_YEAR,
        rate_per_year=column(feeds, 3),
        expiry_confidence=[min(feed[2], feed[4], feed[5]) for feed in feeds],
        volatility=column(options, 4),
        collateral_price=column(collaterals, 2),
        collateral_confidence=column(collaterals, 3),
    )
    return holding, state


def standard_parameters(inputs: dict[str, Any]) -> StandardParameters:
    """Return the parameters of a standard manager case."""
    return StandardParameters(**{name: inputs["params"][key] for key, name in _SM_NAMES.items()})


def standard_account(inputs: dict[str, Any]) -> standard.NetMargin:
    """Return the account margin of a standard manager case, all its markets summed."""
    parameters = standard_parameters(inputs)
    markets = [
        standard.market_margin(holding=holding, state=state, parameters=parameters)
        for holding, state in (standard_market(inputs, name) for name in inputs["spot"])
    ]
    return standard.account_margin(cash_usd=inputs["cash"], markets=markets)


def standard_market(inputs: dict[str, Any], name: str) -> tuple[StandardHolding, StandardState]:
    """Return holding and one-path state of one underlying of a case."""
    options = [option for option in inputs["options"] if option["u"] == name]
    terms = sorted({option["sec"] for option in options})
    forward = [next(o["fwd"] for o in options if o["sec"] == term) for term in terms]
    years = np.array(terms, dtype=float).reshape(-1, 1) / SECONDS_PER_YEAR
    legs = OptionLegs.of(
        expiry=[terms.index(o["sec"]) for o in options],
        strike=[o["K"] for o in options],
        is_call=[o["call"] for o in options],
        quantity_contracts=[o["amt"] for o in options],
    )
    forwards, volatility = np.array(forward).reshape(-1, 1), np.array([o["vol"] for o in options]).reshape(-1, 1)
    spot, confidence = inputs["spot"][name]
    perp = inputs["perps"].get(name, {"pos": 0.0, "price": 0.0, "conf": 1.0, "unrealised": 0.0})
    state = StandardState.of(
        n_legs=len(options),
        n_expiries=len(terms),
        spot=spot,
        stable_price=inputs["usdc_price"],
        forward=forwards,
        mark=standard.option_marks(legs=legs, forward=forwards, years=years, volatility=volatility),
        perp_price=perp["price"],
        perp_pnl_usd=perp["unrealised"],
        spot_confidence=confidence,
        perp_confidence=perp["conf"],
        option_confidence=[min(o["vol_conf"], o["fwd_conf"]) for o in options],
    )
    base = inputs["base"].get(name, 0.0)
    return StandardHolding(legs=legs, perp_quantity=perp["pos"], base_quantity=base), state


def truncated(value: float) -> int:
    """Return a figure cut toward zero to whole USD, as the suite prints it; 1e-6 absorbs double rounding."""
    return math.trunc(value + math.copysign(1e-6, value))
