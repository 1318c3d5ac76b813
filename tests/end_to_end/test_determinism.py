"""Same inputs and seed give the same bits, whatever the threads and however the work is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from margincover.app.cover import cover
from margincover.app.demo import demo_book
from margincover.app.status import status
from margincover.io.book_file import parse_book
from margincover.scenarios.brownian import GeometricBrownian
from margincover.venues.resolve import resolve
from tests.books import demo_data

FACTORS = ("BTC", "ETH", "SOL", "XRP")


def answer(*, own_generator: bool = False, **options: object) -> str:
    generator = None
    if own_generator:
        correlation = 0.7 + 0.3 * np.eye(len(FACTORS))
        generator = GeometricBrownian(
            factors=FACTORS, sigma_annual=[0.6, 0.8, 1.0, 0.9], correlation=correlation, step_s=3_600
        )
    chosen = {"paths": 2048, "follow_s": 86_400, "threads": 1, **options}
    return cover(demo_book(), generator=generator, **chosen).to_json()


@pytest.fixture(scope="module")
def plain() -> str:
    return answer()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunk_blocks", [1, 3, 8])
def test_threads_and_chunks_do_not_change_a_bit(threads, chunk_blocks, plain):
    assert answer(threads=threads, chunk_blocks=chunk_blocks) == plain


def test_another_seed_gives_another_answer(plain):
    assert answer(seed=2) != plain


def test_own_generator_is_as_reproducible():
    first = answer(own_generator=True)
    assert answer(own_generator=True, threads=2, chunk_blocks=3) == first


def test_order_of_accounts_changes_nothing_of_today():
    # Which random numbers a coin gets follows the order of the coins in the book; what is known today does not.
    book = demo_book()
    turned = replace(book, accounts=book.accounts[::-1])
    first, second = ({p.pool_id: p for p in status(each).result.pools} for each in (book, turned))
    assert first == second


def test_paths_are_rounded_up_to_whole_blocks_and_more_paths_begin_with_the_same():
    few = cover(demo_book(), paths=300, follow_s=86_400).result
    assert few.n_paths == 512
    more = cover(demo_book(), paths=1024, follow_s=86_400).result
    assert (more.paths.maximum[:, :512] == few.paths.maximum).all()
    assert (more.paths.liquidation_step[:, :512] == few.paths.liquidation_step).all()


def test_scenarios_that_know_what_came_after_as_of_say_so():
    # The packaged calibration ends with 2025; a book of an earlier day would look ahead.
    data = demo_data()
    for place in (data, data["market"]):
        for name in ("as_of", "observed_at"):
            if name in place:
                place[name] = "2025-12-01T00:00:00Z"
    data["accounts"] = [account for account in data["accounts"] if account["id"] == "binance:market-making"]
    data.update(transfer_times=[], in_transit=[], buffers={}, contingency=[])
    book = resolve(parse_book(data, source="early.json"))
    warnings = cover(book, paths=256, follow_s=86_400, threads=1).result.provenance.warnings
    assert any("31 days after as_of" in text for text in warnings)
