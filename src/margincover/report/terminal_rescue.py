"""An emergency plan on a terminal: standing plan, rejections, accounts, the actions in order, the answer last."""

from __future__ import annotations

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.rescue import ContingencyResult, RescueAction, RescueResult
from margincover.model.results import Estimate
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable

DRY = "Nothing was traded, borrowed or sent: every step is for people to take."


def rescue_parts(result: RescueResult) -> RenderableType:
    """Return everything that the terminal shows of an emergency plan."""
    parts: list[RenderableType] = []
    if result.contingency is not None:
        parts += [*_contingency(result.contingency), Text("")]
    if result.rejected:
        parts += [_rejected(result), Text("")]
    parts += [_accounts(result), *_notes(result), Text("")]
    if result.actions:
        parts += [*_actions(result), Text("")]
    return Group(*parts, Text(rescue_headline(result), style="bold"), Text(DRY))


def rescue_headline(result: RescueResult) -> str:
    """Return the answer in words."""
    share, horizon = fmt.percent(result.tolerance, decimals=4), fmt.duration_words(result.horizon_s)
    limits = f"{share} over {horizon} for every account"
    change = f"P(any liquidation) {_p(result.any_before)} -> {_p(result.any_after)}"
    if result.meets and not result.actions:
        return f"Nothing to do: {result.state}, {limits} is kept. P(any liquidation) {_p(result.any_before)}."
    if result.meets:
        count = len(result.actions)
        return (
            f"{count} step{'' if count == 1 else 's'} for {fmt.usd(result.cost_usd)} keep{'s' if count == 1 else ''} "
            f"{limits}: {change}, "
            f"{_p(result.any_check)} on fresh paths."
        )
    lost = [account for account in result.accounts if not account.is_kept]
    words = "; ".join(
        f"{account.id} is lost with {_p(account.p_after)}"
        + (f", half of it by {fmt.duration_words(account.lost_p50_s)}" if account.lost_p50_s else ", now")
        + f": {fmt.usd(account.extra_buffer_usd)} more at the start would keep it"
        for account in lost
    )
    best = f" The best that is in time costs {fmt.usd(result.cost_usd)}: {change}." if result.actions else ""
    return f"No plan in time keeps {limits}. {words}.{best}"


def _actions(result: RescueResult) -> list[RenderableType]:
    found: list[RenderableType] = [Text(f"The plan, from {_time(result.as_of, 0)}, {result.state}", style="bold")]
    for number, action in enumerate(result.actions, start=1):
        found.append(Text(f"{number}. {action.text}"))
        found.append(Text(f"   {_when(result, action)}", style="dim"))
        found.append(
            Text(
                f"   buys: P(liquidation of {action.account}) {_p(action.p_before)} -> {_p(action.p_after)}; costs "
                f"{fmt.usd(action.cost.total_usd)}{_cost_words(action)}",
                style="dim",
            )
        )
    return found


def _when(result: RescueResult, action: RescueAction) -> str:
    if action.arrives_s == 0:
        by = "" if action.order_by_s is None else f"; at the latest by {_time(result.as_of, action.order_by_s)}"
        return f"do it now{by}"
    words = f"order it now; counts from {_time(result.as_of, action.arrives_s)}"
    if action.deadline_s is None or action.order_by_s is None:
        return words
    return (
        f"{words}, deadline {_time(result.as_of, action.deadline_s)}: an order after "
        f"{_time(result.as_of, action.order_by_s)} is too late"
    )


def _cost_words(action: RescueAction) -> str:
    parts = [
        f"{name} {fmt.usd(value)}"
        for name, value in (
            ("fees", action.cost.fees_usd),
            ("interest", action.cost.interest_usd),
            ("impact", action.cost.impact_usd),
        )
        if value > 0.0
    ]
    return f" ({', '.join(parts)})" if len(parts) > 1 else ""


def _accounts(result: RescueResult) -> FittedTable:
    rows = result.accounts
    return FittedTable(
        title=f"P(liquidation) within {fmt.duration_words(result.horizon_s)}, worst first",
        columns=[
            Column(title="Account", cells=[row.id for row in rows], justify="left", name=True),
            Column(title="Now", cells=[_p(row.p_before) for row in rows]),
            Column(title="With the plan", cells=[_p(row.p_after) for row in rows]),
            Column(title="Fresh paths", cells=[_p(row.p_check) for row in rows], priority=2),
            Column(title="Deadline", cells=[_deadline(row.deadline_s) for row in rows], priority=1),
            Column(title="Missing", cells=[_missing(row.extra_buffer_usd) for row in rows]),
        ],
    )


def _notes(result: RescueResult) -> list[RenderableType]:
    share = fmt.percent(result.tolerance, decimals=4)
    notes = [
        f"Deadline: until then at most {share} of the paths are lost when nobody acts; money must count by then.",
        "Kept means that the upper end of the 95 % interval is within the tolerance. Missing: cash needed at the start "
        "on top of the plan.",
    ]
    return [Text(note, style="dim") for note in notes]


def _rejected(result: RescueResult) -> RenderableType:
    lines = [Text("Not in the plan", style="bold")]
    lines += [Text(f"- {row.text}: {row.reason}", style="dim") for row in result.rejected]
    return Group(*lines)


def _contingency(standing: ContingencyResult) -> list[RenderableType]:
    uses, accounts = standing.uses, standing.accounts
    return [
        FittedTable(
            title="Standing contingency plan, run along the paths",
            columns=[
                Column(title="Action", cells=[use.id for use in uses], justify="left", name=True),
                Column(title="Account", cells=[use.account for use in uses], justify="left", priority=3),
                Column(title="Below", cells=[fmt.ratio(use.trigger_coverage_ratio) for use in uses]),
                Column(title="Arrives", cells=[fmt.duration_words(use.lead_s) for use in uses], priority=1),
                Column(title="Used", cells=[_p(use.p_used) for use in uses]),
                Column(title="Mean", cells=[fmt.usd(use.mean_usd) for use in uses], priority=2),
                Column(title="Used up", cells=[_p(use.p_exhausted) for use in uses], priority=4),
                Column(title="Approver", cells=[use.approver for use in uses], priority=5),
                Column(title="Tested", cells=[_tested(use.tested_at) for use in uses], priority=6),
            ],
        ),
        *(Text(f"- {note}", style="dim") for note in standing.notes),
        Text(
            f"P(any liquidation) without it {_p(standing.any_without)}, with it {_p(standing.any_with)}; it costs "
            f"{fmt.usd(standing.mean_cost_usd)} on average."
        ),
        *(
            Text(
                f"- {row.id}: {_p(row.p_without)} -> {_p(row.p_with)}"
                + "".join(f"; {reason} {fmt.percent(share)}" for reason, share in row.failures.items()),
                style="dim",
            )
            for row in accounts
        ),
    ]


def _p(estimate: Estimate) -> str:
    return fmt.probability(estimate)


def _tested(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d}"


def _deadline(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return "now" if seconds <= 0 else fmt.duration_words(seconds)


def _missing(amount_usd: float) -> str:
    return "-" if amount_usd <= 0.0 else fmt.usd(amount_usd)


def _time(as_of: datetime, seconds: int) -> str:
    return f"{as_of + timedelta(seconds=seconds):%Y-%m-%d %H:%MZ}"
