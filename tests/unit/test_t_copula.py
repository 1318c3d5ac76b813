"""The t copula: closed forms, fit, margins, kernel against its twin, and the generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, special, stats

from margincover.errors import InputError
from margincover.model.scenario import History
from margincover.numeric import copula_paths, copula_paths_reference
from margincover.numeric.t_copula import kendall_tau, t_copula_log_density, t_copula_tail_dependence
from margincover.scenarios.copula_fit import DEFAULT_NU, FITTED, NU_BOUNDS, fit_t_copula, ordinal_ranks
from margincover.scenarios.dependence import correlation_root
from margincover.scenarios.spliced_margin import SHAPE_BOUNDS, spliced_margin
from margincover.scenarios.t_copula import TCopula
from tests.unit.synthetic_bars import START_UTC_NS, history_of_one_constant_coin, history_of_two_clustered_coins

HOUR_NS = 3_600 * 1_000_000_000


@pytest.fixture(scope="module")
def generator() -> TCopula:
    return TCopula.fit(history_of_two_clustered_coins(missing=(700, 701, 1_500)), ["BTC", "ETH"])


def joint_exceedance(level: float, *, nu: float, rho: float) -> float:
    """P(U1 < level, U2 < level) of the t copula: the second coin given the first is t with nu + 1, integrated."""
    edge = special.stdtrit(nu, level)

    def inner(u: float) -> float:
        x = special.stdtrit(nu, u)
        width = math.sqrt((1.0 - rho**2) * (nu + x**2) / (nu + 1.0))
        return float(special.stdtr(nu + 1.0, (edge - rho * x) / width))

    return float(integrate.quad(inner, 0.0, level, epsabs=0.0, epsrel=1e-8)[0])


# McNeil, Frey, Embrechts, Quantitative Risk Management (2005), table 5.1, printed to two digits
@pytest.mark.parametrize(
    ("nu", "rho", "published"),
    [
        (2.0, -0.5, 0.06), (2.0, 0.0, 0.18), (2.0, 0.5, 0.39), (2.0, 0.9, 0.72),
        (4.0, -0.5, 0.01), (4.0, 0.0, 0.08), (4.0, 0.5, 0.25), (4.0, 0.9, 0.63),
        (10.0, 0.0, 0.01), (10.0, 0.5, 0.08), (10.0, 0.9, 0.46),
    ],
)  # fmt: skip
def test_tail_dependence_is_the_published_table(nu: float, rho: float, published: float) -> None:
    assert t_copula_tail_dependence(nu, rho) == pytest.approx(published, abs=0.005)


def test_tail_dependence_is_the_limit_of_the_conditional_probability() -> None:
    # at u = 1e-12 the t with 3 degrees is within 1e-4 of its power law
    assert joint_exceedance(1e-12, nu=3.0, rho=0.6) / 1e-12 == pytest.approx(
        t_copula_tail_dependence(3.0, 0.6), rel=1e-3
    )


def test_tail_dependence_at_the_ends() -> None:
    assert t_copula_tail_dependence(math.inf, 0.9) == 0.0
    assert t_copula_tail_dependence(2_000.0, 0.9) < 1e-20
    assert t_copula_tail_dependence(4.0, 1.0) == 1.0
    assert t_copula_tail_dependence(4.0, -1.0) == 0.0


@pytest.mark.parametrize(("nu", "rho"), [(0.0, 0.5), (-1.0, 0.5), (math.nan, 0.5), (4.0, 1.01), (4.0, math.nan)])
def test_tail_dependence_of_an_impossible_copula_is_an_input_error(nu: float, rho: float) -> None:
    with pytest.raises(InputError, match=r"nu|rho"):
        t_copula_tail_dependence(nu, rho)


def test_log_density_is_that_of_the_joint_t_over_its_margins() -> None:
    values = np.random.default_rng(2).standard_normal((3, 40))
    correlation = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, -0.3], [0.2, -0.3, 1.0]])
    ranks = ordinal_ranks(values)
    x = stats.t.ppf((ranks + 1.0) / 41.0, 4.5)
    joint = stats.multivariate_t(loc=np.zeros(3), shape=correlation, df=4.5).logpdf(x.T)
    expected = joint - stats.t.logpdf(x, 4.5).sum(axis=0)
    assert t_copula_log_density(ranks, correlation, 4.5) == pytest.approx(expected, abs=1e-10)


def t_draws(*, nu: float, correlation: np.ndarray, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    normals = correlation_root(correlation) @ rng.standard_normal((correlation.shape[0], n))
    return normals * np.sqrt(nu / rng.chisquare(nu, n))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fit_recovers_nu_and_correlation(seed: int) -> None:
    correlation = np.array([[1.0, 0.7, 0.4], [0.7, 1.0, 0.5], [0.4, 0.5, 1.0]])
    # other margins, rising: a copula knows nothing of them
    fit = fit_t_copula(np.exp(t_draws(nu=4.0, correlation=correlation, n=8_000, seed=seed) / 3.0))
    assert fit.method == FITTED
    assert abs(fit.nu - 4.0) < 3.0 * fit.nu_error
    assert fit.nu_error < 0.3
    # sine of tau: its error is at most pi / 2 times that of tau, below 1.1 / sqrt(n) here
    assert np.abs(fit.correlation - correlation).max() < 3.0 * 0.5 * np.pi * 1.1 / np.sqrt(8_000)


def test_normal_dependence_ends_at_the_bound_and_says_so() -> None:
    rng = np.random.default_rng(4)
    common = rng.standard_normal(4_000)
    fit = fit_t_copula(np.stack((common + rng.standard_normal(4_000), common + rng.standard_normal(4_000))))
    # the normal law is 1 / nu = 0: within three standard errors of the fit
    assert 1.0 / fit.nu < 3.0 * fit.nu_error / fit.nu**2
    # below: large moves of the first coin come with less of the second than under any elliptical law
    bound = fit_t_copula(np.stack((common, np.sign(common) * np.sqrt(np.abs(common)) + rng.standard_normal(4_000))))
    assert bound.nu > 0.99 * NU_BOUNDS[1]
    assert "bound" in bound.note


def test_fit_that_does_not_converge_takes_the_stated_nu() -> None:
    values = t_draws(nu=4.0, correlation=np.array([[1.0, 0.7], [0.7, 1.0]]), n=500, seed=1)
    fit = fit_t_copula(values, max_rounds=2)
    assert fit.nu == DEFAULT_NU
    assert "did not converge in 2 rounds" in fit.note


@pytest.mark.parametrize("values", [np.zeros((2, 50)), np.full((2, 500), np.nan)])
def test_fit_of_too_little_is_an_input_error(values: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"at least 100|NaN"):
        fit_t_copula(values)


@pytest.mark.parametrize("nu", [1.0, 2.5, 5.0, 100.0])
def test_table_of_tail_probabilities_is_accurate(nu: float) -> None:
    table = copula_paths.log_tail_table(nu)
    x = np.concatenate((np.linspace(0.0, 6.0, 300), np.geomspace(6.0, 1e5, 200)))
    exact = special.stdtr(nu, -x)
    found = np.array([copula_paths.tail_probability(value, table) for value in x])
    kept = exact > 1e-12
    assert found[kept] == pytest.approx(exact[kept], rel=1e-5)


def small_world(seed: int = 3) -> dict[str, np.ndarray]:
    """Two coins, 40 bars, tails of a fifth on each side, 30 steps of 200 paths."""
    rng = np.random.default_rng(seed)
    bars = np.concatenate(
        (np.sort(rng.standard_t(4, (2, 40)), axis=1)[:, :, None], rng.standard_exponential((2, 40, 3))), axis=2
    )
    tails = np.array([[[0.2, 0.9, 0.25, 0.5], [0.2, 0.8, 0.0, 0.6]], [[0.2, 1.0, -0.1, 0.4], [0.0] * 4]])
    return {
        "normals": rng.standard_normal((30, 2, 200)),
        "scale": np.sqrt(4.0 / rng.chisquare(4.0, (30, 200))),
        "root": np.array([[1.0, 0.0], [0.6, 0.8]]),
        "bars": bars,
        "tails": tails,
        "season": rng.uniform(0.5, 1.5, (30, 2)),
        "garch": np.array([[2e-6, 0.05, 0.03, 0.9, 5e-5, 0.05], [3e-6, 0.1, 0.0, 0.85, 9e-5, 0.2]]),
        "convexity": np.linspace(0.5, 0.8, 2 * 501).reshape(2, 501),
    }


def test_kernel_equals_its_plain_twin() -> None:
    world = small_world()
    head = (world["normals"], world["scale"], world["root"])
    rest = tuple(world[name] for name in ("bars", "tails", "season", "garch", "convexity"))
    fast = copula_paths.copula_bar_paths(*head, copula_paths.log_tail_table(4.0), *rest)
    slow = copula_paths_reference.copula_bar_paths(*head, 4.0, *rest)
    # the table of probabilities is good to 1e-5, a size in the tail to as much
    for quick, plain in zip(fast, slow, strict=True):
        assert quick == pytest.approx(plain, rel=2e-4, abs=1e-6)


def test_drawn_ranks_have_the_tau_and_the_joint_tails_of_the_copula() -> None:
    nu, rho, n = 3.0, 0.6, 400_000
    rng = np.random.default_rng(9)
    size = 1_000
    bars = np.zeros((2, size, 4))
    bars[:, :, 0] = (np.arange(size) + 0.5) / size  # the close of a bar is its rank
    closes = copula_paths.copula_bar_paths(
        rng.standard_normal((1, 2, n)), np.sqrt(nu / rng.chisquare(nu, (1, n))), np.array([[1.0, 0.0], [0.6, 0.8]]),
        copula_paths.log_tail_table(nu), bars, np.zeros((2, 2, 4)), np.ones((1, 2)),
        np.array([[1e-4, 0.0, 0.0, 0.0, 1e-4, 9.0]] * 2), np.zeros((2, 501)),
    )[0]  # fmt: skip
    u = closes[0] / 0.01
    # every rank alike
    for row in u:
        counts = np.bincount((row * size).astype(np.int64), minlength=size)
        assert stats.chisquare(counts).pvalue > 1e-4
    tau = float(stats.kendalltau(u[0, :100_000], u[1, :100_000]).statistic)
    # standard error of tau of n pairs: at most sqrt(2 (1 - tau^2) / n)
    assert abs(tau - kendall_tau(rho)) < 3.0 * math.sqrt(2.0 * (1.0 - tau**2) / 100_000)
    for level in (0.01, 0.05):
        expected = joint_exceedance(level, nu=nu, rho=rho)
        error = math.sqrt(expected * (1.0 - expected) / n)
        assert abs(float((u < level).all(axis=0).mean()) - expected) < 3.0 * error
        assert abs(float((u > 1.0 - level).all(axis=0).mean()) - expected) < 3.0 * error
    # at 1 % it is already far above the normal copula and near the closed form of the limit
    assert joint_exceedance(0.01, nu=nu, rho=rho) / 0.01 == pytest.approx(t_copula_tail_dependence(nu, rho), abs=0.05)


def test_drawn_bar_keeps_its_inside() -> None:
    world = small_world()
    world["tails"] = np.zeros((2, 2, 4))
    garch = np.array([[1e-4, 0.0, 0.0, 0.0, 1e-4, 9.0]] * 2)
    close, low, high, variance = copula_paths.copula_bar_paths(
        world["normals"], world["scale"], world["root"], copula_paths.log_tail_table(4.0), world["bars"],
        world["tails"], np.ones((30, 2)), garch, np.zeros((2, 501)),
    )  # fmt: skip
    start = np.zeros_like(close)
    start[1:] = close[:-1]
    for f in range(2):
        move = (close[:, f] - start[:, f]) / 0.01
        rank = np.abs(world["bars"][f, :, 0][:, None, None] - move).argmin(axis=0)
        bar = world["bars"][f][rank]
        below = (np.minimum(start[:, f], close[:, f]) - low[:, f]) / 0.01
        above = (high[:, f] - np.maximum(start[:, f], close[:, f])) / 0.01
        assert move == pytest.approx(bar[..., 0], abs=1e-9)
        assert below == pytest.approx(bar[..., 1], abs=1e-9)
        assert above == pytest.approx(bar[..., 2], abs=1e-9)
        assert variance[:, f] / 1e-4 == pytest.approx(bar[..., 3])


def test_spliced_margin_has_mean_0_and_variance_1() -> None:
    rng = np.random.default_rng(6)
    close = rng.standard_t(4, 20_000) / math.sqrt(2.0)
    margin = spliced_margin(close, np.ones(20_000))
    values, weights = margin.law()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert weights @ values == pytest.approx(0.0, abs=1e-6)
    # quadrature of a tail of shape near 1/4 against the closed form that scaled it
    assert weights @ values**2 == pytest.approx(1.0, abs=1e-5)
    # t with 4 degrees: shape 1/4; 1,000 exceedances give it to about (1 + 1/4) / sqrt(1000)
    assert np.abs(margin.tails[:, 2] - 0.25).max() < 3.0 * 1.25 / math.sqrt(1_000)
    assert not margin.notes


def test_spliced_margin_reaches_beyond_the_sample_and_meets_it_at_the_threshold() -> None:
    rng = np.random.default_rng(6)
    margin = spliced_margin(rng.standard_t(4, 5_000) / math.sqrt(2.0), np.ones(5_000))
    for side, end in ((0, 0), (1, -1)):
        share, threshold, _, _ = margin.tails[side]
        edge = round(share * 5_000)
        at_edge = margin.ordered[edge - 1 : edge + 1] if side == 0 else margin.ordered[-edge - 1 : 5_000 - edge + 1]
        assert np.abs(at_edge).min() <= threshold + 1e-9
        assert threshold - 1e-9 <= np.abs(at_edge).max()
        far = copula_paths_reference.pareto_size(np.array([1e-6]), margin.tails[side])
        assert far[0] > abs(margin.ordered[end])


def test_tail_too_heavy_for_a_variance_is_bounded_and_said() -> None:
    close = np.random.default_rng(1).standard_cauchy(4_000)
    margin = spliced_margin(close, np.ones(4_000))
    assert (margin.tails[:, 2] == SHAPE_BOUNDS[1]).all()
    assert len(margin.notes) == 2
    assert all("bound used" in note for note in margin.notes)


def test_pegged_coin_has_no_tail_to_scale_and_says_so() -> None:
    rng = np.random.default_rng(1)
    close = np.where(rng.random(4_000) < 0.97, 0.0, rng.standard_normal(4_000))
    margin = spliced_margin(close, np.ones(4_000))
    assert (margin.tails[:, 0] == 0.0).all()
    values, weights = margin.law()
    assert weights @ values**2 == pytest.approx(1.0)
    assert all("as seen" in note for note in margin.notes)


def test_law_of_the_pareto_tail_is_drawn(generator: TCopula) -> None:
    # first step: sigma is the same on all paths, so that the moves over it are draws of the margin
    n = 400_000
    block = generator.block(seed=7, number=0, n_steps=1, n_paths=n)
    for f in range(2):
        sigma = math.sqrt(generator._garch[f, 4]) * generator._source.seasons(1)[0, f]
        drift = np.interp(sigma, np.arange(501) * 0.001, generator._convexity[f]) * sigma**2
        z = (block.close_log[0, f] + drift) / sigma
        for probability in (0.02, 0.002, 0.0002):
            for side, size in ((0, -z), (1, z)):
                level = copula_paths_reference.pareto_size(np.array([probability]), generator._tails[f, side])[0]
                error = math.sqrt(probability / n)
                assert abs(float((size > level).mean()) - probability) < 3.5 * error


def test_info_says_what_was_fitted(generator: TCopula) -> None:
    info = generator.info
    assert info.method == "t-copula"
    # t5 innovations shared by both coins
    assert abs(generator.copula.nu - 5.0) < 4.0 * generator.copula.nu_error
    assert info.params["nu"].startswith(f"{generator.copula.nu:.4g} (maximum likelihood")
    assert "shape" in info.params["tails.BTC"]
    assert float(info.params["tail_dependence"].split(" to ")[0]) == pytest.approx(
        t_copula_tail_dependence(generator.copula.nu, info.correlation[0, 1]), abs=5e-4
    )


def test_generator_without_convergence_says_which_nu_it_took() -> None:
    found = TCopula.fit(history_of_two_clustered_coins(n_bars=1_700), ["BTC", "ETH"], max_rounds=2)
    assert found.copula.nu == DEFAULT_NU
    assert any("nu 4 was taken by default" in text and "converge" in text for text in found.info.warnings)


def test_one_coin_needs_no_copula() -> None:
    found = TCopula.fit(history_of_two_clustered_coins(n_bars=1_700), ["BTC"])
    assert found.info.params["nu"] == "4 (not needed)"
    assert found.info.warnings == ()
    assert np.isfinite(found.block(seed=1, number=0, n_steps=5, n_paths=100).close_log).all()


def shortened(history: History, name: str, first: int) -> History:
    late = history.factors[name]
    cut = {part: getattr(late, part)[first:] for part in ("open", "high", "low", "close")}
    late = replace(late, start_utc_ns=START_UTC_NS + first * HOUR_NS, **cut)
    return History(factors={**history.factors, name: late}, step_s=3_600, sha256="x")


def test_coin_that_starts_in_the_middle_is_named_with_what_is_needed() -> None:
    history = shortened(history_of_two_clustered_coins(), "ETH", 2_000)
    with pytest.raises(
        InputError,
        match=r"999 joint bars of BTC, ETH; .*ETH 1000 from 2025-03-30T08:00:00Z; allowed: at least 1500 bars",
    ):
        TCopula.fit(history, ["BTC", "ETH"])


def test_coin_that_cuts_the_others_short_is_a_warning() -> None:
    found = TCopula.fit(shortened(history_of_two_clustered_coins(), "ETH", 1_000), ["BTC", "ETH"])
    assert any("ETH has 2000 bars from 2025-02-16T16:00:00Z" in text for text in found.info.warnings)


def still_from(history: History, first: int) -> History:
    bars = history.factors["BTC"]
    parts = {part: getattr(bars, part).copy() for part in ("open", "high", "low", "close")}
    for values in parts.values():
        values[first:] = bars.close[first - 1]
    return History(factors={"BTC": replace(bars, **parts)}, step_s=3_600, sha256="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (history_of_one_constant_coin, "USDX: the close never moved over"),
        (
            lambda: still_from(history_of_two_clustered_coins(), 2_000),
            "BTC: the close never moved in the last 900 bars",
        ),
    ],
)
def test_constant_prices_are_an_input_error(make: Callable[[], History], message: str) -> None:
    history = make()
    with pytest.raises(InputError, match=message):
        TCopula.fit(history, list(history.factors), window_bars=900)
