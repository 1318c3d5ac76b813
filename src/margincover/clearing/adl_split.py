"""What splitting an account changes: a policy that can be escaped by two accounts is not a rule but an invitation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from margincover.clearing.checks import amounts, same_length
from margincover.errors import InputError
from margincover.numeric.arrays import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Winners:
    """Accounts that a policy may take from.

    Parameters
    ----------
    available_usd : array [account]
        What each can lose; splits with the account.
    score, leverage : array [account]
        Ratios: both parts of a split account keep them.
    """

    available_usd: Vector
    score: Vector
    leverage: Vector

    def __post_init__(self) -> None:
        for name in ("available_usd", "leverage"):
            object.__setattr__(self, name, amounts(getattr(self, name), name=name))
        object.__setattr__(self, "score", np.asarray(self.score, dtype=np.float64))
        same_length(available_usd=self.available_usd, score=self.score, leverage=self.leverage)

    def split(self, account: int, shares: Sequence[float]) -> Winners:
        """Return the winners with one account in parts, the parts where the account stood."""
        parts = amounts(shares, name="shares")
        if not 0 <= account < self.available_usd.size or not parts.size or abs(float(parts.sum()) - 1.0) > 1e-12:
            raise InputError(f"account {account}, shares {list(shares)}", field="split", allowed="an account; sum 1")

        def with_parts(column: Vector, values: Vector) -> Vector:
            return np.concatenate([column[:account], values, column[account + 1 :]])

        own = self.available_usd[account]
        return Winners(
            available_usd=with_parts(self.available_usd, own * parts),
            score=with_parts(self.score, np.full(parts.size, self.score[account])),
            leverage=with_parts(self.leverage, np.full(parts.size, self.leverage[account])),
        )


Policy = Callable[[Winners], Vector]


def split_gain(policy: Policy, winners: Winners, *, account: int, shares: Sequence[float]) -> float:
    """Return what an account saves by splitting, in USD: > 0 when its parts together lose less than it did whole.

    Parameters
    ----------
    policy : callable
        From winners to what is taken from each [account]; for a random policy its mean over draws.
    account : int
    shares : sequence of float
        >= 0, summing to 1.
    """
    whole = policy(winners)[account]
    parts = policy(winners.split(account, shares))[account : account + len(shares)]
    return float(whole - parts.sum())


def largest_split_gain(policy: Policy, winners: Winners, *, shares: Sequence[float] = (0.5, 0.5)) -> float:
    """Return the largest absolute change over all accounts, as a share of the account's endowment.

    0 for a split-invariant policy. Each account is split alone: cost grows with the square of their number.
    """
    worst = 0.0
    for account in range(winners.available_usd.size):
        own = float(winners.available_usd[account])
        if own > 0.0:
            worst = max(worst, abs(split_gain(policy, winners, account=account, shares=shares)) / own)
    return worst
