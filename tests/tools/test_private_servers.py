"""Private servers: their programs and ports, and that nothing of them stays behind."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.services import ServerFailed
from tools.services.amqp_probe import server_version
from tools.services.native.binaries import PostgresPrograms, find_postgres, find_rabbit
from tools.services.native.postgres import PrivatePostgres
from tools.services.ports import PortReservation
from tools.services.sandbox import Sandbox, clean_environment
from tools.services.signals import terminated_as_exit


class TestBinaries:
    @staticmethod
    def _add(file: Path, text: str = "") -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def test_the_newest_complete_postgres_is_taken(self, tmp_path: Path) -> None:
        for version, names in {"9.6": "ip", "14": "ip", "15": "ip", "17": "ip", "18": "i"}.items():
            for name in names:
                program = {"i": "initdb", "p": "postgres"}[name]
                self._add(tmp_path / f"usr/lib/postgresql/{version}/bin/{program}")
        directory = tmp_path / "usr/lib/postgresql/17/bin"
        assert find_postgres(tmp_path, path="") == PostgresPrograms(directory, 17)

    def test_postgres_is_found_on_path(self, tmp_path: Path) -> None:
        for name in ("initdb", "postgres"):
            self._add(tmp_path / "pg/bin" / name)
        found = find_postgres(tmp_path, path=str(tmp_path / "pg/bin"))
        assert found is not None
        assert found.directory == tmp_path / "pg/bin"

    def test_nothing_is_found_on_an_empty_machine(self, tmp_path: Path) -> None:
        assert find_postgres(tmp_path, path=str(tmp_path)) is None
        assert find_rabbit(tmp_path, path=str(tmp_path)) is None

    def test_the_wrapper_that_switches_the_user_is_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "usr/sbin"
        self._add(path / "epmd")
        self._add(path / "rabbitmq-server", "exec rabbitmq-script-wrapper\n")
        assert find_rabbit(tmp_path, path=str(path)) is None
        script = self._add(tmp_path / "usr/lib/rabbitmq/bin/rabbitmq-server")
        found = find_rabbit(tmp_path, path=str(path))
        assert found is not None
        assert (found.server, found.epmd) == (script, path / "epmd")


class TestPorts:
    def test_no_connection_from_another_address_is_given_a_reserved_port(self) -> None:
        given_out = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        reservations = [PortReservation() for _ in range(20)]
        try:
            assert all(it.port not in range(*map(int, given_out)) for it in reservations)
        finally:
            for reservation in reservations:
                reservation.release()

    def test_a_reserved_port_is_refused_to_others_and_open_to_its_server(self) -> None:
        reservation = PortReservation()
        try:
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", reservation.port))
            with socket.create_server(("127.0.0.1", reservation.port)) as server:
                socket.create_connection(server.getsockname(), timeout=2).close()
        finally:
            reservation.release()


class TestProbe:
    @staticmethod
    @contextmanager
    def _answering(answer: bytes) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer_once() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(8)
                    connection.sendall(answer)

            thread = threading.Thread(target=answer_once)
            thread.start()
            yield server.getsockname()[1]
            thread.join(5)

    def test_it_reads_the_version_from_the_greeting(self) -> None:
        body = b"\x00\x0a\x00\x0a\x00\x09....\x07versionS\x00\x00\x00\x063.10.8rest"
        frame = b"\x01\x00\x00" + len(body).to_bytes(4, "big") + body + b"\xce"
        with self._answering(frame) as port:
            assert server_version("127.0.0.1", port) == "3.10.8"

    def test_a_proxy_that_closes_at_once_is_no_server(self) -> None:
        with self._answering(b"") as port:
            assert server_version("127.0.0.1", port) is None


class TestSandbox:
    def test_closing_ends_the_processes_and_removes_the_directory(self) -> None:
        with Sandbox() as sandbox:
            process = sandbox.spawn(
                ["sleep", "60"], log=sandbox.path / "log", env=clean_environment()
            )
            assert process.poll() is None
        assert process.returncode == -signal.SIGKILL
        assert not sandbox.path.exists()

    def test_a_helper_that_left_its_parent_is_ended_too(self) -> None:
        with Sandbox() as sandbox:
            process = sandbox.spawn(
                ["sh", "-c", "setsid sleep 60 & echo $!"],
                log=sandbox.path / "log",
                env=clean_environment(),
            )
            process.wait(5)
            helper = os.pidfd_open(int((sandbox.path / "log").read_text()))
        assert _has_ended(helper)

    def test_a_killed_owner_leaves_nothing_behind(self) -> None:
        owner = subprocess.Popen(
            [sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True, cwd=_REPOSITORY
        )
        assert owner.stdout is not None
        directory, pid = owner.stdout.readline().split()
        server = os.pidfd_open(int(pid))
        owner.kill()
        owner.wait()
        owner.stdout.close()
        _wait_until(lambda: not Path(directory).exists())
        assert _has_ended(server)

    def test_a_failed_start_tells_the_last_lines_of_the_log(self) -> None:
        with Sandbox() as sandbox:
            initdb = sandbox.path / "initdb"
            initdb.write_text("#!/bin/sh\necho no space left\nexit 3\n")
            initdb.chmod(0o755)
            postgres = PrivatePostgres(sandbox, PostgresPrograms(sandbox.path, 17))
            with pytest.raises(ServerFailed, match=r"code 3\n    no space left"):
                postgres.start()


def test_sigterm_becomes_an_exit_in_the_block_only() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as exit_info, terminated_as_exit():
            signal.raise_signal(signal.SIGTERM)
        assert exit_info.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


_REPOSITORY = Path(__file__).parents[2]
_OWNER = """
import time
from tools.services.sandbox import Sandbox, clean_environment
sandbox = Sandbox()
server = sandbox.spawn(["sleep", "60"], log=sandbox.path / "log", env=clean_environment())
print(sandbox.path, server.pid, flush=True)
time.sleep(60)
"""


def _has_ended(pidfd: int) -> bool:
    """Tell whether the process ended; it may still be a zombie, which a signal would reach."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ended = bool(poller.poll(2000))
    os.close(pidfd)
    return ended


def _wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
