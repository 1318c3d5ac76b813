"""One run of liquidity: its settings, the paths of accounts and loans, the supply, and where the figures come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from margincover.app.cover import DEFAULT_PATHS, LONGEST_S, age_warnings, sample_warnings
from margincover.app.generators import build_generator
from margincover.app.option_volatility import volatility_notes, with_volatility
from margincover.app.provenance import RESOURCES_NOT_MODELLED, build_provenance, funding_warnings
from margincover.app.resource_margin import idle_margin, margin_weights
from margincover.coverage import risk as measures
from margincover.coverage.status import pool_statuses
from margincover.coverage.value_pools import unit_factor
from margincover.errors import InputError, UsageError
from margincover.liquidity import debt, ladder, loans
from margincover.liquidity.conversion import price_usd
from margincover.liquidity.supply import OBLIGATIONS, SupplyView, supply_table
from margincover.model.book import Book, Tolerance
from margincover.model.liquidity import Concentration, DebtRow, LoanRow, SupplyTable
from margincover.model.pool import MarginPool
from margincover.model.provenance import Provenance
from margincover.model.results import PoolStatus
from margincover.model.risk import LiquidityAtRisk
from margincover.model.scenario import History, ScenarioGenerator
from margincover.numeric.quantile import tail_quantile
from margincover.paths.engine import BLOCK_PATHS, PathSettings, simulate
from margincover.paths.levels import extreme_ratios
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.units import SECONDS_PER_HOUR, format_duration
from margincover.venues.assets import PEGGED_TO_USD, is_pegged
from margincover.venues.pools import build_pools

# Minutes do not stand here: the paths move by the hour, and no way between venues is surer than that.
_HOURS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 120, 240)
BUCKETS_S = tuple(hour * SECONDS_PER_HOUR for hour in _HOURS)
MIN_PATHS = 5 * BLOCK_PATHS
# Every path keeps a number for each place at each bucket.
MAX_PATHS = 500_000

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquiditySettings:
    """Settings of one run; None takes the book's tolerance or the default.

    Parameters
    ----------
    tolerance : float or None
    horizon_s : int or None
        Whole hours, 1 h to 30 d: horizon of needs, debt coverage and outflow; the ladder and the survival horizon go to
        the last bucket. It becomes a bucket where it is none.
    buckets_s : tuple of int
        Whole hours, rising.
    frozen : tuple of str
        Venues, custodians, accounts, resources and assets from which nothing comes and to which nothing gets.
    slow, stress : bool
        99 % delays instead of medians; price impact of stress, no uncommitted lines.
    with_trading : bool
        Also draw on reserves earmarked for trading.
    paths : int
        1,280 to 500,000: standard errors of liquidity at risk need five blocks of 256.
    seed, scenarios, history, threads
        As for ``cover``.
    """

    tolerance: float | None = None
    horizon_s: int | None = None
    buckets_s: tuple[int, ...] = BUCKETS_S
    frozen: tuple[str, ...] = ()
    slow: bool = True
    stress: bool = True
    with_trading: bool = False
    paths: int = DEFAULT_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityRun:
    """One run: the book, its pools and loans, the generator, and the places of need in order."""

    book: Book
    settings: LiquiditySettings
    tolerance: float
    horizon_s: int
    buckets_s: tuple[int, ...]
    accounts: tuple[MarginPool, ...]
    loan_pools: tuple[MarginPool, ...]
    statuses: tuple[PoolStatus, ...]
    loan_levels: tuple[loans.LoanLevel, ...]
    generator: ScenarioGenerator
    calibration: Calibration

    @classmethod
    def of(cls, book: Book, settings: LiquiditySettings, generator: ScenarioGenerator | None) -> LiquidityRun:
        """Check the settings and prepare a run; errors as in ``app.liquidity.liquidity``."""
        stated = Tolerance(
            probability=book.tolerance.probability if settings.tolerance is None else settings.tolerance,
            horizon_s=book.tolerance.horizon_s if settings.horizon_s is None else settings.horizon_s,
            measure=book.tolerance.measure,
        )
        buckets = _buckets(settings, stated.horizon_s)
        _check_frozen(book, settings.frozen)
        calibration = load_packaged()
        pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
        levels = tuple(level for loan in book.loans for level in loans.loan_levels(loan))
        loan_pools = [loans.loan_pool(book, level, horizon_s=buckets[-1]) for level in levels]
        if generator is None:
            generator = build_generator(
                book,
                _factors(book, (*pools, *loan_pools), settings, calibration) or [calibration.names[0]],
                method=settings.scenarios,
                history=settings.history,
                calibration=calibration,
            )
        elif settings.scenarios is not None or settings.history is not None:
            raise UsageError("a generator with scenarios or history", field="generator", allowed="one of them")
        return cls(
            book=book,
            settings=settings,
            tolerance=stated.probability,
            horizon_s=stated.horizon_s,
            buckets_s=buckets,
            accounts=tuple(with_volatility(pools)),
            loan_pools=tuple(loan_pools),
            statuses=pool_statuses(pools),
            loan_levels=levels,
            generator=generator,
            calibration=calibration,
        )

    @property
    def pools(self) -> tuple[MarginPool, ...]:
        """Pools of the accounts, then two of each loan: where its lender calls, and where he liquidates."""
        return (*self.accounts, *self.loan_pools)

    @property
    def debt_places(self) -> tuple[str, ...]:
        """Places of need beside the accounts: loans by id, then what falls due."""
        called = dict.fromkeys(f"loan:{level.loan.id}" for level in self.loan_levels)
        return (*called, OBLIGATIONS)

    def running(self, progress: Callable[[int, int], None] | None) -> Array:
        """Path maximum of maintenance less equity up to each bucket, [bucket, pool, path], in the pools' units.

        Every bucket follows the same paths: a shorter run is the beginning of a longer one.
        """
        n_paths = -(-self.settings.paths // BLOCK_PATHS) * BLOCK_PATHS
        if not self.pools:
            return np.empty((len(self.buckets_s), 0, n_paths))
        found = []
        for number, until_s in enumerate(self.buckets_s):
            part = None if progress is None else _part(progress, number, len(self.buckets_s) + 1)
            found.append(simulate(self.pools, self.generator, self._paths(until_s), progress=part).maximum)
        result = np.stack(found)
        assert (np.diff(result, axis=0) >= 0.0).all(), "Invariant: a shorter run is the beginning of a longer one"
        return result

    def _paths(self, until_s: int) -> PathSettings:
        return PathSettings(
            n_paths=self.settings.paths,
            horizon_s=until_s,
            follow_s=until_s,
            seed=self.settings.seed,
            tolerance=self.tolerance,
            threads=self.settings.threads,
        )

    def needs(self, running: Array) -> ladder.NeedPaths:
        """Needs of every place along the paths, and the lowest prices of the coins that resources are made of."""
        units = {factor for pool in self.accounts if (factor := unit_factor(pool)) is not None}
        coins = {asset for _, asset in resource_assets(self.book) if not is_pegged(asset)}
        step_s = self.generator.info.step_s
        extremes = extreme_ratios(
            self.generator,
            [name for name in self.generator.info.factors if name in units | coins],
            [until // step_s for until in self.buckets_s],
            seed=self.settings.seed,
            n_paths=self.settings.paths,
        )
        return ladder.NeedPaths(
            running_usd=self._needs_usd(running, extremes),
            low_ratio={name: pair[0] for name, pair in extremes.items()},
        )

    def _needs_usd(self, running: Array, extremes: dict[str, tuple[Array, Array]]) -> Array:
        """Needs by place, [bucket, place, path], in US dollars.

        The pools of an account do not pay for each other: what they need adds up, and only an account none of whose
        pools needs money has margin to spare. A pool in a coin is turned into dollars at the coin's highest price
        up to then when it needs money, at the lowest when it has some.
        """
        n_buckets, _, n_paths = running.shape
        places = [*(account.id for account in self.book.accounts), *self.debt_places]
        short, spare = np.zeros((2, n_buckets, len(places), n_paths))
        for row, pool in enumerate(self.pools):
            if pool.id in self._liquidation_ids:
                continue
            place, unit = places.index(pool.account_id), unit_factor(pool)
            if unit is not None and unit not in extremes:
                raise InputError(
                    f"no paths of {unit}", account=pool.account_id, field=unit, allowed="a coin with paths"
                )
            low, high = (np.ones((n_buckets, n_paths)),) * 2 if unit is None else extremes[unit]
            amount = running[:, row] * pool.unit_usd
            short[:, place] += np.maximum(amount, 0.0) * high
            if pool.margin_mode == "cross":
                spare[:, place] += np.maximum(-amount, 0.0) * low
        dues = debt.scheduled(self.book, horizon_s=self.buckets_s[-1])
        short[:, places.index(OBLIGATIONS)] += np.array(debt.due_by(dues, self.buckets_s))[:, None]
        return np.where(short > 0.0, short, -spare)

    @property
    def _liquidation_ids(self) -> frozenset[str]:
        """The need of a loan is what its lender calls for; the level below it is only counted."""
        return frozenset(level.pool_id for level in self.loan_levels if level.name == loans.LIQUIDATION)

    def supply(self, times_s: Sequence[int]) -> SupplyTable:
        """Build the supply table of the settings at some times."""
        fallback = self.calibration.pessimistic_funding_per_hour
        weights, notes = margin_weights(self.book, funding_fallback=fallback)
        table = supply_table(
            self.book,
            times_s,
            weights=weights,
            pegged=PEGGED_TO_USD,
            view=SupplyView(
                slow=self.settings.slow,
                stress=self.settings.stress,
                frozen=self.settings.frozen,
                with_trading=self.settings.with_trading,
            ),
            debts=self.debt_places,
            idle=idle_margin(self.book, self.statuses),
        )
        return replace(table, notes=(*notes, *table.notes))

    def debts(
        self, dues: Sequence[debt.Due], everything: SupplyTable, needs: ladder.NeedPaths, last: int
    ) -> tuple[DebtRow, ...]:
        """Debts by due time up to a bucket, among them the quantile of what accounts and loans call for.

        ``everything`` is the supply at every start of a bucket and every due time.
        """
        margins = needs.running_usd[: last + 1, : len(self.book.accounts) + len(self.debt_places) - 1]
        return debt.debt_rows(
            dues,
            buckets_s=self.buckets_s[: last + 1],
            margin_needs_usd=[tail_quantile(np.maximum(rows, 0.0).sum(axis=0), self.tolerance) for rows in margins],
            usable_usd=lambda at_s: float(everything.at((at_s,)).usable_usd[0]),
        )

    def calls(self, progress: Callable[[int, int], None] | None) -> LiquidityAtRisk | None:
        """Liquidity at risk of the accounts up to the horizon, gross and net across venues; None without accounts."""
        if not self.accounts:
            return None
        law = next((pool.spot_volatility for pool in self.accounts if pool.spot_volatility is not None), None)
        part = None if progress is None else _part(progress, len(self.buckets_s), len(self.buckets_s) + 1)
        plan = measures.plan_risk(self.accounts, law=law)
        run = measures.run_risk(plan, self.generator, self._paths(self.horizon_s), progress=part)
        return measures.liquidity_at_risk(run, self.tolerance)

    def holdings(self) -> tuple[Concentration, ...]:
        """Equity in accounts by venue, and stable coins by coin, in accounts and reserves together."""
        venues: dict[str, float] = {}
        by_account = {account.id: account.venue for account in self.book.accounts}
        for status in self.statuses:
            venue = by_account[status.account_id]
            venues[venue] = venues.get(venue, 0.0) + status.equity_usd
        coins: dict[str, float] = {}
        held = [(row.asset, row.total_native) for account in self.book.accounts for row in account.balances]
        held += [(reserve.asset, reserve.amount_native) for reserve in self.book.reserves]
        held += [(moving.asset, moving.amount_native) for moving in self.book.in_transit]
        for asset, amount in held:
            if is_pegged(asset) and asset != "USD":
                coins[asset] = coins.get(asset, 0.0) + amount * price_usd(self.book, asset, f"balances.{asset}")
        return ladder.concentration("venue", venues), ladder.concentration("stable coin", coins)

    def loan_rows(self, running: Array, bucket: int) -> tuple[LoanRow, ...]:
        """Every loan now, and the share of paths on which its lender calls and liquidates up to a bucket."""
        touched = {pool.id: running[bucket, row] >= 0.0 for row, pool in enumerate(self.pools)}
        never = np.zeros(running.shape[2], dtype=np.bool_)
        found = []
        for loan in self.book.loans:
            hits = {level.name: touched[level.pool_id] for level in self.loan_levels if level.loan.id == loan.id}
            found.append(
                loans.loan_row(
                    self.book,
                    loan,
                    p_call=ladder.counted(hits.get(loans.CALL, never)),
                    p_liquidation=ladder.counted(hits.get(loans.LIQUIDATION, never)),
                )
            )
        return tuple(found)

    def provenance(self, supply: SupplyTable) -> Provenance:
        """Return the provenance of the result."""
        info = self.generator.info
        found = build_provenance(
            self.book,
            self.accounts,
            seed=self.settings.seed,
            settings={
                "tolerance": f"{self.tolerance:g}",
                "horizon": format_duration(self.horizon_s),
                "paths": str(self.settings.paths),
                "delays": "99 %" if self.settings.slow else "median",
                "stress": "yes" if self.settings.stress else "no",
                "frozen": ", ".join(self.settings.frozen) or "none",
            },
            scenario={"method": info.method, "label": info.label, "as_of": info.as_of, **info.params},
            warnings=[
                *funding_warnings(self.book, self.calibration.pessimistic_funding_per_hour),
                *info.warnings,
                *sample_warnings(replace(self.book.tolerance, probability=self.tolerance), self.settings.paths),
                *age_warnings(self.book, self.generator),
            ],
            not_modelled=[
                "who is sent what first: needs are met by the best placement that the ways allow",
                "outages of ways and of venues beyond those stated as frozen or suspended",
                "what a loan that is paid back sets free, and a rate that changes",
                *volatility_notes(self.accounts),
                *info.not_modelled,
            ],
        )
        return replace(found, not_modelled=tuple(text for text in found.not_modelled if text != RESOURCES_NOT_MODELLED))


def resource_assets(book: Book) -> list[tuple[str, str]]:
    """Return (field, asset) of everything whose price moves what resources bring."""
    rows = [(f"reserves.{row.id}", row.asset) for row in book.reserves]
    rows += [(f"in_transit.{row.id}", row.asset) for row in book.in_transit]
    return rows + [(f"credit_lines.{line.id}", line.asset) for line in book.credit_lines]


def _factors(
    book: Book, pools: Sequence[MarginPool], settings: LiquiditySettings, calibration: Calibration
) -> list[str]:
    """Return every factor that the run needs, sorted; a coin that no scenario moves is an error with its place."""
    wanted: dict[str, tuple[str | None, str]] = {}
    for pool in pools:
        unit = unit_factor(pool)
        for factor in (*pool.factors, *(() if unit is None else (unit,))):
            wanted.setdefault(factor, (pool.account_id, factor))
    for field, asset in resource_assets(book):
        if not is_pegged(asset):
            wanted.setdefault(asset, (None, f"{field}.asset"))
    for factor, (account, field) in wanted.items():
        if settings.history is None and factor not in calibration and factor not in book.proxies:
            raise InputError(
                f"{factor} is not in the packaged calibration ({', '.join(calibration.names)})",
                source=book.source,
                account=account,
                field=field,
                allowed=f"--history DIR with bars of {factor}, or a stand-in under `proxies` in the book",
            )
    return sorted(wanted)


def _part(progress: Callable[[int, int], None], number: int, count: int) -> Callable[[int, int], None]:
    """Return a progress that shows one of several runs as its part of the whole."""

    def report(done: int, total: int) -> None:
        progress(number * total + done, count * total)

    return report


def _buckets(settings: LiquiditySettings, horizon_s: int) -> tuple[int, ...]:
    if not MIN_PATHS <= settings.paths <= MAX_PATHS:
        raise UsageError(f"was {settings.paths}", field="--paths", allowed=f"{MIN_PATHS} to {MAX_PATHS}")
    if horizon_s % SECONDS_PER_HOUR or not SECONDS_PER_HOUR <= horizon_s <= LONGEST_S:
        raise UsageError(f"was {format_duration(horizon_s)}", field="--horizon", allowed="whole hours, 1h to 30d")
    buckets = settings.buckets_s
    is_hourly = all(until % SECONDS_PER_HOUR == 0 and until >= SECONDS_PER_HOUR for until in buckets)
    if not buckets or list(buckets) != sorted(set(buckets)) or not is_hourly:
        raise InputError(f"was {list(buckets)}", field="buckets", allowed="whole hours that rise, at least one")
    return tuple(sorted({*buckets, horizon_s}))


def _check_frozen(book: Book, frozen: Sequence[str]) -> None:
    known = {name for account in book.accounts for name in (account.id, account.venue)}
    known |= {name for reserve in book.reserves for name in (reserve.id, reserve.custodian, reserve.asset)}
    known |= {name for line in book.credit_lines for name in (line.id, line.lender, line.asset)}
    known |= {name for moving in book.in_transit for name in (moving.id, moving.asset)}
    known |= {way.asset for way in book.transfer_times}
    for name in frozen:
        if name not in known:
            raise UsageError(f"was '{name}'", field="--frozen", allowed=", ".join(sorted(known)))
