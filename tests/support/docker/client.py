"""A Docker client for jobs of another user, to whom our home directory is closed."""

import os
import shutil
from pathlib import Path
from typing import Final

_PLUGINS: Final = ("docker-buildx", "docker-compose")


def client_environment(directory: Path) -> dict[str, str]:
    """What a job's environment must have to use it; its files are made in `directory`.

    Jobs that run our Python (`sdk`, `testcontainers`) are still ours alone.
    """
    config = directory / "docker-client"
    plugins = config / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    for name in _PLUGINS:
        own = Path.home() / ".docker" / "cli-plugins" / name
        if own.exists() and not (plugins / name).exists():
            _put(own.resolve(), plugins / name)
    temporary = directory / "docker-temporary"
    temporary.mkdir(exist_ok=True)
    for place in (config, plugins, temporary):
        # The client writes what it learned about builders, and what it is to build.
        place.chmod(0o777)
    return {"DOCKER_CONFIG": str(config), "TMPDIR": str(temporary)}


def _put(source: Path, target: Path) -> None:
    """They are large: a second name, where the file system is the same."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
    # That of a link is that of the source.
    if target.stat().st_mode & 0o005 != 0o005:
        target.unlink()
        shutil.copyfile(source, target)
        target.chmod(0o755)
