"""Gateway and worker say which policies hold for their queues, if they may ask."""

import asyncio
from functools import partial
from typing import Any

import pytest
from yarl import URL

from tests.support.broker.managed import ManagedBroker, VirtualHost
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

USER = "watcher"
PASSWORD = "for-these-tests-alone"
OFTEN = {"CANCEL_PROBE_INTERVAL": "0.05"}


def _api(managed: ManagedBroker, user: str = USER, password: str = PASSWORD) -> str:
    return str(URL(managed.management_url).with_user(user).with_password(password))


async def _started(system: System, management_url: str) -> dict[str, tuple[Program, str]]:
    """A gateway and a worker, each with its URL."""
    env = {"CANCEL_RABBITMQ_MANAGEMENT_URL": management_url, **OFTEN}
    worker = await system.worker(env=env)
    gateway = await system.program("gateway", "serve", "--port", "0", **env)
    return {
        "worker": (worker, str((await worker.event("worker_ready"))["http"])),
        "gateway": (gateway, str((await gateway.event("gateway_ready"))["url"])),
    }


async def _warnings(system: System, url: str) -> list[dict[str, str]]:
    """Those of a program that is ready."""

    async def ask() -> tuple[int, Any]:
        async with system.http.get(URL(url) / "readyz") as response:
            return response.status, await response.json()

    _, body = await eventually(ask, lambda answer: answer[0] == 200)
    found: list[dict[str, str]] = body["warnings"]
    return found


async def _metrics(system: System, url: str) -> list[str]:
    async with system.http.get(URL(url) / "metrics") as response:
        lines = (await response.text()).splitlines()
    return [line for line in lines if line.startswith("cancel_queue_polic")]


async def test_a_policy_for_all_queues_is_named_until_it_is_gone(
    system: System, virtual_host: VirtualHost, managed: ManagedBroker
) -> None:
    await virtual_host.add_user(USER, PASSWORD, "management")
    await virtual_host.set_policy("all", ".*", message_ttl=600_000, alternate_exchange="amq.fanout")
    await virtual_host.set_policy("tidy", ".*", of_operator=True, expires=600_000, max_length=9)

    programs = await _started(system, _api(managed))

    for program, url in programs.values():
        await program.event("queue_policy_found", queue="runs.commands", key="alternate-exchange")
        lost = await program.event("queue_policy_found", queue="runs.cancel", key="message-ttl")
        assert (lost["policy"], lost["effect"], lost["reason"]) == (
            "policy all and operator policy tidy",
            "loses",
            "what waits for 600000 ms becomes a dead letter",
        )
        limited = await program.event("queue_policy_found", queue="runs.queued", key="max-length")
        assert limited["effect"] == "limits"
        await program.event("queue_policy_found", queue="runs.cancel.dead", key="max-length")
        await program.event("queue_policy_found", queue="runs.cancel.retry.30s", key="expires")
        told = await _warnings(system, url)
        assert {each["about"] for each in told} == {"queue_policies"}
        assert any("policy all" in each["message"] for each in told)
        assert (
            'cancel_queue_policy{effect="loses",key="message-ttl",'
            'policy="policy all and operator policy tidy",queue="runs.cancel"} 1.0'
        ) in await _metrics(system, url)

    await virtual_host.remove_policy("all")
    await virtual_host.remove_policy("tidy", of_operator=True)

    for program, url in programs.values():
        await program.event("queue_policy_gone", queue="runs.cancel", key="message-ttl")
        await eventually(
            partial(_warnings, system, url),
            lambda told: told == [],
        )
        assert await _metrics(system, url) == ["cancel_queue_policies_read 1.0"]


@pytest.mark.parametrize(
    ("tags", "path", "problem"),
    [
        ("", "", f"refuses the user {USER}: it needs its password, the tag management, and access"),
        ("management", "/elsewhere", "does not lead to RabbitMQ's management API"),
    ],
)
async def test_who_may_not_ask_says_so_once_and_works(
    system: System,
    virtual_host: VirtualHost,
    managed: ManagedBroker,
    tags: str,
    path: str,
    problem: str,
) -> None:
    await virtual_host.add_user(USER, PASSWORD, tags)

    programs = await _started(system, _api(managed) + path)

    for program, url in programs.values():
        said = await program.event("queue_policies_not_read")
        assert problem in said["error"]
        assert PASSWORD not in program.log()
        assert [each["message"] for each in await _warnings(system, url)] == [said["error"]]
        assert await _metrics(system, url) == ["cancel_queue_policies_read 0.0"]
    await system.add_run(1)
    command_id = await system.publish(1)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"


async def test_without_statistics_no_queue_passes_for_one_without_policies(
    system: System, virtual_host: VirtualHost, managed: ManagedBroker
) -> None:
    await virtual_host.set_policy("all", ".*", message_ttl=600_000)
    await asyncio.to_thread(managed.disable_statistics, True)
    try:
        programs = await _started(system, managed.management_url)
        for program, url in programs.values():
            said = await program.event("queue_policies_not_read")
            assert "its statistics are disabled" in said["error"]
            assert await _metrics(system, url) == ["cancel_queue_policies_read 0.0"]
    finally:
        await asyncio.to_thread(managed.disable_statistics, False)
    for program, _ in programs.values():
        await program.event("queue_policy_found", queue="runs.cancel", key="message-ttl")


async def test_the_user_of_the_broker_asks_if_no_other_is_named(
    system: System, managed: ManagedBroker
) -> None:
    """It is an administrator here."""
    programs = await _started(system, managed.management_url)
    for _, url in programs.values():
        await eventually(
            partial(_metrics, system, url),
            lambda lines: lines == ["cancel_queue_policies_read 1.0"],
        )
