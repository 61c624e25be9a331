"""A network for nodes of this machine: a namespace for each, joined by a bridge.

All of it hangs on processes of the sandbox: when they end, the kernel removes it.
"""

import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from tools.services.cluster.links import Link, run
from tools.services.cluster.subnets import address_of, address_of_host, random_subnet
from tools.services.model import ServerFailed
from tools.services.sandbox import Sandbox, clean_environment

_START_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01
_ATTEMPTS: Final = 5
_BRIDGE: Final = "bridge"
_INTERFACE: Final = "node"


class NodeNetwork:
    """The host reaches each node by its address, and the nodes reach each other and the host."""

    def __init__(self, sandbox: Sandbox, nodes: int) -> None:
        """Raises ServerFailed."""
        self._sandbox = sandbox
        self._switch = self._namespace()
        run("ip", "link", "add", _BRIDGE, "type", "bridge", within=self._switch)
        run("ip", "link", "set", _BRIDGE, "up", within=self._switch)
        self._subnet = self._joined_to_host()
        self.links = tuple(self._joined(node) for node in range(nodes))

    def _namespace(self) -> int:
        """Make a network namespace; returns the process that keeps it."""
        process = self._sandbox.spawn(
            ["unshare", "--net", "sleep", "infinity"],
            log=self._sandbox.path / "namespaces.log",
            env=clean_environment(),
        )
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + _START_SECONDS
        while Path(f"/proc/{process.pid}/ns/net").readlink() == own:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed("no network namespace could be made")
            time.sleep(_POLL_SECONDS)
        run("ip", "link", "set", "lo", "up", within=process.pid)
        return process.pid

    def _joined_to_host(self) -> IPv4Network:
        """Join the host's network to the bridge; returns the addresses of all."""
        for _ in range(_ATTEMPTS):
            subnet = random_subnet()
            # Named by the subnet: the name is taken if the addresses are.
            name = f"rc{int(subnet.network_address):x}"
            try:
                self._wire(name, "host")
            except ServerFailed as error:
                failure = error
                continue
            _configure(name, f"{address_of_host(subnet)}/{subnet.prefixlen}")
            return subnet
        raise failure

    def _joined(self, node: int) -> Link:
        pid, address = self._namespace(), address_of(self._subnet, node)
        self._wire(_INTERFACE, f"port{node}", within=pid)
        _configure(_INTERFACE, f"{address}/{self._subnet.prefixlen}", within=pid)
        return Link(pid, _INTERFACE, str(address))

    def _wire(self, name: str, port: str, within: int | None = None) -> None:
        """Make an interface that leads to a port of the bridge."""
        run(
            *("ip", "link", "add", name, "type", "veth"),
            *("peer", "name", port, "netns", str(self._switch)),
            within=within,
        )
        run("ip", "link", "set", port, "master", _BRIDGE, "up", within=self._switch)


def _configure(interface: str, address: str, within: int | None = None) -> None:
    run("ip", "addr", "add", address, "dev", interface, within=within)
    run("ip", "link", "set", interface, "up", within=within)
