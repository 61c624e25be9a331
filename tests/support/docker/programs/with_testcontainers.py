"""A job that uses testcontainers, with Ryuk. Run as: `with_testcontainers.py MARK IMAGE`."""

import sys

from testcontainers.core import labels

MARK, IMAGE = sys.argv[1:3]
# Before the modules that take it from there: so Ryuk's container is named by the mark as well.
labels.SESSION_ID = MARK

from testcontainers.core.container import DockerContainer  # noqa: E402
from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: E402

container = (
    DockerContainer(IMAGE)
    .with_name(MARK)
    .with_env("TEST_MARK", MARK)
    .with_command(["sh", "-c", "echo ready; exec sleep 1000"])
    .waiting_for(LogMessageWaitStrategy("ready"))
)
with container:
    print("ready", flush=True)
    container.get_wrapped_container().wait()
