"""Price history: names of factors, the cut at as_of, gaps, bad prints and every kind of broken file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from margincover.errors import InputError, StaleDataError
from margincover.io.history import load_history
from margincover.io.history_table import factor_of_stem
from margincover.units import utc_ns
from tests.shared_data import shared_folder

START = datetime(2026, 1, 1, tzinfo=UTC)
N = 200
AS_OF = START + timedelta(hours=N)


def bars(n: int = N, start: datetime = START) -> pl.DataFrame:
    """Hourly bars that wander between 98 and 102; open is the close before."""
    close = 100.0 + 2.0 * np.sin(np.arange(n) / 7.0)
    first = np.concatenate([[100.0], close[:-1]])
    return pl.DataFrame(
        {
            "ts": [start + timedelta(hours=hour) for hour in range(n)],
            "open": first,
            "high": np.maximum(first, close) + 0.1,
            "low": np.minimum(first, close) - 0.1,
            "close": close,
            "volume": np.ones(n),
        }
    )


def changed(column: str, row: int, value: object) -> pl.DataFrame:
    frame = bars()
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=frame[column].dtype))


def write(folder: Path, frame: pl.DataFrame, name: str = "BTCUSDT.parquet") -> None:
    if name.endswith(".csv"):
        frame.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(folder / name)
    else:
        frame.write_parquet(folder / name)


def load(folder: Path, *, factors=("BTC",), as_of: datetime = AS_OF, max_age_s: float = 3_600.0, **more):
    return load_history(folder, factors=factors, as_of=as_of, max_age_s=max_age_s, **more)


@pytest.mark.parametrize(
    ("stem", "factor"),
    [
        ("BTCUSDT", "BTC"),
        ("BTC-USDT", "BTC"),
        ("BTC_USD", "BTC"),
        ("BTCUSDT-1h", "BTC"),
        ("BTCUSD_PERP", "BTC"),
        ("BTC-USDT-SWAP", "BTC"),
        ("ETHUSDC", "ETH"),
        ("BTC-PERP", "BTC"),
        ("BTC", "BTC"),
        ("1000PEPEUSDT", "PEPE"),
        ("1000000MOGUSDT", "MOG"),
        ("kBONK-USD", "BONK"),
        ("1INCHUSDT", "1INCH"),
        ("KAVAUSDT", "KAVA"),
        ("PERPUSDT", "PERP"),
        ("PERP", "PERP"),
        ("USDTUSD", "USDT"),
        ("USDCUSDT", "USDC"),
        ("USDT", "USDT"),
        ("XBTUSD", "BTC"),
    ],
)
def test_file_name_gives_the_factor(stem, factor):
    assert factor_of_stem(stem, {"XBT": "BTC"}) == factor


@pytest.mark.parametrize("name", ["BTCUSDT.parquet", "BTC-USDT-1h.csv"])
def test_bars_are_read_from_parquet_and_csv(tmp_path, name):
    write(tmp_path, bars(), name)
    found = load(tmp_path)
    history = found.factors["BTC"]
    assert found.step_s == 3_600
    assert history.start_utc_ns == utc_ns(START)
    np.testing.assert_array_equal(history.close, bars()["close"].to_numpy())
    np.testing.assert_array_equal(history.open, bars()["open"].to_numpy())
    assert (history.missing_bars, history.repaired_bars, found.issues) == (0, 0, ())
    assert not history.close.flags.writeable


@pytest.mark.parametrize("unit", ["ms", "ns"])
@pytest.mark.parametrize("name", ["BTC.parquet", "BTC.csv"])
def test_epoch_numbers_are_read(tmp_path, unit, name):
    frame = bars().with_columns(pl.col("ts").dt.epoch(unit))
    if name.endswith("csv"):
        frame.write_csv(tmp_path / name)
    else:
        frame.write_parquet(tmp_path / name)
    assert load(tmp_path).factors["BTC"].start_utc_ns == utc_ns(START)


def test_bars_that_have_not_closed_at_as_of_are_never_seen(tmp_path):
    write(tmp_path, bars())
    # At 10:59 the bar that opened at 10:00 is still open: bars 0 .. 9 are known.
    assert len(load(tmp_path, as_of=START + timedelta(hours=10, minutes=59)).factors["BTC"].close) == 10
    assert len(load(tmp_path, as_of=START + timedelta(hours=11)).factors["BTC"].close) == 11


def test_broken_bar_after_as_of_does_not_matter(tmp_path):
    write(tmp_path, changed("close", 150, -1.0))
    assert len(load(tmp_path, as_of=START + timedelta(hours=100)).factors["BTC"].close) == 100


def test_missing_bars_are_nan_and_counted(tmp_path):
    write(tmp_path, bars().filter(~pl.int_range(N).is_in([50, 51, 120])))
    found = load(tmp_path)
    history = found.factors["BTC"]
    assert len(history.close) == N
    assert history.missing_bars == 3
    for values in (history.open, history.high, history.low, history.close):
        assert np.flatnonzero(np.isnan(values)).tolist() == [50, 51, 120]
    assert found.issues == ("BTCUSDT.parquet: 3 of 200 bars missing, left empty",)


def test_gap_of_more_than_a_day_is_noted_and_too_many_holes_refused(tmp_path):
    long = bars(1_000)
    write(tmp_path, long.filter(~pl.int_range(1_000).is_between(100, 124)))
    found = load(tmp_path, as_of=START + timedelta(hours=1_000))
    # Bars 100 .. 124 are missing: 25 hours.
    assert "BTCUSDT.parquet: gap of 25h after 2026-01-05T03:00:00Z" in found.issues
    write(tmp_path, long.filter(~pl.int_range(1_000).is_between(100, 150)))
    with pytest.raises(InputError, match=r"51 of 1000 bars were missing \(5.1%\); allowed: at most 5%"):
        load(tmp_path, as_of=START + timedelta(hours=1_000))


def test_file_without_open_opens_at_the_close_before(tmp_path):
    frame = bars().drop("open")
    write(tmp_path, frame)
    found = load(tmp_path)
    history = found.factors["BTC"]
    np.testing.assert_array_equal(history.open[1:], frame["close"].to_numpy()[:-1])
    assert "no column open" in found.issues[0]


def test_bad_low_print_is_clipped_to_the_neighbours_range(tmp_path):
    write(tmp_path, changed("low", 60, 0.0001))
    found = load(tmp_path)
    history = found.factors["BTC"]
    low = bars()["low"].to_numpy()
    expected = min(low[59], low[61], bars()["open"][60], bars()["close"][60])
    assert history.low[60] == expected
    assert history.repaired_bars == 1
    assert "bad print at 2026-01-03T12:00:00Z: low 0.0001 clipped" in found.issues[0]


def test_bad_high_print_is_clipped_and_two_neighbours_do_not_vouch_for_each_other(tmp_path):
    frame = bars()
    values = frame["high"].to_list()
    values[60], values[61] = 500.0, 600.0
    write(tmp_path, frame.with_columns(pl.Series("high", values)))
    history = load(tmp_path).factors["BTC"]
    assert history.repaired_bars == 2
    assert history.high[60] < 103.0
    assert history.high[61] < 103.0


@pytest.mark.parametrize(
    ("low", "close", "repaired"),
    [
        # 41 % of the neighbours' closes is within the 60 %.
        (41.0, None, 0),
        (39.0, None, 1),
        # A bar that does not come back (close 25 % down) is a crash, not a print.
        (30.0, 75.0, 0),
    ],
)
def test_bad_print_needs_both_depth_and_return(tmp_path, low, close, repaired):
    frame = bars().with_columns(open=pl.lit(100.0), high=pl.lit(101.0), low=pl.lit(99.0), close=pl.lit(100.0))
    lows, closes = frame["low"].to_list(), frame["close"].to_list()
    lows[60] = low
    closes[60] = close or 100.0
    write(tmp_path, frame.with_columns(pl.Series("low", lows), pl.Series("close", closes)))
    history = load(tmp_path).factors["BTC"]
    assert history.repaired_bars == repaired
    assert history.low[60] == (99.0 if repaired else low)


def test_identical_duplicates_are_dropped_with_an_issue_and_different_ones_refused(tmp_path):
    frame = bars()
    write(tmp_path, pl.concat([frame[:51], frame[50:]]))
    found = load(tmp_path)
    assert len(found.factors["BTC"].close) == N
    assert found.issues == ("BTCUSDT.parquet: 1 identical duplicate bars dropped",)
    other = frame[50:51].with_columns(close=pl.col("open"))
    write(tmp_path, pl.concat([frame[:51], other, frame[51:]]))
    with pytest.raises(InputError, match=r"BTC: row 52: 2026-01-03T02:00:00Z stood twice with different prices"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("close", 0.0, "row 11, 2026-01-01T10:00:00Z: close was 0.0; allowed: a finite price > 0"),
        ("low", -1.0, "row 11, 2026-01-01T10:00:00Z: low was -1.0"),
        ("high", float("nan"), "row 11, 2026-01-01T10:00:00Z: high was nan"),
        ("open", float("inf"), "row 11, 2026-01-01T10:00:00Z: open was inf"),
        ("close", None, "row 11: close was None"),
        ("high", 50.0, "row 11, 2026-01-01T10:00:00Z: high was below low"),
        ("open", 150.0, "row 11, 2026-01-01T10:00:00Z: open was outside"),
        ("close", 50.0, "row 11, 2026-01-01T10:00:00Z: close was outside"),
    ],
)
def test_impossible_price_names_file_row_time_and_column(tmp_path, column, value, words):
    write(tmp_path, changed(column, 10, value))
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "BTCUSDT.parquet"))
    assert words in str(caught.value)


def test_close_outside_by_rounding_widens_the_range(tmp_path):
    high = bars()["high"][10]
    write(tmp_path, changed("close", 10, high * (1 + 1e-12)))
    history = load(tmp_path).factors["BTC"]
    assert history.high[10] == history.close[10]


@pytest.mark.parametrize(
    ("ts", "words"),
    [
        (START + timedelta(hours=8), "row 11: 2026-01-01T08:00:00Z came after 2026-01-01T09:00:00Z"),
        (START + timedelta(hours=10, minutes=7), "2026-01-01T10:07:00Z is off the grid of 1h"),
    ],
)
def test_unsorted_and_off_grid_bars_are_refused(tmp_path, ts, words):
    write(tmp_path, changed("ts", 10, ts))
    with pytest.raises(InputError, match=words):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "ts,open,high,low,close\n2026-01-01T00:00:00,1,1,1,1\n",
            "row 1: ts: '2026-01-01T00:00:00' was not a UTC time",
        ),
        ("ts,open,high,low,close\n2026-01-01T00:00:00Z,1,1,1,x\n", "row 1: close was 'x'"),
        ("ts,open,high,low,close\n1767225600,1,1,1,1\n", "epoch milliseconds"),
        ("ts,open,high,low,close\n,1,1,1,1\n", "row 1: ts was empty"),
        ("ts,open,high,low,close\n", "held no bars"),
        ("ts,open,high,close\n2026-01-01T00:00:00Z,1,1,1\n", "column 'low' was missing"),
        ("ts,high,low,close\n2026-01-01T00:00:00Z,1,1,1,1,1\n", "could not be read as CSV"),
        ("ts,high,low,close\n2026-01-01T00:00:00Z,1,1,1\n", "had 1 bars; allowed: at least 3 bars"),
        (" ", "the file was empty"),
    ],
)
def test_broken_csv_names_file_row_and_reason(tmp_path, text, words):
    (tmp_path / "BTCUSDT.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "BTCUSDT.csv" in str(caught.value)
    assert words in str(caught.value)


def test_file_that_is_no_parquet_and_naive_times_are_refused(tmp_path):
    (tmp_path / "BTCUSDT.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match=r"BTCUSDT.parquet: could not be read as Parquet"):
        load(tmp_path)
    write(tmp_path, bars().with_columns(pl.col("ts").dt.replace_time_zone(None)))
    with pytest.raises(InputError, match="ts had no time zone"):
        load(tmp_path)


def test_times_of_another_zone_are_turned_to_utc(tmp_path):
    write(tmp_path, bars().with_columns(pl.col("ts").dt.convert_time_zone("Asia/Tokyo")))
    assert load(tmp_path).factors["BTC"].start_utc_ns == utc_ns(START)


def test_missing_factor_lists_what_is_there(tmp_path):
    write(tmp_path, bars())
    write(tmp_path, bars(), "ETHUSDT.parquet")
    with pytest.raises(InputError, match=r"no history of SOL; allowed: .*\(BTC, ETH\), or a proxy"):
        load(tmp_path, factors=("BTC", "SOL"))


def test_two_files_of_one_factor_are_named(tmp_path):
    write(tmp_path, bars())
    write(tmp_path, bars(), "BTC-USDT-1h.csv")
    with pytest.raises(InputError, match=r"BTC-USDT-1h.csv and BTCUSDT.parquet are both BTC"):
        load(tmp_path)


def test_missing_and_empty_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"held no \.parquet or \.csv file"):
        load(tmp_path)
    with pytest.raises(InputError, match="the folder does not exist"):
        load(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="was not a folder"):
        load(tmp_path / "file")


def test_old_history_is_stale(tmp_path):
    write(tmp_path, bars())
    assert load(tmp_path, as_of=AS_OF + timedelta(hours=1)).step_s == 3_600
    with pytest.raises(StaleDataError, match=r"BTC: the last bar closed 2026-01-09T08:00:00Z, 2h before as_of"):
        load(tmp_path, as_of=AS_OF + timedelta(hours=2))
    with pytest.raises(StaleDataError, match="no bar had closed"):
        load(tmp_path, as_of=START)


def test_different_steps_are_refused_and_different_starts_allowed(tmp_path):
    write(tmp_path, bars())
    write(tmp_path, bars(50, START + timedelta(hours=150)), "ETH.parquet")
    found = load(tmp_path, factors=("BTC", "ETH"))
    assert found.factors["ETH"].start_utc_ns - found.factors["BTC"].start_utc_ns == 150 * 3_600 * 10**9
    write(tmp_path, bars()[::2], "ETH.parquet")
    with pytest.raises(InputError, match=r"the steps differ: BTC 1h, ETH 2h"):
        load(tmp_path, factors=("BTC", "ETH"), max_age_s=86_400.0)


def test_hash_follows_the_content(tmp_path):
    write(tmp_path, bars())
    first = load(tmp_path).sha256
    assert load(tmp_path).sha256 == first
    write(tmp_path, changed("close", 10, bars()["high"][10]))
    assert load(tmp_path).sha256 != first


# Real history ---------------------------------------------------------------------------------------------------------

END_2025 = datetime(2026, 1, 1, tzinfo=UTC)


def test_real_perpetual_history_of_btc_and_eth_has_no_gaps():
    folder = shared_folder() / "data" / "prices" / "perp_1h"
    found = load(folder, factors=("BTC", "ETH"), as_of=END_2025)
    assert {factor: history.missing_bars for factor, history in found.factors.items()} == {"BTC": 0, "ETH": 0}
    assert all(len(history.close) > 50_000 for history in found.factors.values())
    eth = found.factors["ETH"]
    # 2021-05-19 13:00, low 1,400.73 against closes of 2,333.82 and 2,614.63: 40 % down, real, kept.
    hour = (utc_ns(datetime(2021, 5, 19, 13, tzinfo=UTC)) - eth.start_utc_ns) // (3_600 * 10**9)
    assert eth.low[hour] == 1_400.73


def test_real_spot_print_of_link_at_a_ten_thousandth_is_repaired():
    folder = shared_folder() / "data" / "prices" / "spot_1h"
    link = load(folder, factors=("LINK",), as_of=END_2025).factors["LINK"]
    hour = (utc_ns(datetime(2020, 3, 12, 10, tzinfo=UTC)) - link.start_utc_ns) // (3_600 * 10**9)
    # Neighbours' lows are 3.06 and 2.0, the bar's own body ends at 2.4693.
    assert link.low[hour] == 2.0
    assert link.repaired_bars == 1


def test_real_mark_history_without_open_loads():
    folder = shared_folder() / "data" / "prices" / "mark_1h"
    found = load(folder, factors=("BTC",), as_of=END_2025)
    assert found.factors["BTC"].missing_bars == 0
