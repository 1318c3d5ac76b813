"""Words and rows of an allocation that terminal and page share."""

from __future__ import annotations

from margincover.model.allocation import AllocationResult, PlacedCapital, TransferNow
from margincover.model.results import Estimate
from margincover.report import format as fmt
from margincover.report.format import Rounding

NEVER_MOVED = "Nothing was moved: margincover never moves money. These are orders for a person to check and give."
RULE_NOTE = (
    "Standing rule: look every step of the paths; when the headroom of a pool (equity - maintenance, money on its way "
    "included) is below the trigger, send from the reserve what brings it back to the trigger. The trigger follows the "
    "state: the multiple times the hourly standard deviation of headroom at the time. It was run at today's."
)
COMPARE_NOTE = (
    "Capital if nothing stood anywhere, equity included; the probability is that of the same fresh paths. Jointly and "
    "in proportion answer for any liquidation; alone splits the tolerance evenly over the pools."
)
SHIFT_NOTE = (
    "Capital from nothing held, at the same joint limit. A hedge in one place closes both legs against each other: "
    "what they earned in funding or basis ends with them. Costs are taker fees of both sides, without slippage."
)


def headline(result: AllocationResult) -> str:
    """Return the answer in a sentence or two."""
    risk = f"any liquidation within {fmt.duration_words(result.horizon_s)}"
    now = f"Now P({risk}) is {fmt.probability(result.p_now)}, tolerance {fmt.percent(result.tolerance, decimals=4)}."
    if result.status == "infeasible":
        return f"No plan: {result.message}. {now}"
    new = (
        f"{cents(result.fresh_cents)} of new capital is needed"
        if result.fresh_cents
        else f"no new capital is needed, {cents(result.returned_cents)} is not needed any more"
        if result.returned_cents
        else "no new capital is needed"
    )
    count = len(result.transfers)
    moves = "no move" if not count else f"{count} move{'' if count == 1 else 's'}"
    plan = f"{moves}; {new}; with plan and rules {fmt.probability(result.p_planned)}."
    if result.status == "fallback":
        return f"FALLBACK, not optimal: {result.message}. {now} {plan[0].upper()}{plan[1:]}"
    return f"{now} The plan: {plan}"


def cents(amount: int) -> str:
    """Return whole cents as dollars with both decimals."""
    return f"{amount // 100:,}.{amount % 100:02d} USD"


def proof(result: AllocationResult) -> str:
    """Return what is proven and re-checked of the plan."""
    if result.status != "planned":
        return "Nothing is proven of this answer."
    gap = "below 0.0001 %" if result.gap < 1e-6 else fmt.percent(result.gap, decimals=4)
    stopped = f" {result.message[0].upper()}{result.message[1:]}." if result.message else ""
    return (
        f"Least cost at this joint limit up to a proven gap of {gap}; re-computed without the solver the largest "
        f"violation is {max(result.recheck_excess_usd, 0.0):.2g} USD; money in = money out to {result.imbalance_cents} "
        f"cents. Joint limit: Expected Shortfall at {fmt.percent(result.joint_tail, decimals=4)}, the loosest tried "
        f"whose rate on validation paths is at most {fmt.percent(result.validation_bound, decimals=3)} (95 %).{stopped}"
    )


def change(pool: PlacedCapital) -> str:
    """Return what comes or goes."""
    difference = pool.planned_usd - pool.held_usd
    if abs(difference) < 0.01:
        return "stays"
    return f"+{fmt.usd(difference, rounding=Rounding.UP)}" if difference > 0 else fmt.usd(difference)


def until_there(pool: PlacedCapital) -> str:
    """Return the probability until the money of the plan is there; "-" where nothing comes."""
    return fmt.probability(pool.p_before_arrival) if pool.planned_usd - pool.held_usd >= 0.01 else fmt.ABSENT


def trigger(pool: PlacedCapital) -> str:
    """Return the trigger of a pool in dollars."""
    return "none: prefunded" if pool.delay_s is None else fmt.usd(pool.trigger_usd, rounding=Rounding.UP)


def multiple(value: float | None) -> str:
    """Return a multiple with one decimal, "-" for None."""
    return fmt.ABSENT if value is None else f"{value:.1f}x"


def arrival(move: TransferNow) -> str:
    """Return median and 99 % delay of a move."""
    if move.arrival_p99_s is None:
        return "no way in the book"
    return f"{fmt.duration(move.arrival_p50_s)} / {fmt.duration(move.arrival_p99_s)}"


def hour(pool: PlacedCapital) -> str:
    """Return the capital that an hour less delay saves."""
    return fmt.ABSENT if pool.hour_value_usd is None else fmt.usd(pool.hour_value_usd)


def places(result: AllocationResult) -> tuple[list[str], list[str]]:
    """Return frozen places (rows) and pools (columns) of the N-1 matrix, in order."""
    rows = list(dict.fromkeys(cell.place for cell in result.outages))
    return rows, list(dict.fromkeys(cell.pool_id for cell in result.outages))


def extras(result: AllocationResult) -> list[str]:
    """Return one sentence for each pool that a frozen place puts above the tolerance."""
    lines = [
        f"{cell.place} frozen: {cell.pool_id} is liquidated with {fmt.probability(cell.probability)}; "
        f"{fmt.usd(cell.extra_usd, rounding=Rounding.UP)} more there prevents it"
        for cell in result.outages
        if cell.probability.value > result.tolerance
    ]
    return lines or ["No frozen place puts any pool above the tolerance."] if result.outages else []


def values(result: AllocationResult) -> list[str]:
    """Return sentences on binding limits and the value of information."""
    lines = [f"binding: {', '.join(result.binding) or 'no limit: what stands there is enough'}"]
    if result.evpi_usd is not None and result.vss_usd is not None:
        lines.append(
            f"over {fmt.duration_words(result.horizon_s)}, with liquidation loss in place of limits: perfect "
            f"information would be worth {fmt.usd(max(result.evpi_usd, 0.0))}; planning for the mean path "
            f"instead of all would cost {fmt.usd(max(result.vss_usd, 0.0))}"
        )
    if result.line_usd > 0:
        lines.append(f"of the reserve {fmt.usd(result.line_usd, rounding=Rounding.DOWN)} is undrawn committed credit")
    return lines


def saving(before: float, after: float) -> str:
    """Return a saving with its share."""
    share = f" ({fmt.percent((before - after) / before, decimals=1)})" if before > 0.0 else ""
    return f"{fmt.usd(before - after)}{share}"


def share(value: float | None) -> str:
    """Return capital over that of each pool alone."""
    return fmt.ABSENT if value is None else f"{value:.3f}"


def short_probability(estimate: Estimate) -> str:
    """Return a probability without its interval; without a hit the upper end of it."""
    return f"< {fmt.percent(estimate.high)}" if estimate.value == 0.0 else fmt.percent(estimate.value)
