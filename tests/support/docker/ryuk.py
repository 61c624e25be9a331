"""An image with a stand-in for Ryuk, under the name that testcontainers expects."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from testcontainers.core.config import testcontainers_config

from tests.support.docker.jobs import IMAGE

_PROGRAM: Final = Path(__file__).parent / "programs" / "ryuk.py"
_DOCKERFILE: Final = f"""
FROM {IMAGE}
COPY ryuk.py /ryuk.py
ENTRYPOINT ["python3", "/ryuk.py"]
"""


async def have_ryuk(docker_host: str) -> str:
    """Build the image where it is not, or not of this program; its name."""
    name = str(testcontainers_config.ryuk_image)
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(_PROGRAM, directory)
        Path(directory, "Dockerfile").write_text(_DOCKERFILE)
        # The engine caches it.
        process = await asyncio.create_subprocess_exec(
            *("docker", "build", "--quiet", "--tag", name, directory),
            env={**os.environ, "DOCKER_HOST": docker_host, "DOCKER_BUILDKIT": "0"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return name
