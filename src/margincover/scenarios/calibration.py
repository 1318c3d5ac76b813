"""Calibration: what the Monte Carlo generator knows of each coin, and the constants that come with the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TypeAlias

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, Vector, frozen
from margincover.numeric.volatility import GjrParameters, step_variance
from margincover.scenarios.request import require_factors

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingStatistics:
    """Perpetual funding of one coin as fractions of notional per hour, > 0 means longs pay.

    ``pessimistic_per_hour`` is the 95 % quantile of the absolute 5-day average, >= 0.
    """

    mean_per_hour: float
    pessimistic_per_hour: float
    window: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorCalibration:
    """Figures of one coin.

    Parameters
    ----------
    garch : GjrParameters
        Per step of the calibration, in squared log return; their long-run variance is that of
        ``long_run_volatility_annual``.
    nu : float
        Degrees of freedom of the Student-t innovation, > 2.
    long_run_volatility_annual : float
        As a fraction: 0.8 is 80 % per year of 365 days.
    level_adjustment : float
        Factor on volatility that lifts a coin with a short history to the level of the whole window; 1 for none.
    largest_standardised_move : float
        Largest absolute hourly return over its conditional sigma in the window.
    """

    factor: str
    garch: GjrParameters
    nu: float
    long_run_volatility_annual: float
    level_adjustment: float
    largest_standardised_move: float
    window: str
    n_bars: int
    source: str
    funding: FundingStatistics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Figures of several coins and their dependence.

    ``correlation`` [factor, factor] is that of standardised moves and ``loading`` [factor] its one-factor fit;
    ``nu_joint`` is the harmonic mean of the coins' degrees of freedom, for the one mixing variable of all coins.
    """

    factors: tuple[FactorCalibration, ...]
    correlation: FactorFactor
    loading: Vector
    nu_joint: float
    step_s: int
    as_of: str
    source: str
    input_sha256: str = ""
    notes: tuple[str, ...] = ()
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = require_factors([row.factor for row in self.factors])
        n = len(names)
        object.__setattr__(self, "correlation", frozen(self.correlation, name="correlation", ndim=2))
        object.__setattr__(self, "loading", frozen(self.loading, name="loading", ndim=1))
        if self.correlation.shape != (n, n) or self.loading.shape != (n,):
            raise InputError("correlation or loading did not match the factors", field="calibration")
        if not self.nu_joint > 2.0:
            raise InputError(f"was {self.nu_joint}", field="calibration.nu_joint", allowed="a number > 2")
        object.__setattr__(self, "_index", {name: i for i, name in enumerate(names)})

    @property
    def names(self) -> tuple[str, ...]:
        """Coins that the calibration holds."""
        return tuple(row.factor for row in self.factors)

    def __contains__(self, factor: str) -> bool:
        return factor in self._index

    def position(self, factor: str) -> int:
        """Return the place of a coin; raise InputError, naming what is there, when it has none."""
        found = self._index.get(factor)
        if found is None:
            raise InputError(
                f"{factor} is not in the calibration, which holds {', '.join(self.names)}",
                field="scenario.factors",
                allowed="a coin of the calibration, a stand-in for it under `proxies` in the book, or --history",
            )
        return found

    def of(self, factor: str) -> FactorCalibration:
        """Return the figures of a coin; raise InputError when it has none."""
        return self.factors[self.position(factor)]

    def pessimistic_funding_per_hour(self, factor: str) -> float:
        """Return a funding rate per hour, >= 0, for which the caller chooses the sign that hurts.

        Notes
        -----
        The 95 % quantile of the absolute 5-day average funding of the coin; the largest over all coins for a coin
        without funding data.

        Raises
        ------
        InputError
            If no coin of the calibration has funding data.
        """
        known = {row.factor: row.funding.pessimistic_per_hour for row in self.factors if row.funding is not None}
        if not known:
            raise InputError(
                "the calibration holds no funding", field="funding_per_hour", allowed="funding stated in the book"
            )
        return known.get(factor, max(known.values()))


def load_packaged() -> Calibration:
    """Return the calibration that comes with the package; ``as_of`` and ``source`` say how old it is and from what."""
    text = resources.files("margincover.scenarios").joinpath("data/calibration.json").read_text(encoding="utf-8")
    return from_json(text)


def from_json(text: str) -> Calibration:
    """Return a calibration from its JSON text.

    Raises
    ------
    InputError
        If the text is no JSON, or a key is missing, unknown or of the wrong kind.
    """
    try:
        data = json.loads(text)
        rows = tuple(_row_from(row, step_s=data["step_s"]) for row in data.pop("factors"))
        matrix = np.array(data.pop("correlation"), dtype=np.float64)
        loading = np.array(data.pop("loading"), dtype=np.float64)
        notes = tuple(data.pop("notes"))
        return Calibration(factors=rows, correlation=matrix, loading=loading, notes=notes, **data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"could not be read: {error!r}", source="calibration.json", allowed="the keys that to_json writes"
        ) from error


def _row_from(data: dict[str, Json], *, step_s: int) -> FactorCalibration:
    # a value of the wrong kind raises TypeError or ValueError, which from_json turns into an InputError
    row = dict(data)
    level = step_variance(float(row["long_run_volatility_annual"]), step_s=step_s)  # type: ignore[arg-type]
    garch = GjrParameters(omega=level, **row.pop("garch")).at_level(level)  # type: ignore[arg-type]
    funding = row.pop("funding")
    statistics = FundingStatistics(**funding) if isinstance(funding, dict) else None  # type: ignore[arg-type]
    return FactorCalibration(garch=garch, funding=statistics, **row)  # type: ignore[arg-type]


def _short(value: float, digits: int = 5) -> float:
    """Round to significant digits: more than the sampling error supports is noise in a stored constant."""
    return float(f"{value:.{digits}g}")


def _funding_json(funding: FundingStatistics | None) -> Json:
    if funding is None:
        return None
    return {
        "mean_per_hour": _short(funding.mean_per_hour, 3),
        "pessimistic_per_hour": _short(funding.pessimistic_per_hour, 3),
        "window": funding.window,
        "source": funding.source,
    }


def to_json(calibration: Calibration) -> str:
    """Return JSON text with 5 significant digits, correlation with 4 decimals.

    Omega is not stored: it follows from the long-run level and the persistence.
    """
    rows: list[Json] = []
    for row in calibration.factors:
        level = _short(row.long_run_volatility_annual)
        rows.append(
            {
                "factor": row.factor,
                "garch": {
                    "alpha": _short(row.garch.alpha),
                    "gamma": _short(row.garch.gamma),
                    "beta": _short(row.garch.beta),
                },
                "nu": _short(row.nu, 4),
                "long_run_volatility_annual": level,
                "level_adjustment": _short(row.level_adjustment, 4),
                "largest_standardised_move": _short(row.largest_standardised_move, 3),
                "window": row.window,
                "n_bars": row.n_bars,
                "source": row.source,
                "funding": _funding_json(row.funding),
            }
        )
    data: dict[str, Json] = {
        "as_of": calibration.as_of,
        "source": calibration.source,
        "step_s": calibration.step_s,
        "nu_joint": _short(calibration.nu_joint, 4),
        "input_sha256": calibration.input_sha256,
        "notes": list(calibration.notes),
        "factors": rows,
        "correlation": [[round(float(v), 4) for v in line] for line in calibration.correlation],
        "loading": [round(float(v), 4) for v in calibration.loading],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
