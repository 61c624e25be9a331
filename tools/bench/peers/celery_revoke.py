"""Celery on the same broker: from `revoke(terminate=True)` to the end of the task's process.

    celery_revoke.py COUNT

AMQP_URL says where; prints the milliseconds of each as a JSON list.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from celery import Celery

from tools.bench.peers.timed_end import ms_until_gone, pids_of, running, write_pids

_POOL = 2
_SETTLE = 0.05  # seconds

app = Celery("celery_revoke", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_default_queue="bench-celery",
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="job")
def job(place: str) -> None:
    """A job with a process of its own, as a CI run has."""
    child = subprocess.Popen(["/bin/sleep", "1000"])
    write_pids(Path(place), os.getpid(), child.pid)
    child.wait()


def revoke_one(place: Path) -> float:
    sent = job.apply_async((str(place),))
    worker, child = pids_of(place)
    try:
        return ms_until_gone(
            worker, lambda: app.control.revoke(sent.id, terminate=True), settle=_SETTLE
        )
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # which is still there


def main(count: int) -> list[float]:
    worker = [
        *(sys.executable, "-m", "celery", "-A", "celery_revoke", "worker"),
        *("--concurrency", str(_POOL), "--loglevel", "ERROR"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    with running(worker, Path(__file__).parent), tempfile.TemporaryDirectory() as directory:
        # The first opens connections and starts the pool.
        return [revoke_one(Path(directory, str(i))) for i in range(count + 2)][2:]


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
