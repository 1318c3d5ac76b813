"""Jump diffusions against published values and closed forms; the generator within three standard errors of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student_t

from margincover.errors import InputError
from margincover.numeric import kou_first_passage
from margincover.numeric.first_passage import BrownianLaw, touch_probability
from margincover.numeric.jump_laws import DoubleExponentialJumps, NormalJumps
from margincover.numeric.kou_first_passage import KouLaw
from margincover.numeric.students_t import mixing_scale_squared
from margincover.pricing.jump_calls import JumpDiffusionLaw, call_price
from margincover.scenarios.jumps import JumpClock, JumpDiffusion

YEAR = 365 * 86_400
KOU_JUMPS = DoubleExponentialJumps(up_probability=0.4, up_rate=10.0, down_rate=5.0)
# Kou and Wang (2003), numerical table: mu 0.1, sigma 0.2, lambda 3, p 0.5, mean jumps 0.02 up and 0.03 down.
KOU_WANG = KouLaw(
    log_drift_annual=0.1, sigma_annual=0.2, jumps_per_year=3.0, up_probability=0.5, up_rate=50.0, down_rate=100.0 / 3.0
)
# Haug's table: a quarter of the total variance (volatility 25 %) is jumps of mean one. (strike, years, jumps a year).
HAUG = (
    (80.0, 0.10, 1.0, 20.67),
    (80.0, 0.50, 1.0, 23.63),
    (90.0, 0.25, 5.0, 12.75),
    (100.0, 0.10, 1.0, 3.42),
    (100.0, 0.25, 5.0, 5.96),
    (110.0, 0.25, 1.0, 2.11),
)


def haug_law(jumps_per_year: float) -> JumpDiffusionLaw:
    variance = 0.25 * 0.25**2 / jumps_per_year
    return JumpDiffusionLaw(
        sigma_annual=math.sqrt(0.75) * 0.25,
        jumps_per_year=jumps_per_year,
        jumps=NormalJumps(mean=-0.5 * variance, deviation=math.sqrt(variance)),
    )


def one_coin(law: JumpDiffusionLaw, *, step_s: int, drift: float | None = None) -> JumpDiffusion:
    return JumpDiffusion(
        factors=("X",),
        sigma_annual=[law.sigma_annual],
        correlation=[[1.0]],
        step_s=step_s,
        systemic=JumpClock(per_year=law.jumps_per_year, sizes=law.jumps),
        beta=[1.0],
        own=[JumpClock(per_year=0.0, sizes=law.jumps)],
        drift_annual=None if drift is None else [drift],
    )


def within_three_errors(values: np.ndarray, expected: float) -> bool:
    return abs(values.mean() - expected) < 3.0 * values.std() / math.sqrt(values.size)


@pytest.mark.parametrize(("strike", "years", "jumps", "published"), HAUG)
def test_merton_calls_of_haugs_table(strike, years, jumps, published):
    found = call_price(haug_law(jumps), spot=100.0, strike=strike, years=years, interest_per_year=0.08)
    assert found == pytest.approx(published, abs=0.006)


def test_merton_call_is_the_poisson_sum_of_black_scholes_calls():
    # Merton (1976): given n jumps the log price is normal.
    from margincover.pricing import black76

    law, years, rate = haug_law(5.0), 0.25, 0.08
    expected = 0.0
    for n in range(60):
        chance = math.exp(-5.0 * years) * (5.0 * years) ** n / math.factorial(n)
        variance = law.sigma_annual**2 + n * law.jumps.deviation**2 / years
        expected += chance * float(
            black76.price(
                forward=100.0 * math.exp(rate * years),
                strike=100.0,
                years=years,
                volatility=math.sqrt(variance),
                is_call=True,
                discount=math.exp(-rate * years),
            )
        )
    found = call_price(law, spot=100.0, strike=100.0, years=years, interest_per_year=rate)
    assert found == pytest.approx(expected, rel=1e-10)


def test_kou_call_of_2002():
    # Kou (2002), section 5: S 100, K 98, r 5 %, sigma 16 %, T 0.5, lambda 1, p 0.4, eta 10 and 5.
    law = JumpDiffusionLaw(sigma_annual=0.16, jumps_per_year=1.0, jumps=KOU_JUMPS)
    found = call_price(law, spot=100.0, strike=98.0, years=0.5, interest_per_year=0.05)
    assert found == pytest.approx(9.14732, abs=5e-6)


@pytest.mark.parametrize(
    "law", [haug_law(5.0), JumpDiffusionLaw(sigma_annual=0.16, jumps_per_year=1.0, jumps=KOU_JUMPS)]
)
def test_simulated_calls_meet_the_closed_form(law):
    # interest 0: the generator's price is a martingale
    generator = one_coin(law, step_s=YEAR // 8)
    end = np.concatenate(
        [generator.block(seed=9, number=n, n_steps=4, n_paths=20_000).close_log[-1, 0] for n in range(10)]
    )
    expected = call_price(law, spot=100.0, strike=98.0, years=0.5)
    assert within_three_errors(np.maximum(100.0 * np.exp(end) - 98.0, 0.0), expected)


def test_kou_wang_first_passage():
    found = kou_first_passage.touch_probability(KOU_WANG, log_barrier=0.3, horizon_years=1.0)
    assert found == pytest.approx(0.25584, abs=6e-6)


def test_stehfest_weights_invert_a_known_transform():
    # 1 / (a + 1) is the transform of exp(-t); the rational weights sum to 0 and invert it to eight digits at 24 terms
    weights = kou_first_passage.stehfest_weights(24)
    assert sum(weights) == 0
    rate = math.log(2.0) / 1.5
    from fractions import Fraction

    exact = sum(weight / (Fraction(k) * Fraction(rate) + 1) for k, weight in enumerate(weights, start=1))
    assert float(exact * Fraction(rate)) == pytest.approx(math.exp(-1.5), rel=1e-7)


def test_first_passage_with_hardly_any_jump_is_that_of_brownian_motion():
    law = KouLaw(
        log_drift_annual=-0.2, sigma_annual=0.6, jumps_per_year=1e-9, up_probability=0.5, up_rate=30.0, down_rate=20.0
    )
    brownian = BrownianLaw(sigma_annual=0.6, horizon_years=0.1, log_drift_annual=-0.2)
    for barrier in (-0.3, 0.3):
        found = kou_first_passage.touch_probability(law, log_barrier=barrier, horizon_years=0.1)
        assert found == pytest.approx(touch_probability(brownian, log_barrier=barrier), rel=1e-6)


@pytest.mark.parametrize("barrier", [0.3, -0.25])
def test_simulated_first_passage_meets_kou_and_wang_on_a_coarse_grid(barrier):
    # Ten steps a year and three jumps a year: steps hold none, one and several jumps, and the passage is exact.
    jumps = DoubleExponentialJumps(up_probability=0.5, up_rate=50.0, down_rate=100.0 / 3.0)
    law = JumpDiffusionLaw(sigma_annual=0.2, jumps_per_year=3.0, jumps=jumps)
    generator = one_coin(law, step_s=YEAR // 10, drift=0.1)
    hits = []
    for number in range(20):
        block = generator.block(seed=3, number=number, n_steps=10, n_paths=10_000)
        hits.append(block.high_log[:, 0].max(0) >= barrier if barrier > 0 else block.low_log[:, 0].min(0) <= barrier)
    expected = kou_first_passage.touch_probability(KOU_WANG, log_barrier=barrier, horizon_years=1.0)
    assert within_three_errors(np.concatenate(hits).astype(float), expected)


def test_student_t_mixture_meets_the_quantile_and_the_mean_beyond_it():
    # t with 4 degrees of freedom, unit variance: ES = pdf(q) / a x (nu + q^2) / (nu - 1) x sqrt((nu - 2) / nu).
    nu, tail, n = 4.0, 0.01, 400_000
    rng = np.random.default_rng(12)
    scale = np.sqrt(mixing_scale_squared(rng, nu=nu, max_scale=1e6, shape=(1, n))[0])
    loss = -scale * rng.standard_normal(n)
    q = float(student_t.ppf(1.0 - tail, nu))
    unit = math.sqrt((nu - 2.0) / nu)
    assert within_three_errors((loss > q * unit).astype(float), tail)
    expected = float(student_t.pdf(q, nu)) / tail * (nu + q**2) / (nu - 1.0) * unit
    beyond = q * unit + np.maximum(loss - q * unit, 0.0) / tail
    assert within_three_errors(beyond, expected)


@pytest.mark.parametrize("bad", [{"up_probability": 0.0}, {"sigma_annual": 0.0}, {"up_rate": -1.0}])
def test_impossible_kou_law_is_an_input_error(bad):
    figures = {
        "log_drift_annual": 0.0,
        "sigma_annual": 0.2,
        "jumps_per_year": 3.0,
        "up_probability": 0.5,
        "up_rate": 50.0,
        "down_rate": 30.0,
    }
    with pytest.raises(InputError, match=next(iter(bad))):
        KouLaw(**{**figures, **bad})


def test_jumps_without_a_mean_price_are_an_input_error():
    with pytest.raises(InputError, match="infinite"):
        JumpDiffusionLaw(
            sigma_annual=0.2,
            jumps_per_year=1.0,
            jumps=DoubleExponentialJumps(up_probability=0.5, up_rate=0.9, down_rate=5.0),
        )
