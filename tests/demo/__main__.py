"""`python -m tests.demo` and `python -m tests.demo up`."""

import signal
import sys

import aiohttp
import asyncpg
from aio_pika.exceptions import AMQPError

from tests.demo.programs import StageFailed
from tests.demo.screen import Screen
from tests.demo.show import demo
from tests.demo.up import up
from tests.support.compose import ComposeFailed
from tests.support.services import ServicesUnavailable

_SERVICE_TROUBLE = (
    OSError,
    AMQPError,
    aiohttp.ClientError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
)
USAGE = "usage: python -m tests.demo [up]"
UNAVAILABLE = 2
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str]) -> int:
    """0 fine, 1 a fact failed, 2 the stage could not be set, 130 interrupted."""
    show = {(): demo, ("up",): up}.get(tuple(arguments))
    if show is None:
        print(USAGE, file=sys.stderr)
        return UNAVAILABLE
    try:
        return show(Screen())
    except (ServicesUnavailable, StageFailed, ComposeFailed, *_SERVICE_TROUBLE) as error:
        print(f"demo: {error or type(error).__name__}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
