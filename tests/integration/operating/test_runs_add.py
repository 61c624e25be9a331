"""`cancel-worker runs add` for many runs, and how they are listed and shown."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from tests.support.programs.fed import fed
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import PASS, insert_run
from tools.support.system import System

ADD = ("worker", "runs", "add")


@pytest_asyncio.fixture
async def system(services: Services, template: str, tmp_path_factory: Any) -> AsyncIterator[System]:
    async with (
        new_database(services, template) as url,
        System(url, services.amqp_url, tmp_path_factory.mktemp("add")).running() as running,
    ):
        yield running


async def add(system: System, *arguments: str) -> tuple[int, str, str]:
    return await system.cli(*ADD, *arguments)


async def listed(system: System, *arguments: str) -> list[int]:
    code, out, err = await system.cli("worker", "runs", "list", "--json", *arguments)
    assert (code, err) == (0, "")
    return [run["run_id"] for run in json.loads(out)]


async def number(system: System) -> int:
    return int(await system.database.fetchval("SELECT count(*) FROM runs"))


async def test_all_options_are_on_record_of_each_run_and_shown(system: System) -> None:
    options = (
        *("--grace", "2.5", "--stop-signal", "SIGINT", "--stop-scope", "leader"),
        *("--leftovers", "keep"),
        *("--label", "branch=main", "--label", "query=a=b", "--url", "https://ci.example/7"),
        *("--start-before", "2030-12-31T18:00:00+01:00"),
    )

    added = await add(system, "7", "8", *options)

    assert added == (0, "2 runs are queued\n", "")
    for run_id in (7, 8):
        run = await system.run(run_id)
        assert (run["status"], run["grace_seconds"]) == ("queued", 2.5)
        assert (run["stop_signal"], run["stop_scope"]) == ("SIGINT", "leader")
        assert run["leftovers"] == "keep"
        assert json.loads(run["labels"]) == {"branch": "main", "query": "a=b"}
        assert run["url"] == "https://ci.example/7"
        assert run["start_before"] == datetime(2030, 12, 31, 17, tzinfo=UTC)
    _, shown, _ = await system.cli("worker", "runs", "show", "7")
    for line in (
        "start before 2030-12-31 17:00:00 UTC",
        "labels       branch=main query=a=b",
        "url          https://ci.example/7",
        "stop by      SIGINT to the leader alone, a grace period of 2.5 s",
    ):
        assert f"\n  {line}\n" in shown


async def test_a_duration_until_the_start_counts_by_the_clock_of_postgres(system: System) -> None:
    before = await system.database.fetchval("SELECT clock_timestamp()")
    assert (await add(system, "7", "--start-before", "30m"))[0] == 0
    after = await system.database.fetchval("SELECT clock_timestamp()")

    half_an_hour = timedelta(minutes=30)
    start_before = (await system.run(7))["start_before"]
    assert before + half_an_hour <= start_before <= after + half_an_hour


async def test_ids_are_read_from_standard_input_between_the_others(system: System) -> None:
    code, out, err = await fed(system, b"3 4\n\n\t5 3\r\n", *ADD, "1", "-", "6", "--json")

    assert (code, err) == (0, "")
    results = json.loads(out)["results"]
    assert results == [{"run_id": n, "result": "created"} for n in (1, 3, 4, 5, 6)]
    assert await number(system) == 5


async def test_no_ids_on_standard_input_are_no_error(system: System) -> None:
    assert await fed(system, b"\n", *ADD, "-") == (0, "0 runs are queued\n", "")


async def test_what_is_before_a_faulty_id_on_standard_input_is_added_and_nothing_after(
    system: System,
) -> None:
    lines = [*range(1, 1501), "12three", *range(1501, 1510)]

    code, out, err = await fed(system, "\n".join(map(str, lines)).encode(), *ADD, "-")

    assert (code, out) == (2, "1500 runs are queued\n")
    assert err == (
        "cancel-worker: Invalid value for 'N': '12three' must be an integer (line 1501 of standard "
        "input) (see --help)\n"
    )
    assert await number(system) == 1500


async def test_a_faulty_argument_adds_nothing(system: System) -> None:
    assert (await add(system, "1", "2", "0"))[0] == 2
    assert await number(system) == 0


async def test_of_many_those_that_exist_are_named_and_the_others_are_added(system: System) -> None:
    await add(system, "2", "3")

    code, out, err = await add(system, "1", "2", "3", "4", "--grace", "9")
    # One is past queued by then.
    await system.worker()
    assert await (await system.launch(4, "true")).exit_code() == 0
    again = await add(system, "1", "4", "5", "--grace", "9")

    assert (code, out) == (2, "2 runs are queued\n")
    differs = "already exists, with other options: grace period none, not 9 s"
    assert err.splitlines() == [f"cancel-worker: run {run_id} {differs}" for run_id in (2, 3)]
    assert again[0] == 2
    assert again[1] == "1 run is queued\n"
    assert again[2] == "cancel-worker: run 1 already exists\ncancel-worker: run 4 already exists\n"


async def test_a_long_list_of_those_that_exist_is_cut(system: System) -> None:
    ids = [str(run_id) for run_id in range(1, 31)]
    await add(system, *ids)

    code, out, err = await add(system, *ids, "--json")

    assert code == 2
    assert len(json.loads(out)["results"]) == 30
    assert len(err.splitlines()) == 21
    assert err.endswith("cancel-worker: 10 more runs already exist; --json lists them all\n")


async def test_if_missing_is_content_with_the_same_and_not_with_other_options(
    system: System,
) -> None:
    await add(system, "1", "2")
    await insert_run(system.database, 3, PASS)

    same = await add(system, "1", "2", "3", "4", "--if-missing")
    one = await add(system, "1", "--if-missing")
    as_json = await add(system, "1", "3", "--if-missing", "--json")
    code, out, err = await add(
        system, "1", "5", "--if-missing", "--label", "a=1", "--start-before", "2030-01-01T00:00:00Z"
    )

    assert same == (0, "1 run is queued\n3 of the runs were on record already\n", "")
    assert one == (0, "run 1 is on record already\n", "")
    assert [each["result"] for each in json.loads(as_json[1])["results"]] == ["exists", "started"]
    assert (code, out) == (2, "1 run is queued\n")
    assert err == (
        "cancel-worker: run 1 already exists, with other options: labels none, not a=1; start "
        "before none, not 2030-01-01 00:00:00.000 UTC\n"
    )


async def test_an_outage_says_what_was_added_before_it(system: System) -> None:
    """The second batch is refused, as by a server that went away."""
    await system.database.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.run_id > 1000 THEN RAISE SQLSTATE '57P01' USING MESSAGE = 'going away'; END IF;
            RETURN NEW;
        END $$
        """
    )
    await system.database.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    code, out, err = await fed(system, b"\n".join(b"%d" % n for n in range(1, 1501)), *ADD, "-")

    assert (code, out) == (1, "1000 runs are queued\n")
    assert err.count("\n") == 1
    assert err.endswith(
        "; 1000 runs were added before that, and the next 500 may have been: repeat the command "
        "with --if-missing\n"
    )


