"""A gateway that no worker has made a place for says so, and needs no restart once one has."""

from tests.support.http.api import Api
from tools.support.system import System
from tools.support.waiting import eventually


async def test_a_gateway_says_that_a_worker_is_missing_and_works_once_there_is_one(
    system: System,
) -> None:
    await system.delete_names()
    await system.add_run(1)
    gateway = await system.program("gateway", "serve", "--port", "0")
    url = str((await gateway.event("gateway_ready"))["url"])
    api = Api(url, system.http, await system.token())

    said = (await gateway.event("names_not_declared"))["error"]
    assert said.startswith(f"the exchange {system.topology.commands} does not exist: ")
    assert "cancel-worker serve" in said
    assert (await api.cancel(1)).error == (503, "unavailable")
    assert (await gateway.event("request_unavailable"))["error"] == said
    async with system.http.get(f"{url}/readyz") as response:
        (missing,) = (await response.json())["missing"]
    assert (response.status, missing["service"], missing["reason"]) == (503, "rabbitmq", said)

    await system.worker()

    await gateway.event("names_declared")
    assert (await api.cancel(1)).status == 202
    await system.status_becomes(1, "canceled")
    await eventually(lambda: system.http.get(f"{url}/readyz"), lambda answer: answer.status == 200)
    assert not [it for it in gateway.events if it["event"] == "channel_closed_by_broker"]


async def test_a_gateway_newer_than_all_workers_names_the_queue_that_it_lacks(
    system: System,
) -> None:
    await system.channel.queue_delete(system.topology.rest)

    gateway = await system.program("gateway", "serve", "--port", "0")

    said = (await gateway.event("names_not_declared"))["error"]
    assert said.startswith(f"the queue {system.topology.rest} does not exist: ")


async def test_commands_of_gateways_that_publish_by_the_old_key_are_carried_out(
    system: System,
) -> None:
    await system.worker()
    await system.add_run(1)

    await system.publish(1, app_id="cancel-gateway")

    await system.status_becomes(1, "canceled")
