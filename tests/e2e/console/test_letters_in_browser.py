"""Dead letters and the audit in a real browser."""

import json
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from shared.commands import CANCEL_TYPE
from shared.tokens import Role
from tests.support.console.browser import accessibility_faults
from tests.support.records.letters import kept, latest
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\u202eabc\0\x1b[2J"
)
_IS_HERE_STILL = "window.here === 1"


@pytest.mark.usefixtures("traced")
async def test_a_letter_is_found_edited_and_replayed_and_its_run_becomes_canceled(
    signed_in: Page, system: System
) -> None:
    page, word = signed_in, f"nightly-{uuid4().hex[:8]}"
    await system.worker(keep_dead_letters=True)
    await system.add_run(4711)
    job = await system.launch(4711, "sh", "-c", "echo ready; exec sleep 1000")
    await job.ready()
    body = {"command_id": "not-an-id", "run_id": 4711, "reason": word}
    await system.publish_raw(json.dumps(body).encode(), type=CANCEL_TYPE, message_id=word)
    letter_id = (await latest(system, "message_id", word))["letter_id"]

    await page.get_by_role("link", name="Dead letters", exact=True).click()
    await page.get_by_label("Search in body and error").fill(word)
    await page.get_by_role("button", name="Show").click()
    await page.get_by_role("link", name=str(letter_id), exact=True).click()
    await expect(page.locator("#run-status")).to_contain_text("running")

    watching = await page.context.new_page()
    await watching.goto(f"/dead-letters/{letter_id}")
    await watching.evaluate("window.here = 1")

    await page.get_by_role("link", name="Edit and replay").click()
    await expect(page.get_by_role("status")).to_contain_text("cancels run 4711")
    await page.get_by_label("Body").fill('{"run_id": "4711"}')
    await expect(page.get_by_role("status")).to_contain_text("run_id: Input should be a valid")
    await page.get_by_label("Body").fill(json.dumps({"run_id": 4711, "reason": word}))
    await expect(page.get_by_role("status")).to_contain_text("cancels run 4711, which is running")
    await page.get_by_role("button", name="Review").click()
    await page.get_by_role("button", name="Replay it").click()

    await expect(page.get_by_text("settled: canceled")).to_be_visible(timeout=20_000)
    await expect(watching.locator("#run-status")).to_contain_text("canceled", timeout=20_000)
    await expect(watching.locator("#history")).to_contain_text("edited by olga")
    assert await watching.evaluate(_IS_HERE_STILL)
    assert await job.exit_code() == 143


async def test_a_hostile_body_is_text(signed_in: Page, system: System) -> None:
    page, letter = signed_in, await kept(system, None)
    for body in (HOSTILE.encode(), HOSTILE.encode() * 110_000):  # 8 MB
        await system.database.execute(
            "UPDATE dead_letters SET body = $2, error = $3, publisher = $3 WHERE letter_id = $1",
            letter.letter_id,
            body,
            HOSTILE.replace("\0", ""),
        )
        for path in (f"/dead-letters/{letter.letter_id}", "/dead-letters"):
            await page.goto(path)

            await expect(page.locator("main")).to_contain_text(r"</script><img src=x onerror=")
            assert not await page.evaluate("'hacked' in window")

    await page.goto(f"/dead-letters/{letter.letter_id}")
    await expect(page.locator("pre")).to_contain_text(r"\u202eabc\x00\x1b[2J")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert (await download.value).suggested_filename == f"dead-letter-{letter.letter_id}.bin"


@pytest.mark.usefixtures("traced")
async def test_a_letter_is_discarded_with_the_keyboard_alone(page: Page, system: System) -> None:
    letter = await kept(system, None)
    await page.goto("/sign-in")
    await page.keyboard.type(await system.token(role=Role.ADMIN, subject="kim"))
    await _enter(page, "**/")

    await _tab_to(page, "Dead letters")
    await _enter(page, "**/dead-letters")
    await _tab_to(page, "Search in body and error")
    await page.keyboard.type("it was so")
    await _enter(page, "**/dead-letters?search=*")
    await _tab_to(page, str(letter.letter_id))
    await _enter(page, f"**/dead-letters/{letter.letter_id}")
    await _tab_to(page, "Discard…")
    await _enter(page, "**/dead-letters/discard?*")
    await _tab_to(page, "Why")
    await page.keyboard.type("by keyboard")
    await _tab_to(page, "Discard 1 letter")
    await _enter(page, "**/dead-letters/work/*")

    await expect(page.get_by_text("Note: by keyboard")).to_be_visible()
    await expect(page.get_by_text("Ended")).to_be_visible()


async def _enter(page: Page, leads_to: str) -> None:
    async with page.expect_navigation(url=leads_to):
        await page.keyboard.press("Enter")


async def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus has this name."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "(document.activeElement.labels?.[0] ?? document.activeElement).innerText.trim()"
        )
        if focused == name:
            return
    raise AssertionError(f"no Tab leads to {name!r}")


async def test_the_pages_are_accessible(signed_in: Page, system: System) -> None:
    page, letter = signed_in, await kept(system, 1)
    path = f"/dead-letters/{letter.letter_id}"
    faults: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        await page.emulate_media(color_scheme="light")
        faults[name] = await accessibility_faults(page)
        await page.emulate_media(color_scheme="dark")
        faults[name] += await accessibility_faults(page, "color-contrast")

    for address in (
        "/dead-letters",
        path,
        f"/dead-letters/replay?id={letter.letter_id}",
        f"/dead-letters/discard?id={letter.letter_id}",
        "/audit?kind=all",
    ):
        await page.goto(address)
        await look(address)
    await page.goto(f"{path}/edit")
    await expect(page.get_by_role("status")).to_contain_text("cancels run 1")
    await look("edit")
    await page.get_by_role("button", name="Review").click()
    await expect(page.get_by_role("button", name="Replay it")).to_be_visible()
    await look("review")
    await page.goto(f"/dead-letters/discard?id={letter.letter_id}")
    await page.get_by_role("button", name="Discard 1 letter").click()
    await expect(page.get_by_text("Ended")).to_be_visible()
    await look("work")

    assert not any(faults.values()), faults


async def test_nothing_overflows_on_a_phone(signed_in: Page, system: System) -> None:
    letter = await kept(system, 2**62)
    await system.database.execute(
        "UPDATE dead_letters SET error = $2, publisher = $2, requested_by = $2, exchange = $2,"
        " headers = json_build_object($2::text, $2::text) WHERE letter_id = $1",
        letter.letter_id,
        "x" * 255,
    )
    await signed_in.set_viewport_size({"width": 390, "height": 800})

    for address in (
        "/dead-letters",
        f"/dead-letters/{letter.letter_id}",
        f"/dead-letters/{letter.letter_id}/edit",
        f"/dead-letters/replay?id={letter.letter_id}",
        "/dead-letters/work",
        "/audit",
    ):
        await signed_in.goto(address)
        wide = await signed_in.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, address
