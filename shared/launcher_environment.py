"""Shared by a worker and its launchers: the default socket and the names of variables.

Only a few modules of the standard library: every launcher imports this.
"""

import os
from pathlib import Path

SOCKET_VARIABLE = "CANCEL_WORKER_SOCKET"
"""The path of the socket, if it is not the default one."""
LAUNCH_VARIABLE = "CANCEL_LAUNCH_ID"
"""The launch id in a job's environment, which identifies the processes of a run."""
RUN_VARIABLE = "CANCEL_RUN_ID"
"""The run id in a job's environment."""
SYSTEM_SOCKET = Path("/run/cancel-worker/worker.sock")


def launcher_socket() -> Path:
    """The launcher's default: the system-wide worker, which serves the jobs of every user."""
    return SYSTEM_SOCKET if SYSTEM_SOCKET.exists() else default_socket()


def default_socket() -> Path:
    """The worker's own socket: system-wide for root, else in the user's runtime directory."""
    if os.geteuid() == 0:
        return SYSTEM_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "cancel-worker", "worker.sock")
    return Path(f"/tmp/cancel-worker-{os.geteuid()}", "worker.sock")  # noqa: S108 - made 0700
