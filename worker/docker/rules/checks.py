"""Decides on each request: how it is passed on, and what it counts as for its run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from worker.docker.rules import endpoints, go_json, targets
from worker.docker.rules.endpoints import Action, Found
from worker.docker.rules.host_access import HostAccess
from worker.docker.rules.marks import label, mark_build, mark_container
from worker.docker.rules.refused import Refused, bad_request
from worker.docker.rules.targets import Target
from worker.docker.runs import Runs
from worker.docker.scope import Scope

_BUILDS: Final = (Action.BUILD, Action.BUILDKIT)
_OF_CONTAINERS: Final = (Action.START, Action.CHANGE, Action.CREATE_EXEC)
"""Those that name a container in their path."""
# Clients of old habits send this with a start. The engine reads no more out of it than from none.
_EMPTY: Final = (b"", b"{}", b"null")


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request."""

    method: str
    target: bytes
    content_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request as it goes to the engine."""

    target: bytes
    body: bytes | None
    """None: as it comes from the client."""
    starts: bool = False
    builds: bool = False
    copies: bool = False
    upgrade: str | None = None
    """The protocol to which the engine may switch, if the client asks for it."""


class Checks:
    def __init__(self, runs: Runs, host_access: HostAccess) -> None:
        self._runs = runs
        self._host_access = host_access

    async def admit(
        self, asked: Asked, scope: Scope, read_body: Callable[[], Awaitable[bytes]]
    ) -> Admitted:
        """Raises Refused and ServiceUnavailable, and what `read_body` raises."""
        target = targets.parse(asked.target)
        found = endpoints.find(asked.method, target)
        if found.action is Action.PASS:
            return Admitted(asked.target, None, upgrade=found.upgrade)
        if found.action is Action.COPY:
            return Admitted(await self._copied(target, found, scope), None, copies=True)
        if any(_is_form(each) for each in asked.content_types):
            # The engine would take what the form says for parameters of the query.
            raise bad_request("a form is not supported here: send JSON or a tar archive")
        if found.action in _BUILDS:
            sent = asked.target
            if found.action is Action.BUILD:
                sent = f"{target.raw_path}?{mark_build(target.query, scope)}".encode("latin-1")
            return Admitted(sent, None, builds=True, upgrade=found.upgrade)
        # A body that arrives slowly must not keep the gate of its run from closing.
        body = await read_body()
        sent = asked.target
        if found.action in _OF_CONTAINERS:
            id_ = await self._own(scope, found.name)
            sent = _renamed(target, id_)
        body = await self._checked(found, scope, body)
        return Admitted(sent, body, starts=True, upgrade=found.upgrade)

    async def _copied(self, target: Target, found: Found, scope: Scope) -> bytes:
        """Of others, no files are copied: until that has ended, they could not be stopped."""
        if self._host_access.allowed:
            return _renamed(target, found.name)
        id_ = await self._runs.labeled(scope, found.name)
        if id_ is None:
            raise Refused(404, f"No such container of this run: {found.name[:100]}")
        return _renamed(target, id_)

    async def _checked(self, found: Found, scope: Scope, body: bytes) -> bytes:
        """The body as it goes to the engine."""
        match found.action:
            case Action.CREATE_CONTAINER:
                return await self._container(go_json.parse(body), scope)
            case Action.CREATE_NETWORK:
                config = go_json.parse(body)
                label(config, scope)
                return go_json.encode(config)
            case Action.CREATE_VOLUME:
                config = go_json.parse(body)
                self._host_access.check_volume(config.text("Driver"), config.nested("DriverOpts"))
                label(config, scope)
                return go_json.encode(config)
            case Action.START:
                if body.strip() not in _EMPTY:
                    raise bad_request("a start with a body is not supported: create takes it")
                return b""
            case Action.CREATE_EXEC:
                config = go_json.parse(body)
                self._host_access.check_exec(config)
                return go_json.encode(config)
            case Action.START_EXEC:
                container = await self._runs.container_of_exec(found.name)
                if container is not None:
                    await self._own(scope, container)
                return body
            case _:
                return body

    async def _container(self, config: go_json.Object, scope: Scope) -> bytes:
        host_config = config.nested("HostConfig")
        self._host_access.check_container(host_config)
        sources: list[go_json.Value] = []
        for source in host_config.entries("VolumesFrom"):
            if not isinstance(source, str):
                raise bad_request("VolumesFrom has an entry that is not a string")
            name, colon, mode = source.partition(":")
            sources.append(await self._own(scope, name) + colon + mode)
        if sources:
            host_config.put("VolumesFrom", sources)
        kind, colon, name = host_config.text("PidMode").partition(":")
        if colon and kind.casefold() == "container":  # it may be one in the host's namespace
            host_config.put("PidMode", f"container:{await self._own(scope, name)}")
        mark_container(config, host_config, scope)
        return go_json.encode(config)

    async def _own(self, scope: Scope, name: str) -> str:
        """The id of a container of the run, by which the engine is asked.

        Its name may be that of another container by the time the engine looks it up. Raises
        Refused if there is none of that name, or if it is not the run's.
        """
        if self._host_access.allowed:
            return name
        found = await self._runs.container(scope, name)
        if found is None:
            raise Refused(404, f"No such container: {name[:100]}")
        if found.is_own:
            return found.id
        raise Refused(
            403,
            f"container {name[:100]} was not started by this run: what runs in it could not "
            "be canceled with the run",
        )


def _renamed(target: Target, name: str) -> bytes:
    """The same request about a container of another name."""
    _, kind, _, verb = target.path.split("/")
    return target.with_path(f"/{kind}/{name}/{verb}").encode("latin-1")


def _is_form(content_type: str) -> bool:
    kind = content_type.casefold()
    return "x-www-form-urlencoded" in kind or "multipart/" in kind
