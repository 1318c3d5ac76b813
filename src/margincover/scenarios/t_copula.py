"""Multivariate Student-t copula on GARCH margins with generalised Pareto tails on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.scenario import History, ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector, frozen
from margincover.numeric.rng import stream
from margincover.numeric.t_copula import t_copula_tail_dependence
from margincover.scenarios.bars import utc_text
from margincover.scenarios.copula_fit import DEFAULT, CopulaFit, fit_t_copula
from margincover.scenarios.dependence import correlation_root, one_factor_loading
from margincover.scenarios.garch_margins import (
    DEFAULT_WINDOW_BARS,
    StandardisedBars,
    convexity_table,
    standardised_bars,
)
from margincover.scenarios.request import require_request
from margincover.scenarios.spliced_margin import SplicedMargin, spliced_margin, tail_words


@dataclass(frozen=True, slots=True, kw_only=True)
class TCopula:
    """Joint ranks from a t copula, bars of those ranks, volatility by GJR-GARCH; made by ``TCopula.fit``.

    Notes
    -----
    In one step: X = sqrt(nu / W) A n with one W, chi-square with nu degrees of freedom, for all coins; u = t_nu(X);
    each coin takes the bar of its past whose standardised close has the rank u, and in the outer 5 % of either side the
    close is the quantile of a generalised Pareto law and the bar is scaled to it. The bar is multiplied by the sigma
    that the coin's recursion has reached on the path; its close drives the recursion. Steps are independent given
    sigma, so that the convexity correction makes the price an exact martingale.

    References
    ----------
    Demarta, McNeil (2005), The t copula and related copulas, International Statistical Review 73:111-129.
    """

    info: ScenarioInfo
    copula: CopulaFit
    _root: FactorFactor
    _table: Vector
    _bars: NDArray[np.float64]
    _tails: NDArray[np.float64]
    _garch: FactorFactor
    _convexity: FactorFactor
    _source: StandardisedBars

    @classmethod
    def fit(
        cls, history: History, factors: Sequence[str], *, window_bars: int = DEFAULT_WINDOW_BARS, max_rounds: int = 60
    ) -> TCopula:
        """Fit margins and copula and return the generator.

        Parameters
        ----------
        history : History
        factors : sequence of str
        window_bars : int
            Last bars used to fit the GARCH parameters and the hours; ranks, tails and copula use all.
        max_rounds : int
            Rounds of the search for nu; without convergence the default nu is used and a warning says so.

        Raises
        ------
        InputError
            For a missing coin, constant prices or fewer than 1,500 joint bars.
        """
        from margincover.numeric.copula_paths import log_tail_table

        source = standardised_bars(history, factors, window_bars=window_bars)
        margins = [spliced_margin(z, span) for z, span in zip(source.close, source.span, strict=True)]
        copula = fit_t_copula(source.close, max_rounds=max_rounds)
        tables = [convexity_table(*margin.law(), limit) for margin, limit in zip(margins, source.limit, strict=True)]
        return cls(
            info=_info(history, source, margins, copula, window_bars=window_bars),
            copula=copula,
            # rank_correlation is positive definite, so that the root is the triangular one that the kernel takes
            _root=frozen(correlation_root(copula.correlation), name="correlation", ndim=2),
            _table=frozen(log_tail_table(copula.nu), name="table", ndim=1),
            _bars=frozen(_ordered_bars(source, margins), name="bars", ndim=3),
            _tails=frozen([margin.tails for margin in margins], name="tails", ndim=3),
            _garch=frozen(source.garch_table(), name="garch", ndim=2),
            _convexity=frozen(tables, name="convexity", ndim=2),
            _source=source,
        )

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        from margincover.numeric.copula_paths import copula_bar_paths

        require_request(n_steps=n_steps, n_paths=n_paths)
        nu, n_factors = self.copula.nu, len(self.info.factors)
        normals = stream(seed, "t-copula.normal", number).standard_normal((n_steps, n_factors, n_paths))
        gamma = stream(seed, "t-copula.mixing", number).standard_gamma(0.5 * nu, size=(n_steps, n_paths))
        # a chi-square of 0 is a draw that rounded away: the smallest positive float stands for it
        scale = np.sqrt(0.5 * nu / np.maximum(gamma, np.finfo(np.float64).tiny))
        close, low, high, variance = copula_bar_paths(
            normals, scale, self._root, self._table, self._bars, self._tails, self._source.seasons(n_steps),
            self._garch, self._convexity,
        )  # fmt: skip
        return ScenarioBlock(close_log=close, low_log=low, high_log=high, step_variance=variance)


def _ordered_bars(source: StandardisedBars, margins: Sequence[SplicedMargin]) -> NDArray[np.float64]:
    """Bars [factor, rank, 4] in order of their close: close, excess low, excess high, range variance."""
    result = np.empty((*source.close.shape, 4))
    for f, margin in enumerate(margins):
        result[f, :, 0] = margin.ordered
        result[f, :, 1:3] = source.excess[f, margin.order] / margin.deviation
        result[f, :, 3] = source.span[f, margin.order] / margin.span_mean
    return result


def _info(
    history: History,
    source: StandardisedBars,
    margins: Sequence[SplicedMargin],
    copula: CopulaFit,
    *,
    window_bars: int,
) -> ScenarioInfo:
    names = source.bars.factors
    warnings = list(source.warnings)
    params = source.params(window_bars=window_bars)
    for name, margin in zip(names, margins, strict=True):
        params[f"tails.{name}"] = tail_words(margin.tails)
        warnings += [f"{name}: {note}" for note in margin.notes]
    params |= _copula_params(names, copula)
    if copula.note and len(names) > 1:
        stated = f"nu {copula.nu:g} was taken by default, because " if copula.method == DEFAULT else ""
        warnings.append(f"t copula: {stated}{copula.note}")
    return ScenarioInfo(
        factors=names,
        step_s=source.bars.step_s,
        loading=one_factor_loading(copula.correlation),
        correlation=copula.correlation,
        method="t-copula",
        label="Student-t copula, GJR-GARCH volatility, bars as seen with generalised Pareto tails",
        params=params,
        input_sha256=history.sha256,
        as_of=utc_text(source.bars.end_utc_ns),
        warnings=tuple(warnings),
        not_modelled=(
            "changing correlation",
            "joint crashes more frequent than joint rallies (the copula is symmetric)",
            "dependence of standardised bars over time",
            "parameter uncertainty",
        ),
    )


def _copula_params(names: Sequence[str], copula: CopulaFit) -> dict[str, str]:
    error = f", standard error {copula.nu_error:.2g}" if np.isfinite(copula.nu_error) else ""
    params = {
        "nu": f"{copula.nu:.4g} ({copula.method}{error})",
        "correlation": "sine of Kendall's tau over the pool, nearest positive definite",
        "step_variance": "conditional variance times the range variance of the drawn bar (mean 1)",
    }
    if len(names) > 1:
        off = copula.correlation[np.triu_indices(len(names), 1)]
        tail = [t_copula_tail_dependence(copula.nu, float(rho)) for rho in (off.min(), off.max())]
        params["copula_correlation"] = f"{off.min():.3f} to {off.max():.3f}"
        params["tail_dependence"] = f"{tail[0]:.3f} to {tail[1]:.3f}"
    return params
