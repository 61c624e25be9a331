"""Who is at the other end of a Unix socket, and that this may no longer be so."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.processes.peer import NotAllowed, caller_of

_CONNECTS = """
import socket, sys
caller = socket.socket(socket.AF_UNIX)
caller.connect(sys.argv[1])
caller.sendall(b"x")
sys.stdin.read()
"""
_SO_PEERPIDFD = 77


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[socket.socket, Path]]:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(30)
        yield listening, path


def test_the_one_who_connected_is_known_while_it_lives(
    listener: tuple[socket.socket, Path],
) -> None:
    listening, path = listener
    with subprocess.Popen(
        [sys.executable, "-S", "-c", _CONNECTS, path], stdin=subprocess.PIPE
    ) as caller:
        connection, _ = listening.accept()
        with connection:
            stat, uid = caller_of(connection)
            assert (stat.identity.pid, uid) == (caller.pid, os.geteuid())
            _needs_peer_pidfd(connection)

            assert caller.stdin is not None
            caller.stdin.close()
            # Not reaped: its pid and its user can still be looked up.
            os.waitid(os.P_PID, caller.pid, os.WEXITED | os.WNOWAIT)

            with pytest.raises(NotAllowed):
                caller_of(connection)
            assert caller.wait() == 0
            with pytest.raises(NotAllowed):
                caller_of(connection)


def _needs_peer_pidfd(connection: socket.socket) -> None:
    try:
        os.close(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
    except OSError:
        pytest.skip("needs Linux 6.5")
