"""Boots a machine with systemd in a container of the engine at hand.

Its own engine has a network, images and cgroups of its own. This repository is mounted at the same
place, with the Python of its environment, so that a command runs there as it does here: tests
and their services included.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from tests.support.docker import tiny_image
from tools.support.waiting import eventually

IMAGE: Final = "run-cancel-test/systemd:1"
_HERE: Final = Path(__file__).parent
_PROJECT: Final = _HERE.parents[3]

# By number, from 0: those that an engine of 20.10 knows.
_CAPABILITIES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
)


class Machine:
    """One that has been booted."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, *command: str, env: Mapping[str, str] | None = None) -> list[str]:
        """A command that runs `command` in it: in a cgroup of its own, as a service has one."""
        given = [f"--env={name}={value}" for name, value in (env or {}).items()]
        return [
            *("docker", "exec", "--interactive", *given, "--workdir", str(_PROJECT), self.name),
            *("systemd-run", "--quiet", "--scope", "--property", "Delegate=yes", "--"),
            *command,
        ]

    async def until_ready(self) -> None:
        """Wait until its engine answers, and give it the tiny image."""
        asks = self.command("docker", "info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}")
        await eventually(
            lambda: _said(asks), lambda said: said == "systemd 2", what="its engine", deadline=60
        )
        await _said(self.command("docker", "import", "-", tiny_image.NAME), tiny_image.archive())

    def load(self, image: str) -> None:
        """Give its engine an image of the engine at hand."""
        saves = ("docker", "save", image)
        with subprocess.Popen(saves, stdout=subprocess.PIPE) as saving:
            loads = self.command("docker", "load", "--quiet")
            subprocess.run(loads, stdin=saving.stdout, stdout=sys.stderr, check=True)


async def _said(command: Sequence[str], given: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate(given)
    return out.decode().strip()


def build() -> None:
    """Build the image, from packages of Debian; the engine caches it."""
    command = ("docker", "build", "--quiet", "--network", "host", "--tag", IMAGE, str(_HERE))
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def booted(mounts: Sequence[Path] = ()) -> Iterator[Machine]:
    """Boot one, and remove it in the end. `mounts` are seen in it at the same places."""
    name = f"run-cancel-systemd-{uuid4().hex[:12]}"
    seen = [f"--volume={path}:{path}" for path in (_PROJECT, *mounts)]
    python = Path(sys.base_prefix)
    command = (
        *("docker", "run", "--detach", "--name", name, "--label", "run-cancel-test=systemd"),
        *_privileges(),
        *("--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/tmp:exec,mode=1777"),
        *seen,
        f"--volume={python}:{python}:ro",
        IMAGE,
    )
    try:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        yield Machine(name)
    finally:
        remove = ("docker", "rm", "--force", "--volumes", name)
        subprocess.run(remove, stdout=subprocess.DEVNULL, check=True)


def _privileges() -> Iterator[str]:
    """All that can be had: where the engine itself lacks a capability, `--privileged` fails."""
    status = Path("/proc/self/status").read_text()
    (bounds,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
    for number, name in enumerate(_CAPABILITIES):
        if int(bounds, 16) >> number & 1:
            yield f"--cap-add={name}"
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        yield f"--security-opt={option}"
    yield "--device-cgroup-rule=a *:* rwm"
