"""Celery on the same broker: from `revoke(terminate=True)` to the end of the task's process.

    celery_revoke.py COUNT

AMQP_URL says where; prints the milliseconds of each as a JSON list.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter, sleep

from celery import Celery

_POOL = 2
_WAIT = 20.0  # seconds
_SETTLE = 0.05

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
    written = Path(place).with_suffix(".part")
    written.write_text(f"{os.getpid()} {child.pid}")
    written.rename(place)
    child.wait()


def revoke_one(place: Path) -> float:
    sent = job.apply_async((str(place),))
    worker, child = _pids(place)
    fd = os.pidfd_open(worker)
    sleep(_SETTLE)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    began = perf_counter()
    app.control.revoke(sent.id, terminate=True)
    if not poll.poll(_WAIT * 1000):
        raise TimeoutError("the task's process did not end")
    taken = (perf_counter() - began) * 1000
    os.close(fd)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)  # which is still there
    return taken


def _pids(place: Path) -> tuple[int, int]:
    end = monotonic() + _WAIT
    while not place.exists():
        if monotonic() > end:
            raise TimeoutError("the task was not started")
        sleep(0.005)
    worker, child = place.read_text().split()
    return int(worker), int(child)


def main(count: int) -> list[float]:
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "celery_revoke", "worker"),
            *("--concurrency", str(_POOL), "--loglevel", "ERROR"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with tempfile.TemporaryDirectory() as directory:
            # The first opens connections and starts the pool.
            return [revoke_one(Path(directory, str(i))) for i in range(count + 2)][2:]
    finally:
        worker.terminate()
        try:
            worker.wait(5)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    print(json.dumps(main(int(sys.argv[1]))))
