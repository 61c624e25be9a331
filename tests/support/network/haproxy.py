"""haproxy with the configuration of deploy/, in front of gateways of a test."""

import asyncio
import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.network.certificates import Authority, replace
from tests.support.programs.installed import Package, installed
from tools.services import Sandbox
from tools.services.sandbox import clean_environment, log_tail
from tools.support.waiting import eventually

CONFIGURATION: Final = Path(__file__).parents[3] / "deploy/haproxy/haproxy.cfg"
SERVERS: Final = {"gateway1": "10.0.0.11:8080", "gateway2": "10.0.0.12:8080"}
"""As the configuration has them."""
_LISTEN: Final = "bind :443 ssl crt /etc/haproxy/certs/api.pem"
_SOCKET: Final = "/run/haproxy/admin.sock"
_USER: Final = "    user haproxy\n    group haproxy\n"


class Haproxy:
    """A running haproxy. Its files are in `sandbox`."""

    def __init__(self, sandbox: Sandbox, configuration: str = CONFIGURATION.read_text()) -> None:
        """Prepare one with this text of deploy/haproxy/haproxy.cfg. Skips where there is none."""
        self.ports = {name: sandbox.reserve_port() for name in SERVERS}
        """Where each gateway has to listen."""
        self._port = sandbox.reserve_port()
        self._sandbox = sandbox
        self._program = installed(Package.HAPROXY)
        self._log = sandbox.path / "haproxy.log"
        self._admin = sandbox.path / "haproxy.sock"
        authority = Authority()
        self.ca = sandbox.path / "ca.pem"
        """Trusted by who is to connect."""
        self.ca.write_bytes(authority.certificate)
        certificate = sandbox.path / "haproxy.pem"
        replace(certificate, b"".join(authority.issue()))
        filled = {
            _LISTEN: f"bind 127.0.0.1:{self._port} ssl crt {certificate}",
            _SOCKET: str(self._admin),
            _USER: "",
            **{SERVERS[name]: f"127.0.0.1:{port}" for name, port in self.ports.items()},
        }
        for placeholder, value in filled.items():
            assert placeholder in configuration, placeholder
            configuration = configuration.replace(placeholder, value)
        self._configuration = sandbox.path / "haproxy.cfg"
        self._configuration.write_text(configuration)

    @property
    def url(self) -> str:
        return f"https://localhost:{self._port}"

    def start(self) -> None:
        self._sandbox.spawn(
            [str(self._program), "-db", "-f", str(self._configuration)],
            log=self._log,
            env=clean_environment(),
        )

    async def ask(self, command: str) -> str:
        """What haproxy answers on its socket."""
        reader, writer = await asyncio.open_unix_connection(str(self._admin))
        writer.write(f"{command}\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    async def statistics(self, server: str, backend: str = "gateways") -> Mapping[str, str]:
        """What `show stat` says of a server; empty before haproxy listens."""
        with suppress(OSError):
            rows = csv.DictReader((await self.ask("show stat")).removeprefix("# ").splitlines())
            for row in rows:
                if (row["pxname"], row["svname"]) == (backend, server):
                    return row
        return {}

    async def becomes(self, server: str, status: str) -> None:
        """Wait until haproxy has this server as UP, DOWN or DRAIN."""
        await eventually(
            lambda: self.statistics(server),
            lambda row: row.get("status", "").split(" ")[0] == status,
            what=f"haproxy's {server}\n{log_tail(self._log)}\nwith",
        )

    def failed(self) -> list[str]:
        """The lines of requests that got 5xx, or that did not end as HTTP has it.

        Not those whose client left.
        """
        # Status, bytes, two cookies, and how the session ended ("----": well).
        line = re.compile(r" (\d{3}|-1) \d+ \S+ \S+ (\S)(\S)\S\S \d+/")
        found = []
        for text in self._log.read_text().splitlines():
            if (ended := line.search(text)) is not None:
                well = ended[2] == ended[3] == "-" and not ended[1].startswith("5")
                if not well and ended[2] != "C":
                    found.append(text)
        return found


@contextmanager
def haproxy(configuration: str = CONFIGURATION.read_text()) -> Iterator[Haproxy]:
    """haproxy, started. Skips the test where it cannot be installed."""
    with Sandbox() as sandbox:
        proxy = Haproxy(sandbox, configuration)
        proxy.start()
        yield proxy
