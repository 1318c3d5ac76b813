"""Auto-deleveraging: scores of the queue and triggers of the insurance pool, through the clearing rules."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from margincover.clearing.adl_rules import adl_rule, contract_drawdown
from margincover.clearing.adl_scores import SCORES, RankedPositions, wallet_profit_share
from tests.reference.verify.adaptors.named import inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case

AT = datetime(2026, 8, 1, tzinfo=UTC)
SPELLINGS = {
    "share": "pnlpercent pnlpct profitpercent",
    "score": "leveragepnl adlscore score",
    "ratio": "pnlratio",
    "triggered": "adltriggered triggered",
    "shifted": "lossshiftedtoadl shiftedloss",
}


def binance(case: Case) -> Answer:
    """Return the score of a Binance position of one unit, given its profit, wallet and margin ratio."""
    given = inputs_of(case, nested=False)
    profit, wallet = given.need("upnl", "unrealizedpnl", "unpnl"), given.need("walletbalance", "wallet")
    ratio = given.need("marginratio", "mr")
    # a long of one unit whose entry and mark lie the stated profit apart, far enough from 0 for a loss as well
    entry = 10.0 * abs(profit) + 1.0
    rows = RankedPositions(
        quantity=np.array([1.0]),
        side=np.array([1.0]),
        entry_price=np.array([entry]),
        mark_price=np.array([entry + profit]),
        wallet_usd=np.array([wallet]),
        equity_usd=np.array([wallet + profit]),
        maintenance_usd=np.array([ratio * max(wallet + profit, 0.0)]),
    )
    score = SCORES[adl_rule("binance", at=AT).score](rows)[0]
    return named(case, {"share": float(wallet_profit_share(rows)[0]), "score": float(score)}, spellings=SPELLINGS)


def bybit(case: Case) -> Answer:
    """Return the drawdown of a contract against its pool; the trigger is the case's own, packaged where it has none."""
    given = inputs_of(case, nested=False)
    limit = given.number("insurancepnlratio")
    packaged = adl_rule("bybit", at=AT).trigger["drawdown_fraction"]
    found = contract_drawdown(
        result_now_usd=given.need("symbolpnlnow", "pnlnow"),
        result_peak_usd=given.need("symbol8hmaxpnl", "pnl8hmax"),
        pool_peak_usd=given.need("pool8hmax"),
        drawdown_fraction=packaged if limit is None else -limit,
        pool_now_usd=given.number("balance", "poolnow"),
        pool_threshold_usd=given.number("adltriggerthreshold") or 0.0,
    )
    figures = {"ratio": found.ratio, "triggered": found.is_triggered, "shifted": found.shifted_usd}
    return named(case, figures, spellings=SPELLINGS)
