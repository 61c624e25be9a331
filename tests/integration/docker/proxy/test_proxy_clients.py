"""What jobs do with Docker works through the socket, and is marked as the run's."""

import asyncio
import hashlib
import json
import os
import random
import sys
from pathlib import Path

import pytest
import uvloop

from tests.support.docker.engine import IMAGE, requires_engine
from tests.support.docker.proxied import Proxied, proxied
from worker.docker.scope import LABEL

pytestmark = requires_engine


async def test_version_is_the_engines(job: Proxied) -> None:
    assert "20." in (await job.docker("version", "--format", "{{.Server.Version}}")).text


async def test_a_container_has_the_label_and_the_cgroup_parent_of_the_run(job: Proxied) -> None:
    name = job.name()
    ran = await job.docker(
        "run", "-d", "--name", name, "--label", f"{LABEL}=forged", "--cgroup-parent", "/other",
        "--label", "kept=yes", IMAGE, "sleep", "60",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    (shown,) = json.loads((await job.docker("inspect", name)).text)
    assert shown["Config"]["Labels"] == {LABEL: str(job.run.scope.launch_id), "kept": "yes"}
    assert shown["HostConfig"]["CgroupParent"] == job.run.scope.cgroup_parent


async def test_the_exit_code_and_both_streams_come_back(job: Proxied) -> None:
    ran = await job.docker("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ran.code, ran.out, ran.err.strip()) == (7, b"out\n", "err")


async def test_20_mb_of_stdin_pass_and_their_end_is_passed_on(job: Proxied) -> None:
    sent = random.Random(1).randbytes(20_000_000)
    ran = await job.docker(
        "run", "--rm", "-i", IMAGE, "sh", "-c", "sha256sum; echo after", stdin=sent
    )
    assert ran.text.split() == [hashlib.sha256(sent).hexdigest(), "-", "after"]


async def test_20_mb_pass_both_ways_at_once(job: Proxied) -> None:
    await _pass_20_mb_both_ways(job)


def test_they_also_pass_on_the_loop_of_production(tmp_path: Path) -> None:
    async def on_uvloop() -> None:
        async with proxied(tmp_path) as job:
            await _pass_20_mb_both_ways(job)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(on_uvloop())


async def _pass_20_mb_both_ways(job: Proxied) -> None:
    sent = random.Random(2).randbytes(20_000_000)
    ran = await job.docker("run", "--rm", "-i", IMAGE, "cat", stdin=sent)
    assert ran.code == 0
    assert hashlib.sha256(ran.out).digest() == hashlib.sha256(sent).digest()


async def test_a_container_that_takes_no_more_stdin_still_gives_its_output(job: Proxied) -> None:
    ran = await job.docker(
        "run", "--rm", "-i", IMAGE, "sh", "-c", "head -c 10; echo end", stdin=b"x" * 5_000_000
    )
    assert ran.out == b"x" * 10 + b"end\n"


async def test_exec_attach_logs_stats_and_top(job: Proxied) -> None:
    name = job.name()
    script = "echo begun; read line; echo got $line; sleep 60"
    assert (await job.docker("run", "-di", "--name", name, IMAGE, "sh", "-c", script)).code == 0
    exec_ = await job.docker("exec", "-i", name, "sh", "-c", "cat; exit 3", stdin=b"through")
    assert (exec_.code, exec_.out) == (3, b"through")
    logs = await job.start("logs", "-f", name)
    assert logs.stdout is not None
    assert await logs.stdout.readline() == b"begun\n"
    attached = await job.start("attach", "--sig-proxy=false", name)
    assert attached.stdin is not None
    assert attached.stdout is not None
    attached.stdin.write(b"hello\n")
    await attached.stdin.drain()
    assert await attached.stdout.readline() == b"got hello\n"
    assert await logs.stdout.readline() == b"got hello\n"
    stats = await job.docker("stats", "--no-stream", "--format", "{{.Name}}", name)
    assert stats.text == name
    assert "sleep" in (await job.docker("top", name)).text
    # Both end with the container.
    assert (await job.docker("kill", name)).code == 0
    await asyncio.wait_for(asyncio.gather(logs.communicate(), attached.communicate()), 20)


async def test_cp_in_and_out(job: Proxied, tmp_path: Path) -> None:
    name = job.name()
    assert (await job.docker("create", "--name", name, IMAGE, "true")).code == 0
    sent = tmp_path / "sent"
    sent.write_bytes(random.Random(3).randbytes(3_000_000))
    assert (await job.docker("cp", str(sent), f"{name}:/there")).code == 0
    assert (await job.docker("cp", f"{name}:/there", str(tmp_path / "back"))).code == 0
    assert (tmp_path / "back").read_bytes() == sent.read_bytes()


@pytest.mark.parametrize("buildkit", ["0", "1"])
async def test_build(
    job: Proxied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buildkit: str
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", buildkit)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(
        f"FROM {IMAGE}\nCOPY file /file\nRUN sha256sum /file && echo {job.name()} > /built\n"
    )
    (tmp_path / "context/file").write_bytes(random.Random(4).randbytes(2_000_000))
    tag = job.name()
    built = await job.docker("build", "-t", tag, str(tmp_path / "context"))
    assert built.code == 0, built.err
    assert job.run.builds == 0
    assert (await job.docker("run", "--rm", tag, "cat", "/built")).code == 0
    assert (await job.docker("rmi", "-f", tag)).code == 0


async def test_compose_up_and_down(job: Proxied, tmp_path: Path) -> None:
    project = job.name()
    sleeps = f"image: '{IMAGE}', command: sleep 60, init: true"
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  one: {{{sleeps}, volumes: ['data:/d']}}\n"
        f"  two: {{{sleeps}, restart: always}}\n"
        "volumes: {data: {}}\n"
    )
    compose = ("compose", "-p", project, "-f", str(tmp_path / "compose.yaml"))
    up = await job.docker(*compose, "up", "-d")
    assert up.code == 0, up.err
    label = f"label={LABEL}={job.run.scope.launch_id}"
    assert len((await job.docker("ps", "-q", "--filter", label)).text.split()) == 2
    for kind in ("network", "volume"):
        assert (await job.docker(kind, "ls", "-q", "--filter", label)).text
    down = await job.docker(*compose, "down", "-v")
    assert down.code == 0, down.err


async def test_the_docker_sdk(job: Proxied) -> None:
    script = (
        "import docker\n"
        "client = docker.from_env()\n"
        f"print(client.containers.run({IMAGE!r}, 'echo hello', remove=True))\n"
        f"it = client.containers.run({IMAGE!r}, 'sleep 60', detach=True, init=True)\n"
        "print(it.exec_run('echo from exec').output)\n"
        "it.stop(timeout=0); it.remove()\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DOCKER_HOST": f"unix://{job.path}"},
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().splitlines() == ["b'hello\\n'", "b'from exec\\n'"]


async def test_a_container_can_use_the_socket_that_is_mounted_into_it(job: Proxied) -> None:
    script = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/docker.sock');"
        "s.sendall(b'GET /_ping HTTP/1.1\\r\\nHost: docker\\r\\nConnection: close\\r\\n\\r\\n');"
        "print(s.makefile().read())"
    )
    ran = await job.docker(
        "run", "--rm", "-v", f"{job.path}:/docker.sock", IMAGE, "python", "-c", script
    )
    assert "200 OK" in ran.text
