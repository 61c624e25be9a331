"""Opens the pages in a browser and takes a picture of each, light and dark."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Browser, FloatRect, Page

from tools.pictures.content import CANCELED_RUN, REPLAYED_RUNS

_WIDTH: Final = 1280
_MOST_HEIGHT: Final = 1100
"""Pixels. What is below is not in the picture."""
_MOST_BYTES: Final = 150_000

Open = Callable[[Page], Awaitable[object]]


class Replay:
    """The results of a replay of letters whose runs are on record by now."""

    def __init__(self) -> None:
        self._address: str | None = None

    async def open(self, page: Page) -> None:
        """Replay once, and wait until the results are known."""
        if self._address is not None:
            await page.goto(self._address)
            return
        await page.goto("/dead-letters?reason=unknown_run")
        for run_id in REPLAYED_RUNS:
            await page.get_by_role("row", name=str(run_id)).get_by_role("checkbox").check()
        await page.get_by_role("button", name="Replay marked").click()
        await page.get_by_role("button", name="Replay 2 letters").click()
        await page.wait_for_url("**/dead-letters/work/*")
        await page.get_by_text("canceled").first.wait_for()
        self._address = page.url


def _at(path: str) -> Open:
    return lambda page: page.goto(path)


def _pages() -> Mapping[str, Open]:
    """By the name of the picture. Each needs its place in docs/console.md."""
    return {
        # What counts down comes first.
        "now": _at("/"),
        "runs": _at("/runs"),
        "run": _at(f"/runs/{CANCELED_RUN}"),
        "letters": _at("/dead-letters"),
        "letter": _at("/dead-letters/1"),
        "replay": Replay().open,
        "audit": _at("/audit"),
    }


async def take(
    browser: Browser, url: str, token: str, directory: Path, say: Callable[[str], None]
) -> None:
    """Write console-NAME-light.png and console-NAME-dark.png of each page."""
    pages = _pages()
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        context = await browser.new_context(
            base_url=url, color_scheme=scheme, viewport={"width": _WIDTH, "height": 800}
        )
        page = await context.new_page()
        await page.goto("/sign-in")
        await page.get_by_label("Token of role admin").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/")
        for name, show in pages.items():
            await show(page)
            file = directory / f"console-{name}-{scheme}.png"
            await _take(page, file)
            say(f"{file.name}: {file.stat().st_size:,} bytes")
        await context.close()


async def _take(page: Page, file: Path) -> None:
    """The page from its top on, as much as fits into the size of a file."""
    height = min(await page.evaluate("document.documentElement.scrollHeight"), _MOST_HEIGHT)
    while True:
        clip: FloatRect = {"x": 0, "y": 0, "width": _WIDTH, "height": height}
        await page.screenshot(path=file, full_page=True, clip=clip)
        if file.stat().st_size <= _MOST_BYTES:
            return
        height -= 50
