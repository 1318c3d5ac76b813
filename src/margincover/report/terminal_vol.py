"""A volatility assessment on a terminal: one table per coin, best model first."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.volatility import CoinVolatility, ForecastScores, ModelVolatility, VolatilityResult
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable

_NOTE = (
    "Annual volatility, 365 days; now is the next step without its season. QLIKE and log MSE: smaller is better. "
    "Ratio: variance that came over forecast. MZ R2: share of variance explained. p: Diebold-Mariano against the best."
)


def volatility_tables(result: VolatilityResult) -> RenderableType:
    """Return the tables of all coins, then what could not be assessed and why."""
    parts: list[RenderableType] = []
    for coin in result.coins:
        parts += [_coin_table(coin), *_fallbacks(coin), *_ranges(coin), *_season(coin)]
        parts += [Text(f"{coin.coin}: {note}", style="dim") for note in coin.notes]
        parts.append(Text(""))
    if result.coins:
        parts.append(Text(_NOTE, style="dim"))
    parts += [Text(f"not assessed: {reason}", style="bold red") for reason in result.failed.values()]
    return Group(*parts)


def _coin_table(coin: CoinVolatility) -> FittedTable:
    models = coin.models
    return FittedTable(
        title=f"{coin.coin}, bars to {coin.end_utc}",
        headline=headline(coin),
        columns=[
            Column(title="Model", cells=[_starred(model) for model in models], justify="left", name=True),
            Column(title="Now", cells=[_percent(model.level_annual) for model in models]),
            Column(title="24 h", cells=[_percent(model.one_day_annual) for model in models]),
            Column(title="5 d", cells=[_percent(model.five_days_annual) for model in models]),
            Column(title="QLIKE", cells=[_score(m, lambda s: f"{s.qlike:.3f}") for m in models], priority=1),
            Column(title="p", cells=[_score(m, _p_value) for m in models], priority=2),
            Column(title="Log MSE", cells=[_score(m, lambda s: f"{s.log_mse:.3f}") for m in models], priority=3),
            Column(title="Ratio", cells=[_score(m, lambda s: f"{s.mean_ratio:.2f}") for m in models], priority=4),
            Column(title="MZ R2", cells=[_score(m, _r2) for m in models], priority=5),
            Column(title="Days", cells=[_score(m, lambda s: f"{s.n_days}") for m in models], priority=7),
        ],
    )


def headline(coin: CoinVolatility) -> str:
    """Return what the scores say in a sentence."""
    if not coin.best:
        return f"{coin.coin}: no model could be scored"
    ranked = [model for model in coin.models if model.scores is not None]
    best = next(model for model in ranked if model.name == coin.best)
    # What another method answered on most days says nothing of the model.
    own = [m for m in ranked if m.scores and 2 * sum(m.fallback_days.values()) < m.scores.n_days]
    equal = [m.name for m in own if m.scores and m.scores.p_against_best and m.scores.p_against_best > 0.05]
    assert best.scores is not None, "Invariant: the best has a score"
    text = f"{coin.coin}: {best.name} forecast best over {best.scores.n_days} days (QLIKE {best.scores.qlike:.3f})"
    if equal:
        return f"{text}; not told apart from it at 5 %: {', '.join(equal)}"
    return f"{text}; all others are worse at 5 %"


def fallback_text(model: ModelVolatility) -> str:
    """Return what answered instead of the model, now and on scored days."""
    now = [f"now {model.fallback_now}"] if model.fallback_now else []
    return "; ".join([*now, *(f"{reason} on {count} days" for reason, count in model.fallback_days.items())])


def _starred(model: ModelVolatility) -> str:
    return f"{model.name}*" if fallback_text(model) else model.name


def _fallbacks(coin: CoinVolatility) -> list[Text]:
    # Below the table and not in it: a narrow screen must not hide that another method answered.
    named = [(model.name, fallback_text(model)) for model in coin.models]
    return [Text(f"* {name}: {text}", style="yellow") for name, text in named if text]


def _ranges(coin: CoinVolatility) -> list[Text]:
    windows = next(iter(coin.range_annual.values()), {})
    return [
        Text(
            f"range measures over {window}: "
            + ", ".join(f"{measure} {_percent(found[window])}" for measure, found in coin.range_annual.items())
        )
        for window in windows
    ]


def _season(coin: CoinVolatility) -> list[Text]:
    if coin.season is None:
        return []
    weekday, weekend = coin.season[:24], coin.season[24:]
    high, low = int(weekday.argmax()), int(weekday.argmin())
    share = float((weekend**2).mean() / (weekday**2).mean()) ** 0.5
    return [
        Text(
            f"season of hours (UTC): weekdays most at {high:02d}:00 ({weekday[high]:.2f} of the usual sigma), least at "
            f"{low:02d}:00 ({weekday[low]:.2f}); a weekend day has {share:.2f} of the sigma of a weekday"
        )
    ]


def _percent(value: float | None) -> str:
    return fmt.ABSENT if value is None else f"{100.0 * fmt.finite(value, field='volatility'):.1f} %"


def _score(model: ModelVolatility, text: Callable[[ForecastScores], str]) -> str:
    return fmt.ABSENT if model.scores is None else text(model.scores)


def _p_value(scores: ForecastScores) -> str:
    if scores.p_against_best is None:
        return "best"
    return "< 0.001" if scores.p_against_best < 0.001 else f"{scores.p_against_best:.3f}"


def _r2(scores: ForecastScores) -> str:
    return fmt.ABSENT if scores.mz_r2 is None else f"{scores.mz_r2:.2f}"
