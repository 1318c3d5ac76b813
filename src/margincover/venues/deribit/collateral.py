"""What the assets of a cross account count as collateral, asset by asset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.errors import NotSupportedError
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.numeric.arrays import Vector, frozen
from margincover.venues.deribit.parameters import CollateralParameters
from margincover.venues.models import ModelRequest

Paths = NDArray[np.float64]

HAIRCUT_NOTE = (
    "haircuts of collateral are stated for initial margin; they are taken off the equity that is held against "
    "maintenance too, which can only lower the coverage"
)


def haircuts(request: ModelRequest) -> tuple[Vector, ParameterEdition]:
    """Return the haircut of each asset of a pool as a fraction, [asset], and the edition it comes from.

    Raises
    ------
    NotSupportedError
        If an asset that is held or in which positions settle has no known haircut.
    """
    edition = request.edition("cross_collateral", "*")
    known = CollateralParameters.from_mapping(edition.values, source=f"{edition.venue}.toml {edition.id}")
    try:
        fractions = [known.haircut_fraction(asset) for asset in request.pool.assets.assets]
    except NotSupportedError as error:
        raise error.located(account=request.account.id) from error
    return frozen(fractions, name="haircuts", ndim=1), edition


def counted_value(held: Paths, asset_price: Paths, haircut: Vector) -> Paths:
    """Return what each asset counts, [asset, path], in the pool's unit: cut where it is owned, in full where owed."""
    weight = np.where(held > 0.0, 1.0 - haircut[:, None], 1.0)
    return np.asarray(held * asset_price * weight, dtype=np.float64)


def haircut_note(pool: MarginPool, haircut: Vector) -> tuple[str, ...]:
    """Return a sentence where a haircut counts at all."""
    return (HAIRCUT_NOTE,) if (haircut > 0.0).any() else ()
