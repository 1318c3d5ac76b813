"""The packaged law by which implied volatility moves with its coin along paths."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache
from importlib import resources

from margincover.errors import InputError, RulebookError
from margincover.model.spot_volatility import SpotVolatility, VolatilityRule

_FILE = "data/surface_moves.toml"
_SCHEMA = "margincover/surface-moves/1"
_NOT_NUMBERS = ("rule", "residual_levels", "residual_level", "source")


def packaged_spot_volatility(rule: str | None = None) -> SpotVolatility:
    """Return the law fitted on Deribit's BTC volatility index and on crisis days; it stands in for every coin.

    Parameters
    ----------
    rule : str or None
        ``sticky-strike`` or ``sticky-delta``; None takes the packaged one, which is nearer to the crisis days.

    Raises
    ------
    InputError
        If there is no such rule.

    Examples
    --------
    >>> packaged_spot_volatility().rule.value
    'sticky-delta'
    """
    law = _packaged()
    if rule is None:
        return law
    known = [each.value for each in VolatilityRule]
    if rule not in known:
        raise InputError(f"was '{rule}'", field="--vol-rule", allowed=" or ".join(known))
    return replace(law, rule=VolatilityRule(rule))


@cache
def _packaged() -> SpotVolatility:
    text = resources.files("margincover.scenarios").joinpath(_FILE).read_text(encoding="utf-8")
    table = tomllib.loads(text)
    if table.get("schema") != _SCHEMA:
        raise RulebookError(f"was {table.get('schema')}", source=_FILE, field="schema", allowed=_SCHEMA)
    numbers = [name for name in SpotVolatility.__slots__ if name not in _NOT_NUMBERS]
    missing = [name for name in (*numbers, "rule", "residual_levels", "source") if name not in table]
    if missing:
        raise RulebookError(f"{', '.join(missing)} missing", source=_FILE, field=missing[0], allowed="every figure")
    return SpotVolatility(
        **{name: float(table[name]) for name in numbers},
        rule=VolatilityRule(table["rule"]),
        residual_levels=tuple(float(level) for level in table["residual_levels"]),
        source=str(table["source"]),
    )
