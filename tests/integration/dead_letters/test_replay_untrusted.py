"""A replay by a broker user whose notes no worker believes tells all the same what became of it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.broker.broker_users import Broker
from tests.support.records.letters import dead_letters, kept
from tools.services import Services
from tools.services.databases import new_database
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    broker: Broker, services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    directory = tmp_path_factory.mktemp("untrusted")
    async with (
        new_database(services, template) as database_url,
        System(database_url, broker.url, directory, prefix="").running() as running,
    ):
        await running.worker(keep_dead_letters="true")
        yield running


async def _replayed(system: System, broker: Broker, *letters: int) -> tuple[int, list[str]]:
    code, out, err = await dead_letters(
        system,
        "replay",
        *map(str, letters),
        *("--wait", "30"),
        AMQP_URL=broker.url_of("publisher"),
    )
    assert err == ""
    return code, out.splitlines()


async def _later(system: System, letter: int) -> list[int]:
    rows = await system.database.fetch(
        "SELECT letter_id, replay_of FROM dead_letters WHERE letter_id > $1 ORDER BY 1", letter
    )
    assert {row["replay_of"] for row in rows} == {None}, "the worker believed the operator's notes"
    return [row["letter_id"] for row in rows]


async def test_a_letter_is_known_again_by_its_body(system: System, broker: Broker) -> None:
    await system.add_run(1)
    settled = (await kept(system, 1)).letter_id
    dead = (await kept(system, None, "malformed")).letter_id

    code, lines = await _replayed(system, broker, settled, dead)

    (again,) = await _later(system, dead)
    assert code == 1
    assert lines[1] == f"letter {settled}: canceled, run 1"
    assert lines[2].startswith(f"letter {dead}: dead again as letter {again} (malformed): ")


async def test_equal_bodies_that_are_no_commands_are_each_a_letter_again(
    system: System, broker: Broker
) -> None:
    letters = [(await kept(system, None, "malformed")).letter_id for _ in range(3)]
    await system.database.execute(
        "UPDATE dead_letters SET body = 'no command' WHERE letter_id = ANY ($1::bigint[])", letters
    )

    code, lines = await _replayed(system, broker, *letters)

    assert code == 1
    again = await _later(system, letters[-1])
    assert [int(line.split()[6]) for line in lines[1:-1]] == again
