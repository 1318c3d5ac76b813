"""Plain twin of the compiled loop of `rebalance`: one path at a time, from the words of the rule."""

from __future__ import annotations

from dataclasses import dataclass, field

from margincover.numeric.arrays import StepPoolPath, Vector


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Where the money of one path is: at each venue, in the reserve, and under way as (arrival step, venue, amount)."""

    cash: list[float]
    reserve: float
    under_way: list[tuple[int, int, float]] = field(default_factory=list)

    def pending(self, venue: int) -> float:
        """Return what is under way to a venue."""
        return sum(amount for _, to, amount in self.under_way if to == venue)

    def receive(self, step: int) -> None:
        """Book what arrives before ``step``."""
        for arrival, to, amount in self.under_way:
            if arrival == step:
                self.cash[to] += amount
        self.under_way = [row for row in self.under_way if row[0] != step]


def moves(
    ledger: Ledger,
    headroom: list[float],
    need: list[float],
    *,
    cap: float,
    band: float,
    takes_back: bool,
    useable: list[bool],
) -> tuple[list[float], list[float], float]:
    """Return what is sent to each venue, taken from each venue, and taken from the reserve."""
    n = len(headroom)
    open_venues = [v for v in range(n) if useable[v]]
    nothing = [0.0] * n, [0.0] * n, 0.0
    needed = sum(need[v] for v in open_venues)
    total = ledger.reserve + sum(headroom[v] + ledger.pending(v) for v in open_venues)
    if needed <= 0.0 or total <= 0.0:
        return nothing
    unit = min(cap, total / needed)
    missing = {v: unit * need[v] - headroom[v] - ledger.pending(v) for v in open_venues}
    wanted = {v: missing[v] for v in open_venues if missing[v] > band * unit * need[v]}
    offered = {
        v: max(min(headroom[v] - unit * need[v], ledger.cash[v]), 0.0)
        for v in open_venues
        if takes_back and v not in wanted and headroom[v] > unit * need[v]
    }
    moved = min(sum(wanted.values()), ledger.reserve + sum(offered.values()))
    if moved <= 0.0:
        return nothing
    from_reserve = min(moved, ledger.reserve)
    sent = [wanted.get(v, 0.0) * moved / sum(wanted.values()) for v in range(n)]
    rest = moved - from_reserve
    taken = [offered[v] * rest / sum(offered.values()) if v in offered and rest > 0.0 else 0.0 for v in range(n)]
    return sent, taken, from_reserve


def follow_path(
    worst: StepPoolPath,
    close: StepPoolPath,
    need: StepPoolPath,
    path: int,
    *,
    share: Vector,
    capital: float,
    reserve_share: float,
    band: float,
    takes_back: bool,
    delay: int,
    useable: list[bool],
) -> tuple[int, int, Ledger]:
    """Return first liquidated step and venue (-1, -1: none) and the ledger at the end; see ``rebalance.follow``."""
    n_steps, n_venues = worst.shape[0], worst.shape[1]
    at_venues = (1.0 - reserve_share) * capital
    ledger = Ledger(cash=[at_venues * float(part) for part in share], reserve=reserve_share * capital)
    first = float(need[0, :, path].sum())
    cap = at_venues / first if first > 0.0 else 0.0
    for t in range(n_steps):
        ledger.receive(t)
        for v in range(n_venues):
            if worst[t, v, path] >= ledger.cash[v]:
                return t, v, ledger
        if t + 1 + delay >= n_steps:
            continue
        headroom = [ledger.cash[v] - float(close[t, v, path]) for v in range(n_venues)]
        now = [float(x) for x in need[t + 1, :, path]]
        sent, taken, from_reserve = moves(
            ledger, headroom, now, cap=cap, band=band, takes_back=takes_back, useable=useable
        )
        ledger.reserve -= from_reserve
        for v in range(n_venues):
            ledger.cash[v] -= taken[v]
            if sent[v] > 0.0:
                ledger.under_way.append((t + 1 + delay, v, sent[v]))
    return -1, -1, ledger
