"""What a job is refused, on a real engine: nothing has happened there afterwards."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.support.docker.engine import ENGINE, IMAGE, requires_engine
from tests.support.docker.proxied import Output, Proxied, proxied
from worker.docker.rules.host_access import SETTING

pytestmark = requires_engine


async def _elsewhere(*arguments: str) -> Output:
    """The docker CLI on the engine itself."""
    process = await asyncio.create_subprocess_exec(
        "docker",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DOCKER_HOST": f"unix://{ENGINE}"},
    )
    out, err = await process.communicate()
    return Output(process.returncode or 0, out, err.decode())


@pytest.mark.parametrize(
    "options",
    [
        ("--privileged",),
        ("--pid", "host"),
        ("--cgroupns", "host"),
        ("-v", "/:/host"),
        ("-v", "/proc:/host"),
        ("-v", "/sys/fs/cgroup:/host"),
        ("-v", "/var/run/docker.sock:/var/run/docker.sock"),
        ("-v", "/run:/host"),
        ("--mount", "type=bind,source=/,target=/host"),
        ("--mount", "type=volume,target=/host,volume-opt=type=none,volume-opt=o=bind,"
                    "volume-opt=device=/"),
    ],
)  # fmt: skip
async def test_access_to_the_host(job: Proxied, options: tuple[str, ...]) -> None:
    name = job.name()
    ran = await job.docker("run", "--rm", "--name", name, *options, IMAGE, "true")
    assert ran.code != 0
    assert "run-cancel: " in ran.err
    assert SETTING in ran.err
    assert (await _elsewhere("inspect", name)).code != 0


async def test_access_to_the_host_can_be_allowed(tmp_path: Path) -> None:
    async with proxied(tmp_path, allows_host_access=True) as job:
        ran = await job.docker("run", "--rm", "--pid", "host", "-v", "/:/host", IMAGE, "true")
        assert ran.code == 0, ran.err


async def test_a_volume_that_mounts_the_host(job: Proxied) -> None:
    name = job.name()
    options = ("--opt", "type=none", "--opt", "o=bind", "--opt", "device=/")
    made = await job.docker("volume", "create", *options, name)
    assert "run-cancel: a mount of /" in made.err
    assert (await _elsewhere("volume", "inspect", name)).code != 0


async def test_containers_of_others_can_be_stopped_but_not_started(job: Proxied) -> None:
    name = job.name()
    assert (await _elsewhere("run", "-d", "--init", "--name", name, IMAGE, "sleep", "60")).code == 0
    try:
        for refused in (
            ("restart", name),
            ("start", name),
            ("pause", name),
            ("exec", name, "true"),
            ("update", "--restart", "always", name),
            ("run", "--rm", "--volumes-from", name, IMAGE, "true"),
        ):
            ran = await job.docker(*refused)
            assert ran.code != 0
            assert "was not started by this run" in ran.err, refused
        assert (await job.docker("logs", name)).code == 0
        assert (await job.docker("stop", "-t", "0", name)).code == 0
        assert "was not started by this run" in (await job.docker("start", name)).err
    finally:
        await _elsewhere("rm", "-f", name)


async def test_of_what_does_not_exist_the_engine_tells(job: Proxied) -> None:
    assert "No such container" in (await job.docker("start", job.name())).err
    fields = {"Content_Type": "application/json"}
    assert (await job.ask("POST", "/exec/none/start", b"{}", **fields)).status == 404


async def test_a_privileged_exec(job: Proxied) -> None:
    name = job.name()
    assert (await job.docker("run", "-d", "--name", name, IMAGE, "sleep", "60")).code == 0
    assert SETTING in (await job.docker("exec", "--privileged", name, "true")).err
    assert (await job.docker("exec", name, "true")).code == 0


async def test_a_start_with_a_host_config(job: Proxied) -> None:
    name = job.name()
    assert (await job.docker("create", "--name", name, IMAGE, "true")).code == 0
    body = json.dumps({"Privileged": True, "Binds": ["/:/host"]}).encode()
    fields = {"Content_Type": "application/json"}
    refused = await job.ask("POST", f"/v1.20/containers/{name}/start", body, **fields)
    assert refused.status == 400
    started = await job.ask("POST", f"/containers/{name}/start", b"{}", **fields)
    assert started.status == 204


async def test_forms(job: Proxied) -> None:
    fields = {"Content_Type": "application/x-www-form-urlencoded; charset=utf-8"}
    for target in ("/build", "/containers/create", "/containers/abc/restart"):
        assert (await job.ask("POST", target, b"cgroupparent=/x", **fields)).status == 400


async def test_swarm(job: Proxied) -> None:
    assert "not supported through this socket" in (await job.docker("swarm", "init")).err


async def test_nothing_starts_once_the_gate_is_closed(job: Proxied) -> None:
    name = job.name()
    assert (await job.docker("run", "-d", "--name", name, IMAGE, "sleep", "60")).code == 0
    job.run.gate.close("run 1 is being canceled: it may start nothing more")
    for refused in (("run", IMAGE, "true"), ("exec", name, "true"), ("restart", name)):
        assert "run 1 is being canceled" in (await job.docker(*refused)).err
    assert (await job.docker("rm", "-f", name)).code == 0


async def test_a_websocket_attaches(job: Proxied) -> None:
    name = job.name()
    assert (await job.docker("run", "-di", "--name", name, IMAGE, "cat")).code == 0
    client = await job.connect()
    await client.request(
        f"GET /containers/{name}/attach/ws?stream=1&stdin=1&stdout=1", None,
        "Connection: Upgrade", "Upgrade: websocket", "Origin: http://docker",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )  # fmt: skip
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    await client.send(b"\x81\x83\0\0\0\0hi\n")  # a masked text frame
    assert (await client.reader.readexactly(5))[2:] == b"hi\n"
