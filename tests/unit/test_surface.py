"""Implied-volatility surfaces: published SVI figures, arbitrage checks, fits, what stands beyond the quotes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.pricing.surface import Beyond, Surface, SviSlice
from margincover.pricing.surface_checks import durrleman, sampled_violations, slice_violations, surface_violations
from margincover.pricing.surface_fit import SmileQuotes, fit_slice, fit_ssvi, fit_surface, ssvi_slice
from tests.shared_data import shared_folder

# Axel Vogt's example in Gatheral and Jacquier (2014), arXiv:1204.0646, section 3 and example 5.1.
VOGT = SviSlice(name="vogt", years=1.0, forward=1.0, a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)


def smile(years=0.1, level=0.6, name="near", forward=100.0, **form):
    """Return an arbitrage-free SSVI slice with a given volatility at the money."""
    shape = {"rho": -0.3, "eta": 1.0, "gamma": 0.4} | form
    return ssvi_slice(theta=level**2 * years, name=name, years=years, forward=forward, **shape)


def quotes_of(each: SviSlice, low=-0.4, high=0.4, count=15, name=None) -> SmileQuotes:
    k = np.linspace(low, high, count)
    return SmileQuotes(
        name=name or each.name,
        years=each.years,
        forward=each.forward,
        strike=each.forward * np.exp(k),
        volatility=each.volatility(k),
    )


def test_vogts_slice_has_its_published_jump_wings_and_butterfly_arbitrage():
    w, root = float(VOGT.total_variance(0.0)), math.hypot(VOGT.m, VOGT.sigma)
    wings = (
        w,
        VOGT.b / (2.0 * math.sqrt(w)) * (VOGT.rho - VOGT.m / root),
        VOGT.b * (1.0 - VOGT.rho) / math.sqrt(w),
        VOGT.b * (1.0 + VOGT.rho) / math.sqrt(w),
        VOGT.a + VOGT.b * VOGT.sigma * math.sqrt(1.0 - VOGT.rho**2),
    )
    # Example 5.1 of the paper prints these five figures.
    assert wings == pytest.approx((0.01742625, -0.1752111, 0.6997381, 1.316798, 0.0116249), rel=1e-5)
    (found,) = slice_violations(VOGT)
    assert found.kind == "butterfly"
    # Figure 1 of the paper: the density is negative around k = 0.9.
    assert 0.7 < math.log(found.strike) < 1.1
    assert "butterfly arbitrage at expiry vogt, strike 2.4" in str(found)


def test_a_density_from_prices_agrees_with_durrlemans_condition():
    from margincover.pricing import black76

    # d2C/dK2 = density = g(k) / (K sqrt(2 pi w)) exp(-d2^2 / 2): the same from prices alone, by differences.
    k = np.linspace(0.2, 1.2, 11)
    step = 1e-3
    strikes = np.exp(k)[:, None] * (1.0 + step * np.array([-1.0, 0.0, 1.0]))
    price = black76.price(
        forward=1.0, strike=strikes, years=1.0, volatility=VOGT.volatility(np.log(strikes)), is_call=True
    )
    density = (price[:, 0] - 2.0 * price[:, 1] + price[:, 2]) / (np.exp(k) * step) ** 2
    w = VOGT.total_variance(k)
    g = durrleman(k, w, *VOGT.slopes(k))
    d2 = -k / np.sqrt(w) - np.sqrt(w) / 2.0
    expected = g / (np.exp(k) * np.sqrt(2.0 * math.pi * w)) * np.exp(-(d2**2) / 2.0)
    np.testing.assert_allclose(density, expected, rtol=2e-3, atol=1e-6)
    assert g.min() < 0.0


def test_ssvi_holds_no_arbitrage_and_its_volatility_at_the_money_is_as_stated():
    surface = Surface(slices=(smile(0.05, 0.7), smile(0.5, 0.6, "far")))
    assert surface_violations(surface, beyond=Beyond.WINGS) == []
    assert float(surface.slices[0].volatility(0.0)) == pytest.approx(0.7, rel=1e-12)


def test_steep_wings_and_falling_total_variance_are_named():
    steep = SviSlice(name="steep", years=0.1, forward=1.0, a=0.01, b=1.9, rho=-0.5, m=0.0, sigma=0.1)
    assert "slope" in {each.kind for each in slice_violations(steep)}
    falling = Surface(slices=(smile(0.1, 1.2), smile(0.2, 0.6, "later")))
    kinds = {(each.kind, each.expiry) for each in surface_violations(falling)}
    assert kinds == {("calendar", "later")}
    negative = SviSlice(name="low", years=0.1, forward=1.0, a=-0.1, b=0.1, rho=0.0, m=0.0, sigma=0.1)
    assert [each.kind for each in slice_violations(negative)] == ["variance"]


def test_sampled_check_agrees_with_the_exact_one():
    k = np.linspace(-1.0, 1.4, 401)
    assert sampled_violations(k, [VOGT.total_variance(k)]) == (1, 0)
    near, far = smile(0.1).total_variance(k), smile(0.3, 0.6).total_variance(k)
    assert sampled_violations(k, [near, far]) == (0, 0)
    assert sampled_violations(k, [far, near]) == (0, 1)


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.4])
def test_a_slice_is_found_again_from_its_own_quotes(rho):
    known = smile(0.1, 0.6, rho=rho)
    found = fit_slice(quotes_of(known))
    k = np.linspace(-0.4, 0.4, 33)
    np.testing.assert_allclose(found.volatility(k), known.volatility(k), atol=2e-4)
    assert found.root_mean_square < 2e-4


def test_ssvi_is_found_again_from_its_own_quotes():
    known = [smile(0.05, 0.7, "a"), smile(0.2, 0.62, "b"), smile(0.7, 0.58, "c")]
    found = fit_ssvi([quotes_of(each) for each in known])
    for each, again in zip(known, found.slices, strict=True):
        np.testing.assert_allclose(again.volatility([-0.3, 0.0, 0.3]), each.volatility([-0.3, 0.0, 0.3]), atol=5e-4)


def test_quotes_with_arbitrage_are_an_error_and_can_be_repaired():
    quotes = [quotes_of(smile(0.1, 1.2)), quotes_of(smile(0.2, 0.6, "later"))]
    with pytest.raises(InputError, match=r"calendar arbitrage at expiry later, strike .*repair by SSVI"):
        fit_surface(quotes)
    surface = fit_surface(quotes, repair=True)
    assert surface_violations(surface, beyond=Beyond.WINGS) == []
    assert "calendar arbitrage at expiry later" in surface.notes[0]
    assert "repaired by an SSVI surface" in surface.notes[0]


def test_total_variance_runs_straight_between_expiries_and_nothing_is_said_beyond():
    near, far = smile(0.1, 0.7), smile(0.3, 0.6, "far")
    surface = Surface(slices=(fit_slice(quotes_of(near)), fit_slice(quotes_of(far))))
    between = surface.total_variance(0.1, 0.2)
    assert between == pytest.approx(0.5 * (near.total_variance(0.1) + far.total_variance(0.1)), rel=1e-3)
    assert surface.volatility(0.1, 0.2) == pytest.approx(math.sqrt(between / 0.2))
    with pytest.raises(InputError, match=r"strike 164\.872 stands outside the quotes of near.*67\.032 to 149\.182"):
        surface.volatility(0.5, 0.1)
    with pytest.raises(InputError, match="outside the quoted expiries near to far"):
        surface.volatility(0.0, 0.5)
    # The stated rule beyond: the nearest expiry's volatility.
    assert surface.volatility(0.0, 0.5, beyond=Beyond.WINGS) == pytest.approx(0.6, abs=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volatility": np.array([0.5, np.nan, 0.5, 0.5, 0.5])}, "volatility nan at strike 90"),
        ({"strike": np.array([80.0, 90.0, 90.0, 110.0, 120.0])}, "4 strikes are quoted; allowed: at least 5"),
        ({"strike": np.array([80.0, 90.0])}, "2 strikes, 5 volatilities"),
        ({"years": 0.0}, "years > 0"),
    ],
)
def test_bad_quotes_are_named(change, message):
    good = {"name": "x", "years": 0.1, "forward": 100.0, "volatility": np.full(5, 0.5)}
    with pytest.raises(InputError, match=message):
        SmileQuotes(**(good | {"strike": np.array([80.0, 90.0, 100.0, 110.0, 120.0])} | change))


def test_a_slice_out_of_range_is_an_error():
    with pytest.raises(InputError, match="-1 < rho < 1"):
        SviSlice(name="x", years=0.1, forward=1.0, a=0.0, b=0.1, rho=1.0, m=0.0, sigma=0.1)
    with pytest.raises(InputError, match="times to expiry that rise"):
        Surface(slices=(smile(0.2), smile(0.1)))


def test_the_real_chain_of_ether_is_fitted_without_arbitrage_to_a_volatility_point():
    import polars as pl

    chain = pl.read_parquet(shared_folder() / "data/options/deribit_eth_chain_2024-01-08.parquet")
    quotes = []
    for (expiry,), rows in chain.sort("expiry", "strike").group_by("expiry", maintain_order=True):
        forward = float(rows["underlying_price"].median())
        out = pl.when(pl.col("strike") >= forward).then(pl.lit("C")).otherwise(pl.lit("P"))
        rows = rows.filter(pl.col("mark_iv_implied").is_not_null() & (pl.col("type") == out))
        years = (expiry - rows["snapshot_ts"][0]).total_seconds() / 86_400 / 365
        quotes.append(
            SmileQuotes(
                name=f"{expiry:%Y-%m-%d}",
                years=years,
                forward=forward,
                strike=rows["strike"].to_numpy().astype(float),
                volatility=rows["mark_iv_implied"].to_numpy(),
            )
        )
    surface = fit_surface(quotes)
    assert len(surface.slices) == 11
    for each, found in zip(quotes, surface.slices, strict=True):
        deviations = each.moneyness / (float(found.volatility(0.0)) * math.sqrt(found.years))
        error = (found.volatility(each.moneyness) - each.volatility)[np.abs(deviations) < 2.0]
        # Within two deviations of the money; two days before a decision one smile has a shape SVI cannot take.
        assert np.sqrt(np.mean(error**2)) < 0.0065
        assert np.abs(error).max() < 0.016


def test_the_surfaces_of_crisis_days_are_fitted_to_a_volatility_point_without_arbitrage():
    import polars as pl

    rows = pl.read_parquet(shared_folder() / "data/options/btc_iv_crisis_surfaces.parquet")
    for (day,), surface in rows.sort("tenor_days", "moneyness").group_by("date"):
        quotes = [
            SmileQuotes(
                name=f"{day} {tenor} d",
                years=tenor / 365,
                forward=1.0,
                strike=np.exp(part["moneyness"].to_numpy()),
                volatility=part["iv"].to_numpy(),
            )
            for (tenor,), part in surface.group_by("tenor_days", maintain_order=True)
        ]
        assert max(each.root_mean_square for each in fit_surface(quotes).slices) < 0.010
