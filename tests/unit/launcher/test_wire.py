"""The launcher's side of the worker's socket, where others are before it."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from worker.launcher import wire

ANSWER = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"status": "pass"}).encode()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "worker.sock")


def _fill(stack: ExitStack, path: str) -> int:
    """Connect until the queue takes no more; how many it took."""
    taken = 0
    while True:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.setblocking(False)
        try:
            connection.connect(path)
        except BlockingIOError:
            return taken
        taken += 1


def test_who_finds_the_queue_full_waits_for_a_place_and_gets_it(path: str) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(1)
        before = _fill(stack, path)
        pool = stack.enter_context(ThreadPoolExecutor(1))

        asked = pool.submit(wire.post, path, wire.COMPLETIONS, {"run_id": 1}, 10)

        wait([asked], timeout=0.2)
        assert not asked.done(), "it did not wait"
        for _ in range(before):
            listener.accept()[0].close()
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4096).startswith(b"POST /v1/completions ")
            connection.sendall(ANSWER)
        assert asked.result() == (200, {"status": "pass"})


def test_who_gets_no_place_gives_up_in_time(path: str) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(1)
        _fill(stack, path)

        with pytest.raises(OSError, match="Resource temporarily unavailable"):
            wire.post(path, wire.LAUNCHES, {}, 0.2)
