"""What Derive's margin rules are computed on: option legs, holdings, and the market states of many paths at once.

Checked here once: shapes fit, numbers are finite, prices are positive. The kernels trust them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.numeric.arrays import PathVector, Vector, frozen, frozen_index

PRICE, NOT_NEGATIVE, ANY, UNIT = "> 0", ">= 0", "finite", "0 to 1"
_VENUE = "derive"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLegs:
    """Option positions of one underlying, one row a leg; ``expiry`` is the row of the expiry in the state.

    ``strike`` in USD > 0, ``quantity_contracts`` > 0 is long.
    """

    expiry: NDArray[np.int32]
    strike: Vector
    is_call: NDArray[np.bool_]
    quantity_contracts: Vector

    @classmethod
    def of(
        cls, *, expiry: ArrayLike, strike: ArrayLike, is_call: ArrayLike, quantity_contracts: ArrayLike
    ) -> OptionLegs:
        """Return checked legs.

        Raises
        ------
        InputError
            If the columns differ in length, a strike is not > 0, an expiry is negative or a number is not finite.
        """
        rows = frozen_index(expiry).reshape(-1)
        flags = np.array(is_call, dtype=bool).reshape(-1)
        flags.flags.writeable = False
        strikes = checked(np.reshape(strike, -1), "strike", PRICE, (rows.size,))
        sizes = checked(np.reshape(quantity_contracts, -1), "quantity_contracts", ANY, (rows.size,))
        if flags.size != rows.size or (rows.size and rows.min() < 0):
            raise InputError(
                "columns differ or an expiry was < 0", source=_VENUE, field="option legs", allowed="one row a leg"
            )
        return cls(expiry=rows, strike=strikes, is_call=flags, quantity_contracts=sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardState:
    """Market of one underlying on n paths for the standard manager.

    ``spot``, ``perp_price``, ``stable_price``, ``spot_confidence``, ``perp_confidence`` [path]; ``forward``
    [expiry, path]; ``mark`` (USD per contract), ``option_confidence`` (the lower of the volatility and forward feeds')
    [leg, path]; ``perp_pnl_usd`` [path] is unsettled profit and funding, gain > 0.
    """

    spot: PathVector
    stable_price: PathVector
    forward: Vector
    mark: Vector
    perp_price: PathVector
    perp_pnl_usd: PathVector
    spot_confidence: PathVector
    perp_confidence: PathVector
    option_confidence: Vector

    @classmethod
    def of(cls, *, n_legs: int, n_expiries: int, **columns: ArrayLike) -> StandardState:
        """Return a checked state; every column broadcasts along paths.

        Raises
        ------
        InputError
            If a column is missing or unknown, has a wrong shape, or holds a value out of range.
        """
        shapes = {
            "spot": (PRICE, 0),
            "stable_price": (PRICE, 0),
            "forward": (PRICE, n_expiries),
            "mark": (NOT_NEGATIVE, n_legs),
            "perp_price": (NOT_NEGATIVE, 0),
            "perp_pnl_usd": (ANY, 0),
            "spot_confidence": (UNIT, 0),
            "perp_confidence": (UNIT, 0),
            "option_confidence": (UNIT, n_legs),
        }
        return cls(**_columns(columns, shapes))


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardHolding:
    """What an account holds of one underlying under the standard manager; quantities > 0 are long."""

    legs: OptionLegs
    perp_quantity: float = 0.0
    base_quantity: float = 0.0

    def __post_init__(self) -> None:
        checked(self.perp_quantity, "perp_quantity", ANY, ())
        checked(self.base_quantity, "base_quantity", ANY, ())
        if self.base_quantity < 0:
            raise NotSupportedError(
                f"was {self.base_quantity}",
                source=_VENUE,
                field="base_quantity",
                allowed=">= 0: borrowed base is not modelled",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pm2Holding:
    """What a PM2 account holds: cash in USDC, option legs, one perpetual, collaterals of which some cancel risk."""

    legs: OptionLegs
    cash_usd: float
    perp_quantity: float
    collateral_quantity: Vector
    collateral_maintenance_haircut: Vector
    collateral_extra_initial_haircut: Vector
    collateral_is_risk_cancelling: NDArray[np.bool_]

    def __post_init__(self) -> None:
        checked(self.cash_usd, "cash_usd", ANY, ())
        checked(self.perp_quantity, "perp_quantity", ANY, ())
        flags = np.array(self.collateral_is_risk_cancelling, dtype=bool).reshape(-1)
        flags.flags.writeable = False
        object.__setattr__(self, "collateral_is_risk_cancelling", flags)
        for name in ("collateral_quantity", "collateral_maintenance_haircut", "collateral_extra_initial_haircut"):
            values = checked(np.reshape(getattr(self, name), -1), name, ANY, (flags.size,))
            if (values < 0).any():
                raise NotSupportedError(
                    f"was {values.min()}",
                    source=_VENUE,
                    field=name,
                    allowed=">= 0: borrowed collateral is not modelled",
                )
            object.__setattr__(self, name, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pm2State:
    """Market of one underlying on n paths for PM2.

    [path]: ``spot``, ``stable_price``, ``perp_price``, ``perp_pnl_usd`` (profit and funding, gain > 0) and the
    confidences of spot and perpetual. [expiry, path]: ``forward`` (whole), ``forward_fixed`` (the part of it already
    settled by the averaging of the last 30 minutes, which no shock moves), ``years``, ``rate_per_year``,
    ``expiry_confidence`` (lowest of forward, rate and volatility feeds). [leg, path]: ``volatility``.
    [collateral, path]: ``collateral_price``, ``collateral_confidence``.
    """

    spot: PathVector
    stable_price: PathVector
    perp_price: PathVector
    perp_pnl_usd: PathVector
    spot_confidence: PathVector
    perp_confidence: PathVector
    forward: Vector
    forward_fixed: Vector
    years: Vector
    rate_per_year: Vector
    expiry_confidence: Vector
    volatility: Vector
    collateral_price: Vector
    collateral_confidence: Vector

    @classmethod
    def of(cls, *, n_legs: int, n_expiries: int, n_collaterals: int, **columns: ArrayLike) -> Pm2State:
        """Return a checked state; every column broadcasts along paths.

        Raises
        ------
        InputError
            If a column is missing or unknown, has a wrong shape, or holds a value out of range.
        """
        path = dict.fromkeys(("spot", "stable_price"), (PRICE, 0))
        path |= {"perp_price": (NOT_NEGATIVE, 0), "perp_pnl_usd": (ANY, 0)}
        path |= dict.fromkeys(("spot_confidence", "perp_confidence"), (UNIT, 0))
        expiry = {"forward": PRICE, "forward_fixed": NOT_NEGATIVE, "years": NOT_NEGATIVE, "rate_per_year": ANY}
        shapes = path | {name: (kind, n_expiries) for name, kind in (expiry | {"expiry_confidence": UNIT}).items()}
        shapes |= {"volatility": (NOT_NEGATIVE, n_legs)}
        shapes |= {"collateral_price": (NOT_NEGATIVE, n_collaterals), "collateral_confidence": (UNIT, n_collaterals)}
        state = cls(**_columns(columns, shapes))
        if (state.forward_fixed > state.forward).any():
            raise InputError("was above forward", source=_VENUE, field="forward_fixed", allowed="0 to forward")
        return state

    def paths(self, part: slice) -> Pm2State:
        """Return the state of a part of the paths; the arrays are views."""
        names = self.__dataclass_fields__
        return Pm2State(**{name: getattr(self, name)[..., part] for name in names})


def checked(values: ArrayLike, name: str, allowed: str, shape: tuple[int, ...]) -> Vector:
    """Return a read-only array of a shape whose values are finite and in a range.

    Raises
    ------
    InputError
        If the shape or a value is not allowed.
    """
    array = frozen(values, name=name)
    if array.shape != shape:
        raise InputError(f"had shape {array.shape}", source=_VENUE, field=name, allowed=f"shape {shape}")
    low = {PRICE: np.nextafter(0.0, 1.0), NOT_NEGATIVE: 0.0, UNIT: 0.0}.get(allowed, -np.inf)
    bad = (array < low) | (array > (1.0 if allowed == UNIT else np.inf))
    if bad.any():
        raise InputError(f"was {array[bad].flat[0]}", source=_VENUE, field=name, allowed=allowed)
    return array


def row_sum(values: Vector) -> NDArray[np.float64]:
    """Return the sum of all rows [path], added row by row: its bits do not depend on the number of paths."""
    total = np.zeros(values.shape[-1])
    for row in values:
        total = total + row
    return total


def _columns(columns: dict[str, ArrayLike], shapes: dict[str, tuple[str, int]]) -> dict[str, Vector]:
    unknown, missing = sorted(set(columns) - set(shapes)), sorted(set(shapes) - set(columns))
    if unknown or missing:
        found = f"unknown column {', '.join(unknown)}" if unknown else f"{', '.join(missing)} was missing"
        raise InputError(found, source=_VENUE, field="state", allowed=", ".join(shapes))
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    vectors = {name for name in shapes if name in _PATH_COLUMNS}
    # The last axis is path: a column without it is the same on every path.
    lengths = [a.shape[-1] for n, a in arrays.items() if a.ndim == (1 if n in vectors else 2)]
    n_paths = max(lengths, default=1)
    done = {}
    for name, (allowed, rows) in shapes.items():
        shape = (n_paths,) if name in vectors else (rows, n_paths)
        array = arrays[name]
        if name not in vectors and array.ndim == 1:
            # One axis can only mean one value a row; read as paths it would change meaning when the counts agree.
            array = array.reshape(-1, 1)
        try:
            if array.ndim == 2 and array.shape[0] != rows:
                raise ValueError
            array = np.broadcast_to(array, shape)
        except ValueError:
            raise InputError(f"had shape {array.shape}", source=_VENUE, field=name, allowed=f"shape {shape}") from None
        done[name] = checked(array, name, allowed, shape)
    return done


_PATH_COLUMNS = frozenset({"spot", "stable_price", "perp_price", "perp_pnl_usd", "spot_confidence", "perp_confidence"})
