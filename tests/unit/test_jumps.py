"""The jump generator: kernel against its twin, tilts, figures of the package, draws, bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.numeric import jump_bridge_reference
from margincover.numeric.draws import Draws, normals
from margincover.numeric.jump_bridge import jump_bridge
from margincover.numeric.jump_laws import DoubleExponentialJumps, NormalJumps
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.jump_figures import JumpSizes, jump_figures_from, load_jump_figures, packaged_jumps
from margincover.scenarios.jumps import JumpClock, JumpDiffusion
from tests.shared_data import shared_folder

KOU = DoubleExponentialJumps(up_probability=0.4, up_rate=25.0, down_rate=12.0)
MERTON = NormalJumps(mean=-0.02, deviation=0.06)
ROOT = Path(__file__).parents[2]


def two_coins(**changes) -> JumpDiffusion:
    """BTC and ETH on daily steps, so many jumps that steps hold several."""
    fields = {
        "factors": ("BTC", "ETH"),
        "sigma_annual": [0.5, 0.7],
        "correlation": [[1.0, 0.7], [0.7, 1.0]],
        "step_s": 86_400,
        "systemic": JumpClock(per_year=200.0, sizes=KOU),
        "beta": [1.0, 1.3],
        "own": [JumpClock(per_year=100.0, sizes=MERTON), JumpClock(per_year=150.0, sizes=KOU)],
    }
    return JumpDiffusion(**{**fields, **changes})


def test_kernel_agrees_with_its_plain_twin():
    rng = np.random.default_rng(2)
    n_steps, n_factors, n_paths = 4, 2, 30
    counts = rng.poisson(1.5, n_steps * n_paths)
    first = np.concatenate(([0], np.cumsum(counts)))
    cell = np.repeat(np.arange(counts.size), counts)
    time = rng.random(cell.size)
    time = time[np.lexsort((time, cell))]
    shape = (n_steps, n_factors, n_paths)
    hits = rng.random((n_factors, cell.size)) < 0.7
    arguments = (
        0.1 * rng.standard_normal(shape),
        np.array([0.01, 0.02]),
        rng.standard_exponential(shape),
        rng.standard_exponential(shape),
        first,
        time,
        np.where(hits, 0.2 * rng.standard_normal(hits.shape), 0.0),
        hits,
        rng.standard_normal(hits.shape),
        rng.standard_exponential((2, *hits.shape)),
    )
    assert (counts > 1).any()
    for expected, actual in zip(jump_bridge_reference.jump_bridge(*arguments), jump_bridge(*arguments), strict=True):
        assert np.allclose(expected, actual, rtol=0.0, atol=1e-13)


def test_systemic_jumps_come_to_all_coins_in_the_same_step_by_their_betas():
    # Next to no diffusion and no clock of its own: every move is a systemic jump.
    none = JumpClock(per_year=0.0, sizes=KOU)
    generator = two_coins(sigma_annual=[1e-9, 1e-9], own=[none, none], drift_annual=[0.0, 0.0])
    moves = np.diff(generator.block(seed=4, number=0, n_steps=20, n_paths=500).close_log, axis=0, prepend=0.0)
    assert np.allclose(moves[:, 1], 1.3 * moves[:, 0], atol=1e-8)
    jumped = np.abs(moves[:, 0]) > 1e-6
    assert jumped.mean() == pytest.approx(1.0 - np.exp(-200.0 / 365.0), abs=0.02)


@pytest.mark.parametrize("power", [(-3.0, -1.0), (2.0, 1.0), (0.0, -4.0)])
def test_tilted_law_weighs_back_to_the_true_one(power):
    # E_Q[exp(-(h.X - T k))] = 1 and E_Q[price exp(-(h.X - T k))] = 1, the true law's mean price.
    generator, h, years = two_coins(), np.array(power), 10.0 / 365.0
    tilted = generator.tilted(h)
    blocks = [tilted.block(seed=6, number=n, n_steps=10, n_paths=20_000).close_log[-1] for n in range(4)]
    end = np.concatenate(blocks, axis=1)
    weight = np.exp(-(h @ end - years * generator.cumulant_annual(h)))
    for values in (weight, weight * np.exp(end[0]), weight * np.exp(end[1])):
        assert abs(values.mean() - 1.0) < 4.0 * values.std() / np.sqrt(values.size)


def test_tilt_beyond_the_tail_of_the_jumps_is_an_input_error():
    with pytest.raises(InputError, match="power"):
        two_coins().tilted(np.array([-12.0, 0.0]))


def test_variance_of_moves_is_that_of_diffusion_and_jumps():
    generator = two_coins()
    share = generator.jump_variance_fraction
    moves = np.diff(generator.block(seed=8, number=0, n_steps=40, n_paths=5_000).close_log, axis=0, prepend=0.0)
    expected = np.array([0.5, 0.7]) ** 2 / 365.0 / (1.0 - share)
    assert np.allclose(moves.var(axis=(0, 2)), expected, rtol=0.03)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": [1.0, -0.1]}, "beta"),
        ({"beta": [1.0]}, "betas"),
        ({"sigma_annual": [0.5, 0.0]}, "sigma_annual"),
        ({"step_s": 0}, "step_s"),
        ({"beta": [1.0, 30.0]}, "infinite"),
        ({"drift_annual": [0.0]}, "drift_annual"),
    ],
)
def test_impossible_generator_is_an_input_error(changes, words):
    with pytest.raises(InputError, match=words):
        two_coins(**changes)


def test_packaged_figures_keep_the_long_run_variance_where_the_diffusion_may_give_way():
    calibration, figures = load_packaged(), load_jump_figures()
    generator = packaged_jumps(calibration.names, calibration=calibration)
    share = generator.jump_variance_fraction
    for f, name in enumerate(calibration.names):
        total = figures.coins[name].diffusion_annual ** 2 / (1.0 - share[f])
        assert total == pytest.approx(calibration.of(name).long_run_volatility_annual ** 2, rel=1e-3)


def test_stated_volatility_is_that_of_diffusion_and_jumps_together():
    made = packaged_jumps(["BTC"], calibration=load_packaged(), volatility_annual={"BTC": 0.9})
    assert float(made.sigma_annual[0]) ** 2 / (1.0 - made.jump_variance_fraction[0]) == pytest.approx(0.81)


def test_stand_in_moves_with_its_coin_and_says_so():
    made = packaged_jumps(
        ["ETH", "NEW"], calibration=load_packaged(), proxies={"NEW": Proxy(factor="ETH", multiple=1.5)}
    )
    assert made.info.correlation[0, 1] == pytest.approx(1.0)
    assert made.sigma_annual[1] == pytest.approx(1.5 * made.sigma_annual[0])
    assert "NEW follows ETH times 1.5" in made.info.warnings[0]
    with pytest.raises(InputError, match="NEW"):
        packaged_jumps(["NEW"], calibration=load_packaged())


def test_both_laws_of_sizes_have_the_same_mean_and_clock():
    calibration = load_packaged()
    kou, merton = (packaged_jumps(["BTC"], calibration=calibration, sizes=sizes).systemic for sizes in JumpSizes)
    assert kou.per_year == merton.per_year
    p = kou.sizes.up_probability
    mean = p / kou.sizes.up_rate - (1.0 - p) / kou.sizes.down_rate
    assert merton.sizes.mean == pytest.approx(mean, abs=1e-5)


def test_figures_with_an_unknown_key_are_an_input_error():
    with pytest.raises(InputError, match="unknown keys"):
        jump_figures_from('source = "x"\nas_of = "y"\nextra = 1\n[systemic]\n[coins]\n')


def test_the_tool_makes_the_packaged_figures_again(tmp_path):
    prices = shared_folder() / "data" / "prices"
    made = tmp_path / "jumps.toml"
    subprocess.run([sys.executable, "tools/jumps.py", prices, "--output", made], cwd=ROOT, check=True, timeout=300)
    packaged = ROOT / "src/margincover/scenarios/data/jumps.toml"
    assert made.read_text(encoding="utf-8") == packaged.read_text(encoding="utf-8")


def test_antithetic_paths_are_mirrored_and_the_odd_one_is_its_own():
    z = normals(1, "x", 0, shape=(3, 2, 7), draws=Draws.ANTITHETIC)
    assert np.array_equal(z[:, :, 4:], -z[:, :, :3])
    assert not np.array_equal(z[:, :, 3], -z[:, :, 0])


def test_shifted_sobol_points_are_stratified_in_every_coordinate_and_normal_over_blocks():
    z = normals(1, "x", 0, shape=(12, 2, 256), draws=Draws.SOBOL)
    from scipy.special import ndtr

    # 256 points of a digital net: exactly one in every 256th of each axis, whatever the shift
    cells = np.sort(np.floor(ndtr(z) * 256.0), axis=-1)
    assert np.array_equal(cells, np.broadcast_to(np.arange(256.0), z.shape))
    first = np.array([normals(1, "x", n, shape=(1, 1, 4), draws=Draws.SOBOL)[0, 0, 0] for n in range(4_000)])
    assert abs(first.mean()) < 4.0 / np.sqrt(first.size)
    assert first.var() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("draws", [Draws.ANTITHETIC, Draws.SOBOL])
def test_fewer_steps_are_a_prefix_for_all_draws(draws):
    generator = GeometricBrownian(
        factors=("BTC", "ETH"), sigma_annual=[0.6, 0.8], correlation=np.eye(2), step_s=3_600, draws=draws
    )
    longer, shorter = (generator.block(seed=3, number=2, n_steps=n, n_paths=40) for n in (19, 6))
    assert np.array_equal(longer.low_log[:6], shorter.low_log)


def test_too_many_sobol_coordinates_are_an_input_error():
    with pytest.raises(InputError, match="coordinates"):
        normals(1, "x", 0, shape=(21_202, 1, 2), draws=Draws.SOBOL)


@pytest.mark.parametrize(("draws", "least"), [(Draws.ANTITHETIC, 1.5), (Draws.SOBOL, 6.0)])
def test_variance_of_a_mean_loss_falls(draws, least):
    # Mean loss after a day at 80 %, in blocks of 256 paths: measured 1.9 and 10.8 times less over 1,500 blocks.
    variance = {}
    for how in (Draws.INDEPENDENT, draws):
        generator = GeometricBrownian(
            factors=("BTC",), sigma_annual=[0.8], correlation=[[1.0]], step_s=3_600, draws=how
        )
        blocks = (generator.block(seed=1, number=n, n_steps=24, n_paths=256).close_log[-1, 0] for n in range(600))
        variance[how] = np.var([np.maximum(1.0 - np.exp(end), 0.0).mean() for end in blocks])
    assert variance[Draws.INDEPENDENT] / variance[draws] > least
