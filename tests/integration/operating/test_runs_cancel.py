"""`cancel-worker runs cancel`: an operator cancels without a token."""

import asyncio
import getpass
import json
import signal
from uuid import UUID

from tests.support.programs.fed import fed
from tools.support.proxy import TcpProxy
from tools.support.rows import PASS, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

CANCEL = ("worker", "runs", "cancel")
# As the keeper would, of a command on a run that was removed meanwhile.
_BURY = """
    INSERT INTO dead_letters (letter_key, digest, reason, error, attempts, exchange, routing_key,
                              via, run_id, command_id, body)
    VALUES ('x', 'x', 'unknown_run', 'run 1 is unknown', 4, 'e', 'run.cancel', 'direct', 1,
            $1::text::uuid, 'x')
    RETURNING letter_id
"""
NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


async def cancel(system: System, *arguments: str, **env: str) -> tuple[int, str, str]:
    return await system.cli(*CANCEL, *arguments, env=env)


async def add(system: System, *run_ids: int) -> None:
    for run_id in run_ids:
        await insert_run(system.database, run_id)


async def test_the_command_has_the_operator_the_reason_and_the_rest(system: System) -> None:
    await add(system, 1)

    code, out, err = await cancel(system, "1", "--reason", "superseded", "--force", SUDO_USER="eve")

    command_id = out.rpartition(" ")[2].strip()
    assert (code, out, err) == (0, f"run 1: cancel requested, command {UUID(command_id)}\n", "")
    await system.worker()
    command = await system.outcome_of(command_id)
    assert (command["outcome"], command["requested_by"]) == ("canceled", "eve")
    assert (command["via"], command["reason"], command["force"]) == ("direct", "superseded", True)
    assert command["publisher"] is not None
    assert command["requested_at"] <= command["received_at"]


async def test_the_outcome_of_each_is_waited_for(system: System) -> None:
    await system.worker()
    await add(system, 1, 2)
    await insert_run(system.database, 3, PASS)

    code, out, err = await cancel(system, "1", "2", "3", "--wait", "30")

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "run 1: canceled: it never started, proof never_started",
        "run 2: canceled: it never started, proof never_started",
        "run 3: no_op: the run was over (pass)",
    ]
    command = await system.database.fetchval("SELECT requested_by FROM cancellations LIMIT 1")
    assert command == getpass.getuser()


async def test_unknown_runs_are_named_and_the_others_are_canceled(system: System) -> None:
    await system.worker()
    await add(system, 1)

    code, out, err = await cancel(system, "404", "1", "405", "--wait", "30", "--json")

    assert code == 1
    assert err == "cancel-worker: run 404 not found\ncancel-worker: run 405 not found\n"
    results = {each["run_id"]: each for each in json.loads(out)["results"]}
    assert (results[1]["status"], results[1]["outcome"]) == ("settled", "canceled")
    assert {results[n]["status"] for n in (404, 405)} == {"not_found"}
    assert {results[n]["command_id"] for n in (404, 405)} == {None}
    assert await system.database.fetchval("SELECT count(*) FROM cancellations") == 1


async def test_if_all_are_unknown_the_broker_is_not_asked(system: System) -> None:
    assert await cancel(system, "404", AMQP_URL=NOWHERE) == (
        1,
        "",
        "cancel-worker: run 404 not found\n",
    )


async def test_ids_are_read_from_standard_input(system: System) -> None:
    await add(system, *range(1, 301))

    code, out, err = await fed(system, b"\n".join(b"%d" % n for n in range(1, 301)), *CANCEL, "-")

    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()] == [f"run {n}" for n in range(1, 301)]
    assert await system.depth(system.topology.cancel) == 300


async def test_of_more_runs_than_one_statement_has_each_is_found_and_waited_for(
    system: System,
) -> None:
    await system.worker()
    await system.database.execute("INSERT INTO runs (run_id) SELECT generate_series(1, 1001)")
    ids = b"\n".join(b"%d" % n for n in range(1, 1002))

    code, out, err = await fed(system, ids, *CANCEL, "-", "--wait", "25", "--json")

    assert (code, err) == (0, "")
    assert {each["outcome"] for each in json.loads(out)["results"]} == {"canceled"}


