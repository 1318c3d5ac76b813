"""Two-stage stochastic linear programmes: whole, decomposed (L-shaped), and what information is worth.

Minimise c . x + sum over s of p_s Q_s(x), x within the first stage; Q_s(x) = min q_s . y with
row_lower_s <= T_s x + W_s y <= row_upper_s and bounds on y. Costs are minimised: a profit enters with a minus.

References: Van Slyke and Wets (1969), doi:10.1137/0117061; Birge and Louveaux (1988), doi:10.1016/0377-2217(88)90159-2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import InfeasibleError, LinearProgramme, LinearSolution, solve_linear
from margincover.numeric.lp_cuts import ConvexFunction, ConvexProgramme, ConvexTerm, CutSettings, CutSolution, minimise


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One outcome: its probability, the second stage (``stage.matrix`` is W_s) and T_s.

    Parameters
    ----------
    probability : float
    technology : sparse matrix [row, first-stage column]
    stage : LinearProgramme
        Second-stage cost, bounds, W_s and row bounds.
    """

    probability: float
    technology: sparse.csr_matrix
    stage: LinearProgramme


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStage:
    """A first stage and its scenarios."""

    first: LinearProgramme
    scenarios: tuple[Scenario, ...]

    def __post_init__(self) -> None:
        total = sum(scenario.probability for scenario in self.scenarios)
        if not self.scenarios or abs(total - 1.0) > 1e-9 or any(s.probability < 0.0 for s in self.scenarios):
            raise InputError(f"summed to {total}", field="probability", allowed="at least one scenario, sum 1")
        for number, scenario in enumerate(self.scenarios):
            shape = (scenario.stage.matrix.shape[0], self.first.cost.size)
            if scenario.technology.shape != shape:
                raise InputError(
                    f"had shape {scenario.technology.shape}", field=f"scenario {number}: technology", allowed=str(shape)
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationValue:
    """Four optima in the unit of the cost and the two differences that matter.

    Parameters
    ----------
    recourse : float
        RP, the optimum of the two-stage programme.
    wait_and_see : float
        WS, the mean of the optima of each scenario known in advance; WS <= RP.
    expected_value_decision : float
        EEV, the mean cost of the decision that is best for the mean scenario; RP <= EEV. Infinite if that decision is
        infeasible in some scenario.
    """

    recourse: float
    wait_and_see: float
    expected_value_decision: float

    @property
    def evpi(self) -> float:
        """Expected value of perfect information, RP - WS."""
        return self.recourse - self.wait_and_see

    @property
    def vss(self) -> float:
        """Value of the stochastic solution, EEV - RP."""
        return self.expected_value_decision - self.recourse


def extensive_form(problem: TwoStage) -> LinearProgramme:
    """Write the whole programme as one: first-stage columns, then those of each scenario."""
    first, scenarios = problem.first, problem.scenarios
    blocks: list[list[sparse.spmatrix | None]] = [[first.matrix, *([None] * len(scenarios))]]
    for number, scenario in enumerate(scenarios):
        row: list[sparse.spmatrix | None] = [scenario.technology, *([None] * len(scenarios))]
        row[number + 1] = scenario.stage.matrix
        blocks.append(row)
    stages = [scenario.stage for scenario in scenarios]
    return LinearProgramme(
        cost=np.concatenate([first.cost, *(s.probability * s.stage.cost for s in scenarios)]),
        lower=np.concatenate([first.lower, *(stage.lower for stage in stages)]),
        upper=np.concatenate([first.upper, *(stage.upper for stage in stages)]),
        matrix=sparse.csr_matrix(sparse.bmat(blocks, format="csr")),
        row_lower=np.concatenate([first.row_lower, *(stage.row_lower for stage in stages)]),
        row_upper=np.concatenate([first.row_upper, *(stage.row_upper for stage in stages)]),
    )


def solve_whole(problem: TwoStage) -> LinearSolution:
    """Solve the extensive form; the first entries of ``x`` are the first stage."""
    return solve_linear(extensive_form(problem))


def solve_l_shaped(problem: TwoStage, settings: CutSettings | None = None) -> CutSolution:
    """Solve by decomposition, one plane per scenario and round.

    Raises
    ------
    InfeasibleError
        If some first-stage point leaves a scenario without an answer: complete recourse is needed here.
    """
    terms = tuple(
        ConvexTerm(function=_expected_part(scenario), floor=_floor(problem.first, scenario))
        for scenario in problem.scenarios
    )
    return minimise(ConvexProgramme(linear=problem.first, terms=terms), settings)


def second_stage(scenario: Scenario, x: Vector) -> LinearSolution:
    """Solve one scenario's answer to the first-stage point x : array [column]."""
    shift = scenario.technology @ x
    stage = scenario.stage
    return solve_linear(replace(stage, row_lower=stage.row_lower - shift, row_upper=stage.row_upper - shift))


def information_value(problem: TwoStage) -> InformationValue:
    """Return RP, WS and EEV (Birge and Louveaux, Introduction to Stochastic Programming, ch. 4)."""
    recourse = solve_whole(problem).objective
    alone = [
        s.probability * solve_whole(TwoStage(first=problem.first, scenarios=(replace(s, probability=1.0),))).objective
        for s in problem.scenarios
    ]
    mean = TwoStage(first=problem.first, scenarios=(mean_scenario(problem.scenarios),))
    decision = solve_whole(mean).x[: problem.first.cost.size]
    return InformationValue(
        recourse=recourse, wait_and_see=sum(alone), expected_value_decision=expected_cost(problem, decision)
    )


def expected_cost(problem: TwoStage, x: Vector) -> float:
    """Return the mean cost of a first-stage point, infinite if a scenario has no answer to it."""
    try:
        parts = [scenario.probability * second_stage(scenario, x).objective for scenario in problem.scenarios]
    except InfeasibleError:
        return float("inf")
    return float(problem.first.cost @ x) + sum(parts)


def mean_scenario(scenarios: Sequence[Scenario]) -> Scenario:
    """Return the scenario whose every number is the mean over the scenarios, which must have the same shape."""
    weights = np.array([scenario.probability for scenario in scenarios])

    def mean(arrays: Sequence[Vector]) -> Vector:
        return np.asarray(np.tensordot(weights, np.stack(arrays), axes=1), dtype=np.float64)

    stages = [scenario.stage for scenario in scenarios]
    return Scenario(
        probability=1.0,
        technology=sparse.csr_matrix(mean([s.technology.toarray() for s in scenarios])),
        stage=LinearProgramme(
            cost=mean([stage.cost for stage in stages]),
            lower=mean([stage.lower for stage in stages]),
            upper=mean([stage.upper for stage in stages]),
            matrix=sparse.csr_matrix(mean([stage.matrix.toarray() for stage in stages])),
            row_lower=mean([stage.row_lower for stage in stages]),
            row_upper=mean([stage.row_upper for stage in stages]),
        ),
    )


def _expected_part(scenario: Scenario) -> ConvexFunction:
    def evaluate(x: Vector) -> tuple[float, Vector]:
        answer = second_stage(scenario, x)
        slope = -(scenario.technology.T @ answer.row_dual)
        return scenario.probability * answer.objective, np.asarray(scenario.probability * slope, dtype=np.float64)

    return evaluate


def _floor(first: LinearProgramme, scenario: Scenario) -> float:
    # The least that the scenario can cost with any first-stage point: true for all x, hence a valid first plane.
    free = replace(first, cost=np.zeros_like(first.cost))
    alone = TwoStage(first=free, scenarios=(replace(scenario, probability=1.0),))
    least = scenario.probability * solve_whole(alone).objective
    return least - 1e-7 * max(1.0, abs(least))
