"""A node runs and serves no clients, by a fault of RabbitMQ: see docs/rabbitmq.md."""

import pytest

from tools.services import Cluster, NativeCluster, ServerFailed
from tools.services.native.rabbit_state import START_HANGS

_NODE = 1


@pytest.fixture
def native(cluster: Cluster) -> NativeCluster:
    if not isinstance(cluster, NativeCluster):
        pytest.skip("RabbitMQ 4 has no such fault")
    return cluster


def test_a_node_whose_start_hangs_is_restarted(native: NativeCluster) -> None:
    server = native.nodes[_NODE]
    native.ctl(_NODE, "stop_app")
    # A failure says what the process does; the last lines of the log are those of before.
    with pytest.raises(ServerFailed, match=r"boot state is stopped.* it is in nothing"):
        server.wait_ready(within=0)

    with server.log.path.open("a") as log:
        log.write(f"{START_HANGS} {native.names[0]} seems broken\n")
    before = server.pid
    native.wait_for(_NODE)

    assert server.pid != before
    native.wait_joined()