async def test_a_faulty_id_on_standard_input_cancels_nothing(system: System) -> None:
    await add(system, 1)

    code, out, _ = await fed(system, b"1\ntwo\n", *CANCEL, "-")

    assert (code, out) == (2, "")
    assert await system.depth(system.topology.cancel) == 0


async def test_a_wait_that_ends_before_the_outcome_says_so(system: System) -> None:
    await system.worker()
    await system.launch_bad_child(1, "ignores_term")

    code, out, _ = await cancel(system, "1", "--wait", "0.5")
    forced = await cancel(system, "1", "--force", "--wait", "30")

    assert (code, out) == (3, f"run 1: no outcome yet; it is canceling on {system.host}\n")
    assert forced[:2] == (0, "run 1: forced: it ended the grace period of the stop in progress\n")


async def test_an_outage_of_postgres_does_not_end_the_wait(system: System) -> None:
    await add(system, 1)
    async with TcpProxy(system.database_url) as postgres:
        waiting = asyncio.create_task(
            cancel(system, "1", "--wait", "60", DATABASE_URL=postgres.proxied)
        )
        await eventually(lambda: system.depth(system.topology.cancel))
        postgres.refuse()
        await postgres.cut()
        await system.worker()
        await system.status_becomes(1, "canceled")
        postgres.accept()

        code, out, _ = await waiting

    assert (code, out) == (0, "run 1: canceled: it never started, proof never_started\n")


async def test_a_failed_stop_is_exit_code_1(system: System) -> None:
    await add(system, 1)
    await system.database.execute(
        """
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.outcome := 'stop_failed';
            RETURN NEW;
        END $$
        """
    )
    await system.database.execute(
        "CREATE TRIGGER fail BEFORE INSERT ON cancellations FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    await system.worker()

    code, out, _ = await cancel(system, "1", "--wait", "30")

    assert code == 1
    assert out.startswith("run 1: stop_failed: ")


async def test_a_dead_letter_is_named_and_exit_code_1(system: System) -> None:
    await add(system, 1)
    waiting = asyncio.create_task(cancel(system, "1", "--wait", "60"))
    queue = await system.channel.get_queue(system.topology.cancel, ensure=False)
    message = await eventually(lambda: queue.get(fail=False, no_ack=True))
    assert message is not None

    letter_id = await system.database.fetchval(_BURY, message.message_id)

    code, out, _ = await waiting
    assert (code, out) == (1, f"run 1: dead letter {letter_id} (unknown_run): run 1 is unknown\n")


async def test_interrupted_in_the_wait_it_says_how_far_it_came(system: System) -> None:
    await add(system, 1)
    waiting = await system.program(*CANCEL, "1", "--wait", "600")
    await eventually(lambda: system.depth(system.topology.cancel))

    assert await waiting.stop(signal.SIGINT) == 130

    await system.worker()
    await system.status_becomes(1, "canceled")


async def test_a_broker_that_is_away_is_one_line_and_nothing_is_requested(system: System) -> None:
    await add(system, 1)

    code, out, err = await cancel(
        system, "1", AMQP_URL=NOWHERE, CANCEL_STARTUP_TIMEOUT="0.1", CANCEL_LOG_LEVEL="error"
    )

    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("cancel-worker: cannot use RabbitMQ at amqp://guest:***@127.0.0.1:1/: ")
    assert err.endswith("; no cancel was requested\n")


async def test_a_command_that_no_queue_takes_is_not_requested(system: System) -> None:
    await add(system, 1, 2)
    queue = await system.channel.get_queue(system.topology.cancel, ensure=False)
    await queue.unbind(system.topology.commands, "run.cancel")

    code, out, err = await cancel(system, "1", "2")

    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "cancel-worker: 2 cancels not requested: run 1, 2",
        "cancel-worker: no queue is bound for the routing key run.cancel",
    ]
