"""Debian's pgbouncer before a Postgres, configured as in deploy/pgbouncer."""

import signal
import socket
import subprocess
from configparser import ConfigParser
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from yarl import URL

from tools.services.model import ServerFailed
from tools.services.native.postgres import unprivileged_account
from tools.services.sandbox import Sandbox, clean_environment, log_tail

_EXAMPLE: Final = Path(__file__).parents[3] / "deploy/pgbouncer/pgbouncer.ini"
# Seconds.
_START: Final = 10.0
_LOOK_AGAIN: Final = 0.01


class Pgbouncer:
    """It may be killed, and started again with other settings."""

    def __init__(self, sandbox: Sandbox, program: Path, postgres_url: str) -> None:
        self._program = program
        self._postgres = URL(postgres_url)
        self._sandbox = sandbox
        self._port = sandbox.reserve_port()
        self._home = sandbox.path / f"pgbouncer-{self._port}"
        self._home.mkdir()
        self._log = self._home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """The way to a database of the server, as its user."""
        return str(self._postgres.with_port(self._port).with_path(f"/{database}"))

    def start(self, **settings: object) -> None:
        """Start it as in the example, except for the addresses and `settings`.

        Raises ServerFailed, with the last lines of its log.
        """
        users = self._home / "users.txt"
        users.write_text(f'"{self._postgres.user}" "{self._postgres.password}"\n')
        configuration = ConfigParser(comment_prefixes=(";",), interpolation=None)
        configuration.read(_EXAMPLE)
        configuration["databases"] = {"*": f"host=127.0.0.1 port={self._postgres.port}"}
        ours = {"listen_port": self._port, "auth_file": users, "unix_socket_dir": "", **settings}
        configuration["pgbouncer"].update({name: str(value) for name, value in ours.items()})
        file = self._home / "pgbouncer.ini"
        with file.open("w") as output:
            configuration.write(output)
        self._process = self._sandbox.spawn(
            [str(self._program), str(file)],
            log=self._log,
            env=clean_environment(),
            account=unprivileged_account(),
        )
        deadline = monotonic() + _START
        while not self._listens():
            if self._process.poll() is not None or monotonic() > deadline:
                raise ServerFailed(f"pgbouncer does not listen\n{log_tail(self._log)}")
            sleep(_LOOK_AGAIN)

    def stop(self, by: signal.Signals = signal.SIGKILL) -> None:
        assert self._process is not None
        self._process.send_signal(by)
        self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _listens(self) -> bool:
        with closing(socket.socket()) as end:
            return end.connect_ex(("127.0.0.1", self._port)) == 0
