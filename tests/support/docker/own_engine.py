"""An engine of a test's own, to be killed, frozen and restarted without touching the machine's.

It has the machine's programs, and a network namespace of its own: as engines do at their start, it
makes, changes and removes interfaces that the machine's engine has too (`--bridge none` removes
`docker0`). So what its containers serve is not reached from here. Its containerd is a process of
its own, as with packages of a distribution: containers outlive their engine until it starts again.
"""

import asyncio
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import uuid4

import aiohttp

from tests.support.docker import leavings, tiny_image
from tests.support.docker.direct import Direct, direct
from tools.support.waiting import eventually

_PROGRAMS: Final = ("dockerd", "containerd", "runc", "docker", "unshare", "nsenter")
_DEADLINE: Final = 30.0
_CONTAINERD: Final = """\
version = 2
root = "{directory}/containerd"
state = "{directory}/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{directory}/containerd.sock"
"""


class Driver(StrEnum):
    """What makes the cgroups of containers."""

    CGROUPFS = "cgroupfs"
    SYSTEMD = "systemd"


def why_no_own_engine(driver: Driver = Driver.CGROUPFS) -> str | None:
    """Why no engine can be started here, or None."""
    if os.geteuid() != 0:
        return "only root can start a Docker engine"
    if driver is Driver.SYSTEMD and not Path("/run/systemd/system").is_dir():
        return "systemd does not run here: see tests/support/docker/systemd"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


class OwnEngine:
    def __init__(self, directory: Path, driver: Driver = Driver.CGROUPFS) -> None:
        # The name is in all its arguments: what it started is found by that.
        self.name = directory.name
        self.directory = directory
        self.driver = driver
        self.cgroup_parent = f"/{self.name}" if driver is Driver.CGROUPFS else f"{self.name}.slice"
        self._containerd: Process | None = None
        self._dockerd: Process | None = None

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @property
    def docker_host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self._dockerd is not None
        return self._dockerd.pid

    async def start(self) -> None:
        """Start the engine, and what it needs, and wait until it answers."""
        directory = self.directory
        if self._containerd is None:
            config = directory / "containerd.toml"
            config.write_text(_CONTAINERD.format(directory=directory))
            (directory / "daemon.json").write_text("{}")
            namespace = directory / "net"
            namespace.touch()
            made = await self._program("unshare", f"--net={namespace}", "true")
            assert await made.wait() == 0, (directory / "unshare.log").read_text()
            self._containerd = await self._program("containerd", "--config", str(config))
            # The engine gives up on one that is late.
            await eventually((directory / "containerd.sock").is_socket, what="containerd's socket")
        self._dockerd = await self._program(
            *("nsenter", f"--net={directory / 'net'}", "dockerd"),
            *("--config-file", str(directory / "daemon.json")),
            *("--host", self.docker_host, "--pidfile", str(directory / "docker.pid")),
            *("--containerd", str(directory / "containerd.sock")),
            *("--data-root", str(directory / "data"), "--exec-root", str(directory / "run")),
            *(
                "--cgroup-parent",
                self.cgroup_parent,
                "--exec-opt",
                f"native.cgroupdriver={self.driver}",
            ),
            *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
        )
        await eventually(self._answers, what="the engine", deadline=_DEADLINE)

    async def kill(self) -> None:
        """End the engine as a crash does. Its containers go on."""
        assert self._dockerd is not None
        self._dockerd.kill()
        await self._dockerd.wait()

    async def restart(self) -> None:
        """Kill it, and start it again."""
        await self.kill()
        await self.start()

    async def stop(self) -> None:
        """End the engine as its administrator does: it stops its containers first."""
        assert self._dockerd is not None
        self._dockerd.terminate()
        await self._dockerd.wait()

    def freeze(self) -> None:
        """It still accepts connections, and answers nothing."""
        assert self._dockerd is not None
        self._dockerd.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._dockerd is not None
        with suppress(ProcessLookupError):
            self._dockerd.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """End it with all that is in it, whatever state it is in, and leave nothing."""
        try:
            if self._dockerd is not None:
                self.thaw()
                if self._dockerd.returncode is not None:
                    # Or it would give each its time to obey before it answers.
                    leavings.kill_containers(self.cgroup_parent)
                    await self.start()
                async with direct(self.docker_host) as engine, asyncio.timeout(_DEADLINE):
                    await _empty(engine)
                await self.stop()
        finally:
            for process in (self._dockerd, self._containerd):
                if process is not None and process.returncode is None:
                    process.kill()
                    await process.wait()
            await leavings.remove(self.directory, self.cgroup_parent)

    async def _program(self, *command: str) -> Process:
        with (self.directory / f"{command[0]}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def _answers(self) -> bool:
        assert self._dockerd is not None
        log = self.directory / "nsenter.log"
        assert self._dockerd.returncode is None, log.read_text()[-2000:]
        try:
            async with direct(self.docker_host) as engine:
                await engine.ask("/version")
        except aiohttp.ClientConnectionError:
            return False
        return True


async def _empty(engine: Direct) -> None:
    """What has an interface or a mount is removed by who made it."""
    for container in await engine.ask("/containers/json?all=1"):
        await engine.remove(f"/containers/{container['Id']}?force=1&v=1")
    await engine.ask("/networks/prune", "POST")


@asynccontextmanager
async def own_engine(driver: Driver = Driver.CGROUPFS) -> AsyncIterator[OwnEngine]:
    """An engine that runs, and has the tiny image."""
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as parent:
        # Paths of sockets may be no longer than 107 bytes.
        directory = Path(parent) / f"e{uuid4().hex[:12]}"
        directory.mkdir()
        engine = OwnEngine(directory, driver)
        try:
            await engine.start()
            await tiny_image.import_into(engine.docker_host)
            yield engine
        finally:
            await engine.end()
