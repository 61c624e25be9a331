"""AMQP_URL names several nodes: any that answers is used, and another one when it is lost.

The nodes are proxies that lead to one broker.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic

import pytest
from yarl import URL

from shared.amqp.keys import REST_KEY
from tests.support.http.api import Api
from tests.support.network.wrong_services import wrong_services
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

GATEWAY = "cancel-gateway"
"""The name of its publishing connection."""
_PUBLISH = b"\x00\x3c\x00\x28"
"""The class and method of basic.publish."""
_NACK = b"\x00\x3c\x00\x78"
"""Those of basic.nack."""
SOON = 3.0
"""Seconds until another node is used: a new connection, on a busy machine."""


class Node(TcpProxy):
    """It can be made to take messages and never confirm them."""

    confirms = True

    async def passes(self, request: bytes) -> bool:
        return self.confirms or _PUBLISH not in request


@dataclass(frozen=True, slots=True)
class Cluster:
    url: str
    nodes: dict[str, Node]
    """By their name in the log."""


@pytest.fixture
async def cluster(system: System) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Node(system.amqp_url)) for _ in range(3)]
        nodes = {f"127.0.0.1:{proxy.port}": proxy for proxy in proxies}
        yield Cluster(_url(system, *nodes), nodes)


def _url(system: System, *nodes: str) -> str:
    authority = URL(system.amqp_url).raw_authority
    user_info, _, _ = authority.rpartition("@")
    return system.amqp_url.replace(authority, f"{user_info}@{','.join(nodes)}")


async def _gateway(system: System, cluster: Cluster, **env: str) -> tuple[Program, Api]:
    gateway = await system.program("gateway", "serve", "--port", "0", AMQP_URL=cluster.url, **env)
    url = str((await gateway.event("gateway_ready"))["url"])
    return gateway, Api(url, system.http, await system.token())


def _node(program: Program, connection: str) -> str:
    """The node to which a connection of the program leads."""
    return next(
        str(event["node"])
        for event in reversed(program.events)
        if (event["event"], event.get("connection")) == ("rabbitmq_connected", connection)
    )


async def _lose(proxy: TcpProxy) -> float:
    proxy.refuse()
    await proxy.cut()
    return monotonic()


async def test_the_node_of_the_gateway_is_lost_and_cancels_go_on_over_another(
    system: System, cluster: Cluster
) -> None:
    await system.worker()
    gateway, api = await _gateway(system, cluster)

    left = dict(cluster.nodes)
    for run in (1, 2):  # and at last only one is left
        await system.add_run(run)
        lost = await _lose(left.pop(_node(gateway, GATEWAY)))
        # What is sent before the gateway hears of the loss has an unknown outcome.
        await eventually(partial(api.cancel, run), lambda answer: answer.status == 202)
        assert monotonic() - lost < SOON
        await system.status_becomes(run, "canceled")
        assert _node(gateway, GATEWAY) in left


async def test_a_worker_whose_node_is_lost_goes_on_over_another(
    system: System, cluster: Cluster
) -> None:
    worker = await system.worker(env={"AMQP_URL": cluster.url})
    await system.add_run(1)
    consumer = f"cancel-worker {system.host}"
    lost = _node(worker, consumer)
    consuming = sum(event["event"] == "consuming" for event in worker.events)

    await _lose(cluster.nodes[lost])

    await worker.event("consuming", count=consuming + 1, deadline=SOON)
    assert _node(worker, consumer) != lost
    api = Api(await system.gateway(), system.http, await system.token())
    assert (await api.cancel(1)).status == 202
    await system.status_becomes(1, "canceled")


async def test_a_node_that_is_silent_holds_nobody_up_for_long(
    system: System, cluster: Cluster
) -> None:
    good, silent, _ = cluster.nodes
    cluster.nodes[silent].stall()
    for _ in range(4):  # whichever comes first
        program = await system.program(
            "gateway", "serve", "--port", "0", AMQP_URL=_url(system, silent, good)
        )
        await program.event("gateway_ready", deadline=10)
        assert _node(program, GATEWAY) == good


async def test_a_node_that_confirms_nothing_any_more_is_left_for_another(
    system: System, cluster: Cluster
) -> None:
    gateway, api = await _gateway(system, cluster, CANCEL_CONFIRM_TIMEOUT="0.5")
    for run in (1, 2):
        await system.add_run(run)
    deaf = _node(gateway, GATEWAY)

    cluster.nodes[deaf].confirms = False

    assert (await api.cancel(1)).status == 503
    await gateway.event("publishing_unanswered", connection=GATEWAY)
    await gateway.event("rabbitmq_connected", count=2, connection=GATEWAY)
    assert _node(gateway, GATEWAY) != deaf
    assert (await api.cancel(1)).status == 202
    assert (await api.cancel(2)).status == 202


async def test_a_node_that_declines_and_then_says_nothing_is_left_for_another(
    system: System, cluster: Cluster
) -> None:
    """As one may whose queue's leader was lost."""
    gateway, api = await _gateway(system, cluster)
    declining = await system.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await declining.bind(system.topology.commands, REST_KEY)
    for run in (1, 2):
        await system.add_run(run)
    assert (await api.cancel(1)).status == 202
    hanging = cluster.nodes[_node(gateway, GATEWAY)]

    def stall_after(answer: bytes) -> None:
        if _NACK in answer:
            asyncio.get_running_loop().call_soon(hanging.stall)  # once it is passed on

    hanging.on_answer = stall_after
    assert (await api.cancel(2)).status == 503

    await declining.unbind(system.topology.commands, REST_KEY)
    await gateway.event("rabbitmq_connected", count=2, connection=GATEWAY, deadline=1 + SOON)
    assert _node(gateway, GATEWAY) != f"127.0.0.1:{hanging.port}"
    assert (await api.cancel(2)).status == 202


