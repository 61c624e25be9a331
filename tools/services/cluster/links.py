"""The way of packets to a node that lives in a network namespace, and how it is blocked.

Nothing but iproute2 and a bridge is needed: no firewall, whose modules a machine may lack.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

from tools.services.model import ServerFailed

_NOWHERE: Final = "02:00:00:00:00:01"
"""A locally administered address that no interface has."""


def can_block() -> bool:
    """Whether this process may change the network of another namespace."""
    return os.geteuid() == 0 and all(map(shutil.which, ("ip", "nsenter", "unshare")))


@dataclass(frozen=True, slots=True)
class Link:
    """The interface of a node."""

    pid: int
    """A process in the node's network namespace."""
    interface: str
    address: str

    def block(self, other: "Link") -> None:
        """Lose all packets to `other`: they are sent to a machine that does not exist."""
        self._ip(
            *("neigh", "replace", other.address, "lladdr", _NOWHERE),
            *("dev", self.interface, "nud", "permanent"),
        )

    def unblock(self, other: "Link") -> None:
        """Deliver packets to `other` again. May be called if nothing is blocked."""
        # The kernel asks for the address again. A removal would need an entry to remove.
        self._ip("neigh", "replace", other.address, "dev", self.interface, "nud", "failed")

    def _ip(self, *arguments: str) -> None:
        run("ip", *arguments, within=self.pid)


def run(*command: str, within: int | None = None) -> None:
    """Run a command, in the network namespace of a process if one is given.

    Raises ServerFailed, with what it printed.
    """
    place = () if within is None else ("nsenter", f"--net=/proc/{within}/ns/net")
    done = subprocess.run(
        [*place, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerFailed(f"{' '.join(command)}: {done.stdout.strip()}")
