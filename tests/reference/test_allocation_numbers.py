"""Published optima: the CVaR portfolio of Rockafellar and Uryasev (2000) and the farmer of Birge and Louveaux."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse, stats
from scipy.stats import qmc

from margincover.numeric.lp import INFINITY, LinearProgramme
from margincover.numeric.lp_cuts import ConvexProgramme, ConvexTerm, CutSettings, minimise
from margincover.numeric.lp_tail import tail_mass
from margincover.numeric.lp_two_stage import Scenario, TwoStage, information_value, solve_l_shaped, solve_whole

# Rockafellar, Uryasev (2000), Optimization of conditional value-at-risk, J. Risk 2(3):21-41, normal example: S&P 500,
# government bonds, small caps; minimum mean 0.011.
MEAN = np.array([0.010111, 0.0043532, 0.0137058])
COVARIANCE = np.array(
    [[0.00324625, 0.00022983, 0.00420395], [0.00022983, 0.00049937, 0.00019247], [0.00420395, 0.00019247, 0.00764097]]
)
LEAST_MEAN = 0.011
WEIGHTS = np.array([0.452013, 0.115573, 0.432414])
VARIANCE = 0.00378529
# Confidence -> (VaR, CVaR), the paper's table for the minimum-variance portfolio.
VAR_CVAR = {0.90: (0.067847, 0.096975), 0.95: (0.090200, 0.115908), 0.99: (0.132128, 0.152977)}


def portfolio_programme() -> LinearProgramme:
    return LinearProgramme(
        cost=np.zeros(3),
        lower=np.zeros(3),
        upper=np.ones(3),
        matrix=sparse.csr_matrix(np.vstack([np.ones(3), MEAN])),
        row_lower=np.array([1.0, LEAST_MEAN]),
        row_upper=np.array([1.0, INFINITY]),
    )


def normal_cvar(confidence: float):
    """CVaR of a normal portfolio as a convex function with its slope: -mean + k * deviation."""
    tail = 1.0 - confidence
    factor = float(stats.norm.pdf(stats.norm.ppf(confidence))) / tail

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        deviation = float(np.sqrt(x @ COVARIANCE @ x))
        return -float(MEAN @ x) + factor * deviation, -MEAN + factor * (COVARIANCE @ x) / deviation

    return evaluate


def test_minimum_cvar_weights_of_the_normal_example() -> None:
    # For normal returns with the mean constraint binding, minimum CVaR and minimum variance are the same portfolio.
    term = ConvexTerm(function=normal_cvar(0.95), floor=-1.0)
    found = minimise(
        ConvexProgramme(linear=portfolio_programme(), terms=(term,)),
        CutSettings(gap=1e-11, feasibility=1e-13, max_rounds=150),
    )
    assert found.x == pytest.approx(WEIGHTS, abs=5e-6)
    assert float(found.x @ COVARIANCE @ found.x) == pytest.approx(VARIANCE, rel=1e-5)


@pytest.mark.parametrize("confidence", sorted(VAR_CVAR))
def test_var_and_cvar_of_the_normal_example(confidence: float) -> None:
    var, cvar = VAR_CVAR[confidence]
    assert normal_cvar(confidence)(WEIGHTS)[0] == pytest.approx(cvar, rel=1e-4)
    deviation = float(np.sqrt(WEIGHTS @ COVARIANCE @ WEIGHTS))
    assert -float(MEAN @ WEIGHTS) + float(stats.norm.ppf(confidence)) * deviation == pytest.approx(var, rel=1e-4)


@pytest.mark.parametrize("confidence", sorted(VAR_CVAR))
def test_minimum_cvar_on_8192_sobol_points_is_within_half_a_percent(confidence: float) -> None:
    points = qmc.Sobol(3, scramble=True, rng=np.random.default_rng(7)).random_base2(13)
    losses = -(MEAN + stats.norm.ppf(points) @ np.linalg.cholesky(COVARIANCE).T)

    def sample_cvar(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, paths, mass = tail_mass(losses @ x, None, 1.0 - confidence)
        return value, mass @ losses[paths]

    term = ConvexTerm(function=sample_cvar, floor=-1.0)
    found = minimise(ConvexProgramme(linear=portfolio_programme(), terms=(term,)))
    assert found.objective == pytest.approx(VAR_CVAR[confidence][1], rel=0.005)
    # The optimum of these points is at most the paper's weights; those, rounded to six digits, miss the mean by 1e-8.
    assert found.objective <= sample_cvar(WEIGHTS)[0] * (1.0 + 1e-6)


def farmer() -> TwoStage:
    """The farmer of Birge and Louveaux, Introduction to Stochastic Programming, ch. 1.1.

    Yields 2.5, 3, 20 t per acre times 0.8, 1 or 1.2; planting 150, 230, 260 per acre; 200 t wheat and 240 t corn are
    needed as feed, bought at 238 and 210, sold at 170 and 150; beets at 36 up to 6000 t, at 10 beyond.
    """
    first = LinearProgramme(
        cost=np.array([150.0, 230.0, 260.0]),
        lower=np.zeros(3),
        upper=np.full(3, INFINITY),
        matrix=sparse.csr_matrix(np.ones((1, 3))),
        row_lower=np.array([-INFINITY]),
        row_upper=np.array([500.0]),
    )
    trade = np.array([[1.0, 0, -1, 0, 0, 0], [0, 1.0, 0, -1, 0, 0], [0, 0, 0, 0, -1, -1]])
    stage = LinearProgramme(
        cost=np.array([238.0, 210.0, -170.0, -150.0, -36.0, -10.0]),
        lower=np.zeros(6),
        upper=np.array([INFINITY, INFINITY, INFINITY, INFINITY, 6000.0, INFINITY]),
        matrix=sparse.csr_matrix(trade),
        row_lower=np.array([200.0, 240.0, 0.0]),
        row_upper=np.full(3, INFINITY),
    )
    scenarios = tuple(
        Scenario(probability=1 / 3, technology=sparse.csr_matrix(np.diag([2.5, 3.0, 20.0]) * factor), stage=stage)
        for factor in (0.8, 1.0, 1.2)
    )
    return TwoStage(first=first, scenarios=scenarios)


def test_farmer_plants_170_80_250_acres_for_a_profit_of_108390() -> None:
    for found in (solve_l_shaped(farmer()), solve_whole(farmer())):
        assert found.objective == pytest.approx(-108_390.0, abs=0.5)
        assert found.x[:3] == pytest.approx([170.0, 80.0, 250.0], abs=1e-4)


def test_farmer_information_and_model_are_worth_7016_and_1150() -> None:
    value = information_value(farmer())
    assert value.wait_and_see == pytest.approx(-115_406.0, abs=0.5)
    assert value.evpi == pytest.approx(7_016.0, abs=0.5)
    assert value.vss == pytest.approx(1_150.0, abs=0.5)


def test_farmer_decision_is_a_minimum_of_the_expected_cost() -> None:
    # Without the linear solver: a direct search on the profit by hand-written sales, started at the published answer.
    def cost(acres: np.ndarray) -> float:
        if acres.min() < 0.0 or acres.sum() > 500.0 + 1e-9:
            return 1e9
        total = float(acres @ [150.0, 230.0, 260.0])
        for factor in (0.8, 1.0, 1.2):
            wheat, corn, beets = acres * [2.5, 3.0, 20.0] * factor
            total += (238.0 * max(200.0 - wheat, 0.0) - 170.0 * max(wheat - 200.0, 0.0)) / 3.0
            total += (210.0 * max(240.0 - corn, 0.0) - 150.0 * max(corn - 240.0, 0.0)) / 3.0
            total -= (36.0 * min(beets, 6000.0) + 10.0 * max(beets - 6000.0, 0.0)) / 3.0
        return total

    start = np.array([170.0, 80.0, 250.0])
    assert cost(start) == pytest.approx(-108_390.0, abs=0.5)
    better = optimize.minimize(cost, start, method="Nelder-Mead")
    assert better.fun >= -108_390.5
