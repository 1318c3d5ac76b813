"""PathSummary -> CoverageResult: what is required, what is there, how likely a call and a liquidation are, and why.

Takes margin pools and the reduction of their paths, gives results with error bars. Must not import ``scenarios``,
``liquidity`` or any room above.
"""
