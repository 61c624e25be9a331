"""A job that uses the Docker SDK. Run as a script: `sdk.py MARK IMAGE`."""

import sys

import docker

MARK, IMAGE = sys.argv[1:3]

container = docker.from_env().containers.run(
    IMAGE,
    ["sh", "-c", "echo ready; exec sleep 1000"],
    name=MARK,
    environment={"TEST_MARK": MARK},
    detach=True,
)
for line in container.logs(stream=True, follow=True):
    print(line.decode(), end="", flush=True)
