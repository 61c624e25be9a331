"""The pages of runs in a real browser: a run is canceled, and its page tells so by itself."""

from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from shared.states import RunStatus
from tests.support.console.browser import accessibility_faults
from tests.support.records.run_histories import COMMANDS, RUNS
from tools.support.rows import PASS, insert, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 20_000.0
"""Milliseconds."""


async def test_a_run_is_canceled_and_becomes_canceled_without_a_reload(
    signed_in: Page, system: System
) -> None:
    await system.worker(heartbeat_seconds=1)
    await system.add_run(1, grace=0.5)
    await system.launch(1, "sh", "-c", "trap '' TERM; sleep 600 & while :; do sleep 600; done")
    await eventually(lambda: system.run(1), lambda run: run["status"] == RunStatus.RUNNING)
    await signed_in.get_by_role("link", name="Runs").click()
    await signed_in.get_by_label("Run number").fill("1")
    await signed_in.get_by_role("button", name="Go").click()
    await expect(signed_in.get_by_role("heading", name="Run 1 running")).to_be_visible()
    await signed_in.get_by_label("Reason").fill("superseded")

    await signed_in.get_by_role("button", name="Cancel run 1").click()
    await signed_in.wait_for_url("**/runs/1?requested=*")
    loads: list[str] = []
    signed_in.on("load", lambda page: loads.append(page.url))

    await expect(signed_in.get_by_role("heading", name="Run 1 canceled")).to_be_visible(
        timeout=SOON
    )
    await expect(signed_in.get_by_text("No process of it is left: that is proved.")).to_be_visible()
    steps = signed_in.locator("ol.stop")
    await expect(steps.get_by_text("cancel 1 requested by olga via direct")).to_be_visible()
    await expect(steps.get_by_text("SIGKILL to")).to_be_visible()
    await expect(steps.get_by_text("proved gone")).to_be_visible()
    await expect(signed_in.get_by_role("button", name="Cancel run 1")).to_have_count(0)
    assert not loads


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_of_runs_are_accessible_and_fit_a_phone(
    signed_in: Page, system: System, scheme: str
) -> None:
    await signed_in.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal there
    await signed_in.set_viewport_size({"width": 390, "height": 800})
    over, queued, killed = (2, 3, 4) if scheme == "light" else (5, 6, 7)
    await insert_run(system.database, over, PASS)
    await system.add_run(queued)
    await _insert_killed(system, killed)

    for path in ("/runs", *(f"/runs/{run_id}" for run_id in (over, queued, killed))):
        await signed_in.goto(path)
        assert not await accessibility_faults(signed_in), path
        width = await signed_in.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path


async def _insert_killed(system: System, run_id: int) -> None:
    async with system.database.acquire() as connection:
        run = {**RUNS["killed"], "run_id": run_id, "launch_id": str(uuid4())}
        await insert(connection, "runs", run)
        for command in COMMANDS["killed"]:
            new = {**command, "command_id": str(uuid4()), "run_id": run_id}
            await insert(connection, "cancellations", new)
