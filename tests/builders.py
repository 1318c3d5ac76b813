"""Builders of result objects for tests of the reports: small simulated books with plausible numbers.

The simulation here is a plain geometric Brownian motion with a few pools written out by hand. It is no test of the
engine; it only gives the reports figures of the right size that agree with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.model.provenance import EditionUse, Provenance
from margincover.model.results import (
    CoverageResult,
    Estimate,
    HorizonProbability,
    LiquidationLevel,
    PathSummary,
    PoolCoverage,
    PoolStatus,
    Reconciliation,
    StatusResult,
    TailRecord,
)
from margincover.numeric.rng import stream

Array = NDArray[np.float64]

STEP_S = 4 * 3_600
N_STEPS = 180  # 30 days
HORIZON_STEPS = 30  # 5 days
HORIZONS_S = (14_400, 28_800, 86_400, 259_200, 432_000, 604_800, 1_209_600, 2_592_000)
N_FAN = 256
MARKS = {"BTC": 86_400.0, "ETH": 2_850.0, "SOL": 131.0}
VOLATILITY = {"BTC": 0.52, "ETH": 0.71, "SOL": 0.88}


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """One pool: cash in its unit, and signed size by factor (base units, or quote dollars when inverse)."""

    id: str
    unit: str
    cash: float
    sizes: dict[str, float] = field(default_factory=dict)
    inverse: bool = False
    maintenance_fraction: float = 0.01
    margin_mode: str = "cross"
    reported_offset: float | None = 0.0002

    @property
    def venue(self) -> str:
        return self.id.partition(":")[0]

    @property
    def unit_usd(self) -> float:
        return MARKS.get(self.unit, 1.0)


STANDARD_SPECS = (
    PoolSpec(id="okx:desk", unit="USD", cash=2_050.0, sizes={"SOL": -1_400.0}, maintenance_fraction=0.012),
    PoolSpec(id="binance:main", unit="USDT", cash=190_000.0, sizes={"BTC": 9.0, "ETH": 120.0}),
    PoolSpec(
        id="bybit:coin/BTCUSD",
        unit="BTC",
        cash=1.1,
        sizes={"BTC": 430_000.0},
        inverse=True,
        margin_mode="isolated",
        reported_offset=None,
    ),
    PoolSpec(id="hyperliquid:vault", unit="USDC", cash=77_500.0, sizes={"ETH": -85.0}, maintenance_fraction=0.02),
    PoolSpec(id="binance:hedge", unit="USDT", cash=180_000.0, sizes={"BTC": -2.5, "ETH": 75.0}),
    PoolSpec(id="kraken:spare", unit="USD", cash=25_000.0),
)
FLAT_SPEC = STANDARD_SPECS[-1]


def price_paths(*, seed: int, n_paths: int) -> dict[str, Array]:
    """Return prices [step + 1, path] by factor; one common and one own shock per factor."""
    rng = stream(seed, "report-builders")
    dt = STEP_S / (365 * 86_400)
    common = rng.standard_t(4, (N_STEPS, n_paths)) / np.sqrt(2.0)
    prices = {}
    for factor, mark in MARKS.items():
        shock = 0.85 * common + np.sqrt(1 - 0.85**2) * rng.standard_normal((N_STEPS, n_paths))
        log = np.cumsum(VOLATILITY[factor] * np.sqrt(dt) * shock, axis=0)
        prices[factor] = mark * np.exp(np.vstack([np.zeros(n_paths), log]))
    return prices


def _evaluate(spec: PoolSpec, prices: dict[str, Array]) -> tuple[Array, Array, dict[str, Array]]:
    """Return equity, maintenance and each factor's share of the shortfall, [step + 1, path]."""
    shape = prices["BTC"].shape
    equity, maintenance, parts = np.full(shape, spec.cash), np.zeros(shape), {}
    for factor, size in spec.sizes.items():
        p, entry = prices[factor], MARKS[factor]
        profit = size * (1 / entry - 1 / p) if spec.inverse else size * (p - entry)
        need = spec.maintenance_fraction * abs(size) * (1 / p if spec.inverse else p)
        equity, maintenance = equity + profit, maintenance + need
        parts[factor] = (need - need[0]) - profit
    return equity, maintenance, parts


def proportion(hits: int, n: int) -> Estimate:
    """Return a probability with the Wilson 95 % interval."""
    p, z = hits / n, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if hits == 0 else min(p, float(centre - half))
    high = 1.0 if hits == n else max(p, float(centre + half))
    return Estimate(value=p, standard_error=float(np.sqrt(p * (1 - p) / n)), low=low, high=high)


