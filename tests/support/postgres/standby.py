"""A primary and its standby of a test's own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tools.services import (
    PrivatePair,
    Replication,
    ServerFailed,
    ServicesUnavailable,
    private_pair,
)


@contextmanager
def replicated(replication: Replication = Replication.ASYNCHRONOUS) -> Iterator[PrivatePair]:
    """A pair, for a test that is skipped where no Postgres is installed."""
    with ExitStack() as stack:
        try:
            pair = stack.enter_context(private_pair(replication))
        except ServerFailed:
            raise
        except ServicesUnavailable as error:
            pytest.skip(str(error))
        yield pair