async def test_runs_are_listed_by_host_label_and_age(system: System) -> None:
    for run_id, labels in ((1, ("a=1",)), (2, ("a=1", "b=2")), (3, ("a=1", "b=3")), (4, ())):
        options = [part for each in labels for part in ("--label", each)]
        assert (await add(system, str(run_id), *options))[0] == 0
    await insert_run(system.database, 5, {**PASS, "host": "h2"})
    await system.database.execute(
        "UPDATE runs SET created_at = created_at - interval '1 hour' WHERE run_id IN (2, 4)"
    )

    assert await listed(system) == [5, 4, 3, 2, 1]
    assert await listed(system, "--host", "h2") == [5]
    assert await listed(system, "--label", "a=1") == [3, 2, 1]
    assert await listed(system, "--label", "a=1", "--limit", "2") == [3, 2]
    assert await listed(system, "--label", "a=1", "--label", "b=2", "--label", "a=1") == [2]
    assert await listed(system, "--label", "a=2") == []
    assert await listed(system, "--older-than", "30m") == [4, 2]
    assert await listed(system, "--older-than", "30m", "--label", "a=1") == [2]
    assert await listed(system, "--older-than", "2h") == []
    assert await listed(system, "--label", "a=1", "--status", "running") == []
    _, table, _ = await system.cli("worker", "runs", "list", "--label", "b=3")
    assert table.splitlines()[1].endswith("  a=1 b=3")
