"""Servers that a test starts for itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools.services import ServerFailed, ServicesUnavailable


@contextmanager
def skipped_if_unavailable() -> Iterator[None]:
    """Skip the test where a server cannot be had. One that does not start is a failure."""
    try:
        yield
    except ServerFailed:
        raise
    except ServicesUnavailable as error:
        pytest.skip(str(error))
