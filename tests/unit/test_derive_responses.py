"""Derive's raw responses: a subaccount with a ticker, and what is refused."""

import copy
import json
from pathlib import Path

import pytest

from margincover.errors import InputError, NotSupportedError
from margincover.io.exchanges import ParsedAccount, parse_account

FIXTURES = Path(__file__).parent / "fixtures"


def load(name: str) -> dict[str, object]:
    return json.loads((FIXTURES / f"http_post_derive_{name}.json").read_text())


def parse(mode: str = "standard", **responses: object) -> ParsedAccount:
    return parse_account("derive", responses, account_id="derive:main", mode=mode, source="book.json")


def whole() -> ParsedAccount:
    return parse(account=load("private_get_subaccount"), positions=load("public_get_ticker"))


def test_perpetual_enters_at_the_price_of_its_last_payment():
    perp, _ = whole().account.positions
    # 90,000 - 250 / -0.5: the 2,250 paid into cash since 95,000 must not count twice.
    assert (perp.symbol, perp.contracts, perp.entry_price) == ("BTC-PERP", -0.5, 90_500.0)
    assert perp.reported.unrealised_pnl_native == 250.0


def test_option_takes_volatility_and_forward_of_its_ticker_and_flat_rows_are_dropped():
    positions = whole().account.positions
    assert [p.symbol for p in positions] == ["BTC-PERP", "ETH-20260327-3000-C"]
    assert (positions[1].implied_volatility, positions[1].forward_price) == (0.7, 3_010.0)
    assert (positions[1].contracts, positions[1].entry_price, positions[1].mark_price) == (-10.0, 200.0, 220.0)


def test_report_turns_net_margins_into_requirements():
    (report,) = whole().account.reported
    assert (report.asset, report.equity_native) == ("USDC", 61_250.5)
    assert report.maintenance_native == 61_250.5 - 46_310.75
    assert report.initial_native == 61_250.5 - 38_120.25


def test_balances_leave_out_interest_to_come_and_say_what_has_no_margin_value():
    parsed = whole()
    found = {b.asset: (b.total_native, b.is_collateral) for b in parsed.account.balances}
    assert found == {"USDC": (50_000.0, True), "ETH": (4.0, True), "SOL": (10.0, False)}
    assert any("SOL" in issue for issue in parsed.issues)
    assert any("+1.5 USDC of interest" in issue for issue in parsed.issues)


def test_interest_owed_is_taken_off():
    response = load("private_get_subaccount")
    response["result"]["collaterals"][0]["pending_interest"] = "-2.5"
    assert parse(account=response).account.balances[0].total_native == 49_997.5


def test_resting_orders_and_auctions_are_told():
    response = load("private_get_subaccount")
    response["result"] |= {"open_orders": [{"order_id": "a"}], "is_under_liquidation": True}
    issues = parse(account=response).issues
    assert any("1 resting orders" in issue for issue in issues)
    assert any("auctioned" in issue for issue in issues)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (lambda r: r["result"].update(margin_type="PM"), NotSupportedError, "PM2"),
        (lambda r: r["result"].update(margin_type="PM2"), InputError, "portfolio"),
        (lambda r: r["result"].update(subaccount_value=""), InputError, "subaccount_value"),
        (lambda r: r["result"]["positions"][0].update(mark_value=""), InputError, "mark_value"),
        (lambda r: r["result"]["positions"][0].update(amount="ten"), InputError, "amount"),
        (lambda r: r["result"]["positions"][0].update(mark_value="-50000"), InputError, "mark_value"),
        (lambda r: r["result"]["positions"][0].update(instrument_type="erc20"), NotSupportedError, "erc20"),
        (lambda r: r["result"]["collaterals"][0].update(amount=""), InputError, "amount"),
        (lambda r: r.update(error={"code": 14000, "message": "Account not found"}), InputError, "14000"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(change, error, word):
    response = copy.deepcopy(load("private_get_subaccount"))
    change(response)
    with pytest.raises(error, match=word):
        parse(account=response)


def test_two_subaccounts_and_differing_moments_are_refused():
    first, second = load("private_get_subaccount"), load("private_get_subaccount")
    with pytest.raises(InputError, match="2 subaccounts"):
        parse(**{"account": first, "account[1]": second})
    rows = {"result": {"positions": [{**first["result"]["positions"][0], "amount": "-0.4"}]}}
    with pytest.raises(InputError, match="one moment"):
        parse(account=first, positions=rows)
