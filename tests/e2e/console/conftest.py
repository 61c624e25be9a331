"""One browser, one system and one console for all tests of a module."""

import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from shared.tokens import Role
from tests.support.console.browser import browsing
from tests.support.console.operator import start_console
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

_HAS_FAILED = pytest.StashKey[bool]()
_TRACES = "SAVE_BROWSER_TRACES"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_HAS_FAILED] = report.failed
    return report


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(system: System) -> str:
    """The URL of a console."""
    _, url = await start_console(system)
    return url


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, system: System, console: str) -> AsyncIterator[Page]:
    """A page in a browser context of its own, not signed in. Errors in it fail the test."""
    context = await browser.new_context(base_url=console)
    opened = await context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    yield opened
    await context.close()
    assert not problems


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(page: Page, system: System) -> Page:
    """The page of an operator, "Now"."""
    await page.goto("/")
    await page.get_by_label("Token of role admin").fill(
        await system.token(role=Role.ADMIN, subject="olga")
    )
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/")
    return page


@pytest_asyncio.fixture(loop_scope="module")
async def traced(page: Page, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[None]:
    """If the test fails, a trace of what was done in the browser is kept.

    With SAVE_BROWSER_TRACES, one is kept in that directory in any case.
    """
    tracing = page.context.tracing
    await tracing.start(screenshots=True, snapshots=True)
    yield
    kept = os.environ.get(_TRACES)
    if kept or request.node.stash.get(_HAS_FAILED, True):
        path = Path(kept or tmp_path) / f"{request.node.name}.zip"
        await tracing.stop(path=path)
        print(f"browser trace: {path}")
    else:
        await tracing.stop()
