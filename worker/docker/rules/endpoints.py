"""The endpoints of the engine's API, and what a request to each of them can do."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from worker.docker.rules.refused import Refused
from worker.docker.rules.targets import Target


class Action(StrEnum):
    """What a request does, as far as it matters to a run."""

    PASS = "pass"
    """Starts nothing."""
    CREATE_CONTAINER = "create_container"
    CREATE_NETWORK = "create_network"
    CREATE_VOLUME = "create_volume"
    START = "start"
    CHANGE = "change"
    """Restart, pause, unpause, update or rename a container.

    A name that changes its container between our look and the engine would lead to another."""
    CREATE_EXEC = "create_exec"
    START_EXEC = "start_exec"
    COPY = "copy"
    """Copy files from or to a container: the engine answers nothing about it meanwhile."""
    BUILD = "build"
    BUILDKIT = "buildkit"
    """A connection that BuildKit's protocols go over."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    """`{id}` is one segment, `{name}` is one or more."""
    action: Action = Action.PASS
    upgrade: str | None = None
    """The protocol to which the engine may switch."""


# GET and HEAD pass, these too where nothing else is said; whatever is not here is refused. The
# endpoints of swarm (swarm, services, nodes, secrets, configs) are left out, as what they start
# belongs to no run, and so are plugins.
ENDPOINTS: Final = (
    Endpoint("GET", "/containers/{id}/attach/ws", upgrade="websocket"),
    Endpoint("POST", "/auth"),
    Endpoint("POST", "/commit"),
    Endpoint("POST", "/containers/create", Action.CREATE_CONTAINER),
    Endpoint("POST", "/containers/prune"),
    Endpoint("POST", "/containers/{id}/attach", upgrade="tcp"),
    Endpoint("POST", "/containers/{id}/checkpoints"),
    Endpoint("DELETE", "/containers/{id}/checkpoints/{id}"),
    Endpoint("POST", "/containers/{id}/copy", Action.COPY),
    Endpoint("POST", "/containers/{id}/exec", Action.CREATE_EXEC),
    Endpoint("POST", "/containers/{id}/kill"),
    Endpoint("POST", "/containers/{id}/pause", Action.CHANGE),
    Endpoint("POST", "/containers/{id}/rename", Action.CHANGE),
    Endpoint("POST", "/containers/{id}/resize"),
    Endpoint("POST", "/containers/{id}/restart", Action.CHANGE),
    Endpoint("POST", "/containers/{id}/start", Action.START),
    Endpoint("POST", "/containers/{id}/stop"),
    Endpoint("POST", "/containers/{id}/unpause", Action.CHANGE),
    Endpoint("POST", "/containers/{id}/update", Action.CHANGE),
    Endpoint("POST", "/containers/{id}/wait"),
    Endpoint("GET", "/containers/{id}/archive", Action.COPY),
    Endpoint("HEAD", "/containers/{id}/archive", Action.COPY),
    Endpoint("PUT", "/containers/{id}/archive", Action.COPY),
    Endpoint("DELETE", "/containers/{id}"),
    Endpoint("POST", "/exec/{id}/resize"),
    Endpoint("POST", "/exec/{id}/start", Action.START_EXEC, upgrade="tcp"),
    Endpoint("POST", "/build", Action.BUILD),
    Endpoint("POST", "/build/cancel"),
    Endpoint("POST", "/build/prune"),
    Endpoint("POST", "/session", Action.BUILDKIT, upgrade="h2c"),
    Endpoint("POST", "/grpc", Action.BUILDKIT, upgrade="h2c"),
    Endpoint("POST", "/images/create"),
    Endpoint("POST", "/images/load"),
    Endpoint("POST", "/images/prune"),
    Endpoint("POST", "/images/{name}/push"),
    Endpoint("POST", "/images/{name}/tag"),
    Endpoint("DELETE", "/images/{name}"),
    Endpoint("POST", "/networks/create", Action.CREATE_NETWORK),
    Endpoint("POST", "/networks/prune"),
    Endpoint("POST", "/networks/{id}/connect"),
    Endpoint("POST", "/networks/{id}/disconnect"),
    Endpoint("DELETE", "/networks/{id}"),
    Endpoint("POST", "/volumes/create", Action.CREATE_VOLUME),
    Endpoint("POST", "/volumes/prune"),
    Endpoint("DELETE", "/volumes/{id}"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The endpoint of a request, and the `{id}` in its path."""

    action: Action
    upgrade: str | None
    name: str


def find(method: str, target: Target) -> Found:
    """Raises Refused for an endpoint that might start something, as far as we know."""
    for endpoint, pattern in _PATTERNS:
        if endpoint.method == method and (match := pattern.fullmatch(target.path)):
            name = match[1] if pattern.groups else ""
            return Found(endpoint.action, endpoint.upgrade, name)
    if method in ("GET", "HEAD"):
        return Found(Action.PASS, None, "")
    raise Refused(
        403,
        f"{method} {target.path[:200]} is not supported through this socket: what it starts could "
        "not be canceled with the run",
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(path.replace("{id}", "([^/]+)").replace("{name}", "(.+)"))


_PATTERNS: Final = tuple((each, _pattern(each.path)) for each in ENDPOINTS)
