"""What all tests share: one deterministic Hypothesis profile, and the folder of shared data where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "margincover",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("margincover")


@pytest.fixture
def shared_folder() -> Path:
    """Return the folder of shared data; skip when none is named."""
    name = os.environ.get("MARGINCOVER_SHARED")
    if not name:
        pytest.skip("MARGINCOVER_SHARED is not set: the shared data are not at hand")
    return Path(name)
