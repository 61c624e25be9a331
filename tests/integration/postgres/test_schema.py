"""What the schema itself holds: impossible rows cannot be written, legal lives can be lived."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from shared.states import Proof
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import (
    CANCELING,
    ERROR,
    FAIL,
    IDENTITY,
    IN_EACH_STATE,
    NEVER_STARTED,
    NOW,
    PASS,
    QUEUED,
    RUNNING,
    STOPPED,
    STOPPING,
    Connection,
    insert,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCELLATION: dict[str, Any] = {"run_id": 1, "via": "rest", "force": False}
TOKEN: dict[str, Any] = {
    "token_hash": "\\x" + 32 * "ab",
    "subject": "alice",
    "role": "user",
    "scopes": "{runs:read}",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        opened = await asyncpg.connect(url)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def database(
    connection: Connection,
) -> AsyncIterator[Connection]:
    """Run 1 is queued; all that a test does is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO runs (run_id) VALUES (1)")
    yield connection
    await transaction.rollback()


@pytest.mark.parametrize(
    ("constraint", "row"),
    [
        ("runs_run_id_check", {**QUEUED, "run_id": 0}),
        ("runs_status_check", {"status": "cancelled"}),
        ("runs_grace_seconds_check", {**QUEUED, "grace_seconds": -1}),
        ("runs_grace_seconds_check", {**QUEUED, "grace_seconds": 601}),
        ("runs_stop_signal_check", {**QUEUED, "stop_signal": "SIGKILL"}),
        ("runs_pid_check", {**RUNNING, "pid": 1}),
        ("runs_launcher_pid_check", {**RUNNING, "launcher_pid": 0}),
        ("runs_containment_check", {**RUNNING, "containment": "hope", "cgroup": None}),
        ("runs_exit_code_check", {**FAIL, "exit_code": 256}),
        ("runs_exit_code_check", {**FAIL, "exit_code": -1}),
        *(
            ("identity_is_whole", {**RUNNING, name: None})
            for name in IDENTITY
            if name not in ("cgroup", "containment", "host")
        ),
        ("identity_is_whole", {**QUEUED, "boot_id": IDENTITY["boot_id"]}),
        ("cgroup_is_named", {**RUNNING, "cgroup": None}),
        ("cgroup_is_named", {**RUNNING, "containment": "session"}),
        ("cgroup_is_named", {**QUEUED, "cgroup": "/c"}),
        ("queued_has_no_process", {**QUEUED, **IDENTITY}),
        ("started_has_process", {"status": "running"}),
        ("started_has_process", {"status": "canceling", **STOPPING}),
        ("started_has_process", {"status": "pass", "exit_code": 0, "finished_at": NOW}),
        ("started_has_process", {"status": "fail", "exit_code": 1, "finished_at": NOW}),
        ("started_has_process", {**ERROR, **dict.fromkeys(IDENTITY)}),
        ("error_has_its_cause", {**ERROR, "loss": {}}),
        ("error_has_its_cause", {**PASS, "loss": {"cause": "launcher_died"}}),
        *(
            ("finished_exactly_in_terminal_states", {**row, "finished_at": NOW})
            for row in (QUEUED, RUNNING, CANCELING)
        ),
        *(
            ("finished_exactly_in_terminal_states", {**row, "finished_at": None})
            for row in (PASS, FAIL, ERROR, NEVER_STARTED, STOPPED)
        ),
        ("a_stop_has_one_deadline", {**CANCELING, "stop_deadline": None, "canceling_at": None}),
        ("a_stop_has_one_deadline", {**CANCELING, "stop_deadline": None}),
        ("a_stop_has_one_deadline", {**CANCELING, "canceling_at": None}),
        ("a_stop_has_one_deadline", {**STOPPED, "stop_deadline": None, "canceling_at": None}),
        ("a_stop_has_one_deadline", {**NEVER_STARTED, **STOPPING}),
        *(
            ("a_stop_has_one_deadline", {**row, **STOPPING})
            for row in (QUEUED, RUNNING, PASS, FAIL, ERROR)
        ),
        ("a_moved_deadline_is_earlier", {**CANCELING, "first_stop_deadline": NOW}),
        ("a_moved_deadline_is_earlier", {**QUEUED, "first_stop_deadline": NOW}),
        ("exit_code_fits_status", {**PASS, "exit_code": 1}),
        ("exit_code_fits_status", {**PASS, "exit_code": None}),
        ("exit_code_fits_status", {**FAIL, "exit_code": 0}),
        ("exit_code_fits_status", {**FAIL, "exit_code": None}),
        ("exit_code_fits_status", {**QUEUED, "exit_code": 0}),
        ("exit_code_fits_status", {**RUNNING, "exit_code": 0}),
        *(
            ("canceled_exactly_with_proof", {**row, "proof": None})
            for row in (NEVER_STARTED, STOPPED)
        ),
        *(
            ("canceled_exactly_with_proof", {**row, "proof": "host_rebooted"})
            for row in (RUNNING, CANCELING, PASS, FAIL, ERROR)
        ),
        ("canceled_exactly_with_proof", {**QUEUED, "proof": "never_started"}),
        ("never_started_without_process", {**STOPPED, "proof": "never_started"}),
        ("never_started_without_process", {**NEVER_STARTED, "proof": "host_rebooted"}),
        (
            "cgroup_was_there_to_be_empty",
            {**STOPPED, "containment": "session", "cgroup": None},
        ),
        ("runs_proof_check", {**STOPPED, "proof": "hope"}),
        ("error_is_explained", {**ERROR, "error": None}),
        ("error_is_explained", {**PASS, "error": "e"}),
        ("runs_stop_scope_check", {**QUEUED, "stop_scope": "all"}),
        ("runs_labels_check", {**QUEUED, "labels": ["a"]}),
        ("runs_url_check", {**QUEUED, "url": "https://" + "x" * 2041}),
        *(
            ("expired_before_it_started", {**row, "expired": True, "start_before": NOW})
            for row in (QUEUED, RUNNING, CANCELING, PASS, FAIL, ERROR, STOPPED)
        ),
    ],
)
async def test_an_impossible_run_is_refused(
    database: Connection, constraint: str, row: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(database, "runs", {"run_id": 2, "stop_signal": "SIGTERM", **row})

    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize("name", ["host", "containment"])
async def test_a_run_whose_identity_has_a_hole_is_refused(database: Connection, name: str) -> None:
    # More than one CHECK holds these; which one speaks first is Postgres's business.
    with pytest.raises(asyncpg.CheckViolationError):
        await insert(
            database, "runs", {"run_id": 2, "stop_signal": "SIGTERM", **RUNNING, name: None}
        )


@pytest.mark.parametrize("row", IN_EACH_STATE, ids=lambda row: row["status"])
async def test_each_state_has_a_possible_row(database: Connection, row: dict[str, Any]) -> None:
    await insert(database, "runs", {"run_id": 2, **row})

    assert await database.fetchval("SELECT status FROM runs WHERE run_id = 2") == row["status"]


@pytest.mark.parametrize("proof", Proof)
async def test_each_proof_has_a_place(database: Connection, proof: Proof) -> None:
    row = NEVER_STARTED if proof is Proof.NEVER_STARTED else {**STOPPED, "proof": proof}
    if proof is Proof.ENGINE_REPORTED:
        row["containers_in"] = "/run-cancel/1"

    await insert(database, "runs", {"run_id": 2, **row})

    assert await database.fetchval("SELECT proof FROM runs WHERE run_id = 2") == proof


@pytest.mark.parametrize(
    ("constraint", "row"),
    [
        ("cancellations_via_check", {"via": "telepathy"}),
        ("cancellations_requested_by_check", {"requested_by": "r" * 256}),
        ("cancellations_reason_check", {"reason": "r" * 256}),
        ("cancellations_grace_seconds_check", {"grace_seconds": -0.1}),
        ("cancellations_grace_seconds_check", {"grace_seconds": 600.1}),
        ("cancellations_outcome_check", {"outcome": "maybe", "finished_at": NOW}),
        ("cancellations_evidence_check", {"evidence": []}),
        ("finished_exactly_with_outcome", {"outcome": "no_op"}),
        ("finished_exactly_with_outcome", {"finished_at": NOW}),
        *(
            ("a_stop_is_proved", {"outcome": outcome, "finished_at": NOW, "evidence": {}})
            for outcome in ("canceled", "leftovers_stopped")
        ),
        *(
            ("cancellations_reply_to_check", {"reply_to": address})
            for address in (
                *("runs.cancel", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to."),
                *("amq.rabbitmq.reply-to.a b", "x.amq.rabbitmq.reply-to.a"),
                *("amq.rabbitmq.reply-to.a\n", "amq.rabbitmq.reply-to." + "a" * 201),
            )
        ),
        ("cancellations_correlation_id_check", {"correlation_id": "c" * 256}),
    ],
)
async def test_an_impossible_cancellation_is_refused(
    database: Connection, constraint: str, row: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(database, "cancellations", {"command_id": str(uuid4()), **CANCELLATION, **row})

    assert refused.value.constraint_name == constraint


async def test_a_cancellation_needs_its_run(
    database: Connection,
) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await insert(
            database,
            "cancellations",
            {"command_id": str(uuid4()), **CANCELLATION, "run_id": 2},
        )


@pytest.mark.parametrize(
    ("constraint", "row"),
    [
        ("tokens_token_hash_check", {"token_hash": "\\x" + 31 * "ab"}),
        ("tokens_token_hash_check", {"token_hash": "\\x" + 33 * "ab"}),
        ("tokens_subject_check", {"subject": ""}),
        ("tokens_subject_check", {"subject": "s" * 256}),
        ("tokens_role_check", {"role": "root"}),
        ("tokens_scopes_check", {"scopes": "{runs:read,runs:own}"}),
        ("tokens_write_limit_check", {"write_limit": 0}),
        ("tokens_read_limit_check", {"read_limit": 0}),
        ("tokens_register_limit_check", {"register_limit": 0}),
    ],
)
async def test_an_impossible_token_is_refused(
    database: Connection, constraint: str, row: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(database, "tokens", {**TOKEN, **row})

    assert refused.value.constraint_name == constraint


async def test_two_tokens_never_have_the_same_hash(
    database: Connection,
) -> None:
    await insert(database, "tokens", TOKEN)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(database, "tokens", {**TOKEN, "subject": "bob"})
