"""The one door to the linear solver HiGHS: a programme in arrays, a growing programme with warm starts, plain answers.

Every answer is `optimal` or says that a limit stopped it; infeasible, unbounded and failed programmes raise. The rooms
above re-check what comes out of here without the solver.
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from margincover.errors import InputError, SolverError
from margincover.numeric.arrays import Vector

INFINITY = float(highspy.kHighsInf)
_STATUS = highspy.HighsModelStatus
_LIMITS = (_STATUS.kTimeLimit, _STATUS.kIterationLimit, _STATUS.kSolutionLimit, _STATUS.kInterrupt)


class InfeasibleError(SolverError):
    """Raise when no point meets all constraints."""


class UnboundedError(SolverError):
    """Raise when the objective can fall without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProgramme:
    """Minimise cost . x with row_lower <= matrix x <= row_upper and lower <= x <= upper.

    Parameters
    ----------
    cost, lower, upper : array [column]
        Infinite bounds are allowed.
    matrix : sparse matrix [row, column]
    row_lower, row_upper : array [row]
    integer : array [column] of bool, optional
        Columns that must be whole numbers. None means none.
    """

    cost: Vector
    lower: Vector
    upper: Vector
    matrix: sparse.csr_matrix
    row_lower: Vector
    row_upper: Vector
    integer: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        rows, columns = self.matrix.shape
        for name, size in (("cost", columns), ("lower", columns), ("upper", columns)):
            _check_size(getattr(self, name), size, name)
        _check_size(self.row_lower, rows, "row_lower")
        _check_size(self.row_upper, rows, "row_upper")
        if not np.isfinite(self.cost).all() or not np.isfinite(self.matrix.data).all():
            raise InputError("held a NaN or an infinity", field="cost or matrix", allowed="finite numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSolution:
    """What the solver returned.

    Parameters
    ----------
    x, reduced_cost : array [column]
    row_dual : array [row]
        Change of the objective per unit of the binding row bound. Zero for programmes with whole-number columns.
    objective, bound : float
        Value at x, and a proven lower bound on the optimum (equal for an optimal continuous programme).
    optimal : bool
        False when a limit on nodes or time stopped the solver; then only `bound` is proven.
    """

    x: Vector
    reduced_cost: Vector
    row_dual: Vector
    objective: float
    bound: float
    optimal: bool


def solve_linear(programme: LinearProgramme, *, start: Vector | None = None, max_nodes: int = 0) -> LinearSolution:
    """Solve once.

    Parameters
    ----------
    programme : LinearProgramme
    start : array [column], optional
        A feasible point for a programme with whole numbers.
    max_nodes : int
        Limit on branch-and-bound nodes; 0 means none. With a limit the answer may be not `optimal`.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverError
        By the solver's status.
    """
    growing = GrowingProgramme(programme)
    if max_nodes > 0:
        growing.limit_nodes(max_nodes)
    if start is not None:
        growing.start_from(start)
    return growing.solve()


class GrowingProgramme:
    """A programme to which rows are added; each solve starts from the basis of the last one.

    Parameters
    ----------
    programme : LinearProgramme
        The first rows and all columns.
    """

    def __init__(self, programme: LinearProgramme) -> None:
        self._highs = _quiet_solver()
        self._integer = programme.integer is not None and bool(programme.integer.any())
        self._highs.passModel(_as_highs(programme))

    def add_row(self, coefficients: Vector, lower: float, upper: float) -> None:
        """Add lower <= coefficients . x <= upper; ``coefficients`` : array [column]."""
        index = np.flatnonzero(coefficients).astype(np.int32)
        self._highs.addRow(lower, upper, index.size, index, np.ascontiguousarray(coefficients[index]))

    def limit_nodes(self, nodes: int) -> None:
        """Stop branch and bound after so many nodes (the same on every machine, unlike a time)."""
        self._highs.setOptionValue("mip_max_nodes", nodes)

    def start_from(self, x: Vector) -> None:
        """Offer a feasible point to branch and bound."""
        solution = highspy.HighsSolution()
        solution.col_value = [float(value) for value in x]
        self._highs.setSolution(solution)

    def solve(self) -> LinearSolution:
        """Solve from where the last solve ended; raise as `solve_linear` does."""
        self._highs.run()
        status = self._highs.getModelStatus()
        if status == _STATUS.kUnboundedOrInfeasible:
            status = self._which_of_the_two()
        if status == _STATUS.kInfeasible:
            raise InfeasibleError("the linear programme has no point that meets all its constraints")
        if status == _STATUS.kUnbounded:
            raise UnboundedError("the objective of the linear programme falls without end; allowed: a bounded cost")
        if status != _STATUS.kOptimal and not (status in _LIMITS and self._has_point()):
            raise SolverError(f"HiGHS stopped with {self._highs.modelStatusToString(status)} and gave no usable point")
        return self._answer(optimal=status == _STATUS.kOptimal)

    def _which_of_the_two(self) -> highspy.HighsModelStatus:
        self._highs.setOptionValue("presolve", "off")
        self._highs.run()
        self._highs.setOptionValue("presolve", "choose")
        return self._highs.getModelStatus()

    def _has_point(self) -> bool:
        return bool(self._highs.getInfo().primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible))

    def _answer(self, *, optimal: bool) -> LinearSolution:
        found = self._highs.getSolution()
        info = self._highs.getInfo()
        objective = float(info.objective_function_value)
        return LinearSolution(
            x=np.array(found.col_value),
            reduced_cost=np.array(found.col_dual),
            row_dual=np.array(found.row_dual),
            objective=objective,
            bound=float(info.mip_dual_bound) if self._integer else objective,
            optimal=optimal,
        )


class _QuietHighs(highspy.Highs):
    """HiGHS without its banner, which it prints while it is built and which would spoil JSON on standard output."""

    def enableCallbacks(self) -> None:  # noqa: N802
        """Silence the log before the first call that writes to it."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call]  # highspy leaves this method without types


def _quiet_solver() -> highspy.Highs:
    highs = _QuietHighs()  # type: ignore[no-untyped-call]  # nor its constructor
    options: dict[str, bool | int | float | str] = {
        "threads": 1,
        "parallel": "off",
        "random_seed": 0,
        "primal_feasibility_tolerance": 1e-10,
        "dual_feasibility_tolerance": 1e-10,
        "mip_feasibility_tolerance": 1e-9,
        "mip_rel_gap": 1e-9,
        "mip_abs_gap": 1e-12,
    }
    for name, value in options.items():
        highs.setOptionValue(name, value)
    return highs


def _as_highs(programme: LinearProgramme) -> highspy.HighsLp:
    model = highspy.HighsLp()
    rows, columns = programme.matrix.shape
    model.num_row_, model.num_col_ = rows, columns
    model.col_cost_ = programme.cost
    model.col_lower_, model.col_upper_ = programme.lower, programme.upper
    model.row_lower_, model.row_upper_ = programme.row_lower, programme.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.num_row_, model.a_matrix_.num_col_ = rows, columns
    model.a_matrix_.start_ = programme.matrix.indptr.astype(np.int32)
    model.a_matrix_.index_ = programme.matrix.indices.astype(np.int32)
    model.a_matrix_.value_ = programme.matrix.data.astype(np.float64)
    if programme.integer is not None:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(whole)] for whole in programme.integer]
    return model


def _check_size(values: Vector, size: int, name: str) -> None:
    if values.shape != (size,):
        raise InputError(f"had shape {values.shape}", field=name, allowed=f"({size},)")
    if np.isnan(values).any():
        raise InputError("held a NaN", field=name, allowed="numbers")
