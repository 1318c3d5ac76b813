"""Which constraints of an infeasible problem exclude each other: a minimal conflicting set by a deletion filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from margincover.errors import InputError


def minimal_conflict(names: Sequence[str], is_feasible: Callable[[frozenset[str]], bool]) -> tuple[str, ...]:
    """Return a smallest-by-inclusion set of names that cannot be met together, in the order given.

    Parameters
    ----------
    names : sequence of str
        All constraints that may be dropped; distinct.
    is_feasible : callable
        Whether the problem with just these constraints has a solution. Must be monotone: fewer constraints never hurt.

    Raises
    ------
    InputError
        If the full set is feasible: then there is no conflict.

    Notes
    -----
    One pass: a constraint whose removal leaves the rest infeasible is not needed for the conflict and stays out.
    Every member of the answer is necessary: without it the others can be met. Another minimal set may exist. Chinneck
    and Dravnieks (1991), doi:10.1287/ijoc.3.2.157.

    Examples
    --------
    >>> minimal_conflict(["a", "b", "c"], lambda kept: not {"a", "c"} <= kept)
    ('a', 'c')
    """
    kept = list(dict.fromkeys(names))
    if len(kept) != len(names):
        raise InputError("held a name twice", field="names", allowed="distinct names")
    if is_feasible(frozenset(kept)):
        raise InputError("can all be met together", field="names", allowed="constraints that conflict")
    for name in names:
        rest = [other for other in kept if other != name]
        if not is_feasible(frozenset(rest)):
            kept = rest
    return tuple(kept)
