"""Book + scenarios -> PathSummary: every pool along the same joint paths, block by block.

Takes margin pools and a scenario generator (through the protocol in ``model``), gives per path and pool the maximum of
maintenance minus equity, when it came, and when the pool was first called and first liquidated.
Must not import a generator, ``coverage`` or any room above.
"""
