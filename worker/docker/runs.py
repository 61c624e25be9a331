"""What the Docker socket asks of the worker: whose a connection is, and what it may start."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from worker.docker.scope import Scope


@dataclass(frozen=True, slots=True)
class Named:
    """The container that has a name now; another one may have it later."""

    id: str
    is_own: bool
    """Whether it is the run's."""


class Runs(Protocol):
    async def of_peer(self, connection: socket.socket) -> Scope:
        """The run that the process at the other end belongs to.

        Raises NotAllowed for a process outside of every run, and ServiceUnavailable.
        """

    def starting(self, scope: Scope) -> AbstractAsyncContextManager[None]:
        """Around a request that starts something, until the engine has answered.

        Raises GateClosed and ServiceUnavailable when it is entered.
        """

    def building(self, scope: Scope, cut: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Around a connection over which images are built; `cut` closes it. Raises likewise."""

    def copying(self, scope: Scope, cut: Callable[[], None]) -> AbstractContextManager[None]:
        """Around a request that copies files; `cut` closes the connection. Raises GateClosed."""

    async def labeled(self, scope: Scope, name: str) -> str | None:
        """The id of the run's container of this name or id, as its label tells; None if none is.

        Answered also while files are copied. Raises ServiceUnavailable.
        """

    async def container(self, scope: Scope, name: str) -> "Named | None":
        """The container of this name or id; None if there is none. Raises ServiceUnavailable."""

    async def container_of_exec(self, exec_id: str) -> str | None:
        """The container of an exec; None if there is none. Raises ServiceUnavailable."""
