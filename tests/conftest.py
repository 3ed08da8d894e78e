"""Fixtures that several test files share."""

import pytest

from lib.sweep import compile_apart


@pytest.fixture(scope="session")
def compiled_apart():
    """lib.compiled is on disk before this process loads it, as `compile_apart` explains."""
    compile_apart()
