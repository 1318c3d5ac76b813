"""Run every pool of a book along one block of paths: the compiled part of the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margincover.model.scenario import ScenarioBlock
from margincover.numeric.arrays import Vector
from margincover.paths.charges import BlockRows
from margincover.paths.program import PoolProgram
from margincover.paths.slabs import Slab, Slabs

Array = NDArray[np.float64]

# The kernel of the common case serves blocks of this size (paths.joint_kernel.PATHS) and pays from this many factors
# on; for less, compiling a second kernel would take longer than it saves.
_JOINT_PATHS = 256
JOINT_FACTORS = 6


class PoolState:
    """What the kernel carries from slab to slab for one pool of one block, and its results.

    ``maximum`` [path] is the largest maintenance - equity up to the horizon; ``passage`` [3, path] the steps of the
    maximum, of liquidation and of the call, 0 the start and -1 never. The rest is the kernel's own.
    """

    def __init__(self, program: PoolProgram, n_paths: int) -> None:
        self.paid = np.zeros((program.held_linear.shape[0], n_paths))
        self.shortfall = np.zeros((2, n_paths))
        self.maintenance = np.zeros((2, n_paths))
        self.slope = np.zeros((2, program.n_factors, n_paths))
        self.maximum = np.full(n_paths, -np.inf)
        self.passage = np.full((3, n_paths), -1, dtype=np.int64)
        self.work = np.empty((6, n_paths))
        self.collapsed = np.empty((2, program.n_factors))
        self.band = np.empty((2, program.leg_notional.size), dtype=np.int64)


class JointState:
    """State and results of one pool for the kernel of the common case; ``maximum`` and ``passage`` as in PoolState."""

    def __init__(self, program: PoolProgram, n_paths: int) -> None:
        self.paid = np.zeros(n_paths)
        self.shortfall = np.zeros((2, n_paths))
        self.maintenance = np.zeros((2, n_paths))
        self.changes = np.zeros((2, program.n_factors))
        self.extras = np.zeros((2, program.n_factors, n_paths))
        self.maximum = np.full(n_paths, -np.inf)
        self.passage = np.full((3, n_paths), -1, dtype=np.int64)
        self.sums = np.empty(4 * n_paths)
        self.work = np.empty((6, n_paths))
        self.lines = np.zeros((2, program.n_factors))


Watch = Callable[[int, Sequence[PoolState | JointState]], None]


class Follower:
    """The pools of one run, ready to follow blocks; may be used from several threads.

    Parameters
    ----------
    programs : sequence of PoolProgram
    keys : sequence of int
        Key of the bridge draws of each pool, see ``bridge_key``.
    loading : Vector [factor of the generator]
    hours : float
        Length of a step.
    horizon : int
        Last step that counts for the maximum.
    n_paths : int
        Paths of a block.
    """

    def __init__(
        self,
        programs: Sequence[PoolProgram],
        *,
        keys: Sequence[int],
        loading: Vector,
        hours: float,
        horizon: int,
        n_paths: int,
    ) -> None:
        self.programs, self.keys = programs, keys
        self.loading, self.hours, self.horizon, self.n_paths = loading, hours, horizon, n_paths
        self.packed = [program.packed() for program in programs]
        self.joint_tables = [program.joint_tables() if program.is_joint else () for program in programs]
        self.joint = [
            n_paths == _JOINT_PATHS and program.is_joint and program.n_factors >= JOINT_FACTORS for program in programs
        ]
        self.uncharged = np.zeros((0, 1, n_paths))
        self.slabs = Slabs(programs, n_factors=loading.size, n_paths=n_paths)

    def follow(
        self, block: ScenarioBlock, *, first_path: int, watch: Watch | None = None
    ) -> list[PoolState | JointState]:
        """Return the state of every pool at the end of a block whose first path has the number ``first_path``.

        ``watch`` is called after every slab with the steps done so far and the states, which go on changing.
        """
        states: list[PoolState | JointState] = [
            JointState(program, self.n_paths) if joint else PoolState(program, self.n_paths)
            for program, joint in zip(self.programs, self.joint, strict=True)
        ]
        rows = BlockRows.of(block) if any(program.charges for program in self.programs) else None
        for slab in self.slabs.of(block):
            for row, state in enumerate(states):
                charge = self._charge(row, slab, rows)
                if isinstance(state, JointState):
                    self._advance_joint(row, state, slab, charge, first_path)
                else:
                    self._advance(row, state, slab, charge, first_path)
            if watch is not None:
                watch(slab.first_step + slab.n_steps, states)
        return states

    def _charge(self, row: int, slab: Slab, rows: BlockRows | None) -> Array:
        """Return what each step of a slab adds to what a pool pays, [step, asset, path]; no step where nothing does."""
        table = self.programs[row].charges
        if table is None or rows is None:
            return self.uncharged
        ratio = slab.level[0, : slab.n_steps + 1, table.factors]
        # An index array between a number and a slice comes first: [factor, node, path].
        paid, moved = table.of(ratio.transpose(1, 0, 2), hours=self.hours, **rows.part(slab.first_step, slab.n_steps))
        return paid if moved is None else paid + moved

    def _advance_joint(self, row: int, state: JointState, slab: Slab, charge: Array, first_path: int) -> None:
        from margincover.paths import joint_kernel  # Numba loads here and not with the package

        run_joint: Any = joint_kernel.run_joint
        program = self.programs[row]
        run_joint(
            slab.level, slab.span, slab.deviation, self.loading, self.hours, slab.first_step, slab.n_steps,
            self.horizon, np.uint64(self.keys[row]), first_path, *self.joint_tables[row], program.call_ratio - 1.0,
            program.has_funding, charge, state.paid, state.shortfall, state.maintenance, state.changes, state.extras,
            state.maximum, state.passage, state.sums, state.work, state.lines,
        )  # fmt: skip

    def _advance(self, row: int, state: PoolState, slab: Slab, charge: Array, first_path: int) -> None:
        from margincover.paths import kernels  # Numba loads here and not with the package

        run_pool: Any = kernels.run_pool  # Numba's dispatcher carries no types
        program = self.programs[row]
        run_pool(
            slab.level, slab.span, slab.deviation, self.loading, self.hours, slab.first_step, slab.n_steps,
            self.horizon, np.uint64(self.keys[row]), first_path, *self.packed[row], program.call_ratio - 1.0,
            program.has_funding, charge, state.paid, state.shortfall, state.maintenance, state.slope, state.maximum,
            state.passage, state.work, state.collapsed, state.band,
        )  # fmt: skip


def bridge_key(seed: int, pool_id: str) -> int:
    """Return the 64-bit key of the bridge draws of one pool."""
    digest = hashlib.sha256(f"{seed}/bridge/{pool_id}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
