"""A gateway and a worker that reach RabbitMQ and Postgres by TLS."""

from collections.abc import Iterator

from tests.support.http.api import Api
from tests.support.network.tls_system import TlsSystem
from tools.support.program import Program
from tools.support.waiting import eventually


class TlsPrograms:
    """A gateway and a worker, and cancels through both."""

    def __init__(self, system: TlsSystem, gateway: Program, worker: Program, api: Api) -> None:
        self.system = system
        self.gateway = gateway
        self.worker = worker
        self.api = api
        self._run = 0

    @classmethod
    async def start(cls, system: TlsSystem) -> "TlsPrograms":
        worker = await system.worker()
        gateway = await system.program("gateway", "serve", "--port", "0")
        url = str((await gateway.event("gateway_ready"))["url"])
        return cls(system, gateway, worker, Api(url, system.http, await system.token()))

    def __iter__(self) -> Iterator[Program]:
        return iter((self.gateway, self.worker))

    def connections(self) -> int:
        """To RabbitMQ, since the start."""
        return sum(event["event"] == "rabbitmq_connected" for it in self for event in it.events)

    async def cancel(self) -> None:
        """Have a queued run canceled; retry what is answered 503."""
        self._run += 1
        await self.system.add_run(self._run)
        await eventually(self._accepted, what="the answer")
        await self.system.status_becomes(self._run, "canceled")

    async def _accepted(self) -> bool:
        answer = await self.api.cancel(self._run)
        assert answer.status in (202, 503), answer
        return answer.status == 202

    def check(self) -> None:
        """They are up, and logged neither a traceback nor the password."""
        password = self.system.password_file.read_text().strip()
        for program in self:
            assert program.process.returncode is None, program.log()
            assert "Traceback" not in program.log()
            assert password not in program.log()
