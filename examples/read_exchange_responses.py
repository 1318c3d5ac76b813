"""From raw exchange responses to liquidation prices, without writing a position by hand.

The responses below are written for this example in the shape of Binance's ``positionRisk`` and ``account``.
Run: python examples/read_exchange_responses.py
"""

import json
import tempfile
from pathlib import Path

import margincover as mc

POSITIONS = [
    {
        "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "-1.500", "entryPrice": "88100.0",
        "markPrice": "87608.2", "unRealizedProfit": "737.70", "liquidationPrice": "0", "leverage": "10",
        "marginType": "cross", "isolatedMargin": "0", "isolatedWallet": "0",
    }
]  # fmt: skip
ACCOUNT = {
    "assets": [
        {"asset": "USDT", "crossWalletBalance": "25000.0", "crossUnPnl": "737.70", "availableBalance": "12596.47"}
    ],
    "positions": [],
}
BOOK = {
    "schema_version": 1,
    "as_of": "2026-01-01T00:00:00Z",
    "market": {"observed_at": "2026-01-01T00:00:00Z", "asset_usd": {"USDT": 0.9993}},
    "accounts": [
        {
            "id": "binance:example",
            "mode": "usdm_single_asset",
            "responses": {"positions": "positionRisk.json", "account": "account.json"},
        }
    ],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("positionRisk", POSITIONS), ("account", ACCOUNT), ("book", BOOK)):
            (Path(folder) / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        report = mc.status(mc.load(Path(folder) / "book.json"))
    for pool in report.result.pools:
        print(f"{pool.pool_id}: equity {pool.equity_native:,.2f} {pool.unit}, coverage ratio {pool.coverage_ratio:.1f}")
        for level in pool.levels:
            print(f"  {level.symbol}: liquidated at {level.up or level.down:,.2f}, mark {level.mark_price:,.2f}")
    for row in report.result.reconciliation:
        print(f"  {row.figure}: ours {row.ours:,.2f}, venue {row.venue:,.2f}, {row.difference_bps:+.2f} bps")


if __name__ == "__main__":
    main()
