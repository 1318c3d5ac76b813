"""OptionTable: the options of one pool, compiled to arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import IndexVector, Vector, frozen, frozen_index


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionTable:
    """European options of one pool, one array entry per position.

    In its settle asset one coin's option is worth, with forward F and Black (1976) value B(F),

    - linear:  B(F) + residual
    - inverse: B(F) / F + residual

    and never less than 0. The residual is what the venue's mark differs from the formula at ``as_of``: it is kept, so
    that the venue's own mark stands at the start.

    Parameters
    ----------
    instrument_ids, symbols, buckets, bases, quotes : tuple of str [option]
        ``bases`` is the underlying whose parameters and index apply.
    factor_index, asset_index : IndexVector [option]
        Factor that moves index and forward; asset in which the option settles.
    inverse : bool array [option]
        Settled in the base coin.
    quantity : Vector [option]
        Signed base coins: contracts times multiplier; > 0 is long.
    strike, forward, index : Vector [option]
        In the quote asset, > 0.
    is_call : bool array [option]
    years : Vector [option]
        Time to expiry at ``as_of`` in years of 365 days, > 0.
    volatility : Vector [option]
        Implied, annual, as a fraction, >= 0.
    entry, mark, residual : Vector [option]
        Per base coin in the settle asset.
    """

    instrument_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    buckets: tuple[str, ...]
    bases: tuple[str, ...]
    quotes: tuple[str, ...]
    factor_index: IndexVector
    asset_index: IndexVector
    inverse: NDArray[np.bool_]
    quantity: Vector
    strike: Vector
    forward: Vector
    index: Vector
    is_call: NDArray[np.bool_]
    years: Vector
    volatility: Vector
    entry: Vector
    mark: Vector
    residual: Vector

    @property
    def count(self) -> int:
        """Number of options."""
        return len(self.instrument_ids)

    @classmethod
    def empty(cls) -> OptionTable:
        """Return the table of a pool without options."""
        numbers = frozen([], name="options", ndim=1)
        index, flags = frozen_index([]), np.zeros(0, dtype=bool)
        return cls(
            instrument_ids=(),
            symbols=(),
            buckets=(),
            bases=(),
            quotes=(),
            factor_index=index,
            asset_index=index,
            inverse=flags,
            quantity=numbers,
            strike=numbers,
            forward=numbers,
            index=numbers,
            is_call=flags,
            years=numbers,
            volatility=numbers,
            entry=numbers,
            mark=numbers,
            residual=numbers,
        )
