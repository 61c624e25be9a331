"""`python -m tools.demo` and `python -m tools.demo up`."""

import signal
import sys

import aiohttp
import asyncpg
from aio_pika.exceptions import AMQPError

from tools.demo.screen import Screen
from tools.demo.show import demo
from tools.demo.up import up
from tools.errors import ToolError

_SERVICE_TROUBLE = (
    OSError,
    AMQPError,
    aiohttp.ClientError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
)
USAGE = "usage: python -m tools.demo [up]"
UNAVAILABLE = 2
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str]) -> int:
    """0 fine, 1 a fact failed, 2 the system did not start, 130 interrupted."""
    show = {(): demo, ("up",): up}.get(tuple(arguments))
    if show is None:
        print(USAGE, file=sys.stderr)
        return UNAVAILABLE
    try:
        return show(Screen())
    except (ToolError, *_SERVICE_TROUBLE) as error:
        command = arguments[0] if arguments else "demo"
        print(f"{command}: {str(error) or type(error).__name__}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
