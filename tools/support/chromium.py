"""Debian's chromium, driven by playwright."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> Path | None:
    return next((Path(found) for name in _NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def browsing(executable: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            # As root, chromium has no sandbox. /dev/shm is small in many containers.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        await browser.close()
