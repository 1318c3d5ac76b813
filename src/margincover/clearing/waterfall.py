"""The default waterfall: an ordered list of resources, each used up before the next is touched, on every path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.clearing.adl_policies import pro_rata
from margincover.clearing.checks import amounts
from margincover.clearing.dated import Origin
from margincover.errors import InputError
from margincover.numeric.arrays import PathVector
from margincover.numeric.layers import absorb_paths


class LayerKind(Enum):
    """Whose money a layer is.

    ``DEFAULTER`` margin and contribution of who failed; ``VENUE`` own capital of the house; ``FUND`` prefunded pool;
    ``ASSESSMENT`` call on surviving members; ``GAINS_HAIRCUT`` cut of winners' payouts; ``ADL`` forced close of
    winners; ``SOCIALISED`` share of winners or of all withdrawals; ``TEAR_UP`` cancelled contracts.
    """

    DEFAULTER = "defaulter"
    VENUE = "venue"
    FUND = "fund"
    ASSESSMENT = "assessment"
    GAINS_HAIRCUT = "gains_haircut"
    ADL = "adl"
    SOCIALISED = "socialised"
    TEAR_UP = "tear_up"


# Cash that is there before the loss: of these one larger than the market is a slip of units, not a resource.
PREFUNDED = (LayerKind.VENUE, LayerKind.FUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One resource."""

    name: str
    kind: LayerKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """Ordered layers of a venue, first used first."""

    venue: str
    origin: Origin
    layers: tuple[Layer, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers in order."""
        return tuple(layer.name for layer in self.layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallResult:
    """Who absorbed what.

    Parameters
    ----------
    layers : tuple of Layer
    loss_usd, residual_usd : array [path]
        >= 0. The residual is what no layer paid.
    absorbed_usd : array [layer, path]
        absorbed summed over layers + residual = loss.
    """

    layers: tuple[Layer, ...]
    loss_usd: PathVector
    absorbed_usd: NDArray[np.float64]
    residual_usd: PathVector

    def of(self, name: str) -> PathVector:
        """Return what a layer absorbed [path]."""
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise InputError(f"was '{name}'", field="layer", allowed=", ".join(names))
        return np.asarray(self.absorbed_usd[names.index(name)], dtype=np.float64)

    def paid_by(self, name: str, shares: ArrayLike) -> NDArray[np.float64]:
        """Return a layer's part by payer [payer, path], in proportion to ``shares`` (such as contributions).

        Parameters
        ----------
        name : str
        shares : array [payer]
            >= 0, not all 0: who stands behind the layer, in any unit.
        """
        weights = amounts(shares, name="shares")
        if weights.ndim != 1 or not weights.sum() > 0.0:
            raise InputError(
                f"shape {weights.shape}, sum {weights.sum()}", field="shares", allowed="[payer], sum above 0"
            )
        part = self.of(name)
        # shares of one paid out by pro rata: exact to the last digit and never above the whole
        return pro_rata(weights / weights.sum(), 1.0) * part

    @property
    def largest_gap_usd(self) -> float:
        """Largest difference on any path between the loss and what is accounted for."""
        return float(np.abs(self.absorbed_usd.sum(axis=0) + self.residual_usd - self.loss_usd).max())


def apply(
    waterfall: Waterfall,
    loss_usd: ArrayLike,
    capacity_usd: Mapping[str, ArrayLike],
    *,
    market_usd: float | None = None,
) -> WaterfallResult:
    """Run losses through a waterfall.

    Parameters
    ----------
    waterfall : Waterfall
    loss_usd : float or array [path]
        >= 0.
    capacity_usd : mapping of layer name to float or array [path]
        What each layer can pay, >= 0; every layer once, no other names. Infinity is allowed where a layer has no limit,
        which only a tear-up has. What winners can lose is the sum of their profits, not infinity.
    market_usd : float or None
        Open interest in USD; with it a prefunded layer larger than the market is an error.

    Raises
    ------
    InputError
        If a name is missing or unknown, a figure negative or NaN, a layer infinite that cannot be, or a fund larger
        than the market.
    """
    losses = np.atleast_1d(amounts(loss_usd, name="loss_usd"))
    if losses.ndim != 1 or not losses.size:
        raise InputError(f"shape {losses.shape}", field="loss_usd", allowed="[path], at least one")
    missing = [name for name in waterfall.names if name not in capacity_usd]
    unknown = [name for name in capacity_usd if name not in waterfall.names]
    if missing or unknown:
        found = f"missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        raise InputError(found, source=waterfall.venue, field="capacity_usd", allowed=", ".join(waterfall.names))
    rows = [_capacity(layer, capacity_usd[layer.name], losses.size, market_usd) for layer in waterfall.layers]
    parts = absorb_paths(losses, np.stack(rows))
    return WaterfallResult(
        layers=waterfall.layers, loss_usd=losses, absorbed_usd=parts.absorbed, residual_usd=parts.residual
    )


def _capacity(layer: Layer, value: ArrayLike, n_paths: int, market_usd: float | None) -> PathVector:
    size = amounts(value, name=layer.name, infinite=layer.kind is LayerKind.TEAR_UP)
    if size.ndim > 1 or (size.ndim == 1 and size.size != n_paths):
        raise InputError(f"shape {size.shape}", field=layer.name, allowed=f"one figure or [{n_paths}]")
    if market_usd is not None and layer.kind in PREFUNDED and float(size.max()) > market_usd:
        raise InputError(
            f"was {float(size.max()):,.2f} USD of a market of {market_usd:,.2f}",
            field=layer.name,
            allowed="at most the open interest: check the unit",
        )
    return np.broadcast_to(size, (n_paths,))
