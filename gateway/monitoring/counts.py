"""Counts of all processes that share the port: a scrape reaches any one of them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector


def counts_of_all(registry: CollectorRegistry) -> CollectorRegistry:
    """A registry for the counts of this process, of which `registry` shows those of all.

    The supervisor has set PROMETHEUS_MULTIPROC_DIR: counts are kept in files there.
    """
    own = CollectorRegistry()
    registry.register(_OfAll(own))
    return own


class _OfAll(Collector):
    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own

    def collect(self) -> Iterator[Metric]:
        # The files have the other gauges, too, which `registry` shows: they are alike in all.
        names = {metric.name for metric in self._own.collect()}
        merged: Collector = MultiProcessCollector(None)  # type: ignore[no-untyped-call]  # the library left it without types
        yield from (metric for metric in merged.collect() if metric.name in names)
