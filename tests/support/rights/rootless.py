"""A worker, and jobs, of a user who is not root."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.rights.privileges import NOBODY, as_user
from tools.support.launched import Launched
from tools.support.processes import BAD_CHILD
from tools.support.program import Program
from tools.support.system import System


@dataclass(frozen=True)
class Rootless:
    """A worker of nobody's."""

    system: System
    directory: Path
    python: str

    @property
    def socket(self) -> Path:
        return self.directory / "worker.sock"

    async def worker(
        self,
        cgroup: Path | None = None,
        containment: str = "auto",
        kill_wait: float = 10,
        through: tuple[str, ...] = (),
    ) -> Program:
        """`through` is a command of root's that runs the one behind it."""
        return await self.system.worker(
            env={"CANCEL_WORKER_SOCKET": str(self.socket)},
            within=(*through, *as_user(NOBODY, cgroup)),
            containment=containment,
            kill_wait=kill_wait,
        )

    async def launch(
        self,
        run_id: int,
        kind: str,
        cgroup: Path | None = None,
        by: tuple[str, ...] = (),
        through: tuple[str, ...] = (),
    ) -> tuple[Launched, str]:
        """Launch a bad child of nobody's.

        `by` is a command that runs the launcher behind it, `through` one that runs the child.
        """
        mark = self.system.new_mark()
        await self.system.add_run(run_id)
        launched = await self.system.launch(
            run_id,
            *(*through, self.python, "-S", str(BAD_CHILD), kind, mark),
            socket=self.socket,
            within=(*by, *as_user(NOBODY, cgroup)),
        )
        await launched.ready()
        return launched, mark

    async def refused(self, run_id: int, *options: str, user: int = NOBODY) -> str:
        """Launch what must be refused; why it was."""
        await self.system.add_run(run_id)
        launched = await self.system.launch(
            run_id, "true", socket=self.socket, within=as_user(user), options=options
        )
        assert await launched.exit_code() == 125
        assert (await self.system.run(run_id))["status"] == "queued"
        return (await launched.errors()).splitlines()[-1]
