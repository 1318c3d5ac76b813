"""The verifier against the exchanges' own numbers, and against cases whose answers are derived here.

The synthetic cases solve equity = maintenance by hand for one position or one pair; the product searches for the same
price without knowing the formula.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from margincover.coverage.status import pool_statuses
from margincover.io.exchanges import parse_account
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues.pools import build_pools
from margincover.venues.reference import reference_pools
from margincover.venues.resolve import resolve
from tests.reference.verify.__main__ import EX_USAGE, main
from tests.reference.verify.adaptors import ADAPTORS
from tests.reference.verify.cases import CaseFileError, default_files, load_cases
from tests.reference.verify.report import Report, by_family, run
from tests.shared_data import shared_folder

# Every case that differs although its family is modelled, with the reason; docs/reference/verification.md says more.
KNOWN_MISMATCHES: dict[str, str] = {"derive-264": "the file's stated skew cap is not the one behind its printed loss"}
MATCHED_AT_LEAST = 52
MODELLED = ("binance", "bybit", "okx", "hyperliquid")


Row = dict[str, object]


def example(
    identity: str, venue: str, product: str, mode: str, inputs: object, expected: object, **more: object
) -> Row:
    row: Row = {"id": identity, "venue": venue, "product": product, "account_mode": mode, "source": "derived here"}
    return {**row, "inputs": inputs, "expected": expected, **more}


def sample(identity: str, venue: str, product: str, raw: object, context: object, says: object) -> Row:
    row: Row = {"id": identity, "venue": venue, "product": product, "provenance": "captured", "source": "derived here"}
    return {**row, "raw": raw, "context": context, "exchange_says": says}


def verified(tmp_path: Path, *rows: Row) -> Report:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(list(rows)), encoding="utf-8")
    return run(load_cases([file]))


def assert_all_match(report: Report) -> None:
    assert report.mismatched == []
    assert report.unsupported == []
    assert report.unanswered == []
    assert report.matched == report.total


# --- the exchanges' own numbers ------------------------------------------------------------------------------------


def shared_files() -> list[Path]:
    shared_folder()
    return default_files()


def test_no_case_of_the_exchanges_differs_without_a_known_reason() -> None:
    report = run(load_cases(shared_files()))
    assert {str(row["id"]) for row in report.mismatched} == set(KNOWN_MISMATCHES)
    assert report.matched >= MATCHED_AT_LEAST
    assert report.matched + len(KNOWN_MISMATCHES) + len(report.unsupported) == report.total


def test_perpetuals_and_futures_of_the_four_venues_are_all_computed() -> None:
    cases = {case.id: case for case in load_cases(shared_files()) if case.venue in MODELLED}
    # What is left out is named by family, never by an error of the product or a missing figure.
    for row in run(list(cases.values())).unsupported:
        assert row["reason"].startswith(("family not modelled: ", "synthetic fixture: ")), row


def test_every_modelled_venue_has_matches() -> None:
    table = by_family(load_cases(shared_files()))
    for venue in MODELLED:
        assert sum(matched for name, (_, matched) in table.items() if name.startswith(f"{venue} ")) > 0


def test_every_matched_figure_would_be_reported_if_it_were_a_fifth_larger() -> None:
    cases = [case for case in load_cases(shared_files()) if case.venue in MODELLED]
    unanswered = {(row["id"], row["field"]) for row in run(cases).unanswered}
    moved = 0
    for case in cases:
        if run([case]).matched == 0:
            continue
        for field, value in case.expected.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or (case.id, field) in unanswered:
                continue
            # A fifth is more than every tolerance, also half of the last digit of a profit of 0.0004.
            wrong = replace(case, expected={field: value * 1.2 if value else 1.0})
            assert [row["field"] for row in run([wrong]).mismatched] == [field], case.id
            moved += 1
    assert moved >= MATCHED_AT_LEAST


def test_reader_of_the_product_sees_the_positions_that_the_cases_describe() -> None:
    seen = 0
    for case in load_cases(shared_files()):
        priced = {"entryPrice", "avgPrice", "avgPx"} & set(case.raw)
        sized = {"positionAmt", "size", "pos"} & set(case.raw)
        borrowed = case.raw.get("instType") == "MARGIN"
        if case.venue not in ("binance", "bybit", "okx") or not priced or not sized or borrowed:
            continue
        spec = ADAPTORS[case.venue](case, None).spec
        assert spec is not None
        described = spec.positions[0]
        parsed = parse_account(
            case.venue, {"positions": [case.raw]}, account_id=f"{case.venue}:case", mode=spec.mode, source=case.id
        ).account.positions[0]
        assert parsed.contracts == described.contracts, case.id
        assert parsed.entry_price == described.entry, case.id
        assert (parsed.margin_mode.value == "isolated") == described.isolated, case.id
        if parsed.isolated_collateral_native is not None:
            assert parsed.isolated_collateral_native == pytest.approx(described.collateral, rel=1e-12), case.id
        seen += 1
    assert seen >= 8


# --- derived cases -------------------------------------------------------------------------------------------------


def test_hedge_mode_legs_share_one_liquidation_price(tmp_path: Path) -> None:
    wallet, long, short, rate = 1_000.0, 0.5, 0.2, 0.01
    entry_long, entry_short, mark = 20_000.0, 21_000.0, 20_500.0
    # W + l (P - E_l) + s (E_s - P) = (l + s) r P
    price = (long * entry_long - short * entry_short - wallet) / (long - short - (long + short) * rate)
    maintenance = (long + short) * mark * rate
    equity = wallet + long * (mark - entry_long) + short * (entry_short - mark)
    expected = {"liquidation_price": price, "maint_margin": maintenance, "margin_ratio": maintenance / equity}
    legs = [
        {"symbol": "BTCUSDT", "positionSide": "LONG", "size": long, "entryPrice": entry_long, "markPrice": mark},
        {"symbol": "BTCUSDT", "positionSide": "SHORT", "size": short, "entryPrice": entry_short, "markPrice": mark},
    ]
    nested = {
        "long": {"qty": long, "entry": entry_long, "mark": mark},
        "short": {"qty": short, "entry": entry_short, "mark": mark},
    }
    by_symbol = {"BTCUSDT": {side: {**leg, "mmr": rate} for side, leg in nested.items()}}
    account = {"wallet_balance": wallet, "mmr": rate}
    shapes = [{"positions": legs}, nested, {"positions": by_symbol}]
    rows = [
        example(f"hedge-{k}", "binance", "usdm-perp", "cross, hedge", account | shape, expected)
        for k, shape in enumerate(shapes)
    ]
    assert_all_match(verified(tmp_path, *rows))


def test_inverse_short_isolated_is_solved_in_coin(tmp_path: Path) -> None:
    contracts, face, entry, margin, rate = 10, 100, 25_000.0, 0.01, 0.004
    money = contracts * face
    # m + n (1/P - 1/E) = n r / P for a short
    price = money * (1.0 - rate) / (money / entry - margin)
    row = example(
        "inverse-short",
        "binance",
        "coinm-perp",
        "isolated",
        {"isolated_wallet": margin, "side": "short", "contracts": contracts, "contract_size": face,
         "entry_price": entry, "mmr": rate, "cum": 0},
        {"liq_price": price, "notional_BTC": money / entry, "mm_BTC": money / entry * rate},
    )  # fmt: skip
    assert_all_match(verified(tmp_path, row))


def test_dated_future_of_okx_in_cross_margin_from_a_response(tmp_path: Path) -> None:
    coins, entry, mark, equity, rate, fee = 0.03, 60_000.0, 59_000.0, 400.0, 0.004, 0.0005
    # A short: E + q (M - P) = q P (r + f)
    price = (equity + coins * mark) / (coins * (1.0 + rate + fee))
    value = coins * mark
    row = sample(
        "okx-dated",
        "okx",
        "linear_future_cross",
        {"instId": "BTC-USDT-261225", "instType": "FUTURES", "mgnMode": "cross", "pos": "3", "posSide": "short",
         "avgPx": "60000", "markPx": "59000", "lever": "5", "mmr": "7.08", "uTime": "1790000000000"},
        {"ct_val": 0.01, "mmr_rate": rate, "taker_fee": fee, "equity": equity},
        {"liq_px": price, "mmr": value * rate, "imr": value / 5, "upl": coins * (entry - mark),
         "mgn_ratio": equity / (value * (rate + fee))},
    )  # fmt: skip
    assert_all_match(verified(tmp_path, row))


def test_okx_isolated_price_is_one_tick_nearer_to_the_mark(tmp_path: Path) -> None:
    money, entry, margin, rate, fee, tick = 100.0, 3_000.0, 0.004, 0.01, 0.0005, 0.05
    # An inverse short: m + n (1/P - 1/E) = n (r + f) / P; the venue prints one tick below the root.
    root = money * (1.0 - rate - fee) / (money / entry - margin)
    inputs = {"side": -1, "contracts": 10, "ct_val": 10, "entry": entry, "margin": margin, "mmr_rate": rate}
    inputs |= {"taker_fee": fee, "tick": tick, "instId": "ETH-USD-SWAP"}
    row = example("okx-tick", "okx", "inverse swap", "isolated", inputs, {"liq_px": root - tick, "liq_px_raw": root})
    assert_all_match(verified(tmp_path, row))


def test_bybit_spellings_and_closing_fee(tmp_path: Path) -> None:
    size, entry, mark, leverage, rate, fee = 2.0, 3_000.0, 2_900.0, 20.0, 0.01, 0.00055
    closing = size * entry * (1.0 + 1.0 / leverage) * fee
    row = sample(
        "bybit-short",
        "bybit",
        "uta_linear_perp",
        {"symbol": "ETHUSDT", "side": "Sell", "size": "2", "avgPrice": "3000", "markPrice": "2900", "leverage": "20",
         "positionIdx": 0, "tradeMode": 0, "updatedTime": "1767225600000"},
        {"mmr": rate, "taker_fee": fee},
        {"position_im": size * mark / leverage + closing, "positionMM": size * mark * rate + closing,
         "unrealisedPnl": size * (entry - mark), "position_value": size * mark},
    )  # fmt: skip
    assert_all_match(verified(tmp_path, row))


def test_bybit_classic_prices_are_rounded_to_the_tick_on_the_marks_side(tmp_path: Path) -> None:
    money, entry, balance, rate, fee = 10_000.0, 8_000.0, 0.5, 0.005, 0.00075
    # A short that lost all: balance + n (1/P - 1/E) = r n / E + f n / P, rounded down to the tick.
    root = money * (1.0 - fee) / (money / entry * (1.0 + rate) - balance)
    printed = int(root / 0.5) * 0.5
    inputs = {"qty_usd": money, "side": "Sell", "entry": entry, "balance_btc": balance, "mmr": rate, "taker": fee}
    row = example(
        "classic-short", "bybit", "inverse", "classic cross", inputs | {"tick": 0.5},
        {"liquidation_price": printed, "liquidation_price_raw": root}, tolerance={"liquidation_price": 1e-6},
    )  # fmt: skip
    assert printed < root < printed + 0.5
    assert_all_match(verified(tmp_path, row))


def test_twin_of_classic_accounts_takes_the_fee_at_the_mark_and_maintenance_at_entry() -> None:
    day = datetime(2022, 6, 1, tzinfo=UTC)
    position = Position(symbol="BTCUSD", contracts=10_000.0, entry_price=8_000.0, mark_price=10_000.0,
                        maintenance_fraction=0.005)  # fmt: skip
    account = Account(id="bybit:a", venue="bybit", mode="classic_cross", positions=(position,),
                      balances=(Balance(asset="BTC", total_native=0.5),))  # fmt: skip
    market = MarketState(as_of=day, observed_at=day, asset_usd={"BTC": 10_000.0})
    book = resolve(BookInput(as_of=day, accounts=(account,), market=market))
    fast = pool_statuses(build_pools(book))[0]
    slow = reference_pools(account, book.rulebooks["bybit"], marks={}, asset_usd={}, tier_tables={})[0]
    # 0.5 % of 1.25 BTC at entry and the classic fee of 0.075 % on 1 BTC at the mark.
    assert float(slow.maintenance) == pytest.approx(0.005 * 1.25 + 0.00075, rel=1e-12)
    assert fast.maintenance_native == pytest.approx(float(slow.maintenance), rel=1e-12)
    assert fast.equity_native == pytest.approx(float(slow.equity), rel=1e-12)


def test_hyperliquid_account_with_several_positions(tmp_path: Path) -> None:
    held = {"BTC": (0.1, 60_000.0, 61_000.0, 40), "ZEC": (-20.0, 300.0, 310.0, 10)}
    value = 2_000.0
    maintenance = {coin: abs(q) * mark / (2 * top) for coin, (q, _, mark, top) in held.items()}
    quantity, _, mark, top = held["ZEC"]
    # With BTC held: V + q (P - M) = MM_btc + |q| P l
    rate = 0.5 / top
    price = (value - maintenance["BTC"] - quantity * mark) / (abs(quantity) * (1.0 + rate))
    positions = [
        {"coin": coin, "szi": str(q), "entryPx": str(e), "markPx": m, "max_leverage": t, "leverage": 10}
        for coin, (q, e, m, t) in held.items()
    ]
    used = sum(abs(q) * m / 10 for q, _, m, _ in held.values())
    expected = {"liquidation_px_ZEC": price, "maintenance_margin": sum(maintenance.values()), "account_value": value}
    expected |= {"total_margin_used": used, "maintenance_margin_ZEC": maintenance["ZEC"]}
    inputs = {"account_value": value, "positions": positions}
    assert_all_match(verified(tmp_path, example("hl-two", "hyperliquid", "perps", "cross", inputs, expected)))


def test_clearinghouse_state_goes_through_the_reader_of_the_product(tmp_path: Path) -> None:
    # Long 0.5 ETH at 3,000 of 25x with 400 USDC behind it: 400 + 0.5 (P - 3000) = 0.5 P / 50
    price = (1_500.0 - 400.0) / (0.5 * (1.0 - 1.0 / 50.0))
    position = {"coin": "ETH", "szi": "0.5", "entryPx": "3000", "positionValue": "1550", "unrealizedPnl": "50",
                "marginUsed": "155", "maxLeverage": 25, "leverage": {"type": "cross", "value": 10},
                "liquidationPx": None}  # fmt: skip
    raw = {"assetPositions": [{"position": position}], "time": 1790000000000, "withdrawable": "295",
           "crossMarginSummary": {"accountValue": "450", "totalNtlPos": "1550", "totalMarginUsed": "155"}}  # fmt: skip
    says = {"liquidation_px": price, "account_value": 450.0, "withdrawable": 295.0, "margin_used": 155.0}
    assert_all_match(verified(tmp_path, sample("hl-state", "hyperliquid", "account_cross", raw, {}, says)))


def test_table_whose_lower_tiers_are_not_given(tmp_path: Path) -> None:
    inputs = {"floor_tier3": 10.0, "mmr_2": 0.01, "mmr_3": 0.02, "cum_2": 0.05}
    row = example("edge", "binance", "coinm", "tiers", inputs, {"cum_tier3": 0.05 + 10.0 * (0.02 - 0.01)})
    assert_all_match(verified(tmp_path, row))


def test_resting_orders_enter_the_requirement(tmp_path: Path) -> None:
    inputs = {"position_qty": -1.0, "mark": 100.0, "leverage": 4, "buy_orders": [{"qty": 0.5, "price": 90.0}]}
    inputs["sell_orders"] = [{"quantity": 2.0, "price": 110.0}]
    # max(|-100 + 45|, |-100 - 220|) / 4
    row = example("orders", "binance", "usdm-perp", "cross, one-way", inputs, {"margin_requirement": 80.0})
    assert_all_match(verified(tmp_path, row))


# --- the verifier can fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "tolerance"),
    [
        ({"liquidation_price": 19_699.0}, {"liquidation_price": 0.006}),
        ({"liquidation_price": 19_701.0}, 1e-6),
        ({"im": 400.001}, None),
        ({"mm": 99.99}, "exact"),
        ({"liquidation_price": None}, None),
    ],
)
def test_wrong_expectation_is_reported_with_what_was_found(
    tmp_path: Path, expected: dict[str, object], tolerance: object
) -> None:
    inputs = {"side": 1, "qty": 1, "entry": 20_000, "leverage": 50, "mmr": 0.005, "mm_deduction": 0}
    row = example("wrong", "bybit", "linear", "isolated (legacy)", inputs, expected, tolerance=tolerance)
    report = verified(tmp_path, row)
    assert (report.total, report.matched, report.unsupported) == (1, 0, [])
    field, value = next(iter(expected.items()))
    assert [(m["id"], m["field"], m["expected"]) for m in report.mismatched] == [("wrong", field, value)]
    # By hand: margin 400 less maintenance 100 is lost after 300 dollars.
    right = {"liquidation_price": 19_700.0, "im": 400.0, "mm": 100.0}[field]
    assert report.mismatched[0]["actual"] == pytest.approx(right, rel=1e-9)


def test_captured_rate_is_cut_not_rounded(tmp_path: Path) -> None:
    raw = {"totalMarginBalance": "1000", "totalInitialMargin": "521.58", "totalMaintenanceMargin": "44.59"}
    cut = sample("cut", "bybit", "uta_account", raw, {}, {"im_rate": 0.5215, "mm_rate": 0.0445, "available": 478.42})
    rounded = sample("rounded", "bybit", "uta_account", raw, {}, {"im_rate": 0.5216})
    report = verified(tmp_path, cut, rounded)
    assert (report.matched, [row["id"] for row in report.mismatched]) == (1, ["rounded"])


def test_unanswered_field_does_not_decide(tmp_path: Path) -> None:
    inputs = {"side": 1, "qty": 1, "entry": 100, "mark": 100, "mmr": 0.01, "leverage": 2, "wallet_balance": 60}
    both = example("both", "binance", "usdm-perp", "cross", inputs, {"mm": 1.0, "break_even": 100.1})
    alone = example("alone", "binance", "usdm-perp", "cross", inputs, {"break_even": 100.1})
    report = verified(tmp_path, both, alone)
    assert (report.total, report.matched) == (2, 1)
    assert [row["id"] for row in report.unanswered] == ["both"]
    assert report.unsupported == [{"id": "alone", "reason": "no figure for break_even"}]


@pytest.mark.parametrize(
    ("venue", "product", "mode", "inputs", "named"),
    [
        ("binance", "usdm", "multi-assets", {"wallet": 1}, "multi-assets"),
        ("bybit", "option", "UTA cross", {"size": 1}, "options"),
        ("okx", "margin (spot leverage)", "isolated", {"open_btc": 1}, "MARGIN"),
        ("elsewhere", "perp", "cross", {"size": 1}, "venue not modelled"),
        ("binance", "usdm-perp", "cross", {"qty": 1, "entry": -5.0, "mmr": 0.01}, "entry_price"),
        ("binance", "usdm-perp", "cross", {"colour": "red"}, "colour"),
        ("hyperliquid", "perps", "cross", {"positions": [{"leverage": {"value": "many"}}]}, "no position"),
    ],
)
def test_what_cannot_be_computed_is_unsupported_with_its_reason(
    tmp_path: Path, venue: str, product: str, mode: str, inputs: dict[str, object], named: str
) -> None:
    report = verified(tmp_path, example("odd", venue, product, mode, inputs, {"liquidation_price": 1.0}))
    assert (report.total, report.matched, report.mismatched) == (1, 0, [])
    assert named in report.unsupported[0]["reason"]


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{not json", "3", '[{"venue": "binance"}]', '["x"]'])
def test_malformed_file_is_named_with_exit_code_64(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text, encoding="utf-8")
    assert main([str(file)]) == EX_USAGE
    assert "broken.json" in capsys.readouterr().err


def test_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    row = example("same", "binance", "usdm-perp", "cross", {"qty": 1}, {"mm": 1})
    with pytest.raises(CaseFileError, match="same"):
        verified(tmp_path, row, row)


def test_without_files_and_without_shared_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MARGINCOVER_SHARED", raising=False)
    assert main([]) == EX_USAGE
    assert "MARGINCOVER_SHARED" in capsys.readouterr().err
    assert main(["--colour"]) == EX_USAGE


def test_command_prints_the_four_keys_and_exits_1_on_a_mismatch(tmp_path: Path) -> None:
    inputs = {"notional": 1_000.0, "mmr": 0.01, "leverage": 10}
    good = example(
        "good", "binance", "usdm-perp", "cross", inputs, {"maintenance_margin": 10.0, "initial_margin": 100.0}
    )
    bad = example("bad", "binance", "usdm-perp", "cross", inputs, {"maintenance_margin": 11.0})
    file = tmp_path / "cases.json"
    command = [sys.executable, "-m", "tests.reference.verify", str(file), "--json"]
    root = Path(__file__).parents[2]
    for rows, code in (([good], 0), ([good, bad], 1)):
        file.write_text(json.dumps(rows), encoding="utf-8")
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        printed = json.loads(done.stdout)
        assert {"total", "matched", "mismatched", "unsupported"} <= set(printed)
        assert (printed["total"], printed["matched"]) == (len(rows), 1)
    assert printed["mismatched"] == [{"id": "bad", "field": "maintenance_margin", "expected": 11.0, "actual": 10.0}]
