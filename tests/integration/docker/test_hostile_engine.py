"""A stop on an engine that answers, but not what was asked for."""

import asyncio
import errno
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from tests.support.docker.scripted_engine import EngineSide, scripted
from worker.docker.engine.client import Engine
from worker.docker.gates import Gate
from worker.docker.scope import LABEL
from worker.docker.stopping.container_stop import ContainerStop
from worker.docker.stopping.containers_stopped import ContainersStopped
from worker.docker.stopping.deadlines import Deadlines
from worker.processes.cgroup import Cgroup

_LAUNCH = uuid4()
_PARENT = f"/run-cancel-test-{_LAUNCH.hex[:12]}"
_ID = "a" * 64
_VERSION = {"ApiVersion": "1.41"}

Answer = tuple[int, Any]


class FakeEngine:
    """Has one container; `of` may answer in place of what is usual."""

    def __init__(self, status: str = "exited", policy: str = "") -> None:
        self.status = status
        self.policy = policy
        self.of: Callable[[str], Answer | None] = lambda _: None
        self.asked: list[str] = []

    async def serve(self, engine: EngineSide) -> None:
        while head := await engine.head():
            method, target = head.decode().split()[:2]
            if length := re.search(rb"(?i)content-length: (\d+)", head):
                await engine.reader.readexactly(int(length[1]))
            said = f"{method} {target.partition('?')[0]}"
            self.asked.append(said)
            status, body = self.of(said) or self._usual(said)
            content = json.dumps(body).encode()
            await engine.say(
                b"HTTP/1.1 %d It\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(content), content)
            )

    def _usual(self, said: str) -> Answer:
        if said == "GET /version":
            return 200, _VERSION
        if said.endswith("/containers/json"):
            return 200, [{"Id": _ID, "State": self.status}]
        if said.endswith(f"/containers/{_ID}/json"):
            return 200, self._shown()
        return 200, {}

    def _shown(self) -> dict[str, Any]:
        ended = "0001-01-01T00:00:00Z"
        return {
            "Id": _ID,
            "Name": "/it",
            "Config": {"Image": "image", "Labels": {LABEL: str(_LAUNCH)}},
            "HostConfig": {"RestartPolicy": {"Name": self.policy}, "CgroupParent": _PARENT},
            "State": {"Status": self.status, "ExitCode": 0, "FinishedAt": ended},
        }


@asynccontextmanager
async def _stopping(
    directory: Path,
    fake: FakeEngine,
    gate: Gate,
    kill_wait: float = 0.5,
    cgroup: Cgroup | None = None,
) -> AsyncIterator["asyncio.Task[ContainersStopped]"]:
    async with scripted(directory, fake.serve) as served:
        engine = Engine(served.path)
        gate.close("the run is being stopped")
        deadlines = Deadlines(monotonic() + 0.2, kill_wait, asyncio.Event())
        stop = ContainerStop(engine, gate, _LAUNCH, _PARENT, cgroup, deadlines)
        try:
            async with asyncio.timeout(20):
                task = asyncio.create_task(stop.run())
                yield task
                await task
        finally:
            await engine.close()


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        (f"/containers/{_ID}/json", (500, {"message": "it is broken"})),
        ("/containers/json", (500, {"message": "it is broken"})),
        ("/containers/json", (503, {"message": "it is starting"})),
    ],
)
async def test_an_engine_that_fails_for_a_while_is_waited_for(
    tmp_path: Path, where: str, answer: Answer
) -> None:
    fake, failures = FakeEngine(), iter(range(3))
    fake.of = lambda said: (
        answer if said.endswith(where) and next(failures, None) is not None else None
    )
    async with _stopping(tmp_path, fake, Gate()) as stopping:
        assert not (await stopping).alive


async def test_an_engine_that_goes_away_at_a_change_is_waited_for(tmp_path: Path) -> None:
    fake, failures = FakeEngine(policy="always"), iter(range(3))

    def of(said: str) -> Answer | None:
        if said.endswith("/update") and next(failures, None) is not None:
            raise ConnectionResetError
        return None

    fake.of = of
    async with _stopping(tmp_path, fake, Gate(), kill_wait=10) as stopping:
        assert not (await stopping).alive


