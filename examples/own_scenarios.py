"""Bring your own market view: any object with ``info`` and ``block`` can move the book.

Here geometric Brownian motion with stated volatilities, once calm and once wild: the same accounts, the same rules.
Run: python examples/own_scenarios.py
"""

import numpy as np

import margincover as mc
from margincover.scenarios.brownian import GeometricBrownian


def main() -> None:
    book = mc.demo_book()
    factors = ("BTC", "ETH", "SOL", "XRP")
    correlation = np.full((4, 4), 0.75) + 0.25 * np.eye(4)
    for label, volatility in (("calm", 0.35), ("wild", 1.20)):
        generator = GeometricBrownian(
            factors=factors, sigma_annual=np.full(4, volatility), correlation=correlation, step_s=3600
        )
        result = mc.cover(book, generator=generator, paths=5_120, follow_s=86_400).result
        print(f"{label}: required {result.required_usd:12,.0f} USD, gap {result.gap_usd:12,.0f} USD")


if __name__ == "__main__":
    main()
