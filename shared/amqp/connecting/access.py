"""What a connection to RabbitMQ needs beside AMQP_URL: the password and the context for TLS."""

import asyncio
import ssl
from dataclasses import dataclass, field

from yarl import URL

from shared.amqp.connecting import tls
from shared.configuration.settings import ServiceSettings
from shared.errors import InvalidSettings
from shared.services.named_file import NamedFile
from shared.services.secret_files import read_password, warn_if_others_may_read


@dataclass(frozen=True, slots=True)
class Access:
    context: ssl.SSLContext | None
    """None without TLS."""
    password: str | None = field(repr=False)
    """None if it is in the URL."""

    def of(self, url: URL) -> URL:
        """`url` with the password."""
        return url if self.password is None else url.with_password(self.password)


def check_files(settings: ServiceSettings) -> None:
    """Check the files that connections to RabbitMQ need, when a program starts.

    Raises InvalidSettings with the file that cannot be used. Logs a warning for each file with a
    secret that others may read.
    """
    _read(settings)
    for file in (_password_file(settings), tls.key_file(settings)):
        if file is not None:
            warn_if_others_may_read(file)


async def read_access(settings: ServiceSettings) -> Access:
    """Read the files as they are now, for one connection.

    Raises ConnectionError if one cannot be used. It could be at the start, so it is being replaced.
    """
    try:
        # Loading the certificates of the system takes some 20 ms.
        return await asyncio.to_thread(_read, settings)
    except InvalidSettings as error:
        raise ConnectionError(str(error)) from None


def _read(settings: ServiceSettings) -> Access:
    file = _password_file(settings)
    try:
        return Access(
            tls.context(settings) if settings.broker.uses_tls else None,
            None if file is None else read_password(file),
        )
    except ValueError as error:
        raise InvalidSettings(str(error)) from None


def _password_file(settings: ServiceSettings) -> NamedFile | None:
    path = settings.amqp_password_file
    return None if path is None else NamedFile(path, "AMQP_PASSWORD_FILE")
