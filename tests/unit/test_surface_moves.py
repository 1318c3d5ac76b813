"""How implied volatility moves along paths: rules, residual levels, arbitrage of moved smiles, the calibrating tool."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import margincover as mc
from margincover.cli.main import main
from margincover.errors import InputError
from margincover.model.spot_volatility import SpotVolatility, VolatilityRule
from margincover.paths.volatility_levels import level_key, path_levels
from margincover.pricing import black76
from margincover.scenarios.implied import packaged_spot_volatility
from margincover.scenarios.moved_surfaces import moved_check
from tests.contract.test_modelled_paths import run, strangle, two_coins

RULES = ("sticky-strike", "sticky-delta")
K = np.log(np.array([0.7, 0.85, 1.0, 1.15, 1.4]))
OPTIONS = {"moneyness_log": K, "volatility": np.full(5, 0.6), "years": np.full(5, 0.1)}


@pytest.mark.parametrize("rule", RULES)
def test_without_a_move_and_a_residual_nothing_changes_at_any_time(rule):
    law = packaged_spot_volatility(rule)
    for days in (0.0, 3.0, 20.0):
        years = {"years": np.full(5, 0.1 - days / 365.0)}
        multiple = law.option_multiple(np.ones((5, 1)), **(OPTIONS | years), elapsed_days=days)
        np.testing.assert_array_equal(multiple, 1.0)
    for at_level in law.levels:
        # At the start nothing has had time to move by itself.
        np.testing.assert_array_equal(at_level.option_multiple(np.ones((5, 1)), **OPTIONS, elapsed_days=0.0), 1.0)


def test_an_option_multiple_agrees_with_the_formula_by_hand():
    law = replace(packaged_spot_volatility("sticky-delta"), residual_level=1.2)
    x, days, k, v, years = -0.2, 2.0, -0.1, 0.6, 0.1
    t = years * 365.0
    z0 = k / (v * math.sqrt(years))
    z = z0 - x / (v * math.sqrt(years))
    kappa = law.residual_reversion_per_day
    deviation = law.residual_per_root_day * math.sqrt((1 - math.exp(-2 * kappa * days)) / (2 * kappa))
    level = law.down_linear * 0.2 + law.down_quadratic * 0.04
    level = min(level + 1.2 * deviation * (1 + law.residual_per_down_move * 0.2), law.largest_log)
    level *= (t / law.reference_days) ** -law.tenor_power

    def s(m):
        return law.smile_slope * m + law.smile_curvature * m**2

    by_hand = {
        VolatilityRule.STICKY_DELTA: level + s(z) - s(z0) + law.skew_down * x * z,
        VolatilityRule.STICKY_STRIKE: level - s(x / (v * math.sqrt(years))) + law.skew_down * x * z,
    }
    for rule, expected in by_hand.items():
        found = replace(law, rule=rule).option_multiple(
            [[math.exp(x)]], moneyness_log=[k], volatility=[v], years=[years], elapsed_days=days
        )
        assert float(np.log(found[0, 0])) == pytest.approx(expected, rel=1e-12)


def test_both_rules_move_the_volatility_at_the_money_by_the_level():
    x = -0.15
    at_the_new_money = {"moneyness_log": [x], "volatility": [0.6], "years": [30.0 / 365.0]}
    smile = packaged_spot_volatility().smile(x / (0.6 * math.sqrt(30.0 / 365.0)))
    for rule in RULES:
        law = packaged_spot_volatility(rule)
        found = law.option_multiple([[math.exp(x)]], **at_the_new_money, elapsed_days=1.0)[0, 0]
        # The strike that is now at the money held the smile's volatility there before.
        assert float(np.log(found) + smile) == pytest.approx(float(law.log_level(x)), rel=1e-9)


def test_short_expiries_move_more_and_an_unknown_rule_is_an_error():
    law = packaged_spot_volatility()
    flat = {"moneyness_log": np.zeros(3), "volatility": np.full(3, 0.6), "years": np.array([8.0, 30.0, 300.0]) / 365.0}
    bare = replace(law, smile_slope=0.0, smile_curvature=0.0, skew_down=0.0)
    near, month, far = bare.option_multiple(np.full((3, 1), 0.9), **flat, elapsed_days=0.0)[:, 0]
    assert near > month > far > 1.0
    # Beyond the longest tenor of the crisis days an expiry counts as that tenor.
    assert math.log(month) / math.log(far) == pytest.approx((law.longest_days / 30.0) ** law.tenor_power)
    with pytest.raises(InputError, match="--vol-rule: was 'sticky'; allowed: sticky-strike or sticky-delta"):
        packaged_spot_volatility("sticky")
    with pytest.raises(InputError, match=r"spot_volatility\.tenor_power"):
        replace(law, tenor_power=-1.0)


@pytest.mark.parametrize("rule", RULES)
def test_a_call_and_a_put_of_one_strike_keep_parity_when_volatility_moves(rule):
    law = replace(packaged_spot_volatility(rule), residual_level=1.0)
    multiple = law.option_multiple(np.full((5, 1), 0.8), **OPTIONS, elapsed_days=1.0)[:, 0]
    forward, strike, years = 80.0, 100.0 * np.exp(K), 0.1 - 1.0 / 365.0
    value = {
        call: black76.price(forward=forward, strike=strike, years=years, volatility=0.6 * multiple, is_call=call)
        for call in (True, False)
    }
    np.testing.assert_allclose(value[True] - value[False], forward - strike, atol=1e-10)


def test_residual_levels_are_stratified_shared_and_independent_of_blocks():
    key = level_key(7)
    whole = path_levels(key, first_path=0, n_paths=512, n_levels=4)
    parts = [path_levels(key, first_path=first, n_paths=128, n_levels=4) for first in range(0, 512, 128)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(np.sort(whole.reshape(-1, 4), axis=1), np.tile(np.arange(4), (128, 1)))
    # No place within a group prefers a level: antithetic neighbours are not tied to opposite levels.
    counts = np.array([[np.sum(whole[place::4] == level) for level in range(4)] for place in range(4)])
    assert counts.min() > 15
    assert not np.array_equal(whole, path_levels(level_key(8), first_path=0, n_paths=512, n_levels=4))


@pytest.mark.parametrize("make", [strangle, two_coins])
def test_levels_change_the_tail_and_agree_with_the_rule_itself(make):
    law = packaged_spot_volatility()
    quiet = run(replace(make(), spot_volatility=replace(law, residual_levels=())))
    moving = run(replace(make(), spot_volatility=law))
    assert moving.start_shortfall[0] == quiet.start_shortfall[0]
    assert not np.array_equal(moving.maximum, quiet.maximum)
    # States priced both ways: the coarse table of what a level adds misses the rule by little.
    assert moving.table_error[0] < 0.01
    assert np.quantile(moving.maximum, 0.95) > np.quantile(quiet.maximum, 0.95) * 0.98


def test_same_bits_for_any_threads_with_residual_levels():
    pool = replace(strangle(), spot_volatility=packaged_spot_volatility())
    one, two = run(pool), run(pool, threads=2, chunk_blocks=1)
    np.testing.assert_array_equal(one.maximum, two.maximum)
    np.testing.assert_array_equal(one.tails[0].contribution, two.tails[0].contribution)


def test_moved_smiles_are_looked_at_and_a_broken_law_is_found():
    pool = strangle()
    states = [(x, 1.0) for x in (-0.2, 0.0, 0.1)]
    law = packaged_spot_volatility()
    sound = moved_check(pool, law, factor=0, states=states)
    assert sound.smiles == 2 * len(states) * len(law.levels)
    assert (sound.butterflies, sound.calendars) == (0, 0)
    # A skew that turns this fast with the coin makes total variance bend the wrong way.
    broken = moved_check(pool, replace(law, skew_down=8.0), factor=0, states=states)
    assert broken.butterflies > 0


def written_book(tmp_path: Path, **volatility: float) -> Path:
    at = "2026-02-01T08:00:00Z"
    data = {
        "schema_version": 1,
        "as_of": at,
        "market": {
            "observed_at": at,
            "asset_usd": {"BTC": 90_000},
            "forwards": {"BTC-260327": 90_300},
            "implied_volatility": volatility,
        },
        "accounts": [
            {
                "id": "deribit:main",
                "mode": "segregated_sm",
                "balances": [{"asset": "BTC", "total": 3.0}],
                "positions": [{"symbol": "BTC-27MAR26-80000-P", "contracts": -5, "entry_price": 0.03}],
            }
        ],
    }
    path = tmp_path / "book.json"
    path.write_text(json.dumps(data))
    return path


QUOTES = {
    "BTC-27MAR26-60000-P": 0.72,
    "BTC-27MAR26-75000-P.DERIBIT": 0.61,
    "BTC-27MAR26-90000-C": 0.55,
    "BTC-27MAR26-105000-C": 0.54,
    "BTC-27MAR26-120000-C": 0.57,
}


def test_an_option_that_is_not_quoted_takes_its_volatility_from_a_fitted_smile(tmp_path):
    report = mc.status(mc.load(written_book(tmp_path, **QUOTES)))
    (note,) = [text for text in report.result.provenance.warnings if "smile fitted to 5 strikes" in text]
    found = float(note.split("; ")[1].split()[0])
    # Between the neighbours' 0.61 and 0.55, and nearer to the first.
    assert 0.57 < found < 0.61
    stated = mc.status(mc.load(written_book(tmp_path, **{"BTC-27MAR26-80000-P": found}))).result.pools[0]
    assert report.result.pools[0].maintenance_usd == pytest.approx(stated.maintenance_usd, rel=1e-3)


@pytest.mark.parametrize(
    ("quotes", "message"),
    [
        ({}, "no strikes of its expiry are quoted"),
        (dict(list(QUOTES.items())[:4]), "4 strikes from 60000 to 105000 of its expiry are quoted"),
        (dict(list(QUOTES.items())[1:]) | {"BTC-27MAR26-85000-P": 0.57}, None),
        ({k.replace("60000", "82000").replace("75000", "85000"): v for k, v in QUOTES.items()}, "from 82000 to 120000"),
        (QUOTES | {"BTC-27MAR26-75000-P.DERIBIT": 2.5}, "butterfly arbitrage at expiry BTC 2026-03-27, strike"),
    ],
)
def test_too_few_quotes_or_arbitrage_are_errors_that_say_what_was_found(tmp_path, quotes, message):
    path = written_book(tmp_path, **quotes)
    if message is None:
        mc.status(mc.load(path))
        return
    with pytest.raises(InputError, match=message) as caught:
        mc.status(mc.load(path))
    assert "deribit:main" in str(caught.value)


def test_cover_takes_a_rule_and_says_which_law_moved_volatility(tmp_path):
    path = written_book(tmp_path, **{"BTC-27MAR26-80000-P": 0.6})
    settings = {}
    for rule in (None, "sticky-strike"):
        result = mc.cover(mc.load(path), paths=512, follow_s=86_400, vol_rule=rule).result
        settings[rule] = result.provenance.settings
    assert settings[None]["implied volatility"].startswith("sticky-delta, 4 residual levels; Deribit BTC DVOL")
    assert settings["sticky-strike"]["implied volatility"].startswith("sticky-strike")
    assert "0 with butterfly arbitrage, 0 with calendar arbitrage" in settings[None]["smiles along the paths"]


def test_the_command_line_names_the_rules(tmp_path, capsys):
    path = written_book(tmp_path, **{"BTC-27MAR26-80000-P": 0.6})
    assert main(["cover", str(path), "--vol-rule", "flat"]) == 64
    assert "sticky-strike or sticky-delta" in capsys.readouterr().err


def tool():
    path = Path(__file__).parents[2] / "tools/surface_moves.py"
    spec = importlib.util.spec_from_file_location("surface_moves", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["surface_moves"] = module
    spec.loader.exec_module(module)
    return module


def test_the_tool_finds_the_law_that_made_synthetic_markets():
    made = tool()
    rng = np.random.default_rng(4)
    days = [date(2023, 1, 1) + timedelta(days=k) for k in range(1200)]
    known = {"down": 1.4, "up": 0.9, "curve": 0.06, "slope": -0.1, "power": 0.2}
    moves = rng.standard_t(5, len(days)) * 0.02
    price = 10_000.0 * np.exp(np.cumsum(moves))
    # DVOL answers to each day's move; a fall of several days in a row answers as their sum does.
    answer = np.where(moves < 0.0, -known["down"] * moves, known["up"] * moves) + rng.normal(0.0, 0.01, len(days))
    log_level = np.zeros(len(days))
    for k in range(1, len(days)):
        log_level[k] = 0.9 * log_level[k - 1] + answer[k] - answer.mean()
    dvol = pl.DataFrame({"ts": days, "dvol_close": 60.0 * np.exp(log_level)})
    bars = pl.DataFrame({"day": days, "close": price, "mean": price})
    crises = sorted({day for pair in made.CRISES for day in pair})
    mean = {day: 8_000.0 * math.exp(-0.1 * k) for k, day in enumerate(crises)}
    early = {"day": [date.fromisoformat(day) for day in crises], "close": [*mean.values()], "mean": [*mean.values()]}
    bars = pl.concat([pl.DataFrame(early), bars])
    down, _, _, _ = made.level_fit(dvol, bars)
    rows = []
    for day in crises:
        # Volatility at the money by the law itself from one price on: the crises then answer exactly.
        for tenor in (7, 14, 40):
            x = math.log(mean[day] / 8_000.0)
            money = 0.5 * math.exp((2.0 * -x) * (tenor / 30.0) ** -known["power"])
            for z in np.linspace(-2.0, 2.0, 9):
                iv = money * math.exp(known["slope"] * z + known["curve"] * z**2)
                k = z * money * math.sqrt(tenor / 365.0)
                rows.append((date.fromisoformat(day), tenor, k, iv))
    surfaces = pl.DataFrame(rows, schema=["date", "tenor_days", "moneyness", "iv"], orient="row")
    law, points = made.fit(dvol, surfaces, bars)
    assert law.smile_slope == pytest.approx(known["slope"], abs=1e-3)
    assert law.smile_curvature == pytest.approx(known["curve"], abs=1e-3)
    assert law.tenor_power == pytest.approx(known["power"], abs=1e-3)
    assert law.down_linear == pytest.approx(down, abs=1e-4)
    assert law.down_linear > law.up_linear > 0.0
    # Level at the money at 30 days moved by twice the fall of the coin.
    np.testing.assert_allclose(points["level"], -2.0 * points["x"], rtol=1e-3)


def test_the_residual_is_found_from_a_reverting_series():
    made = tool()
    rng = np.random.default_rng(5)
    level, kappa, deviation = np.zeros(60_000), 0.1, 0.04
    step = deviation * math.sqrt((1 - math.exp(-2 * kappa)) / (2 * kappa))
    for k in range(1, level.size):
        level[k] = level[k - 1] * math.exp(-kappa) + step * rng.standard_normal()
    # Each span starts at 0: what is left of the level it began with is taken off.
    left = {d: level[d:] - level[:-d] * math.exp(-kappa * d) for d in made.RESIDUAL_DAYS}
    per_root_day, reversion, levels = made.residual_fit(left)
    assert per_root_day == pytest.approx(deviation, rel=0.02)
    assert reversion == pytest.approx(kappa, rel=0.1)
    assert np.std(levels) == pytest.approx(1.0, abs=1e-3)


def test_the_packaged_law_is_the_one_the_file_states():
    law = packaged_spot_volatility()
    assert law.rule is VolatilityRule.STICKY_DELTA
    assert len(law.levels) == 4
    assert np.mean(law.residual_levels) == pytest.approx(0.0, abs=1e-3)
    assert isinstance(law, SpotVolatility)
    assert "DVOL" in law.source
