"""What a pool is charged step by step beside prices: funding that varies, marks that leave their index, quotes.

All three change the wallet and nothing else, as funding does: requirements stay on the index, so that a position hedged
in its own coin stays hedged inside a step. The sums are those of ``paths.reference.run_pool``.

- Funding: notional at the start of the step times the rate of the step.
- Mark: a leg gains its notional times (m - 1), where m is the mark over the index, relative to the start.
- Quotes, in accounts that count in USD: coin prices come in one stable coin (``BASE_QUOTE``). A contract in another
  quote has that rate in its m, and coins held as collateral change with the rate of ``BASE_QUOTE`` to the dollar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock, ScenarioInfo

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# Quote of the packaged calibration and of the histories that the loader reads by default.
BASE_QUOTE = "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeTable:
    """Legs and assets of one pool that are charged; index arrays hold -1 where something does not apply.

    ``factors`` are rows of the generator; ``leg_factor``, ``leg_plus`` and ``leg_minus`` (the quotes of m) and ``base``
    point into them. ``notional`` [leg] is signed, at the start, in the asset; ``coins`` [coin] are assets of the pool
    with ``balance`` [coin].
    """

    factors: Index
    n_assets: int
    leg_asset: Index
    leg_factor: Index
    leg_inverse: NDArray[np.bool_]
    notional: Array
    leg_funding: Index
    leg_mark: Index
    leg_plus: Index
    leg_minus: Index
    base: int
    coins: Index
    balance: Array

    @property
    def moves_marks(self) -> bool:
        """Whether any leg's mark leaves its index or any coin its quote."""
        return bool((self.leg_mark >= 0).any() or (self.leg_plus >= 0).any() or (self.leg_minus >= 0).any()) or (
            self.base >= 0 and self.coins.size > 0
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is charged."""
        return not self.moves_marks and not bool((self.leg_funding >= 0).any())

    def of(
        self, ratio: Array, *, funding: Array | None, mark_ratio: Array | None, hours: float
    ) -> tuple[Array, Array | None]:
        """Return charges of some steps: of funding and, where marks move, of marks and quotes, [step, asset, path].

        Parameters
        ----------
        ratio : array [node, row of ``factors``, path]
            Over the start; one node more than steps.
        funding : array [step, row of the block, path] or None
        mark_ratio : array [node, row of the block, path] or None
            Mark over index, relative to the start.
        hours : float
            Length of a step.
        """
        shape = (ratio.shape[0] - 1, self.n_assets, ratio.shape[2])
        paid = np.zeros(shape)
        moved = np.zeros((ratio.shape[0], *shape[1:])) if self.moves_marks else None
        for leg, notional in enumerate(self.notional):
            price, inverse = ratio[:, self.leg_factor[leg]], bool(self.leg_inverse[leg])
            asset, row = self.leg_asset[leg], self.leg_funding[leg]
            if row >= 0:
                assert funding is not None, "Invariant: a row of funding comes with its block"
                rate = funding[:, row] * (notional * hours)
                paid[:, asset] += rate / price[:-1] if inverse else rate * price[:-1]
            multiple = self._multiple(leg, ratio, mark_ratio)
            if moved is not None and multiple is not None:
                if inverse:
                    moved[:, asset] += notional / price * (1.0 - 1.0 / multiple)
                else:
                    moved[:, asset] += notional * price * (multiple - 1.0)
        if moved is None:
            return paid, None
        if self.base >= 0:
            for coin, balance in zip(self.coins, self.balance, strict=True):
                moved[:, coin] += balance * (ratio[:, self.base] - 1.0)
        return paid, -np.diff(moved, axis=0)

    def _multiple(self, leg: int, ratio: Array, mark_ratio: Array | None) -> Array | None:
        """Return what the mark of a leg is over the coin's factor, [node, path]; None where it is the same."""
        mark, plus, minus = self.leg_mark[leg], self.leg_plus[leg], self.leg_minus[leg]
        if mark < 0 and plus < 0 and minus < 0:
            return None
        multiple = np.ones((ratio.shape[0], ratio.shape[2]))
        if mark >= 0:
            assert mark_ratio is not None, "Invariant: a row of marks comes with its block"
            multiple = multiple * mark_ratio[:, mark]
        if plus >= 0:
            multiple = multiple * ratio[:, plus]
        return multiple / ratio[:, minus] if minus >= 0 else multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRows:
    """Rows of a block that charges read, as ratios from the start on: marks [node, row, path]."""

    funding: Array | None
    mark_ratio: Array | None

    @classmethod
    def of(cls, block: ScenarioBlock, *, paths: Index | None = None, n_steps: int | None = None) -> BlockRows:
        """Return the rows of a block, of its first steps and some paths where these are given."""
        funding, logs = (
            rows if rows is None else rows[:n_steps] if paths is None else rows[:n_steps][:, :, paths]
            for rows in (block.funding_per_hour, block.mark_log)
        )
        if logs is None:
            return cls(funding=funding, mark_ratio=None)
        marks = np.ones((logs.shape[0] + 1, *logs.shape[1:]))
        np.exp(logs, out=marks[1:])
        return cls(funding=funding, mark_ratio=marks)

    def part(self, first: int, n_steps: int) -> Mapping[str, Array | None]:
        """Return the rows of some steps, as arguments of ``ChargeTable.of``."""
        return {
            "funding": None if self.funding is None else self.funding[first : first + n_steps],
            "mark_ratio": None if self.mark_ratio is None else self.mark_ratio[first : first + n_steps + 1],
        }


def charged_by_node(
    table: ChargeTable, block: ScenarioBlock, hours: float, *, paths: Index | None = None, n_steps: int | None = None
) -> tuple[Array, Array]:
    """Return what a pool has been charged by each node: for funding that varies, for marks; each [node, asset, path].

    Parameters
    ----------
    paths : array [path] or None
        Some paths of the block; None takes all.
    n_steps : int or None
        The first steps; None takes all.
    """
    length = block.close_log.shape[0] if n_steps is None else n_steps
    every = np.arange(block.close_log.shape[2]) if paths is None else paths
    ratio = np.ones((length + 1, table.factors.size, every.size))
    np.exp(block.close_log[:length, table.factors][:, :, every], out=ratio[1:])
    rows = BlockRows.of(block, paths=paths, n_steps=length)
    each = table.of(ratio, hours=hours, **rows.part(0, length))
    total = np.zeros((2, length + 1, table.n_assets, every.size))
    for k, part in enumerate(each):
        if part is not None:
            np.cumsum(part, axis=0, out=total[k, 1:])
    return total[0], total[1]


def charge_table(pool: MarginPool, info: ScenarioInfo) -> ChargeTable | None:
    """Return what a pool is charged along the paths of a generator; None where nothing is."""
    legs = pool.legs
    names = [pool.factors[f] for f in legs.factor_index]
    rows: list[str] = list(dict.fromkeys(names))
    base, quotes = _quotes(pool, info)
    rows += [name for name in (base, *quotes.values()) if name and name not in rows]
    mark = [_at(info.marks, f"{name}@{pool.venue}") for name in names]
    priced = [row for row, factor in enumerate(pool.assets.factor_index) if factor >= 0 and _is_coin(pool, factor)]
    size = legs.signed_size
    table = ChargeTable(
        factors=np.array([info.factors.index(name) for name in rows], dtype=np.int64),
        n_assets=pool.assets.count,
        leg_asset=legs.asset_index.astype(np.int64),
        leg_factor=np.array([rows.index(name) for name in names], dtype=np.int64),
        leg_inverse=legs.inverse,
        notional=np.where(legs.inverse, size / legs.mark_price, size * legs.mark_price),
        leg_funding=np.array([_at(info.funding, name) for name in legs.instrument_ids], dtype=np.int64),
        leg_mark=np.array(mark, dtype=np.int64),
        leg_plus=np.array([_at(rows, base) if base and q != BASE_QUOTE else -1 for q in legs.quotes], dtype=np.int64),
        leg_minus=np.array([_at(rows, quotes.get(q, "")) for q in legs.quotes], dtype=np.int64),
        base=_at(rows, base),
        coins=np.array(priced, dtype=np.int64),
        balance=pool.assets.balance_native[priced],
    )
    return None if table.is_empty else table


def _quotes(pool: MarginPool, info: ScenarioInfo) -> tuple[str, dict[str, str]]:
    """Return the factor of ``BASE_QUOTE``, and those of other quotes by quote; nothing where quotes do not matter.

    An account that counts in one stable coin alone sees prices in that coin only. Options are valued on the index as
    the generator makes it, so that accounts that hold some keep one index for all.
    """
    base = f"{BASE_QUOTE}@{pool.venue}"
    if pool.unit != "USD" or pool.options.count or base not in info.factors:
        return "", {}
    others = {quote: f"{quote}@{pool.venue}" for quote in pool.legs.quotes if quote not in ("USD", BASE_QUOTE)}
    return base, {quote: name for quote, name in others.items() if name in info.factors}


def _is_coin(pool: MarginPool, factor: int) -> bool:
    return not pool.factors[factor].endswith(f"@{pool.venue}")


def _at(names: tuple[str, ...] | list[str], name: str) -> int:
    return names.index(name) if name and name in names else -1
