"""RabbitMQ and Postgres that speak TLS and ask for a client certificate, with a private CA."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from yarl import URL

from tests.support.network.certificates import Authority, Pair
from tests.support.own_servers import skipped_if_unavailable
from tools.services import PrivatePostgres, PrivateRabbit, Sandbox, Services
from tools.support.waiting import eventually

USER: Final = "ci"
"""Of both servers, and the name in the client certificate."""
_EXTERNAL: Final = "rabbitmq_auth_mechanism_ssl"
"""Plugin by which a client certificate is enough to log in."""
_ADD_USER: Final = f"""
rabbit:await_startup(),
ok = rabbit_auth_backend_internal:add_user(<<"{USER}">>, <<"not known yet">>, <<"tests">>),
rabbit_auth_backend_internal:set_permissions(
    <<"{USER}">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).
"""
_HBA: Final = f"""
hostssl all {USER} 127.0.0.1/32 scram-sha-256 clientcert=verify-full
host all run_cancel 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class TlsServers:
    """Both are at localhost. The user of tests needs no certificate: it checks what happens."""

    rabbit: PrivateRabbit
    postgres: PrivatePostgres
    amqps_port: int
    _directory: Path

    @property
    def services(self) -> Services:
        """Their URLs for tests, without TLS."""
        return Services(self.postgres.url, self.rabbit.url, "private servers with TLS")

    @property
    def amqp_url(self) -> URL:
        """Without a password."""
        return URL(f"amqps://{USER}@localhost:{self.amqps_port}/")

    def database_url(self, name: str = "postgres") -> URL:
        """Without a password and parameters."""
        return URL(f"postgresql://{USER}@localhost:{self.postgres.port}/{name}")

    async def present(self, pair: Pair, trust: Authority | None = None) -> None:
        """Have both servers present another certificate to new connections.

        With `trust`, they also accept only client certificates of this CA.
        """
        for name in ("rabbit", "postgres"):
            _overwrite(self._directory / f"{name}.pem", pair.certificate)
            _overwrite(self._directory / f"{name}.key", pair.key)
        if trust is not None:
            _overwrite(self._directory / "ca.pem", trust.certificate)
        await asyncio.gather(
            asyncio.to_thread(self.rabbit.ctl, "eval", "ssl:clear_pem_cache()."),
            self._reload_postgres(),
        )

    async def set_password(self, password: str) -> None:
        """Change the user's password on both servers. Sessions go on."""
        await asyncio.to_thread(self.rabbit.ctl, "change_password", USER, password)
        await self._execute(f"ALTER ROLE {USER} PASSWORD '{password}'")

    async def end_sessions(self) -> None:
        """End all connections of the user."""
        await asyncio.gather(
            asyncio.to_thread(self.rabbit.ctl, "close_all_user_connections", USER, "ended"),
            self._execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'ci'"
            ),
        )

    async def _reload_postgres(self) -> None:
        admin = await asyncpg.connect(self.postgres.url)
        before = await admin.fetchval("SELECT pg_conf_load_time()")
        await admin.execute("SELECT pg_reload_conf()")
        await eventually(
            lambda: admin.fetchval("SELECT pg_conf_load_time()"), lambda time: time != before
        )
        await admin.close()

    async def _execute(self, *statements: str) -> None:
        admin = await asyncpg.connect(self.postgres.url)
        for statement in statements:
            await admin.execute(statement)
        await admin.close()

    async def prepare(self) -> None:
        """Turn TLS on in Postgres, and make the user of both servers."""
        files = {
            "ssl_ca_file": "ca.pem",
            "ssl_cert_file": "postgres.pem",
            "ssl_key_file": "postgres.key",
        }
        await self._execute(
            *(f"ALTER SYSTEM SET {key} = '{self._directory / it}'" for key, it in files.items()),
            "ALTER SYSTEM SET ssl = on",
            f"CREATE ROLE {USER} SUPERUSER LOGIN",
        )
        await self._reload_postgres()
        # At once: each call starts an Erlang machine, which takes seconds of a busy processor.
        await asyncio.to_thread(self.rabbit.ctl, "eval", _ADD_USER)


@contextmanager
def tls_servers() -> Iterator[TlsServers]:
    """Start both; `prepare` does the rest."""
    with Sandbox() as sandbox:
        directory = sandbox.path / "tls"
        directory.mkdir()
        directory.chmod(0o755)
        port = sandbox.reserve_port()
        with skipped_if_unavailable():
            postgres = PrivatePostgres(sandbox, fsync=False)
            rabbit = PrivateRabbit(
                sandbox,
                configuration=_rabbit_configuration(port, directory),
                plugins=(_EXTERNAL,),
            )
        authority = Authority()
        pair = authority.issue()
        (directory / "ca.pem").write_bytes(authority.certificate)
        pair.write(directory, "rabbit")
        rabbit.launch()
        postgres.start()
        data = sandbox.path / "postgres" / "data"
        owner = data.stat()
        pair.write(directory, "postgres").chown(owner.st_uid, owner.st_gid)
        (data / "pg_hba.conf").write_text(_HBA)
        rabbit.wait_ready()
        yield TlsServers(rabbit, postgres, port, directory)


def _overwrite(path: Path, content: bytes) -> None:
    """Not by a new file, as this one's owner and mode stay."""
    with path.open("r+b") as file:
        file.truncate()
        file.write(content)


def _rabbit_configuration(port: int, directory: Path) -> str:
    return (
        f"listeners.ssl.private = 127.0.0.1:{port}\n"
        f"ssl_options.cacertfile = {directory / 'ca.pem'}\n"
        f"ssl_options.certfile = {directory / 'rabbit.pem'}\n"
        f"ssl_options.keyfile = {directory / 'rabbit.key'}\n"
        "ssl_options.verify = verify_peer\n"
        "ssl_options.fail_if_no_peer_cert = true\n"
        "auth_mechanisms.1 = PLAIN\n"
        "auth_mechanisms.2 = EXTERNAL\n"
        "ssl_cert_login_from = common_name\n"
    )
