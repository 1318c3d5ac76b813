"""Fields of a book file for the standing contingency funding plan."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from margincover.io.book_types import Duration, Fraction, Instant, Limits, NonNegative, Positive, StrictTable, Text

Level = Annotated[float, Limits(least=1.0, most=100.0)]


class ContingencyTable(StrictTable):
    """One action of the plan: money from one source to one account when its coverage ratio falls below a trigger."""

    id: Text = Field(description="Name of the action, unique in the book.")
    account: Text = Field(description="Account id that receives the money.")
    source: Text = Field(description="Reserve id or credit line id.")
    trigger: Level | None = Field(
        None, description="Equity over maintenance below which it is started; the buffer's search when left out."
    )
    target: Level | None = Field(
        None, description="Equity over maintenance to restore; the buffer's initial when left out."
    )
    capacity_usd: Positive = Field(description="Most that it may bring in all, in US dollars.")
    lead_time: Duration = Field(description="From the decision until the money counts, people and systems included.")
    cost_fraction: Fraction = Field(0.0, description="Cost as a part of what is brought.")
    cost_usd: NonNegative = Field(0.0, description="Fixed cost each time, in US dollars.")
    approver: Text = Field(description="Who must agree.")
    tested: Instant | None = Field(None, description="When it was last tried; never when left out.")
