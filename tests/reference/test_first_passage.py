"""Closed forms of path extremes against known figures, numerical integration and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtri

from margincover.errors import InputError
from margincover.numeric.first_passage import (
    BGK_BETA,
    BrownianLaw,
    Contract,
    Extreme,
    extreme_quantile,
    minimum_exponential_tail,
    required_coverage,
    touch_probability,
)
from margincover.scenarios.brownian import GeometricBrownian

TEN_DAYS = 10 / 365
# sigma 80 %, price without drift: log drift -sigma^2 / 2
MARTINGALE = BrownianLaw(sigma_annual=0.8, horizon_years=TEN_DAYS, log_drift_annual=-0.32)


def test_linear_long_at_80_percent_over_10_days() -> None:
    # Identity known to four digits from independent computations: 29.81 % and 32.64 % of notional.
    found = required_coverage(MARTINGALE, contract=Contract.LINEAR_LONG, maintenance_fraction=0.005, tolerance=0.01)
    assert found.rc == pytest.approx(0.2981, abs=5e-5)
    assert found.rces == pytest.approx(0.3264, abs=5e-5)


def test_five_times_long_is_liquidated_with_11_08_percent() -> None:
    # P* = (1 - 0.2) / (1 - 0.005) times the entry price
    found = touch_probability(MARTINGALE, log_barrier=math.log(0.8 / 0.995))
    assert found == pytest.approx(0.1108, abs=5e-5)


@pytest.mark.parametrize(("tail", "ratio"), [(0.05, 1.191573), (0.01, 1.107242), (0.001, 1.064815)])
def test_driftless_path_quantile_over_terminal_quantile(tail: float, ratio: float) -> None:
    # Reflection: P(min <= b) = 2 Phi(b / s), so the ratio is z(tail / 2) / z(tail).
    # Boudoukh, Richardson, Stanton, Whitelaw (2004), MaxVaR.
    law = BrownianLaw(sigma_annual=0.8, horizon_years=TEN_DAYS)
    found = extreme_quantile(law, tail=tail, extreme=Extreme.MINIMUM) / law.deviation / ndtri(tail)
    assert found == pytest.approx(ratio, abs=5e-7)
    assert found == pytest.approx(ndtri(tail / 2) / ndtri(tail), rel=1e-12)


def test_barrier_shift_constant_is_minus_zeta_of_one_half_over_root_two_pi() -> None:
    # zeta(1/2) = eta(1/2) / (1 - 2^(1/2)); the alternating series for eta by Euler's transform (repeated averages)
    sums = np.cumsum([(-1) ** k / math.sqrt(k + 1) for k in range(60)])
    while sums.size > 1:
        sums = 0.5 * (sums[1:] + sums[:-1])
    zeta = float(sums[0]) / (1.0 - math.sqrt(2.0))
    assert pytest.approx(-zeta / math.sqrt(2.0 * math.pi), rel=1e-13) == BGK_BETA


def test_shortfalls_of_all_contracts_by_integrating_their_quantiles() -> None:
    # RCES = (1 / a) x integral of the quantile over the tail, taken from the definition and not by parts.
    tolerance, m, equity = 0.01, 0.005, 0.1
    low = lambda u: extreme_quantile(MARTINGALE, tail=u, extreme=Extreme.MINIMUM)  # noqa: E731
    high = lambda u: extreme_quantile(MARTINGALE, tail=u, extreme=Extreme.MAXIMUM)  # noqa: E731
    shortfall = {
        Contract.LINEAR_LONG: lambda u: 1 - equity - (1 - m) * math.exp(low(u)),
        Contract.LINEAR_SHORT: lambda u: (1 + m) * math.exp(high(u)) - 1 - equity,
        Contract.INVERSE_LONG: lambda u: (1 + m) * math.exp(-low(u)) - 1 - equity,
        Contract.INVERSE_SHORT: lambda u: 1 - equity - (1 - m) * math.exp(-high(u)),
    }
    for contract, quantile in shortfall.items():
        found = required_coverage(
            MARTINGALE, contract=contract, maintenance_fraction=m, tolerance=tolerance, equity_fraction=equity
        )
        assert found.rc == pytest.approx(quantile(tolerance), rel=1e-12)
        expected, _ = quad(quantile, 0.0, tolerance, epsabs=1e-11)
        assert found.rces == pytest.approx(expected / tolerance, rel=1e-6)
        assert found.rces > found.rc


def test_liquidation_probability_is_the_tolerance_at_the_required_equity() -> None:
    found = required_coverage(MARTINGALE, contract=Contract.INVERSE_LONG, maintenance_fraction=0.01, tolerance=0.02)
    # inverse long with equity rc in coin: (1 + m) / P = 1 + rc
    barrier = math.log(1.01 / (1.0 + found.rc))
    assert touch_probability(MARTINGALE, log_barrier=barrier) == pytest.approx(0.02, rel=1e-10)


@pytest.mark.parametrize("drift", [-0.32, 0.0, 0.5])
def test_exponential_tail_against_numerical_integration(drift: float) -> None:
    law = BrownianLaw(sigma_annual=0.8, horizon_years=TEN_DAYS, log_drift_annual=drift)
    level = extreme_quantile(law, tail=0.05, extreme=Extreme.MINIMUM)
    for power in (1.0, -1.0):
        inner, _ = quad(lambda x: math.exp(power * x) * touch_probability(law, log_barrier=x), -3.0, level)  # noqa: B023
        expected = math.exp(power * level) * 0.05 - power * inner
        assert minimum_exponential_tail(law, power=power, level=level) == pytest.approx(expected, rel=1e-8)


def test_tiny_volatility_with_drift_does_not_overflow() -> None:
    # exp(2 nu b / sigma^2) alone would be exp(100,000); the drift carries the path through the barrier for sure
    law = BrownianLaw(sigma_annual=1e-3, horizon_years=1.0, log_drift_annual=-0.5)
    assert touch_probability(law, log_barrier=-0.1) == pytest.approx(1.0, abs=1e-12)
    away = BrownianLaw(sigma_annual=1e-3, horizon_years=1.0, log_drift_annual=0.5)
    assert touch_probability(away, log_barrier=-0.1) == 0.0


def test_upper_barrier_mirrors_the_lower() -> None:
    assert touch_probability(MARTINGALE, log_barrier=0.2) == touch_probability(MARTINGALE.mirrored(), log_barrier=-0.2)
    assert touch_probability(MARTINGALE, log_barrier=0.0) == 1.0


@pytest.mark.parametrize("bad", [{"sigma_annual": 0.0}, {"horizon_years": -1.0}, {"log_drift_annual": math.nan}])
def test_impossible_law_is_an_input_error(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        BrownianLaw(**{"sigma_annual": 0.8, "horizon_years": 1.0, **bad})


def test_bridge_on_a_daily_grid_meets_the_closed_form() -> None:
    # 200,000 paths, ten daily steps, sigma 80 %: both barriers within 3 standard errors; the closes alone miss.
    generator = GeometricBrownian(factors=["BTC"], sigma_annual=[0.8], correlation=[[1.0]], step_s=86_400)
    n_blocks, n_paths = 20, 10_000
    low, high, close = (np.empty(n_blocks * n_paths) for _ in range(3))
    for number in range(n_blocks):
        block = generator.block(seed=17, number=number, n_steps=10, n_paths=n_paths)
        part = slice(number * n_paths, (number + 1) * n_paths)
        low[part] = block.low_log[:, 0].min(axis=0)
        high[part] = block.high_log[:, 0].max(axis=0)
        close[part] = block.close_log[:, 0].min(axis=0)
    down, up = math.log(0.8 / 0.995), math.log(1.2 / 1.005)
    for hits, barrier in ((low <= down, down), (high >= up, up)):
        exact = touch_probability(MARTINGALE, log_barrier=barrier)
        error = math.sqrt(exact * (1.0 - exact) / low.size)
        assert abs(hits.mean() - exact) < 3.0 * error
    # monitoring at closes only misses nearly three touches in ten (7.95 % against 11.08 %)
    assert (close <= down).mean() == pytest.approx(0.0795, abs=0.003)
    rc = required_coverage(MARTINGALE, contract=Contract.LINEAR_LONG, maintenance_fraction=0.005, tolerance=0.01).rc
    assert 1.0 - 0.995 * math.exp(np.quantile(low, 0.01)) == pytest.approx(rc, abs=0.003)
