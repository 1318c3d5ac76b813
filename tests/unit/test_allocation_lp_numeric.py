"""The solver's door, cutting planes, tail weights, two-stage programmes, the conflict filter."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import optimize, sparse

from margincover.errors import InputError
from margincover.numeric.lp import (
    INFINITY,
    InfeasibleError,
    LinearProgramme,
    UnboundedError,
    solve_linear,
)
from margincover.numeric.lp_conflict import minimal_conflict
from margincover.numeric.lp_cuts import ConvexLimit, ConvexProgramme, ConvexTerm, minimise
from margincover.numeric.lp_tail import tail_mass
from margincover.numeric.lp_two_stage import Scenario, TwoStage, solve_l_shaped, solve_whole
from margincover.numeric.quantile import expected_shortfall


def box(cost: list[float], *, lower: float = 0.0, upper: float = 10.0) -> LinearProgramme:
    count = len(cost)
    return LinearProgramme(
        cost=np.array(cost),
        lower=np.full(count, lower),
        upper=np.full(count, upper),
        matrix=sparse.csr_matrix((0, count)),
        row_lower=np.zeros(0),
        row_upper=np.zeros(0),
    )


def random_programme(seed: int) -> LinearProgramme:
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((6, 8))
    inside = rng.uniform(0.0, 1.0, 8)
    return LinearProgramme(
        cost=rng.standard_normal(8),
        lower=np.zeros(8),
        upper=np.full(8, 3.0),
        matrix=sparse.csr_matrix(matrix),
        row_lower=np.full(6, -INFINITY),
        row_upper=matrix @ inside + rng.uniform(0.0, 1.0, 6),
    )


@pytest.mark.parametrize("seed", range(20))
def test_linear_answer_equals_scipy(seed: int) -> None:
    programme = random_programme(seed)
    theirs = optimize.linprog(
        programme.cost, A_ub=programme.matrix.toarray(), b_ub=programme.row_upper, bounds=(0.0, 3.0), method="highs-ipm"
    )
    ours = solve_linear(programme)
    assert ours.objective == pytest.approx(theirs.fun, abs=1e-8)
    # Strong duality, computed by hand: rows at their bound plus columns at theirs make up the objective.
    dual = float(ours.row_dual @ programme.row_upper + np.minimum(ours.reduced_cost, 0.0) @ programme.upper)
    assert dual == pytest.approx(ours.objective, abs=1e-8)


def test_impossible_and_endless_programmes_raise() -> None:
    row = LinearProgramme(
        cost=np.ones(1),
        lower=np.zeros(1),
        upper=np.ones(1),
        matrix=sparse.csr_matrix(np.ones((1, 1))),
        row_lower=np.array([2.0]),
        row_upper=np.array([3.0]),
    )
    with pytest.raises(InfeasibleError):
        solve_linear(row)
    with pytest.raises(UnboundedError):
        solve_linear(box([-1.0], upper=INFINITY))


def test_nan_in_a_programme_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        box([np.nan])


def test_solver_prints_nothing() -> None:
    code = "import numpy as np; from tests.unit.test_allocation_lp_numeric import box; "
    code += "from margincover.numeric.lp import solve_linear; solve_linear(box([1.0]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ""


def test_cutting_planes_find_the_foot_of_a_disc() -> None:
    # min x + y on (x - 3)^2 + (y - 3)^2 <= 1: the point 3 - 1/sqrt(2) in both.
    def disc(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(((x - 3.0) ** 2).sum()) - 1.0, 2.0 * (x - 3.0)

    found = minimise(ConvexProgramme(linear=box([1.0, 1.0]), limits=(ConvexLimit(name="disc", function=disc),)))
    assert found.x == pytest.approx([3.0 - 0.5**0.5] * 2, abs=1e-3)
    assert found.objective == pytest.approx(6.0 - 2.0**0.5, rel=1e-6)
    assert found.bound <= 6.0 - 2.0**0.5 + 1e-9
    # d optimum / d level of a disc of squared radius 1 + t: sqrt(2) * sqrt(1 + t), slope 1 / sqrt(2).
    assert found.limit_dual[0] == pytest.approx(0.5**0.5, rel=1e-2)


def test_cutting_planes_prove_infeasibility() -> None:
    def far(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(20.0 - x[0]), np.array([-1.0])

    with pytest.raises(InfeasibleError, match=r"far cannot be met.* 10"):
        minimise(ConvexProgramme(linear=box([1.0]), limits=(ConvexLimit(name="far", function=far),)))


def test_convex_term_is_minimised() -> None:
    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float((x[0] - 4.0) ** 2), np.array([2.0 * (x[0] - 4.0)])

    # x + (x - 4)^2 is least at 3.5 with 3.75.
    found = minimise(ConvexProgramme(linear=box([1.0]), terms=(ConvexTerm(function=bowl),)))
    assert found.objective == pytest.approx(3.75, rel=1e-6)


@pytest.mark.parametrize("tail", [0.013, 0.05, 0.5, 1.0])
def test_tail_mass_equals_the_plain_estimator_with_and_without_weights(tail: float) -> None:
    values = np.random.default_rng(1).standard_normal(500)
    expected = float(values.mean()) if tail == 1.0 else expected_shortfall(values, tail)
    for probability in (None, np.full(500, 1.0 / 500)):
        value, paths, weights = tail_mass(values, probability, tail)
        assert value == pytest.approx(expected, abs=1e-12)
        assert weights.sum() == pytest.approx(1.0)
        assert float(weights @ values[paths]) == pytest.approx(value)


def test_vanishing_tail_is_the_worst_path() -> None:
    values = np.array([1.0, 9.0, 4.0])
    for probability in (None, np.array([0.5, 0.2, 0.3])):
        assert tail_mass(values, probability, 1e-300)[0] == 9.0


@pytest.mark.parametrize("seed", range(10))
def test_l_shaped_equals_the_whole_programme(seed: int) -> None:
    # Newsvendor with random demand, price and several goods: complete recourse by buying late at a high price.
    rng = np.random.default_rng(seed)
    scenarios = []
    probability = rng.dirichlet(np.ones(12))
    for share in probability:
        stage = LinearProgramme(
            cost=np.append(rng.uniform(2.0, 4.0, 3), -rng.uniform(0.0, 0.5, 3)),
            lower=np.zeros(6),
            upper=np.full(6, INFINITY),
            matrix=sparse.csr_matrix(np.hstack([np.eye(3), -np.eye(3)])),
            row_lower=rng.uniform(1.0, 5.0, 3),
            row_upper=np.full(3, INFINITY),
        )
        technology = sparse.csr_matrix(np.diag(rng.uniform(0.5, 1.0, 3)))
        scenarios.append(Scenario(probability=float(share), technology=technology, stage=stage))
    problem = TwoStage(first=box([1.0, 1.2, 0.9]), scenarios=tuple(scenarios))
    assert solve_l_shaped(problem).objective == pytest.approx(solve_whole(problem).objective, rel=1e-6)


def test_conflict_filter_finds_the_only_minimal_set() -> None:
    names = ["a", "b", "c", "d"]
    assert minimal_conflict(names, lambda kept: not {"b", "d"} <= kept) == ("b", "d")
    with pytest.raises(InputError, match="can all be met"):
        minimal_conflict(names, lambda kept: True)
