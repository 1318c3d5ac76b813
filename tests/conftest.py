"""What all tests share: one deterministic Hypothesis profile, and the folder of shared data where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.shared_data import shared_folder

settings.register_profile(
    "margincover",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("margincover")


@pytest.fixture(name="shared_folder")
def shared_folder_fixture() -> Path:
    """Return the folder of shared data; skip when none is named."""
    return shared_folder()
