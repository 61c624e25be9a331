"""An image that is imported in no time: a shell and sleep(1) of this machine, their libraries."""

import asyncio
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

NAME: Final = "run-cancel-test/tiny:1"
PROGRAMS: Final = ("sh", "sleep", "cat", "true")


def archive() -> bytes:
    """The image's file system, as `docker import` takes it."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name in PROGRAMS:
            found = shutil.which(name)
            assert found is not None, f"no {name} on this machine"
            _add(tar, found, f"bin/{name}")
        for library in sorted({path for name in PROGRAMS for path in _libraries(name)}):
            _add(tar, library, library.lstrip("/"))
        # Engines mount over these.
        for directory in ("dev", "etc", "proc", "sys", "tmp"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    return written.getvalue()


async def import_into(docker_host: str) -> None:
    """Give it to the engine there."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "--host", docker_host, "import", "-", NAME),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(archive())
    assert process.returncode == 0, errors.decode()


def _add(tar: tarfile.TarFile, source: str, name: str) -> None:
    tar.add(Path(source).resolve(), name)


def _libraries(program: str) -> list[str]:
    command = [str(shutil.which(name)) for name in ("ldd", program)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [word for word in listed.stdout.split() if word.startswith("/")]