def _first(shortfall: Array) -> NDArray[np.int32]:
    hit = shortfall >= 0
    return np.where(hit.any(axis=0), hit.argmax(axis=0), -1).astype(np.int32)


def _probabilities(liquidation: NDArray[np.int32], call: NDArray[np.int32]) -> tuple[HorizonProbability, ...]:
    def within(first: NDArray[np.int32], horizon_s: int) -> Estimate:
        return proportion(int(((first >= 0) & (first * STEP_S <= horizon_s)).sum()), first.size)

    return tuple(
        HorizonProbability(horizon_s=h, liquidation=within(liquidation, h), margin_call=within(call, h))
        for h in HORIZONS_S
    )


def _levels(spec: PoolSpec, *, down: float | None, up: float | None) -> tuple[LiquidationLevel, ...]:
    move = down if down is not None else up
    return tuple(
        LiquidationLevel(
            symbol=f"{f}USD" if spec.inverse else f"{f}USDT",
            mark_price=MARKS[f],
            down=MARKS[f] * (1 + down) if down is not None and s > 0 else None,
            up=MARKS[f] * (1 + up) if up is not None and s < 0 else None,
            reported=None if spec.reported_offset is None or move is None else MARKS[f] * (1 + move) * 1.0003,
        )
        for f, s in spec.sizes.items()
    )


def _status(spec: PoolSpec, equity: float, maintenance: float, ratio_at_call: float) -> PoolStatus:
    unit_usd, headroom = spec.unit_usd, equity - maintenance
    notional = sum(abs(s) * (1 if spec.inverse else MARKS[f]) for f, s in spec.sizes.items())
    ratio = equity / maintenance if maintenance else None
    state = "flat" if ratio is None else "open"
    if ratio is not None and ratio <= ratio_at_call:
        state = "liquidatable" if ratio <= 1 else "called"
    net = sum(s * (1 if spec.inverse else MARKS[f]) for f, s in spec.sizes.items())
    move = -headroom * unit_usd / net if net and headroom > 0 else None
    down = move if move is not None and -0.95 < move < 0 else None
    up = move if move is not None and 0 < move < 5 else None
    return PoolStatus(
        pool_id=spec.id,
        account_id=spec.id.partition("/")[0],
        venue=spec.venue,
        mode="default",
        margin_mode=spec.margin_mode,
        unit=spec.unit,
        unit_usd=unit_usd,
        equity_native=equity,
        maintenance_native=maintenance,
        initial_native=None if spec.margin_mode == "isolated" else 2 * maintenance,
        headroom_native=headroom,
        equity_usd=equity * unit_usd,
        maintenance_usd=maintenance * unit_usd,
        initial_usd=None if spec.margin_mode == "isolated" else 2 * maintenance * unit_usd,
        headroom_usd=headroom * unit_usd,
        gross_notional_usd=notional,
        coverage_ratio=ratio,
        margin_call_coverage_ratio=ratio_at_call,
        common_move_down=down,
        common_move_up=up,
        levels=_levels(spec, down=down, up=up),
        state=state,
        notes=() if spec.sizes else ("no positions",),
    )


def _tail(maximum: Array, at: NDArray[np.int32], parts: dict[str, Array], *, tolerance: float) -> TailRecord:
    count = max(1, round(tolerance * maximum.size))
    worst = np.argsort(-maximum, kind="stable")[:count]
    by_factor = [part[at[worst], worst] for part in parts.values()]
    zeros = np.zeros(count)
    return TailRecord(
        path=worst.astype(np.int64),
        maximum=maximum[worst],
        contribution=np.column_stack([*by_factor, zeros, zeros]),
    )


def _tail_estimates(maximum: Array, *, tolerance: float) -> tuple[Estimate, Estimate]:
    ordered = np.sort(maximum)[::-1]
    n = maximum.size
    count = max(1, round(tolerance * n))
    rank, width = count - 1, 2 * np.sqrt(count)
    low, high = ordered[min(n - 1, int(rank + width))], ordered[max(0, int(rank - width))]
    quantile = Estimate(
        value=float(ordered[rank]), standard_error=float(high - low) / 4, low=float(low), high=float(high)
    )
    mean = float(ordered[:count].mean())
    error = float(ordered[:count].std() / np.sqrt(count))
    shortfall = Estimate(value=mean, standard_error=error, low=mean - 1.96 * error, high=mean + 1.96 * error)
    return quantile, shortfall


