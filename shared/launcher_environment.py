"""What a worker and its launchers agree on: the default socket, and the names of variables.

Standard library only, and little of it: every launcher imports this.
"""

import os
from pathlib import Path

SOCKET_VARIABLE = "CANCEL_WORKER_SOCKET"
"""The socket, where it is not the default one."""
LAUNCH_VARIABLE = "CANCEL_LAUNCH_ID"
"""The launch id in a job's environment, by which a process is known to be of a run."""
RUN_VARIABLE = "CANCEL_RUN_ID"
"""The run id in a job's environment."""
SYSTEM_SOCKET = Path("/run/cancel-worker/worker.sock")


def launcher_socket() -> Path:
    """Where a launcher looks: a worker of the whole host serves every user's jobs."""
    return SYSTEM_SOCKET if SYSTEM_SOCKET.exists() else default_socket()


def default_socket() -> Path:
    """The worker's own socket: system-wide for root, else in the user's runtime directory."""
    if os.geteuid() == 0:
        return SYSTEM_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "cancel-worker", "worker.sock")
    return Path(f"/tmp/cancel-worker-{os.geteuid()}", "worker.sock")  # noqa: S108 - made 0700
