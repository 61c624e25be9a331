"""Debian's chromium, driven by playwright."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tools.services import ServicesUnavailable
from tools.services.ladder import say_on_stderr
from tools.services.native import apt
from tools.support.chromium import browsing as chromium_at
from tools.support.chromium import find_chromium

_SERIOUS: Final = {"serious", "critical"}


@cache
def chromium() -> Path:
    """The browser; installed if that is possible. Skips the test if there is none."""
    found = find_chromium()
    if found is None and apt.can_install():
        with suppress(ServicesUnavailable):
            apt.install(["chromium"], say_on_stderr)
        found = find_chromium()
    if found is None:
        pytest.skip("no chromium, and it cannot be installed")
    return found


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    async with chromium_at(chromium()) as browser:
        yield browser


async def accessibility_faults(page: Page, *rules: str) -> list[str]:
    """The serious and critical faults that axe finds on the page; by `rules`, or else by all."""
    found = await Axe().run(page, options={"runOnly": list(rules)} if rules else None)
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'] for node in fault['nodes']]}"
        for fault in found.response["violations"]
        if fault["impact"] in _SERIOUS
    ]
