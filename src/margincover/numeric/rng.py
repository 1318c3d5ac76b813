"""Counter-based random streams: any block of paths can be made anywhere, always with the same bits."""

from __future__ import annotations

import hashlib

import numpy as np

from margincover.errors import InputError


def stream(seed: int, purpose: str, block: int = 0) -> np.random.Generator:
    """Return an independent Philox generator for one purpose and one block of paths.

    Parameters
    ----------
    seed : int
        Seed of the whole run, 0 <= seed < 2**63.
    purpose : str
        Name of what the numbers are for, such as ``"montecarlo"``; different names give unrelated streams.
    block : int
        Number of the block of paths, >= 0.

    Raises
    ------
    InputError
        If seed or block is out of range.

    Notes
    -----
    The 128-bit Philox key is a hash of (seed, purpose, block). The stream depends on nothing else: not on
    the chunk size, the order of the blocks or the number of threads.

    References
    ----------
    Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, doi:10.1145/2063384.2063405.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"seed was {seed}", field="seed", allowed="0 <= seed < 2**63")
    if block < 0:
        raise InputError(f"block was {block}", field="block", allowed="block >= 0")
    digest = hashlib.sha256(f"{seed}/{purpose}/{block}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
