"""A primary and its standby of a test's own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.own_servers import skipped_if_unavailable
from tools.services import PrivatePair, Replication, private_pair


@contextmanager
def replicated(replication: Replication = Replication.ASYNCHRONOUS) -> Iterator[PrivatePair]:
    """A pair, for a test that is skipped where no Postgres is installed."""
    with ExitStack() as stack:
        with skipped_if_unavailable():
            pair = stack.enter_context(private_pair(replication))
        yield pair
