"""A system whose programs reach RabbitMQ and Postgres by TLS, with files that may be renewed."""

from copy import copy
from pathlib import Path
from urllib.parse import urlencode

from yarl import URL

from tests.support.network.certificates import Authority, Files, replace
from tests.support.network.tls_servers import USER, TlsServers
from tools.support.system import System


class TlsSystem(System):
    """Tests themselves reach both without TLS."""

    def __init__(self, servers: TlsServers, database_url: str, directory: Path) -> None:
        super().__init__(database_url, servers.services.amqp_url, directory)
        self.servers = servers
        self.ca = directory / "ca.pem"
        self.own = Files(directory / "client.pem", directory / "client.key")
        self.password_file = directory / "password"
        self._changes: dict[str, str | None] = {}

    def but(self, **changes: str | None) -> "TlsSystem":
        """This one with other variables for its programs; None removes one."""
        other = copy(self)
        other._changes = changes
        return other

    @property
    def database_parameters(self) -> dict[str, str]:
        """Of DATABASE_URL."""
        return {
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca),
            "sslcert": str(self.own.certificate),
            "sslkey": str(self.own.key),
        }

    @property
    def environment(self) -> dict[str, str]:
        variables = {
            **super().environment,
            "DATABASE_URL": self.tls_database_url(**self.database_parameters),
            "DATABASE_PASSWORD_FILE": str(self.password_file),
            "AMQP_URL": str(self.servers.amqp_url),
            "AMQP_PASSWORD_FILE": str(self.password_file),
            "CANCEL_AMQP_CA_FILE": str(self.ca),
            "CANCEL_AMQP_CERT_FILE": str(self.own.certificate),
            "CANCEL_AMQP_KEY_FILE": str(self.own.key),
            **self._changes,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def tls_database_url(self, host: str = "localhost", **parameters: str) -> str:
        name = URL(self.database_url).path[1:]
        return f"{self.servers.database_url(name).with_host(host)}?{urlencode(parameters)}"

    async def renew_servers(self, authority: Authority) -> None:
        """Have the servers use certificates of this CA, and accept only such."""
        await self.servers.present(authority.issue(), trust=authority)

    def renew_files(self, authority: Authority) -> None:
        """The same for our files."""
        replace(self.ca, authority.certificate)
        authority.issue(USER, hosts=(USER,)).write(self.directory, "client")
