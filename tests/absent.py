"""What a test needs and a machine may lack."""

from __future__ import annotations

import importlib
import os
from typing import Any, NoReturn

import pytest


def absent(why: str) -> NoReturn:
    """Skips the test on a person's machine; in continuous integration, where everything must be there, it fails."""
    if "CI" in os.environ:
        pytest.fail(why)
    pytest.skip(why, allow_module_level=True)


def needs(module: str) -> Any:
    """The module, imported; where it is not installed, the test (or the whole test module) is `absent`."""
    try:
        return importlib.import_module(module)
    except ImportError:
        absent(f"{module} is not installed; see docs/ditto.md")