def coverage_of(
    status: PoolStatus,
    *,
    rc: Estimate,
    rces: Estimate,
    contributions: dict[str, float],
    probabilities: tuple[HorizonProbability, ...],
    worst_paths: tuple[tuple[int, float, float], ...] = (),
) -> PoolCoverage:
    """Return a pool's coverage with the sums that belong together: gap = RCES, required = equity + RCES."""
    gap, required = rces.value, status.equity_native + rces.value
    verdict = "breach" if gap > 0 or status.state == "liquidatable" else "covered"
    if verdict == "covered" and (rces.high > 0 or status.state == "called"):
        verdict = "warning"
    return PoolCoverage(
        status=status,
        rc=rc,
        rces=rces,
        measure="rces",
        required_native=required,
        available_native=status.equity_native,
        gap_native=gap,
        gap_standard_error_native=rces.standard_error,
        required_usd=required * status.unit_usd,
        available_usd=status.equity_usd,
        gap_usd=gap * status.unit_usd,
        required_coverage_ratio=status.equity_native / required if required > 0 else None,
        contributions=contributions,
        probabilities=probabilities,
        time_to_liquidation_p50_s=None,
        worst_paths=worst_paths,
        verdict=verdict,
    )


@dataclass(frozen=True, kw_only=True)
class _Simulated:
    coverage: PoolCoverage
    start: float
    maximum: Array
    maximum_step: NDArray[np.int32]
    liquidation: NDArray[np.int32]
    call: NDArray[np.int32]
    tail: TailRecord
    fan_equity: Array
    fan_maintenance: Array


def _simulate(spec: PoolSpec, prices: dict[str, Array], *, tolerance: float) -> _Simulated:
    equity, maintenance, parts = _evaluate(spec, prices)
    shortfall, call_ratio = maintenance - equity, 1.25
    within = shortfall[: HORIZON_STEPS + 1]
    maximum, at = within.max(axis=0), within.argmax(axis=0).astype(np.int32)
    flat = not spec.sizes
    liquidation = _first(shortfall)
    call = _first(call_ratio * maintenance - equity)
    tail = _tail(maximum, at, parts, tolerance=tolerance)
    rc, rces = _tail_estimates(maximum, tolerance=tolerance)
    means = tail.contribution.mean(axis=0)
    start = float(shortfall[0, 0])
    contributions = {"start": start, **dict(zip([*parts, "funding"], map(float, means), strict=False))}
    contributions["remainder"] = rces.value - sum(contributions.values())
    status = _status(spec, float(equity[0, 0]), float(maintenance[0, 0]), call_ratio)
    coverage = coverage_of(
        status,
        rc=rc,
        rces=rces,
        contributions=contributions,
        probabilities=_probabilities(liquidation, call),
        worst_paths=()
        if flat
        else tuple((int(p), float(maximum[p]), float(at[p]) * STEP_S / 3600) for p in tail.path[:5]),
    )
    hit = liquidation[liquidation >= 0]
    if hit.size:
        object.__setattr__(coverage, "time_to_liquidation_p50_s", float(np.median(hit)) * STEP_S)
    return _Simulated(
        coverage=coverage,
        start=start,
        maximum=maximum,
        maximum_step=at,
        liquidation=liquidation,
        call=call,
        tail=tail,
        fan_equity=equity[:, :N_FAN],
        fan_maintenance=maintenance[:, :N_FAN],
    )


def _summary(ids: tuple[str, ...], parts: list[_Simulated], *, seed: int, n_paths: int) -> PathSummary:
    def stacked(name: str, empty: tuple[int, ...], *, axis: int = 0, kind: type = np.float64) -> NDArray:
        arrays = [getattr(part, name) for part in parts]
        return np.stack(arrays, axis=axis) if arrays else np.zeros(empty, dtype=kind)

    fan = (N_STEPS + 1, 0, min(N_FAN, n_paths))
    return PathSummary(
        pool_ids=ids,
        step_s=STEP_S,
        n_steps=N_STEPS,
        n_horizon_steps=HORIZON_STEPS,
        seed=seed,
        start_shortfall=np.array([part.start for part in parts]),
        maximum=stacked("maximum", (0, n_paths)),
        maximum_step=stacked("maximum_step", (0, n_paths), kind=np.int32),
        liquidation_step=stacked("liquidation", (0, n_paths), kind=np.int32),
        margin_call_step=stacked("call", (0, n_paths), kind=np.int32),
        tails=tuple(part.tail for part in parts),
        table_error=(0.0,) * len(parts),
        fan_equity=stacked("fan_equity", fan, axis=1),
        fan_maintenance=stacked("fan_maintenance", fan, axis=1),
    )


