"""`make up`: everything in the foreground, and commands to paste into other terminals."""

import asyncio
import json
import os
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from shlex import quote

import aiohttp

from shared.aio.tasks import end
from shared.amqp.topology import Topology
from tools.demo import compose_up
from tools.demo.cancels import tell_of
from tools.demo.programs import BIN, Programs, environment_for
from tools.demo.screen import Screen
from tools.errors import ToolError
from tools.services import Sandbox, Services, provide
from tools.support.program import Event, Program
from worker.processes.cgroup import sweep

GATEWAY_PORT = "8080"
CONSOLE_PORT = "8081"
# At the end, every job is canceled and waited for with the token at once.
RATE_LIMIT = "100000"
_READY = 30.0
"""Seconds."""

PUBLISH = """\
python - <<'EOF'
import asyncio, json, os, uuid
import aio_pika, yarl

async def publish(run_id):
    url = yarl.URL(os.environ["AMQP_URL"])
    command = {{"command_id": str(uuid.uuid4()), "run_id": run_id, "requested_by": "me"}}
    message = aio_pika.Message(
        json.dumps(command).encode(), message_id=command["command_id"], type="ci.run.cancel.v1",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT, user_id=url.user,
    )
    async with asyncio.timeout(10), await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("{exchange}", ensure=False)
        await exchange.publish(message, "run.cancel", mandatory=True)

asyncio.run(publish({run_id}))
EOF"""


def up(screen: Screen) -> int:
    """Serve until Ctrl-C. Raises ToolError."""
    if compose_up.applies(screen):
        return compose_up.up(screen)
    with provide(screen.note) as services, Sandbox() as sandbox:
        return asyncio.run(_serve(services, sandbox, screen))


async def _serve(services: Services, sandbox: Sandbox, screen: Screen) -> int:
    programs = Programs(environment_for(services, sandbox), logs=sandbox.path)
    cgroups: Path | None = None
    try:
        await programs.run("cancel-worker", "migrate")
        token = await programs.run(
            *("cancel-gateway", "tokens", "create", "--subject", "you", "--expires-in", "1d"),
            *("--rate-limit", RATE_LIMIT, "--read-rate-limit", RATE_LIMIT),
            # The console takes no other.
            *("--role", "admin"),
        )
        url, console, ready = await asyncio.gather(
            _gateway(programs, screen), _console(programs, screen), _worker(programs)
        )
        await _until_ready(url)
        host = ready["host"]
        cgroups = None if ready["cgroups"] == "None" else Path(ready["cgroups"])
        _explain(screen, services, programs, url, console, token)
        _say_how_it_ends(screen, services, host)
        telling = asyncio.create_task(_tell_of_cancels(programs["cancel-worker"], screen))
        try:
            ended = await programs.any_ended()
        except asyncio.CancelledError:
            await _cancel_jobs(programs, host, url, token, screen)
            raise
        finally:
            await end(telling)
        screen.line(programs.log())
        raise ToolError(f"{ended} ended unexpectedly")
    finally:
        await programs.stop()
        if cgroups is not None:
            # A worker keeps its directory for its next start, which may never come here.
            sweep(cgroups)
            with suppress(OSError):  # of another worker as well
                cgroups.parent.rmdir()


async def _tell_of_cancels(worker: Program, screen: Screen) -> None:
    async for event in worker.follow():
        tell_of(event, screen)


async def _cancel_jobs(programs: Programs, host: str, url: str, token: str, screen: Screen) -> None:
    """End the jobs of this worker, to which their launchers could tell nothing once it is gone."""
    with suppress(ToolError, OSError, aiohttp.ClientError):
        running, canceling = await asyncio.gather(
            *(_runs_of(programs, host, status) for status in ("running", "canceling"))
        )
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
            for run_id in running:
                screen.note(f"canceling run {run_id}")
                await http.post(f"{url}/api/v1/runs/{run_id}/cancel")
            for run_id in canceling:
                screen.note(f"waiting for run {run_id}, which is being canceled")
            await asyncio.gather(
                *(_wait_for(http, url, run_id, screen) for run_id in running + canceling)
            )


async def _runs_of(programs: Programs, host: str, status: str) -> list[int]:
    listed = await programs.run(
        *("cancel-worker", "runs", "list", "--status", status, "--limit", "100000", "--json")
    )
    return [run["run_id"] for run in json.loads(listed) if run["host"] == host]


async def _wait_for(http: aiohttp.ClientSession, url: str, run_id: int, screen: Screen) -> None:
    answer = await http.get(f"{url}/api/v1/runs/{run_id}?wait=15")
    status = (await answer.json()).get("status", f"unknown, HTTP {answer.status}")
    if answer.status != HTTPStatus.OK or status in ("running", "canceling"):
        screen.bad(f"run {run_id} has not ended: {status}")


