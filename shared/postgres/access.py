"""What a connection to Postgres needs beside DATABASE_URL: the password and the files for TLS."""

from shared.configuration.postgres_url import parse
from shared.configuration.settings import DatabaseSettings
from shared.errors import InvalidSettings
from shared.services import local_files
from shared.services.named_file import NamedFile
from shared.services.secret_files import read_password, warn_if_others_may_read


class Access:
    def __init__(self, settings: DatabaseSettings) -> None:
        path = settings.database_password_file
        self.url = parse(settings.database_url.get_secret_value())
        self._password_file = None if path is None else NamedFile(path, "DATABASE_PASSWORD_FILE")

    def check_files(self) -> None:
        """Check the files that connections need, when a program starts.

        Raises InvalidSettings with the file that cannot be used. Logs a warning for each file with
        a secret that others may read.
        """
        self._read()
        for file in (self._password_file, local_files.key_file(self.url)):
            if file is not None:
                warn_if_others_may_read(file)

    def read(self) -> dict[str, str]:
        """The options for asyncpg that are in files, as these are now.

        Raises ConnectionError if one cannot be used. It could be at the start, so it is being
        replaced. asyncpg reads the files for TLS itself, again for each connection, but does not
        say which one it cannot use.
        """
        try:
            return self._read()
        except InvalidSettings as error:
            raise ConnectionError(str(error)) from None

    def why_no_login(self) -> str:
        """A hint for a refused login; empty if nothing here explains it."""
        return local_files.why_no_login(self.url, from_file=self._password_file is not None)

    def _read(self) -> dict[str, str]:
        try:
            local_files.check_for_postgres(self.url)
        except ValueError as error:
            raise InvalidSettings(f"DATABASE_URL: {error}") from None
        if self._password_file is None:
            return {}
        try:
            return {"password": read_password(self._password_file)}
        except ValueError as error:
            raise InvalidSettings(str(error)) from None
