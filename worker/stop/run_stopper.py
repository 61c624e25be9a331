"""Stops what a run has started, or looks whether any of it is left."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from shared.runs import RunProcess
from worker.evidence import Ended, Evidence, Survivor, timestamp
from worker.processes.known_launchers import KnownLaunchers
from worker.stop.ladder import StopPlan
from worker.stop.run_tree import shortage_is_an_outage, stop_tree, tree_of


class RunStopper:
    """All stops of a host's runs go through it; `launchers` are those of this host."""

    def __init__(self, launchers: KnownLaunchers) -> None:
        self._launchers = launchers

    async def stop(
        self, process: RunProcess, plan: StopPlan, force: asyncio.Event | None = None
    ) -> Evidence:
        """Stop everything of a run, and return the proof. Setting `force` ends the grace period.

        Raises StopFailed, OutOfSight and ServiceUnavailable.
        """
        return await stop_tree(process, plan, force or asyncio.Event(), self._launchers)

    async def left_of(self, process: RunProcess) -> Sequence[Survivor]:
        """The processes that are left of a run of this boot.

        Raises OutOfSight and ServiceUnavailable.
        """
        with shortage_is_an_outage(), closing(tree_of(process, self._launchers)) as tree:
            return () if await tree.is_gone() else await tree.survivors()

    async def gone(self, process: RunProcess) -> Evidence | None:
        """The evidence that nothing is left of a run of this boot; None if something may be.

        Raises OutOfSight and ServiceUnavailable.
        """
        with shortage_is_an_outage(), closing(tree_of(process, self._launchers)) as tree:
            if not await tree.is_gone():
                return None
            return Evidence(
                Ended.ALREADY_GONE,
                tree.proof,
                proved_at=timestamp(),
                containment=tree.containment,
            )
