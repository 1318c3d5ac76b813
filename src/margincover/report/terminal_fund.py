"""A fund's size, and policies side by side, on a terminal: tables first, the answer last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.clearing.fund_report import FundSizeData, PolicyOutcome, PresentFund, WaterfallData
from margincover.model.provenance import Provenance
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding, percent, usd

_UP = Rounding.UP


def fund_size_tables(data: FundSizeData) -> RenderableType:
    """Return warnings, sizes by method, the present fund, the sensitivity, and the answer."""
    parts: list[RenderableType] = [*_warnings(data.provenance), Text(_sample_text(data)), Text("")]
    parts += [_table("Size by method", ("method", "size", "95 % interval"), _size_rows(data)), Text("")]
    if data.present is not None:
        parts += [_table("The present fund", ("", ""), _present_rows(data.present)), Text("")]
    if data.maintenance:
        headers = ("maintenance", "mean deficit", "newsvendor", "99.5 % quantile", "due at once")
        rows = [
            (
                f"x {case.factor:g}",
                usd(case.mean_deficit_usd),
                usd(case.newsvendor_usd, rounding=_UP),
                usd(case.var_usd, rounding=_UP),
                f"{case.due:,}",
            )
            for case in data.maintenance
        ]
        parts += [_table("By maintenance, same accounts and paths", headers, rows), Text("")]
    parts += [Text(f"note: {note}", style="dim") for note in data.size.notes]
    return Group(*parts, Text(_size_headline(data), style="bold"))


def waterfall_tables(data: WaterfallData) -> RenderableType:
    """Return warnings, who pays what, measures by policy, and the answer."""
    first = data.outcomes[0]
    sums = (
        f"{data.market} jumps {data.shock:+.1%}: {data.n_failed:,} of {data.n_accounts:,} accounts owe "
        f"{usd(data.deficit_usd)} beyond their own money; with that the loss is {_cents(data.loss_usd)} USD"
    )
    names = [layer.name for layer in first.layers[:-1]]
    paid = [(name, *(_cents(each.paid_usd[k]) for each in data.outcomes)) for k, name in enumerate(names)]
    paid += [
        ("the policy", *(_cents(each.paid_usd[-1]) for each in data.outcomes)),
        ("residual", *(_cents(each.residual_usd) for each in data.outcomes)),
    ]
    headers = ("paid by, USD", *(f"{each.name}{' *' if each.is_own else ''}" for each in data.outcomes))
    return Group(
        *_warnings(data.provenance),
        Text(sums),
        Text(""),
        _table("Who pays", headers, paid),
        Text(f"* in the rules of {data.venue}", style="dim"),
        Text(""),
        _table("Measures", ("", *headers[1:]), _measure_rows(data.outcomes)),
        Text(
            f"change by a split: of the {data.n_split} best endowed accounts, the largest saving by splitting in two "
            "as part of what it has; negative where it loses",
            style="dim",
        ),
        Text(""),
        Text(_waterfall_headline(data), style="bold"),
    )


def _size_rows(data: FundSizeData) -> list[tuple[str, ...]]:
    size = data.size
    rows: list[tuple[str, ...]] = [
        ("newsvendor", usd(size.newsvendor_usd, rounding=_UP), _interval(*size.newsvendor_interval_usd))
    ]
    rows += [(f"Cover-{n}", usd(value, rounding=_UP), "-") for n, value in size.cover_usd.items()]
    for tail, risk in size.tails.items():
        level = percent(1.0 - tail)
        rows.append((f"quantile {level}", usd(risk.var.value, rounding=_UP), _interval(risk.var.low, risk.var.high)))
        if risk.es is None:
            rows.append((f"ES {level}", "no finite mean", "-"))
        else:
            rows.append((f"ES {level}", usd(risk.es.value, rounding=_UP), _interval(risk.es.low, risk.es.high)))
    return rows


def _present_rows(present: PresentFund) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("fund", usd(present.fund_usd)),
        ("of the recommended size", percent(present.covers_fraction)),
        ("probability that it is drawn", _chance(present.drawn)),
        ("probability that it is used up", _chance(present.depletion)),
        ("mean deficit that it leaves", usd(present.expected_residual_usd)),
    ]
    if present.refill_days is not None:
        half, most = present.refill_days
        rows.append(("days until full again, by period: 1 of 2, 19 of 20", f"{_days(half)} and {_days(most)}"))
    return rows


def _measure_rows(outcomes: Sequence[PolicyOutcome]) -> list[tuple[str, ...]]:
    return [
        ("accounts that pay", *(f"{each.payers:,}" for each in outcomes)),
        ("overshoot", *(_signed(each.measures.overshoot_usd) for each in outcomes)),
        ("largest part taken", *(percent(each.measures.largest_fraction) for each in outcomes)),
        ("Gini of amounts", *(f"{each.measures.gini_taken:.3f}" for each in outcomes)),
        ("Gini of fractions", *(f"{each.measures.gini_fractions:.3f}" for each in outcomes)),
        ("paid by the largest tenth", *(percent(each.measures.top_tenth_share) for each in outcomes)),
        ("change by a split", *(percent(each.split_gain_fraction) for each in outcomes)),
    ]


def _sample_text(data: FundSizeData) -> str:
    where = "the losses of the file" if data.venue is None else f"the fund of {data.venue}"
    market = "" if data.market_usd is None else f", open interest {usd(data.market_usd)}"
    span = "" if data.horizon_days is None else f" of {data.horizon_days:g} days"
    return (
        f"{where}{market}: {data.n_paths:,} paths{span}, {percent(data.share_with_deficit)} of them with a deficit, "
        f"mean {usd(data.mean_deficit_usd)}"
    )


def _size_headline(data: FundSizeData) -> str:
    size = data.size
    text = f"a fund of {usd(size.recommended_usd, rounding=_UP)}: {size.binding} asks for most"
    if data.present is None:
        return text
    missing = size.recommended_usd - data.present.fund_usd
    return f"{text}; {usd(missing, rounding=_UP)} are missing" if missing > 0.0 else f"{text}; the fund holds it"


def _waterfall_headline(data: WaterfallData) -> str:
    left = [each for each in data.outcomes if each.residual_usd >= 0.01]
    if left:
        short = ", ".join(f"{each.name} {usd(each.residual_usd, rounding=_UP)}" for each in left)
        return f"not paid by anybody: {short}"
    if all(each.measures.taken_usd < 0.01 for each in data.outcomes):
        return "the prefunded layers pay all: no policy is needed"
    fairest = min(data.outcomes, key=lambda each: each.measures.largest_fraction)
    return f"every policy pays all; {fairest.name} takes the smallest part from whom it takes most"


def _warnings(provenance: Provenance) -> list[RenderableType]:
    return [Text(f"warning: {note}", style="yellow") for note in provenance.warnings]


def _table(title: str, headers: Sequence[str], rows: Sequence[tuple[str, ...]]) -> FittedTable:
    return FittedTable(
        title=title,
        columns=[
            Column(title=header, cells=[row[k] for row in rows], justify="left" if k == 0 else "right")
            for k, header in enumerate(headers)
        ],
    )


def _interval(low: float, high: float) -> str:
    return f"{usd(low, rounding=Rounding.DOWN)} to {usd(high, rounding=_UP) if math.isfinite(high) else 'no bound'}"


def _chance(estimate: tuple[float, float, float]) -> str:
    value, low, high = (percent(part) for part in estimate)
    return f"{value} ({low} to {high})"


def _days(days: float) -> str:
    return f"{days:.1f}" if math.isfinite(days) else "never"


def _signed(value: float) -> str:
    """Less than a cent is the rounding of a sum, not an overshoot."""
    return usd(value if abs(value) >= 0.01 else 0.0)


def _cents(value: float) -> str:
    return f"{value:,.2f}"
