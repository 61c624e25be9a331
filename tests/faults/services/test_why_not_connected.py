"""The line with which a program gives up says what is wrong with a service's address, and soon."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from time import monotonic

import pytest
from yarl import URL

from tests.support.broker.broker_users import broker_with_users
from tests.support.network.certificates import self_signed
from tests.support.network.wrong_services import wrong_services
from tests.support.own_servers import skipped_if_unavailable
from tools.support.proxy import TcpProxy
from tools.support.system import System

GATEWAY = ("gateway", "serve", "--port", "0")
LIST = ("worker", "runs", "list")

MISTAKE, AWAY = 2, 1
"""Exit codes."""


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[dict[str, int]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed().write(tmp_path, "server"))
    async with wrong_services(context) as found:
        yield found


async def _last_line(
    system: System, arguments: tuple[str, ...], env: Mapping[str, str], within: float = 0.1
) -> tuple[int, str]:
    """Exit code and last line, which is neither a traceback nor has anything secret in it."""
    code, _, err = await system.cli(*arguments, env={"CANCEL_STARTUP_TIMEOUT": str(within), **env})
    assert "Traceback" not in err
    for url in (system.database_url, system.amqp_url):
        assert str(URL(url).password) not in err
    return code, err.splitlines()[-1]


async def _lines(
    system: System,
    arguments: tuple[str, ...],
    variable: str,
    urls: Mapping[str, str],
    within: float = 0.1,
    **env: str,
) -> dict[str, tuple[int, str]]:
    """Some at a time: each takes a processor for a while."""
    places = asyncio.Semaphore(4)

    async def one(url: str) -> tuple[int, str]:
        async with places:
            code, line = await _last_line(system, arguments, {**env, variable: url}, within)
        program = f"cancel-{arguments[0]}: "
        assert line.startswith(program), line
        return code, line.removeprefix(program)

    found = await asyncio.gather(*map(one, urls.values()))
    return dict(zip(urls, found, strict=True))


async def test_rabbitmq(system: System, ports: dict[str, int]) -> None:
    good = URL(system.amqp_url)
    tls = good.with_scheme("amqps").with_host("localhost")
    hung_up = (
        "it closed the connection during the handshake: is it RabbitMQ, and does it require TLS"
    )
    cases = {
        "no such vhost": (good.with_path("/nowhere"), "NOT_ALLOWED - vhost nowhere not found"),
        "wrong password": (good.with_password("hush"), "ACCESS_REFUSED - Login was refused"),
        "wrong user": (good.with_user("nobody-here"), "ACCESS_REFUSED - Login was refused"),
        "no such host": (good.with_host("nowhere.invalid"), "its host name cannot be resolved: "),
        "nobody listens": (good.with_host("localhost").with_port(1), "connection refused"),
        "amqps to a plain port": (good.with_scheme("amqps"), "this port does not use TLS"),
        "hangs up": (good.with_port(ports["hangs up"]), hung_up),
        "http": (good.with_port(ports["http"]), hung_up),
        "silent": (good.with_port(ports["silent"]), "no answer in time"),
        "silent, amqps": (tls.with_port(ports["silent"]), "no answer in time"),
        "amqp to a TLS port": (good.with_port(ports["tls"]), hung_up),
        "not trusted": (tls.with_port(ports["tls"]), "its certificate is not trusted: "),
    }

    urls = {name: str(url) for name, (url, _) in cases.items()}
    # Postgres has to answer in that time, too.
    lines = await _lines(system, GATEWAY, "AMQP_URL", urls, within=1)

    for name, (url, words) in cases.items():
        code, line = lines[name]
        assert code == AWAY, (name, line)
        shown = str(url.with_password("***"))
        assert line.startswith(f"cannot use RabbitMQ at {shown}: {words}"), name


async def test_a_vhost_that_a_user_may_not_enter(system: System) -> None:
    with skipped_if_unavailable(), broker_with_users() as broker:
        broker.ctl("add_vhost", "closed")
        url = str(URL(broker.url_of("worker")).with_path("/closed"))
        _, line = await _last_line(system, GATEWAY, {"AMQP_URL": url}, within=1)

    assert ": NOT_ALLOWED - access to vhost 'closed' refused for user 'worker'" in line


async def test_postgres(system: System, ports: dict[str, int]) -> None:
    good = URL(system.database_url)
    hung_up = "it closed the connection during the handshake: is it Postgres?"
    stranger = "it is not Postgres, or does not support TLS, which sslmode requires"
    cases = {
        "wrong password": (good.with_password("hush"), "password authentication failed for user "),
        "wrong user": (good.with_user("nobody-here"), "password authentication failed for user "),
        "no such database": (good.with_path("/nowhere"), 'database "nowhere" does not exist'),
        "no such host": (good.with_host("nowhere.invalid"), "its host name cannot be resolved: "),
        "nobody listens": (good.with_host("localhost").with_port(1), "connection refused"),
        "hangs up": (good.with_port(ports["hangs up"]), hung_up),
        "http": (good.with_port(ports["http"]), stranger),
        "http without TLS": (good.with_port(ports["http"]) % {"sslmode": "disable"}, hung_up),
        "silent": (good.with_port(ports["silent"]), "no answer in time"),
        "no TLS there": (good % {"sslmode": "require"}, stranger),
    }

    urls = {name: str(url) for name, (url, _) in cases.items()}
    lines = await _lines(system, LIST, "DATABASE_URL", urls)

    for name, (url, words) in cases.items():
        code, line = lines[name]
        assert code == AWAY, (name, line)
        shown = str(url.with_password("***"))
        assert line.startswith(f"cannot use Postgres at {shown}: {words}"), name


async def test_without_a_password_that_is_said(system: System) -> None:
    url = str(URL(system.database_url).with_password(None))

    _, line = await _last_line(system, LIST, {"DATABASE_URL": url})

    assert line.endswith("; DATABASE_URL has no password")


async def test_what_waiting_would_not_mend_is_said_at_once(system: System, tmp_path: Path) -> None:
    good, amqps = URL(system.database_url), URL(system.amqp_url).with_scheme("amqps")
    own = tmp_path / ".postgresql" / "postgresql.crt"
    own.mkdir(parents=True)
    missing = "/nowhere/f: No such file or directory"
    postgres: dict[str, object] = {
        f"cannot read sslrootcert={missing}": good
        % {"sslmode": "verify-ca", "sslrootcert": "/nowhere/f"},
        f"cannot read sslcert={missing}": good % {"sslcert": "/nowhere/f"},
        'unrecognized configuration parameter "conect_timeout": remove it': (
            good % {"conect_timeout": "10", "sslmode": "disable"}
        ),
        f"cannot read {own}: Is a directory; set HOME to ": good,
        "service ci: cannot read ": "postgresql:///?service=ci",
    }
    rabbitmq: dict[str, object] = {
        "parameter cafile is not supported: set CANCEL_AMQP_CA_FILE": amqps % {"cafile": "/f"}
    }
    patient = {"CANCEL_STARTUP_TIMEOUT": "600", "HOME": str(tmp_path)}

    for arguments, variable, cases in (
        (LIST, "DATABASE_URL", postgres),
        (("gateway", "serve"), "AMQP_URL", rabbitmq),
    ):
        home = patient if arguments == LIST else {"CANCEL_STARTUP_TIMEOUT": "600"}
        urls = {words: str(url) for words, url in cases.items()}
        for words, (code, line) in (
            await _lines(system, arguments, variable, urls, 0.1, **home)
        ).items():
            assert code == MISTAKE, line
            assert line.startswith(f"{variable}: {words}")


@pytest.mark.parametrize("where", ["silent", "closed"])
async def test_a_command_that_is_typed_gives_up_after_5_seconds(system: System, where: str) -> None:
    commands = {
        "worker hosts list": ("DATABASE_URL", system.database_url),
        "gateway tokens list": ("DATABASE_URL", system.database_url),
        "worker dead-letters replay --all": ("AMQP_URL", system.amqp_url),
    }

    async def one(line: str, variable: str, url: str) -> tuple[int, float, float]:
        """Exit code, and the seconds from its start and from the first sign of an attempt."""
        start, began = monotonic(), list[float]()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            began.append(monotonic())
            await reader.read()
            writer.close()

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1] if where == "silent" else 1
            environment = {
                **os.environ,
                **system.environment,
                variable: str(URL(url).with_port(port)),
            }
            environment.pop("CANCEL_STARTUP_TIMEOUT", None)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *line.split()),
                env=environment,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stderr is not None
            said = []
            async for line_of_log in process.stderr:
                began.append(monotonic())  # the first attempt at a closed port has failed
                said.append(line_of_log)
            assert b": cannot use " in said[-1]
            code, end = await process.wait(), monotonic()
            return code, end - start, end - began[0]

    for code, whole, trying in await asyncio.gather(*(one(it, *commands[it]) for it in commands)):
        assert code == AWAY
        assert whole > 4.5
        assert trying < 12  # without the imports, which take seconds on a busy machine


async def test_a_migration_waits_longer(system: System) -> None:
    postgres = TcpProxy(system.database_url)  # bound, and not listening
    migration = await system.program("worker", "migrate", DATABASE_URL=postgres.proxied)
    # The pauses before that many are 6.3 s.
    await migration.event("postgres_unreachable", count=7)

    await postgres.listen()

    assert await migration.process.wait() == 0
    await postgres.close()
