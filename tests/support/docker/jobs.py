"""Jobs that use a Docker engine, as people write them.

Each prints `ready` once the processes in its containers are up, and then goes on until it is
stopped. They ask the engine at DOCKER_HOST, or the default one.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.docker.marked import VARIABLE

IMAGE: Final = "python:3.13-slim"

_PROGRAMS: Final = Path(__file__).with_name("programs")

# For all scripts. What is behind the image are options of `docker run`.
_BEGIN: Final = f"""
mark=$1 image=$2 programs={_PROGRAMS}
shift 2
run() {{ docker run --name "$mark" --env {VARIABLE}="$mark" "$@"; }}
"""
# The engine's own output tells: what a container says is passed on.
_FOLLOW: Final = 'exec docker logs --follow "$mark"'
_READY: Final = "grep -qx ready"
_SLEEP: Final = "echo ready; exec sleep 1000"
_IGNORE: Final = "trap '' TERM INT HUP QUIT USR1 USR2"


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of job."""

    name: str
    script: str
    containers: int = 1
    """How many of them run when it is ready."""
    needs_ryuk: bool = False
    """Whether the engine must have its image (ryuk.py), and so one with Python."""

    def command(self, mark: str, image: str = IMAGE, options: Sequence[str] = ()) -> list[str]:
        """The command of a run. `options` are for each `docker run` or `docker create` of it."""
        return ["sh", "-euc", _BEGIN + self.script, self.name, mark, image, *options]


def _python(name: str) -> str:
    return f'exec {sys.executable} "$programs/{name}.py" "$mark" "$image"'


def _build(builder: str, ready: str) -> str:
    """A build that says that its RUN has begun by a line like `ready`, an expression of sed."""
    return f"""
printf 'FROM %s\\nENV {VARIABLE}=%s\\nRUN echo ready; sleep 1000\\n' "$image" "$mark" |
    {builder} --no-cache --network none --tag "$mark" - 2>&1 |
    sed -un -e 's/^{ready}$/ready/p;t' -e 'w /dev/stderr'
"""


def _compose(goes_on: str) -> str:
    return f"""
export {VARIABLE}="$mark" TEST_IMAGE="$image"
compose="docker compose --project-name $mark --file $programs/compose.yaml"
$compose up --detach --wait >&2
echo ready
exec $compose {goes_on}
"""


RUN: Final = Job("run", f'run --rm "$@" "$image" sh -c \'{_SLEEP}\'')
"""Process 1 has no handler: what is sent to it from within or by the engine is ignored."""
DETACHED: Final = Job("detached", f'run --detach "$@" "$image" sh -c \'{_SLEEP}\' >&2\n{_FOLLOW}')
DEAF: Final = Job("deaf", f'run --rm "$@" "$image" sh -c "{_IGNORE}; {_SLEEP}"')
TERMINAL: Final = Job(
    "terminal",
    f"""
export mark image options="$*"
script --quiet --return --flush --command '
    docker run --rm --tty --name "$mark" --env {VARIABLE}="$mark" $options \\
        "$image" sh -c "{_SLEEP}"' /dev/null | sed -u 's/\\r*$//'
""",
)
PAUSED: Final = Job(
    "paused",
    f"""
run --detach "$@" "$image" sh -c '{_SLEEP}' >&2
docker logs --follow "$mark" | {{
    {_READY} -m 1
    docker pause "$mark" >&2
    echo ready
    exec docker wait "$mark"
}}
""",
)
OWN_SIGNAL: Final = Job(
    "own_signal",
    f"""
run --detach --stop-signal SIGINT "$@" "$image" sh -c '
    trap "" TERM
    trap "exit 7" INT
    echo ready
    while :; do sleep 1000 & wait; done' >&2
{_FOLLOW}
""",
)
"""Obeys the stop signal that its container has, and no other, with exit code 7."""
EXECUTED: Final = Job(
    "executed",
    f"""
run --detach "$@" "$image" sh -c "{_IGNORE}; exec sleep 1000" >&2
docker exec --detach "$mark" sh -c "{_IGNORE}; echo ready >/proc/1/fd/1; exec sleep 1000"
{_FOLLOW}
""",
)
"""Nothing in it can be asked to end; one process is not of the container's own tree."""
STARTED_LATER: Final = Job(
    "started_later",
    f"""
docker create --name "$mark" --env {VARIABLE}="$mark" "$@" "$image" sh -c '{_SLEEP}' >&2
docker start "$mark" >&2
{_FOLLOW}
""",
)
CREATED: Final = Job(
    "created",
    f"""
docker create --name "$mark" --env {VARIABLE}="$mark" "$@" "$image" sleep 1000 >&2
echo ready
exec sleep 1000
""",
    containers=0,
)
"""Its container is never started: there is something to remove, and nothing to kill."""
RESTARTED: Final = Job(
    "restarted", f'run --detach --restart always "$@" "$image" sh -c \'{_SLEEP}\' >&2\n{_FOLLOW}'
)
RESTARTED_IF_KILLED: Final = Job(
    "restarted_if_killed",
    f'run --detach --restart on-failure "$@" "$image" sh -c \'{_SLEEP}\' >&2\n{_FOLLOW}',
)
"""The engine starts it again only after it was killed."""
COMPOSE: Final = Job("compose", _compose("logs --follow"), containers=2)
"""Two services, one of them `restart: always`; a network, a named and an anonymous volume."""
COMPOSE_UP: Final = Job("compose_up", _compose("up"), containers=2)
"""The same in the foreground: a stop signal has compose stop its containers itself."""
SDK: Final = Job("sdk", _python("sdk"))
TESTCONTAINERS: Final = Job(
    "testcontainers", _python("with_testcontainers"), containers=2, needs_ryuk=True
)
"""With Ryuk, which has an image of its own: see ryuk.py."""
CLASSIC_BUILD: Final = Job("classic_build", _build("DOCKER_BUILDKIT=0 docker build", "ready"))
BUILDKIT_BUILD: Final = Job(
    "buildkit_build",
    _build("DOCKER_BUILDKIT=1 docker build --progress plain", r"#[0-9]* [0-9.]* ready"),
    containers=0,
)
"""Its RUN is no container that the engine's API knows."""
RACING: Final = Job(
    "racing",
    f"""
echo ready
for number in 1 2 3 4 5 6; do
    docker run --detach --name "$mark-$number" --env {VARIABLE}="$mark" "$@" \\
        "$image" sleep 1000 >&2 &
done
wait
exec sleep 1000
""",
    containers=0,
)
"""Ready before it starts anything, so that a cancel comes in between: six containers at once."""

JOBS: Final = (
    RUN,
    DETACHED,
    DEAF,
    TERMINAL,
    PAUSED,
    OWN_SIGNAL,
    EXECUTED,
    STARTED_LATER,
    CREATED,
    RESTARTED,
    RESTARTED_IF_KILLED,
    COMPOSE,
    COMPOSE_UP,
    SDK,
    TESTCONTAINERS,
    CLASSIC_BUILD,
    BUILDKIT_BUILD,
    RACING,
)
