"""Who gets into the console, and for how long."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from yarl import URL

from shared.tokens import Role, token_hash
from tests.support.console.operator import Operator, start_console
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(system: System) -> tuple[Program, str]:
    return await start_console(system)


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(console: tuple[Program, str]) -> AsyncIterator[Operator]:
    operator = Operator(console[1])
    yield operator
    await operator.close()


async def test_a_visitor_is_sent_to_sign_in_and_back(system: System, visitor: Operator) -> None:
    sent = await visitor.get("/?some=thing")
    assert (sent.status, sent.headers["Location"]) == (303, "/sign-in?next=/?some%3Dthing")

    token = await system.token(role=Role.ADMIN)
    entered = await visitor.sign_in(token, to="/?some=thing")

    assert (entered.status, entered.headers["Location"]) == (303, "/?some=thing")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token not in cookie
    assert "alice" in (await visitor.get("/")).text
    assert (await visitor.get("/signed-in")).status == 204


@pytest.mark.parametrize("role", [Role.TESTER, Role.CONTRIBUTOR, Role.USER])
async def test_only_admins_get_in(system: System, visitor: Operator, role: Role) -> None:
    refused = await visitor.sign_in(await system.token(role=role))

    assert refused.status == 403
    assert f"The token has the role {role}; the console needs admin." in refused.text
    assert (await visitor.get("/signed-in")).status == 303


@pytest.mark.parametrize("token", ["", "rct_nonsense", "\udc00"])
async def test_an_unknown_token_is_refused_in_plain_words(visitor: Operator, token: str) -> None:
    refused = await visitor.sign_in(token.encode("utf-8", "replace").decode())

    assert refused.status == 403
    assert "The token is invalid, expired or revoked." in refused.text


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()", "role = 'tester'"])
async def test_a_session_ends_with_its_token(
    system: System, visitor: Operator, change: str
) -> None:
    token = await system.token(role=Role.ADMIN)
    await visitor.sign_in(token)
    assert (await visitor.get("/")).status == 200

    await system.database.execute(
        f"UPDATE tokens SET {change} WHERE token_hash = $1",  # noqa: S608 - of this test's own
        token_hash(token),
    )

    assert (await visitor.get("/")).status == 303


async def test_who_signs_out_is_out(system: System, visitor: Operator) -> None:
    await visitor.sign_in(await system.token(role=Role.ADMIN))

    left = await visitor.submit("/sign-out")

    assert (left.status, left.headers["Location"]) == (303, "/sign-in")
    assert (await visitor.get("/")).status == 303


@pytest.mark.parametrize(
    ("to", "leads_to"),
    [
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/evil.example"),
        ("javascript:alert(1)", "/"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("http://[", "/"),
        ("", "/"),
    ],
)
async def test_signing_in_leads_to_no_other_site(
    system: System, visitor: Operator, to: str, leads_to: str
) -> None:
    entered = await visitor.sign_in(await system.token(role=Role.ADMIN), to=to)
    shown = await visitor.get(str(URL("/sign-in").with_query({"next": to})))

    assert entered.headers["Location"] == leads_to
    assert f'<a href="{leads_to}">Continue</a>' in shown.html
    assert f'data-sign-in="{leads_to}"' in shown.html


async def test_no_token_gets_into_the_log(
    system: System, console: tuple[Program, str], visitor: Operator
) -> None:
    token = await system.token(role=Role.ADMIN, subject="logged")
    await visitor.sign_in(token)
    await visitor.sign_in("rct_wrong-one")

    program, _ = console
    await program.event("console_signed_in", subject="logged")
    await program.event("console_sign_in_refused", reason="unknown token")
    assert token not in program.log()
    assert "rct_wrong-one" not in program.log()
