"""A cluster of each kind, for all drills, and the system on it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.support.broker.cluster.clustered import ClusteredSystem, clustered_system
from tests.support.own_servers import skipped_if_unavailable
from tools.services import Cluster, container_cluster, native_cluster

MAKERS: Final[dict[str, Callable[[], AbstractContextManager[Cluster]]]] = {
    "native": native_cluster,
    "image": container_cluster,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nodes of a cluster take a while to start, and longer on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="package", params=MAKERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with ExitStack() as stack:
        with skipped_if_unavailable():
            cluster = stack.enter_context(MAKERS[request.param]())
        yield cluster


@pytest.fixture
async def clustered(
    cluster: Cluster, database_url: str, tmp_path: Path
) -> AsyncIterator[ClusteredSystem]:
    async with clustered_system(cluster, database_url, tmp_path) as clustered:
        yield clustered
