"""ExplainNode: a figure as a tree of parts that sum."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainNode:
    """One figure and its parts.

    Parameters
    ----------
    label : str
        What the figure is.
    value : float
        In ``unit``; the parts of a node sum to it.
    unit : str
    detail : str
        How the figure came about: rate, band, source; empty for a sum.
    children : tuple of ExplainNode
        Parts; empty for a leaf. All in the same unit as the parent.

    Raises
    ------
    AssertionError
        If the parts do not sum to the figure.
    """

    label: str
    value: float
    unit: str
    detail: str = ""
    children: tuple[ExplainNode, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.children:
            total = math.fsum(child.value for child in self.children)
            size = math.fsum(abs(child.value) for child in self.children)
            assert abs(total - self.value) <= 1e-9 * max(size, 1e-12), (
                f"Invariant: the parts of '{self.label}' sum to it ({total!r}, {self.value!r})"
            )


def summed(label: str, unit: str, children: tuple[ExplainNode, ...], detail: str = "") -> ExplainNode:
    """Return a node whose value is the sum of its parts."""
    value = math.fsum(child.value for child in children)
    return ExplainNode(label=label, value=value, unit=unit, detail=detail, children=children)
