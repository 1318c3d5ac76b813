"""Where the capital goes: the least cost of holding it at venues and in a reserve, at a stated tolerance.

Takes requirements per venue on joint paths (before and after a transfer can arrive), costs and limits, as arrays; gives
amounts, what is proven about them, and a re-check that does not use the solver. Pure functions: no book, no clock, no
file. Must not import ``clearing`` or any room above.
"""
