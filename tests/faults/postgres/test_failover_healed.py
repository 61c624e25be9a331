"""Postgres fails over to a standby that lacks the last commits: workers record them again.

One failover for all tests. What is told of each run happened after the standby had received its
last commit, unless the test says something else.
"""

import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.commands import CancelCommand
from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.states import Via
from tests.support.broker.event_listener import listening
from tests.support.broker.registrations import registered, send_registration
from tests.support.postgres.failover import Failover, held_back_standby
from tools.services import Services
from tools.support.launched import Launched
from tools.support.processes import BAD_CHILD, alive, until_gone
from tools.support.program import Program
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually
from worker.decisions.rows import rules
from worker.decisions.store import decide_plain
from worker.messages.request import Origin, Request

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON: Final = 30.0
# Seconds.
GRACE: Final = 12.0
"""Longer than the failover takes."""
SHORT_GRACE: Final = 2.0

BEFORE, QUEUED, CLAIMED, ADDED_AND_CLAIMED, PASSED, STOPPED = range(1, 7)
REGISTERED, WHOLE_LIFE, CANCELED_MEANWHILE, BEING_STOPPED, ENDS_MEANWHILE, LOST = range(7, 13)
KILLED_MEANWHILE, FORGOTTEN = 13, 14


@dataclass(slots=True)
class Story:
    """What was on record just before the failover, and what has happened since."""

    system: System
    worker: Program
    directory: Path
    runs: dict[int, Json] = field(default_factory=dict)
    cancellations: dict[int, list[Json]] = field(default_factory=dict)
    letters: list[Json] = field(default_factory=list)
    launched: dict[int, Launched] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    told: list[Json] = field(default_factory=list)

    async def launch(self, run_id: int, kind: str) -> None:
        """Start a bad child as a run that is on record."""
        mark = self.marks[run_id] = self.system.new_mark()
        command = (sys.executable, "-S", str(BAD_CHILD), kind, mark)
        self.launched[run_id] = await self.system.launch(run_id, *command)
        await self.launched[run_id].ready()

    async def launch_gated(self, run_id: int) -> None:
        """Start a job that ends when its gate opens."""
        script = f"echo ready; until [ -e {self.gate(run_id)} ]; do sleep 0.02; done"
        self.launched[run_id] = await self.system.launch(run_id, "sh", "-c", script)
        await self.launched[run_id].ready()

    def gate(self, run_id: int) -> Path:
        return self.directory / f"gate-{run_id}"

    async def note(self) -> None:
        """Note what is on record."""
        for row in await self.system.database.fetch("SELECT * FROM runs"):
            self.runs[row["run_id"]] = dict(row)
            self.cancellations[row["run_id"]] = await self.system.cancellations(row["run_id"])
        self.letters = await self.letters_now()

    async def letters_now(self) -> list[Json]:
        rows = await self.system.database.fetch(
            "SELECT letter_key, reason, state, body, error FROM dead_letters"
        )
        return [dict(row) for row in rows]


async def _before(failover: Failover, story: Story) -> None:
    """What the standby knows."""
    system = failover.system
    for run_id in (BEFORE, QUEUED, CLAIMED, PASSED, STOPPED, CANCELED_MEANWHILE):
        await system.add_run(run_id)
    await system.add_run(BEING_STOPPED, grace=GRACE)
    await system.add_run(KILLED_MEANWHILE, grace=SHORT_GRACE)
    await system.add_run(LOST)
    await system.add_run(ENDS_MEANWHILE)
    await system.publish(BEFORE)
    await system.status_becomes(BEFORE, "canceled")
    await story.launch_gated(PASSED)
    await story.launch(STOPPED, "obeys")
    await story.launch(BEING_STOPPED, "ignores-term")
    await story.launch(KILLED_MEANWHILE, "ignores-term")
    await story.launch(LOST, "obeys")


async def _undone(failover: Failover, story: Story) -> None:
    """What the standby does not get to know."""
    system = failover.system
    # Postgres logs numbers in advance, so many.
    await system.database.fetch("SELECT nextval('outbox_event_id_seq') FROM generate_series(1, 32)")
    await system.publish(QUEUED, reason="superseded", requested_by="alice")
    await story.launch(CLAIMED, "obeys")
    await system.add_run(ADDED_AND_CLAIMED, grace=3)
    await story.launch(ADDED_AND_CLAIMED, "obeys")
    story.gate(PASSED).touch()
    assert await story.launched[PASSED].exit_code() == 0
    await system.publish(STOPPED)
    await send_registration(system, REGISTERED, labels={"branch": "main"}, grace_seconds=7)
    await send_registration(system, WHOLE_LIFE)
    await registered(system, WHOLE_LIFE)
    await story.launch(WHOLE_LIFE, "obeys")
    await system.publish(WHOLE_LIFE)
    await story.launch(CANCELED_MEANWHILE, "obeys")
    await story.launch_gated(ENDS_MEANWHILE)
    await system.publish(BEING_STOPPED)
    await system.publish(KILLED_MEANWHILE)
    await system.add_run(FORGOTTEN)  # as a gateway does it, and no worker remembers that
    await system.publish(FORGOTTEN)
    story.launched[LOST].kill()
    await system.publish_raw(b"this is no command", message_id="no-command")
    for run_id, status in {
        QUEUED: "canceled",
        STOPPED: "canceled",
        WHOLE_LIFE: "canceled",
        BEING_STOPPED: "canceling",
        KILLED_MEANWHILE: "canceling",
        LOST: "error",
        REGISTERED: "queued",
        FORGOTTEN: "canceled",
    }.items():
        await registered(system, run_id)
        await system.status_becomes(run_id, status)
    for run_id in (STOPPED, WHOLE_LIFE):
        await story.launched[run_id].exit_code()
    await eventually(story.letters_now)
    await eventually(lambda: system.database.fetchval("SELECT count(*) = 0 FROM outbox"))


