"""What a test needs and a machine may lack."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(why: str) -> NoReturn:
    """Skips the test on a person's machine; in continuous integration, where everything must be there, it fails."""
    if "CI" in os.environ:
        pytest.fail(why)
    pytest.skip(why)
