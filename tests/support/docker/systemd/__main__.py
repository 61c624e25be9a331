"""Run a command on a machine with systemd whose Docker engine has the systemd driver.

    python -m tests.support.docker.systemd [--load IMAGE]… [--env NAME=VALUE]… -- COMMAND…

Boots the machine in a container, runs the command there in this repository, takes it down, and
exits with the command's code. Needs an engine that grants the rights, and the network for apt the
first time.
"""

import argparse
import asyncio
import subprocess
import sys

from tests.support.docker.systemd.machine import booted, build


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.docker.systemd")
    parser.add_argument("--load", action="append", default=[], help="an image that it gets too")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    env = dict(given.split("=", 1) for given in options.env)
    build()
    with booted() as machine:
        asyncio.run(machine.until_ready())
        for image in options.load:
            machine.load(image)
        return subprocess.run(machine.command(*options.command, env=env), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
