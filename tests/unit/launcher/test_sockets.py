"""Where a worker listens, and where a launcher looks for it, if nothing is set."""

import os
from pathlib import Path

import pytest

from shared import launcher_environment
from shared.launcher_environment import SYSTEM_SOCKET, default_socket, launcher_socket


def _run_as(monkeypatch: pytest.MonkeyPatch, uid: int, runtime: str | None) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    if runtime is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)


@pytest.mark.parametrize(
    ("uid", "runtime", "path"),
    [
        (0, None, "/run/cancel-worker/worker.sock"),
        (0, "/run/user/0", "/run/cancel-worker/worker.sock"),
        (1000, "/run/user/1000", "/run/user/1000/cancel-worker/worker.sock"),
        (1000, "", "/tmp/cancel-worker-1000/worker.sock"),
        (1000, None, "/tmp/cancel-worker-1000/worker.sock"),
    ],
)
def test_root_serves_all_and_other_users_themselves(
    monkeypatch: pytest.MonkeyPatch, uid: int, runtime: str | None, path: str
) -> None:
    _run_as(monkeypatch, uid, runtime)

    assert default_socket() == Path(path)


def test_a_launcher_asks_the_worker_of_all_users_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = tmp_path / "worker.sock"
    monkeypatch.setattr(launcher_environment, "SYSTEM_SOCKET", system)
    _run_as(monkeypatch, 1000, "/run/user/1000")

    assert launcher_socket() == Path("/run/user/1000/cancel-worker/worker.sock")
    system.touch()
    assert launcher_socket() == system
    assert Path("/run/cancel-worker/worker.sock") == SYSTEM_SOCKET
