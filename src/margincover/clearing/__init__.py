"""The venue's side: what is left when coverage fails, and who pays it.

Holds the liquidation slice, auto-deleveraging policies with their measures, the default waterfall, the insurance fund
and mutual pools. Takes arrays (losses, endowments, contributions, one column per path) and dated rules under ``data``;
gives who paid what and what nobody paid. Money is conserved: taken + paid + residual = loss, on every path.

Pure functions: no book, no clock, no file but the packaged rules. Must not import ``allocation`` or any room above.
"""
