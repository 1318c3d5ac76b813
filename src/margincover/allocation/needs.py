"""What the venues need on each path, in two stages, and where money may be placed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import PathVector, Vector, frozen

VenuePath = NDArray[np.float64]  # [venue, path]
PlacementPath = NDArray[np.float64]  # [placement, path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Requirements of every venue on joint paths.

    Parameters
    ----------
    early_usd : array [venue, path]
        Path maximum of the shortfall until a transfer from the reserve could arrive (trigger plus delay): covered by
        what stands at the venue, or not at all. Negative means room.
    total_usd : array [venue, path]
        Path maximum over the whole horizon, >= early_usd.
    receivable_usd : array [venue, path] or None
        Most that the reserve can bring to the venue in time, >= 0; 0 where venue or network is down. None means no
        limit.
    probability : array [path] or None
        Probabilities that sum to 1. None means equally likely.
    early_weight, total_weight : array [placement, path] or None
        Collateral value at the time of the early and of the total maximum per dollar placed now, after haircut, >= 0.
        None means 1 everywhere (settlement currency).

    Notes
    -----
    The time of the maximum is taken as given: it does not move with the amounts placed. That is exact for placements
    in the settlement currency and an approximation for volatile collateral, to be re-checked on the paths.
    """

    early_usd: VenuePath
    total_usd: VenuePath
    receivable_usd: VenuePath | None = None
    probability: PathVector | None = None
    early_weight: PlacementPath | None = None
    total_weight: PlacementPath | None = None

    def __post_init__(self) -> None:
        early = frozen(self.early_usd, name="early_usd", ndim=2)
        total = frozen(self.total_usd, name="total_usd", ndim=2)
        if early.shape != total.shape or early.size == 0:
            raise InputError(f"had shape {early.shape}", field="early_usd", allowed=f"{total.shape}, not empty")
        if (early > total).any():
            venue, path = np.argwhere(early > total)[0]
            raise InputError(
                f"was {early[venue, path]} and total_usd {total[venue, path]} for venue {venue} on path {path}",
                field="early_usd",
                allowed="at most total_usd: a path maximum only grows",
            )
        object.__setattr__(self, "early_usd", early)
        object.__setattr__(self, "total_usd", total)
        self._check_receivable()
        self._check_probability()
        self._check_weights()

    @classmethod
    def prefunded(cls, requirement_usd: VenuePath, *, probability: PathVector | None = None) -> Needs:
        """Make needs that no later transfer can serve: all of the requirement must stand at the venue."""
        return cls(early_usd=requirement_usd, total_usd=requirement_usd, probability=probability)

    @property
    def n_venues(self) -> int:
        """Number of venues."""
        return int(self.total_usd.shape[0])

    @property
    def n_paths(self) -> int:
        """Number of paths."""
        return int(self.total_usd.shape[1])

    def path_probability(self) -> PathVector:
        """Return the probabilities, array [path], equal ones written out."""
        return np.full(self.n_paths, 1.0 / self.n_paths) if self.probability is None else self.probability

    def scaled(self, unit_usd: float) -> Needs:
        """Return the needs in multiples of ``unit_usd``."""
        receivable = None if self.receivable_usd is None else self.receivable_usd / unit_usd
        return replace(
            self,
            early_usd=self.early_usd / unit_usd,
            total_usd=self.total_usd / unit_usd,
            receivable_usd=receivable,
        )

    def with_frozen(self, venue: int) -> Needs:
        """Return the needs when one venue takes no transfer on any path (an N-1 case)."""
        receivable = (
            np.full(self.total_usd.shape, np.inf) if self.receivable_usd is None else self.receivable_usd.copy()
        )
        if not 0 <= venue < self.n_venues:
            raise InputError(f"was {venue}", field="venue", allowed=f"0 to {self.n_venues - 1}")
        receivable[venue] = 0.0
        return replace(self, receivable_usd=receivable)

    def only(self, paths: NDArray[np.int64] | slice) -> Needs:
        """Return the needs on some paths, equally likely or with probabilities rescaled to sum to 1."""
        probability = None if self.probability is None else self.probability[paths] / self.probability[paths].sum()
        return Needs(
            early_usd=self.early_usd[:, paths],
            total_usd=self.total_usd[:, paths],
            receivable_usd=None if self.receivable_usd is None else self.receivable_usd[:, paths],
            probability=probability,
            early_weight=None if self.early_weight is None else self.early_weight[:, paths],
            total_weight=None if self.total_weight is None else self.total_weight[:, paths],
        )

    def mean(self) -> Needs:
        """Return the one path whose every number is the mean over the paths."""

        def middle(array: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
            return None if array is None else (array @ self.path_probability())[:, np.newaxis]

        early, total = (array @ self.path_probability() for array in (self.early_usd, self.total_usd))
        return Needs(
            early_usd=early[:, np.newaxis],
            total_usd=total[:, np.newaxis],
            receivable_usd=middle(self.receivable_usd),
            early_weight=middle(self.early_weight),
            total_weight=middle(self.total_weight),
        )

    def _check_receivable(self) -> None:
        if self.receivable_usd is None:
            return
        values = np.array(self.receivable_usd, dtype=np.float64)
        if values.shape != self.total_usd.shape:
            raise InputError(f"had shape {values.shape}", field="receivable_usd", allowed=str(self.total_usd.shape))
        if np.isnan(values).any() or (values < 0.0).any():
            raise InputError("held a NaN or a negative amount", field="receivable_usd", allowed="0 or more")
        values.flags.writeable = False
        object.__setattr__(self, "receivable_usd", values)

    def _check_probability(self) -> None:
        if self.probability is None:
            return
        values = frozen(self.probability, name="probability", ndim=1)
        if values.size != self.n_paths or (values < 0.0).any() or abs(float(values.sum()) - 1.0) > 1e-9:
            raise InputError(
                f"had {values.size} entries that sum to {values.sum()}",
                field="probability",
                allowed=f"{self.n_paths} entries >= 0 that sum to 1",
            )
        object.__setattr__(self, "probability", values)

    def _check_weights(self) -> None:
        if (self.early_weight is None) != (self.total_weight is None):
            raise InputError("only one was given", field="early_weight, total_weight", allowed="both or none")
        for name in ("early_weight", "total_weight"):
            if getattr(self, name) is None:
                continue
            values = frozen(getattr(self, name), name=name, ndim=2)
            if values.shape[1] != self.n_paths or (values < 0.0).any():
                raise InputError(
                    f"had shape {values.shape} or a negative value",
                    field=name,
                    allowed=f"[placement, {self.n_paths}], >= 0",
                )
            object.__setattr__(self, name, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """Where money may stand: one entry per venue and asset, and the central reserve.

    Parameters
    ----------
    venue : array [placement] of int
        Venue of each placement.
    carry_fraction : array [placement]
        Cost of holding a dollar there over the horizon, >= 0.
    lower_usd, upper_usd : array [placement]
        Limits on the amount, 0 <= lower <= upper; upper may be infinite.
    reserve_carry_fraction : float
        Cost of holding a dollar in the reserve over the horizon, >= 0.
    reserve_lower_usd, reserve_upper_usd : float
        Limits on the reserve. Both 0 means that there is none.
    """

    venue: NDArray[np.int64]
    carry_fraction: Vector
    lower_usd: Vector
    upper_usd: Vector
    reserve_carry_fraction: float = 0.0
    reserve_lower_usd: float = 0.0
    reserve_upper_usd: float = 0.0

    def __post_init__(self) -> None:
        count = np.asarray(self.venue).size
        venue = np.array(self.venue, dtype=np.int64)
        if venue.ndim != 1 or count == 0 or (venue < 0).any():
            raise InputError(f"was {self.venue}", field="venue", allowed="one venue number >= 0 per placement")
        object.__setattr__(self, "venue", venue)
        for name in ("carry_fraction", "lower_usd", "upper_usd"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != (count,) or np.isnan(values).any() or (values < 0.0).any():
                raise InputError(f"was {values}", field=name, allowed=f"{count} numbers >= 0")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if not np.isfinite(self.carry_fraction).all() or not 0.0 <= self.reserve_carry_fraction < np.inf:
            raise InputError("was infinite or negative", field="carry_fraction", allowed="finite numbers >= 0")
        reserve_ok = 0.0 <= self.reserve_lower_usd <= self.reserve_upper_usd
        if (self.lower_usd > self.upper_usd).any() or not reserve_ok:
            raise InputError("had a lower limit above the upper", field="limits", allowed="0 <= lower <= upper")

    @classmethod
    def one_per_venue(cls, carry_fraction: Vector, *, reserve_carry_fraction: float | None = None) -> Placements:
        """Make one unlimited placement per venue; with a carry for it, also an unlimited reserve."""
        count = np.asarray(carry_fraction).size
        return cls(
            venue=np.arange(count),
            carry_fraction=np.asarray(carry_fraction, dtype=np.float64),
            lower_usd=np.zeros(count),
            upper_usd=np.full(count, np.inf),
            reserve_carry_fraction=reserve_carry_fraction or 0.0,
            reserve_upper_usd=0.0 if reserve_carry_fraction is None else np.inf,
        )

    @property
    def count(self) -> int:
        """Number of placements without the reserve."""
        return int(self.venue.size)

    def check_against(self, needs: Needs) -> None:
        """Raise InputError unless venues and weights fit the needs."""
        if int(self.venue.max()) >= needs.n_venues:
            raise InputError(
                f"named venue {self.venue.max()}", field="venue", allowed=f"0 to {needs.n_venues - 1}: those with needs"
            )
        weight = needs.total_weight
        for array in (needs.early_weight, weight):
            if array is not None and array.shape[0] != self.count:
                raise InputError(
                    f"had {array.shape[0]} placements", field="early_weight, total_weight", allowed=str(self.count)
                )
