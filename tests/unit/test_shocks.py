"""The language of shocks: what it reads, what it refuses, and how it is held against a book."""

import pytest

from margincover.errors import InputError
from margincover.scenarios.shocks import BookNames, parse_shock, resolve_shock

NAMES = BookNames(
    factors={"binance": frozenset({"BTC", "SOL"}), "okx": frozenset({"BTC", "ETH"})},
    assets={"binance": frozenset({"USDT", "USDE"}), "okx": frozenset({"USDT", "BTC"})},
    asset_usd={"BTC": 80_000.0, "USDT": 0.999, "USDE": 1.0},
)


def ratios(text):
    scenario = resolve_shock(parse_shock(text), NAMES)
    return dict(zip(scenario.factors, scenario.close[0].tolist(), strict=True))


def test_every_field_of_the_language_is_read():
    shock = parse_shock("BTC=-30%,ETH=-35%,*=-40%,vol=+40%,USDe=0.65@binance,funding=+0.1%/8h,halt=okx:6h,hold=24h")
    scenario = resolve_shock(shock, NAMES)
    assert dict(zip(scenario.factors, scenario.close[0].tolist(), strict=True)) == pytest.approx(
        {"BTC": 0.7, "ETH": 0.65, "SOL": 0.6}
    )
    assert scenario.volatility_ratio.tolist() == [1.4]
    assert [(m.asset, m.venue, m.price_usd) for m in scenario.asset_moves] == [("USDE", "binance", 0.65)]
    assert [(h.venue, h.from_hour, h.to_hour) for h in scenario.halts] == [("okx", 0.0, 6.0)]
    # 0.1 % every 8 h for 24 h is 0.3 %.
    assert scenario.common_funding == pytest.approx([0.003])
    assert scenario.elapsed_hours.tolist() == [24.0]


def test_the_rest_means_coins_not_named_wherever_it_stands():
    assert ratios("*=-40%,BTC=-30%") == ratios("BTC=-30%,*=-40%") == pytest.approx({"BTC": 0.7, "ETH": 0.6, "SOL": 0.6})


def test_a_price_is_held_against_the_price_in_the_book():
    assert ratios("BTC=60000") == pytest.approx({"BTC": 0.75})


def test_coins_not_named_stand_still_and_are_listed():
    scenario = resolve_shock(parse_shock("BTC=-10%"), NAMES)
    assert scenario.notes == ("not moved: ETH, SOL",)


def test_a_move_at_one_venue_is_kept_apart():
    scenario = resolve_shock(parse_shock("BTC=-10%,BTC=-25%@okx"), NAMES)
    assert scenario.close.tolist() == [[0.9]]
    assert [(m.factor, m.venue, m.ratio) for m in scenario.venue_moves] == [("BTC", "okx", 0.75)]


def test_funding_without_a_hold_is_one_interval():
    assert resolve_shock(parse_shock("funding=-0.2%/8h"), NAMES).common_funding == pytest.approx([-0.002])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "was ''"),
        ("BTC", "was 'BTC'"),
        ("BTC=", "BTC="),
        ("BTC=-30", "BTC=-30"),
        ("BTC=-100%", "BTC=-100%"),
        ("BTC=1001%", "BTC=1001%"),
        ("BTC=nan%", "BTC=nan%"),
        ("BTC=0", "BTC=0"),
        ("*=0.5", "*=0.5"),
        ("BTC=-30%,btc=-20%", "stood twice"),
        ("vol=40", "vol=40"),
        ("vol=-96%", "vol=-96%"),
        ("vol=1%,vol=2%", "vol stood twice"),
        ("funding=0.1%", "funding=0.1%"),
        ("funding=50%/8h", "funding=50%/8h"),
        ("halt=okx", "halt=okx"),
        ("halt=okx:6h,halt=okx:7h", "stood twice"),
        ("hold=0h", "0h"),
        ("hold=31d", "31d"),
        ("BTC=-30%;ETH=-20%", "BTC=-30%;ETH=-20%"),
    ],
)
def test_what_does_not_read_is_refused_and_named(text, found):
    with pytest.raises(InputError) as caught:
        parse_shock(text)
    assert found in str(caught.value)
    assert caught.value.field == "--shock"
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("text", "found", "listed"),
    [
        ("XMR=-10%", "no coin or asset 'XMR'", "coins BTC, ETH, SOL; assets BTC, USDE, USDT"),
        ("SOL=-10%@okx", "the book at okx has no coin or asset 'SOL'", "coins BTC, ETH; assets BTC, USDT"),
        ("BTC=-10%@ftx", "no account at 'ftx'", "binance, okx"),
        ("halt=kraken:2h", "no account at 'kraken'", "binance, okx"),
        ("SOL=100", "the book states none of its own", "a move in per cent"),
    ],
)
def test_an_unknown_coin_asset_or_venue_lists_what_the_book_has(text, found, listed):
    with pytest.raises(InputError) as caught:
        resolve_shock(parse_shock(text), NAMES)
    assert found in str(caught.value)
    assert listed in str(caught.value)
