"""dramatiq-abort on the same broker: from `abort()` to the end of the process that a task started.

    abort_with_dramatiq.py COUNT REDIS_SERVER

AMQP_URL says where; prints the milliseconds of each as a JSON list. dramatiq-abort sends aborts
through Redis: REDIS_SERVER is its program, and a private server runs meanwhile.

An abort is an exception in the task's thread. It does not interrupt system calls, so a task that
waits for its process is never stopped. This one looks at its process every millisecond, and kills
it when it is aborted.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final
from uuid import uuid4

import dramatiq
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq_abort import Abort, Abortable, abort
from dramatiq_abort.backends import RedisBackend

from tools.bench.peers.timed_end import ms_until_gone, pids_of, running, write_pids

_SOCKET: Final = "BENCH_REDIS_SOCKET"
_QUEUE: Final = "BENCH_DRAMATIQ_QUEUE"
_THREADS: Final = 2
_LOOK: Final = 0.001  # seconds
_SETTLE: Final = 1.2
"""Seconds. The watcher asks Redis for aborts of the tasks that it knew when it last asked, at least
once a second. An abort of a newer task waits for that: up to a second that is not measured here."""
_WAIT: Final = 20.0  # seconds


def declare() -> "dramatiq.Actor[[str], None]":
    """The task, on this process's broker, queue and Redis. Also what dramatiq's worker calls."""
    broker = RabbitmqBroker(url=os.environ["AMQP_URL"])
    client = redis.Redis(unix_socket_path=os.environ[_SOCKET])
    broker.add_middleware(Abortable(backend=RedisBackend(client=client)))
    dramatiq.set_broker(broker)

    @dramatiq.actor(queue_name=os.environ[_QUEUE], max_retries=0)
    def job(place: str) -> None:
        child = subprocess.Popen(["/bin/sleep", "1000"])
        try:
            write_pids(Path(place), child.pid)
            while child.poll() is None:
                sleep(_LOOK)
        except Abort:
            child.kill()
            child.wait()
            raise

    return job


def main(count: int, redis_server: str) -> list[float]:
    with tempfile.TemporaryDirectory() as name:
        os.environ[_SOCKET] = str(Path(name, "redis"))
        os.environ[_QUEUE] = f"bench-dramatiq-{uuid4().hex}"
        with private_redis(redis_server, Path(name)), private_queues(job := declare()), worker():
            # The first opens connections.
            return [abort_one(job, Path(name, str(number))) for number in range(count + 1)][1:]


def abort_one(job: "dramatiq.Actor[[str], None]", place: Path) -> float:
    sent = job.send(str(place))
    [pid] = pids_of(place)
    return ms_until_gone(pid, lambda: abort(sent.message_id), _SETTLE)


@contextmanager
def private_redis(program: str, directory: Path) -> Iterator[None]:
    """Without a port, and without anything on disk."""
    options = {"port": "0", "unixsocket": os.environ[_SOCKET], "save": "", "dir": str(directory)}
    command = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
    with running(command):
        end = monotonic() + _WAIT
        while not Path(os.environ[_SOCKET]).exists():
            if monotonic() > end:
                raise TimeoutError("Redis did not start")
            sleep(0.01)
        yield


@contextmanager
def private_queues(job: "dramatiq.Actor[[str], None]") -> Iterator[None]:
    """Delete the queue in the end, and those for its delayed and dead messages."""
    try:
        yield
    finally:
        broker, queue = job.broker, job.queue_name
        for name in (queue, f"{queue}.DQ", f"{queue}.XQ"):
            broker.channel.queue_delete(name)
        broker.close()


def worker() -> AbstractContextManager[None]:
    module = "tools.bench.peers.abort_with_dramatiq:declare"
    return running(
        [
            *(sys.executable, "-m", "dramatiq", module),
            *("--processes", "1", "--threads", str(_THREADS)),
        ]
    )


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2])))