async def _meanwhile(failover: Failover, story: Story) -> None:
    """What the new primary learns before the worker reaches it."""
    settings = DatabaseSettings.model_validate({"DATABASE_URL": failover.pair.primary.url})
    async with connected(settings) as database:
        # As the worker of another host does it. The broker would give the command to this one, too.
        command = CancelCommand(command_id=uuid4(), run_id=CANCELED_MEANWHILE)
        await decide_plain(
            database,
            [Request(command, Origin(Via.DIRECT))],
            rules(),
            "other-host",
            1.0,
            runs_here=lambda _: False,
        )
    story.gate(ENDS_MEANWHILE).touch()
    await until_gone(story.marks[KILLED_MEANWHILE])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(
    services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Story]:
    directory = tmp_path_factory.mktemp("failover")
    async with held_back_standby(services, directory) as failover:
        system = failover.system
        async with listening(system, "#") as listener:
            worker = await system.worker(
                env={"DATABASE_URL": failover.address.proxied},
                host_heartbeat=1,
                keep_dead_letters="true",
            )
            story = Story(system, worker, directory)
            await _before(failover, story)
            await failover.hold_back()
            await _undone(failover, story)
            await story.note()
            await failover.fail_over()
            await _meanwhile(failover, story)
            failover.reach()
            await worker.event("records_compared", deadline=SOON)
            await system.status_becomes(BEING_STOPPED, "canceled", deadline=SOON)
            await system.status_becomes(LOST, "error", deadline=SOON)
            story.told = await listener.rest()
            yield story


async def test_what_was_not_undone_stays_as_it_was(story: Story) -> None:
    assert await story.system.run(BEFORE) == story.runs[BEFORE]
    assert await story.system.cancellations(BEFORE) == story.cancellations[BEFORE]


async def test_a_queued_run_that_was_canceled_is_canceled_again(story: Story) -> None:
    run = await story.system.run(QUEUED)
    assert (run["status"], run["proof"]) == ("canceled", "never_started")
    (first,), (again,) = story.cancellations[QUEUED], await story.system.cancellations(QUEUED)
    same = ("command_id", "outcome", "reason", "requested_by", "via", "publisher")
    assert [again[name] for name in same] == [first[name] for name in same]
    assert again["received_at"] > first["received_at"]
    assert "first received" in json.loads(again["faults"])["received_at"]


async def test_a_claim_is_recorded_again_with_its_time(story: Story) -> None:
    assert await story.system.run(CLAIMED) == story.runs[CLAIMED]
    assert alive(story.marks[CLAIMED])


async def test_a_run_that_was_added_and_claimed_is_on_record_again(story: Story) -> None:
    first, again = story.runs[ADDED_AND_CLAIMED], await story.system.run(ADDED_AND_CLAIMED)
    assert {**again, "created_at": None} == {**first, "created_at": None}
    assert alive(story.marks[ADDED_AND_CLAIMED])


async def test_a_claimed_run_can_be_canceled(story: Story) -> None:
    await story.system.publish(ADDED_AND_CLAIMED)
    run = await story.system.status_becomes(ADDED_AND_CLAIMED, "canceled")
    assert run["proof"] != "never_started"
    await until_gone(story.marks[ADDED_AND_CLAIMED])


async def test_a_run_that_passed_has_passed_again_with_its_time(story: Story) -> None:
    assert await story.system.run(PASSED) == story.runs[PASSED]


async def test_a_stop_is_recorded_again_with_its_evidence(story: Story) -> None:
    await _is_stopped_again(story, STOPPED)


async def test_the_whole_life_of_a_run_is_recorded_again(story: Story) -> None:
    await _is_stopped_again(story, WHOLE_LIFE)
    assert (await story.system.run(WHOLE_LIFE))["started_at"] == story.runs[WHOLE_LIFE][
        "started_at"
    ]


