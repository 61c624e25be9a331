"""Between a program and Postgres: lets transactions commit late, or without saying so."""

import asyncio

from tools.support.proxy import TcpProxy


class CommitProxy(TcpProxy):
    """A proxy of Postgres that knows a transaction's begin and its commit when it sees them."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._losing = False
        self._holding = False
        self._commits_flow = asyncio.Event()
        self.held = asyncio.Event()
        """Set once a COMMIT is held back."""
        self.transactions = 0
        """That were begun."""
        self._to_cut = 0
        self._to_cut_after = b""
        self._cutting: set[asyncio.Task[None]] = set()

    def lose(self) -> None:
        """From the next COMMIT on, hold back all that the database says."""
        self._losing = True

    def hold(self) -> None:
        """Hold the next COMMITs back from the database, also when their sender is gone."""
        self._holding = True
        self._commits_flow.clear()

    def deliver(self) -> None:
        """Deliver what was held back, and go on."""
        self._losing = self._holding = False
        self._commits_flow.set()
        self.resume()

    async def cut(self) -> None:
        """Drop every connection and what was held back for it; new ones are as good as any."""
        await super().cut()
        self.deliver()

    def cut_transactions(self, number: int, *, after: bytes) -> None:
        """Cut so many as they begin, once a statement with these words was sent."""
        self._to_cut, self._to_cut_after = number, after

    async def passes(self, request: bytes) -> bool:
        self.transactions += request.count(b"BEGIN;")
        if self._to_cut_after in request:
            self._to_cut_after = b""
        if self._to_cut and not self._to_cut_after and b"BEGIN;" in request:
            self._to_cut -= 1
            self._cutting.add(asyncio.create_task(self.cut()))
            return False
        if b"COMMIT;" in request:
            if self._losing:
                self.stall_answers()
            if self._holding:
                self.held.set()
                await self._commits_flow.wait()
        return True
