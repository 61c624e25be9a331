"""One cluster for all drills, as long as each of them leaves it whole."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from tools.services import Cluster


class SharedCluster:
    """Use it as a context manager, which ends the cluster."""

    def __init__(self, make: Callable[[], AbstractContextManager[Cluster]]) -> None:
        self._make = make
        self._stack = ExitStack()
        self._cluster: Cluster | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def lend(self) -> Cluster:
        """The cluster that was given back, or else a new one."""
        cluster, self._cluster = self._cluster, None
        if cluster is None:
            self._end()
            cluster = self._stack.enter_context(self._make())
        return cluster

    def give_back(self, cluster: Cluster) -> None:
        """It is whole: what the next drill finds is not what this one left."""
        self._cluster = cluster

    def _end(self) -> None:
        self._stack.close()
