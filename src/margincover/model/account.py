"""Account and snapshot: what was observed at the venues, before any rule is applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from margincover.errors import InputError
from margincover.model.position import Balance, OpenOrder, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """What the venue itself says of the account; None where it says nothing.

    Money in ``asset`` (``"USD"`` for accounts that the venue values in dollars). ``ratio`` is the venue's own
    figure with the venue's own direction; ``ratio_kind`` names it (``"mm_over_equity"``, ``"equity_over_mm"``).
    """

    asset: str
    equity_native: float | None = None
    maintenance_native: float | None = None
    initial_native: float | None = None
    available_native: float | None = None
    ratio: float | None = None
    ratio_kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One venue account: a mode, positions, balances and what the venue reports.

    Parameters
    ----------
    id : str
        ``venue:name``.
    venue, mode : str
        Names known to the rulebook of the venue.
    taker_fee_fraction : float or None
        The user's own taker fee; None takes the default of the edition in force.
    margin_call_coverage_ratio : float or None
        Own warning level as equity / maintenance, > 1; None takes the venue's or the program's default.

    Raises
    ------
    InputError
        For a duplicate position (symbol, bucket, margin mode) or balance.
    """

    id: str
    venue: str
    mode: str
    positions: tuple[Position, ...] = ()
    balances: tuple[Balance, ...] = ()
    open_orders: tuple[OpenOrder, ...] = ()
    reported: tuple[AccountReport, ...] = ()
    taker_fee_fraction: float | None = None
    margin_call_coverage_ratio: float | None = None

    def __post_init__(self) -> None:
        name, _, rest = self.id.partition(":")
        if name != self.venue or not rest:
            raise InputError(f"id was '{self.id}'", account=self.id, field="id", allowed=f"{self.venue}:<name>")
        seen: set[tuple[str, str]] = set()
        for position in self.positions:
            key = (position.symbol, position.bucket.value)
            if key in seen:
                raise InputError(
                    f"position {position.symbol} {position.bucket.value} stood twice",
                    account=self.id,
                    field="positions",
                    allowed="one position per symbol and bucket",
                )
            seen.add(key)
        assets = [balance.asset for balance in self.balances]
        for asset in assets:
            if assets.count(asset) > 1:
                raise InputError(
                    f"balance {asset} stood {assets.count(asset)} times",
                    account=self.id,
                    field="balances",
                    allowed="one balance per asset",
                )
        if self.taker_fee_fraction is not None and not -0.01 <= self.taker_fee_fraction <= 0.05:
            raise InputError(
                f"was {self.taker_fee_fraction}",
                account=self.id,
                field="taker_fee",
                allowed="a fraction between -0.01 and 0.05 (0.0005 is 5 basis points)",
            )
        ratio = self.margin_call_coverage_ratio
        if ratio is not None and not 1.0 < ratio <= 100.0:
            raise InputError(
                f"was {ratio}",
                account=self.id,
                field="margin_call_coverage_ratio",
                allowed="a number > 1 and <= 100 (equity / maintenance)",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Accounts as observed at one instant, with where they came from."""

    as_of: datetime
    accounts: tuple[Account, ...]
    source: str = "memory"
    issues: tuple[str, ...] = field(default=())
