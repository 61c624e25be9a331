"""The shorter scenes: an obedient run, a queued one, a repeat, a direct publish."""

import asyncio
import json
import os
from statistics import median
from uuid import uuid4

import aio_pika

from shared.amqp.keys import CANCEL_KEY
from shared.commands import CANCEL_TYPE
from shared.states import Containment
from tools.demo.evidence.facts import Facts
from tools.demo.screen import Screen
from tools.demo.system import DEADLINE, DemoSystem
from worker.launcher.wire import EXIT_CANCELED

OBEDIENT_RUNS = 3
OBEDIENT_MS = 100.0


async def obedient(system: DemoSystem, screen: Screen, facts: Facts) -> None:
    screen.section("2  An obedient run is canceled in milliseconds")
    run_ids = [system.first_run + 1 + n for n in range(OBEDIENT_RUNS)]
    await system.add_runs(*run_ids)
    screen.command(f"cancel-exec --run-id {run_ids[0]} -- sleep 1000")
    screen.note(
        f"{OBEDIENT_RUNS} of these, one after another, with the default grace period of 10 s"
    )
    measured = [await _cancel_obedient(system, facts, run_id) for run_id in run_ids]
    screen.note("from the 202 to `canceled` read back from Postgres, both on the demo's clock:")
    shown = ", ".join(f"{ms:.1f}" for ms in measured)
    middle = median(measured)
    text = f"recorded canceled {shown} ms after the 202: median {middle:.1f} ms"
    by_cgroup = (await system.run(run_ids[0]))["containment"] == Containment.CGROUP
    if middle <= OBEDIENT_MS or (by_cgroup and not _is_busy()):
        facts.check(f"{text} (goal: {OBEDIENT_MS:.0f})", middle <= OBEDIENT_MS)
    else:
        screen.note(f"{text}; {OBEDIENT_MS:.0f} ms is for an idle machine with cgroups")


async def _cancel_obedient(system: DemoSystem, facts: Facts, run_id: int) -> float:
    launched = await system.launch_obedient(run_id)
    answer = await system.cancel(run_id, "no longer needed")
    canceled = await system.canceled(run_id)
    [cancellation] = await system.answered(run_id, commands=1)
    facts.equal(f"run {run_id} obeyed SIGTERM", cancellation["evidence"]["ended"], "obeyed")
    await launched.exit_code(DEADLINE)
    return (canceled - answer.answered) * 1000


def _is_busy() -> bool:
    return os.getloadavg()[0] > (os.cpu_count() or 1) / 2


async def queued(system: DemoSystem, screen: Screen, facts: Facts) -> None:
    screen.section("3  A queued run is canceled before it starts")
    run_id = system.first_run + OBEDIENT_RUNS + 1
    witness = system.job_directory / "it-ran"
    await system.add_runs(run_id)
    answer = await system.cancel(run_id, "not wanted after all")
    facts.equal("202 Accepted", answer.status, 202)
    await system.canceled(run_id)
    [cancellation] = await system.answered(run_id, commands=1)
    proof = cancellation["evidence"]["proof"]
    facts.equal("row in Postgres: canceled, with proof: never_started", proof, "never_started")
    screen.command(f"cancel-exec --run-id {run_id} -- touch it-ran")
    launched = await system.launch(run_id, "touch", str(witness))
    exit_code = await launched.exit_code(DEADLINE)
    for line in (await launched.errors()).splitlines():
        screen.quote(line)
    facts.equal(f"the launcher refused: exit code {EXIT_CANCELED}", exit_code, EXIT_CANCELED)
    facts.check("the command did not run: there is no file it-ran", not witness.exists())


async def repeat(system: DemoSystem, screen: Screen, facts: Facts) -> None:
    screen.section("4  A repeat changes nothing")
    run_id = system.first_run
    before = await system.run(run_id)
    screen.command(f"curl -X POST … {system.url}/api/v1/runs/{run_id}/cancel")
    answer = await system.cancel(run_id, "once more")
    facts.equal("202 Accepted", answer.status, 202)
    screen.quote(json.dumps(answer.body))
    facts.equal('body: status "no_op"', answer.body.get("status"), "no_op")
    first, second = await system.answered(run_id, commands=2)
    facts.equal("recorded as no_op", (first["outcome"], second["outcome"]), ("canceled", "no_op"))
    facts.check("the run's row is unchanged", await system.run(run_id) == before)


async def direct(system: DemoSystem, screen: Screen, facts: Facts) -> None:
    screen.section("5  Another service publishes the command straight to the broker")
    run_id = system.first_run + OBEDIENT_RUNS + 2
    await system.add_runs(run_id)
    launched = await system.launch_obedient(run_id)
    command_id = await _publish(system, screen, facts, run_id)
    await system.canceled(run_id)
    exit_code = await launched.exit_code(DEADLINE)
    facts.equal("canceled; launcher's exit code 143", exit_code, 143)
    [cancellation] = await system.answered(run_id, commands=1)
    recorded = (str(cancellation["command_id"]), cancellation["via"], cancellation["requested_by"])
    expected = (command_id, "direct", "merge-queue")
    facts.equal("recorded: merge-queue, via direct", recorded, expected)


async def _publish(system: DemoSystem, screen: Screen, facts: Facts, run_id: int) -> str:
    command_id = str(uuid4())
    command = {"command_id": command_id, "run_id": run_id, "requested_by": "merge-queue"}
    screen.note(f"exchange {system.topology.commands}, key {CANCEL_KEY}, type {CANCEL_TYPE}:")
    screen.quote(json.dumps(command))
    message = aio_pika.Message(
        json.dumps(command).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=command_id,
        type=CANCEL_TYPE,
    )
    async with (
        asyncio.timeout(DEADLINE),
        await aio_pika.connect(system.services.amqp_url) as connection,
    ):
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(system.topology.commands, ensure=False)
        answer = await exchange.publish(message, CANCEL_KEY, mandatory=True)
    facts.equal("RabbitMQ confirmed it", type(answer).__name__, "Ack")
    return command_id
