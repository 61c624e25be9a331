"""A cluster of each kind, for all drills, and the system on it."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from tests.support.broker.cluster.clustered import ClusteredSystem, clustered_system
from tests.support.broker.cluster.shared import SharedCluster
from tests.support.own_servers import skipped_if_unavailable
from tools.services import Cluster, container_cluster, native_cluster

MAKERS: Final[dict[str, Callable[[], AbstractContextManager[Cluster]]]] = {
    "native": native_cluster,
    "image": container_cluster,
}
FAILED: Final = pytest.StashKey[bool]()
IS_WHOLE: Final = pytest.StashKey[bool]()
"""Whether the cluster is, after the test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nodes of a cluster take a while to start, and longer on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="package", params=MAKERS)
def shared_cluster(request: pytest.FixtureRequest) -> Iterator[SharedCluster]:
    with SharedCluster(MAKERS[request.param]) as shared:
        yield shared


@pytest.fixture
def cluster(request: pytest.FixtureRequest, shared_cluster: SharedCluster) -> Iterator[Cluster]:
    with skipped_if_unavailable():
        cluster = shared_cluster.lend()
    yield cluster
    # What a failed drill left is not known: the next one gets a new cluster.
    stash = request.node.stash
    if not stash.get(FAILED, True) and stash.get(IS_WHOLE, True):
        shared_cluster.give_back(cluster)


@pytest.fixture
async def clustered(
    request: pytest.FixtureRequest, cluster: Cluster, database_url: str, tmp_path: Path
) -> AsyncIterator[ClusteredSystem]:
    request.node.stash[IS_WHOLE] = False
    async with clustered_system(cluster, database_url, tmp_path) as clustered:
        yield clustered
    # Not reached if it could not be mended.
    request.node.stash[IS_WHOLE] = True
