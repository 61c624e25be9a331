"""Checks local files and names before connecting, because waiting does not fix them.

Every function raises ValueError with the problem. Files are loaded as the library loads them, so
that files that pass here pass there.
"""

import configparser
import getpass
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.configuration.postgres_url import PostgresUrl
from shared.services.named_file import NamedFile
from shared.services.tls_files import load_own, load_trusted

_VERIFYING: Final = ("verify-ca", "verify-full")
_CHECKING: Final = ("require", *_VERIFYING)
_TRUSTED: Final = {
    "sslrootcert": ("root.crt", "certificate"),
    "sslcrl": ("root.crl", "revocation list"),
}
"""Parameter, the file at its default path, and what is in it."""
_OWN_HOME: Final = "set HOME to the home directory of the user who runs this program"


def check_for_postgres(url: PostgresUrl) -> None:
    """Check the user's name, the service file, and the files for TLS, as asyncpg 0.32 does."""
    if service := url.parameters.get("service"):
        _check_service(service)
    elif not (url.user or os.environ.get("PGUSER")):
        _check_own_name()
    mode = url.parameters.get("sslmode") or os.environ.get("PGSSLMODE")
    only_sockets = bool(url.hosts) and all(host.is_socket for host in url.hosts)
    if mode == "disable" or (mode is None and only_sockets):
        return
    _check_tls_for_postgres(url.parameters, mode)


def key_file(url: PostgresUrl) -> NamedFile | None:
    """The private key that a parameter or variable names; None if none does."""
    path = _named(url.parameters, "sslkey")
    return NamedFile(path, "sslkey") if path else None


def why_no_login(url: PostgresUrl, *, from_file: bool) -> str:
    """A hint for a refused login; empty if nothing here explains it.

    `from_file`: the password was read from DATABASE_PASSWORD_FILE.
    """
    if _named(url.parameters, "sslcert"):
        # With clientcert=verify-full, Postgres does not say what was wrong.
        return "; is the certificate in sslcert for this user?"
    return "" if from_file else _no_password(url)


def _no_password(url: PostgresUrl) -> str:
    if url.has_password or "PGPASSWORD" in os.environ or "service" in url.parameters:
        return ""
    named = url.parameters.get("passfile") or os.environ.get("PGPASSFILE")
    if not named:
        return "; DATABASE_URL has no password"
    try:
        with Path(named).open() as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                return f"; the password file {named} must be readable by its owner alone"
    except OSError as error:
        return f"; cannot read the password file {named}: {error.strerror}"
    return f"; DATABASE_URL has no password, and {named} has no entry for it"


def _check_own_name() -> None:
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise ValueError(
            f"must name a user: uid {os.getuid()} has no user name on this machine"
        ) from None


def _check_service(service: str) -> None:
    # If asyncpg does not find the service, it connects to the default host.
    home = _home()
    named = os.environ.get("PGSERVICEFILE")
    path = Path(named) if named else home and home / ".pg_service.conf"
    if path is None:
        raise ValueError(f"service {service}: no service file found; set PGSERVICEFILE")
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text())
        known = service in parser and dict(parser[service])
    except OSError as error:
        raise ValueError(f"service {service}: cannot read {path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError):
        raise ValueError(f"service {service}: {path} is not a service file") from None
    if not known:
        raise ValueError(f"service {service} is not in {path}")


def _check_tls_for_postgres(parameters: Mapping[str, str], mode: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    home = _home()
    own = home / ".postgresql" if home else None
    for name, (usual, what) in _TRUSTED.items():
        if mode not in _CHECKING:
            if name in parameters and "service" not in parameters:
                raise ValueError(
                    f"{name} has no effect with sslmode={mode or 'prefer'}: set sslmode=verify-full"
                )
        elif path := _named(parameters, name):
            load_trusted(context, NamedFile(path, name), what)
        elif own and _is_there(own / usual):
            load_trusted(context, NamedFile(own / usual, hint=_OWN_HOME), what)
    needs_own = mode in _VERIFYING and not _named(parameters, "sslrootcert")
    if needs_own and not (own and _is_there(own / "root.crt")):
        where = f", or copy it to {own / 'root.crt'}" if own else ""
        raise ValueError(f"sslmode={mode} needs a CA certificate: set sslrootcert{where}")
    key = _key(_named(parameters, "sslkey"), own)
    passphrase = parameters.get("sslpassword", "")
    if cert := _named(parameters, "sslcert"):
        load_own(context, NamedFile(cert, "sslcert"), key, passphrase)
    elif own and _is_there(own / "postgresql.crt"):
        load_own(context, NamedFile(own / "postgresql.crt", hint=_OWN_HOME), key, passphrase)


def _named(parameters: Mapping[str, str], name: str) -> str | None:
    return parameters.get(name) or os.environ.get(f"PG{name.upper()}")


def _key(path: str | None, own: Path | None) -> NamedFile | None:
    if path:
        return NamedFile(path, "sslkey")
    usual = own / "postgresql.key" if own else None
    return NamedFile(usual, hint=_OWN_HOME) if usual and _is_there(usual) else None


def _is_there(path: Path) -> bool:
    """Whether there is a file at its default path. asyncpg fails if that cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ValueError(
            f"cannot read the directory {path.parent}: {error.strerror}; {_OWN_HOME}"
        ) from None
    return True


def _home() -> Path | None:
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return None
