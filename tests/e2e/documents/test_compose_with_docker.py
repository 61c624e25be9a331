"""Jobs in compose's worker container that start containers on the machine's engine."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from tests.support.docker import marked
from tests.support.docker.direct import Direct, direct
from tests.support.docker.engine import IMAGE, requires_engine
from tests.support.docker.in_compose import DEADLINE, api_of, ended, line, start, terminal, up
from tools.support.compose import Stack, has_engine
from tools.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not has_engine(), reason="no Docker engine with compose and buildx here"),
    requires_engine,
    pytest.mark.asyncio(loop_scope="module"),
    # The images are built first.
    pytest.mark.timeout(600),
]

# The image of a job's container has no Docker client; Python's library is enough.
_ASK: Final = """
import http.client, json, os, socket, sys

def ask(path, method, where, body=None):
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request(method, where, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or "null")
"""
_JOB: Final = f"""{_ASK}
def do(*request):
    status, answer = ask(os.environ["DOCKER_HOST"].removeprefix("unix://"), *request)
    assert status < 400, answer
    return answer

mark, command = sys.argv[1:]
config = {{"Image": "{IMAGE}", "Env": ["{marked.VARIABLE}=" + mark], "Cmd": json.loads(command)}}
made = do("POST", "/containers/create?name=" + mark, json.dumps(config))
do("POST", "/containers/" + made["Id"] + "/start")
print(made["Id"], flush=True)
do("POST", "/containers/" + made["Id"] + "/wait")
"""
_LOOK: Final = f"""{_ASK}
try:
    print(ask(sys.argv[1], "GET", "/_ping"))
except OSError as error:
    print(error.strerror)
"""
_FILES: Final = (
    "deploy/docker/docker-socket.yaml",
    "tests/support/docker/programs/shared-socket.yaml",
)
_OBEYS: Final = ["sh", "-c", "trap 'exit 3' TERM; sleep 1000 & wait"]
_ELSEWHERE: Final = "the caller is gone or in another pid namespace"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with up(*_FILES) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with api_of(stack) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def engine() -> AsyncIterator[Direct]:
    async with direct() as client:
        yield client


async def _start_container(stack: Stack, mark: str) -> tuple[int, str]:
    """A job that starts a container and waits for it; the run id, and the container's."""
    job = ("python3", "-c", _JOB, mark, json.dumps(_OBEYS))
    run_id, launched = await start(stack, *job)
    container = await line(launched)
    assert len(container) == 64, await ended(launched)
    await eventually(lambda: marked.alive_in_containers(mark, [container]), what="its processes")
    return run_id, container


async def test_a_container_of_a_run_is_stopped_with_it_and_removed(
    stack: Stack, api: aiohttp.ClientSession, engine: Direct
) -> None:
    mark = f"mark-{uuid4().hex}"
    try:
        run_id, container = await _start_container(stack, mark)
        (shown,) = await engine.containers(mark)
        # The worker cannot remove one of the run's own.
        assert shown["HostConfig"]["CgroupParent"] in ("/run-cancel", "runcancel.slice")

        async with api.post(f"runs/{run_id}/cancel") as response:
            assert response.status == 202
        run = await terminal(api, run_id)

        assert marked.alive(mark, [container]) == []
        assert run["status"] == "canceled"
        row = json.loads(await stack.ops("cancel-worker", "runs", "show", str(run_id), "--json"))
        evidence = row["cancellations"][0]["evidence"]
        assert evidence["proof"] == "engine_reported"
        assert evidence["containers"] == [
            {"id": container, "name": mark, "image": IMAGE, "signal": "SIGTERM", "exit_code": 3}
        ]
        await eventually(
            lambda: engine.containers(mark), lambda left: left == [], what="what is left of it"
        )
    finally:
        await engine.remove_all(mark)


async def test_a_job_has_no_right_on_the_engines_own_socket(stack: Stack) -> None:
    _, launched = await start(stack, "python3", "-c", _LOOK, "/run/docker.sock")

    assert await ended(launched) == (0, "Permission denied\n")


async def test_a_caller_in_another_pid_namespace_is_told_why_it_is_refused(stack: Stack) -> None:
    process = await asyncio.create_subprocess_exec(
        *("docker", "run", "--rm", "--volume", f"{stack.name}_sockets:/run/cancel-worker", IMAGE),
        *("python3", "-c", _LOOK, "/run/cancel-worker/docker.sock"),
        stdout=asyncio.subprocess.PIPE,
    )

    code, output = await ended(process)

    assert code == 0
    assert output == f"(403, {{'message': 'run-cancel: {_ELSEWHERE}'}})\n"


async def test_containers_of_a_run_are_removed_when_the_workers_container_is_made_anew(
    stack: Stack, api: aiohttp.ClientSession, engine: Direct
) -> None:
    mark = f"mark-{uuid4().hex}"
    try:
        run_id, container = await _start_container(stack, mark)

        await stack.run("up", "--detach", "--wait", "--no-deps", "--force-recreate", "worker")

        assert (await terminal(api, run_id))["status"] == "error"
        await eventually(
            lambda: engine.containers(mark),
            lambda left: left == [],
            what="what is left of it",
            deadline=DEADLINE,
        )
        assert marked.alive(mark, [container]) == []
    finally:
        await engine.remove_all(mark)
