"""Who gets through to a cancel, and how the others are told."""

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.auth.access import Scope, new_token
from shared.amqp.keys import REST_KEY
from shared.limits import BIGINT_MAX
from shared.tokens import Role
from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

REALM = 'Bearer realm="run-cancel"'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: run 1 stays queued."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(1)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(system: System) -> Program:
    return await system.program(
        *("gateway", "serve", "--port", "0"),
        CANCEL_LOG_LEVEL="debug",
        CANCEL_ANONYMOUS_LIMIT="1000",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System, gateway: Program) -> Api:
    ready = await gateway.event("gateway_ready")
    return Api(ready["url"], system.http, await system.token())


async def _with(system: System, api: Api, role: Role, *scopes: str) -> Api:
    return Api(api.url, api.http, await system.token(role=role, scopes=scopes))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxpY2U6c2VzYW1l",
        "Token {token}",
        "{token}",
        "Bearer{token}",
    ],
)
async def test_without_a_bearer_token_it_is_401_and_no_error_is_named(
    api: Api, header: str
) -> None:
    # RFC 6750, section 3: no error code where no token was sent.
    headers = {"Authorization": header.format(token=api.token)}

    answer = await api.cancel(1, headers=headers)

    assert answer.error == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == REALM


@pytest.mark.parametrize("change", ["{}x", "x{}", "{} {}", "rct_", "\N{SNOWMAN}", "{},"])
async def test_an_unknown_token_is_401(api: Api, change: str) -> None:
    headers = {"Authorization": f"Bearer {change.format(api.token, api.token)}"}

    answer = await api.cancel(1, headers=headers)

    assert answer.error == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == f'{REALM}, error="invalid_token"'


@pytest.mark.parametrize(
    "change", ["expires_at = now() - interval '1 ms'", "revoked_at = now()"], ids=lambda c: c[:7]
)
async def test_an_expired_or_revoked_token_is_401_from_then_on(
    system: System, api: Api, change: str
) -> None:
    caller = Api(api.url, api.http, await system.token(subject=change))
    assert (await caller.cancel(1)).status == 202

    await system.database.execute(
        f"UPDATE tokens SET {change} WHERE subject = $1",  # noqa: S608 - from this file
        change,
    )

    answer = await caller.cancel(1)
    assert answer.error == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == f'{REALM}, error="invalid_token"'


@pytest.mark.parametrize("other", ["Bearer rct_other", "Basic YWxpY2U6c2VzYW1l", "", "{}"])
@pytest.mark.parametrize("order", [1, -1])
async def test_of_two_authorization_headers_neither_counts(
    api: Api, other: str, order: int
) -> None:
    own = f"Bearer {api.token}"
    headers = [("Authorization", each) for each in (own, other.format(own))]

    answer = await api.cancel(1, headers=headers[::order])

    assert answer.error == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == REALM


async def test_the_scheme_is_read_without_regard_to_case(api: Api) -> None:
    headers = {"Authorization": f"bEaReR {api.token}"}

    assert (await api.cancel(1, headers=headers)).status == 202


@pytest.mark.parametrize("role", [Role.ADMIN, Role.TESTER, Role.CONTRIBUTOR])
async def test_these_roles_may_cancel(system: System, api: Api, role: Role) -> None:
    caller = await _with(system, api, role, Scope.RUNS_WRITE)

    assert (await caller.cancel(1)).status == 202


@pytest.mark.parametrize(
    "path",
    [
        *("0", "00", "-1", "+1", "abc", "1.5", "1e3", "0x1", "1_0", "%201", "1%2F2", "%00", "%ff"),
        *("%D9%A1", "%C2%B2", "%EF%BC%91"),  # digits, but of Unicode: Arabic, superscript, wide
        "9" * 1001,
    ],
    ids=lambda path: path[:10],
)
async def test_a_path_that_names_no_number_is_400(api: Api, path: str) -> None:
    answer = await api.cancel(path)

    assert answer.error == (400, "validation_error")
    assert list(answer.body["details"]["fields"]) == ["run_id"]


async def test_the_body_is_checked_before_the_run(api: Api) -> None:
    bad_body = {"reason": 1}

    assert (await api.cancel(404, bad_body)).error == (400, "validation_error")
    assert (await api.cancel(BIGINT_MAX + 1, bad_body)).error == (400, "validation_error")
    assert (await api.cancel(404)).error == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["/api/v1", "/api/v1/runs/1/cancel/", "/api/v1/runs//cancel", "/api/v2/runs/1"],
)
async def test_an_unknown_route_is_404_with_the_envelope(api: Api, path: str) -> None:
    assert (await api.ask("POST", path)).error == (404, "not_found")


async def test_head_is_405_without_a_body(api: Api) -> None:
    answer = await api.ask("HEAD", "/api/v1/runs/1/cancel")

    assert (answer.status, answer.body) == (405, None)


async def test_of_a_token_only_its_sha256_is_stored(system: System) -> None:
    code, out, err = await system.cli("gateway", "tokens", "create", "--subject", "hashed")

    token = out.removesuffix("\n")
    assert (code, err) == (0, "")
    row = await system.database.fetchrow("SELECT * FROM tokens WHERE subject = 'hashed'")
    assert row is not None
    assert row["token_hash"] == hashlib.sha256(token.encode()).digest()
    assert token not in str(row)
    assert token.removeprefix("rct_") not in str(row)


async def test_no_token_gets_into_the_log(system: System, gateway: Program, api: Api) -> None:
    stranger = Api(api.url, api.http, new_token())
    await api.cancel(1)
    await api.cancel("abc")
    await api.cancel(api.token)  # in the path, where it does not belong
    await stranger.cancel(1)
    malformed = {"Authorization": f"Bearer {api.token}", "Expect": "nonsense"}
    await api.cancel(1, headers=malformed)
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)
    await queue.unbind(system.topology.commands, REST_KEY)
    assert (await api.cancel(1)).status == 503

    # Logged by the time that the answer is here.
    await gateway.event("request_unavailable")
    assert api.token not in gateway.log()
    assert stranger.token not in gateway.log()
    await queue.bind(system.topology.commands, REST_KEY)