def _either(first: list[NDArray[np.int32]], n_paths: int) -> NDArray[np.int32]:
    """First step in which any pool is touched, -1 for never."""
    never = np.iinfo(np.int32).max
    steps = np.full(n_paths, never, dtype=np.int32)
    for each in first:
        steps = np.minimum(steps, np.where(each < 0, never, each).astype(np.int32))
    return np.where(steps == never, -1, steps).astype(np.int32)


def a_provenance(**changes: object) -> Provenance:
    """Return provenance with two editions, one warning and two sentences on what is not modelled."""
    values: dict[str, object] = {
        "version": "0.1.0",
        "as_of": "2026-11-20T12:00:00Z",
        "input_sha256": "9f2c" * 16,
        "seed": 7,
        "settings": {"tolerance": "0.01", "horizon": "5d", "measure": "rces"},
        "editions": (
            EditionUse(
                venue="binance",
                edition="2026-10-01",
                valid_from="2026-10-01",
                source="https://www.binance.com/en/futures/trading-rules/perpetual/leverage-margin",
                retrieved="2026-11-02",
                age_days=18,
            ),
            EditionUse(
                venue="okx",
                edition="2026-08-14",
                valid_from="2026-08-14",
                source="https://www.okx.com/trade-market/position/swap",
                retrieved="2026-11-02",
                age_days=18,
            ),
        ),
        "scenario": {"method": "geometric Brownian motion with a common Student-t shock", "calibration": "none"},
        "warnings": ("okx: the tier table is 98 days older than its source page",),
        "not_modelled": (
            "Slippage and market impact of the venue's own closing orders.",
            "Transfers during the horizon: nobody adds or withdraws money.",
        ),
    }
    return Provenance(**{**values, **changes})  # type: ignore[arg-type]


def _reconciliation(specs: tuple[PoolSpec, ...], pools: list[PoolStatus]) -> tuple[Reconciliation, ...]:
    lines = []
    for spec, pool in zip(specs, pools, strict=True):
        if spec.reported_offset is None:
            continue
        for figure, ours in (("equity", pool.equity_native), ("maintenance", pool.maintenance_native)):
            venue = ours * (1 + spec.reported_offset)
            difference = 0.0 if venue == 0 else (ours - venue) / abs(venue) * 1e4
            lines.append(
                Reconciliation(
                    pool_id=spec.id, figure=figure, unit=spec.unit, ours=ours, venue=venue, difference_bps=difference
                )
            )
    return tuple(lines)


def coverage_result(
    specs: tuple[PoolSpec, ...] = STANDARD_SPECS,
    *,
    n_paths: int = 2_000,
    seed: int = 7,
    tolerance: float = 0.01,
    provenance: Provenance | None = None,
) -> CoverageResult:
    """Return a coverage result of simulated pools, worst first by gap in USD over notional."""
    prices = price_paths(seed=seed, n_paths=n_paths)
    parts = [_simulate(spec, prices, tolerance=tolerance) for spec in specs]
    rank = {"breach": 0, "warning": 1, "covered": 2}
    covers = sorted((p.coverage for p in parts), key=lambda c: (rank[c.verdict], -c.gap_usd))
    gaps = [cover.gap_usd for cover in covers]
    liquidation = _either([part.liquidation for part in parts], n_paths)
    call = _either([part.call for part in parts], n_paths)
    return CoverageResult(
        pools=tuple(covers),
        tolerance=tolerance,
        horizon_s=HORIZON_STEPS * STEP_S,
        measure="rces",
        n_paths=n_paths,
        any_liquidation=_probabilities(liquidation, call),
        required_usd=sum(cover.required_usd for cover in covers),
        available_usd=sum(cover.available_usd for cover in covers),
        gap_usd=sum(gap for gap in gaps if gap > 0),
        surplus_usd=-sum(gap for gap in gaps if gap < 0),
        reconciliation=_reconciliation(specs, [part.coverage.status for part in parts]),
        provenance=provenance or a_provenance(),
        paths=_summary(tuple(spec.id for spec in specs), parts, seed=seed, n_paths=n_paths),
    )


def status_result(specs: tuple[PoolSpec, ...] = STANDARD_SPECS) -> StatusResult:
    """Return the status of the same pools."""
    result = coverage_result(specs, n_paths=10)
    pools = sorted(
        (cover.status for cover in result.pools),
        key=lambda pool: float("inf") if pool.coverage_ratio is None else pool.coverage_ratio,
    )
    return StatusResult(pools=tuple(pools), reconciliation=result.reconciliation, provenance=result.provenance)
