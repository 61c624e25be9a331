"""Chooses where Postgres and RabbitMQ come from.

First that applies: DATABASE_URL and AMQP_URL, a reachable Docker engine, private native servers,
private native servers after an installation by apt. SERVICES=containers or SERVICES=native asks
for one of them and accepts no other. Servers on default ports are never used unasked.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tools.services.containers import servers as containers
from tools.services.containers.engine import EngineUnreachable
from tools.services.model import Rung, Services, ServicesUnavailable
from tools.services.native import apt, servers
from tools.services.signals import terminated_as_exit

INSTALL_HINT = (
    "install PostgreSQL 15 or newer and RabbitMQ 3.10 or newer "
    "(Debian, Ubuntu: apt-get install postgresql rabbitmq-server), start Docker, "
    "or set DATABASE_URL and AMQP_URL"
)

Say = Callable[[str], None]


def say_on_stderr(line: str) -> None:
    """Print one line about the services on stderr."""
    print(f"services: {line}", file=sys.stderr, flush=True)


@contextmanager
def provide(say: Say = say_on_stderr) -> Iterator[Services]:
    """Provide both services for the length of the block, and tell ``say`` where they are from.

    Whatever was started is ended and removed at the end of the block, on SIGINT and on SIGTERM;
    private servers also when this process is killed. Raises ServicesUnavailable, with one line
    that says what to do, or ServerFailed, with the last log lines of a server.
    """
    forced = forced_rung(os.environ)
    with terminated_as_exit(), ExitStack() as stack:
        services = _enter_rung(stack, forced, say)
        say(services.origin)
        yield services


def forced_rung(environment: Mapping[str, str]) -> Rung | None:
    """Return the rung that SERVICES asks for. Raises ServicesUnavailable if there is no such."""
    name = environment.get("SERVICES", "")
    if not name:
        return None
    try:
        return Rung(name)
    except ValueError:
        known = " or ".join(Rung)
        raise ServicesUnavailable(f"SERVICES must be {known}, not {name!r}") from None


def from_environment(environment: Mapping[str, str]) -> Services | None:
    """Return the services that the caller brings along, None if it brings none.

    Raises ServicesUnavailable if only one of the two URLs is set.
    """
    urls = {name: environment.get(name, "") for name in ("DATABASE_URL", "AMQP_URL")}
    given = [name for name, url in urls.items() if url]
    if not given:
        return None
    if len(given) == 1:
        (missing,) = urls.keys() - set(given)
        raise ServicesUnavailable(
            f"{given[0]} is set but {missing} is not: set both, or neither to have them provided"
        )
    return Services(
        database_url=urls["DATABASE_URL"], amqp_url=urls["AMQP_URL"], origin="environment"
    )


def _enter_rung(stack: ExitStack, forced: Rung | None, say: Say) -> Services:
    """Enter the first rung that applies; ``stack`` leaves it again."""
    match forced:
        case Rung.CONTAINERS:
            return stack.enter_context(containers.running_containers(say))
        case Rung.NATIVE:
            return stack.enter_context(_native_servers(say))
    if services := from_environment(os.environ):
        return services
    try:
        return stack.enter_context(containers.running_containers(say))
    except EngineUnreachable:
        pass  # nothing unusual: most machines have none
    except ServicesUnavailable as error:
        say(f"{error}; continuing with private native servers")
    return stack.enter_context(_native_servers(say))


@contextmanager
def _native_servers(say: Say) -> Iterator[Services]:
    if missing := servers.missing_packages():
        if not apt.can_install():
            raise ServicesUnavailable(f"no {' and no '.join(missing)} here: {INSTALL_HINT}")
        apt.install(missing, say)
    with servers.private_servers() as services:
        yield services
