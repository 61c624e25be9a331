"""The page Now in a real browser: it follows what goes on by itself."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.console.browser import accessibility_faults
from tests.support.records.letters import kept
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_stop_appears_counts_down_and_disappears_without_a_reload(
    signed_in: Page, system: System
) -> None:
    await system.worker()
    await system.add_run(1, grace=60)
    deaf = await system.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    await deaf.ready()
    stops = signed_in.locator("#stops")
    await expect(stops).to_contain_text("No run is being stopped.")
    await signed_in.evaluate("window.loadedOnce = true")

    await system.publish(1, requested_by="<b>alice</b>", reason="superseded")

    row = stops.get_by_role("row", name="superseded")
    await expect(row).to_contain_text("grace period")
    await expect(row).to_contain_text("<b>alice</b>: superseded")
    left = row.locator("time[data-until]")
    before = await _seconds(left)
    assert before <= 60
    await eventually(lambda: _seconds(left), lambda seconds: seconds < before)
    await expect(signed_in.locator("#summary")).to_contain_text("1 stop in progress")

    await system.publish(1, force=True)

    await expect(stops).to_contain_text("No run is being stopped.")
    await expect(signed_in.locator("#rates")).to_contain_text("Cancels received 2: canceled 1")
    await expect(signed_in.locator("#hosts")).to_contain_text("1 up")
    assert await signed_in.evaluate("window.loadedOnce")
    assert (await system.run(1))["status"] == "canceled"


async def _seconds(left: Locator) -> float:
    found = re.fullmatch(r"([\d.]+) s left", await left.inner_text())
    assert found is not None
    return float(found[1])


async def test_a_link_of_a_page_leads_to_the_section_of_the_runbook(
    signed_in: Page, system: System
) -> None:
    await kept(system, 1, "stop_failed")
    await signed_in.goto("/")

    await signed_in.locator("#letters").get_by_role("link", name="Runbook").click()

    await signed_in.wait_for_url("**/runbook#cancelstopfailed")
    await expect(signed_in.get_by_role("heading", name="CancelStopFailed")).to_be_in_viewport()


@pytest.mark.parametrize("path", ["/", "/hosts", "/hosts/a-silent-one", "/runbook"])
async def test_a_page_is_accessible_and_no_wider_than_a_phone(
    signed_in: Page, system: System, path: str
) -> None:
    await _add_what_needs_attention(system)
    await signed_in.set_viewport_size({"width": 390, "height": 800})
    await signed_in.goto(path)

    assert not await accessibility_faults(signed_in)
    await signed_in.emulate_media(color_scheme="dark")
    assert not await accessibility_faults(signed_in, "color-contrast")
    wide = "document.documentElement.scrollWidth > window.innerWidth"
    assert not await signed_in.evaluate(wide)


async def _add_what_needs_attention(system: System) -> None:
    await system.database.execute(
        "INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, seen_at)"
        " VALUES ('a-silent-one', $1, $1, 5, now() - $2::interval) ON CONFLICT DO NOTHING",
        uuid4(),
        timedelta(hours=1),
    )
    run_id = 1000 + await system.database.fetchval("SELECT count(*) FROM runs")
    await system.database.execute(
        "INSERT INTO runs (run_id, status, host, boot_id, pid, start_ticks, launcher_pid,"
        " launcher_start_ticks, uid, launch_id, containment, started_at, canceling_at,"
        " stop_deadline)"
        " VALUES ($1, 'canceling', 'a-silent-one', $2, 2, 2, 3, 3, 0, $2, 'session', now(), now(),"
        " now())",
        run_id,
        uuid4(),
    )
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force, requested_by, reason)"
        " VALUES ($1, $2, 'rest', false, 'alice', $3)",
        *(uuid4(), run_id, "a reason without spaces " + "x" * 200),
    )
    await kept(system, run_id)