async def test_what_the_node_that_was_left_does_not_confirm_is_not_held_against_the_next(
    system: System, cluster: Cluster
) -> None:
    gateway, api = await _gateway(system, cluster, CANCEL_CONFIRM_TIMEOUT="3")
    for run in (1, 2):
        await system.add_run(run)
    cluster.nodes[_node(gateway, GATEWAY)].confirms = False

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(api.cancel(1))
        await asyncio.sleep(1)  # so that the second is given up later, after the move
        second = tasks.create_task(api.cancel(2))

    assert (first.result().status, second.result().status) == (503, 503)
    await gateway.event("rabbitmq_connected", count=2, connection=GATEWAY)
    assert (await api.cancel(1)).status == 202
    assert len([e for e in gateway.events if e["event"] == "publishing_unanswered"]) == 1


async def test_if_no_node_confirms_it_moves_as_often_as_there_are_others(
    system: System, cluster: Cluster
) -> None:
    """As in a memory alarm, which stops all nodes and ends by itself."""
    gateway, api = await _gateway(system, cluster, CANCEL_CONFIRM_TIMEOUT="0.3")
    await system.add_run(1)
    for node in cluster.nodes.values():
        node.confirms = False

    tried = {_node(gateway, GATEWAY)}
    for connections in (2, 3):
        assert (await api.cancel(1)).status == 503
        await gateway.event("rabbitmq_connected", count=connections, connection=GATEWAY)
        tried.add(_node(gateway, GATEWAY))
    assert len(tried) >= 2
    for _ in range(2):
        assert (await api.cancel(1)).status == 503

    assert len([e for e in gateway.events if e["event"] == "publishing_unanswered"]) == 2


async def test_if_none_can_be_used_the_reason_of_each_is_said(system: System) -> None:
    async with wrong_services() as ports:
        url = _url(system, f"127.0.0.1:{ports['hangs up']}", "localhost:1", "127.0.0.1:1")
        code, _, err = await system.cli(
            *("gateway", "serve"), env={"AMQP_URL": url, "CANCEL_STARTUP_TIMEOUT": "0.1"}
        )

    line = err.splitlines()[-1]
    assert code == 1
    shown = url.replace(str(URL(system.amqp_url).password), "***")
    assert line.startswith(f"cancel-gateway: cannot use RabbitMQ at {shown}: ")
    assert f"127.0.0.1:{ports['hangs up']}: it closed the connection during the handshake" in line
    assert "localhost:1, 127.0.0.1:1: connection refused" in line or (
        "127.0.0.1:1, localhost:1: connection refused" in line
    )


async def test_whoever_lost_a_connection_tries_another_node_first(
    system: System, cluster: Cluster
) -> None:
    gateway, _ = await _gateway(system, cluster)

    for times in range(2, 7):
        before = _node(gateway, GATEWAY)
        await cluster.nodes[before].cut()  # it accepts new ones at once, as one that is sick may
        await gateway.event("rabbitmq_connected", count=times, connection=GATEWAY)
        assert _node(gateway, GATEWAY) != before
