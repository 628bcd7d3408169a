"""What tests of reports share."""

import pytest


@pytest.fixture
def draws_nothing():
    """Here runs draw."""