async def _is_stopped_again(story: Story, run_id: int) -> None:
    first, again = story.runs[run_id], await story.system.run(run_id)
    same = ("status", "proof", "exit_code", "launch_id", "pid", "host")
    assert [again[name] for name in same] == [first[name] for name in same]
    (before,), (after,) = story.cancellations[run_id], await story.system.cancellations(run_id)
    assert (after["command_id"], after["outcome"]) == (before["command_id"], "canceled")
    assert after["evidence"].pop("recorded_again_at") > before["evidence"]["proved_at"]
    assert after["evidence"] == before["evidence"]


async def test_a_registration_by_message_is_recorded_again(story: Story) -> None:
    first, again = story.runs[REGISTERED], await story.system.run(REGISTERED)
    assert {**again, "created_at": None} == {**first, "created_at": None}


async def test_what_runs_although_its_run_was_canceled_meanwhile_is_stopped(story: Story) -> None:
    await until_gone(story.marks[CANCELED_MEANWHILE])
    run = await story.system.run(CANCELED_MEANWHILE)
    first = story.runs[CANCELED_MEANWHILE]
    assert (run["status"], run["launch_id"]) == ("canceled", first["launch_id"])
    assert run["started_at"] == first["started_at"]
    assert run["proof"] in ("cgroup_empty", "scans_empty")
    (command,) = await story.system.cancellations(CANCELED_MEANWHILE)
    assert command["evidence"]["proof"] == run["proof"]
    assert command["evidence"]["earlier"]["proof"] == "never_started"
    assert await story.launched[CANCELED_MEANWHILE].exit_code() != 0


async def test_a_stop_in_progress_keeps_its_deadline(story: Story) -> None:
    run = await story.system.run(BEING_STOPPED)
    first = story.runs[BEING_STOPPED]
    assert abs((run["stop_deadline"] - first["stop_deadline"]).total_seconds()) < 1
    assert run["finished_at"] >= first["stop_deadline"]
    (command,) = await story.system.cancellations(BEING_STOPPED)
    assert (command["outcome"], command["evidence"]["ended"]) == ("canceled", "killed")


async def test_a_stop_that_ends_while_its_beginning_is_undone_is_recorded(story: Story) -> None:
    run = await story.system.status_becomes(KILLED_MEANWHILE, "canceled")
    (command,) = await story.system.cancellations(KILLED_MEANWHILE)
    assert (command["outcome"], command["evidence"]["ended"]) == ("canceled", "killed")
    assert await story.launched[KILLED_MEANWHILE].exit_code() == 128 + 9
    run = await story.system.run(KILLED_MEANWHILE)
    assert run["exit_code"] == 128 + 9


async def test_a_job_that_ends_while_its_claim_is_undone_is_recorded(story: Story) -> None:
    assert await story.launched[ENDS_MEANWHILE].exit_code() == 0
    run = await story.system.run(ENDS_MEANWHILE)
    assert (run["status"], run["exit_code"]) == ("pass", 0)
    assert run["started_at"] == story.runs[ENDS_MEANWHILE]["started_at"]


async def test_a_loss_is_noticed_again(story: Story) -> None:
    run = await story.system.run(LOST)
    assert json.loads(run["loss"])["cause"] == "launcher_died"
    await until_gone(story.marks[LOST])


async def test_a_cancel_of_a_run_that_is_unknown_now_is_retried_once_until_it_is_known(
    story: Story,
) -> None:
    retried = [
        event["attempt"]
        for event in story.worker.events
        if event["event"] == "command_retried" and event["run_id"] == FORGOTTEN
    ]
    assert retried.count(1) == 1
    await story.system.add_run(FORGOTTEN)
    run = await story.system.status_becomes(FORGOTTEN, "canceled", deadline=SOON)
    assert run["proof"] == "never_started"
    (again,) = await story.system.cancellations(FORGOTTEN)
    assert again["command_id"] == story.cancellations[FORGOTTEN][0]["command_id"]


async def test_a_dead_letter_is_kept_again(story: Story) -> None:
    assert len(story.letters) == 1
    assert await story.letters_now() == story.letters


async def test_no_other_event_has_the_number_of_one_that_was_told(story: Story) -> None:
    contents = defaultdict(set)
    for event in story.told:
        # Another worker told of this run before the one that knows the numbers was back.
        if event.get("subject") != str(CANCELED_MEANWHILE):
            contents[event["id"]].add((event["type"], event.get("subject"), event["time"]))
    assert {number for number, events in contents.items() if len(events) > 1} == set()


async def test_it_is_logged_and_counted(story: Story) -> None:
    logged = [event for event in story.worker.events if event["event"] == "recorded_again"]
    counts: dict[str, int] = defaultdict(int)
    for event in logged:
        for kind, number in event["counts"].items():
            counts[kind] += number
    assert counts == {
        "registration": 2,
        "claim": 4,
        "completion": 3,
        "command": 5,
        "dead_letter": 1,
    }
