"""Debian's chromium, driven by playwright."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.support.programs.installed import Package, installed
from tools.support.chromium import browsing as chromium_at

_SERIOUS: Final = {"serious", "critical"}


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    async with chromium_at(installed(Package.CHROMIUM)) as browser:
        yield browser


async def accessibility_faults(page: Page, *rules: str) -> list[str]:
    """The serious and critical faults that axe finds on the page; by `rules`, or else by all."""
    found = await Axe().run(page, options={"runOnly": list(rules)} if rules else None)
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'] for node in fault['nodes']]}"
        for fault in found.response["violations"]
        if fault["impact"] in _SERIOUS
    ]
