"""Value of one instrument in a state: linear and inverse contracts, perpetual funding, spot.

Takes arrays of prices and sizes and gives notional, profit and cash flows in the settle asset.
Must not import any room above ``model``.
"""
