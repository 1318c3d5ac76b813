"""Dynamic conditional correlation: the correlation of the coins moves along each path, driven by its own moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector, frozen
from margincover.numeric.bootstrap import draw_bars
from margincover.numeric.rng import stream
from margincover.scenarios.bars import utc_text
from margincover.scenarios.dcc_fit import CONSTANT, MIN_SAMPLE, DccFit, fit_dcc
from margincover.scenarios.dependence import correlation_root, one_factor_loading
from margincover.scenarios.garch_margins import (
    DEFAULT_WINDOW_BARS,
    StandardisedBars,
    convexity_table,
    standardised_bars,
)
from margincover.scenarios.request import require_factors, require_request

# A coin whose part of its own is smaller than this, as a variance, is another coin under a second name.
_MIN_REST = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicCorrelation:
    """GJR-GARCH per coin, corrected DCC between them, whitened bars drawn at joint dates; made by ``fit``.

    Notes
    -----
    Past closes over their sigma are whitened by the correlation of their own hour: w = R^(-1/2) z. In one step of a
    path one date is drawn for all coins and coloured by the correlation that the path has reached: z = R^(1/2) w, so
    that a joint crash of the past stays joint. The bar of that date lends how far its low and high went beyond its
    ends. z drives the volatility of each coin and the correlation; nothing is fitted again inside a path.

    The convexity correction is that of the pool coloured by the long-run correlation: exact for the first coin, and for
    the others up to how much the third moment of R^(1/2) w changes with R, about 1e-7 of the price in an hour whose
    sigma is 1 %.

    The triangular root depends on the order of the coins. They are taken in alphabetical order, so that the order of
    the book changes nothing.

    References
    ----------
    Aielli (2013), Journal of Business and Economic Statistics 31:282-299, doi:10.1080/07350015.2013.771027.
    Barone-Adesi, Giannopoulos, Vosper (1999), Journal of Futures Markets 19:583-602.
    """

    info: ScenarioInfo
    dcc: DccFit
    _white: FactorFactor
    _inside: NDArray[np.float64]
    _garch: FactorFactor
    _convexity: FactorFactor
    _start: FactorFactor
    _place: NDArray[np.int64]
    _source: StandardisedBars

    @classmethod
    def fit(
        cls, history: History, factors: Sequence[str], *, window_bars: int = DEFAULT_WINDOW_BARS, max_rounds: int = 200
    ) -> DynamicCorrelation:
        """Fit volatilities and correlation and return the generator.

        Parameters
        ----------
        history : History
        factors : sequence of str
        window_bars : int
            Last bars used to fit GARCH, hours, a, b and the long-run correlation; the pool of whitened bars uses all.
        max_rounds : int
            Rounds of the search for a and b; without convergence the correlation is constant and a warning says so.

        Raises
        ------
        InputError
            For a missing coin, constant prices, fewer than 1,500 joint bars, or fewer than 500 of them in the window.
        """
        names = require_factors(factors)
        if window_bars < MIN_SAMPLE:
            raise InputError(f"was {window_bars}", field="window_bars", allowed=f"an integer >= {MIN_SAMPLE}")
        source = standardised_bars(history, sorted(names), window_bars=window_bars)
        z = np.full((source.bars.usable.size, len(names)), np.nan)
        z[source.place] = source.close.T
        dcc = fit_dcc(z[max(int(source.place[0]), z.shape[0] - window_bars) :], max_rounds=max_rounds)
        white, start = _whiten(z[source.place[0] :], dcc)
        coloured = correlation_root(dcc.target) @ white.T
        share = np.full(source.place.size, 1.0 / source.place.size)
        tables = [convexity_table(row, share, limit) for row, limit in zip(coloured, source.limit, strict=True)]
        inside = np.concatenate((source.excess, source.span[:, :, None]), axis=2).transpose(1, 0, 2)
        return cls(
            info=_info(history, source, dcc, start, names, window_bars=window_bars),
            dcc=dcc,
            _white=frozen(white, name="white", ndim=2),
            _inside=frozen(inside, name="inside", ndim=3),
            _garch=frozen(source.garch_table(), name="garch", ndim=2),
            _convexity=frozen(tables, name="convexity", ndim=2),
            _start=frozen(start, name="start", ndim=2),
            _place=np.array([source.bars.factors.index(name) for name in names]),
            _source=source,
        )

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        from margincover.numeric.dcc_recursion import cdcc_bar_paths

        require_request(n_steps=n_steps, n_paths=n_paths)
        n_bars = self._white.shape[0]
        index = draw_bars(
            stream(seed, "dcc.dates", number), np.arange(n_bars), block_bars=1, n_bars=n_bars, shape=(n_steps, n_paths)
        )
        found = cdcc_bar_paths(
            self._white, self._inside, index, self._source.seasons(n_steps), self._garch, self._convexity,
            self._start, self.dcc.target, np.array([self.dcc.a, self.dcc.b]),
        )  # fmt: skip
        close, low, high, variance = (np.ascontiguousarray(values[:, self._place]) for values in found)
        return ScenarioBlock(close_log=close, low_log=low, high_log=high, step_variance=variance)


def _whiten(z: FactorFactor, dcc: DccFit) -> tuple[FactorFactor, FactorFactor]:
    """Return whitened bars [pool, factor] with mean 0, variance 1 and no correlation, and Q after the last bar."""
    from margincover.numeric.dcc_recursion import cdcc_filter

    white, _, last = cdcc_filter(np.ascontiguousarray(z), dcc.target, dcc.a, dcc.b)
    white = white[np.isfinite(white).all(axis=1)]
    white = white - white.mean(axis=0)
    # what the filter left of correlation over the whole pool: close to the identity, unless two coins are one
    rest = np.atleast_2d(np.cov(white.T, bias=True))
    if np.linalg.eigvalsh(rest).min() > _MIN_REST:
        white = np.linalg.solve(np.linalg.cholesky(rest), white.T).T
    return white, last


def _info(
    history: History,
    source: StandardisedBars,
    dcc: DccFit,
    start: FactorFactor,
    names: tuple[str, ...],
    *,
    window_bars: int,
) -> ScenarioInfo:
    order = [source.bars.factors.index(name) for name in names]
    today = _correlation(start)[np.ix_(order, order)]
    warnings = [*source.warnings, *_twin_warnings(source)]
    if len(names) > 1 and dcc.note:
        taken = "the correlation is constant, because " if dcc.method == CONSTANT else ""
        warnings.append(f"DCC: {taken}{dcc.note}")
    return ScenarioInfo(
        factors=names,
        step_s=source.bars.step_s,
        loading=one_factor_loading(today),
        correlation=today,
        method="dcc",
        label="Dynamic conditional correlation, GJR-GARCH volatility, whitened bars at joint dates",
        params={**source.params(window_bars=window_bars), **_dcc_params(dcc, today)},
        input_sha256=history.sha256,
        as_of=utc_text(source.bars.end_utc_ns),
        warnings=tuple(warnings),
        not_modelled=(
            "whitened moves larger than the largest seen",
            "correlation that reacts more to falls than to rises",
            "dependence of standardised bars over time",
            "parameter uncertainty",
        ),
    )


def _twin_warnings(source: StandardisedBars) -> list[str]:
    """Name the pairs of coins that move as one: what one has of its own is then rounding, and not drawn."""
    names, rho = source.bars.factors, np.atleast_2d(np.corrcoef(source.close))
    return [
        f"{names[j]} and {names[i]} move as one (correlation {rho[i, j]:.6f}): what one has of its own is not drawn"
        for i in range(len(names))
        for j in range(i)
        if 1.0 - rho[i, j] ** 2 < _MIN_REST
    ]


def _correlation(q: FactorFactor) -> FactorFactor:
    scale = 1.0 / np.sqrt(np.diag(q))
    result = np.asarray(q * np.outer(scale, scale), dtype=np.float64)
    np.fill_diagonal(result, 1.0)
    return result


def _dcc_params(dcc: DccFit, today: FactorFactor) -> dict[str, str]:
    params = {
        "correlation_model": dcc.method,
        "a": f"{dcc.a:.4g}{_error(dcc.a_error)}",
        "b": f"{dcc.b:.4g}{_error(dcc.b_error)}",
        "convexity": "of the pool at the long-run correlation",
        "step_variance": "conditional variance times the range variance of the drawn bar (mean 1)",
    }
    pairs = np.triu_indices(today.shape[0], 1)
    if pairs[0].size:
        persistence = dcc.a + dcc.b
        half_life = f"{np.log(0.5) / np.log(persistence):.3g} steps" if persistence > 0.0 else "none"
        params["correlation_half_life"] = half_life
        params["correlation_today"] = _range_words(today[pairs])
        params["correlation_long_run"] = _range_words(dcc.target[pairs])
    return params


def _range_words(values: Vector) -> str:
    return f"{values.min():.3f} to {values.max():.3f}"


def _error(value: float) -> str:
    return f" (standard error {value:.2g})" if np.isfinite(value) else ""
