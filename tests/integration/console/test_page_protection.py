"""What protects a page and its forms in a browser."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.tokens import Role
from tests.support.console.operator import Operator, signed_in, start_console
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system, CANCEL_CONSOLE_URL="http://cancel.example.com")
    entered = await signed_in(system, url)
    yield entered
    await entered.close()


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/console.css", "/no-such-page", "/live"])
async def test_each_response_forbids_foreign_and_inline_content(
    operator: Operator, path: str
) -> None:
    async with operator.stream(path) as response:
        policy = response.headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert "aiohttp" not in response.headers["Server"]


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"csrf": "guessed"}, {}),
        ({"csrf": ""}, {}),
        (None, {"Sec_Fetch_Site": "cross-site"}),
        (None, {"Sec_Fetch_Site": "same-site"}),
        (None, {"Origin": "https://evil.example"}),
        (None, {"Origin": "null"}),
    ],
)
async def test_a_form_of_another_site_does_nothing(
    operator: Operator, form: dict[str, str] | None, headers: dict[str, str]
) -> None:
    """`form`: None stands for the right one."""
    sent = {"csrf": (await operator.get("/")).csrf} if form is None else form

    refused = await operator.post("/sign-out", sent, **headers)

    assert refused.status == 403
    assert (await operator.get("/")).status == 200


async def test_nobody_is_signed_in_by_another_site(system: System, operator: Operator) -> None:
    token = await system.token(role=Role.ADMIN)

    refused = await operator.post("/sign-in", {"token": token}, Sec_Fetch_Site="cross-site")

    assert refused.status == 403
    assert "Set-Cookie" not in refused.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("cancel.example.com", 200),
        ("localhost:1", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
async def test_only_our_own_names_are_served(operator: Operator, host: str, status: int) -> None:
    assert (await operator.get("/", Host=host)).status == status


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_behind_tls_the_cookie_is_sent_only_over_tls(system: System, scheme: str) -> None:
    _, url = await start_console(system, CANCEL_CONSOLE_URL=f"{scheme}://cancel.example.com")
    operator = Operator(url)

    entered = await operator.sign_in(await system.token(role=Role.ADMIN))

    assert ("Secure" in entered.headers["Set-Cookie"]) == (scheme == "https")
    await operator.close()


async def test_an_unknown_page_is_an_error_in_plain_words(operator: Operator) -> None:
    missing = await operator.get("/no-such-page")

    assert missing.status == 404
    assert "There is no such page." in missing.text
