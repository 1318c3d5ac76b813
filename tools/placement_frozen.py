"""Each venue frozen in turn on one day of history: which account dies, when, and the buffer that prevents it."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from placement_desks import KINDS, random_desk
from placement_methods import TOLERANCE, Window
from placement_model import Grid, JointModel

from margincover.allocation.rebalance import RebalanceRule, least_capital
from margincover.allocation.rebalance_reference import follow_path
from margincover.numeric.rng import stream

DESKS_A_KIND = 10
HOURS = 24
HEDGED = ("part hedged", "hedged")
JOINED = ", legs joined"


class Case(TypedDict):
    """One desk with one venue frozen (-1: none): deaths in order, and the buffers that prevent them by venue.

    ``kind`` says so when hedge legs were joined; venues without positions are then left out. Money in units of a leg.
    """

    kind: str
    desk: int
    frozen: int
    capital: float
    deaths: list[tuple[int, int]]
    buffers: dict[int, float]


def rescued(
    window: Window, rule: RebalanceRule, capital: float, frozen: int
) -> tuple[list[tuple[int, int]], dict[int, float]]:
    """Return (hour, venue) of deaths in order, each after the buffers that prevent those before, and the buffers.

    A buffer stands at its venue beside the money of the rule, which does not see it. The last hour's need counts in
    full: a buffer that is a cent smaller does not prevent the death.
    """
    worst = window.came.worst_usd.copy()
    deaths: list[tuple[int, int]] = []
    buffers: dict[int, float] = {}
    while True:
        step, venue, ledger = follow_path(
            worst,
            window.came.close_usd,
            window.came.need_usd,
            0,
            share=rule.share,
            capital=capital,
            reserve_share=rule.reserve_share,
            band=rule.band_fraction,
            takes_back=rule.takes_back,
            delay=rule.delay_steps,
            useable=[v != frozen for v in range(worst.shape[1])],
        )
        if step < 0:
            return deaths, buffers
        extra = float(worst[step, venue, 0]) - ledger.cash[venue] + 1e-9
        if venue not in buffers:
            deaths.append((step, venue))
        buffers[venue] = buffers.get(venue, 0.0) + extra
        worst[:, venue] -= extra


def frozen_cases(grid: Grid, bar: int, *, n_paths: int, seed: int) -> list[Case]:
    """Return ten desks of each kind, planned at the close before ``bar``, with no venue and with each frozen."""
    model = JointModel.fit(grid, bar)
    drawn = model.draw(bar, n_steps=HOURS, n_paths=n_paths, seed=seed)
    came = model.came(bar, n_steps=HOURS)
    cases: list[Case] = []
    for number, kind in enumerate(KINDS):
        for each in range(DESKS_A_KIND):
            rng = stream(seed, "placement.frozen", number * DESKS_A_KIND + each)
            desk = random_desk(rng, kind, model.rows.size)
            cases += _cases(kind, each, Window.of(desk, drawn, came))
            if kind in HEDGED:
                cases += _cases(kind + JOINED, each, Window.of(desk.with_legs_joined(), drawn, came))
    return cases


def _cases(kind: str, desk: int, window: Window) -> list[Case]:
    rule = RebalanceRule(share=window.share)
    guess = 0.5 * float(window.far.sum())
    capital = least_capital(window.drawn, rule, tolerance=TOLERANCE, guess_usd=guess)
    found = []
    for frozen in range(-1, window.share.size):
        deaths, buffers = rescued(window, rule, capital, frozen)
        found.append(Case(kind=kind, desk=desk, frozen=frozen, capital=capital, deaths=deaths, buffers=buffers))
    return found


def frozen_table(cases: list[Case]) -> str:
    """Return a summary by kind, and every case of the first desk of each kind."""
    lines = [
        "| desks | survive, none frozen | survive, one frozen | extra buffer, worst venue frozen, part of capital |"
    ]
    lines.append("|---|---|---|---|")
    for kind in dict.fromkeys(case["kind"] for case in cases):
        of = [case for case in cases if case["kind"] == kind]
        free, held = [c for c in of if c["frozen"] < 0], [c for c in of if c["frozen"] >= 0]
        extra = [
            max(sum(c["buffers"].values()) / c["capital"] for c in held if c["desk"] == desk)
            for desk in range(DESKS_A_KIND)
        ]
        lines.append(
            f"| {kind} | {sum(not c['deaths'] for c in free)} of {len(free)} | "
            f"{sum(not c['deaths'] for c in held)} of {len(held)} | mean {np.mean(extra):.0%}, most {max(extra):.0%} |"
        )
    lines += ["", "| desk | frozen | dies (UTC, hour from) | extra buffer at, part of capital |", "|---|---|---|---|"]
    for case in cases:
        if case["desk"] == 0 and case["kind"] in KINDS:
            frozen = "none" if case["frozen"] < 0 else f"venue {case['frozen'] + 1}"
            dies = ", ".join(f"venue {venue + 1} at {step:02d}:00" for step, venue in case["deaths"]) or "survives"
            buffers = (
                ", ".join(f"venue {v + 1}: {x / case['capital']:.1%}" for v, x in case["buffers"].items()) or "none"
            )
            lines.append(f"| {case['kind']} | {frozen} | {dies} | {buffers} |")
    return "\n".join(lines).replace("%", " %")
