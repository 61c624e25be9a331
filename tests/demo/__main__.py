"""`python -m tests.demo` and `python -m tests.demo up`."""

import signal
import sys

from tests.demo.programs import StageFailed
from tests.demo.screen import Screen
from tests.demo.show import demo
from tests.demo.up import up
from tests.support.services import ServicesUnavailable

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
    except (ServicesUnavailable, StageFailed) as error:
        print(f"demo: {error}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
