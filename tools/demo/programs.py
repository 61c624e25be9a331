"""The commands of this project, run as a user would run them."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.launcher_environment import SOCKET_VARIABLE
from tools.errors import ToolError
from tools.services import Sandbox, Services
from tools.services.guard import MARKER
from tools.support.program import DEADLINE, Event, Program
from tools.support.subprocesses import closed

BIN = Path(sys.executable).parent
_SHOWN_LOG_LINES = 40


def environment_for(services: Services, sandbox: Sandbox, **settings: str) -> dict[str, str]:
    """What gateway, worker and operator commands get."""
    return {
        # The services are up: whatever keeps us from them will not go away.
        "CANCEL_STARTUP_TIMEOUT": "10",
        **os.environ,
        "DATABASE_URL": services.database_url,
        "AMQP_URL": services.amqp_url,
        SOCKET_VARIABLE: str(sandbox.path / "worker.sock"),
        # Readiness is read from their logs.
        "CANCEL_LOG_FORMAT": "json",
        "CANCEL_LOG_LEVEL": "info",
        # Lets the sandbox's guard end them, should this process be killed.
        MARKER: str(sandbox.path),
        **settings,
    }


class Programs:
    """Runs commands to their end and keeps servers running until `stop`."""

    def __init__(self, environment: Mapping[str, str], logs: Path | None = None) -> None:
        """`logs` is the directory that gets a log file of each server."""
        self.environment = dict(environment)
        self.logs = logs
        self._serving: dict[str, Program] = {}

    async def run(self, command: str, *arguments: str) -> str:
        """Run a command to its end and return what it printed. Raises ToolError."""
        process = await asyncio.create_subprocess_exec(
            str(BIN / command),
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
            await closed(process)
        if process.returncode:
            raise ToolError(_last_line(errors.decode()) or f"{command} failed")
        return output.decode().strip()

    async def serve(
        self, command: str, *arguments: str, ready: tuple[str, ...], name: str | None = None
    ) -> list[Event]:
        """Start a server and return its `ready` events. Raises ToolError.

        `name` is what it is called here, if not by its command.
        """
        name = name or command
        process = await asyncio.create_subprocess_exec(
            str(BIN / command),
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**24,
            # Ctrl-C is for us alone; we end them in order.
            start_new_session=True,
        )
        log = self.logs / f"{name}.log" if self.logs is not None else None
        program = self._serving[name] = Program(process, log)
        try:
            return [await program.event(name) for name in ready]
        except AssertionError:
            why = program.output[-1] if program.output else f"not ready within {DEADLINE:.0f} s"
            why = why.removeprefix(f"{command}: ")
            raise ToolError(f"{name} did not start: {why}") from None

    def __getitem__(self, name: str) -> Program:
        return self._serving[name]

    async def any_ended(self) -> str:
        """Wait until one of the servers ends, which none should; its name."""
        waits = {
            asyncio.create_task(program.process.wait()): name
            for name, program in self._serving.items()
        }
        try:
            ended, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[ended.pop()]
        finally:
            for wait in waits:
                wait.cancel()

    def log(self) -> str:
        """The last lines of all servers' logs."""
        return "\n".join(
            f"{name}: {line.removeprefix(f'{name}: ')}"
            for name, program in self._serving.items()
            for line in program.log().splitlines()[-_SHOWN_LOG_LINES:]
        )

    async def stop(self) -> None:
        await asyncio.gather(
            *(program.stop() for program in self._serving.values()), return_exceptions=True
        )


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
