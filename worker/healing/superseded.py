"""Launches whose claims were undone and whose runs have since become something else.

By the record, such a run was canceled before it started, or belongs to another launch, and nobody
would ever stop what this launch is running. So the worker stops it. If the run was canceled, the
record is corrected: it did start, and this is the proof that it is gone.
"""

import asyncio
import json
from dataclasses import replace
from functools import partial
from signal import Signals
from time import monotonic
from uuid import UUID

import structlog

from shared.aio.retry import until_available
from shared.postgres import sql
from shared.postgres.database import Database
from worker.evidence import Evidence, StopFailed, timestamp
from worker.launches.lost_runs import LostRunWatch
from worker.launches.store import claimed
from worker.memory.memory import Claim, Memory
from worker.outbox.relay import Relay
from worker.stop.ladder import StopPlan
from worker.stop.run_stopper import RunStopper

log = structlog.get_logger(__name__)


class Superseded:
    """`grace`, for runs without a grace period of their own, and `kill_wait` are in seconds."""

    def __init__(
        self,
        database: Database,
        memory: Memory,
        lost_run_watch: LostRunWatch,
        stopper: RunStopper,
        relay: Relay,
        tasks: asyncio.TaskGroup,
        grace: float,
        kill_wait: float,
    ) -> None:
        self._database = database
        self._memory = memory
        self._lost_run_watch = lost_run_watch
        self._stopper = stopper
        self._relay = relay
        self._tasks = tasks
        self._grace = grace
        self._kill_wait = kill_wait
        self._in_progress: set[UUID] = set()

    def settle(self, claim: Claim) -> None:
        """Stop what is left of the launch, in the background."""
        launch_id = claim.process.launch_id
        completion = self._memory.completions.get(launch_id)
        if completion is not None and completion.finished_at is not None:
            self._memory.claims.forget(launch_id)  # it ended by itself
        elif launch_id not in self._in_progress:
            self._in_progress.add(launch_id)
            self._tasks.create_task(self._settle(claim))

    async def _settle(self, claim: Claim) -> None:
        run, process = claim.run, claim.process
        try:
            began = timestamp()
            evidence = replace(await self._evidence(claim), recorded_again_at=timestamp())
            recorded = await until_available(partial(self._record, claim, evidence))
        except StopFailed as failure:
            log.error("undone_launch_not_stopped", run_id=run.run_id, error=str(failure))
        except Exception:
            log.exception("undone_launch_not_stopped", run_id=run.run_id)
        else:
            # Its launcher may ask now, and the record is all that there will be.
            self._memory.claims.forget(process.launch_id)
            self._lost_run_watch.forget(process.launch_id)
            self._relay.wake()
            log.warning(
                "undone_launch_stopped",
                run_id=run.run_id,
                launch_id=str(process.launch_id),
                began=began,
                ended=evidence.ended,
                proof=evidence.proof,
                recorded=recorded,
            )
        finally:
            self._in_progress.discard(process.launch_id)

    async def _evidence(self, claim: Claim) -> Evidence:
        """Raises StopFailed."""
        if (ended := self._memory.stops.get(claim.process.launch_id)) is not None:
            return ended.evidence
        run = claim.run
        grace = self._grace if run.grace_seconds is None else run.grace_seconds
        plan = StopPlan(
            Signals[run.stop_signal], monotonic() + grace, self._kill_wait, run.stop_scope
        )
        return await until_available(partial(self._stopper.stop, claim.process, plan))

    async def _record(self, claim: Claim, evidence: Evidence) -> bool:
        """Correct the record of a run that was canceled; whether it was."""
        row = await self._database.fetchrow(
            sql.healing.RECORD_STOPPED_LATE,
            *claimed(claim.run.run_id, claim.process),
            claim.run.started_at,
            json.dumps(evidence.as_json()),
        )
        return row is not None