async def _gateway(programs: Programs, screen: Screen) -> str:
    port = _port("gateway", os.environ.get("CANCEL_GATEWAY_PORT", GATEWAY_PORT), screen)
    [event] = await programs.serve(
        "cancel-gateway", "serve", "--port", port, ready=("gateway_ready",)
    )
    return str(event["url"])


async def _until_ready(url: str) -> None:
    """The gateway may have looked for the queues just before the worker declared them."""
    try:
        async with asyncio.timeout(_READY), aiohttp.ClientSession() as http:
            while (await http.get(f"{url}/readyz")).status != HTTPStatus.OK:
                await asyncio.sleep(0.1)
    except (TimeoutError, aiohttp.ClientError):
        raise ToolError(f"the gateway at {url} does not become ready") from None


async def _console(programs: Programs, screen: Screen) -> str:
    port = _port("console", os.environ.get("CANCEL_CONSOLE_PORT", CONSOLE_PORT), screen)
    [event] = await programs.serve(
        *("cancel-worker", "console", "--port", port),
        ready=("console_ready",),
        name="cancel-console",
    )
    return str(event["url"])


async def _worker(programs: Programs) -> Event:
    """What the worker says of itself."""
    ready = ("worker_ready", "consuming")
    [event, _] = await programs.serve("cancel-worker", "serve", ready=ready)
    return event


def _port(program: str, port: str, screen: Screen) -> str:
    """`port` for a program, or "0" if it is in use."""
    if not _is_taken(port):
        return port
    screen.note(f"port {port} is in use; the {program} uses a free one")
    return "0"


def _is_taken(port: str) -> bool:
    with socket.socket() as probe:
        # As the gateway does: a port that is only in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            return True
    return False


def _explain(
    screen: Screen, services: Services, programs: Programs, url: str, console: str, token: str
) -> None:
    """Print what to paste. The runner's terminal gets no service URL: its jobs could read it."""
    path = f'export PATH={quote(str(BIN))}:"$PATH"'
    exchange = Topology(os.environ.get("CANCEL_TOPOLOGY_PREFIX", "")).commands
    # A database that others use has runs already.
    run = int(time.time()) if services.origin == "environment" else 1
    socket_path = quote(programs.environment["CANCEL_WORKER_SOCKET"])
    blocks = {
        "Operator's terminal: cancel-worker needs DATABASE_URL, a publisher needs AMQP_URL": (
            path,
            f"export DATABASE_URL={quote(services.database_url)}",
            f"export AMQP_URL={quote(services.amqp_url)}",
            f"export TOKEN={token}",
            f"cancel-worker runs add {run}",
            f"cancel-worker runs add {run + 1}",
        ),
        "Runner's terminal: only the socket, because jobs must not reach the services": (
            path,
            f"export CANCEL_WORKER_SOCKET={socket_path}",
            f"cancel-exec --run-id {run} -- sleep 1000",
            f"cancel-exec --run-id {run + 1} -- sleep 1000",
        ),
        "Operator's terminal, while the first run is running: cancel it over HTTP": (
            f'curl -i -X POST -H "Authorization: Bearer $TOKEN" {url}/api/v1/runs/{run}/cancel',
            f'curl -H "Authorization: Bearer $TOKEN" "{url}/api/v1/runs/{run}?wait=30"',
            f"cancel-worker runs show {run}",
        ),
        "Operator's terminal, while the second run is running: publish the command directly": (
            PUBLISH.format(exchange=exchange, run_id=run + 1),
            f"cancel-worker runs show {run + 1}",
        ),
    }
    screen.good(f"gateway at {url}, worker at {socket_path}")
    screen.good(f"API documentation: {url}/api/v1/docs")
    screen.good(f"console at {console}; sign in with the token below")
    for name in ("cancel-worker", "cancel-gateway", "cancel-console"):
        screen.line(f"    log: {programs.logs}/{name}.log", style="dim")
    screen.to_paste(blocks)


def _say_how_it_ends(screen: Screen, services: Services, host: str) -> None:
    if services.origin != "environment":
        screen.line("Ctrl-C stops and removes all of this, including the jobs.", style="dim")
        return
    screen.line("Ctrl-C stops gateway, console, worker and their jobs.", style="dim")
    prefix = os.environ.get("CANCEL_TOPOLOGY_PREFIX", "")
    screen.line(
        f"Left in your Postgres: the schema, the runs, host {host}, the token of `you` (for a day);"
        f" in your RabbitMQ: the exchanges and queues {prefix}runs.*",
        style="dim",
    )
