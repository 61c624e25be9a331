"""A PostgreSQL server of our own: random port and password, 127.0.0.1 only, nothing shared."""

import os
import pwd
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tools.services.guard import end_all
from tools.services.model import ServerFailed, ServicesUnavailable
from tools.services.native.binaries import PostgresPrograms, find_postgres
from tools.services.sandbox import Account, Sandbox, clean_environment, log_tail

USER = "run_cancel"
DATABASE = "postgres"
MAX_CONNECTIONS = 400
INITDB_SECONDS = 60.0
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
STATUS_LINE = 7  # of postmaster.pid; pg_ctl waits for the same word there


class PrivatePostgres:
    """A server that a test may stop, kill and start again; data, port and password stay."""

    def __init__(
        self,
        sandbox: Sandbox,
        programs: PostgresPrograms | None = None,
        *,
        name: str = "postgres",
        fsync: bool = True,
    ) -> None:
        """Prepare a server in ``sandbox``. Raises ServicesUnavailable if none is installed.

        ``name`` is that of its directory. Without ``fsync``, data survives a kill of the server,
        and not a crash of the machine; much is quicker.
        """
        found = programs or find_postgres()
        if found is None:
            raise ServicesUnavailable("PostgreSQL 15 or newer is not installed")
        self._programs = found
        self._sandbox = sandbox
        self._fsync = fsync
        self._home = sandbox.path / name
        self._data = self._home / "data"
        self._log = self._home / "server.log"
        self._password = secrets.token_urlsafe(18)
        self._account = unprivileged_account()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = sandbox.reserve_port()

    @property
    def url(self) -> str:
        """The URL of the server's own database, with user and password."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def version(self) -> str:
        """The version, such as 15.20."""
        printed = subprocess.run(
            [self._program("postgres"), "--version"], capture_output=True, text=True, check=True
        )
        return printed.stdout.split()[2]

    def start(self) -> None:
        """Start the server and return once it accepts connections.

        Raises ServerFailed, with the last lines of its log, if that fails or takes over 60 s.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the server without waiting for it; the first time, make its data directory."""
        if not self._data.exists():
            self._initialize()
        self._process = self._sandbox.spawn(
            [self._program("postgres"), "-D", str(self._data), *_options(self._settings())],
            log=self._log,
            env=clean_environment(),
            end_signal=signal.SIGQUIT,
            account=self._account,
        )

    def wait_ready(self) -> None:
        """Wait for the server that launch() started. Raises ServerFailed."""
        process = self._running()
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(process.pid):
            if process.poll() is not None:
                raise self._failure(f"ended with code {process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop it in order: sessions are ended, data is written. Raises ServerFailed."""
        process = self._running()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._failure(f"did not stop within {STOP_SECONDS:.0f} s") from None

    def kill(self) -> None:
        """Kill it with SIGKILL, backends included, as a crash of the machine would."""
        process = self._running()
        backends = _open_children(process.pid)
        process.kill()
        process.wait()
        # A backend that survives would keep a new server from starting on the same data.
        end_all(dict.fromkeys(backends, signal.SIGKILL))
        for pidfd in backends:
            os.close(pidfd)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerFailed("PostgreSQL has not been started")
        return self._process

    def _program(self, name: str) -> str:
        return str(self._programs.directory / name)

    def _settings(self) -> dict[str, str]:
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "max_connections": str(MAX_CONNECTIONS),
            # TCP is all that is needed, and a socket path has a length limit.
            "unix_socket_directories": "",
            "fsync": "on" if self._fsync else "off",
        }

    def _initialize(self) -> None:
        self._home.mkdir(mode=0o700, exist_ok=True)
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._account:
            for path in (self._home, password_file):
                os.chown(path, self._account.uid, self._account.gid)
        try:
            self._run(
                [
                    self._program("initdb"),
                    f"--pgdata={self._data}",
                    f"--username={USER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",  # only the empty files; the server itself syncs
                    "--no-instructions",
                ],
                INITDB_SECONDS,
            )
        finally:
            password_file.unlink()

    def _run(self, command: list[str], seconds: float) -> None:
        """Run one of its programs to the end. Raises ServerFailed."""
        name = Path(command[0]).name
        process = self._sandbox.spawn(
            command, log=self._log, env=clean_environment(), account=self._account
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self._failure(f"{name} took longer than {seconds:.0f} s") from None
        if code != 0:
            raise self._failure(f"{name} ended with code {code}")

    def _is_ready(self, pid: int) -> bool:
        """Read the server's own status; a file of another pid is what a killed one left."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        if len(lines) <= STATUS_LINE or lines[0] != str(pid):
            return False
        return lines[STATUS_LINE].strip() == "ready"

    def _failure(self, what: str) -> ServerFailed:
        return ServerFailed(f"private PostgreSQL: {what}\n{log_tail(self._log)}")


def _options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def unprivileged_account() -> Account | None:
    """PostgreSQL refuses to run as root: pick the account to run it as, None if not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServicesUnavailable("PostgreSQL cannot run as root, and there is no user nobody")


def _open_children(pid: int) -> list[int]:
    """Return pidfds of the server's processes, so that a reused pid is never hit."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    pidfds = []
    for child in children.read_text().split() if children.exists() else ():
        with suppress(ProcessLookupError):
            pidfds.append(os.pidfd_open(int(child)))
    return pidfds
