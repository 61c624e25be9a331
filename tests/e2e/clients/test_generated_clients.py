"""Clients that are generated from the OpenAPI document compile, and work."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.openapi.document import document
from tools.support.environments import NoEnvironment, node_environment, python_environment
from tools.support.program import DEADLINE
from tools.support.system import System

HERE: Final = Path(__file__).parent
PACKAGE: Final = "run_cancellation_client"
TOLD: Final = {
    "registered": ["conflict", "created"],
    "status": "accepted",
    "outcome": "canceled",
    "matched": 1,
    "over": "canceled",
    "listed": [8, 7],
    "missing": "not_found",
}


async def _run(*command: object, directory: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def _told(system: System, *client: object, directory: Path) -> Any:
    """What a client prints when it uses a gateway and a worker."""
    await system.worker()
    url = await system.gateway()
    out = await _run(*client, url, await system.token(), 7, directory=directory)
    return json.loads(out)


async def test_a_python_client_compiles_and_works(system: System, tmp_path: Path) -> None:
    try:
        python = await asyncio.to_thread(
            python_environment, "python-clients", HERE / "requirements.txt"
        )
    except NoEnvironment as error:
        pytest.skip(str(error))
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document()))

    generator = python.with_name("openapi-python-client")
    generated = await _run(
        *(generator, "generate", "--path", described, "--meta", "none", "--fail-on-warning"),
        *("--config", HERE / "python-client.yaml", "--output-path", tmp_path / PACKAGE),
        directory=tmp_path,
    )

    assert "Warning" not in generated
    await _run(python, "-W", "error", "-m", "compileall", "-q", PACKAGE, directory=tmp_path)
    shutil.copy(HERE / "client.py", tmp_path)
    assert await _told(system, python, "client.py", directory=tmp_path) == TOLD


async def test_a_typescript_client_compiles_and_works(system: System, tmp_path: Path) -> None:
    try:
        packages = await asyncio.to_thread(
            node_environment, "typescript-clients", HERE / "package.json"
        )
    except NoEnvironment as error:
        pytest.skip(str(error))
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    shutil.copy(packages / "package.json", tmp_path)
    shutil.copy(HERE / "client.ts", tmp_path)
    (tmp_path / "openapi.json").write_text(json.dumps(document()))

    binaries = tmp_path / "node_modules" / ".bin"
    await _run(
        binaries / "openapi-typescript",
        "openapi.json",
        "--default-non-nullable=false",
        "-o",
        "api.d.ts",
        directory=tmp_path,
    )
    # Without an emitted file if there is any error, those of the generated types included.
    await _run(
        *(binaries / "tsc", "--strict", "--noEmitOnError", "--module", "nodenext"),
        *("--target", "es2022", "--lib", "es2022,dom", "--types", "node", "client.ts", "api.d.ts"),
        directory=tmp_path,
    )
    assert await _told(system, "node", "client.js", directory=tmp_path) == TOLD
