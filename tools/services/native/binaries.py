"""Finds the server programs on the machine."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

POSTGRES_DIRECTORIES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
)
# Debian's /usr/sbin/rabbitmq-server is not among them: it is a wrapper that switches the user.
RABBIT_SCRIPTS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/home/linuxbrew/.linuxbrew/opt/rabbitmq/sbin/rabbitmq-server",
)
OLDEST_POSTGRES = 15


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """A directory that holds both initdb and postgres, and its major version."""

    directory: Path
    major: int


@dataclass(frozen=True, slots=True)
class RabbitPrograms:
    """The script that starts the broker, and Erlang's port mapper."""

    server: Path
    epmd: Path


def find_program(name: str) -> Path | None:
    """A program, also where Debian has servers and the path of most users does not lead."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def find_postgres(root: Path = Path("/"), path: str | None = None) -> PostgresPrograms | None:
    """Return the newest PostgreSQL (15 or newer) below ``root``, else one on PATH, else None."""
    found = [
        PostgresPrograms(directory, major)
        for pattern in POSTGRES_DIRECTORIES
        for directory in root.glob(pattern.lstrip("/"))
        if _holds_postgres(directory) and (major := _major_of(directory)) >= OLDEST_POSTGRES
    ]
    if found:
        return max(found, key=lambda programs: programs.major)
    return _postgres_on(path)


def find_rabbit(root: Path = Path("/"), path: str | None = None) -> RabbitPrograms | None:
    """Return the broker's own start script and epmd, or None if either is missing."""
    server, epmd = _find_rabbit_server(root, path), _find_epmd(root, path)
    return RabbitPrograms(server, epmd) if server and epmd else None


def _holds_postgres(directory: Path) -> bool:
    return all((directory / name).is_file() for name in ("initdb", "postgres"))


def _major_of(directory: Path) -> int:
    """Read the major version from the path, or 0: /usr/lib/postgresql/17/bin → 17."""
    numbers = re.findall(r"\d+", directory.parent.name)
    return int(numbers[0]) if numbers else 0


def _postgres_on(path: str | None) -> PostgresPrograms | None:
    program = shutil.which("postgres", path=path)
    if program is None:
        return None
    directory = Path(program).resolve().parent
    return PostgresPrograms(directory, _major_of(directory)) if _holds_postgres(directory) else None


def _find_rabbit_server(root: Path, path: str | None) -> Path | None:
    for pattern in RABBIT_SCRIPTS:
        scripts = sorted(root.glob(pattern.lstrip("/")))
        if scripts:
            return scripts[-1]
    on_path = shutil.which("rabbitmq-server", path=path)
    return Path(on_path) if on_path and not _switches_user(Path(on_path)) else None


def _switches_user(script: Path) -> bool:
    """Tell Debian's wrapper, which runs the broker as user rabbitmq, from the script itself."""
    return b"rabbitmq-script-wrapper" in script.resolve().read_bytes() or (
        script.resolve().name == "rabbitmq-script-wrapper"
    )


def _find_epmd(root: Path, path: str | None) -> Path | None:
    if on_path := shutil.which("epmd", path=path):
        return Path(on_path)
    erlang = shutil.which("erl", path=path)
    homes = [Path(erlang).resolve().parent.parent] if erlang else []
    homes.append(root / "usr/lib/erlang")
    found = [epmd for home in homes for epmd in sorted(home.glob("erts-*/bin/epmd"))]
    return found[-1] if found else None