async def test_an_engine_of_another_version_is_asked_in_its_own(tmp_path: Path) -> None:
    fake = FakeEngine()
    versions = iter(["1.41"])

    def of(said: str) -> Answer | None:
        if said == "GET /version":
            return 200, {"ApiVersion": next(versions, "1.52")}
        if "/v1.41/" in said:
            why = "client version 1.41 is too old. Minimum supported API version is 1.44"
            return 400, {"message": why}
        return None

    fake.of = of
    async with _stopping(tmp_path, fake, Gate()) as stopping:
        assert not (await stopping).alive
    assert "GET /v1.52/containers/json" in fake.asked


async def test_a_container_whose_policy_cannot_be_changed_is_not_proved_gone(
    tmp_path: Path,
) -> None:
    fake = FakeEngine(policy="always")
    fake.of = lambda said: (500, {"message": "it is broken"}) if said.endswith("/update") else None
    async with _stopping(tmp_path, fake, Gate()) as stopping:
        assert (await stopping).alive == ["it"]


@pytest.mark.parametrize("status", ["dead", "removing"])
async def test_what_the_engine_removes_needs_no_policy(tmp_path: Path, status: str) -> None:
    fake = FakeEngine(status, policy="always")
    fake.of = lambda said: (
        (500, {"message": "it is marked for removal"}) if said.endswith("/update") else None
    )
    async with _stopping(tmp_path, fake, Gate()) as stopping:
        assert not (await stopping).alive


async def test_a_restart_in_flight_is_waited_for_after_the_kill(tmp_path: Path) -> None:
    """It has stopped the container, and is about to start it."""
    fake, gate = FakeEngine(), Gate()
    restart = gate.starting()
    restart.__enter__()
    async with _stopping(tmp_path, fake, gate, kill_wait=5) as stopping:
        await asyncio.sleep(1.5)
        assert not stopping.done()
        restart.__exit__(None, None, None)
        assert not (await stopping).alive


async def test_what_is_never_answered_ends_a_stop_without_a_proof(tmp_path: Path) -> None:
    fake, gate = FakeEngine(), Gate()
    with gate.starting():
        async with _stopping(tmp_path, fake, gate) as stopping:
            assert (await stopping).alive == [
                "what the engine was asked to start, and has not answered"
            ]


async def test_what_no_kill_ends_and_the_engine_does_not_know_is_no_proof(tmp_path: Path) -> None:
    """Such as the step of a classic build that waits for a disk."""
    (tmp_path / "cgroup.events").write_text("populated 1\n")
    stuck = Cgroup(tmp_path)
    async with _stopping(tmp_path, FakeEngine(), Gate(), cgroup=stuck) as stopping:
        assert (await stopping).alive == [f"processes in {tmp_path}"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "?",
        f"{_ID}?",
        f"{_ID}/json?x=",
        f"../containers/{_ID}",
        f"{_ID}\n",
        "%61",
        "a/b",
    ],
)
async def test_no_name_leads_to_another_path_of_the_engine(tmp_path: Path, name: str) -> None:
    fake = FakeEngine()
    async with scripted(tmp_path, fake.serve) as served:
        engine = Engine(served.path)
        try:
            assert await engine.container(name) is None
            assert await engine.container_of_exec(name) is None
        finally:
            await engine.close()
    assert fake.asked == []


class ShortOfFiles(Cgroup):
    """Can be killed once there are descriptors again."""

    kills = 0

    def is_populated(self) -> bool:
        return self.kills < 3

    def populated_children(self) -> list[str]:
        return []

    def kill(self) -> None:
        self.kills += 1
        if self.kills < 3:
            raise OSError(errno.EMFILE, "too many open files")


async def test_a_kill_that_fails_is_tried_again(tmp_path: Path) -> None:
    cgroup = ShortOfFiles(tmp_path)
    async with _stopping(tmp_path, FakeEngine(), Gate(), kill_wait=5, cgroup=cgroup) as stopping:
        assert not (await stopping).alive
    assert cgroup.kills == 3
