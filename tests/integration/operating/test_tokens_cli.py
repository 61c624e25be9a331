"""`cancel-gateway tokens`: what operators do with tokens, and that it holds at once."""

import json
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

subjects = (f"subject-{number}" for number in count(1))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(1)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(system: System) -> tuple[str, str]:
    return await system.gateway(), await system.gateway()


async def _tokens(system: System, *arguments: str) -> tuple[int, str, str]:
    return await system.cli("gateway", "tokens", *arguments)


async def _created(system: System, *options: str) -> tuple[str, str]:
    """A new token and its number."""
    subject = next(subjects)
    code, out, err = await _tokens(system, "create", "--subject", subject, *options)
    assert (code, err) == (0, "")
    number = await system.database.fetchval(
        "SELECT token_id FROM tokens WHERE subject = $1", subject
    )
    return out.removesuffix("\n"), str(number)


async def test_a_revoked_token_is_refused_from_the_next_request_on_in_every_gateway(
    system: System, gateways: tuple[str, str]
) -> None:
    token, number = await _created(system)
    callers = [Api(url, system.http, token) for url in gateways]
    assert [(await caller.cancel(1)).status for caller in callers] == [202, 202]

    code, out, err = await _tokens(system, "revoke", number)

    assert (code, err) == (0, "")
    assert out.startswith(f"token {number} (subject-")
    assert out.endswith("): revoked\n")
    answers = [await caller.cancel(1) for caller in callers]
    assert [answer.status for answer in answers] == [401, 401]
    assert 'error="invalid_token"' in answers[0].headers["WWW-Authenticate"]


async def test_a_leaked_token_is_revoked_by_itself_and_not_shown_again(
    system: System, gateways: tuple[str, str]
) -> None:
    token, number = await _created(system)

    code, out, err = await _tokens(system, "revoke", token)

    assert (code, err) == (0, "")
    assert f"token {number}" in out
    assert token not in out
    assert (await Api(gateways[0], system.http, token).cancel(1)).status == 401


async def test_revoking_again_changes_nothing(system: System) -> None:
    _, number = await _created(system)
    await _tokens(system, "revoke", number)
    revoked_at = "SELECT revoked_at FROM tokens WHERE token_id = $1::text::bigint"
    before = await system.database.fetchval(revoked_at, number)

    code, out, _ = await _tokens(system, "revoke", number)

    assert (code, "was already revoked" in out) == (0, True)
    assert await system.database.fetchval(revoked_at, number) == before


async def test_of_several_all_that_are_there_are_revoked(system: System) -> None:
    tokens = [await _created(system) for _ in range(2)]

    code, out, err = await _tokens(system, "revoke", tokens[0][1], "999999999", tokens[1][0])

    assert (code, err) == (2, "cancel-gateway: token 999999999 not found\n")
    assert out.count("revoked") == 2


async def test_the_list_says_what_each_token_allows_and_not_what_it_is(system: System) -> None:
    limits = ("--rate-limit", "7", "--read-rate-limit", "8")
    token, number = await _created(system, "--role", "tester", "--scope", "runs:read", *limits)
    expired, expired_number = await _created(system, "--expires-in", "1s")
    await system.database.execute(
        "UPDATE tokens SET expires_at = now() WHERE token_id = $1::text::bigint", expired_number
    )

    _, as_json, _ = await _tokens(system, "list", "--json")
    code, as_table, err = await _tokens(system, "list")

    assert (code, err) == (0, "")
    by_number = {str(row["token_id"]): row for row in json.loads(as_json)}
    row = by_number[number]
    assert (row["role"], row["scopes"], row["state"]) == ("tester", ["runs:read"], "active")
    assert (row["write_limit"], row["read_limit"]) == (7, 8)
    assert by_number[expired_number]["state"] == "expired"
    assert row["subject"] in as_table
    for secret in (token, expired):
        assert secret not in as_json + as_table


async def test_the_list_can_be_of_one_holder(system: System) -> None:
    await _created(system)
    _, number = await _created(system)
    (holder,) = [
        row["subject"]
        for row in json.loads((await _tokens(system, "list", "--json"))[1])
        if str(row["token_id"]) == number
    ]

    _, out, _ = await _tokens(system, "list", "--subject", holder, "--json")

    assert [str(row["token_id"]) for row in json.loads(out)] == [number]
