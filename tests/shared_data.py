"""The folder of shared data: real prices, exchange samples and worked examples that are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "MARGINCOVER_SHARED"


def shared_folder() -> Path:
    """Return the folder that ``MARGINCOVER_SHARED`` names; skip when it names none.

    A folder that is named and not there is an error: tests that were meant to run must not vanish.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        pytest.skip(f"{VARIABLE} is not set: the shared data are not at hand")
    folder = Path(name)
    if not folder.is_dir():
        raise NotADirectoryError(f"{VARIABLE} names {folder}, which is no folder")
    return folder
