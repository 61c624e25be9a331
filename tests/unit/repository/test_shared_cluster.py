"""A drill that fails does not drag the others with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from tests.support.broker.cluster.shared import SharedCluster
from tools.services import Cluster


def test_a_cluster_that_was_not_given_back_is_ended_and_replaced() -> None:
    told: list[str] = []

    @contextmanager
    def make() -> Iterator[Cluster]:
        told.append("made")
        # Nothing is asked of it.
        yield cast(Cluster, object())
        told.append("ended")

    with SharedCluster(make) as shared:
        first = shared.lend()
        shared.give_back(first)
        assert shared.lend() is first
        assert shared.lend() is not first
        assert told == ["made", "ended", "made"]
    assert told == ["made", "ended"] * 2
